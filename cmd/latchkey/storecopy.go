package main

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/latchkey-auth/latchkey/internal/app"
	"github.com/latchkey-auth/latchkey/internal/transfer"
)

type storeCopyCmd struct {
	From         string `help:"Store to copy from. Default: that of --store, or of --data." env:"LATCHKEY_COPY_FROM" placeholder:"ADDRESS"`
	To           string `help:"Store to copy to: empty, or one that an interrupted copy has begun. It is made if it is not there." env:"LATCHKEY_COPY_TO" required:"" placeholder:"ADDRESS"`
	KeepReadOnly bool   `help:"Leave the source read-only after the copy, to go on with the other store; and after one that fails, so that the next run goes on where it was. store open ends it."`
	JSON         bool   `help:"Print JSON."`
	trailFlags
}

// Help stands behind the one line of help.
func (storeCopyCmd) Help() string {
	return `Moves users, sessions, credentials, mailed links, queued mail, events, revocations, counts and signing keys,
all as they are, so that sessions go on. What has expired is left out. Meanwhile nobody can
write to the source: logins are answered with 503, and tokens are good as before. Both stores are read again
at the end and compared. Run it again when it was interrupted. The other store needs the same master key,
which is not copied. See "Move to another store" in docs/operate.md.`
}

func (c *storeCopyCmd) Run(ctx context.Context, p *process) error {
	from, err := c.side("from", c.From, p)
	if err != nil {
		return err
	}
	to, err := c.side("to", c.To, p)
	if err != nil {
		return err
	}
	bar := &phases{process: p}
	began := time.Now()
	report, err := app.CopyStore(ctx, from, to, app.CopyOptions{KeepReadOnly: c.KeepReadOnly, Progress: bar.show})
	bar.clear()
	if err != nil {
		source := c.dataFlags
		source.Store = cmp.Or(c.From, c.Store)
		return source.explain(err)
	}
	if c.JSON {
		return printJSON(p.stdout, map[string]any{"from": from.Place(), "to": to.Place(), "read_only": c.KeepReadOnly, "totals": report.Totals})
	}
	return c.tell(p, from, to, report, time.Since(began))
}

// side is the configuration of one of the two stores.
func (c *storeCopyCmd) side(name, address string, p *process) (app.Config, error) {
	cfg, err := c.config(p.logger())
	if err != nil || address == "" {
		return cfg, err
	}
	if cfg.Store, err = app.ParseStoreAddress(address); err != nil {
		return cfg, usagef("--%s: %v", name, err)
	}
	return cfg, nil
}

func (c *storeCopyCmd) tell(p *process, from, to app.Config, report transfer.Report, took time.Duration) error {
	t := p.newTable([]column{{title: "KIND"}, {title: "RECORDS"}, {title: "DIGEST"}})
	for _, kind := range transfer.Kinds() {
		if total := report.Totals[kind]; total.Count > 0 {
			t.add(string(kind), thousands(int(total.Count)), fmt.Sprintf("%x", total.Digest[:8]))
		}
	}
	if err := t.flush(); err != nil {
		return err
	}
	fmt.Fprintf(p.stdout, "copied %s from %s to %s in %s; both were read again and are the same\n",
		count(int(report.Totals.Records()), "record"), from.Place(), to.Place(), took.Round(time.Second))
	if c.KeepReadOnly {
		fmt.Fprintf(p.stdout, "%s is read-only from now on; latchkey store open%s ends that\n", from.Place(), from.Arguments())
	} else {
		fmt.Fprintf(p.stdout, "%s can be written to again; what is written there from now on is not in the copy\n", from.Place())
	}
	_, err := fmt.Fprintf(p.stdout, "next: latchkey serve --store %s, with the same master key\n", to.Place())
	return err
}

// phases draws a bar for what is under way.
type phases struct {
	*process
	bar   *progress
	doing string
}

func (b *phases) show(doing string, done, of int64) {
	if doing != b.doing {
		b.clear()
		b.doing, b.bar = doing, b.newProgress(doing, "record", of)
	}
	b.bar.show(int(done), done)
}

func (b *phases) clear() { b.bar.clear() }

type storeOpenCmd struct {
	Yes bool `help:"Do not ask."`
	dataFlags
}

// Help stands behind the one line of help.
func (storeOpenCmd) Help() string {
	return `For a store that store copy --keep-read-only has left read-only, or a copy that was killed. Processes that
run notice within seconds. What is written then is not in the store that it was copied to.`
}

func (c *storeOpenCmd) Run(ctx context.Context, p *process) error {
	cfg, err := c.config(p.logger())
	if err != nil {
		return err
	}
	h, err := app.StoreHold(ctx, cfg)
	switch {
	case err != nil:
		return c.explain(err)
	case h.ID == "":
		_, err := fmt.Fprintf(p.stdout, "%s is not read-only\n", cfg.Place())
		return err
	case h.Role == transfer.Target:
		return fmt.Errorf("%s cannot be opened: %s", cfg.Place(), h)
	}
	question := fmt.Sprintf("Let %s be written to again? A copy of it to %s, begun %s, may be under way, and fails then.", cfg.Place(), h.Peer, h.Since.Format(time.DateTime))
	if !h.Moved.IsZero() {
		question = fmt.Sprintf("Let %s be written to again? It was moved to %s at %s: what has happened there since is not in it.", cfg.Place(), h.Peer, h.Moved.Format(time.DateTime))
	}
	if err := p.confirm(c.Yes, question); err != nil {
		return err
	}
	if _, err := app.ReopenStore(ctx, cfg); err != nil {
		return err
	}
	_, err = fmt.Fprintf(p.stdout, "%s can be written to again\n", cfg.Place())
	return err
}
