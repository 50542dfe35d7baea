package sqlstore

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/latchkey-auth/latchkey/internal/storage"
)

// migrate brings the schema forward, each step in a transaction of its own: a
// process killed between two steps, or in one, goes on from there at its next
// start. Schemas never go backward. A new database is marked with the kind in the
// first step, so that none is ever seen without.
func (s *Store) migrate(ctx context.Context, kind storage.StoreKind) error {
	steps, err := migrationSteps("")
	if err != nil {
		return err
	}
	found, err := schema(ctx, s.write, sqliteCatalogue)
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
func schema(ctx context.Context, db querier, catalogue string) (version int, err error) {
	tables, err := inCatalogue(ctx, db, catalogue)
	if err != nil || !slices.Contains(tables, "migrations") {
		return 0, err
	}
	err = db.QueryRowContext(ctx, `SELECT COALESCE(MAX(version), 0) FROM migrations`).Scan(&version)
	return version, err
}

// postgresBegins is the first schema on PostgreSQL. Its text is all of it.
const postgresBegins = 11

// migrationSteps returns the texts of the migrations, by their numbers: those of the
// variant where it has its own. On PostgreSQL the first ones have none.
func migrationSteps(variant string) ([]string, error) {
	files, err := fs.Glob(migrations, "migrations/*.sql")
	if err != nil {
		return nil, err
	}
	texts := make([]string, len(files))
	for i, file := range files {
		digits, _, _ := strings.Cut(path.Base(file), "_")
		if n, err := strconv.Atoi(digits); err != nil || n != i+1 {
			return nil, fmt.Errorf("migration %s stands at place %d", file, i+1)
		}
		if variant != "" {
			if i+1 < postgresBegins {
				continue
			}
			own, err := fs.Glob(migrations, "migrations/"+variant+"/"+digits+"_*.sql")
			if err != nil {
				return nil, err
			}
			file = cmp.Or(append(own, file)...)
		}
		text, err := migrations.ReadFile(file)
		if err != nil {
			return nil, err
		}
		texts[i] = string(text)
	}
	return texts, nil
}

const migrationsTable = `CREATE TABLE IF NOT EXISTS migrations (version BIGINT NOT NULL PRIMARY KEY, applied_at BIGINT NOT NULL)`

func (s *Store) step(ctx context.Context, version int, text string, kind storage.StoreKind) error {
	return s.transact(ctx, func(ctx context.Context, tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, migrationsTable); err != nil {
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
		_, err = tx.ExecContext(ctx, text)
		return err
	})
}

func affected(r sql.Result, err error) (int64, error) {
	if err != nil {
		return 0, err
	}
	return r.RowsAffected()
}
