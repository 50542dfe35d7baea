package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/latchkey-auth/latchkey/internal/storage"
	"github.com/latchkey-auth/latchkey/internal/storecheck"
)

// withPostgres runs f on the database as it is, with any schema.
func withPostgres(ctx context.Context, url string, f func(*sql.DB) error) error {
	pc, err := parsePostgres(url)
	if err != nil {
		return err
	}
	db := openPlain(pc.ConnConfig)
	defer db.Close()
	if err := f(db); err != nil {
		return fmt.Errorf("opening store %s: %w", postgresName(pc), explainPostgres(pc, err))
	}
	return nil
}

// InspectPostgres reads the kind and the schema of a database, and whether it has the
// user. It changes nothing; nor does it count users, of which there may be many.
func InspectPostgres(ctx context.Context, url string, look storage.UserID) (info Info, has bool, err error) {
	err = withPostgres(ctx, url, func(db *sql.DB) error {
		if info.Kind, err = kindOf(ctx, db, postgresCatalogue); err != nil || info.Kind == "" {
			return err
		}
		if info.Schema, err = schema(ctx, db, postgresCatalogue); err != nil || look == "" {
			return err
		}
		n := 0
		err := db.QueryRowContext(ctx, `SELECT COUNT(*) FROM users WHERE id = $1`, string(look)).Scan(&n)
		has = n > 0
		return err
	})
	return info, has, err
}

// MarkPostgres marks a database anew when its kind is was; storage.ErrConflict. The schema
// stays what it is.
func MarkPostgres(ctx context.Context, url string, was, kind storage.StoreKind) error {
	return withPostgres(ctx, url, func(db *sql.DB) error {
		return (&postgres{plain: db}).mark(ctx, was, kind)
	})
}

// CheckPostgres looks whether a database is fit. It changes nothing.
func CheckPostgres(ctx context.Context, url string) []storecheck.Finding {
	var all []storecheck.Finding
	err := withPostgres(ctx, url, func(db *sql.DB) error {
		pooler, err := lookAtPostgres(ctx, db)
		if err != nil {
			return err
		}
		kind, err := kindOf(ctx, db, postgresCatalogue)
		if err == nil && kind == "" {
			err = ErrNoDatabase
		}
		if err != nil {
			return err
		}
		found, err := schema(ctx, db, postgresCatalogue)
		if err != nil {
			return err
		}
		all = append(all, checkSchema(found))
		if pooler {
			all = append(all, storecheck.Fine("pooler", "there is one: statements are not kept prepared"))
		}
		rights, err := checkRights(ctx, db)
		if err != nil {
			return err
		}
		clock, err := checkClock(ctx, db)
		all = append(all, rights, clock)
		return err
	})
	if err != nil {
		advice := "see docs/postgresql.md"
		switch {
		case errors.Is(err, ErrNoSuchDatabase):
			advice = "make the database, then latchkey init; or name the right one"
		case errors.Is(err, ErrNoDatabase):
			advice = "latchkey init"
		}
		all = append(all, storecheck.Finding{Check: "database", Result: storecheck.Wrong, Found: err.Error(), Advice: advice})
	}
	return all
}

// checkRights names what the user may not do with the tables.
func checkRights(ctx context.Context, db *sql.DB) (storecheck.Finding, error) {
	const missing = `SELECT DISTINCT right_name || ' ON ' || quote_ident(tablename) FROM pg_tables,
			unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE']) AS right_name
		WHERE schemaname = current_schema()
			AND NOT has_table_privilege(quote_ident(schemaname) || '.' || quote_ident(tablename), right_name) ORDER BY 1`
	names, err := inCatalogue(ctx, db, missing)
	if err != nil || len(names) == 0 {
		return storecheck.Fine("rights", "reading and writing every table"), err
	}
	var user string
	if err := db.QueryRowContext(ctx, `SELECT quote_ident(current_user)`).Scan(&user); err != nil {
		return storecheck.Finding{}, err
	}
	return storecheck.Finding{Check: "rights", Result: storecheck.Wrong, Found: "not " + strings.Join(names, ", "),
		Advice: "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO " + user}, nil
}

// checkClock compares this machine's clock with the server's, as it was in the middle of a
// round trip.
func checkClock(ctx context.Context, db *sql.DB) (storecheck.Finding, error) {
	var us int64
	begun := time.Now()
	err := db.QueryRowContext(ctx, `SELECT (EXTRACT(EPOCH FROM clock_timestamp()) * 1000000)::BIGINT`).Scan(&us)
	took := time.Since(begun)
	return storecheck.Clock(begun.Add(took/2).Sub(time.UnixMicro(us)), took/2), err
}
