package sqlstore_test

import (
	"context"
	"database/sql"
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/latchkey-auth/latchkey/internal/pgtest"
	"github.com/latchkey-auth/latchkey/internal/sqlstore"
	"github.com/latchkey-auth/latchkey/internal/storage"
	"github.com/latchkey-auth/latchkey/internal/storage/storetest"
)

// openPostgres opens a database, as a process of its own would.
func openPostgres(t testing.TB, url string) *sqlstore.Store {
	t.Helper()
	s, err := sqlstore.OpenPostgres(t.Context(), sqlstore.PostgresConfig{URL: url, Create: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// TestPostgres has one store at the server and another behind pgbouncer, which gives each
// transaction another connection.
func TestPostgres(t *testing.T) {
	storetest.Run(t, func(t *testing.T) (first, second storetest.Store) {
		url := pgtest.Database(t)
		direct, pooled := openPostgres(t, url), openPostgres(t, pgtest.Pooled(t, url))
		if direct.Pooled() || !pooled.Pooled() {
			t.Fatalf("taken for pooled: the direct one %v, the other %v", direct.Pooled(), pooled.Pooled())
		}
		return direct, pooled
	})
}

// TestPostgresManyOpenAtOnce: all who begin a database at the same moment get it.
func TestPostgresManyOpenAtOnce(t *testing.T) {
	url := pgtest.Database(t)
	var all sync.WaitGroup
	for range 10 {
		all.Go(func() {
			s, err := sqlstore.OpenPostgres(t.Context(), sqlstore.PostgresConfig{URL: url, Create: true})
			if err != nil {
				t.Error(err)
				return
			}
			s.Close()
		})
	}
	all.Wait()
}

// query returns the first column of every row.
func query(t *testing.T, url, text string) []string {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	rows, err := conn.Query(t.Context(), text)
	if err != nil {
		t.Fatal(err)
	}
	found, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// TestPostgresHasTheSameSchema: every migration has come to both databases. In PostgreSQL
// texts are in the order of their bytes.
func TestPostgresHasTheSameSchema(t *testing.T) {
	path := filepath.Join(t.TempDir(), "latchkey.db")
	open(t, path, true)
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	rows, err := db.Query(`SELECT m.name || '.' || c.name || ' ' || c.type || CASE WHEN c."notnull" THEN ' NOT NULL' ELSE '' END
			FROM sqlite_master m, pragma_table_info(m.name) c WHERE m.type = 'table'
		UNION ALL SELECT 'index ' || name FROM sqlite_master WHERE type = 'index' AND sql <> '' ORDER BY 1`)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	var want []string
	for rows.Next() {
		var line string
		if err := rows.Scan(&line); err != nil {
			t.Fatal(err)
		}
		want = append(want, line)
	}
	url := pgtest.Database(t)
	openPostgres(t, url)
	got := query(t, url, `SELECT table_name || '.' || column_name || ' ' || upper(data_type) || CASE is_nullable WHEN 'NO' THEN ' NOT NULL' ELSE '' END
			FROM information_schema.columns WHERE table_schema = 'public'
		UNION ALL SELECT 'index ' || indexname FROM pg_indexes WHERE schemaname = 'public' AND indexname NOT LIKE '%\_key' AND indexname NOT LIKE '%\_pkey'`)
	slices.Sort(want)
	slices.Sort(got)
	if d := cmp.Diff(want, got); d != "" || len(want) < 50 {
		t.Errorf("%d of SQLite (-), PostgreSQL (+):\n%s", len(want), d)
	}
	others := query(t, url, `SELECT table_name || '.' || column_name FROM information_schema.columns
		WHERE table_schema = 'public' AND data_type = 'text' AND collation_name IS DISTINCT FROM 'C' AND table_name <> 'store_kind'`)
	if len(others) > 0 {
		t.Errorf("not COLLATE \"C\": %s; write a variant of the migration into migrations/postgres", others)
	}
}

// TestPostgresIsRefusedUntouched: who is refused a database changes nothing in it.
func TestPostgresIsRefusedUntouched(t *testing.T) {
	newer := `INSERT INTO migrations (version, applied_at) VALUES (9999, 0)`
	for name, c := range map[string]struct {
		made    storage.StoreKind // empty: nothing is in it
		execute string
		want    sqlstore.PostgresConfig
		refused func(error) bool // nil: it is not
	}{
		"nothing there":         {"", "", sqlstore.PostgresConfig{}, func(err error) bool { return errors.Is(err, sqlstore.ErrNoDatabase) }},
		"production for any":    {storage.ProductionStore, "", sqlstore.PostgresConfig{}, nil},
		"production for itself": {storage.ProductionStore, "", sqlstore.PostgresConfig{Kind: storage.ProductionStore}, nil},
		"production for local":  {storage.ProductionStore, "", sqlstore.PostgresConfig{Kind: storage.LocalStore, Create: true}, isKindError},
		"local for production":  {storage.LocalStore, "", sqlstore.PostgresConfig{Kind: storage.ProductionStore, Create: true}, isKindError},
		"no mark for local":     {storage.ProductionStore, `DROP TABLE store_kind`, sqlstore.PostgresConfig{Kind: storage.LocalStore}, isKindError},
		"no mark":               {storage.ProductionStore, `DROP TABLE store_kind`, sqlstore.PostgresConfig{Kind: storage.ProductionStore}, nil},
		"a newer schema": {storage.ProductionStore, newer, sqlstore.PostgresConfig{}, func(err error) bool {
			var e *sqlstore.NewerSchemaError
			return errors.As(err, &e) && e.Found == 9999
		}},
	} {
		t.Run(name, func(t *testing.T) {
			url := pgtest.Database(t)
			if c.made != "" {
				s, err := sqlstore.OpenPostgres(t.Context(), sqlstore.PostgresConfig{URL: url, Create: true, Kind: c.made})
				if err != nil {
					t.Fatal(err)
				}
				s.Close()
			}
			if c.execute != "" {
				pgtest.Exec(t, url, c.execute)
			}
			const tables = `SELECT tablename::text FROM pg_tables WHERE schemaname = 'public' ORDER BY 1`
			before := query(t, url, tables)
			c.want.URL = url
			s, err := sqlstore.OpenPostgres(t.Context(), c.want)
			if c.refused == nil && err != nil || c.refused != nil && (err == nil || !c.refused(err)) {
				t.Errorf("got error %v", err)
			}
			if err == nil {
				s.Close()
			}
			if d := cmp.Diff(before, query(t, url, tables)); d != "" {
				t.Errorf("tables before (-) and after (+):\n%s", d)
			}
		})
	}
}

func isKindError(err error) bool {
	var e *storage.KindError
	return errors.As(err, &e)
}

// TestPostgresSaysWhatToGrant: what hinders a start is named with what to do about it.
func TestPostgresSaysWhatToGrant(t *testing.T) {
	server := pgtest.Start(t, "fsync=off")
	server.Exec(t, `CREATE ROLE guest LOGIN`, `CREATE DATABASE theirs ENCODING 'UTF8' TEMPLATE template0`,
		`CREATE DATABASE latin ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0`, `CREATE DATABASE fast`,
		`ALTER DATABASE fast SET synchronous_commit = off`)
	for _, c := range []struct{ user, database, want string }{
		{pgtest.User, "absent", "CREATE DATABASE absent OWNER latchkey"},
		{"guest", "theirs", "GRANT USAGE, CREATE ON SCHEMA public TO guest"},
		{pgtest.User, "latin", "ENCODING 'UTF8'"},
		{pgtest.User, "fast", "synchronous_commit = on"},
	} {
		url := strings.Replace(server.URL(t, c.database), pgtest.User+"@", c.user+"@", 1)
		_, err := sqlstore.OpenPostgres(t.Context(), sqlstore.PostgresConfig{URL: url, Create: true})
		if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "postgres:///"+c.database) {
			t.Errorf("%s: got error %v, want one with %q and the database", c.database, err, c.want)
		}
		if absent := errors.Is(err, sqlstore.ErrNoDatabase); absent != (c.database == "absent") {
			t.Errorf("%s: is it ErrNoDatabase? %v", c.database, absent)
		}
	}
}

// TestPostgresKeepsToItsTexts: what PostgreSQL cannot store is not there, and is refused.
func TestPostgresKeepsToItsTexts(t *testing.T) {
	s := openPostgres(t, pgtest.Database(t))
	for _, id := range []string{"a\x00b", "\xff", strings.Repeat("x", 1<<16)} {
		if _, err := s.Ticket(t.Context(), storage.TicketID(id)); !errors.Is(err, storage.ErrNotFound) {
			t.Errorf("Ticket(%.10q): got %v, want ErrNotFound", id, err)
		}
	}
	for name, id := range map[string]string{"a NUL": "a\x00b", "no UTF-8": "\xff", "too long": longText()} {
		err := s.Commit(t.Context(), storage.PutMark{Mark: storage.Mark{ID: storage.MarkID(id)}})
		if !errors.Is(err, storage.ErrChanges) || errors.Is(err, storage.ErrUnavailable) {
			t.Errorf("a key with %s: got %v, want ErrChanges", name, err)
		}
	}
}

// longText is one that does not get short by compression.
func longText() string {
	var text strings.Builder
	for i := range 10000 {
		text.WriteByte(byte('!' + i*i*7919%90))
		text.WriteByte(byte('!' + i*31%89))
	}
	return text.String()
}
