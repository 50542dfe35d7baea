package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/latchkey-auth/latchkey/internal/storage"
	"github.com/latchkey-auth/latchkey/internal/transfer"
)

// A table is one kind of record: read in pages by its key.
type table struct {
	name string
	page func(ctx context.Context, s *Store, after string, limit int) ([]transfer.Record, string, error)
}

// tables are in the order in which they are exported: users before their sessions.
var tables = []table{
	keyed("users", `SELECT `+userColumns+fromUsers+` WHERE users.id > $1 ORDER BY users.id LIMIT $2`,
		scanWholeUser, func(u transfer.User) string { return string(u.ID) }),
	keyed("deleted_users", `SELECT id FROM deleted_users WHERE id > $1 ORDER BY id LIMIT $2`,
		scanDeletedUser, func(u transfer.DeletedUser) string { return string(u.ID) }),
	keyed("credentials", `SELECT key, user_id, data, created_at, version FROM credentials WHERE key > $1 ORDER BY key LIMIT $2`,
		scanCredential, func(c storage.Credential) string { return string(c.Key) }),
	keyed("sessions", `SELECT `+sessionColumns+` FROM sessions WHERE id > $1 ORDER BY id LIMIT $2`,
		scanSession, func(s storage.Session) string { return string(s.ID) }),
	keyed("tickets", selectTickets+` WHERE id > $1 ORDER BY id LIMIT $2`,
		scanTicket, func(t storage.Ticket) string { return string(t.ID) }),
	keyed("marks", `SELECT id, expires_at FROM marks WHERE id > $1 ORDER BY id LIMIT $2`,
		scanMark, func(m storage.Mark) string { return string(m.ID) }),
	keyed("mails", `SELECT id, sealed, created_at, due_at, give_up_at, attempts FROM mails WHERE id > $1 ORDER BY id LIMIT $2`,
		scanMail, mailID),
	keyed("counts", `SELECT key, empty_at, last_at, reserved FROM counts WHERE key > $1 ORDER BY key LIMIT $2`,
		scanCount, func(c transfer.Count) string { return c.Key }),
	{"events", timed((*Store).Events)},
	{"revocations", timed((*Store).Revocations)},
	{"signing_keys", allKeys},
}

// keyed reads a table whose key is one text.
func keyed[T any](name, text string, scan func(row) (T, error), key func(T) string) table {
	return table{name, func(ctx context.Context, s *Store, after string, limit int) ([]transfer.Record, string, error) {
		all, err := collect(ctx, s.rare(text), scan, after, limit)
		if len(all) < limit {
			return records(all), "", err
		}
		return records(all), key(all[limit-1]), err
	}}
}

// timed reads a list by time.
func timed[T any](list func(s *Store, ctx context.Context, since time.Time, after storage.Cursor, limit int) ([]T, storage.Cursor, error)) func(context.Context, *Store, string, int) ([]transfer.Record, string, error) {
	return func(ctx context.Context, s *Store, after string, limit int) ([]transfer.Record, string, error) {
		all, next, err := list(s, ctx, time.Time{}, storage.Cursor(after), limit)
		if len(all) < limit {
			next = ""
		}
		return records(all), string(next), err
	}
}

// allKeys reads the signing keys, of which there are few.
func allKeys(ctx context.Context, s *Store, _ string, _ int) ([]transfer.Record, string, error) {
	keys, err := s.Keys(ctx)
	return records(keys), "", err
}

func records[T any](all []T) []transfer.Record {
	page := make([]transfer.Record, len(all))
	for i := range all {
		page[i] = all[i]
	}
	return page
}

// scanWholeUser has a moment for each of the two items.
func scanWholeUser(r row) (transfer.User, error) {
	var u transfer.User
	err := r.Scan(userFieldsAt(&u.User, instant{&u.ProfileAt}, instant{&u.SignInAt})...)
	return u, err
}

func scanDeletedUser(r row) (transfer.DeletedUser, error) {
	var u transfer.DeletedUser
	err := r.Scan(&u.ID)
	return u, err
}

func scanCount(r row) (transfer.Count, error) {
	var c transfer.Count
	err := r.Scan(&c.Key, instant{&c.Empty}, instant{&c.Last}, &c.Reserved)
	return c, err
}

// Export reads table by table. The cursor is the number of the table and the place in it.
func (s *Store) Export(ctx context.Context, after storage.Cursor, limit int) ([]transfer.Record, storage.Cursor, error) {
	n, place := 0, ""
	if after != "" {
		digits, rest, ok := strings.Cut(string(after), " ")
		var err error
		if n, err = strconv.Atoi(digits); err != nil || !ok || n < 0 || n >= len(tables) {
			return nil, "", unavailable(fmt.Errorf("%q is no place in an export", string(after)))
		}
		place = rest
	}
	page, next, err := tables[n].page(ctx, s, place, limit)
	if err != nil {
		return nil, "", unavailable(err)
	}
	if next == "" {
		n++
	}
	if n == len(tables) {
		return page, "", nil
	}
	return page, storage.Cursor(fmt.Sprint(n, " ", next)), nil
}

// Size counts the rows. PostgreSQL has to read them for that: there it is as many as there
// were when it looked last.
func (s *Store) Size(ctx context.Context) (n int64, err error) {
	if s.postgres != nil {
		const estimate = `SELECT COALESCE(SUM(reltuples), 0)::BIGINT FROM pg_class
			WHERE relnamespace = current_schema()::regnamespace AND relkind = 'r' AND relname <> 'sign_ins' AND reltuples > 0`
		err := s.rare(estimate).row(ctx).Scan(&n)
		return n, unavailable(err)
	}
	for _, t := range tables {
		var rows int64
		if err := s.rare(`SELECT COUNT(*) FROM ` + t.name).row(ctx).Scan(&rows); err != nil {
			return 0, unavailable(err)
		}
		n += rows
	}
	return n, nil
}

// Hold returns the hold on the store.
func (s *Store) Hold(ctx context.Context) (transfer.Hold, error) {
	var text string
	err := s.rare(`SELECT hold FROM store_hold WHERE number = 1`).row(ctx).Scan(&text)
	if errors.Is(err, sql.ErrNoRows) {
		return transfer.Hold{}, nil
	}
	if err != nil {
		return transfer.Hold{}, unavailable(err)
	}
	h, err := transfer.ParseHold(text)
	return h, unavailable(err)
}

// PutHold is one guarded statement.
func (s *Store) PutHold(ctx context.Context, was string, h transfer.Hold) error {
	return s.apply(ctx, func(a *application) error {
		switch {
		case was == "" && h.ID == "":
			return nil
		case was == "":
			return a.one(s.rare(`INSERT INTO store_hold (number, id, hold) VALUES (1, $1, $2) ON CONFLICT DO NOTHING`), storage.ErrConflict, h.ID, h.Encode())
		case h.ID == "":
			return a.one(s.rare(`DELETE FROM store_hold WHERE number = 1 AND id = $1`), storage.ErrConflict, was)
		}
		return a.one(s.rare(`UPDATE store_hold SET id = $2, hold = $3 WHERE number = 1 AND id = $1`), storage.ErrConflict, was, h.ID, h.Encode())
	})
}

// Bounds: reading the hold costs no request, and a write waits for those before it.
func (s *Store) Bounds() transfer.Bounds {
	if s.postgres != nil {
		return transfer.Bounds{Look: time.Second, Write: repeatFor + acquireWait + 3*answerTimeout}
	}
	return transfer.Bounds{Look: time.Second, Write: queueWait + patience}
}
