// Package outage tells who waits that the store is not there.
//
// A store takes its time to find that its database is locked. Without this those who
// wait for a reservation or a hash would find it one after the other.
package outage

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/latchkey-auth/latchkey/internal/limit"
	"github.com/latchkey-auth/latchkey/internal/storage"
)

// Outages end the waits of all requests when a write fails for want of the store. The
// zero value is ready.
type Outages struct {
	mu      sync.Mutex // guards waiting
	waiting map[*context.CancelCauseFunc]struct{}
}

// errOutage is why a wait has ended.
var errOutage = fmt.Errorf("%w: a write has just failed", storage.ErrUnavailable)

// Watch returns a context that ends with the next outage, for its cause is errOutage
// then, and what is to be called when the wait is over.
func (o *Outages) Watch(ctx context.Context) (context.Context, func()) {
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

func (o *Outages) announce() {
	o.mu.Lock()
	defer o.mu.Unlock()
	for cancel := range o.waiting {
		(*cancel)(errOutage)
	}
	clear(o.waiting)
}

// Store is the store with failed writes that are outages.
func (o *Outages) Store(s storage.Store) storage.Store { return announcing{s, o} }

// Counters are the counters with failed writes that are outages.
func (o *Outages) Counters(c limit.Counters) limit.Counters { return announcingCounters{c, o} }

// announcing is a store whose failed writes are outages.
type announcing struct {
	storage.Store
	*Outages
}

func (a announcing) Commit(ctx context.Context, changes ...storage.Change) error {
	return a.tell(a.Store.Commit(ctx, changes...))
}

// announcingCounters are counters whose failed writes are outages.
type announcingCounters struct {
	limit.Counters
	*Outages
}

func (a announcingCounters) Take(ctx context.Context, takes []limit.Take) (bool, error) {
	taken, err := a.Counters.Take(ctx, takes)
	return taken, a.tell(err)
}

func (a announcingCounters) Settle(ctx context.Context, given, kept, counted []limit.Take) error {
	return a.tell(a.Counters.Settle(ctx, given, kept, counted))
}

// tell announces an outage if the error is one, and returns it.
func (o *Outages) tell(err error) error {
	if errors.Is(err, storage.ErrUnavailable) {
		o.announce()
	}
	return err
}
