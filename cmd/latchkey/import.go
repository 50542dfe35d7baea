package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"

	"github.com/latchkey-auth/latchkey/internal/userimport"
)

type usersImportCmd struct {
	File   string `arg:"" help:"File to read; - is standard input."`
	Format string `help:"jsonl or csv. Default: as the name ends or the content begins." enum:"jsonl,csv," default:"" placeholder:"jsonl|csv"`
	DryRun bool   `help:"Check every row, against the users who are there too, and change nothing."`
	Report string `help:"Write the refused rows to this file as JSON lines, {\"line\":N,\"reason\":\"…\"}, in place of standard error." type:"path" placeholder:"FILE"`
	trailFlags
}

// Help stands behind the one line of help.
func (usersImportCmd) Help() string {
	return `JSON lines: one object per line. CSV (RFC 4180), also with semicolons or tabs: a first line that names
the columns, in any order. Whole exports of Firebase and Auth0 are refused with the jq command to run.
Members, or columns; empty ones are absent:

  id                 Stays for ever, the "sub" of tokens. Default: a random one.
  username, email    To log in with: one of them at least.
  email_verified     true, also when absent: you vouch for the address; or false. In CSV also TRUE, 1, yes, ….
  name, scope        Text for people to read; words separated by spaces.
  roles              Words separated by spaces; in JSON also a list.
  attributes         A JSON object of texts, numbers, true and false.
  disabled           true or false.
  created_at         2006-01-02T15:04:05Z. Default: now.
  password_hash      argon2, bcrypt, scrypt, PBKDF2, Firebase scrypt, SHA-crypt, SSHA, phpass or that of ASP.NET
                     Identity, in its usual spelling. Without one, and with a mark like ! or *, the user
                     sets a password by recovery.
  secretData, credentialData   In place of it, as in an export of Keycloak.
  password, salt               In place of it, in records of the old system.

Rows are taken 500 at a time. Rows that cannot be are refused, each with its line and reason; the others
are taken, and the exit status is 1. Rows whose users are there already are skipped: after an interruption
or a correction, run the same command again.`
}

// importBatch is how many users are created in one commit: enough that syncing to
// disk does not matter, few enough that others wait a moment only.
const importBatch = 1000

func (c *usersImportCmd) Run(ctx context.Context, p *process) error {
	keyBytes, err := oldKeyBytes()
	if err != nil {
		return err
	}
	in, size, err := p.openInput(c.File)
	if err != nil {
		return fmt.Errorf("reading the import file: %w", err)
	}
	defer in.Close()
	file, err := openImport(in, c.File, c.Format, keyBytes)
	if err != nil {
		return fmt.Errorf("nothing was imported: %w", err)
	}
	s, err := c.open(ctx, p.logger())
	if err != nil {
		return err
	}
	defer s.Close()
	rules, err := s.Accounts()
	if err != nil {
		return err
	}
	report, err := c.openReport(p)
	if err != nil {
		return err
	}
	doing := "importing"
	if c.DryRun {
		doing = "checking"
	}
	r := &importRun{command: c, p: p, importer: userimport.New(rules, s.Store, c.DryRun), report: report, progress: p.newProgress(doing, "row", size)}
	return r.finish(r.run(ctx, file))
}

// oldKeyBytes is the old system's digest length; 0: not configured.
func oldKeyBytes() (int, error) {
	text := os.Getenv("CRYPTO_BYTE_SIZE")
	if text == "" {
		return 0, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		return 0, usagef("CRYPTO_BYTE_SIZE %q must be a number of bytes", text)
	}
	return n, nil
}

// openInput opens a file or, for "-", standard input. The size is 0 where it is
// unknown.
func (p *process) openInput(path string) (io.ReadCloser, int64, error) {
	var f *os.File
	if path == "-" {
		var ok bool
		if f, ok = p.stdin.(*os.File); !ok {
			return io.NopCloser(p.stdin), 0, nil
		}
	} else {
		var err error
		if f, err = os.Open(path); err != nil {
			return nil, 0, err
		}
	}
	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() {
		return f, 0, nil
	}
	return f, info.Size(), nil
}

// openReport returns nil without --report.
func (c *usersImportCmd) openReport(p *process) (*os.File, error) {
	if c.Report == "" {
		return nil, nil
	}
	if err := checkReport(c.Report); err != nil {
		return nil, err
	}
	// A new file: an earlier one's mode would decide who may read the names in it.
	if err := os.Remove(c.Report); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("replacing the earlier report: %w", err)
	}
	f, err := os.OpenFile(c.Report, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, fmt.Errorf("opening the report: %w", err)
	}
	return f, nil
}

// checkReport refuses to write over what is not an earlier report.
func checkReport(path string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("opening the report: %w", err)
	}
	if info.Mode().IsRegular() {
		f, err := os.Open(path)
		if err != nil {
			return fmt.Errorf("reading the earlier report: %w", err)
		}
		defer f.Close()
		const begins = `{"line":`
		first := make([]byte, len(begins))
		if n, err := io.ReadFull(f, first); string(first) == begins || n == 0 && errors.Is(err, io.EOF) {
			return nil
		}
	}
	return usagef("--report %s is there, and no report of an import; name another", path)
}
