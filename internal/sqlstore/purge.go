package sqlstore

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/latchkey-auth/latchkey/internal/storage"
)

// purgeAtOnce is how many rows a purge deletes in one transaction: others wait for
// no more.
const purgeAtOnce = 1000

// Purge deletes what nobody has a use for any more.
func (s *Store) Purge(ctx context.Context, before storage.Moments) error {
	expired := micros(before.Expired)
	for _, d := range []struct {
		table, key, which string // key: the columns
		before            int64
	}{
		{"sessions", "id", `expires_at < $1`, expired},
		{"tickets", "id", `expires_at < $1`, expired},
		{"marks", "id", `expires_at < $1`, expired},
		{"mails", "id", `give_up_at < $1`, expired},
		{"signing_keys", "number", `expires_at > 0 AND expires_at < $1`, expired},
		{"events", "time, id", `time < $1`, micros(before.Events)},
		// The oldest first: they have expired before the others.
		{"revocations", "time, id", `expires_at < $1 ORDER BY time, id`, expired},
	} {
		text := fmt.Sprintf(`DELETE FROM %s WHERE (%s) IN (SELECT %[2]s FROM %[1]s WHERE %[3]s LIMIT %d%s)`,
			d.table, d.key, d.which, purgeAtOnce, s.either("", " FOR UPDATE SKIP LOCKED"))
		if err := s.purge(ctx, text, d.before); err != nil {
			return err
		}
	}
	return s.purgeCounts(ctx, micros(before.Counts))
}

// purge runs the statement until there is nothing left for it.
func (s *Store) purge(ctx context.Context, text string, before int64) error {
	for deleted := int64(purgeAtOnce); deleted == purgeAtOnce; {
		if err := ctx.Err(); err != nil {
			return unavailable(err)
		}
		var err error
		if deleted, err = s.execute(ctx, text, before); err != nil {
			return err
		}
	}
	return nil
}

// execute runs a text that is not prepared, in a transaction of its own, and returns how
// many rows it has touched.
func (s *Store) execute(ctx context.Context, text string, args ...any) (n int64, err error) {
	if s.postgres != nil {
		return s.postgres.execute(text, args...)
	}
	err = s.transact(ctx, func(ctx context.Context, tx *sql.Tx) (err error) {
		n, err = affected(tx.ExecContext(ctx, text, args...))
		return unavailable(err)
	})
	return n, err
}

// purgeCounts walks the counts by key, because they have no index by time, and begins a
// transaction only where there is something to delete.
func (s *Store) purgeCounts(ctx context.Context, before int64) error {
	for after := ""; ; {
		if err := ctx.Err(); err != nil {
			return unavailable(err)
		}
		var last sql.NullString
		var oldest int64
		if err := s.stmts.countsPage.row(ctx, after, purgeAtOnce).Scan(&last, &oldest); err != nil || !last.Valid {
			return unavailable(err)
		}
		if oldest < before {
			err := s.apply(ctx, func(a *application) error {
				return a.run(a.stmts.deleteOldCounts, after, last.String, before)
			})
			if err != nil {
				return err
			}
		}
		after = last.String
	}
}
