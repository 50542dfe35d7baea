package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/latchkey-auth/latchkey/internal/storage"
	"github.com/latchkey-auth/latchkey/internal/transfer"
)

// A Restored says what a restore has done.
type Restored struct {
	Info
	Tickets, Mails int64  // that were voided
	Aside          string // where what was there before is now; empty: nothing was
}

// ErrInUse: a process works on the database.
var ErrInUse = errors.New("a process works on the database")

// epochJump is further than any epoch moves between a backup and its restore: tokens of
// sessions that began since end too.
const epochJump = 1 << 20

// Restore puts a copy of the backup in the place of the database at path, which nobody may
// work on, and keeps that under another name. Nothing that had ended comes back to life: in
// the copy the epoch of every user has moved, with a revocation of all tokens that expire
// within tokens, and there are no tickets and no queued mails. The backup stays as it is.
func Restore(ctx context.Context, backup, path string, tokens time.Duration) (Restored, error) {
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return Restored{}, fmt.Errorf("creating data folder: %w", err)
	}
	temp, err := duplicate(backup, dir)
	if err != nil {
		return Restored{}, err
	}
	defer removeDatabase(temp)
	var r Restored
	if r.Info, err = checkCopy(ctx, temp); err != nil {
		return r, fmt.Errorf("checking the backup: %w", err)
	}
	if err := sameKind(ctx, path, r.Kind); err != nil {
		return r, err
	}
	if err := r.endAll(ctx, temp, tokens); err != nil {
		return r, err
	}
	r.Aside, err = replace(ctx, path, temp)
	return r, err
}

// duplicate copies a file into the directory, for its owner alone.
func duplicate(file, dir string) (string, error) {
	if _, err := os.Stat(file + "-wal"); err == nil {
		return "", fmt.Errorf("%s has a log beside it, %[1]s-wal, so it is no backup but a database that is worked on: make one with latchkey store backup", file)
	}
	from, err := os.Open(file)
	if err != nil {
		return "", err
	}
	defer from.Close()
	to, err := os.CreateTemp(dir, ".restore-*.db") // 0600
	if err != nil {
		return "", err
	}
	_, err = io.Copy(to, from)
	if err = errors.Join(err, to.Sync(), to.Close()); err != nil {
		os.Remove(to.Name())
		return "", fmt.Errorf("copying the backup: %w", err)
	}
	return to.Name(), nil
}

// removeDatabase removes what is left of a database that has not found its place.
func removeDatabase(path string) {
	for _, suffix := range []string{"", "-wal", "-shm", "-journal"} {
		os.Remove(path + suffix)
	}
}

// sameKind refuses to put a database in the place of one of another kind.
func sameKind(ctx context.Context, path string, kind storage.StoreKind) error {
	there, err := Inspect(ctx, path)
	if errors.Is(err, ErrNoDatabase) {
		if _, err := os.Stat(path + "-wal"); err == nil {
			return fmt.Errorf("%s-wal is there without its database: move it away", path)
		}
		return nil
	}
	if err != nil {
		return fmt.Errorf("%w; if it is damaged, move it away and run this again", err)
	}
	if there.Kind != "" && !kind.Serves(there.Kind) && !there.Kind.Serves(kind) {
		return &storage.KindError{Found: kind, Want: there.Kind}
	}
	return nil
}

// endAll ends what was alive when the backup was made. It runs in SQL, in one transaction:
// by commits for each user it would take minutes for a million of them, and half of it
// could be served.
func (r *Restored) endAll(ctx context.Context, path string, tokens time.Duration) (err error) {
	s, err := Open(ctx, path, false) // which brings the schema up to date
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	h, err := s.Hold(ctx)
	switch {
	case err != nil:
		return err
	case h.Role == transfer.Target:
		return fmt.Errorf("the backup is of a store that was not whole: %s", h)
	}
	now := time.Now()
	return s.transact(ctx, func(ctx context.Context, tx *sql.Tx) error {
		for _, step := range []struct {
			text string
			args []any
			n    *int64
		}{
			{`UPDATE sign_ins SET epoch = epoch + $1, epoch_at = MAX(epoch_at + 1, $2), updated_at = $2, version = version + 1`, []any{epochJump, micros(now)}, nil},
			{`INSERT INTO revocations (time, id, user_id, session_id, epoch, rights, survivor, expires_at)
				SELECT $1, 'restored ' || user_id, user_id, '', epoch, rights, '', $2 FROM sign_ins`, []any{micros(now), micros(now.Add(tokens))}, nil},
			{`INSERT INTO events (time, id, kind, outcome, user_id, session_id, request_id, address, device, count)
				SELECT $1, 'restored ' || user_id, $2, $3, user_id, '', '', '', '', 1 FROM sign_ins`, []any{micros(now), string(storage.EventLogout), string(storage.OutcomeAll)}, nil},
			{`DELETE FROM tickets`, nil, &r.Tickets},
			{`DELETE FROM mails`, nil, &r.Mails},
			{`DELETE FROM store_hold`, nil, nil},
		} {
			n, err := affected(tx.ExecContext(ctx, step.text, step.args...))
			if err != nil {
				return unavailable(err)
			}
			if step.n != nil {
				*step.n = n
			}
		}
		return nil
	})
}

// replace gives the file its name, while nobody can work on what has it now. That is kept
// under the name that it returns.
func replace(ctx context.Context, path, file string) (aside string, err error) {
	if err := syncPath(file); err != nil {
		return "", err
	}
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		if err := os.Link(file, path); err != nil { // never over another file
			return "", err
		}
		return "", syncPath(filepath.Dir(path))
	}
	err = alone(ctx, path, func() error {
		aside = path + ".replaced-" + time.Now().UTC().Format("20060102T150405.000Z")
		if err := os.Link(path, aside); err != nil {
			return err
		}
		return os.Rename(file, path)
	})
	if err != nil {
		return "", err
	}
	return aside, syncPath(filepath.Dir(path))
}

// alone runs f while no other process has the database open, and none can work on it. It
// leaves no log behind.
func alone(ctx context.Context, path string, f func() error) error {
	db := open(plainDSN(path, "rw"))
	defer db.Close()
	db.SetMaxOpenConns(1)
	var mode string
	// A connection in WAL mode holds a lock on the database, and only the last one can
	// leave that mode. So this fails while another process has it open.
	err := db.QueryRowContext(ctx, `PRAGMA journal_mode = DELETE`).Scan(&mode)
	if err == nil && mode != "delete" || locked(err) {
		return ErrInUse
	}
	if err != nil {
		return opening(path, err)
	}
	conn, err := db.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	if _, err := conn.ExecContext(ctx, `BEGIN EXCLUSIVE`); err != nil {
		if locked(err) {
			return ErrInUse
		}
		return opening(path, err)
	}
	err = f()
	_, rollback := conn.ExecContext(context.WithoutCancel(ctx), `ROLLBACK`)
	return errors.Join(err, rollback)
}
