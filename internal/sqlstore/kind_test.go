package sqlstore_test

import (
	"bytes"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/latchkey-auth/latchkey/internal/sqlstore"
	"github.com/latchkey-auth/latchkey/internal/storage"
)

// execute runs statements on a database as another program would.
func execute(t *testing.T, path string, texts ...string) {
	t.Helper()
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for _, text := range texts {
		if _, err := db.Exec(text); err != nil {
			t.Fatalf("%.60s: %v", text, err)
		}
	}
}

// snapshot is every file of a directory with its content.
func snapshot(t *testing.T, dir string) string {
	t.Helper()
	var all bytes.Buffer
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		content, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&all, "%s %x\n", e.Name(), content)
	}
	return all.String()
}

// TestOtherKindIsRefusedUntouched: who wants a database of one kind is refused one
// of the other, and one without a mark is production. The refusal changes no byte,
// also where the schema is an older one.
func TestOtherKindIsRefusedUntouched(t *testing.T) {
	for _, c := range []struct {
		found, want storage.StoreKind
		refused     bool
	}{
		{storage.ProductionStore, storage.ProductionStore, false},
		{storage.ProductionStore, "", false},
		{storage.ProductionStore, storage.LocalStore, true},
		{storage.LocalStore, storage.LocalStore, false},
		{storage.LocalStore, "", false},
		{storage.LocalStore, storage.ProductionStore, true},
		{storage.UnmarkedStore, storage.ProductionStore, false},
		{storage.UnmarkedStore, "", false},
		{storage.UnmarkedStore, storage.LocalStore, true},
	} {
		t.Run(fmt.Sprintf("%s for %q", c.found, c.want), func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, "latchkey.db")
			if c.found == storage.UnmarkedStore {
				schema, err := os.ReadFile("migrations/0001_accounts.sql")
				if err != nil {
					t.Fatal(err)
				}
				execute(t, path, string(schema), `CREATE TABLE migrations (version BIGINT NOT NULL PRIMARY KEY, applied_at BIGINT NOT NULL)`,
					`INSERT INTO migrations VALUES (1, 0)`)
			} else {
				s, err := sqlstore.OpenKind(t.Context(), path, true, c.found)
				if err != nil {
					t.Fatal(err)
				}
				s.Close()
			}
			before := snapshot(t, dir)
			s, err := sqlstore.OpenKind(t.Context(), path, true, c.want)
			if !c.refused {
				if err != nil {
					t.Fatal(err)
				}
				s.Close()
				if info, err := sqlstore.Inspect(t.Context(), path); err != nil || info.Kind != c.found {
					t.Errorf("it is %q afterwards, %v; want %q", info.Kind, err, c.found)
				}
				return
			}
			var other *storage.KindError
			if !errors.As(err, &other) || other.Found != c.found || other.Want != c.want {
				t.Fatalf("got %v, want a KindError", err)
			}
			if snapshot(t, dir) != before {
				t.Error("the refusal has changed something")
			}
		})
	}
}

// TestNewDatabaseIsMarkedOnce: of processes that begin a database at the same
// moment for different uses, those of one use get it.
func TestNewDatabaseIsMarkedOnce(t *testing.T) {
	for range 5 {
		path := filepath.Join(t.TempDir(), "latchkey.db")
		var all sync.WaitGroup
		var mu sync.Mutex
		got := make(map[storage.StoreKind]int)
		for i := range 8 {
			kind := []storage.StoreKind{storage.ProductionStore, storage.LocalStore}[i%2]
			all.Go(func() {
				s, err := sqlstore.OpenKind(t.Context(), path, true, kind)
				var other *storage.KindError
				if errors.As(err, &other) {
					return
				}
				if err != nil {
					t.Error(err)
					return
				}
				s.Close()
				mu.Lock()
				defer mu.Unlock()
				got[kind]++
			})
		}
		all.Wait()
		if len(got) != 1 || got[storage.ProductionStore]+got[storage.LocalStore] != 4 {
			t.Errorf("it was opened as %v, want four times as one kind", got)
		}
	}
}

func TestMark(t *testing.T) {
	path := filepath.Join(t.TempDir(), "latchkey.db")
	if err := sqlstore.Mark(t.Context(), path, storage.LocalStore); !errors.Is(err, sqlstore.ErrNoDatabase) {
		t.Errorf("no database: got %v", err)
	}
	s := open(t, path, true)
	if err := s.Commit(t.Context(), create("u")); err != nil {
		t.Fatal(err)
	}
	if info, err := sqlstore.Inspect(t.Context(), path); err != nil || info.Kind != storage.ProductionStore || info.Users != 1 || info.Schema < 1 {
		t.Errorf("got %+v, %v; want production, one user", info, err)
	}
	for id, want := range map[storage.UserID]bool{"u": true, "v": false} {
		if there, err := sqlstore.HasUser(t.Context(), path, id); err != nil || there != want {
			t.Errorf("HasUser(%s) = %v, %v; want %v", id, there, err, want)
		}
	}
	execute(t, path, `DROP TABLE store_kind`)
	for _, kind := range []storage.StoreKind{storage.UnmarkedStore, storage.LocalStore, storage.ProductionStore} {
		if kind != storage.UnmarkedStore {
			if err := sqlstore.Mark(t.Context(), path, kind); err != nil {
				t.Fatal(err)
			}
		}
		if info, err := sqlstore.Inspect(t.Context(), path); err != nil || info.Kind != kind {
			t.Errorf("got %q, %v; want %q", info.Kind, err, kind)
		}
	}
}

// TestALookLeavesTheLog of a process that was killed: to move it into the database
// is a change.
func TestALookLeavesTheLog(t *testing.T) {
	dir := t.TempDir()
	s, err := sqlstore.OpenKind(t.Context(), filepath.Join(dir, "latchkey.db"), true, storage.ProductionStore)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	killed := t.TempDir()
	for _, name := range []string{"latchkey.db", "latchkey.db-wal"} { // as they are while it runs
		doc, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil || len(doc) == 0 {
			t.Fatalf("%s: %d bytes, %v", name, len(doc), err)
		}
		if err := os.WriteFile(filepath.Join(killed, name), doc, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	read := func() string {
		var all strings.Builder
		for _, name := range []string{"latchkey.db", "latchkey.db-wal"} {
			doc, err := os.ReadFile(filepath.Join(killed, name))
			if err != nil {
				t.Fatal(err)
			}
			all.Write(doc)
		}
		return all.String()
	}
	before, path := read(), filepath.Join(killed, "latchkey.db")
	if info, err := sqlstore.Inspect(t.Context(), path); err != nil || info.Kind != storage.ProductionStore {
		t.Errorf("got %+v, %v", info, err)
	}
	var other *storage.KindError
	if _, err := sqlstore.OpenKind(t.Context(), path, true, storage.LocalStore); !errors.As(err, &other) {
		t.Errorf("got %v, want a KindError", err)
	}
	if read() != before {
		t.Error("a look has changed the database")
	}
}
