package sqlstore

import (
	"context"
	"database/sql"
	"slices"

	"github.com/latchkey-auth/latchkey/internal/auth"
)

// loadAtOnce is how many users one transaction takes in: others wait for no more.
const loadAtOnce = 500

// LoadUsers creates users with their events, as far as their ids and names are free.
func (s *Store) LoadUsers(ctx context.Context, users []auth.LoadedUser) ([]bool, error) {
	stored := make([]bool, 0, len(users))
	for chunk := range slices.Chunk(users, loadAtOnce) {
		some, err := s.loadUsers(ctx, chunk)
		if err != nil {
			return nil, err
		}
		stored = append(stored, some...)
	}
	return stored, ctx.Err()
}

func (s *Store) loadUsers(ctx context.Context, users []auth.LoadedUser) (stored []bool, err error) {
	err = s.transact(ctx, func(ctx context.Context, tx *sql.Tx) error {
		a := &application{ctx, tx, &s.stmts}
		insertUser, insertSignIn := a.stmt(s.stmts.insertUser), a.stmt(s.stmts.insertSignIn)
		stored = make([]bool, len(users))
		var events []auth.Event
		for i, u := range users {
			args, err := profileArgs(u.User)
			if err != nil {
				return err
			}
			n, err := affected(insertUser.ExecContext(ctx, args...))
			if err != nil {
				return unavailable(err)
			}
			if n == 0 {
				continue
			}
			if _, err := insertSignIn.ExecContext(ctx, signInArgs(u.User)...); err != nil {
				return unavailable(err)
			}
			stored[i], events = true, append(events, u.Event)
		}
		return a.appendEvents(events)
	})
	return stored, err
}
