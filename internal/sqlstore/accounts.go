package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/latchkey-auth/latchkey/internal/auth"
)

// User returns the user with the id.
func (s *Store) User(ctx context.Context, id auth.UserID) (auth.User, error) {
	return s.oneUser(ctx, s.stmts.user, string(id))
}

// UserByUsername returns the user with the username key.
func (s *Store) UserByUsername(ctx context.Context, key string) (auth.User, error) {
	return s.oneUser(ctx, s.stmts.userByUsername, key)
}

// UserByEmail returns the user with the e-mail key.
func (s *Store) UserByEmail(ctx context.Context, key string) (auth.User, error) {
	return s.oneUser(ctx, s.stmts.userByEmail, key)
}

// Reads are not tied to ctx: they are short, and watching it costs the driver a
// goroutine each.
func (s *Store) oneUser(ctx context.Context, stmt *sql.Stmt, key string) (auth.User, error) {
	u, err := scanUser(stmt.QueryRowContext(context.WithoutCancel(ctx), key))
	return u, unavailable(err)
}

// UserDeleted reports whether there was a user of that id.
func (s *Store) UserDeleted(ctx context.Context, id auth.UserID) (bool, error) {
	var n int
	err := s.stmts.deletedUser.QueryRowContext(context.WithoutCancel(ctx), string(id)).Scan(&n)
	return n > 0, unavailable(err)
}

// Users returns users by id.
func (s *Store) Users(ctx context.Context, after auth.UserID, limit int) ([]auth.User, error) {
	return collect(ctx, s.stmts.users, scanUser, string(after), limit)
}

// UserSessions returns a user's sessions.
func (s *Store) UserSessions(ctx context.Context, id auth.UserID, since, now time.Time, idle time.Duration, limit int) ([]auth.Session, error) {
	return collect(ctx, s.stmts.userSessions, scanSession, string(id), micros(since), micros(now), micros(now.Add(-idle)), limit)
}

func collect[T any](ctx context.Context, stmt *sql.Stmt, scan func(row) (T, error), args ...any) ([]T, error) {
	rows, err := stmt.QueryContext(ctx, args...)
	if err != nil {
		return nil, unavailable(err)
	}
	defer rows.Close()
	var all []T
	for rows.Next() {
		one, err := scan(rows)
		if err != nil {
			return nil, unavailable(err)
		}
		all = append(all, one)
	}
	return all, unavailable(rows.Err())
}

func (s *Store) checkUser(ctx context.Context, tx *sql.Tx, u auth.User) error {
	var version int64
	err := tx.StmtContext(ctx, s.stmts.userVersion).QueryRowContext(ctx, string(u.ID)).Scan(&version)
	if errors.Is(err, sql.ErrNoRows) || err == nil && version != u.Version {
		return auth.ErrConflict
	}
	return unavailable(err)
}

func (s *Store) createUser(ctx context.Context, tx *sql.Tx, u auth.User) error {
	args, err := userArgs(u)
	if err != nil {
		return err
	}
	n, err := affected(tx.StmtContext(ctx, s.stmts.insertUser).ExecContext(ctx, args...))
	return one(n, err, auth.ErrTaken)
}

func (s *Store) updateUser(ctx context.Context, tx *sql.Tx, u auth.User) error {
	args, err := userArgs(u)
	if err != nil {
		return err
	}
	n, err := affected(tx.StmtContext(ctx, s.stmts.updateUser).ExecContext(ctx, append(args, u.Version)...))
	return one(n, err, auth.ErrConflict)
}

func (s *Store) createSession(ctx context.Context, tx *sql.Tx, e auth.Session) error {
	n, err := affected(tx.StmtContext(ctx, s.stmts.insertSession).ExecContext(ctx, string(e.ID), string(e.UserID),
		blob(e.RefreshHash), blob(e.PreviousHash), micros(e.RotatedAt), e.Rotations, e.Device, e.Address,
		micros(e.CreatedAt), micros(e.Since), micros(e.LastUsedAt), micros(e.ExpiresAt), micros(e.EndedAt)))
	return one(n, err, auth.ErrTaken)
}

func (s *Store) updateSession(ctx context.Context, tx *sql.Tx, e auth.Session) error {
	n, err := affected(tx.StmtContext(ctx, s.stmts.updateSession).ExecContext(ctx, string(e.ID), micros(e.Since), micros(e.EndedAt)))
	return one(n, err, auth.ErrConflict)
}

func (s *Store) rotateSession(ctx context.Context, tx *sql.Tx, r auth.Rotation) error {
	e := r.Session
	n, err := affected(tx.StmtContext(ctx, s.stmts.rotateSession).ExecContext(ctx, blob(e.RefreshHash), blob(e.PreviousHash),
		micros(e.RotatedAt), e.Rotations, e.Device, e.Address, micros(e.LastUsedAt),
		string(e.ID), e.Version, string(r.User.ID), r.User.Version))
	return one(n, err, auth.ErrConflict)
}

// blob is never NULL.
func blob(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}

func (s *Store) deleteUser(ctx context.Context, tx *sql.Tx, u auth.User) error {
	n, err := affected(tx.StmtContext(ctx, s.stmts.deleteUser).ExecContext(ctx, string(u.ID), u.Version))
	if err := one(n, err, auth.ErrConflict); err != nil {
		return err
	}
	_, err = tx.StmtContext(ctx, s.stmts.insertDeletedUser).ExecContext(ctx, string(u.ID))
	return unavailable(err)
}

// one turns "no row was touched" into the error that it means.
func one(n int64, err, none error) error {
	if err == nil && n == 0 {
		return none
	}
	return unavailable(err)
}

// userArgs are $1 to $14 of insertUser and updateUser.
func userArgs(u auth.User) ([]any, error) {
	usernameKey, err := auth.UsernameKey(u.Username)
	if err != nil {
		return nil, err
	}
	var emailKey sql.NullString
	if u.Email != "" {
		if emailKey.String, err = auth.EmailKey(u.Email); err != nil {
			return nil, err
		}
		emailKey.Valid = true
	}
	return []any{string(u.ID), u.Username, usernameKey, u.Email, emailKey, u.Name, u.Scope, u.PasswordHash,
		u.Disabled, micros(u.CreatedAt), micros(u.UpdatedAt), micros(u.SessionsFrom), u.EmailVerified, u.PendingEmail}, nil
}

// purgeAtOnce is how many rows a purge deletes in one transaction: others wait for
// no more.
const purgeAtOnce = 1000

// Purge deletes what nobody has a use for any more.
func (s *Store) Purge(ctx context.Context, before auth.Moments) error {
	// Numbers grow with time, but for clocks that differ; this finds the first one
	// to keep without an index on time, which every event would pay for.
	var firstKept int64
	const find = `SELECT COALESCE((SELECT MIN(number) FROM events WHERE time >= $1),
		(SELECT value + 1 FROM counters WHERE name = 'events'))`
	if err := s.read.QueryRowContext(ctx, find, micros(before.Events)).Scan(&firstKept); err != nil {
		return unavailable(err)
	}
	for _, d := range []struct {
		table, key, which string
		before            int64
	}{
		{"sessions", "id", `expires_at < $1`, micros(before.Expired)},
		{"tickets", "id", `expires_at < $1`, micros(before.Expired)},
		{"mails", "id", `give_up_at < $1`, micros(before.Expired)},
		{"signing_keys", "number", `expires_at > 0 AND expires_at < $1`, micros(before.Expired)},
		{"events", "number", `number < $1`, firstKept},
		{"counts", "key", `last_hit < $1`, micros(before.Hits)},
	} {
		text := fmt.Sprintf(`DELETE FROM %s WHERE %s IN (SELECT %[2]s FROM %[1]s WHERE %[3]s LIMIT %d)`, d.table, d.key, d.which, purgeAtOnce)
		if err := s.purge(ctx, text, d.before); err != nil {
			return err
		}
	}
	return nil
}

// purge runs the statement until there is nothing left for it.
func (s *Store) purge(ctx context.Context, text string, before int64) error {
	for deleted := int64(purgeAtOnce); deleted == purgeAtOnce; {
		if err := ctx.Err(); err != nil {
			return unavailable(err)
		}
		err := s.transact(ctx, func(ctx context.Context, tx *sql.Tx) (err error) {
			deleted, err = affected(tx.ExecContext(ctx, text, before))
			return unavailable(err)
		})
		if err != nil {
			return err
		}
	}
	return nil
}
