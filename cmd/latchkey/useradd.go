package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/latchkey-auth/latchkey/internal/auth"
)

type usersAddCmd struct {
	User     string `arg:"" optional:"" help:"Username, or e-mail address: in place of --username or --email."`
	Username string `help:"Name to log in with. Default, with --email: the new user's id." placeholder:"NAME"`
	Email    string `help:"E-mail address, to log in with too." placeholder:"ADDR"`
	Name     string `help:"Name for people to read." placeholder:"TEXT"`
	Scope    string `help:"What the user may do: words separated by spaces." placeholder:"\"A B\""`
	describedFlags
	PasswordStdin bool `help:"Read the password from standard input instead of asking for it."`
	JSON          bool `help:"Print JSON."`
	trailFlags
	newPasswordFlags
}

// Validate sorts the argument and refuses what cannot be meant.
func (c *usersAddCmd) Validate() error {
	if err := errors.Join(takeArgument(c.User, &c.Username, &c.Email), checkScopeText(c.Scope), c.describedFlags.Validate()); err != nil {
		return err
	}
	if c.Username == "" && c.Email == "" {
		return errors.New("give a username or an e-mail address: what the user logs in with")
	}
	return c.newPasswordFlags.Validate()
}

// takeArgument puts the argument of add in the place of the flag that it
// stands for.
func takeArgument(arg string, username, email *string) error {
	flag, value := "--username", username
	if strings.Contains(arg, "@") {
		flag, value = "--email", email
	}
	if arg == "" {
		return nil
	}
	if *value != "" && *value != arg {
		return fmt.Errorf("%q and %s %q are both given; keep one", arg, flag, *value)
	}
	*value = arg
	return nil
}

// checkScopeText refuses commas. RFC 6749 allows them inside a scope, but "a,b" is
// nearly always meant as two.
func checkScopeText(scope string) error {
	if !strings.Contains(scope, ",") {
		return nil
	}
	words := strings.FieldsFunc(scope, func(r rune) bool { return r == ',' || r == ' ' })
	return fmt.Errorf("--scope %q: scopes are separated by spaces: did you mean %q?", scope, strings.Join(words, " "))
}

func (c *usersAddCmd) Run(ctx context.Context, p *process) error {
	return withUsers(ctx, c.trailFlags, p, func(s *auth.Service) error {
		password, err := p.readPassword(c.PasswordStdin)
		if err != nil {
			return err
		}
		u, err := s.AddUser(ctx, auth.NewUser{
			Username: c.Username, Email: c.Email, Name: c.Name, Scope: c.Scope, Roles: c.roles(), Attributes: c.attributes(nil), Password: password,
		})
		if err != nil {
			return err
		}
		p.warnRoles(u)
		return p.showUser(u, c.JSON, "added")
	}, c.newPasswordFlags.apply)
}
