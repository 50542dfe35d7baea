package main

import (
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// TestRequestsHaveSpareThreadsWhileHashesAreMade: not before, and not long after.
func TestRequestsHaveSpareThreadsWhileHashesAreMade(t *testing.T) {
	quiet := runtime.GOMAXPROCS(0)
	t.Cleanup(func() { runtime.GOMAXPROCS(quiet) })
	synctest.Test(t, func(t *testing.T) {
		want := func(when string, n int) {
			t.Helper()
			if got := runtime.GOMAXPROCS(0); got != n {
				t.Errorf("%s: %d threads, want %d", when, got, n)
			}
		}
		var spare threads
		var hashes sync.WaitGroup
		for _, takes := range []time.Duration{time.Millisecond, 3 * spareFor} {
			hashes.Go(func() { spare.run(func() { time.Sleep(takes) }) })
		}
		synctest.Wait()
		want("while both are made", quiet+spareThreads)
		time.Sleep(2 * spareFor)
		want("while one is made", quiet+spareThreads)
		hashes.Wait()
		time.Sleep(spareFor / 2)
		want("shortly after", quiet+spareThreads)
		spare.run(func() {})
		time.Sleep(spareFor - time.Millisecond)
		want("shortly after another", quiet+spareThreads)
		time.Sleep(2 * time.Millisecond)
		want("in quiet", quiet)
		spare.run(func() { want("once more", quiet+spareThreads) })
	})
}
