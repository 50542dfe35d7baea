package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/latchkey-auth/latchkey/internal/auth"
)

// maxGroup bounds a transaction: nobody waits for more than so many others.
const maxGroup = 64

// A group collects the commits that come while a transaction is under way, and
// carries them out together in the next: one sync to disk for all of them. Each
// keeps its own outcome.
type group struct {
	mu      sync.Mutex
	waiting []*commit
	working bool
}

type commit struct {
	batch auth.Batch
	done  chan error // gets one answer
}

// Commit carries out the batch: all of it, or nothing.
func (s *Store) Commit(ctx context.Context, b auth.Batch) error {
	c := &commit{b, make(chan error, 1)}
	s.group.mu.Lock()
	s.group.waiting = append(s.group.waiting, c)
	idle := !s.group.working
	s.group.working = true
	s.group.mu.Unlock()
	if idle {
		// Tied to nobody's ctx: it works for all.
		go s.work(context.WithoutCancel(ctx))
	}
	limit := time.NewTimer(groupTimeout)
	defer limit.Stop()
	cause := errors.New("other writers take too long")
	select {
	case err := <-c.done:
		return err
	case <-ctx.Done():
		cause = ctx.Err()
	case <-limit.C:
	}
	if s.group.withdraw(c) {
		return unavailable(cause)
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

func (s *Store) work(ctx context.Context) {
	for commits := s.group.take(); len(commits) > 0; commits = s.group.take() {
		for i, err := range s.carryOut(ctx, commits) {
			commits[i].done <- err
		}
	}
}

// carryOut returns the outcome of each commit.
func (s *Store) carryOut(ctx context.Context, commits []*commit) []error {
	outcomes := make([]error, len(commits))
	if len(commits) == 1 {
		outcomes[0] = s.single(ctx, commits[0].batch)
		return outcomes
	}
	spoilt := false // by one of them
	err := s.transact(ctx, func(ctx context.Context, tx *sql.Tx) error {
		for i, c := range commits {
			outcomes[i] = s.applyAlone(ctx, tx, c.batch)
			if errors.Is(outcomes[i], auth.ErrUnavailable) {
				// SQLite may have undone the whole transaction.
				spoilt = true
				return outcomes[i]
			}
		}
		return nil
	})
	for i := range outcomes {
		switch {
		case spoilt:
			outcomes[i] = s.single(ctx, commits[i].batch)
		case err != nil:
			outcomes[i] = err
		}
	}
	return outcomes
}

// single carries out one batch in a transaction of its own. A panic becomes its
// outcome: no caller's recover would see it here.
func (s *Store) single(ctx context.Context, b auth.Batch) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("%w: panic: %v", auth.ErrUnavailable, v)
		}
	}()
	return s.transact(ctx, func(ctx context.Context, tx *sql.Tx) error { return s.apply(ctx, tx, b) })
}

// applyAlone undoes a batch that fails, and leaves those before it.
func (s *Store) applyAlone(ctx context.Context, tx *sql.Tx, b auth.Batch) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("%w: panic: %v", auth.ErrUnavailable, v)
		}
	}()
	if _, err := tx.StmtContext(ctx, s.stmts.savepoint).ExecContext(ctx); err != nil {
		return unavailable(err)
	}
	failed := s.apply(ctx, tx, b)
	if failed != nil {
		if _, err := tx.StmtContext(ctx, s.stmts.rollbackTo).ExecContext(ctx); err != nil {
			return unavailable(err)
		}
	}
	if _, err := tx.StmtContext(ctx, s.stmts.release).ExecContext(ctx); err != nil {
		return unavailable(err)
	}
	return failed
}

// apply carries out the batch in the transaction.
func (s *Store) apply(ctx context.Context, tx *sql.Tx, b auth.Batch) error {
	for _, u := range b.CheckUsers {
		if err := s.checkUser(ctx, tx, u); err != nil {
			return err
		}
	}
	for _, u := range b.CreateUsers {
		if err := s.createUser(ctx, tx, u); err != nil {
			return err
		}
	}
	for _, u := range b.UpdateUsers {
		if err := s.updateUser(ctx, tx, u); err != nil {
			return err
		}
	}
	for _, u := range b.DeleteUsers {
		if err := s.deleteUser(ctx, tx, u); err != nil {
			return err
		}
	}
	for _, session := range b.CreateSessions {
		if err := s.createSession(ctx, tx, session); err != nil {
			return err
		}
	}
	for _, session := range b.UpdateSessions {
		if err := s.updateSession(ctx, tx, session); err != nil {
			return err
		}
	}
	for _, h := range b.Hits {
		if err := s.addHit(ctx, tx, h); err != nil {
			return err
		}
	}
	return s.appendEvents(ctx, tx, b.Events)
}
