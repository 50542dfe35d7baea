package sqlstore

import (
	"context"
	"database/sql"

	"github.com/latchkey-auth/latchkey/internal/identifier"
	"github.com/latchkey-auth/latchkey/internal/storage"
)

// User returns the user with the id. Reads are not tied to ctx: they are short, and
// watching it costs the driver a goroutine each.
func (s *Store) User(ctx context.Context, id storage.UserID) (storage.User, error) {
	u, err := scanUser(s.stmts.user.row(context.WithoutCancel(ctx), string(id)))
	return u, unavailable(err)
}

// UserByUsername returns the user with the username key.
func (s *Store) UserByUsername(ctx context.Context, key string) (storage.User, int, error) {
	return s.userByName(ctx, s.stmts.userByUsername, key)
}

// UserByEmail returns the user with the e-mail key.
func (s *Store) UserByEmail(ctx context.Context, key string) (storage.User, int, error) {
	return s.userByName(ctx, s.stmts.userByEmail, key)
}

func (s *Store) userByName(ctx context.Context, stmt *statement, key string) (u storage.User, sessions int, err error) {
	err = stmt.row(context.WithoutCancel(ctx), key).Scan(append(userFields(&u), &sessions)...)
	if err != nil {
		return storage.User{}, 0, unavailable(err)
	}
	return u, sessions, nil
}

// UserDeleted reports whether there was a user of that id.
func (s *Store) UserDeleted(ctx context.Context, id storage.UserID) (bool, error) {
	var n int
	err := s.stmts.deletedUser.row(context.WithoutCancel(ctx), string(id)).Scan(&n)
	return n > 0, unavailable(err)
}

// Users returns users by id, which is their cursor.
func (s *Store) Users(ctx context.Context, after storage.Cursor, limit int) ([]storage.User, storage.Cursor, error) {
	users, err := collect(ctx, s.stmts.users, scanUser, string(after), limit)
	if len(users) > 0 {
		after = storage.Cursor(users[len(users)-1].ID)
	}
	return users, after, err
}

func collect[T any](ctx context.Context, stmt *statement, scan func(row) (T, error), args ...any) ([]T, error) {
	var all []T
	err := stmt.each(ctx, func(r row) error {
		one, err := scan(r)
		all = append(all, one)
		return err
	}, args...)
	if err != nil {
		return nil, unavailable(err)
	}
	return all, nil
}

func (a *application) checkEpoch(c storage.CheckEpoch) error {
	return a.found(a.stmts.epoch, storage.ErrConflict, string(c.UserID), c.Epoch)
}

func (a *application) createUser(u storage.User) error {
	args, err := profileArgs(u)
	if err != nil {
		return err
	}
	if err := a.one(a.stmts.insertUser, storage.ErrTaken, args...); err != nil {
		return err
	}
	if err := a.stillFree(u.ID); err != nil {
		return err
	}
	return a.insertSignIns([]storage.User{u})
}

func (a *application) insertSignIns(users []storage.User) error {
	for len(users) > 0 {
		stmt, n := a.stmts.insertSignIn, 1
		if len(users) >= many {
			stmt, n = a.stmts.insertManySignIns, many
		}
		args := make([]any, 0, n*signInColumns)
		for _, u := range users[:n] {
			args = append(append(args, signInArgs(u)...), 1)
		}
		if err := a.run(stmt, args...); err != nil {
			return err
		}
		users = users[n:]
	}
	return nil
}

// updateUser and deleteUser begin with the sign-in, as every commit does that begins a
// session: those who lock both in PostgreSQL lock them in one order.
func (a *application) updateUser(c storage.UpdateUser) error {
	if c.SignIn() {
		args := append(signInArgs(c.New), c.Old.SignInVersion)
		if err := a.one(a.stmts.updateSignIn, storage.ErrConflict, args...); err != nil {
			return err
		}
	}
	if !c.Profile() {
		return nil
	}
	args, err := profileArgs(c.New)
	if err != nil {
		return err
	}
	return a.one(a.stmts.updateUser, storage.ErrConflict, append(args, c.Old.Version)...)
}

func (a *application) deleteUser(u storage.User) error {
	if err := a.one(a.stmts.deleteSignIn, storage.ErrConflict, string(u.ID), u.SignInVersion); err != nil {
		return err
	}
	if err := a.run(a.stmts.deleteUser, string(u.ID)); err != nil {
		return err
	}
	return a.run(a.stmts.insertDeletedUser, string(u.ID))
}

func (a *application) replaceUser(c storage.ReplaceUser) error {
	if err := a.deleteUser(c.Old); err != nil {
		return err
	}
	return a.createUser(c.New)
}

// profileArgs are $1 to $11 of insertUser and updateUser.
func profileArgs(u storage.User) ([]any, error) {
	usernameKey, err := identifier.UsernameKey(u.Username)
	if err != nil {
		return nil, err
	}
	var emailKey sql.NullString
	if u.Email != "" {
		if emailKey.String, err = identifier.EmailKey(u.Email); err != nil {
			return nil, err
		}
		emailKey.Valid = true
	}
	return []any{string(u.ID), u.Username, usernameKey, u.Email, emailKey, u.Name, u.Scope, list(u.Roles),
		object(u.Attributes), micros(u.CreatedAt), micros(u.UpdatedAt)}, nil
}

// signInArgs are $1 to $9 of updateSignIn, and all of a row of insertSignIns but the
// version.
func signInArgs(u storage.User) []any {
	return []any{string(u.ID), u.PasswordHash, u.Disabled, u.EmailVerified, u.PendingEmail, u.Epoch, micros(u.EpochAt),
		u.Rights, micros(u.UpdatedAt)}
}
