package main

import (
	"context"
	"fmt"
	"os"

	"github.com/latchkey-auth/latchkey/internal/app"
)

type initCmd struct {
	dataFlags
	signingFlags
}

func (c *initCmd) Run(ctx context.Context, p *process) error {
	cfg, err := c.config(p.logger())
	if err != nil {
		return err
	}
	if cfg.InMemory() {
		return usagef("init creates what lasts; :memory: needs none of it")
	}
	cfg.SigningAlg = c.SigningAlg
	s, err := app.Init(ctx, cfg)
	if err != nil {
		return c.explain(err)
	}
	defer s.Close()
	if err := s.Complete(ctx); err != nil {
		return err
	}
	what, again := "database", cfg.Arguments()
	if cfg.Store.Scheme == app.DynamoDB {
		what = "table"
	}
	fmt.Fprintf(p.stdout, "%s is ready: %s, master key, signing key\nnext: latchkey users add NAME%s, latchkey serve%s\n", cfg.Place(), what, again, again)
	if os.Getenv(envMasterKey) == "" && c.MasterKeyFile == "" {
		fmt.Fprintf(p.stdout, "back up %s apart from the %s: neither is of use without the other\n", app.MasterKeyFile(c.Data), what)
		if shared := cfg.Store.Scheme != "" && cfg.Store.Scheme != app.SQLite; shared {
			fmt.Fprintf(p.stdout, "every machine on this store needs that key: copy the file, or give it by %s\n", envMasterKey)
		}
	}
	return nil
}
