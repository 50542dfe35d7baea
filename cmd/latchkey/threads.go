package main

import (
	"runtime"
	"sync"
	"time"
)

const (
	// spareThreads is how many there are beside those that hash. One leaves a
	// request twice as slow; a third gains nothing (go test -bench Saturated).
	spareThreads = 2
	// spareFor is how long they stay after a hash: everything stops for a moment
	// when their number changes.
	spareFor = time.Second
)

// threads gives requests more threads for as long as passwords are hashed. Each
// hash keeps a thread for tens of milliseconds, and there are as many hashes as
// cores: with threads beside them it is the kernel that shares the cores, and
// nobody waits for a hash to end. At other times they would cost every request a
// tenth each: threads with nothing to do look for work.
type threads struct {
	mu      sync.Mutex
	hashing int
	quiet   int // threads before there were more; 0: there are none
	timer   *time.Timer
}

// run makes a hash.
func (t *threads) run(hash func()) {
	t.begin()
	defer t.end()
	hash()
}

func (t *threads) begin() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.hashing++
	if t.quiet == 0 {
		t.quiet = runtime.GOMAXPROCS(0)
		runtime.GOMAXPROCS(t.quiet + spareThreads)
	}
}

func (t *threads) end() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.hashing--
	if t.timer == nil {
		t.timer = time.AfterFunc(spareFor, t.withdraw)
	}
	t.timer.Reset(spareFor)
}

// withdraw takes the spare threads away, unless hashes have begun again.
func (t *threads) withdraw() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.hashing == 0 && t.quiet > 0 {
		runtime.GOMAXPROCS(t.quiet)
		t.quiet = 0
	}
}
