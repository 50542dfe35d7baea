package main

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/latchkey-auth/latchkey/internal/auth"
	"github.com/latchkey-auth/latchkey/internal/storage"
)

type usersListCmd struct {
	Match string `help:"Only users whose id, username, e-mail address or name has this text in it." placeholder:"TEXT"`
	JSON  bool   `help:"Print one JSON object per line."`
	dataFlags
}

func (c *usersListCmd) Run(ctx context.Context, p *process) error {
	return withUsers(ctx, c.dataFlags, p, func(s *auth.Service) error {
		t := p.newTable(usersColumns)
		for u, err := range s.Users(ctx) {
			switch {
			case err != nil:
				return err
			case !matchesUser(u, c.Match):
				continue
			case !c.JSON:
				t.add(string(u.ID), ownUsername(u), u.Email, printable(u.Name), strings.Join(u.Roles, ","), u.Scope, userState(u))
				continue
			}
			if err := printLine(p.stdout, u); err != nil {
				return err
			}
		}
		if c.JSON {
			return nil
		}
		return t.flush()
	})
}

// usersColumns: on a narrow terminal scope, roles and name give way first. The id is never
// shortened: people copy it.
var usersColumns = []column{{title: "ID"}, {title: "USERNAME", min: 12}, {title: "EMAIL", min: 16}, {title: "NAME", min: 8, yields: 1}, {title: "ROLES", min: 8, yields: 2}, {title: "SCOPE", min: 8, yields: 3}, {title: "STATE"}}

// matchesUser searches without regard to case.
func matchesUser(u storage.User, text string) bool {
	text = strings.ToLower(text)
	return slices.ContainsFunc([]string{string(u.ID), u.Username, u.Email, u.Name}, func(s string) bool {
		return strings.Contains(strings.ToLower(s), text)
	})
}

type usersShowCmd struct {
	userArg
	JSON bool `help:"Print JSON."`
	dataFlags
}

func (c *usersShowCmd) Run(ctx context.Context, p *process) error {
	return withUsers(ctx, c.dataFlags, p, func(s *auth.Service) error {
		u, err := s.NamedUser(ctx, c.User)
		if err != nil {
			return err
		}
		if c.JSON {
			return printLine(p.stdout, u)
		}
		t := tabwriter.NewWriter(p.stdout, 0, 0, 2, ' ', 0)
		for _, line := range [][2]string{
			{"id", string(u.ID)}, {"username", ownUsername(u)}, {"email", u.Email}, {"name", printable(u.Name)}, {"scope", u.Scope},
			{"roles", strings.Join(u.Roles, ", ")}, {"attributes", attributeList(u.Attributes)}, {"state", userState(u)},
			{"created", u.CreatedAt.UTC().Format(time.RFC3339)}, {"changed", u.UpdatedAt.UTC().Format(time.RFC3339)},
		} {
			fmt.Fprintf(t, "%s\t%s\n", line[0], cmp.Or(line[1], "-"))
		}
		if err := t.Flush(); err != nil {
			return err
		}
		_, err = fmt.Fprintf(p.stderr, "see also: latchkey events --user %s%s\n", u.ID, c.again())
		return err
	})
}

// printable keeps control characters of free text off the terminal.
func printable(text string) string {
	return strings.Trim(strconv.Quote(text), `"`)
}

func userState(u storage.User) string {
	switch {
	case u.Disabled:
		return "disabled"
	case u.PasswordHash == "" && !u.EmailVerified && u.Email != "":
		return "invited"
	case u.PasswordHash == "":
		return "no password"
	case u.Email != "" && !u.EmailVerified:
		return "unverified"
	}
	return "active"
}
