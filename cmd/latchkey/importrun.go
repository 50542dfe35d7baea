package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/latchkey-auth/latchkey/internal/userimport"
)

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

// finish sums up, after success and after an error.
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
