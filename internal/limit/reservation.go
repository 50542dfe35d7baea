package limit

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"
)

// A Reservation is an attempt under way. Of Failed and GiveBack the first call counts,
// and the others do nothing. A nil *Reservation holds nothing.
type Reservation struct {
	limiter           *Limiter
	attempt           Attempt
	takes             []Take
	alarm             Count // as it was read: a store that guesses by it seldom guesses wrong
	markExpires       time.Time
	settled, released atomic.Bool
}

// decide makes the attempt the one that its mark says, once the mark was read.
func (r *Reservation) decide(markExpires, now time.Time) {
	marked := r.attempt.Marked
	if marked == nil {
		return
	}
	r.markExpires, r.attempt.Marked = markExpires, nil
	if now.Before(markExpires) {
		r.attempt = marked.Attempt
	}
}

// MarkExpires is when the mark of the attempt expires; zero: there is none.
func (r *Reservation) MarkExpires() time.Time {
	if r == nil {
		return time.Time{}
	}
	return r.markExpires
}

// releaseWait is how long Release tries to give back.
const releaseWait = 5 * time.Second

// Failed leaves the reservations in their buckets and counts the attempt in those of
// Count and Alarm. It goes on when ctx ends.
func (r *Reservation) Failed(ctx context.Context) error {
	if r == nil || r.settled.Swap(true) {
		return nil
	}
	var counted []Take
	at := r.limiter.stamp()
	for _, b := range r.attempt.Count {
		counted = append(counted, Take{Key: b.Key, At: at, Fade: b.Limit.Fade})
	}
	if alarm := r.attempt.Alarm; alarm != nil {
		counted = append(counted, Take{Key: alarm.Key, Was: r.alarm, At: at, Fade: alarm.Limit.Fade})
	}
	return r.settle(ctx, nil, r.takes, counted)
}

// GiveBack gives the reservations back to their buckets: nothing has failed. It goes on
// when ctx ends.
func (r *Reservation) GiveBack(ctx context.Context) error {
	if r == nil || r.settled.Swap(true) {
		return nil
	}
	return r.settle(ctx, r.takes, nil, nil)
}

// Release ends the attempt: it is under way no more. What was neither failed nor given
// back by then is given back if the store can be reached.
func (r *Reservation) Release() {
	if r == nil || r.released.Swap(true) {
		return
	}
	r.limiter.queue.leave(r.attempt.Network)
	ctx, cancel := context.WithTimeout(context.Background(), releaseWait)
	defer cancel()
	_ = r.GiveBack(ctx) // otherwise they leak out, as if it had failed
}

func (r *Reservation) settle(ctx context.Context, given, kept, counted []Take) error {
	if len(given)+len(kept)+len(counted) == 0 {
		return nil
	}
	err := r.limiter.Counters.Settle(context.WithoutCancel(ctx), given, kept, counted)
	r.limiter.queue.settled(r.takes)
	if err != nil {
		return fmt.Errorf("settling an attempt: %w", err)
	}
	return nil
}
