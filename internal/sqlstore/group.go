package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"time"

	"github.com/latchkey-auth/latchkey/internal/auth"
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

type commit struct {
	batch auth.Batch
	done  chan error // gets one answer
}

// Commit carries out the batch: all of it, or nothing. It is not tied to ctx:
// whoever hangs up must not take back that a guess was wrong.
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
			runtime.Gosched() // whoever is ready to run may be about to commit
		}
		commits := s.group.take()
		if len(commits) == 0 {
			return
		}
		together = len(commits) > 1
		outcomes := s.carryOut(ctx, commits)
		for i, err := range outcomes {
			if err == nil {
				s.sessions.committed(commits[i].batch)
			}
			commits[i].done <- err
		}
		if err := outcomes[len(outcomes)-1]; errors.Is(err, errNotBegun) {
			s.group.refuse(err)
		}
	}
}

// carryOut returns the outcome of each commit. Most groups succeed as a whole;
// one that does not is carried out again with a savepoint for each.
func (s *Store) carryOut(ctx context.Context, commits []*commit) []error {
	outcomes := make([]error, len(commits))
	if len(commits) == 1 {
		outcomes[0] = s.single(ctx, commits[0].batch)
		return outcomes
	}
	refused, err := s.atOnce(ctx, commits, outcomes)
	if refused {
		refused, err = s.oneByOne(ctx, commits, outcomes)
	}
	for i := range outcomes {
		switch {
		case refused && i > 0 && errors.Is(outcomes[i-1], errNotBegun): // nor would this one be
			outcomes[i] = outcomes[i-1]
		case refused: // SQLite may have undone the whole transaction
			outcomes[i] = s.single(ctx, commits[i].batch)
		case err != nil:
			outcomes[i] = err
		}
	}
	return outcomes
}

// atOnce applies all batches in one transaction, with their events together, and
// reports whether one of them has spoilt it.
func (s *Store) atOnce(ctx context.Context, commits []*commit, outcomes []error) (refused bool, err error) {
	err = s.transact(ctx, func(ctx context.Context, tx *sql.Tx) error {
		var events []auth.Event
		for _, c := range commits {
			b := c.batch
			events = append(events, b.Events...)
			b.Events = nil
			if refused, err = s.applySafely(ctx, tx, b); refused {
				return err
			}
		}
		refused, err = s.applySafely(ctx, tx, auth.Batch{Events: events})
		return err
	})
	return refused, err
}

// oneByOne applies all batches in one transaction, each behind a savepoint, and
// reports whether one of them has spoilt it.
func (s *Store) oneByOne(ctx context.Context, commits []*commit, outcomes []error) (refused bool, err error) {
	err = s.transact(ctx, func(ctx context.Context, tx *sql.Tx) error {
		for i, c := range commits {
			if refused, outcomes[i] = s.applyAlone(ctx, tx, c.batch); refused {
				return outcomes[i]
			}
		}
		return nil
	})
	return refused, err
}

// single carries out one batch in a transaction of its own.
func (s *Store) single(ctx context.Context, b auth.Batch) error {
	return s.transact(ctx, func(ctx context.Context, tx *sql.Tx) error {
		_, err := s.applySafely(ctx, tx, b)
		return err
	})
}

// applySafely makes an outcome of a panic, which no caller's recover would see
// here. Any failure spoils the transaction.
func (s *Store) applySafely(ctx context.Context, tx *sql.Tx, b auth.Batch) (spoilt bool, err error) {
	defer func() {
		if v := recover(); v != nil {
			spoilt, err = true, fmt.Errorf("%w: panic: %v", auth.ErrUnavailable, v)
		}
	}()
	err = s.apply(ctx, tx, b)
	return err != nil, err
}

// applyAlone undoes a batch that is refused, and leaves those before it. Only a
// fault spoils the transaction.
func (s *Store) applyAlone(ctx context.Context, tx *sql.Tx, b auth.Batch) (spoilt bool, outcome error) {
	if _, err := tx.StmtContext(ctx, s.stmts.savepoint).ExecContext(ctx); err != nil {
		return true, unavailable(err)
	}
	failed, outcome := s.applySafely(ctx, tx, b)
	if errors.Is(outcome, auth.ErrUnavailable) {
		return true, outcome
	}
	if failed {
		if _, err := tx.StmtContext(ctx, s.stmts.rollbackTo).ExecContext(ctx); err != nil {
			return true, unavailable(err)
		}
	}
	if _, err := tx.StmtContext(ctx, s.stmts.release).ExecContext(ctx); err != nil {
		return true, unavailable(err)
	}
	return false, outcome
}

// apply carries out the batch in the transaction, in the order of its members.
func (s *Store) apply(ctx context.Context, tx *sql.Tx, b auth.Batch) error {
	a := &application{ctx: ctx, tx: tx}
	each(a, b.CheckUsers, s.checkUser)
	each(a, b.DeleteUsers, s.deleteUser)
	each(a, b.CreateUsers, s.createUser)
	each(a, b.UpdateUsers, s.updateUser)
	each(a, b.CreateSessions, s.createSession)
	each(a, b.UpdateSessions, s.updateSession)
	each(a, b.RotateSessions, s.rotateSession)
	each(a, b.TakeTickets, s.takeTicket)
	each(a, b.CountTries, s.countTry)
	each(a, b.PutTickets, s.putTicket)
	each(a, b.QueueMails, s.queueMail)
	each(a, b.DeferMails, s.deferMail)
	each(a, b.DeleteMails, s.deleteMail)
	each(a, b.Hits, s.addHit)
	if a.err != nil {
		return a.err
	}
	return s.appendEvents(ctx, tx, b.Events)
}

// application is a batch on its way into a transaction; it stops at the first
// error.
type application struct {
	ctx context.Context
	tx  *sql.Tx
	err error
}

func each[T any](a *application, all []T, do func(context.Context, *sql.Tx, T) error) {
	for _, one := range all {
		if a.err != nil {
			return
		}
		a.err = do(a.ctx, a.tx, one)
	}
}
