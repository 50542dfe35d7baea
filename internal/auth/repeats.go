package auth

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/latchkey-auth/latchkey/internal/storage"
)

// repeats coalesces refusals that a client can cause as fast as it sends requests:
// they must not fill the disk. Of those with one key the first is written, and after
// it one a minute, the latest, with the number of those since. Each process counts its
// own; what it has not written when it is killed is lost.
type repeats struct {
	mu    sync.Mutex
	byKey map[string]*repeated
	swept time.Time
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
func (r *repeats) add(key string, e storage.Event) []pendingEvent {
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

func (r *repeats) remember(key string, written time.Time) *repeated {
	if r.byKey == nil {
		r.byKey = make(map[string]*repeated)
	}
	known := &repeated{written: written}
	r.byKey[key] = known
	return known
}

func (k *repeated) add(e storage.Event) {
	e.Count = k.latest.Count + max(1, e.Count)
	k.latest = e
}

// due is sweep, once a second at most.
func (r *repeats) due(now time.Time) []pendingEvent {
	if now.Sub(r.swept).Abs() < time.Second {
		return nil
	}
	r.swept = now
	return r.sweep(now, repeatedEvery)
}

// sweep returns the events of the keys of which none was written for so long, and
// forgets those that have no more.
func (r *repeats) sweep(now time.Time, silent time.Duration) []pendingEvent {
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
func (r *repeats) putBack(pending []pendingEvent) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, p := range pending {
		known := r.byKey[p.key]
		if known == nil {
			known = r.remember(p.key, p.event.Time)
		}
		p.event.ID = eventID() // it may have been written, with the number of then
		known.add(p.event)
	}
}

// recordRepeated records an event that may come again at any rate, see repeats.
func (s *Service) recordRepeated(ctx context.Context, key string, e storage.Event) error {
	return s.writeRepeated(ctx, s.repeats.add(key, e))
}

// RecordRepeats writes what was counted of refusals and is due: of each key once a
// minute; or with all what there is, before a process ends.
func (s *Service) RecordRepeats(ctx context.Context, all bool) error {
	silent := repeatedEvery
	if all {
		silent = 0
	}
	s.repeats.mu.Lock()
	due := s.repeats.sweep(s.Now(), silent)
	s.repeats.mu.Unlock()
	return s.writeRepeated(ctx, due)
}

func (s *Service) writeRepeated(ctx context.Context, pending []pendingEvent) error {
	for len(pending) > 0 {
		some := pending[:min(len(pending), repeatedTogether)]
		changes := make([]storage.Change, len(some))
		for i, p := range some {
			changes[i] = storage.AppendEvent{Event: p.event}
		}
		if err := s.Store.Commit(ctx, changes...); err != nil {
			s.repeats.putBack(pending)
			return wrap("recording refusals", err)
		}
		pending = pending[len(some):]
	}
	return nil
}

// recordLimited records an attempt that was turned away unchecked, and returns why. Those
// at one limit are coalesced.
func (s *Service) recordLimited(ctx context.Context, c Client, kind storage.EventKind, user storage.User, why error) error {
	var limit *LimitError
	if !errors.As(why, &limit) {
		return why
	}
	e := c.event(kind, storage.OutcomeLimited, s.Now())
	e.UserID = user.ID
	if err := s.recordRepeated(ctx, string(kind)+" "+limit.Key, e); err != nil {
		return err
	}
	return why
}
