// Package audit keeps the audit trail from filling the disk: what a client can cause as
// fast as it sends requests is written once a minute.
package audit

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/latchkey-auth/latchkey/internal/storage"
)

// Repeats coalesce events that may come again at any rate. Of those with one key the first
// is written, and after it one a minute, the latest, with the number of those since. Each
// process counts its own; what it has not written when it is killed is lost.
type Repeats struct {
	store Store
	now   func() time.Time

	mu    sync.Mutex // guards what is below
	byKey map[string]*repeated
	swept time.Time
}

// A Store takes the events in: a storage.Store.
type Store interface {
	Commit(ctx context.Context, changes ...storage.Change) error
}

// NewRepeats returns Repeats that write to the store.
func NewRepeats(store Store, now func() time.Time) *Repeats {
	return &Repeats{store: store, now: now, byKey: make(map[string]*repeated)}
}

type repeated struct {
	written time.Time     // when one of the key was written last
	latest  storage.Event // of the others since; its Count is their number
}

// A pendingEvent is to be written now.
type pendingEvent struct {
	key   string
	event storage.Event
}

const (
	// repeatedEvery is how often a line about those of one key is written.
	repeatedEvery = time.Minute
	// maxRepeated bounds the keys in memory; beyond it all events of a kind have one.
	maxRepeated = 10_000
	// repeatedTogether is how many events are written in one commit.
	repeatedTogether = storage.MaxChanges
)

// add takes the event in and returns what is to be written now: it, if it is the first
// of its key, and what is due of others.
func (r *Repeats) add(key string, e storage.Event) []pendingEvent {
	r.mu.Lock()
	defer r.mu.Unlock()
	due := r.due(e.Time)
	known := r.byKey[key]
	if known == nil && len(r.byKey) >= maxRepeated {
		key = string(e.Kind)
		known = r.byKey[key]
	}
	if known == nil {
		r.remember(key, e.Time)
		return append(due, pendingEvent{key, e})
	}
	known.add(e)
	return due
}

func (r *Repeats) remember(key string, written time.Time) *repeated {
	known := &repeated{written: written}
	r.byKey[key] = known
	return known
}

func (k *repeated) add(e storage.Event) {
	e.Count = k.latest.Count + max(1, e.Count)
	k.latest = e
}

// due is sweep, once a second at most.
func (r *Repeats) due(now time.Time) []pendingEvent {
	if now.Sub(r.swept).Abs() < time.Second {
		return nil
	}
	r.swept = now
	return r.sweep(now, repeatedEvery)
}

// sweep returns the events of the keys of which none was written for so long, and
// forgets those that have no more.
func (r *Repeats) sweep(now time.Time, silent time.Duration) []pendingEvent {
	var due []pendingEvent
	for key, known := range r.byKey {
		switch {
		case now.Sub(known.written).Abs() < silent: // also when the clock was set back
		case known.latest.Count == 0:
			delete(r.byKey, key)
		default:
			due = append(due, pendingEvent{key, known.latest})
			known.latest, known.written = storage.Event{}, now
		}
	}
	return due
}

// putBack is for what could not be written.
func (r *Repeats) putBack(pending []pendingEvent) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, p := range pending {
		known := r.byKey[p.key]
		if known == nil {
			known = r.remember(p.key, p.event.Time)
		}
		p.event.ID = storage.NewEventID() // it may have been written, with the number of then
		known.add(p.event)
	}
}

// Record takes in an event, and writes what is due.
func (r *Repeats) Record(ctx context.Context, key string, e storage.Event) error {
	return r.write(ctx, r.add(key, e))
}

// Write writes what was counted and is due: of each key once a minute; or with all what
// there is, before a process ends.
func (r *Repeats) Write(ctx context.Context, all bool) error {
	silent := repeatedEvery
	if all {
		silent = 0
	}
	r.mu.Lock()
	due := r.sweep(r.now(), silent)
	r.mu.Unlock()
	return r.write(ctx, due)
}

func (r *Repeats) write(ctx context.Context, pending []pendingEvent) error {
	for len(pending) > 0 {
		some := pending[:min(len(pending), repeatedTogether)]
		changes := make([]storage.Change, len(some))
		for i, p := range some {
			changes[i] = storage.AppendEvent{Event: p.event}
		}
		if err := r.store.Commit(ctx, changes...); err != nil {
			r.putBack(pending)
			return fmt.Errorf("recording refusals: %w", err)
		}
		pending = pending[len(some):]
	}
	return nil
}
