package main

import (
	"bufio"
	"context"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/term"

	"github.com/latchkey-auth/latchkey/internal/auth"
	"github.com/latchkey-auth/latchkey/internal/storage"
)

type usersExportCmd struct {
	Out    string `short:"o" help:"File to write, readable by its owner alone; - is standard output (${default})." default:"-" type:"path" placeholder:"FILE"`
	Format string `help:"jsonl or csv (${default})." enum:"jsonl,csv" default:"jsonl" placeholder:"jsonl|csv"`
	dataFlags
}

// Help stands behind the one line of help.
func (usersExportCmd) Help() string {
	return `Writes every user with the password hash, in the form that users import reads: import it elsewhere, and
everyone logs in with the same password. The master key is not in it, nor are sessions and events.`
}

// exportedUser has the members that import reads, in the order of the columns.
type exportedUser struct {
	ID            storage.UserID    `json:"id"`
	Username      string            `json:"username"`
	Email         string            `json:"email,omitempty"`
	EmailVerified bool              `json:"email_verified"`
	Name          string            `json:"name"`
	Scope         string            `json:"scope"`
	Roles         []string          `json:"roles,omitempty"`
	Attributes    map[string]string `json:"attributes,omitempty"`
	Disabled      bool              `json:"disabled"`
	CreatedAt     time.Time         `json:"created_at"`
	PasswordHash  string            `json:"password_hash,omitempty"`
}

var exportColumns = []string{"id", "username", "email", "email_verified", "name", "scope", "roles", "attributes", "disabled", "created_at", "password_hash"}

func (u exportedUser) record() []string {
	return []string{string(u.ID), u.Username, u.Email, strconv.FormatBool(u.EmailVerified), u.Name, u.Scope, strings.Join(u.Roles, " "), u.attributes(),
		strconv.FormatBool(u.Disabled), u.CreatedAt.Format(time.RFC3339Nano), u.PasswordHash}
}

// attributes are a JSON object in a column.
func (u exportedUser) attributes() string {
	if len(u.Attributes) == 0 {
		return ""
	}
	return jsonText(u.Attributes)
}

func (c *usersExportCmd) Run(ctx context.Context, p *process) error {
	return withUsers(ctx, c.dataFlags, p, func(s *auth.Service) error {
		if c.Out == "-" {
			if f, ok := p.stdout.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
				fmt.Fprintln(p.stderr, "latchkey: what follows holds password hashes; --out FILE keeps them off the screen")
			}
			_, err := c.write(ctx, s, p.stdout)
			return err
		}
		// A new file: another one's mode would decide who may read the hashes.
		f, err := os.OpenFile(c.Out, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
		if err != nil {
			return fmt.Errorf("creating the export: %w; name a file that is not there", err)
		}
		n, err := c.write(ctx, s, f)
		if closed := f.Close(); err == nil {
			err = closed
		}
		if err != nil {
			return fmt.Errorf("%s is not complete: %w", c.Out, err)
		}
		_, err = fmt.Fprintf(p.stdout, "exported %s to %s; it holds password hashes, keep it safe\n", count(n, "user"), c.Out)
		return err
	})
}

// write writes all users and returns how many they are.
func (c *usersExportCmd) write(ctx context.Context, s *auth.Service, w io.Writer) (int, error) {
	out := bufio.NewWriter(w)
	lines, columns := json.NewEncoder(out), csv.NewWriter(out)
	lines.SetEscapeHTML(false)
	if c.Format == formatCSV {
		if err := columns.Write(exportColumns); err != nil {
			return 0, err
		}
	}
	n := 0
	for u, err := range s.Users(ctx) {
		if err != nil {
			return n, err
		}
		e := exportedUser{u.ID, u.Username, u.Email, u.EmailVerified || u.Email == "", u.Name, u.Scope, u.Roles, u.Attributes, u.Disabled, u.CreatedAt.UTC(), u.PasswordHash}
		if c.Format == formatCSV {
			err = columns.Write(e.record())
		} else {
			err = lines.Encode(e)
		}
		if err != nil {
			return n, fmt.Errorf("writing the export: %w", err)
		}
		n++
	}
	columns.Flush()
	if err := columns.Error(); err != nil {
		return n, fmt.Errorf("writing the export: %w", err)
	}
	if err := out.Flush(); err != nil {
		return n, fmt.Errorf("writing the export: %w", err)
	}
	return n, nil
}
