package auth

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/latchkey-auth/latchkey/internal/limit"
	"github.com/latchkey-auth/latchkey/internal/storage"
)

// outages ends the waits of all requests when a write fails for want of the store.
// A store takes its time to find that the database is locked; without this those who
// wait for a reservation or a hash would find it one after the other.
type outages struct {
	mu      sync.Mutex
	waiting map[*context.CancelCauseFunc]struct{}
}

// errOutage is why a wait has ended.
var errOutage = fmt.Errorf("%w: a write has just failed", storage.ErrUnavailable)

// watch returns a context that ends with the next outage, for its cause is errOutage
// then, and what is to be called when the wait is over.
func (o *outages) watch(ctx context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.waiting == nil {
		o.waiting = make(map[*context.CancelCauseFunc]struct{})
	}
	o.waiting[&cancel] = struct{}{}
	return ctx, func() {
		o.mu.Lock()
		delete(o.waiting, &cancel)
		o.mu.Unlock()
		cancel(nil)
	}
}

func (o *outages) announce() {
	o.mu.Lock()
	defer o.mu.Unlock()
	for cancel := range o.waiting {
		(*cancel)(errOutage)
	}
	clear(o.waiting)
}

// announcing is a store whose failed writes are outages.
type announcing struct {
	storage.Store
	*outages
}

func (a announcing) Commit(ctx context.Context, changes ...storage.Change) error {
	return a.tell(a.Store.Commit(ctx, changes...))
}

// announcingCounters are counters whose failed writes are outages.
type announcingCounters struct {
	limit.Counters
	*outages
}

func (a announcingCounters) Take(ctx context.Context, takes []limit.Take) (bool, error) {
	taken, err := a.Counters.Take(ctx, takes)
	return taken, a.tell(err)
}

func (a announcingCounters) Settle(ctx context.Context, given, kept, counted []limit.Take) error {
	return a.tell(a.Counters.Settle(ctx, given, kept, counted))
}

// tell announces an outage if the error is one, and returns it.
func (o *outages) tell(err error) error {
	if errors.Is(err, storage.ErrUnavailable) {
		o.announce()
	}
	return err
}

// hash is Hasher.Hash. ErrUnavailable when the store is not there meanwhile.
func (s *Service) hash(ctx context.Context, password string) (string, error) {
	ctx, done := s.outages.watch(ctx)
	defer done()
	return s.Hasher.Hash(ctx, password)
}

// verify is Hasher.Verify. ErrUnavailable when the store is not there meanwhile.
func (s *Service) verify(ctx context.Context, hash, password string) (ok, weak bool, err error) {
	ctx, done := s.outages.watch(ctx)
	defer done()
	return s.Hasher.Verify(ctx, hash, password)
}
