package limit

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"
)

// A Bucket is where attempts count.
type Bucket struct {
	Key   string
	Limit Limit
}

// An Attempt says under what an attempt counts. No key stands in it twice.
type Attempt struct {
	// Network is of whom no more than 16 attempts are under way in this process. It is
	// any text: who counts apart has another one. Empty: nothing bounds them.
	Network string
	// Hold are the buckets that the attempt reserves from before the work. With a
	// Reserve, the first one is that of the network at what is attempted.
	Hold []Bucket
	// Total is reserved from as well. When it is full, an attempt reserves from Reserve
	// in its place if nobody has ever failed in its first Hold. Nil: none.
	Total, Reserve *Bucket
	// Count are counted when the attempt fails, and hold nothing up.
	Count []Bucket
	// Alarm is counted like Count. While it is over its Free, the limits of Hold and
	// Total have a quarter of theirs. Nil: none.
	Alarm *Bucket
	// Marked takes the place of this attempt while its mark has not expired. The store is
	// asked for the mark and for the counts of both at the same time. Nil: none.
	Marked *Marked
}

// A Marked is an attempt with a mark, of the Network of the one whose place it takes.
type Marked struct {
	Mark    string // the id
	Attempt Attempt
}

// A Limiter lets attempts through or holds them up. Its fields are set before the first
// call; its methods may be called at the same time.
type Limiter struct {
	Counters Counters
	Now      func() time.Time // nil: time.Now

	queue queue

	mu      sync.Mutex
	stamped time.Time // what stamp returned last; mu guards it
}

const (
	// maxWait is how long an attempt waits for others that are under way.
	maxWait = 5 * time.Second
	// soon is when those who may not wait, or have waited in vain, are to come again.
	soon = time.Second
	// retryMax is the longest pause after a lost race.
	retryMax = 50 * time.Millisecond
)

// errLate is why the wait of an attempt ends by itself.
var errLate = errors.New("waited too long for other attempts")

// Reserve takes the reservations of the attempt, from all of its buckets or from none.
// When it returns nil the work may begin: the caller defers Release, and calls Failed or
// GiveBack once the outcome is known.
//
// The error is an *[Error] when a bucket is full of failures, when others have been
// under way for 5 s, or when too many wait for them. It is the cause of ctx when ctx
// ends the wait, and otherwise the one of Counters: without them nothing gets through.
func (l *Limiter) Reserve(ctx context.Context, a Attempt) (*Reservation, error) {
	waiting, cancel := context.WithTimeoutCause(ctx, maxWait, errLate)
	defer cancel()
	w := l.queue.newWaiter(a.Network)
	defer l.queue.done(w)
	r := &Reservation{limiter: l, attempt: a}
	for try := 0; ; try++ {
		if err := l.queue.enter(waiting, w); err != nil {
			return nil, err
		}
		found, err := l.try(ctx, r, w)
		if err == nil && found.taken {
			r.takes, r.alarm = found.takes, found.alarm
			return r, nil
		}
		l.queue.leave(a.Network) // who waits for a bucket keeps nobody from another one
		switch {
		case err != nil:
		case found.busy != "":
			err = l.queue.wait(waiting, w, spot{bucket: true, key: found.busy})
		default: // another attempt was faster
			err = sleep(waiting, a.Network, rand.N(min(retryMax, time.Millisecond<<min(try+1, 10))))
		}
		if err != nil {
			return nil, err
		}
	}
}

// try reads all counts once, and takes when none of them stands against it.
func (l *Limiter) try(ctx context.Context, r *Reservation, w *waiter) (finding, error) {
	if r.attempt.holdsNothing() {
		return finding{taken: true}, nil
	}
	if key, ok := l.aheadOf(w, r.attempt); ok {
		return finding{busy: key}, nil
	}
	counts, expires, err := l.read(ctx, r.attempt)
	if err != nil {
		return finding{}, err
	}
	r.decide(expires, l.now())
	a := r.attempt
	j := judge{attempt: a, counts: counts, now: l.now(), at: l.stamp()}
	j.ahead = func(key string) bool { return l.queue.ahead(w, key) }
	found, err := j.judge()
	if err != nil || found.busy != "" {
		return found, err
	}
	if a.Alarm != nil {
		found.alarm = counts[a.Alarm.Key]
	}
	if err := l.endStale(ctx, found.takes, j.now); err != nil {
		return finding{}, err
	}
	// The client may hang up meanwhile: it must not be open whether this was taken.
	found.taken, err = l.Counters.Take(context.WithoutCancel(ctx), found.takes)
	if err != nil {
		return finding{}, fmt.Errorf("reserving an attempt: %w", err)
	}
	return found, nil
}

func (a Attempt) holdsNothing() bool {
	return len(a.Hold) == 0 && a.Total == nil && a.Marked == nil
}

// aheadOf returns a bucket of the attempt for which others have waited longer.
func (l *Limiter) aheadOf(w *waiter, a Attempt) (key string, ok bool) {
	if a.Marked != nil { // it is not known yet which buckets are its own
		return "", false
	}
	for _, b := range a.Hold {
		if l.queue.ahead(w, b.Key) {
			return b.Key, true
		}
	}
	return "", false
}

// read returns the counts, by key, of what may hold the attempt up, and when its mark
// expires.
func (l *Limiter) read(ctx context.Context, a Attempt) (map[string]Count, time.Time, error) {
	keys, mark := a.keys(), ""
	if a.Marked != nil {
		mark = a.Marked.Mark
		for _, key := range a.Marked.Attempt.keys() {
			if !slices.Contains(keys, key) {
				keys = append(keys, key)
			}
		}
	}
	read, expires, err := l.Counters.Counts(ctx, keys, mark)
	if err != nil && ctx.Err() != nil {
		return nil, time.Time{}, context.Cause(ctx)
	}
	if err != nil {
		return nil, time.Time{}, fmt.Errorf("reading limits: %w", err)
	}
	counts := make(map[string]Count, len(keys))
	for i, key := range keys {
		counts[key] = read[i]
	}
	return counts, expires, l.emptyAhead(ctx, counts)
}

// keys are those of the counts that may hold the attempt up.
func (a Attempt) keys() (keys []string) {
	for _, b := range a.Hold {
		keys = append(keys, b.Key)
	}
	for _, b := range []*Bucket{a.Total, a.Reserve, a.Alarm} {
		if b != nil {
			keys = append(keys, b.Key)
		}
	}
	return keys
}

// farAhead is more than clocks differ.
const farAhead = time.Hour

// emptyAhead empties the buckets from which somebody took by a clock that was far ahead.
// They would not leak before the time comes that it showed.
func (l *Limiter) emptyAhead(ctx context.Context, counts map[string]Count) error {
	now := l.now()
	var ahead []Take
	for key, c := range counts {
		if c.Last.Sub(now) > farAhead {
			ahead = append(ahead, Take{Key: key, At: c.Last, Fade: c.Empty.Sub(now)})
			counts[key] = Count{}
		}
	}
	if ahead == nil {
		return nil
	}
	if err := l.Counters.Settle(context.WithoutCancel(ctx), ahead, nil, nil); err != nil {
		return fmt.Errorf("emptying counts of a clock that was ahead: %w", err)
	}
	return nil
}

// endStale keeps one reservation of each bucket whose process must have ended. It would
// seem to be under way again after every other attempt.
func (l *Limiter) endStale(ctx context.Context, takes []Take, now time.Time) error {
	var stale []Take
	for _, t := range takes {
		if t.Was.Reserved > 0 && !t.Was.UnderWay(now) {
			stale = append(stale, t)
		}
	}
	if stale == nil {
		return nil
	}
	if err := l.Counters.Settle(context.WithoutCancel(ctx), nil, stale, nil); err != nil {
		return fmt.Errorf("ending stale reservations: %w", err)
	}
	return nil
}

func (l *Limiter) now() time.Time {
	if l.Now == nil {
		return time.Now()
	}
	return l.Now()
}

// stamp returns the time, and never the same one twice, in the microseconds that every
// store keeps: giving back finds by it whether somebody has taken since.
func (l *Limiter) stamp() time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	at := l.now().Truncate(time.Microsecond)
	if ahead := l.stamped.Sub(at); ahead >= 0 && ahead < time.Second { // else the clock was set back
		at = l.stamped.Add(time.Microsecond)
	}
	l.stamped = at
	return at
}

// sleep waits so long, or returns why the attempt may not.
func sleep(ctx context.Context, key string, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ended(ctx, key)
	}
}

// ended is the error of an attempt whose wait is over.
func ended(ctx context.Context, key string) error {
	if err := context.Cause(ctx); err != errLate {
		return err
	}
	return &Error{soon, key}
}
