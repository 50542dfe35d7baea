package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"

	"github.com/latchkey-auth/latchkey/internal/app"
	"github.com/latchkey-auth/latchkey/internal/auth"
	"github.com/latchkey-auth/latchkey/internal/storage"
)

type usersInviteCmd struct {
	Address  string `arg:"" optional:"" name:"email" help:"E-mail address: in place of --email." placeholder:"ADDR"`
	Email    string `help:"E-mail address; the link goes there, and the user logs in with it." placeholder:"ADDR"`
	Username string `help:"Name to log in with too. Default: the new user's id." placeholder:"NAME"`
	Name     string `help:"Name for people to read." placeholder:"TEXT"`
	Scope    string `help:"What the user may do: words separated by spaces." placeholder:"\"A B\""`
	describedFlags
	PublicURL string `name:"public-url" help:"Base of the link: the service's --public-url. Default, in a directory of offline: where offline serves." env:"LATCHKEY_PUBLIC_URL" placeholder:"URL"`
	JSON      bool   `help:"Print JSON."`
	trailFlags
}

// Validate sorts the argument and refuses what cannot be meant.
func (c *usersInviteCmd) Validate() error {
	if c.Address != "" && c.Email != "" && c.Address != c.Email {
		return fmt.Errorf("%q and --email %q are both given; keep one", c.Address, c.Email)
	}
	c.Email = cmp.Or(c.Email, c.Address)
	if c.Email == "" {
		return errors.New("give the e-mail address that the link goes to")
	}
	return errors.Join(checkPublicURL(c.PublicURL), checkScopeText(c.Scope), c.describedFlags.Validate())
}

func (c *usersInviteCmd) Run(ctx context.Context, p *process) error {
	link, err := c.base(ctx, p)
	if err != nil {
		return err
	}
	return withUsers(ctx, c.trailFlags, p, func(s *auth.Service) error {
		u, err := s.Invite(ctx, auth.NewUser{
			Username: c.Username, Email: c.Email, Name: c.Name, Scope: c.Scope, Roles: c.roles(), Attributes: c.attributes(nil),
		})
		if err != nil {
			return err
		}
		p.warnRoles(u)
		return p.showUser(u, c.JSON, fmt.Sprintf("is invited; "+link.sent, u.Email))
	}, func(cfg *auth.Config) error {
		cfg.SendsMail, cfg.PublicURL = true, link.url
		return nil
	})
}

// invitation is where its link leads, and in words who sends it to an address.
type invitation struct{ url, sent string }

// base finds both. A store of offline has no public URL: links lead to where
// offline serves.
func (c *usersInviteCmd) base(ctx context.Context, p *process) (invitation, error) {
	i := invitation{c.PublicURL, "a running service with " + envMailURL + " sends the mail to %s"}
	local := false
	cfg, err := c.config(p.logger())
	if err != nil {
		return i, err
	}
	if !cfg.InMemory() {
		info, err := app.Inspect(ctx, cfg, "")
		if err != nil && !errors.Is(err, app.ErrNoStore) { // which is explained when it is opened
			return i, err
		}
		local = info.Kind == storage.LocalStore
	}
	switch {
	case !local && i.url == "":
		return i, usagef("--public-url must be set: the link in the mail begins with it; give the one of the service")
	case !local:
		return i, nil
	case i.url == "":
		var err error
		if i.url, err = p.offlineBase(); err != nil {
			return i, err
		}
		fmt.Fprintf(p.stderr, "latchkey: the link leads to %s, where offline serves by its settings; where it serves elsewhere, invite again with --public-url\n", i.url)
	}
	if mailURL() == "" {
		i.sent = "a running latchkey offline puts the mail to %s into its inbox, " + strings.TrimSuffix(i.url, "/") + "/inbox"
	}
	return i, nil
}

// offlineBase is where offline serves by the variable, the file or the default
// that it reads as well.
func (p *process) offlineBase() (string, error) {
	addr := cmp.Or(os.Getenv("LATCHKEY_ADDR"), p.config.settings["addr"], defaultOfflineAddr)
	host, port, err := net.SplitHostPort(addr)
	if err != nil || host == "" || port == "0" {
		return "", usagef("give --public-url: where offline serves cannot be told from the address %q", addr)
	}
	return "http://" + addr, nil
}
