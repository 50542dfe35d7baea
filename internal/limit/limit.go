package limit

import (
	"fmt"
	"math"
	"time"
)

// A Limit says how attempts slow down the next one: the first ones do not, each further
// one doubles the wait.
type Limit struct {
	Free    int           // attempts without a wait
	First   time.Duration // the wait after one more; zero: the limit counts and holds nothing up
	Longest time.Duration // the wait never exceeds it
	Fade    time.Duration // how long one attempt takes to be forgotten
}

// Times is a limit of n times the attempts: n times as many are free, and are forgotten
// in the same time.
func (l Limit) Times(n int) Limit {
	l.Free, l.Fade = l.Free*n, l.Fade/time.Duration(n)
	return l
}

// tightened is the limit while the alarm is on.
func (l Limit) tightened() Limit {
	l.Free = max(1, l.Free/4)
	return l
}

// level is how many attempts the count amounts to, as of the given time. It does not
// fade before its Last.
func (l Limit) level(c Count, at time.Time) float64 {
	if at.Before(c.Last) {
		at = c.Last
	}
	if l.Fade <= 0 { // there is no limit
		return 0
	}
	return max(0, float64(c.Empty.Sub(at))/float64(l.Fade))
}

// over is by how many attempts the level exceeds the free ones; below zero: there is
// room.
func (l Limit) over(c Count, at time.Time) float64 {
	return math.Round(l.level(c, at)) - float64(l.Free)
}

// wait is how much longer an attempt has to wait at now.
func (l Limit) wait(c Count, now time.Time) time.Duration {
	if c.Last.IsZero() {
		return 0
	}
	over := l.over(c, c.Last)
	if over < 0 {
		return 0
	}
	delay := time.Duration(min(float64(l.Longest), math.Ldexp(float64(l.First), int(over))))
	wait := c.Last.Add(delay).Sub(now)
	if wait > l.Longest+delay {
		return 0 // the clock was set back: nobody waits for it to come here again
	}
	return max(0, min(delay, wait))
}

// take is the reservation of an attempt that does not have to wait. While there is
// room, others may take at the same time. Otherwise one does of any number.
func (l Limit) take(key string, c Count, now, at time.Time) Take {
	t := Take{Key: key, At: at, Fade: l.Fade, Was: c, Guard: GuardUnchanged}
	if l.over(c, now) < 0 {
		t.Guard = GuardRoom
		if now.Before(c.Last) {
			now = c.Last
		}
		// What rounds to one less than Free, so that Free is reached with this one.
		t.Most = now.Add(time.Duration(l.Free)*l.Fade - l.Fade/2 - 1)
	}
	return t
}

// staleAfter is when a reservation is taken for one whose process has ended. No attempt
// takes that long.
const staleAfter = 30 * time.Second

// UnderWay reports whether some of the count are reservations that may be given back.
func (c Count) UnderWay(now time.Time) bool {
	return c.Reserved > 0 && now.Sub(c.Last).Abs() < staleAfter
}

// An Error says when to try again.
type Error struct {
	RetryAfter time.Duration
	// Key is that of the bucket which is full, or the network of which too many
	// attempts are under way.
	Key string
}

func (e *Error) Error() string { return fmt.Sprintf("too many attempts: wait %v", e.RetryAfter) }
