package auth

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"
)

// turns has those who change a user take turns, in the order in which they come.
// The store refuses whoever lost a race for a user, and somebody who changes the
// name over and over would have everybody else lose: a login that has made a hash
// meanwhile, or a reset. Other processes take no part; between them it is luck, and
// retry waits a little for it.
type turns struct {
	mu    sync.Mutex
	users map[UserID]*turn
}

type turn struct {
	free chan struct{} // has one while nobody has the turn
	n    int           // have it or wait for it
}

const (
	// turnWait is how long anybody waits.
	turnWait = 2 * time.Second
	// fewTurns is among how many others somebody waits who needs no more than a bearer
	// token and gains nothing by it.
	fewTurns = 16
	anyTurns = 1 << 30
)

// take waits for the turn at a user, among most others at most, and returns what
// ends it. *LimitError, ErrUnavailable.
func (t *turns) take(ctx context.Context, id UserID, most int) (done func(), err error) {
	own, err := t.join(id, most)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, turnWait)
	defer cancel()
	select {
	case <-own.free:
		return func() { own.free <- struct{}{}; t.leave(id, own) }, nil
	case <-ctx.Done():
		t.leave(id, own)
		return nil, fmt.Errorf("%w: others change the user", ErrUnavailable)
	}
}

func (t *turns) join(id UserID, most int) (*turn, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	own := t.users[id]
	if own == nil {
		own = &turn{free: make(chan struct{}, 1)}
		own.free <- struct{}{}
		if t.users == nil {
			t.users = make(map[UserID]*turn)
		}
		t.users[id] = own
	}
	if own.n > most {
		return nil, &LimitError{time.Second}
	}
	own.n++
	return own, nil
}

func (t *turns) leave(id UserID, own *turn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if own.n--; own.n == 0 {
		delete(t.users, id)
	}
}

// alone repeats f, which changes the user, for as long as another process wins; of
// this one nobody else has the turn.
func (s *Service) alone(ctx context.Context, id UserID, most int, doing string, f func() error) error {
	done, err := s.turns.take(ctx, id, most)
	if err != nil {
		return err
	}
	defer done()
	return retry(doing, f)
}

// inTurn tries f, which relies on the user as it was read, and repeats it in turn
// when it has lost to somebody.
func (s *Service) inTurn(ctx context.Context, id UserID, doing string, f func() error) error {
	if err := f(); !errors.Is(err, ErrConflict) {
		return err
	}
	return s.alone(ctx, id, anyTurns, doing, f)
}

// maxAttempts bounds the retries of a compare-and-swap: each one lost means
// that another one won.
const maxAttempts = 10

// retry repeats f for as long as it loses a compare-and-swap.
func retry(doing string, f func() error) error {
	for i := range maxAttempts {
		if err := f(); !errors.Is(err, ErrConflict) {
			return err
		}
		if i > 1 {
			time.Sleep(rand.N(min(50*time.Millisecond, time.Millisecond<<i))) // those it loses to may rest
		}
	}
	return fmt.Errorf("%s: %w: %w", doing, ErrUnavailable, ErrConflict)
}
