package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/latchkey-auth/latchkey/internal/auth"
)

type usersLogoutCmd struct {
	User string `arg:"" optional:"" help:"Id, username or e-mail address."`
	All  bool   `help:"End every session of every user, and void the links and codes that were mailed to them: after a restore."`
	Yes  bool   `help:"With --all: do not ask."`
	JSON bool   `help:"Print JSON."`
	trailFlags
}

// Validate refuses what leaves open who is meant.
func (c *usersLogoutCmd) Validate() error {
	switch {
	case c.All && c.User != "":
		return errors.New("name a user or give --all, not both")
	case !c.All && c.User == "":
		return errors.New("name the user, or give --all for everybody")
	}
	return nil
}

func (c *usersLogoutCmd) Run(ctx context.Context, p *process) error {
	if c.All {
		return c.everybody(ctx, p)
	}
	return withUsers(ctx, c.trailFlags, p, func(s *auth.Service) error {
		u, err := s.EndSessions(ctx, c.User)
		if err != nil {
			return err
		}
		return p.showUser(u, c.JSON, "is logged out everywhere; access tokens issued before are good at authorizers that read no revocations until they expire")
	})
}

func (c *usersLogoutCmd) everybody(ctx context.Context, p *process) error {
	return withUsers(ctx, c.trailFlags, p, func(s *auth.Service) error {
		if err := p.confirm(c.Yes, "End every session of every user, and void the links and codes in mails?"); err != nil {
			return err
		}
		bar, users := p.newProgress("ending sessions", "user", 0), 0
		err := s.EndAllSessions(ctx, func(n int) {
			users = n
			bar.show(n, 0)
		})
		bar.clear()
		if err != nil {
			return fmt.Errorf("after %s, run it again: %w", count(users, "user"), err)
		}
		if c.JSON {
			return printLine(p.stdout, map[string]int{"users": users})
		}
		_, err = fmt.Fprintf(p.stdout, "%s logged out everywhere, and links and codes in mails are void; access tokens issued before are good at authorizers that read no revocations until they expire\n", count(users, "user"))
		return err
	})
}

type usersDeleteCmd struct {
	userArg
	Yes  bool `help:"Do not ask."`
	JSON bool `help:"Print JSON."`
	trailFlags
}

func (c *usersDeleteCmd) Run(ctx context.Context, p *process) error {
	return withUsers(ctx, c.trailFlags, p, func(s *auth.Service) error {
		u, err := s.NamedUser(ctx, c.User)
		if err != nil {
			return err
		}
		if err := p.confirm(c.Yes, fmt.Sprintf("Delete %s for good?", who(u))); err != nil {
			return err
		}
		if err := s.DeleteUser(ctx, u.ID); err != nil { // the one who was shown
			return err
		}
		return p.showUser(u, c.JSON, "deleted; access tokens issued before are good at authorizers that read no revocations until they expire")
	})
}
