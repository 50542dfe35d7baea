package sqlstore

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/latchkey-auth/latchkey/internal/storage"
)

// Events returns events by time and id.
func (s *Store) Events(ctx context.Context, since time.Time, after storage.Cursor, limit int) ([]storage.Event, storage.Cursor, error) {
	place := func(e storage.Event) (time.Time, string) { return e.Time, e.ID }
	return page(ctx, s.stmts.events, scanEvent, place, since, after, limit)
}

// Revocations returns revocations by time and id.
func (s *Store) Revocations(ctx context.Context, since time.Time, after storage.Cursor, limit int) ([]storage.Revocation, storage.Cursor, error) {
	place := func(r storage.Revocation) (time.Time, string) { return r.Time, r.ID }
	return page(ctx, s.stmts.revocations, scanRevocation, place, since, after, limit)
}

// page returns what follows since or the cursor, and the place of the last of them.
func page[T any](ctx context.Context, stmt *statement, scan func(row) (T, error), place func(T) (time.Time, string),
	since time.Time, after storage.Cursor, limit int) ([]T, storage.Cursor, error) {
	from := micros(since)
	behind, id := from-1, "" // what happened at since comes behind it
	if after != "" {
		var err error
		if from, id, err = parseCursor(after); err != nil {
			return nil, "", unavailable(err)
		}
		behind = from
	}
	all, err := collect(ctx, stmt, scan, from, behind, id, limit)
	if len(all) > 0 {
		t, id := place(all[len(all)-1])
		after = storage.Cursor(fmt.Sprint(micros(t), " ", id))
	}
	return all, after, err
}

func parseCursor(c storage.Cursor) (us int64, id string, err error) {
	digits, id, ok := strings.Cut(string(c), " ")
	if us, err = strconv.ParseInt(digits, 10, 64); err != nil || !ok {
		return 0, "", fmt.Errorf("%q is no place in this list", string(c))
	}
	return us, id, nil
}

func scanEvent(r row) (storage.Event, error) {
	var e storage.Event
	err := r.Scan(instant{&e.Time}, &e.ID, &e.Kind, &e.Outcome, &e.UserID, &e.SessionID, &e.RequestID, &e.Address, &e.Device, &e.Count)
	return e, err
}

func (a *application) appendEvents(events []storage.Event) error {
	for len(events) > 0 {
		stmt, n := a.stmts.insertEvent, 1
		switch {
		case len(events) >= many:
			stmt, n = a.stmts.insertManyEvents, many
		case len(events) >= 4:
			stmt, n = a.stmts.insertFourEvents, 4
		}
		args := make([]any, 0, n*eventColumns)
		for _, e := range events[:n] {
			args = append(args, eventArgs(e)...)
		}
		if err := a.run(stmt, args...); err != nil {
			return err
		}
		events = events[n:]
	}
	return nil
}

func eventArgs(e storage.Event) []any {
	return []any{micros(e.Time), e.ID, string(e.Kind), string(e.Outcome), string(e.UserID),
		string(e.SessionID), e.RequestID, e.Address, e.Device, max(1, e.Count)}
}

func scanRevocation(r row) (storage.Revocation, error) {
	var v storage.Revocation
	err := r.Scan(instant{&v.Time}, &v.ID, &v.UserID, &v.SessionID, &v.Epoch, &v.Rights, &v.Survivor, instant{&v.ExpiresAt})
	return v, err
}

func (a *application) appendRevocation(v storage.Revocation) error {
	return a.run(a.stmts.insertRevocation, revocationArgs(v)...)
}

func revocationArgs(v storage.Revocation) []any {
	return []any{micros(v.Time), v.ID, string(v.UserID), string(v.SessionID), v.Epoch, v.Rights, string(v.Survivor), micros(v.ExpiresAt)}
}
