package main

import (
	"context"
	"errors"

	"github.com/latchkey-auth/latchkey/internal/auth"
	"github.com/latchkey-auth/latchkey/internal/storage"
)

type usersUpdateCmd struct {
	userArg
	Scope *string `help:"New scope; an empty one takes all away." placeholder:"\"A B\""`
	Name  *string `help:"New name for people to read." placeholder:"TEXT"`
	Email *string `help:"New e-mail address; an empty one removes it." placeholder:"ADDR"`
	// The tags of describedFlags say what is given to a new user.
	Role []string `help:"New roles, in place of all: repeat it, or separate several by commas. An empty one takes all away." sep:"none" placeholder:"NAME"`
	Attr []string `help:"An attribute to add or change, NAME=VALUE; NAME= removes it. Repeat it for several." sep:"none" placeholder:"NAME=VALUE"`
	JSON bool     `help:"Print JSON."`
	trailFlags
}

// Validate refuses a command that changes nothing.
func (c *usersUpdateCmd) Validate() error {
	if c.Scope == nil && c.Name == nil && c.Email == nil && c.Role == nil && c.Attr == nil {
		return errors.New("nothing to change: give --scope, --role, --attr, --name or --email")
	}
	scope := ""
	if c.Scope != nil {
		scope = *c.Scope
	}
	return errors.Join(checkScopeText(scope), checkAttributes(c.Attr))
}

func (c *usersUpdateCmd) Run(ctx context.Context, p *process) error {
	described := describedFlags{Role: c.Role, Attr: c.Attr}
	return withUsers(ctx, c.trailFlags, p, func(s *auth.Service) error {
		u, err := s.UpdateUser(ctx, c.User, func(u *storage.User) {
			for _, change := range []struct {
				to   *string
				from *string
			}{{&u.Scope, c.Scope}, {&u.Name, c.Name}, {&u.Email, c.Email}} {
				if change.from != nil {
					*change.to = *change.from
				}
			}
			if c.Role != nil {
				u.Roles = described.roles()
			}
			u.Attributes = described.attributes(u.Attributes)
		})
		if err != nil {
			return err
		}
		p.warnRoles(u)
		return p.showUser(u, c.JSON, "updated; the next access token says so")
	})
}

type usersDisableCmd struct {
	userArg
	Enable bool `help:"Let the user log in again, as users enable does." hidden:""`
	JSON   bool `help:"Print JSON."`
	trailFlags
}

func (c *usersDisableCmd) Run(ctx context.Context, p *process) error {
	if c.Enable {
		return (&usersEnableCmd{c.userArg, c.JSON, c.trailFlags}).Run(ctx, p)
	}
	return withUsers(ctx, c.trailFlags, p, func(s *auth.Service) error {
		u, err := s.Disable(ctx, c.User, true)
		if err != nil {
			return err
		}
		return p.showUser(u, c.JSON, "disabled; access tokens issued before are good at authorizers that read no revocations until they expire")
	})
}

type usersEnableCmd struct {
	userArg
	JSON bool `help:"Print JSON."`
	trailFlags
}

func (c *usersEnableCmd) Run(ctx context.Context, p *process) error {
	return withUsers(ctx, c.trailFlags, p, func(s *auth.Service) error {
		u, err := s.Disable(ctx, c.User, false)
		if err != nil {
			return err
		}
		return p.showUser(u, c.JSON, "enabled; the user has to log in again")
	})
}

type usersSetPasswordCmd struct {
	userArg
	PasswordStdin bool `help:"Read the password from standard input instead of asking for it."`
	JSON          bool `help:"Print JSON."`
	trailFlags
	newPasswordFlags
}

func (c *usersSetPasswordCmd) Run(ctx context.Context, p *process) error {
	return withUsers(ctx, c.trailFlags, p, func(s *auth.Service) error {
		password, err := p.readPassword(c.PasswordStdin)
		if err != nil {
			return err
		}
		u, err := s.SetPassword(ctx, c.User, password)
		if err != nil {
			return err
		}
		return p.showUser(u, c.JSON, "has a new password; all sessions have ended")
	}, c.newPasswordFlags.apply)
}
