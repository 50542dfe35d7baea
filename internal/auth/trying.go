package auth

import (
	"context"
	"errors"
	"sync"
	"time"
)

const (
	// atOnce is how many attempts of one network are under way, of strangers and of
	// those who have proved who they are: nobody fills the queue of those who wait
	// for a hash alone.
	atOnce = 16
	// standBy is how long an attempt stands by for others, and maxStandBy how many
	// do, of one network maxCrowd. Beyond it they are told to come again.
	standBy    = 5 * time.Second
	maxStandBy = 512
	maxCrowd   = 32
)

// A place is what attempts hold while they are under way, no more of them at a
// time than there is room.
type place struct {
	key  string
	room int
}

// trying counts the attempts that are under way, by key, and those that stand by
// for room, by crowd.
type trying struct {
	mu       sync.Mutex
	under    map[string]*underway
	standing map[string]int
	all      int    // that stand by
	departed uint64 // how many have left
}

type underway struct {
	n    int
	left chan struct{} // closed when one is over; nil: nobody stands by
}

// entry is what it was like when an attempt entered.
type entry struct {
	nth      []int  // which one it is in each place, from 1
	departed uint64 // how many had left by then
}

// enter adds an attempt to all of the places as soon as each has room for it.
// *LimitError when that takes too long or too many stand by already; ErrUnavailable.
func (t *trying) enter(ctx context.Context, places []place, crowd string) (entry, error) {
	e, left := t.enterNow(places)
	if left == nil {
		return e, nil
	}
	if !t.beginStanding(crowd) {
		return entry{}, &LimitError{time.Second, crowd}
	}
	defer t.endStanding(crowd)
	for left != nil {
		select {
		case <-left:
			e, left = t.enterNow(places)
		case <-ctx.Done():
			if cause := context.Cause(ctx); errors.Is(cause, ErrUnavailable) {
				return entry{}, cause
			}
			return entry{}, &LimitError{time.Second, crowd}
		}
	}
	return e, nil
}

// enterNow enters all of the places or none; then it returns what tells that there
// is room again.
func (t *trying) enterNow(places []place) (e entry, left <-chan struct{}) {
	t.mu.Lock()
	defer t.mu.Unlock()
	e.departed = t.departed
	for _, p := range places {
		if u := t.under[p.key]; u != nil && u.n >= p.room {
			if u.left == nil {
				u.left = make(chan struct{})
			}
			return entry{}, u.left
		}
	}
	if t.under == nil {
		t.under = make(map[string]*underway)
	}
	for _, p := range places {
		u := t.under[p.key]
		if u == nil {
			u = new(underway)
			t.under[p.key] = u
		}
		u.n++
		e.nth = append(e.nth, u.n)
	}
	return e, nil
}

func (t *trying) beginStanding(crowd string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.all == maxStandBy || crowd != "" && t.standing[crowd] == maxCrowd {
		return false
	}
	if t.standing == nil {
		t.standing = make(map[string]int)
	}
	t.all++
	t.standing[crowd]++
	return true
}

func (t *trying) endStanding(crowd string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.all--
	if t.standing[crowd]--; t.standing[crowd] == 0 {
		delete(t.standing, crowd)
	}
}

// departures is how many have left.
func (t *trying) departures() uint64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.departed
}

func (t *trying) leave(places []place) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.departed++
	for _, p := range places {
		u := t.under[p.key]
		if u.n--; u.n == 0 {
			delete(t.under, p.key)
		}
		if u.left != nil {
			close(u.left)
			u.left = nil
		}
	}
}
