package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/latchkey-auth/latchkey/internal/app"
	"github.com/latchkey-auth/latchkey/internal/keyring"
)

type keysSealMasterCmd struct {
	KMS string `name:"kms" required:"" help:"Key of KMS: an id, an alias (alias/NAME) or an ARN; symmetric." placeholder:"KEY"`
	New bool   `help:"Make a new master key, for a store in which nothing is yet, in place of the one in use."`
	dataFlags
}

// Run prints what LATCHKEY_MASTER_KEY takes, alone, so that a script can store it.
func (c *keysSealMasterCmd) Run(ctx context.Context, p *process) error {
	key := keyring.NewMasterKey()
	if !c.New {
		cfg, err := c.config(p.logger())
		if err != nil {
			return err
		}
		key, err = cfg.CurrentMasterKey(ctx)
		if errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("%w; for a store that is yet to be created --new makes a master key", err)
		}
		if err != nil {
			return err
		}
	}
	sealed, err := app.SealMasterKey(ctx, c.KMS, key)
	if err != nil {
		return err
	}
	if _, err := fmt.Fprintln(p.stdout, sealed); err != nil {
		return err
	}
	fmt.Fprintln(p.stderr, "next: set LATCHKEY_MASTER_KEY to this text. It is no secret: it opens only for callers who may use kms:Decrypt with the key. Keep the key: without it nobody can open the text")
	return nil
}
