package limit

import (
	"context"
	"time"
)

// Counters keep counts: one leaky bucket for each key. A store implements them beside
// its other ports, and storetest judges it.
//
// Taking is one conditional write for each key. None of it is part of a commit: keys
// that many requests share must not make their commits fail.
type Counters interface {
	// Counts returns the count of each key, zero where nothing was taken, and when the mark
	// with the id expires, zero where there is none. An empty id asks for no mark.
	Counts(ctx context.Context, keys []string, mark string) (counts []Count, expires time.Time, err error)
	// Take takes from the bucket of each key, from all of them or from none. It
	// reports whether it has: every guard has to hold. Takes that meet may refuse each
	// other: an attempt that is refused reads the counts again.
	Take(ctx context.Context, takes []Take) (taken bool, err error)
	// Settle ends reservations: those of given are given back to their buckets, those
	// of kept stay there and leak out. Those of counted were never reserved, and are
	// taken whatever their guards say.
	Settle(ctx context.Context, given, kept, counted []Take) error
}

// A Count is a leaky bucket.
type Count struct {
	// Empty is when everything in it will have leaked out. Each attempt puts it off by
	// the Fade of its limit, from now on when it lies in the past.
	Empty time.Time
	// Last is when somebody took from it last; zero: never.
	Last time.Time
	// Reserved is how many reservations are neither given back nor kept. One whose
	// process ended never will be, see [Count.UnderWay].
	Reserved int64
}

// A Take takes once from the bucket of a key.
type Take struct {
	Key  string
	At   time.Time
	Fade time.Duration
	// Guard says when it may.
	Guard Guard
	// Most is the latest Empty that GuardRoom allows, before it is put off.
	Most time.Time
	// Was is the count as it was read, for GuardUnchanged. Giving back restores its Last
	// when nobody else has taken since it was read: Empty is the one that the take made.
	Was Count
}

// A Guard is a condition on the stored count.
type Guard int

const (
	// GuardNone always holds.
	GuardNone Guard = iota
	// GuardRoom: Empty is not after Most. Any number of attempts may take at the same
	// time for as long as there is room.
	GuardRoom
	// GuardUnchanged: Empty and Last are those of Was. Of any number of attempts one
	// takes.
	GuardUnchanged
)

// Made is the Empty that the take makes of Was. When it is still the stored one, and Last
// is At, nobody else has taken since Was was read.
func (t Take) Made() time.Time {
	if t.Was.Empty.After(t.At) {
		return t.Was.Empty.Add(t.Fade)
	}
	return t.At.Add(t.Fade)
}
