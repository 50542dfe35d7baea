package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

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

// importRun is one run of the command.
type importRun struct {
	command  *usersImportCmd
	p        *process
	importer *userimport.Importer
	report   *os.File // nil: standard error
	progress *progress

	created, there, refused int
	last                    int // line of the last row that was dealt with
}

// A portion is what is read of the file at a time.
type portion struct {
	rows []userimport.Row
	read int64 // bytes, up to here
	err  error // io.EOF: the end
}

// run takes the rows of the file until it ends, or ctx does.
func (r *importRun) run(ctx context.Context, file *importFile) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	// Reading and storing share the time. Nobody waits for the reader: standard
	// input may never end, and the process does after this.
	portions := make(chan portion)
	go readPortions(ctx, file, portions)
	for {
		var next portion
		select {
		case <-ctx.Done():
			return ctx.Err()
		case next = <-portions:
		}
		if err := r.take(ctx, next); err != nil {
			return err
		}
		if errors.Is(next.err, io.EOF) {
			return nil
		}
		if next.err != nil {
			return next.err
		}
	}
}

func readPortions(ctx context.Context, file *importFile, to chan<- portion) {
	for {
		rows := make([]userimport.Row, 0, importBatch)
		var err error
		for len(rows) < importBatch && err == nil {
			var row userimport.Row
			if row, err = file.next(); err == nil {
				rows = append(rows, row)
			}
		}
		select {
		case to <- portion{rows, file.lines.read, err}:
		case <-ctx.Done():
			return
		}
		if err != nil {
			return
		}
	}
}

func (r *importRun) take(ctx context.Context, next portion) error {
	if len(next.rows) == 0 {
		return nil
	}
	if err := r.importer.Take(ctx, next.rows); err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return err
	}
	for i := range next.rows {
		row := &next.rows[i]
		r.last = row.Line
		switch {
		case row.Refused != nil:
			r.refused++
			if err := r.refuse(row.Line, row.Refused); err != nil {
				return err
			}
		case row.There:
			r.there++
		default:
			r.created++
		}
	}
	r.progress.show(r.created+r.there+r.refused, next.read)
	return nil
}

// refuse reports a row.
func (r *importRun) refuse(line int, reason error) error {
	if r.report == nil {
		r.progress.clear()
		_, err := fmt.Fprintf(r.p.stderr, "line %d: %v\n", line, reason)
		return err
	}
	err := json.NewEncoder(r.report).Encode(struct {
		Line   int    `json:"line"`
		Reason string `json:"reason"`
	}{line, reason.Error()})
	if err != nil {
		return fmt.Errorf("writing the report: %w", err)
	}
	return nil
}

// finish sums up, whatever has ended the run.
func (r *importRun) finish(err error) error {
	r.progress.clear()
	if r.report != nil {
		if closed := r.report.Close(); closed != nil && err == nil {
			err = fmt.Errorf("writing the report: %w", closed)
		}
	}
	if err == nil && r.created+r.there+r.refused == 0 {
		return usagef("nothing was imported: there are no users in the file")
	}
	if _, printed := fmt.Fprintln(r.p.stdout, r.summary()); printed != nil && err == nil {
		err = printed
	}
	again := "run the same command again: who is there is skipped"
	if r.command.File == "-" {
		again = "run the command again with the same input: who is there is skipped"
	}
	switch {
	case errors.Is(err, context.Canceled) && r.last == 0:
		return errors.New("interrupted before the first row; " + again)
	case errors.Is(err, context.Canceled):
		return fmt.Errorf("interrupted after line %d; to go on, %s", r.last, again)
	case err != nil && r.last == 0:
		return fmt.Errorf("stopped before the first row: %w; to go on, %s", err, again)
	case err != nil:
		return fmt.Errorf("stopped after line %d: %w; to go on, %s", r.last, err, again)
	case r.refused > 0:
		where := "see above"
		if r.report != nil {
			where = "see " + r.command.Report
		}
		return fmt.Errorf("refused %s, %s; correct the file, and %s", count(r.refused, "row"), where, again)
	}
	return nil
}

func (r *importRun) summary() string {
	imported, were, refused := "imported", "were", "refused"
	if r.command.DryRun {
		imported, were, refused = "would import", "are", "would refuse"
	}
	if r.there == 1 {
		were = strings.NewReplacer("were", "was", "are", "is").Replace(were)
	}
	text := imported + " " + count(r.created, "user")
	if r.there > 0 {
		text += fmt.Sprintf(", %s %s there already", thousands(r.there), were)
	}
	if r.refused > 0 {
		text += fmt.Sprintf(", %s %s", refused, thousands(r.refused))
	}
	if r.command.DryRun {
		text += "; nothing was changed"
	}
	return text
}
