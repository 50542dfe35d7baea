package sqlstore

import (
	"context"
	"database/sql"
	"slices"

	"github.com/latchkey-auth/latchkey/internal/storage"
)

// loadAtOnce is how many users one transaction takes in: others wait for no more.
const loadAtOnce = 1000

// LoadUsers creates users with their events, as far as their ids and names are free.
func (s *Store) LoadUsers(ctx context.Context, users []storage.LoadedUser) ([]bool, error) {
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

func (s *Store) loadUsers(ctx context.Context, users []storage.LoadedUser) (stored []bool, err error) {
	if s.postgres != nil {
		return s.loadIntoPostgres(users)
	}
	err = s.transact(ctx, func(ctx context.Context, tx *sql.Tx) error {
		a := &application{ctx: ctx, stmts: &s.stmts, tx: tx}
		insert := a.stmt(s.stmts.insertUser)
		stored = make([]bool, len(users))
		var created []storage.User
		var events []storage.Event
		for i, u := range users {
			args, err := profileArgs(u.User)
			if err != nil {
				return err
			}
			n, err := affected(insert.ExecContext(ctx, args...))
			if err != nil {
				return unavailable(err)
			}
			if stored[i] = n > 0; stored[i] {
				created, events = append(created, u.User), append(events, u.Event)
			}
		}
		if err := a.insertSignIns(created); err != nil {
			return err
		}
		return a.appendEvents(events)
	})
	return stored, err
}
