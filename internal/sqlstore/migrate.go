package sqlstore

import (
	"context"
	"database/sql"
	"fmt"
	"io/fs"
	"path"
	"strconv"
	"strings"
	"time"

	"github.com/latchkey-auth/latchkey/internal/auth"
)

// migrate brings the schema forward, each step in a transaction of its own: a
// process killed between two steps, or in one, goes on from there at its next
// start. Schemas never go backward. A new database is marked with the kind in the
// first step, so that none is ever seen without.
func (s *Store) migrate(ctx context.Context, kind auth.StoreKind) error {
	steps, err := fs.Glob(migrations, "migrations/*.sql")
	if err != nil {
		return err
	}
	found, err := schema(ctx, s.write)
	if err != nil {
		return err
	}
	if found > len(steps) {
		return &NewerSchemaError{Found: found, Known: len(steps)}
	}
	for i := found; i < len(steps); i++ {
		if err := s.step(ctx, i+1, steps[i], kind); err != nil {
			return fmt.Errorf("migrating to schema %d: %w", i+1, err)
		}
	}
	return nil
}

// schema returns the number of the last migration that was applied.
func schema(ctx context.Context, db *sql.DB) (int, error) {
	const known = `SELECT COUNT(*) FROM sqlite_master WHERE type = 'table' AND name = 'migrations'`
	var tables, version int
	if err := db.QueryRowContext(ctx, known).Scan(&tables); err != nil {
		return 0, err
	}
	if tables == 0 {
		return 0, nil
	}
	err := db.QueryRowContext(ctx, `SELECT COALESCE(MAX(version), 0) FROM migrations`).Scan(&version)
	return version, err
}

func (s *Store) step(ctx context.Context, version int, file string, kind auth.StoreKind) error {
	digits, _, _ := strings.Cut(path.Base(file), "_")
	if n, err := strconv.Atoi(digits); err != nil || n != version {
		return fmt.Errorf("migration %s stands at place %d", file, version)
	}
	text, err := migrations.ReadFile(file)
	if err != nil {
		return err
	}
	return s.transact(ctx, func(ctx context.Context, tx *sql.Tx) error {
		const table = `CREATE TABLE IF NOT EXISTS migrations (version BIGINT NOT NULL PRIMARY KEY, applied_at BIGINT NOT NULL)`
		if _, err := tx.ExecContext(ctx, table); err != nil {
			return err
		}
		const claim = `INSERT INTO migrations (version, applied_at) VALUES ($1, $2) ON CONFLICT DO NOTHING`
		claimed, err := affected(tx.ExecContext(ctx, claim, version, time.Now().UnixMicro()))
		if err != nil || claimed == 0 { // another process was faster
			return err
		}
		if version == 1 {
			if err := mark(ctx, tx, kind); err != nil {
				return err
			}
		}
		_, err = tx.ExecContext(ctx, string(text))
		return err
	})
}

func affected(r sql.Result, err error) (int64, error) {
	if err != nil {
		return 0, err
	}
	return r.RowsAffected()
}
