// Package costtest checks that reading a stranger's text takes a time that grows no
// faster than the text. It asks for the processor time of one thread, the least of
// several runs, and compares two sizes: what else keeps the machine busy does not
// count, and how fast the machine is does not matter.
package costtest

import (
	"math"
	"runtime"
	"testing"
	"time"
)

const (
	// times is how much larger the large text is. What grows with the square takes
	// times times as much more.
	times = 8
	// most is what the large text may take of the small one's time: three times as
	// much as what grows with the text, a good third of what grows with its square.
	most   = 3 * times
	rounds = 7
	// measured is how long a round takes at the least, for the clock's sake.
	measured = time.Millisecond
)

// Linear fails the test if read takes too much longer for a text that text has made
// of eight times the size. The small one should be large enough for its size to
// matter, and the large one small enough to be read at all.
func Linear(t testing.TB, small int, text func(n int) string, read func(string)) {
	t.Helper()
	few, many := text(small), text(times*small)
	if len(many) < times*len(few)*3/4 {
		t.Fatalf("texts of %d and %d bytes do not differ by %d times", len(few), len(many), times)
	}
	short, long := Time(func() { read(few) }), Time(func() { read(many) })
	if long > most*short {
		t.Errorf("%d bytes take %v, %d take %v: %.0f times as long", len(few), short, len(many), long, float64(long)/float64(short))
	}
}

// Once returns the processor time of one run of f.
func Once(f func()) time.Duration {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	began := processorTime()
	f()
	return processorTime() - began
}

// Time returns the least processor time that f takes.
func Time(f func()) time.Duration {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	least := time.Duration(math.MaxInt64)
	for range rounds {
		began, n, took := processorTime(), 0, time.Duration(0)
		for ; took < measured; took = processorTime() - began {
			f()
			n++
		}
		least = min(least, took/time.Duration(n))
	}
	return max(least, 1)
}
