package sqlstore

import (
	"context"
	"database/sql"
	"errors"
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
	limit := time.NewTimer(waitTimeout)
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
	err := s.transact(ctx, func(ctx context.Context, tx *sql.Tx) error {
		if len(commits) == 1 {
			return s.apply(ctx, tx, commits[0].batch)
		}
		for i, c := range commits {
			outcomes[i] = s.applyAlone(ctx, tx, c.batch)
			if errors.Is(outcomes[i], auth.ErrUnavailable) {
				// SQLite may have undone the whole transaction.
				return outcomes[i]
			}
		}
		return nil
	})
	if err != nil {
		for i := range outcomes {
			outcomes[i] = err
		}
	}
	return outcomes
}

// applyAlone undoes a batch that fails, and leaves those before it.
func (s *Store) applyAlone(ctx context.Context, tx *sql.Tx, b auth.Batch) error {
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
	return s.appendEvents(ctx, tx, b.Events)
}
