package auth

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/latchkey-auth/latchkey"
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
	free chan struct{}  // has one while nobody has the turn
	n    int            // have it or wait for it
	by   map[string]int // of these, by whom
}

const (
	// turnWait is how long a change waits for those before it. A store that is not
	// there ends the wait at once, see outages.
	turnWait = 5 * time.Second
	// fewTurns is how many may have or await the turn by the same token, which is
	// all that they need: by themselves they would fill the queue.
	fewTurns = 16
)

// take waits for the turn at a user and returns what ends it. By whom says who counts
// together for fewTurns; empty: there is no bound. *LimitError, ErrUnavailable.
func (t *turns) take(ctx context.Context, id UserID, by string) (done func(), err error) {
	own, err := t.join(id, by)
	if err != nil {
		return nil, err
	}
	timeout := time.NewTimer(turnWait)
	defer timeout.Stop()
	select {
	case <-own.free:
		return func() { own.free <- struct{}{}; t.leave(id, by, own) }, nil
	case <-ctx.Done():
		err = context.Cause(ctx)
	case <-timeout.C:
		err = ErrUnavailable // a change takes so long only when the store does
	}
	t.leave(id, by, own)
	return nil, fmt.Errorf("while others change the user: %w", err)
}

func (t *turns) join(id UserID, by string) (*turn, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	own := t.users[id]
	if own == nil {
		own = &turn{free: make(chan struct{}, 1), by: make(map[string]int)}
		own.free <- struct{}{}
		if t.users == nil {
			t.users = make(map[UserID]*turn)
		}
		t.users[id] = own
	}
	if by != "" && own.by[by] >= fewTurns {
		return nil, &LimitError{time.Second, by}
	}
	own.by[by]++
	own.n++
	return own, nil
}

func (t *turns) leave(id UserID, by string, own *turn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	own.by[by]--
	if own.n--; own.n == 0 {
		delete(t.users, id)
	}
}

// alone repeats f, which changes the user, for as long as another process wins; of
// this one nobody else has the turn, for which take says by whom it is.
func (s *Service) alone(ctx context.Context, id UserID, by, doing string, f func() error) error {
	waiting, enough := s.outages.watch(ctx)
	done, err := s.turns.take(waiting, id, by)
	enough()
	if err != nil {
		return err
	}
	defer done()
	return retry(doing, f)
}

// bearerAlone is alone for what a bearer token is enough for, over and over: a few
// at a time by each session. ErrInvalidToken.
func (s *Service) bearerAlone(ctx context.Context, claims latchkey.Claims, kind EventKind, c Client, doing string, f func(Session, User) error) error {
	session, user, err := s.bearer(ctx, claims)
	if err != nil { // without a turn: it may have ended long ago
		return err
	}
	err = s.alone(ctx, user.ID, "bearer "+string(session.ID), doing, func() error {
		session, user, err := s.bearer(ctx, claims)
		if err != nil {
			return err
		}
		return f(session, user)
	})
	return s.recordLimited(ctx, c, kind, user, err)
}

// inTurn tries f, which relies on the user as it was read, and repeats it in turn
// when it has lost to somebody.
func (s *Service) inTurn(ctx context.Context, id UserID, doing string, f func() error) error {
	if err := f(); !errors.Is(err, ErrConflict) {
		return err
	}
	return s.alone(ctx, id, "", doing, f)
}

// maxAttempts bounds the retries of a compare-and-swap: each one lost means
// that another one won.
const maxAttempts = 10

// retry repeats f for as long as it loses a compare-and-swap.
func retry(doing string, f func() error) error {
	for i := range maxAttempts {
		if i > 2 {
			time.Sleep(rand.N(min(50*time.Millisecond, time.Millisecond<<i))) // those it loses to may rest
		}
		if err := f(); !errors.Is(err, ErrConflict) {
			return err
		}
	}
	return fmt.Errorf("%s: %w: %w", doing, ErrUnavailable, ErrConflict)
}
