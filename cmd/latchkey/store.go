package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/latchkey-auth/latchkey/internal/app"
	"github.com/latchkey-auth/latchkey/internal/sqlstore"
	"github.com/latchkey-auth/latchkey/internal/storage"
	"github.com/latchkey-auth/latchkey/internal/storecheck"
)

type storeCmd struct {
	Check   storeCheckCmd   `cmd:"" help:"Check schema, rights, clock and round trip; exit 1 when something is wrong."`
	Backup  storeBackupCmd  `cmd:"" help:"Copy the database to a new file while the service runs."`
	Restore storeRestoreCmd `cmd:"" help:"Put a backup in the place of the database, and log everybody out."`
	Copy    storeCopyCmd    `cmd:"" help:"Copy everything to another store, of another engine too."`
	Open    storeOpenCmd    `cmd:"" help:"Let a store be written to again that store copy has left read-only."`
	Mark    storeMarkCmd    `cmd:"" help:"Say what a store is for: this machine alone (offline, invoke), or a service (serve, Lambda)."`
}

type storeMarkCmd struct {
	Local      bool `help:"For offline and invoke. Refused for a store that init has made, or in which the demo user is not." xor:"kind" required:""`
	Production bool `help:"For serve and Lambda. Refused as long as the demo user can log in." xor:"kind" required:""`
	Yes        bool `help:"Do not ask."`
	dataFlags
}

func (c *storeMarkCmd) Run(ctx context.Context, p *process) error {
	cfg, err := c.config(p.logger())
	if err != nil {
		return err
	}
	if cfg.InMemory() {
		return usagef("%s needs no mark", app.Memory)
	}
	info, err := app.Inspect(ctx, cfg, app.DemoUser.ID)
	if err == nil && info.Kind == "" {
		err = app.ErrNoStore
	}
	if err != nil {
		return c.explain(err)
	}
	noun, _ := c.noun()
	kind, check, question := storage.ProductionStore, c.checkProduction, "Mark %s%s as a production "+noun+"?"
	if c.Local {
		kind, check = storage.LocalStore, c.checkLocal
		question = "Mark %s%s for this machine alone? offline then lets anybody here log in as the demo user, and takes its mail."
	}
	if info.Kind == kind {
		_, err := fmt.Fprintf(p.stdout, "%s is marked %s already\n", cfg.Place(), kind)
		return err
	}
	if err := check(ctx, p, cfg, info); err != nil {
		return err
	}
	holds := ""
	if info.Users != nil {
		holds = ", which holds " + count(*info.Users, "user") + ","
	}
	if err := p.confirm(c.Yes, fmt.Sprintf(question, cfg.Place(), holds)); err != nil {
		return err
	}
	if err := app.Mark(ctx, cfg, info.Kind, kind); err != nil {
		return err
	}
	_, err = fmt.Fprintf(p.stdout, "%s is marked %s\n", cfg.Place(), kind)
	return err
}

// checkLocal refuses a store that a service has, or had.
func (c *storeMarkCmd) checkLocal(_ context.Context, _ *process, cfg app.Config, info app.StoreInfo) error {
	noun, flag := c.noun()
	if info.Kind == storage.ProductionStore {
		return fmt.Errorf("%s is a production %s and stays one; give offline a %s of its own: latchkey offline %s", cfg.Place(), noun, noun, flag)
	}
	if !info.Has {
		return fmt.Errorf("the demo user is not in %s, so offline has not made it; give offline a %s of its own: latchkey offline %s", cfg.Place(), noun, flag)
	}
	return nil
}

// checkProduction refuses a store whose demo user can log in.
func (c *storeMarkCmd) checkProduction(ctx context.Context, p *process, cfg app.Config, _ app.StoreInfo) error {
	s, err := app.Open(ctx, cfg)
	if err != nil {
		return c.explain(err)
	}
	defer s.Close()
	service, err := s.Accounts()
	if err != nil {
		return err
	}
	return s.RefuseDemoUser(ctx, service)
}

type storeCheckCmd struct {
	JSON bool `help:"Print one JSON object per line."`
	dataFlags
}

// Help stands behind the one line of help.
func (storeCheckCmd) Help() string {
	return `Each operation that the service uses is tried, on items of the check's own. What is refused is named with
what to grant. Warnings leave the exit status at 0.`
}

func (c *storeCheckCmd) Run(ctx context.Context, p *process) error {
	cfg, err := c.config(p.logger())
	if err != nil {
		return err
	}
	if cfg.InMemory() {
		return usagef("%s keeps nothing to check", app.Memory)
	}
	found, err := app.CheckStore(ctx, cfg)
	if err != nil {
		return c.explain(err)
	}
	if err := p.showFindings(found, c.JSON); err != nil {
		return err
	}
	if storecheck.Failed(found) {
		return &quietError{}
	}
	return nil
}

var findingColumns = []column{{title: "CHECK"}, {title: "RESULT"}, {title: "FOUND"}}

// showFindings prints a table, and below it what to do.
func (p *process) showFindings(found []storecheck.Finding, asJSON bool) error {
	t := p.newTable(findingColumns)
	for _, f := range found {
		if asJSON {
			if err := printLine(p.stdout, f); err != nil {
				return err
			}
			continue
		}
		t.add(f.Check, string(f.Result), f.Found)
	}
	if asJSON {
		return nil
	}
	if err := t.flush(); err != nil {
		return err
	}
	for _, f := range found {
		if f.Advice != "" {
			fmt.Fprintf(p.stdout, "%s: %s: %s\n", f.Result, f.Check, f.Advice)
		}
	}
	return nil
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
	cfg, err := c.config(p.logger())
	if err != nil {
		return err
	}
	path, ok := cfg.DatabaseFile()
	if !ok {
		return usagef("store backup copies the file of a SQLite database; DynamoDB has backups of its own (point-in-time recovery), see docs/operate.md")
	}
	if path == app.Memory {
		return usagef("%s keeps nothing to copy", app.Memory)
	}
	info, err := sqlstore.Backup(ctx, path, c.File)
	switch {
	case errors.Is(err, sqlstore.ErrNoDatabase):
		return c.noStore(app.ErrNoStore)
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

type storeRestoreCmd struct {
	File string `arg:"" help:"File that store backup has written. It stays as it is." type:"path"`
	Yes  bool   `help:"Do not ask."`
	dataFlags
}

// Help stands behind the one line of help.
func (storeRestoreCmd) Help() string {
	return `Stop the service first. All sessions end, and links and codes in mails and mail that waits are void, so that
nothing comes back to life that had ended since the backup: everybody logs in again. What is there now is
kept under another name. The master key has to be the one that the backup was made with.`
}

func (c *storeRestoreCmd) Run(ctx context.Context, p *process) error {
	cfg, err := c.config(p.logger())
	if err != nil {
		return err
	}
	path, ok := cfg.DatabaseFile()
	if !ok {
		return usagef("store restore puts back a SQLite database; PostgreSQL and DynamoDB have means of their own, after which latchkey users logout --all ends what has come back to life, see docs/operate.md")
	}
	if path == app.Memory {
		return usagef("%s keeps nothing", app.Memory)
	}
	question := fmt.Sprintf("Put %s in the place of the database in %s? What has happened since the backup is lost, and everybody is logged out.", c.File, cfg.Place())
	if err := p.confirm(c.Yes, question); err != nil {
		return err
	}
	r, err := sqlstore.Restore(ctx, c.File, path, maxTokenTTL)
	var other *storage.KindError
	switch {
	case errors.Is(err, sqlstore.ErrInUse):
		return fmt.Errorf("nothing was restored: a process works on %s; stop the service, and run this again", cfg.Place())
	case errors.As(err, &other):
		return fmt.Errorf("nothing was restored: %s is of a %s store, and %s is %s", c.File, other.Found, cfg.Place(), other.Want)
	case err != nil:
		return fmt.Errorf("nothing was restored: %w", err)
	}
	fmt.Fprintf(p.stdout, "%s holds what was in %s: %s\nall sessions have ended, and %s and %s are void: everybody logs in again\n",
		cfg.Place(), c.File, count(r.Users, "user"), count(int(r.Tickets), "mailed link"), count(int(r.Mails), "queued mail"))
	if r.Aside != "" {
		fmt.Fprintf(p.stdout, "what was there before is %s: delete it when you do not need it\n", r.Aside)
	}
	_, err = fmt.Fprintf(p.stdout, "next: latchkey keys list%s, which needs the master key of the backup; then start the service\n", cfg.Arguments())
	return err
}
