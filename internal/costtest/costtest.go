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
	// smaller is by how much the small text is smaller than what Linear is told, and
	// larger by how much the large one is larger.
	smaller, larger = 4, 8
	// fewest is how many times as large the large text is at the least.
	fewest = 16
	// most is how much more of the small text's time the large one may take than its
	// size says. The collector of garbage takes up to six times as much for large
	// texts; what grows with the square takes at least sixteen times as much.
	most   = 8
	rounds = 7
	// measured is how long a round takes at the least, for the clock's sake.
	measured = time.Millisecond
)

// Linear fails the test if read takes too much longer for a text of eight times the
// size than for one of a quarter of it.
func Linear(t testing.TB, size int, text func(n int) string, read func(string)) {
	t.Helper()
	few, many := text(size/smaller), text(size*larger)
	times := float64(len(many)) / float64(len(few))
	if times < fewest {
		t.Fatalf("texts of %d and %d bytes do not differ by %d times", len(few), len(many), fewest)
	}
	// A core that is shared with another may be slow for a while; what grows with the
	// square is so each time.
	for try := 1; ; try++ {
		short, long := Time(func() { read(few) }), Time(func() { read(many) })
		took := float64(long) / float64(short)
		if took <= most*times {
			return
		}
		if try == tries {
			t.Errorf("%d bytes take %v, %d take %v: %.0f times as long", len(few), short, len(many), long, took)
			return
		}
	}
}

const tries = 3

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
