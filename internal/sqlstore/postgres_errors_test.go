package sqlstore

import (
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// TestPostgresSaysWherePasswordsCome: a refused password is explained only where none was
// given, because then the message of PostgreSQL misleads.
func TestPostgresSaysWherePasswordsCome(t *testing.T) {
	t.Setenv("PGPASSWORD", "")
	t.Setenv("PGPASSFILE", t.TempDir()+"/none")
	for url, want := range map[string]bool{"postgres://ada@127.0.0.1/latchkey": true, "postgres://ada:wrong@127.0.0.1/latchkey": false} {
		pc, err := pgxpool.ParseConfig(url)
		if err != nil {
			t.Fatal(err)
		}
		said := explainPostgres(pc, &pgconn.PgError{Code: wrongPassword, Message: "password authentication failed"}).Error()
		if strings.Contains(said, "PGPASSWORD") != want {
			t.Errorf("%s: got %q, want the hint: %v", url, said, want)
		}
	}
}
