package dynamo

import (
	"context"
	"errors"
	"sync"

	"github.com/latchkey-auth/latchkey/internal/storage"
)

// loaders is how many users come in at the same time, each by a transaction of its own.
const loaders = 8

// LoadUsers creates users with their events, as far as their ids and names are free.
func (s *Store) LoadUsers(ctx context.Context, users []storage.LoadedUser) ([]bool, error) {
	stored := make([]bool, len(users))
	errs := make([]error, len(users))
	next := make(chan int)
	var wg sync.WaitGroup
	for range min(loaders, len(users)) {
		wg.Go(func() {
			for i := range next {
				stored[i], errs[i] = s.loadUser(ctx, users[i])
			}
		})
	}
	err := each(ctx, len(users), next)
	close(next)
	wg.Wait()
	if err := errors.Join(append(errs, unavailable(err))...); err != nil {
		return nil, err
	}
	return stored, nil
}

// each sends 0 to n-1 as long as ctx has not ended.
func each(ctx context.Context, n int, to chan<- int) error {
	for i := range n {
		select {
		case to <- i:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

func (s *Store) loadUser(ctx context.Context, u storage.LoadedUser) (bool, error) {
	err := s.Commit(ctx, storage.CreateUser{User: u.User}, storage.AppendEvent{Event: u.Event})
	if errors.Is(err, storage.ErrTaken) {
		return false, nil
	}
	return err == nil, err
}
