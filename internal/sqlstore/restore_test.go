package sqlstore_test

import (
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/latchkey-auth/latchkey/internal/outbox"
	"github.com/latchkey-auth/latchkey/internal/sqlstore"
	"github.com/latchkey-auth/latchkey/internal/storage"
	"github.com/latchkey-auth/latchkey/internal/transfer"
)

// backedUp makes a database with a signed-in user, a ticket and a mail, and a backup.
func backedUp(t *testing.T) (path, backup string) {
	t.Helper()
	dir := t.TempDir()
	path, backup = filepath.Join(dir, "latchkey.db"), filepath.Join(dir, "backup.db")
	s := open(t, path, true)
	signedIn(t, s)
	if err := s.Commit(t.Context(), storage.PutTicket{Ticket: storage.Ticket{ID: "reset"}}, storage.QueueMail{Mail: outbox.Mail{ID: "mail"}}); err != nil {
		t.Fatal(err)
	}
	if _, err := sqlstore.Backup(t.Context(), path, backup); err != nil {
		t.Fatal(err)
	}
	s.Close()
	return path, backup
}

// TestRestoreRevivesNothing: what had ended since the backup stays ended, also the tokens
// of an epoch that the backup does not know.
func TestRestoreRevivesNothing(t *testing.T) {
	path, backup := backedUp(t)
	s := open(t, path, false)
	user, err := s.User(t.Context(), "u")
	if err != nil {
		t.Fatal(err)
	}
	moved := user
	moved.Epoch, moved.PasswordHash = user.Epoch+3, "new"
	if err := s.Commit(t.Context(), storage.UpdateUser{Old: user, New: moved}, create("late")); err != nil {
		t.Fatal(err)
	}
	s.Close()

	r, err := sqlstore.Restore(t.Context(), backup, path, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	if r.Users != 1 || r.Tickets != 1 || r.Mails != 1 {
		t.Errorf("Restore says %+v; want 1 user, 1 ticket and 1 mail", r)
	}
	s = open(t, path, false)
	session, restored, err := s.SessionUser(t.Context(), "s")
	if err != nil || restored.PasswordHash != user.PasswordHash {
		t.Fatalf("the session's user is %+v, %v", restored, err)
	}
	if session.Epoch >= restored.Epoch || restored.Epoch <= moved.Epoch || restored.SignInVersion != user.SignInVersion+1 {
		t.Errorf("the session is of epoch %d and tokens since of %d, the user's is %d", session.Epoch, moved.Epoch, restored.Epoch)
	}
	if _, err := s.Ticket(t.Context(), "reset"); !errors.Is(err, storage.ErrNotFound) {
		t.Errorf("the ticket: got %v, want ErrNotFound", err)
	}
	if due, err := s.DueMails(t.Context(), time.Now(), 10); err != nil || len(due) != 0 {
		t.Errorf("mails are queued: %v, %v", due, err)
	}
	revoked, _, err := s.Revocations(t.Context(), time.Time{}, "", 10)
	if err != nil || len(revoked) != 1 || revoked[0].UserID != "u" || revoked[0].Epoch != restored.Epoch || time.Until(revoked[0].ExpiresAt) < 59*time.Minute {
		t.Errorf("revocations are %+v, %v", revoked, err)
	}
	if all := events(t, s); len(all) != 1 || all[0].Kind != storage.EventLogout || all[0].UserID != "u" {
		t.Errorf("events are %+v", all)
	}
	before := open(t, r.Aside, false)
	if _, err := before.User(t.Context(), "late"); err != nil {
		t.Errorf("what was there before is not in %s: %v", r.Aside, err)
	}
	left, err := filepath.Glob(filepath.Join(filepath.Dir(path), ".restore-*"))
	if err != nil || len(left) > 0 {
		t.Errorf("%v was left behind, %v", left, err)
	}
	if mode, err := os.Stat(path); err != nil || mode.Mode().Perm() != 0o600 {
		t.Errorf("the database has mode %v, %v", mode.Mode(), err)
	}
}

// TestRestoreIsRefused: nothing has changed after a refusal.
func TestRestoreIsRefused(t *testing.T) {
	for _, c := range []struct {
		name, want string
		prepare    func(t *testing.T, path, backup string)
	}{
		{"while a process works on it", "a process works on the database", func(t *testing.T, path, _ string) { open(t, path, false) }},
		{"no file", "no such file", func(t *testing.T, _, backup string) { os.Remove(backup) }},
		{"no database", "file is not a database", func(t *testing.T, _, backup string) { overwrite(t, backup, 0, "no database, but text") }},
		{"a damaged one", "checking the backup", func(t *testing.T, _, backup string) { overwrite(t, backup, 3*4096, strings.Repeat("\xff", 8192)) }},
		{"a database with its log", "has a log beside it", func(t *testing.T, _, backup string) { open(t, backup, false) }},
		{"half a copy", "not whole", func(t *testing.T, _, backup string) {
			s := open(t, backup, false)
			if err := s.PutHold(t.Context(), "", transfer.Hold{ID: "copy", Role: transfer.Target}); err != nil {
				t.Fatal(err)
			}
			s.Close()
		}},
		{"a newer schema", "use the newer latchkey", func(t *testing.T, _, backup string) {
			runSQL(t, backup, `INSERT INTO migrations (version, applied_at) VALUES (999, 0)`)
		}},
		{"another kind", "store is local, not production", func(t *testing.T, _, backup string) {
			runSQL(t, backup, `UPDATE store_kind SET kind = 'local'`)
		}},
		{"over a damaged one", "move it away", func(t *testing.T, path, _ string) { overwrite(t, path, 0, "no database, but text") }},
		{"beside a log", "without its database", func(t *testing.T, path, _ string) {
			if err := os.Rename(path, path+"-wal"); err != nil {
				t.Fatal(err)
			}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			path, backup := backedUp(t)
			c.prepare(t, path, backup)
			before := entries(t, filepath.Dir(path))
			_, err := sqlstore.Restore(t.Context(), backup, path, time.Hour)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
			if after := entries(t, filepath.Dir(path)); after != before {
				t.Errorf("there is %s, before it was %s", after, before)
			}
		})
	}
}

// TestRestoreIntoNothing: a new machine has no database yet.
func TestRestoreIntoNothing(t *testing.T) {
	_, backup := backedUp(t)
	path := filepath.Join(t.TempDir(), "new", "latchkey.db")
	r, err := sqlstore.Restore(t.Context(), backup, path, time.Hour)
	if err != nil || r.Aside != "" {
		t.Fatalf("%+v, %v", r, err)
	}
	if _, err := open(t, path, false).User(t.Context(), "u"); err != nil {
		t.Error(err)
	}
}

// entries are the names and sizes of what is in a directory, but for the memory of the
// log, which comes and goes.
func entries(t *testing.T, dir string) string {
	t.Helper()
	all, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	for _, e := range all {
		if info, err := e.Info(); err == nil && !strings.HasSuffix(e.Name(), "-shm") {
			fmt.Fprintln(&text, e.Name(), info.Size())
		}
	}
	return text.String()
}

func overwrite(t *testing.T, path string, at int64, text string) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err == nil {
		_, err = f.WriteAt([]byte(text), at)
		err = errors.Join(err, f.Close())
	}
	if err != nil {
		t.Fatal(err)
	}
}

func runSQL(t *testing.T, path, text string) {
	t.Helper()
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Exec(text); err != nil {
		t.Fatal(err)
	}
}
