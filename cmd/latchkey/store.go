package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/latchkey-auth/latchkey/internal/app"
	"github.com/latchkey-auth/latchkey/internal/auth"
	"github.com/latchkey-auth/latchkey/internal/sqlstore"
)

type storeCmd struct {
	Backup storeBackupCmd `cmd:"" help:"Copy the database to a new file while the service runs."`
	Mark   storeMarkCmd   `cmd:"" help:"Say what a data directory is for: this machine alone (offline, invoke), or a service (serve, Lambda)."`
}

// noDatabase says what to do where there is none.
func (f dataFlags) noDatabase() error {
	return fmt.Errorf("there is no database in %s; create it with `latchkey init --data %s`, or name the right directory with --data", f.Data, f.Data)
}

// explainKind says what to do about a directory of the other kind.
func (f dataFlags) explainKind(e *sqlstore.KindError) error {
	switch {
	case e.Found == sqlstore.Local:
		return fmt.Errorf("%s belongs to offline: it is marked for this machine alone, and its demo user %s has a known password. Give this service a directory of its own: latchkey init --data DIR",
			f.Data, app.DemoUsername)
	case e.Found == sqlstore.Unmarked:
		return fmt.Errorf("%s has no mark, so it counts as a production directory: offline and invoke would add a demo user with a known password and take the mail that waits in it. "+
			"Name another directory with --data; or, if an earlier latchkey offline has made this one, mark it: latchkey store mark --local --data %s", f.Data, f.Data)
	}
	return fmt.Errorf("%s is a production directory: offline and invoke would add a demo user with a known password and take the mail that waits in it. Name another directory with --data", f.Data)
}

type storeMarkCmd struct {
	Local      bool `help:"For offline and invoke. Refused for a directory that init has made, or in which the demo user is not." xor:"kind" required:""`
	Production bool `help:"For serve and Lambda. Refused as long as the demo user can log in." xor:"kind" required:""`
	Yes        bool `help:"Do not ask."`
	dataFlags
}

func (c *storeMarkCmd) Run(ctx context.Context, p *process) error {
	if c.Data == sqlstore.Memory {
		return usagef("%s needs no mark", sqlstore.Memory)
	}
	info, err := sqlstore.Inspect(ctx, app.DatabaseFile(c.Data))
	if errors.Is(err, sqlstore.ErrNoDatabase) || err == nil && info.Kind == "" {
		return c.noDatabase()
	}
	if err != nil {
		return err
	}
	kind, check, question := sqlstore.Production, c.checkProduction, "Mark %s, which holds %s, as a production directory?"
	if c.Local {
		kind, check = sqlstore.Local, c.checkLocal
		question = "Mark %s, which holds %s, for this machine alone? offline then lets anybody here log in as the demo user, and takes its mail."
	}
	if info.Kind == kind {
		_, err := fmt.Fprintf(p.stdout, "%s is marked %s already\n", c.Data, kind)
		return err
	}
	if err := check(ctx, p, info); err != nil {
		return err
	}
	if err := p.confirm(c.Yes, fmt.Sprintf(question, c.Data, count(info.Users, "user"))); err != nil {
		return err
	}
	if err := sqlstore.Mark(ctx, app.DatabaseFile(c.Data), kind); err != nil {
		return err
	}
	_, err = fmt.Fprintf(p.stdout, "%s is marked %s\n", c.Data, kind)
	return err
}

// checkLocal refuses a directory that a service has, or had.
func (c *storeMarkCmd) checkLocal(ctx context.Context, _ *process, info sqlstore.Info) error {
	if info.Kind == sqlstore.Production {
		return fmt.Errorf("%s is a production directory and stays one; give offline a directory of its own: latchkey offline --data DIR", c.Data)
	}
	demo, err := sqlstore.HasUser(ctx, app.DatabaseFile(c.Data), app.DemoUser.ID)
	if err != nil {
		return err
	}
	if !demo {
		return fmt.Errorf("the demo user is not in %s, so offline has not made it; give offline a directory of its own: latchkey offline --data DIR", c.Data)
	}
	return nil
}

// checkProduction refuses a directory whose demo user can log in.
func (c *storeMarkCmd) checkProduction(ctx context.Context, p *process, _ sqlstore.Info) error {
	return withUsers(ctx, c.dataFlags, p, func(s *auth.Service) error { return app.RefuseDemoUser(ctx, s, c.Data) })
}

type storeBackupCmd struct {
	File string `arg:"" help:"File to write, readable by its owner alone; it must not be there." type:"path"`
	dataFlags
}

// Help stands behind the one line of help.
func (storeBackupCmd) Help() string {
	return `The copy is the database as it is at one moment, checked and on disk before it has its name. It holds
password hashes, and needs the master key, which is not in it. How to restore it: docs/operate.md.`
}

func (c *storeBackupCmd) Run(ctx context.Context, p *process) error {
	if c.Data == sqlstore.Memory {
		return usagef("%s keeps nothing to copy", sqlstore.Memory)
	}
	info, err := sqlstore.Backup(ctx, app.DatabaseFile(c.Data), c.File)
	switch {
	case errors.Is(err, sqlstore.ErrNoDatabase):
		return c.noDatabase()
	case errors.Is(err, fs.ErrExist):
		return fmt.Errorf("%s is there already, and is left as it is; name a file that is not there", c.File)
	case err != nil:
		return fmt.Errorf("nothing was copied: %w", err)
	}
	key := cmp.Or(c.MasterKeyFile, app.MasterKeyFile(c.Data))
	if os.Getenv(envMasterKey) != "" {
		key = envMasterKey
	}
	_, err = fmt.Fprintf(p.stdout, "%s is a copy of a %s database, %s, schema %d, with password hashes: keep it safe\nback up the master key (%s) apart from it: neither is of use without the other\n",
		c.File, info.Kind, count(info.Users, "user"), info.Schema, key)
	return err
}
