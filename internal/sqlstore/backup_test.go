package sqlstore_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/latchkey-auth/latchkey/internal/sqlstore"
	"github.com/latchkey-auth/latchkey/internal/storage"
)

// TestBackup copies a database while commits go on: the copy is one moment of it.
func TestBackup(t *testing.T) {
	path := filepath.Join(t.TempDir(), "latchkey.db")
	s := open(t, path, true)
	add := func(i int) error {
		return s.Commit(t.Context(), create(fmt.Sprint("user", i)), event(fmt.Sprint(i)))
	}
	if err := add(0); err != nil {
		t.Fatal(err)
	}
	copied, ended := make(chan struct{}), make(chan error, 1)
	go func() {
		for i := 1; ; i++ {
			select {
			case <-copied:
				ended <- nil
				return
			default:
			}
			if err := add(i); err != nil {
				ended <- err
				return
			}
		}
	}()
	dir := t.TempDir()
	for i := range 3 {
		to := filepath.Join(dir, fmt.Sprintf("copy %d's.db", i))
		info, err := sqlstore.Backup(t.Context(), path, to)
		if err != nil {
			t.Fatal(err)
		}
		if mode, err := os.Stat(to); err != nil || mode.Mode().Perm() != 0o600 {
			t.Errorf("the copy has mode %v, %v; want 0600", mode.Mode(), err)
		}
		if i == 2 {
			close(copied)
			if err := <-ended; err != nil {
				t.Fatal(err)
			}
		}
		c := open(t, to, false)
		users, _, err := c.Users(t.Context(), "", 1<<20)
		if err != nil || len(users) != info.Users || info.Kind != storage.ProductionStore {
			t.Fatalf("the copy has %d users, %v; Backup says %+v", len(users), err, info)
		}
		if events, _, err := c.Events(t.Context(), time.Time{}, "", 1<<20); err != nil || len(events) != len(users) {
			t.Errorf("the copy has %d events, %v; want one for each of %d users", len(events), err, len(users))
		}
		c.Close()
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), ".") {
			t.Errorf("%s was left behind", e.Name())
		}
	}
}

// TestBackupLeavesNothingBehindWhenItFails: an earlier file stays what it is, and
// what is no copy has no name.
func TestBackupLeavesNothingBehindWhenItFails(t *testing.T) {
	path := filepath.Join(t.TempDir(), "latchkey.db")
	s := open(t, path, true)
	for i := range 200 {
		e := storage.Event{Kind: storage.EventKind(strings.Repeat("x", 200)), ID: fmt.Sprint(i)}
		if err := s.Commit(t.Context(), storage.AppendEvent{Event: e}); err != nil {
			t.Fatal(err)
		}
	}
	s.Close()
	dir := t.TempDir()
	there := filepath.Join(dir, "there.db")
	if err := os.WriteFile(there, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := sqlstore.Backup(t.Context(), path, there); !errors.Is(err, fs.ErrExist) {
		t.Errorf("over a file: got %v, want ErrExist", err)
	}
	if _, err := sqlstore.Backup(t.Context(), filepath.Join(dir, "none.db"), filepath.Join(dir, "new.db")); !errors.Is(err, sqlstore.ErrNoDatabase) {
		t.Errorf("of no database: got %v, want ErrNoDatabase", err)
	}
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt([]byte(strings.Repeat("\xff", 8192)), 3*4096); err != nil {
		t.Fatal(err)
	}
	f.Close()
	if _, err := sqlstore.Backup(t.Context(), path, filepath.Join(dir, "new.db")); err == nil {
		t.Error("of a damaged database: no error")
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 1 {
		t.Errorf("there are %v, %v; want there.db alone", entries, err)
	}
	if text, err := os.ReadFile(there); err != nil || string(text) != "mine" {
		t.Errorf("there.db holds %q, %v", text, err)
	}
}
