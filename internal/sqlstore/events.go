package sqlstore

import (
	"context"
	"database/sql"
	"slices"

	"github.com/latchkey-auth/latchkey/internal/auth"
)

// Events returns events by number.
func (s *Store) Events(ctx context.Context, after int64, limit int) ([]auth.Event, error) {
	return collect(ctx, s.stmts.events, scanEvent, after, limit)
}

func (s *Store) appendEvents(ctx context.Context, tx *sql.Tx, events []auth.Event) error {
	if len(events) == 0 {
		return nil
	}
	var last int64
	if err := tx.StmtContext(ctx, s.stmts.countEvents).QueryRowContext(ctx, len(events)).Scan(&last); err != nil {
		return unavailable(err)
	}
	first := last - int64(len(events)) + 1
	for len(events) > 0 {
		stmt, n := s.stmts.insertEvent, 1
		if len(events) >= 4 {
			stmt, n = s.stmts.insertFourEvents, 4
		}
		args := make([]any, 0, 10*4)
		for i, e := range events[:n] {
			args = append(args, first+int64(i), micros(e.Time), string(e.Kind), string(e.Outcome),
				string(e.UserID), string(e.SessionID), e.RequestID, e.Address, e.Device, max(1, e.Count))
		}
		if _, err := tx.StmtContext(ctx, stmt).ExecContext(ctx, args...); err != nil {
			return unavailable(err)
		}
		first, events = first+int64(n), events[n:]
	}
	return nil
}

// countsAtOnce is how many keys selectCounts takes: those of one attempt.
const countsAtOnce = 7

// Counts returns the counts of keys.
func (s *Store) Counts(ctx context.Context, keys []string) ([]auth.Count, error) {
	counts := make([]auth.Count, 0, len(keys))
	for chunk := range slices.Chunk(keys, countsAtOnce) {
		some, err := s.someCounts(ctx, chunk)
		if err != nil {
			return nil, unavailable(err)
		}
		counts = append(counts, some...)
	}
	return counts, nil
}

func (s *Store) someCounts(ctx context.Context, keys []string) ([]auth.Count, error) {
	var args [countsAtOnce]any
	for i := range args {
		args[i] = keys[min(i, len(keys)-1)]
	}
	rows, err := s.stmts.counts.QueryContext(context.WithoutCancel(ctx), args[:]...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	counts := make([]auth.Count, len(keys))
	for rows.Next() {
		var key string
		var count auth.Count
		fields := &fieldList{}
		fields.add(&key, &count.Level)
		fields.time(&count.Last)
		if err := fields.scan(rows); err != nil {
			return nil, err
		}
		for i := range keys {
			if keys[i] == key {
				counts[i] = count
			}
		}
	}
	return counts, rows.Err()
}

func (s *Store) addHit(ctx context.Context, tx *sql.Tx, h auth.Hit) error {
	_, err := tx.StmtContext(ctx, s.stmts.addHit).ExecContext(ctx, h.Key, micros(h.At), float64(h.Fade.Microseconds()))
	return unavailable(err)
}
