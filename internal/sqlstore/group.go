package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"time"

	"github.com/latchkey-auth/latchkey/internal/storage"
)

const (
	// maxGroup bounds a transaction: nobody waits for more than so many others.
	maxGroup = 64
	// gathering is how long a group waits for more commits while they come
	// together, so that there are fewer transactions and syncs. Commits that come
	// alone do not wait.
	gathering = 300 * time.Microsecond
)

// A group collects the commits that come while a transaction is under way, and
// carries them out together in the next: one sync to disk for all of them. Each
// keeps its own outcome.
type group struct {
	mu      sync.Mutex
	waiting []*commit
	working bool
}

// A commit is what one caller wants done: changes, or something of the counters.
type commit struct {
	apply func(*application) error // all but the events
	// events of a group are inserted together.
	events  []storage.Event
	changes []storage.Change // what apply carries out, as far as it touches sessions or users
	// refusable: apply is refused often, with an error that is no fault. It must leave
	// what others have done in the transaction.
	refusable bool
	done      chan error // gets one answer
}

func newCommit(apply func(*application) error) *commit {
	return &commit{apply: apply, done: make(chan error, 1)}
}

// enqueue has the commit carried out with those that come at the same time, and returns
// its outcome. It goes on when ctx ends.
func (s *Store) enqueue(ctx context.Context, c *commit) error {
	if s.postgres != nil {
		return s.postgres.apply(&s.stmts, c.whole) // it has any number of them under way
	}
	s.group.mu.Lock()
	s.group.waiting = append(s.group.waiting, c)
	idle := !s.group.working
	s.group.working = true
	s.group.mu.Unlock()
	if idle {
		// Tied to nobody's ctx: it works for all.
		go s.work(context.WithoutCancel(ctx))
	}
	limit := time.NewTimer(s.queueWait)
	defer limit.Stop()
	select {
	case err := <-c.done:
		return err
	case <-limit.C:
	}
	if s.group.withdraw(c) {
		return unavailable(errors.New("other writers take too long"))
	}
	return <-c.done // it has begun, and its outcome counts
}

// withdraw takes back a commit that has not begun.
func (g *group) withdraw(c *commit) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	for i, other := range g.waiting {
		if other == c {
			g.waiting = append(g.waiting[:i], g.waiting[i+1:]...)
			return true
		}
	}
	return false
}

// take returns the next commits to carry out, or none and ends the work.
func (g *group) take() []*commit {
	g.mu.Lock()
	defer g.mu.Unlock()
	n := min(len(g.waiting), maxGroup)
	g.working = n > 0
	next := g.waiting[:n:n]
	g.waiting = g.waiting[n:]
	return next
}

// refuse answers all who wait: the database has been locked for as long as anybody
// waits for it. To try for them next would have them wait for as long again.
func (g *group) refuse(err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, c := range g.waiting {
		c.done <- err
	}
	g.waiting = nil
}

func (s *Store) work(ctx context.Context) {
	for together := false; ; {
		if together {
			time.Sleep(gathering)
		} else {
			runtime.Gosched() // a goroutine that is ready to run may be about to commit
		}
		commits := s.group.take()
		if len(commits) == 0 {
			return
		}
		together = len(commits) > 1
		outcomes, shown := s.carryOut(ctx, commits)
		var changes []storage.Change
		for i, err := range outcomes {
			if err == nil {
				changes = append(changes, commits[i].changes...)
			}
		}
		s.sessions.committed(shown, changes)
		for i, err := range outcomes {
			commits[i].done <- err
		}
		if err := outcomes[len(outcomes)-1]; errors.Is(err, errNotBegun) {
			s.group.refuse(err)
		}
	}
}

// carryOut returns the outcome of each commit, and what one transaction for all of them
// has shown. Most groups succeed as a whole; one that does not is carried out again with a
// savepoint for each.
func (s *Store) carryOut(ctx context.Context, commits []*commit) ([]error, shown) {
	outcomes := make([]error, len(commits))
	var all shown
	if len(commits) == 1 {
		all, outcomes[0] = s.single(ctx, commits[0])
		return outcomes, all
	}
	all, refused, err := s.atOnce(ctx, commits, outcomes)
	if refused {
		refused, err = s.oneByOne(ctx, commits, outcomes)
	}
	for i := range outcomes {
		switch {
		case refused && i > 0 && errors.Is(outcomes[i-1], errNotBegun): // nor would this one be
			outcomes[i] = outcomes[i-1]
		case refused: // SQLite may have undone the whole transaction
			_, outcomes[i] = s.single(ctx, commits[i])
		case err != nil:
			outcomes[i] = err
		}
	}
	return outcomes, all
}

// atOnce applies all commits in one transaction, with their events together, and
// reports whether one of them has spoilt it.
func (s *Store) atOnce(ctx context.Context, commits []*commit, outcomes []error) (all shown, refused bool, err error) {
	all, err = s.transactShown(ctx, func(ctx context.Context, tx *sql.Tx) error {
		a := &application{ctx: ctx, stmts: &s.stmts, tx: tx}
		var events []storage.Event
		for i, c := range commits {
			if c.refusable {
				refused, outcomes[i] = a.alone(c.apply)
			} else {
				refused, outcomes[i] = a.safely(c.apply)
			}
			if refused {
				return outcomes[i]
			}
			if outcomes[i] == nil {
				events = append(events, c.events...)
			}
		}
		refused, err = a.safely(func(a *application) error { return a.appendEvents(events) })
		return err
	})
	return all, refused, err
}

// oneByOne applies all commits in one transaction, each behind a savepoint, and
// reports whether one of them has spoilt it.
func (s *Store) oneByOne(ctx context.Context, commits []*commit, outcomes []error) (refused bool, err error) {
	err = s.transact(ctx, func(ctx context.Context, tx *sql.Tx) error {
		a := &application{ctx: ctx, stmts: &s.stmts, tx: tx}
		for i, c := range commits {
			if refused, outcomes[i] = a.alone(c.whole); refused {
				return outcomes[i]
			}
		}
		return nil
	})
	return refused, err
}

// single carries out one commit in a transaction of its own.
func (s *Store) single(ctx context.Context, c *commit) (shown, error) {
	return s.transactShown(ctx, func(ctx context.Context, tx *sql.Tx) error {
		a := &application{ctx: ctx, stmts: &s.stmts, tx: tx}
		_, err := a.safely(c.whole)
		return err
	})
}

// whole applies all of the commit.
func (c *commit) whole(a *application) error {
	if err := c.apply(a); err != nil {
		return err
	}
	return a.appendEvents(c.events)
}

// safely makes an outcome of a panic, which no caller's recover would see here. Any
// failure spoils the transaction.
func (a *application) safely(apply func(*application) error) (spoilt bool, err error) {
	defer func() {
		if v := recover(); v != nil {
			spoilt, err = true, fmt.Errorf("%w: panic: %v", storage.ErrUnavailable, v)
		}
	}()
	err = apply(a)
	return err != nil, err
}

// alone undoes what is refused, and leaves what was done before. Only a fault spoils the
// transaction.
func (a *application) alone(apply func(*application) error) (spoilt bool, outcome error) {
	if err := a.run(a.stmts.savepoint); err != nil {
		return true, err
	}
	failed, outcome := a.safely(apply)
	if errors.Is(outcome, storage.ErrUnavailable) {
		return true, outcome
	}
	if failed {
		if err := a.run(a.stmts.rollbackTo); err != nil {
			return true, err
		}
	}
	if err := a.run(a.stmts.release); err != nil {
		return true, err
	}
	return false, outcome
}
