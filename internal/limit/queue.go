package limit

import (
	"cmp"
	"context"
	"math/rand/v2"
	"slices"
	"sync"
	"time"
)

const (
	// maxInFlight is how many attempts of one network are under way: nobody fills the
	// queue for a hash alone.
	maxInFlight = 16
	// maxWaiting is how many attempts wait, of one network maxNetworkWaiting.
	maxWaiting        = 512
	maxNetworkWaiting = 64
	// pollEvery is how often the oldest who waits for a bucket asks the store.
	pollEvery = 25 * time.Millisecond
)

// A queue has the attempts of this process that wait: for others of their network, or
// for reservations of a bucket. Those of one spot go by age.
type queue struct {
	mu       sync.Mutex // guards all below, and the fields of waiters
	born     uint64     // how many waiters there have been
	inFlight map[string]int
	waiting  map[spot][]*waiter // oldest first
	all      int                // who has waited and is not done
	networks map[string]int     // of these, by network
}

// A spot is where attempts wait: at a bucket, or at a network.
type spot struct {
	bucket bool
	key    string
}

// A waiter is an attempt that is not through yet.
type waiter struct {
	network string
	age     uint64
	spot    spot          // where it waits; zero: nowhere
	counted bool          // in all and networks
	wake    chan struct{} // has one when it should look again; nil: it has never waited
}

func (q *queue) newWaiter(network string) *waiter {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.born++
	return &waiter{network: network, age: q.born}
}

// done ends the waiting of an attempt, for whatever reason.
func (q *queue) done(w *waiter) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.depart(w)
	if w.counted {
		w.counted = false
		q.all--
		less(q.networks, w.network)
	}
}

// enter waits until fewer than maxInFlight of the network are under way, and makes the
// attempt one of them. The error is that of wait.
func (q *queue) enter(ctx context.Context, w *waiter) error {
	for !q.tryEnter(w) {
		if err := q.wait(ctx, w, spot{key: w.network}); err != nil {
			return err
		}
	}
	return nil
}

func (q *queue) tryEnter(w *waiter) bool {
	if w.network == "" {
		return true
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	at := spot{key: w.network}
	if q.inFlight[w.network] >= maxInFlight || q.aheadAt(w, at) {
		return false
	}
	if q.inFlight == nil {
		q.inFlight = make(map[string]int)
	}
	q.inFlight[w.network]++
	if w.spot == at {
		q.depart(w)
	}
	return true
}

// leave undoes enter.
func (q *queue) leave(network string) {
	if network == "" {
		return
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	less(q.inFlight, network)
	q.wakeFirst(spot{key: network})
}

// ahead reports whether somebody has waited for the bucket for longer.
func (q *queue) ahead(w *waiter, key string) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.aheadAt(w, spot{bucket: true, key: key})
}

func (q *queue) aheadAt(w *waiter, at spot) bool {
	line := q.waiting[at]
	return len(line) > 0 && line[0].age < w.age
}

// wait returns nil when the attempt is the oldest that waits there, and should look
// again. It waits there until it is done, waits elsewhere, or enters. The error is an
// *[Error] when it has waited for too long or too many wait; the cause of ctx.
func (q *queue) wait(ctx context.Context, w *waiter, at spot) error {
	if !q.join(w, at) {
		return &Error{soon, cmp.Or(w.network, at.key)}
	}
	for {
		var tick <-chan time.Time
		if at.bucket && q.isFirst(w) { // other processes do not say when they settle
			tick = time.After(pollEvery/2 + rand.N(pollEvery))
		}
		select {
		case <-w.wake:
		case <-tick:
		case <-ctx.Done():
			return ended(ctx, at.key)
		}
		if q.isFirst(w) {
			return nil
		}
	}
}

// join adds the waiter to those at the spot. It reports whether it may wait.
func (q *queue) join(w *waiter, at spot) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if w.spot == at {
		return true
	}
	q.depart(w)
	if !w.counted {
		if q.all >= maxWaiting || w.network != "" && q.networks[w.network] >= maxNetworkWaiting {
			return false
		}
		if q.networks == nil {
			q.networks, q.waiting = make(map[string]int), make(map[spot][]*waiter)
		}
		w.counted, w.wake = true, make(chan struct{}, 1)
		q.all++
		q.networks[w.network]++
	}
	w.spot = at
	line := q.waiting[at]
	i, _ := slices.BinarySearchFunc(line, w, func(a, b *waiter) int { return cmp.Compare(a.age, b.age) })
	q.waiting[at] = slices.Insert(line, i, w)
	return true
}

// depart removes the waiter from where it waits. Whoever is the oldest there then looks
// at once: there may be room for more than one.
func (q *queue) depart(w *waiter) {
	line := q.waiting[w.spot]
	i := slices.Index(line, w)
	if i < 0 {
		return
	}
	at := w.spot
	w.spot = spot{}
	if line = slices.Delete(line, i, i+1); len(line) == 0 {
		delete(q.waiting, at)
		return
	}
	q.waiting[at] = line
	if i == 0 {
		q.wakeFirst(at)
	}
}

func (q *queue) isFirst(w *waiter) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.waiting[w.spot][0] == w
}

// settled has those look who wait for what was taken.
func (q *queue) settled(takes []Take) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, t := range takes {
		q.wakeFirst(spot{bucket: true, key: t.Key})
	}
}

func (q *queue) wakeFirst(at spot) {
	if line := q.waiting[at]; len(line) > 0 {
		select {
		case line[0].wake <- struct{}{}:
		default: // it will look anyway
		}
	}
}

// less takes one from the count of a key, and the key with the last one.
func less(counts map[string]int, key string) {
	if counts[key]--; counts[key] <= 0 {
		delete(counts, key)
	}
}
