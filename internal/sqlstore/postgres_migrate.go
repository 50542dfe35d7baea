package sqlstore

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/latchkey-auth/latchkey/internal/storage"
)

// migrationLock is the advisory lock that is held while the schema is looked at and
// changed. The number is ours alone among the programs of one database, as far as
// anybody can tell.
const migrationLock = 0x6c61746368 // "latch"

// migratePostgres brings the schema up to date, all steps in one transaction. Those who
// start at the same time wait for it, and find nothing to do.
func migratePostgres(ctx context.Context, db *sql.DB, cfg PostgresConfig) error {
	steps, err := migrationSteps("postgres")
	if err != nil {
		return err
	}
	if found, err := admit(ctx, db, cfg, len(steps)); err != nil || found == len(steps) {
		return err
	}
	tx, err := db.BeginTx(ctx, &sql.TxOptions{Isolation: sql.LevelReadCommitted})
	if err != nil {
		return err
	}
	defer tx.Rollback()
	const begin = `SELECT set_config('lock_timeout', $1, true), set_config('statement_timeout', '0', true)`
	if _, err := tx.ExecContext(ctx, begin, milliseconds(openTimeout)); err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, `SELECT pg_advisory_xact_lock($1)`, int64(migrationLock)); err != nil {
		return fmt.Errorf("waiting for another process that changes the schema: %w", err)
	}
	found, err := admit(ctx, tx, cfg, len(steps))
	if err != nil {
		return err
	}
	for i := found; i < len(steps); i++ {
		if err := stepPostgres(ctx, tx, i+1, steps[i], cfg.Kind); err != nil {
			return fmt.Errorf("migrating to schema %d: %w", i+1, err)
		}
	}
	return tx.Commit()
}

// admit returns the number of the last migration, of a database that may be opened.
func admit(ctx context.Context, db querier, cfg PostgresConfig, known int) (int, error) {
	kind, err := kindOf(ctx, db, postgresCatalogue)
	switch {
	case err != nil:
		return 0, err
	case kind == "" && !cfg.Create:
		return 0, ErrNoDatabase
	case !kind.Serves(cfg.Kind):
		return 0, &storage.KindError{Found: kind, Want: cfg.Kind}
	case kind == "":
		return 0, nil
	}
	found, err := schema(ctx, db, postgresCatalogue)
	if err == nil && found > known {
		err = &NewerSchemaError{Found: found, Known: known}
	}
	return found, err
}

// stepPostgres carries out one migration. The first ones have none: no database on
// PostgreSQL was ever without.
func stepPostgres(ctx context.Context, tx *sql.Tx, version int, text string, kind storage.StoreKind) error {
	if text == "" {
		return nil
	}
	if _, err := tx.ExecContext(ctx, migrationsTable); err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, `INSERT INTO migrations (version, applied_at) VALUES ($1, $2)`, version, time.Now().UnixMicro()); err != nil {
		return err
	}
	if version == postgresBegins {
		if err := mark(ctx, tx, cmp.Or(kind, storage.ProductionStore)); err != nil {
			return err
		}
	}
	_, err := tx.ExecContext(ctx, text)
	return err
}

// kind is bounded in time by ctx: database/sql would begin again without an end of its own.
func (p *postgres) kind(ctx context.Context) (kind storage.StoreKind, err error) {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	err = patient(func() (err error) {
		kind, err = kindOf(ctx, p.plain, postgresCatalogue)
		return lost(ctx, err)
	})
	return kind, unavailable(err)
}

// lost marks an error that the server has not told, of statements before any commit:
// database/sql begins again only where nothing at all was sent.
func lost(ctx context.Context, err error) error {
	var told *pgconn.PgError
	if err == nil || ctx.Err() != nil || errors.As(err, &told) {
		return err
	}
	return fmt.Errorf("%w: %w", errBroken, err)
}

// mark has one at a time look at the mark and change it.
func (p *postgres) mark(ctx context.Context, was, kind storage.StoreKind) error {
	return unavailable(patient(func() error {
		tx, err := p.plain.BeginTx(ctx, nil)
		if err != nil {
			return lost(ctx, err)
		}
		defer tx.Rollback()
		if _, err := tx.ExecContext(ctx, `SELECT pg_advisory_xact_lock($1)`, int64(migrationLock)); err != nil {
			return lost(ctx, err)
		}
		if err := remark(ctx, tx, postgresCatalogue, was, kind); err != nil {
			return err
		}
		if err := tx.Commit(); err != nil {
			return fmt.Errorf("%w: %w", storage.ErrUnavailable, err)
		}
		return nil
	}))
}
