package limit_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/latchkey-auth/latchkey/internal/limit"
)

var (
	account = limit.Limit{Free: 5, First: 5 * time.Second, Longest: 15 * time.Minute, Fade: 15 * time.Minute}
	alarm   = limit.Limit{Free: 300, Fade: time.Second}
	total   = limit.Limit{Free: 20, First: time.Minute, Longest: time.Hour, Fade: time.Hour}
	reserve = limit.Limit{Free: 20, First: time.Hour, Longest: time.Hour, Fade: time.Hour}
)

// fixture is a store with the processes that use it.
type fixture struct {
	t *testing.T
	*memory
	limiters []*limit.Limiter
}

func newFixture(t *testing.T, processes int) *fixture {
	f := &fixture{t: t, memory: &memory{Latency: time.Millisecond}}
	for range processes {
		f.limiters = append(f.limiters, &limit.Limiter{Counters: f.memory})
	}
	return f
}

// held is an attempt at one bucket, of a network of its own.
func held(key string, l limit.Limit) limit.Attempt {
	return limit.Attempt{Hold: []limit.Bucket{{Key: key, Limit: l}}}
}

// login is an attempt at an account from a network.
func login(network string) limit.Attempt {
	return limit.Attempt{
		Network: network,
		Hold: []limit.Bucket{
			{Key: "account at " + network, Limit: account},
			{Key: "address " + network, Limit: limit.Limit{Free: 30, First: time.Second, Longest: 5 * time.Minute, Fade: time.Minute}},
		},
		Total:   &limit.Bucket{Key: "account", Limit: total},
		Reserve: &limit.Bucket{Key: "reserve", Limit: reserve},
		Alarm:   &limit.Bucket{Key: "alarm", Limit: alarm},
	}
}

// reserve returns the reservation, or for how long the attempt has to wait.
func (f *fixture) reserve(l *limit.Limiter, a limit.Attempt) (*limit.Reservation, time.Duration) {
	f.t.Helper()
	r, err := l.Reserve(f.t.Context(), a)
	if refused := new(limit.Error); errors.As(err, &refused) {
		return nil, refused.RetryAfter
	}
	if err != nil {
		f.t.Fatalf("Reserve: %v", err)
	}
	return r, 0
}

// fail makes an attempt in the first process that fails. It returns how long the
// attempt has to wait; zero: it was let through.
func (f *fixture) fail(a limit.Attempt) time.Duration {
	f.t.Helper()
	r, wait := f.reserve(f.limiters[0], a)
	f.must(r.Failed(f.t.Context()))
	r.Release()
	return wait
}

// succeed is fail for an attempt that succeeds.
func (f *fixture) succeed(a limit.Attempt) time.Duration {
	f.t.Helper()
	r, wait := f.reserve(f.limiters[0], a)
	f.must(r.GiveBack(f.t.Context()))
	r.Release()
	return wait
}

func (f *fixture) must(err error) {
	f.t.Helper()
	if err != nil {
		f.t.Fatal(err)
	}
}

func (f *fixture) wantWait(saying string, got, want time.Duration) {
	f.t.Helper()
	if (got - want).Abs() > 100*time.Millisecond {
		f.t.Errorf("%s: wait %v, want %v", saying, got, want)
	}
}

// TestEachFurtherFailureDoublesTheWait: the free ones do not wait, and what has been
// forgotten is free again.
func TestEachFurtherFailureDoublesTheWait(t *testing.T) {
	for name, c := range map[string]struct {
		limit limit.Limit
		want  []time.Duration // before each failure, as soon as it is allowed
	}{
		"as it is":       {limit.Limit{Free: 2, First: time.Second, Longest: 5 * time.Second, Fade: time.Hour}, []time.Duration{0, 0, time.Second, 2 * time.Second, 4 * time.Second, 5 * time.Second, 5 * time.Second}},
		"none free":      {limit.Limit{First: time.Second, Longest: 5 * time.Second, Fade: time.Hour}, []time.Duration{0, 2 * time.Second, 4 * time.Second}},
		"twice as wide":  {limit.Limit{Free: 1, First: time.Second, Longest: time.Minute, Fade: time.Hour}.Times(2), []time.Duration{0, 0, time.Second, 2 * time.Second}},
		"no longer wait": {limit.Limit{Free: 1, First: time.Second, Longest: time.Second, Fade: time.Hour}, []time.Duration{0, time.Second, time.Second, time.Second}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFixture(t, 1)
				for i, want := range c.want {
					wait := f.fail(held("a", c.limit))
					f.wantWait(fmt.Sprint("failure ", i), wait, want)
					if wait > 0 {
						time.Sleep(wait)
						f.wantWait(fmt.Sprint("failure ", i, " after its wait"), f.fail(held("a", c.limit)), 0)
					}
				}
				time.Sleep(time.Duration(len(c.want)) * c.limit.Fade)
				for i := range c.limit.Free {
					f.wantWait(fmt.Sprint("when all is forgotten, failure ", i), f.fail(held("a", c.limit)), 0)
				}
			})
		})
	}
}

func TestFailuresAreForgottenOneByOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, 1)
		for range account.Free {
			f.fail(held("a", account))
		}
		time.Sleep(2 * account.Fade)
		f.wantWait("one forgotten", f.fail(held("a", account)), 0)
		f.wantWait("two forgotten", f.fail(held("a", account)), 0)
		f.wantWait("no more", f.fail(held("a", account)), account.First)
	})
}

// TestRacersFitInFree: of any number in any number of processes no more are let through
// than could fail before one has to wait.
func TestRacersFitInFree(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, 3)
		var through atomic.Int64
		var all sync.WaitGroup
		for i := range 60 {
			all.Go(func() {
				time.Sleep(rand.N(3 * time.Millisecond))
				r, wait := f.reserve(f.limiters[i%3], held("a", account))
				if wait > 0 {
					return
				}
				defer r.Release()
				through.Add(1)
				time.Sleep(rand.N(500 * time.Millisecond))
				f.must(r.Failed(t.Context()))
			})
		}
		all.Wait()
		if n := through.Load(); n != int64(account.Free) {
			t.Errorf("%d were let through, want %d", n, account.Free)
		}
		if c := f.count("a"); c.Reserved != 0 {
			t.Errorf("the count is %+v, want nothing reserved", c)
		}
	})
}

// TestFiftyThatSucceed: nobody is refused for others that succeed, also when these are
// in another process.
func TestFiftyThatSucceed(t *testing.T) {
	for name, failures := range map[string]int{"nothing has failed": 0, "one at a time": account.Free} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFixture(t, 2)
				for range failures {
					f.fail(held("a", account))
				}
				time.Sleep(account.First)
				var underWay, most atomic.Int64
				began := time.Now()
				var all sync.WaitGroup
				for i := range 50 {
					all.Go(func() {
						r, wait := f.reserve(f.limiters[i%2], held("a", account))
						if wait > 0 {
							t.Errorf("attempt %d has to wait %v", i, wait)
							return
						}
						defer r.Release()
						n := underWay.Add(1)
						for was := most.Load(); n > was && !most.CompareAndSwap(was, n); was = most.Load() {
						}
						time.Sleep(60 * time.Millisecond)
						underWay.Add(-1)
						f.must(r.GiveBack(t.Context()))
					})
				}
				all.Wait()
				if want := int64(max(1, account.Free-failures)); most.Load() != want {
					t.Errorf("%d were under way at a time, want %d", most.Load(), want)
				}
				t.Logf("took %v, with %d reads and %d takes", time.Since(began), f.Reads.Load(), f.Takes.Load())
			})
		})
	}
}

// TestOneForEachWait: beyond the free ones, of any number of processes.
func TestOneForEachWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, 3)
		for range account.Free {
			f.fail(held("a", account))
		}
		began := time.Now()
		var mu sync.Mutex
		var through []time.Duration
		var all sync.WaitGroup
		for i := range 30 {
			all.Go(func() {
				for time.Since(began) < 90*time.Second {
					r, wait := f.reserve(f.limiters[i%3], held("a", account))
					if wait > 0 {
						time.Sleep(min(wait, 500*time.Millisecond))
						continue
					}
					mu.Lock()
					through = append(through, time.Since(began))
					mu.Unlock()
					time.Sleep(rand.N(100 * time.Millisecond))
					f.must(r.Failed(t.Context()))
					r.Release()
				}
			})
		}
		all.Wait()
		want := []time.Duration{5 * time.Second, 15 * time.Second, 35 * time.Second, 75 * time.Second}
		if len(through) != len(want) {
			t.Fatalf("let through at %v, want about %v", through, want)
		}
		for i, at := range through {
			if at < want[i]-10*time.Millisecond || at > want[i]+3*time.Second {
				t.Errorf("let through at %v, want about %v", through, want)
			}
		}
	})
}

// TestNothingIsReservedInTheEnd, whatever became of the attempts.
func TestNothingIsReservedInTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, 2)
		var all sync.WaitGroup
		for i := range 200 {
			all.Go(func() {
				time.Sleep(rand.N(10 * time.Second))
				ctx, cancel := context.WithTimeout(t.Context(), rand.N(20*time.Second))
				defer cancel()
				r, err := f.limiters[i%2].Reserve(ctx, login(fmt.Sprint("network ", i%7)))
				if err != nil {
					return
				}
				defer r.Release()
				time.Sleep(rand.N(300 * time.Millisecond))
				switch rand.N(3) {
				case 0:
					f.must(r.Failed(ctx))
				case 1:
					f.must(r.GiveBack(ctx))
				}
			})
		}
		all.Wait()
		for key, c := range f.counts {
			if c.Reserved != 0 {
				t.Errorf("%s: %+v, want nothing reserved", key, c)
			}
		}
		for i, l := range f.limiters {
			if left := l.Left(); left != 0 {
				t.Errorf("process %d remembers %d, want nothing", i, left)
			}
		}
	})
}

// TestReserveIsForNetworksThatHaveNotFailed: each of them draws on it once, until it is
// empty too.
func TestReserveIsForNetworksThatHaveNotFailed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, 1)
		for i := range total.Free {
			f.wantWait("filling the total", f.fail(login(fmt.Sprint("first ", i%4))), 0)
		}
		f.wantWait("one that has failed", f.fail(login("first 0")), total.First)
		for i := range reserve.Free {
			network := fmt.Sprint("second ", i)
			f.wantWait(network, f.fail(login(network)), 0)
			if f.fail(login(network)) == 0 {
				t.Errorf("%s draws on the reserve again", network)
			}
		}
		before := f.count("reserve")
		if f.fail(login("owner")) == 0 {
			t.Error("the 21st draws on the reserve")
		}
		if got := f.count("account at owner"); !got.Last.IsZero() {
			t.Errorf("one that is refused took %+v of its own bucket, want nothing", got)
		}
		if after := f.count("reserve"); after != before {
			t.Errorf("one that is refused changed the reserve from %+v to %+v", before, after)
		}
		f.wantWait("the total goes on", f.fail(login("owner")), f.fail(login("first 0")))
		time.Sleep(reserve.Fade)
		f.fail(login("first 1")) // the total is full again
		f.wantWait("one more an hour", f.fail(login("owner")), 0)
	})
}

// TestOneOfANetworkDrawsOnTheReserve at a time: while it does, the others wait.
func TestOneOfANetworkDrawsOnTheReserve(t *testing.T) {
	for name, failing := range map[string]bool{"failing": true, "succeeding": false} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFixture(t, 2)
				for i := range total.Free {
					f.fail(login(fmt.Sprint("stranger ", i%4)))
				}
				var through, most atomic.Int64
				var underWay atomic.Int64
				var all sync.WaitGroup
				for i := range 10 {
					all.Go(func() {
						r, wait := f.reserve(f.limiters[i%2], login("owner"))
						if wait > 0 {
							return
						}
						defer r.Release()
						through.Add(1)
						most.Store(max(most.Load(), underWay.Add(1)))
						time.Sleep(50 * time.Millisecond)
						underWay.Add(-1)
						if failing {
							f.must(r.Failed(t.Context()))
						}
					})
				}
				all.Wait()
				want := int64(10)
				if failing {
					want = 1
				}
				if through.Load() != want || most.Load() != 1 {
					t.Errorf("%d were let through, %d at a time, want %d, one at a time", through.Load(), most.Load(), want)
				}
			})
		})
	}
}

// TestOwnerGetsInWhileStrangersPoll: from fewer networks than the reserve has.
func TestOwnerGetsInWhileStrangersPoll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, 2)
		began := time.Now()
		var guesses atomic.Int64
		var all sync.WaitGroup
		for i := range reserve.Free - 1 {
			all.Go(func() {
				for time.Since(began) < time.Hour {
					r, wait := f.reserve(f.limiters[i%2], login(fmt.Sprint("stranger ", i)))
					if wait > 0 {
						time.Sleep(time.Second)
						continue
					}
					guesses.Add(1)
					time.Sleep(60 * time.Millisecond)
					f.must(r.Failed(t.Context()))
					r.Release()
				}
			})
		}
		for n := range 12 {
			time.Sleep(5 * time.Minute)
			f.wantWait(fmt.Sprint("owner, ", n), f.succeed(login("owner")), 0)
		}
		all.Wait()
		t.Logf("%d guesses in an hour", guesses.Load())
	})
}

// TestAlarmTightensTheOthers: but not the reserve, and it holds nobody up itself.
func TestAlarmTightensTheOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, 1)
		f.Latency = 0
		for i := range alarm.Free {
			a := held(fmt.Sprint(i), account)
			a.Alarm = &limit.Bucket{Key: "alarm", Limit: alarm}
			f.wantWait("before the alarm", f.fail(a), 0)
		}
		one := held("a", account)
		one.Alarm = &limit.Bucket{Key: "alarm", Limit: alarm}
		f.wantWait("a quarter of 5 is one", f.fail(one), 0)
		f.wantWait("the next one", f.fail(one), account.First)
		for i := range total.Free / 4 {
			f.wantWait("total", f.fail(login(fmt.Sprint("first ", i))), 0)
		}
		for i := range reserve.Free / 2 {
			f.wantWait("reserve", f.fail(login(fmt.Sprint("second ", i))), 0)
		}
		if got := f.count("reserve"); got.Last.IsZero() {
			t.Error("nobody has drawn on the reserve: the alarm has not tightened the total")
		}
		time.Sleep(time.Minute)
		f.wantWait("when the alarm is over", f.fail(one), 0)
		f.wantWait("and the one after it", f.fail(one), 0)
	})
}

// TestCountHoldsNothingUp, and counts what fails alone.
func TestCountHoldsNothingUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, 1)
		counting := limit.Attempt{Count: []limit.Bucket{{Key: "a", Limit: account}}}
		f.wantWait("success", f.succeed(counting), 0)
		if got := f.count("a"); got != (limit.Count{}) {
			t.Errorf("a success counted: %+v", got)
		}
		for range 3 * account.Free {
			f.wantWait("failure", f.fail(counting), 0)
		}
		if got := f.fail(held("a", account)); got < time.Minute {
			t.Errorf("who is held by the same bucket waits %v, want some minutes", got)
		}
	})
}

// goByAge has 200 attempts go through a bucket that has room for one.
func goByAge(t *testing.T, f *fixture, a limit.Attempt, busy *limit.Reservation) {
	t.Helper()
	var got []int
	var all sync.WaitGroup
	for i := range 200 {
		all.Go(func() {
			r, wait := f.reserve(f.limiters[0], a)
			f.wantWait(fmt.Sprint(i), wait, 0)
			got = append(got, i) // one at a time
			time.Sleep(rand.N(10 * time.Millisecond))
			f.must(r.GiveBack(t.Context()))
			r.Release()
		})
		time.Sleep(3 * time.Millisecond) // most come while others go
		if i == 20 {
			f.must(busy.GiveBack(t.Context()))
		}
	}
	all.Wait()
	for i := range got {
		if got[i] != i {
			t.Fatalf("the order was %v, want that of their age", got)
		}
	}
}

// TestBusyBucket: who waits for a bucket goes by age, is refused as soon as it is full
// of failures, and after five seconds; and its context ends the wait.
func TestBusyBucket(t *testing.T) {
	one := limit.Limit{Free: 1, First: time.Minute, Longest: time.Hour, Fade: time.Hour}
	outage := errors.New("the store is not there")
	for name, test := range map[string]func(t *testing.T, f *fixture, busy *limit.Reservation){
		"by age": func(t *testing.T, f *fixture, busy *limit.Reservation) {
			goByAge(t, f, held("a", one), busy)
		},
		"by age, of the total": func(t *testing.T, f *fixture, busy *limit.Reservation) {
			goByAge(t, f, limit.Attempt{Total: &limit.Bucket{Key: "a", Limit: one}}, busy)
		},
		"one asks": func(t *testing.T, f *fixture, busy *limit.Reservation) {
			var all sync.WaitGroup
			for range 100 {
				all.Go(func() { f.reserve(f.limiters[0], held("a", one)) })
				time.Sleep(time.Millisecond)
			}
			if reads := f.Reads.Load(); reads > 20 {
				t.Errorf("%d reads of 100 that come, want a few", reads)
			}
			before := f.Reads.Load()
			time.Sleep(4 * time.Second)
			// Every 25 ms on average, and the calls take 2.
			if reads := f.Reads.Load() - before; reads < 100 || reads > 200 {
				t.Errorf("%d reads in 4 s of 100 that wait, want about 150", reads)
			}
			all.Wait()
		},
		"at once": func(t *testing.T, f *fixture, busy *limit.Reservation) {
			for range 10 {
				next := make(chan *limit.Reservation)
				go func() {
					r, _ := f.reserve(f.limiters[0], held("a", one))
					next <- r
				}()
				time.Sleep(rand.N(50*time.Millisecond) + 20*time.Millisecond)
				f.must(busy.GiveBack(t.Context()))
				began := time.Now()
				busy = <-next
				if took := time.Since(began); took > 10*time.Millisecond {
					t.Errorf("the next one takes %v, want that of two or three calls", took)
				}
			}
			busy.Release()
		},
		"full of failures": func(t *testing.T, f *fixture, busy *limit.Reservation) {
			var all sync.WaitGroup
			for range 20 {
				all.Go(func() {
					_, wait := f.reserve(f.limiters[0], held("a", one))
					if wait < one.First-2*time.Second || wait > one.First {
						t.Errorf("who has waited is to wait %v, want a minute after the failure began", wait)
					}
				})
			}
			time.Sleep(time.Second)
			f.must(busy.Failed(t.Context()))
			began := time.Now()
			all.Wait()
			f.wantWait("they learn it", time.Since(began), 0)
		},
		"five seconds": func(t *testing.T, f *fixture, busy *limit.Reservation) {
			began := time.Now()
			_, err := f.limiters[1].Reserve(t.Context(), held("a", one))
			refused := new(limit.Error)
			if !errors.As(err, &refused) || refused.RetryAfter != time.Second || refused.Key != "a" {
				t.Errorf("the error is %v, want to wait for a second at a", err)
			}
			f.wantWait("waited", time.Since(began), 5*time.Second)
		},
		"hangs up": func(t *testing.T, f *fixture, busy *limit.Reservation) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			if _, err := f.limiters[0].Reserve(ctx, held("a", one)); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("the error is %v, want %v", err, context.DeadlineExceeded)
			}
		},
		"outage": func(t *testing.T, f *fixture, busy *limit.Reservation) {
			ctx, cancel := context.WithCancelCause(t.Context())
			var all sync.WaitGroup
			for range 3 {
				all.Go(func() {
					if _, err := f.limiters[0].Reserve(ctx, held("a", one)); !errors.Is(err, outage) {
						t.Errorf("the error is %v, want %v", err, outage)
					}
				})
			}
			time.Sleep(time.Second)
			cancel(outage)
			began := time.Now()
			all.Wait()
			f.wantWait("went on", time.Since(began), 0)
		},
		"other process": func(t *testing.T, f *fixture, busy *limit.Reservation) {
			time.AfterFunc(time.Second, func() { f.must(busy.GiveBack(t.Context())) })
			began := time.Now()
			r, wait := f.reserve(f.limiters[1], held("a", one))
			f.wantWait("refused", wait, 0)
			f.wantWait("waited", time.Since(began), time.Second)
			r.Release()
		},
		"another key": func(t *testing.T, f *fixture, busy *limit.Reservation) {
			a := held("a", one)
			a.Hold = append(a.Hold, limit.Bucket{Key: "b", Limit: one})
			b, _ := f.reserve(f.limiters[0], held("b", one))
			time.AfterFunc(time.Second, busy.Release)
			time.AfterFunc(2*time.Second, b.Release)
			began := time.Now()
			r, wait := f.reserve(f.limiters[0], a)
			f.wantWait("refused", wait, 0)
			f.wantWait("waited", time.Since(began), 2*time.Second)
			r.Release()
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFixture(t, 2)
				busy, _ := f.reserve(f.limiters[0], held("a", one))
				test(t, f, busy)
				busy.Release()
				if left := f.limiters[0].Left() + f.limiters[1].Left(); left != 0 {
					t.Errorf("%d are remembered, want none", left)
				}
			})
		})
	}
}

// TestFailedStoreLetsNothingThrough, and its error is told.
func TestFailedStoreLetsNothingThrough(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, 1)
		r, _ := f.reserve(f.limiters[0], held("a", account))
		f.Fail = errors.New("disk full")
		if _, err := f.limiters[0].Reserve(t.Context(), held("a", account)); !errors.Is(err, f.Fail) {
			t.Errorf("Reserve: %v, want %v", err, f.Fail)
		}
		if err := r.Failed(t.Context()); !errors.Is(err, f.Fail) {
			t.Errorf("Failed: %v, want %v", err, f.Fail)
		}
		r.Release()
		f.Fail = nil
		if got := f.count("a"); got.Reserved != 1 {
			t.Errorf("the count is %+v, want a reservation left: it failed, and nobody gives it back", got)
		}
		if left := f.limiters[0].Left(); left != 0 {
			t.Errorf("%d are remembered, want none", left)
		}
	})
}

// takeFails are Counters that can be read only.
type takeFails struct{ *memory }

func (takeFails) Take(context.Context, []limit.Take) (bool, error) { return false, errReadOnly }

var errReadOnly = errors.New("read only")

func TestStoreThatCannotBeWrittenLetsNothingThrough(t *testing.T) {
	l := &limit.Limiter{Counters: takeFails{new(memory)}}
	if _, err := l.Reserve(t.Context(), held("a", account)); !errors.Is(err, errReadOnly) {
		t.Errorf("Reserve: %v, want %v", err, errReadOnly)
	}
	if left := l.Left(); left != 0 {
		t.Errorf("%d are remembered, want none", left)
	}
}

// TestReservationIsSettledOnce: the first word counts.
func TestReservationIsSettledOnce(t *testing.T) {
	failed := func(r *limit.Reservation) error { return r.Failed(context.Background()) }
	given := func(r *limit.Reservation) error { return r.GiveBack(context.Background()) }
	released := func(r *limit.Reservation) error { r.Release(); return nil }
	type calls []func(*limit.Reservation) error
	for name, c := range map[string]struct {
		calls     calls
		wantLevel int
	}{
		"failed":           {calls{failed, failed, given, released, released}, 1},
		"given back":       {calls{given, given, failed, released, released}, 0},
		"neither":          {calls{released, released}, 0},
		"failed too late":  {calls{released, failed}, 0},
		"given after that": {calls{released, given}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFixture(t, 1)
				a := held("a", account)
				a.Network = "n"
				r, _ := f.reserve(f.limiters[0], a)
				for _, call := range c.calls {
					f.must(call(r))
				}
				got := f.count("a")
				if level := int(time.Until(got.Empty).Round(account.Fade) / account.Fade); level != c.wantLevel || got.Reserved != 0 {
					t.Errorf("the level is %d of %+v, want %d and nothing reserved", level, got, c.wantLevel)
				}
				if fresh := got.Last.IsZero(); fresh != (c.wantLevel == 0) {
					t.Errorf("the last one failed at %v", got.Last)
				}
				if left := f.limiters[0].Left(); left != 0 {
					t.Errorf("%d are remembered, want none", left)
				}
			})
		})
	}
	var nothing *limit.Reservation
	for _, call := range (calls{failed, given, released}) {
		if err := call(nothing); err != nil {
			t.Errorf("nil: %v", err)
		}
	}
}

// TestWhoHangsUpIsCounted: the outcome is stored though the context has ended.
func TestWhoHangsUpIsCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, 1)
		ctx, cancel := context.WithCancel(t.Context())
		l := &limit.Limiter{Counters: tied{f.memory}}
		time.AfterFunc(3*time.Millisecond, cancel) // while it takes
		r, err := l.Reserve(ctx, held("a", account))
		f.must(err)
		if ctx.Err() == nil {
			t.Fatal("the client is still there")
		}
		f.must(r.Failed(ctx))
		if got := f.count("a"); got.Reserved != 0 || got.Last.IsZero() {
			t.Errorf("the count is %+v, want a failure", got)
		}
	})
}

// tied are Counters that stop when the context ends.
type tied struct{ *memory }

func (m tied) Take(ctx context.Context, takes []limit.Take) (bool, error) {
	taken, err := m.memory.Take(ctx, takes)
	return taken, errors.Join(err, ctx.Err())
}

func (m tied) Settle(ctx context.Context, given, kept, counted []limit.Take) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return m.memory.Settle(ctx, given, kept, counted)
}

// TestInFlight: 16 of one network are under way, 64 wait, and no other network notices.
func TestInFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, 1)
		l := f.limiters[0]
		office := limit.Attempt{Network: "office"}
		var under []*limit.Reservation
		for range 16 {
			r, wait := f.reserve(l, office)
			f.wantWait("the first 16", wait, 0)
			under = append(under, r)
		}
		var got []int
		var late atomic.Int64
		var all sync.WaitGroup
		for i := range 64 {
			all.Go(func() {
				r, wait := f.reserve(l, office)
				if wait > 0 {
					late.Add(1)
					return
				}
				got = append(got, i) // one of these at a time
				time.Sleep(time.Millisecond)
				r.Release()
			})
			synctest.Wait()
		}
		began := time.Now()
		_, err := l.Reserve(t.Context(), office)
		refused := new(limit.Error)
		if !errors.As(err, &refused) || *refused != (limit.Error{RetryAfter: time.Second, Key: "office"}) || time.Since(began) > 0 {
			t.Errorf("the 65th that waits: %v after %v, want to wait for a second at once", err, time.Since(began))
		}
		f.wantWait("another network", f.succeed(limit.Attempt{Network: "other"}), 0)
		time.Sleep(time.Second)
		under[0].Release()
		all.Wait()
		for i := range got {
			if got[i] != i {
				t.Fatalf("the order was %v, want that of their age", got)
			}
		}
		under[0], _ = f.reserve(l, office)
		got = nil
		all.Go(func() {
			r, _ := f.reserve(l, office)
			got = append(got, 0)
			r.Release()
		})
		synctest.Wait()
		under[0].Release()
		r, _ := f.reserve(l, office)
		if len(got) == 0 {
			t.Error("one that comes is let through before one that waits")
		}
		r.Release()
		all.Wait()
		var again sync.WaitGroup
		under[0], _ = f.reserve(l, office)
		for range 3 {
			again.Go(func() {
				_, wait := f.reserve(l, office)
				f.wantWait("after five seconds", wait, time.Second)
			})
		}
		again.Wait()
		for _, r := range under {
			r.Release()
		}
		if f.Reads.Load()+f.Takes.Load()+f.Settles.Load() > 0 {
			t.Error("attempts without buckets ask the store")
		}
		if left := l.Left(); left != 0 {
			t.Errorf("%d are remembered, want none", left)
		}
	})
}

// TestFiveHundredAndTwelveWait, of all networks together.
func TestFiveHundredAndTwelveWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, 1)
		one := limit.Limit{Free: 1, First: time.Minute, Longest: time.Hour, Fade: time.Hour}
		busy, _ := f.reserve(f.limiters[0], held("a", one))
		var all sync.WaitGroup
		for i := range 512 {
			all.Go(func() {
				a := held("a", one)
				a.Network = fmt.Sprint(i / 64)
				f.reserve(f.limiters[0], a)
			})
		}
		time.Sleep(time.Second)
		began := time.Now()
		if _, wait := f.reserve(f.limiters[0], held("a", one)); wait != time.Second || time.Since(began) > 10*time.Millisecond {
			t.Errorf("one more has to wait %v after %v, want a second at once", wait, time.Since(began))
		}
		f.wantWait("who does not have to wait", f.succeed(held("b", one)), 0)
		all.Wait()
		busy.Release()
	})
}

// TestWhoWaitsForABucketHoldsNoPlace: others of the network go on meanwhile.
func TestWhoWaitsForABucketHoldsNoPlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, 1)
		one := limit.Limit{Free: 1, First: time.Minute, Longest: time.Hour, Fade: time.Hour}
		a := held("a", one)
		a.Network = "n"
		busy, _ := f.reserve(f.limiters[0], a)
		var all sync.WaitGroup
		for range 20 {
			all.Go(func() { f.reserve(f.limiters[0], a) })
		}
		time.Sleep(time.Second)
		b := held("b", one)
		b.Network = "n"
		began := time.Now()
		f.wantWait("another bucket", f.succeed(b), 0)
		f.wantWait("it took", time.Since(began), 0)
		all.Wait()
		busy.Release()
	})
}

// TestClockSetBack: nobody waits longer than the longest wait for the clock to come to
// the same time again.
func TestClockSetBack(t *testing.T) {
	for _, back := range []time.Duration{time.Minute, time.Hour, 1000 * time.Hour} {
		t.Run(back.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFixture(t, 1)
				var set atomic.Int64
				f.limiters[0].Now = func() time.Time { return time.Now().Add(time.Duration(set.Load())) }
				for range account.Free + 1 {
					time.Sleep(f.fail(held("a", account)))
				}
				set.Store(-int64(back))
				for range 5 {
					began := time.Now()
					for wait := f.fail(held("a", account)); wait > 0; wait = f.fail(held("a", account)) {
						if wait > account.Longest {
							t.Fatalf("told to wait %v, want %v at most", wait, account.Longest)
						}
						time.Sleep(wait)
					}
					if waited := time.Since(began); waited > account.Longest+time.Minute {
						t.Errorf("waited %v, want %v and the wait itself at most", waited, account.Longest)
					}
				}
			})
		})
	}
}

// TestClockFarAhead: when a clock was months ahead, limits are what they were an hour after
// it is right again, not months.
func TestClockFarAhead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, 1)
		var ahead atomic.Int64
		ahead.Store(int64(1000 * time.Hour))
		f.limiters[0].Now = func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
		for range account.Free + 1 {
			time.Sleep(f.fail(held("a", account)))
		}
		ahead.Store(0)
		for range account.Free {
			f.wantWait("one that is free", f.fail(held("a", account)), 0)
		}
		if wait := f.fail(held("a", account)); wait == 0 {
			t.Error("one more is free as well")
		}
	})
}

// TestCrash: what a process had reserved when it ended counts as failed after half a
// minute, and is forgotten like failures.
func TestCrash(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, 2)
		slow := limit.Limit{Free: 5, First: 20 * time.Second, Longest: 15 * time.Minute, Fade: 15 * time.Minute}
		for range slow.Free {
			f.reserve(f.limiters[0], held("a", slow))
		}
		began := time.Now()
		_, wait := f.reserve(f.limiters[1], held("a", slow))
		f.wantWait("at first", wait, time.Second)
		f.wantWait("waited for them", time.Since(began), 5*time.Second)
		time.Sleep(30 * time.Second)
		r, wait := f.reserve(f.limiters[1], held("a", slow))
		f.wantWait("half a minute later", wait, 0)
		f.must(r.Failed(t.Context()))
		time.Sleep(6 * slow.Fade)
		for range slow.Free {
			time.Sleep(30 * time.Second)
			r, wait := f.reserve(f.limiters[1], held("a", slow))
			f.wantWait("when all is forgotten", wait, 0)
			f.must(r.Failed(t.Context()))
		}
		if got := f.count("a"); got.Reserved != 0 {
			t.Errorf("the count is %+v, want nothing reserved", got)
		}
		began = time.Now()
		r, wait = f.reserve(f.limiters[1], held("a", slow))
		if wait == 0 {
			t.Error("one more than are free is let through")
			r.Release()
		}
		f.wantWait("nothing seems to be under way", time.Since(began), 0)
	})
}

// TestSameMoment: in a clock that stands still giving back does not undo what others
// have taken.
func TestSameMoment(t *testing.T) {
	m := new(memory)
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	l := &limit.Limiter{Counters: m, Now: func() time.Time { return now }}
	var rs []*limit.Reservation
	for range account.Free {
		r, err := l.Reserve(t.Context(), held("a", account))
		if err != nil {
			t.Fatal(err)
		}
		rs = append(rs, r)
	}
	rs[0].Release()
	if got := m.count("a"); got.Last.IsZero() || !got.UnderWay(now) || got.Reserved != 4 {
		t.Errorf("the count is %+v, want four under way", got)
	}
}

// TestCostOfAnAttempt: a read and a write before the work and a write after it, of
// each key once.
func TestCostOfAnAttempt(t *testing.T) {
	m := new(memory)
	l := &limit.Limiter{Counters: m}
	a := login("n")
	a.Count = []limit.Bucket{{Key: "made up", Limit: account}, {Key: "wider", Limit: account}}
	r, err := l.Reserve(t.Context(), a)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Failed(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.Release()
	if m.Reads.Load() != 1 || m.Takes.Load() != 1 || m.Settles.Load() != 1 {
		t.Errorf("%d reads, %d takes and %d settles, want one of each", m.Reads.Load(), m.Takes.Load(), m.Settles.Load())
	}
	// Read: two holds, total, reserve, alarm. Taken: two holds and the total. Settled:
	// these, and counted the alarm and two more.
	if n := m.Keys.Load(); n != 5+3+6 {
		t.Errorf("%d keys in all calls, want 14", n)
	}
}

func BenchmarkReserveAndGiveBack(b *testing.B) {
	l := &limit.Limiter{Counters: new(memory)}
	a := login("n")
	b.ReportAllocs()
	for b.Loop() {
		r, err := l.Reserve(b.Context(), a)
		if err != nil {
			b.Fatal(err)
		}
		if err := r.GiveBack(b.Context()); err != nil {
			b.Fatal(err)
		}
		r.Release()
	}
}

// TestMarked: a mark that has not expired makes the attempt another one, which draws on
// its own buckets alone. It costs no read of its own, and is asked for once.
func TestMarked(t *testing.T) {
	now := time.Date(2030, 1, 1, 12, 0, 0, 0, time.UTC)
	for name, c := range map[string]struct {
		marks  map[string]time.Time
		marked bool
	}{
		"none":    {nil, false},
		"another": {map[string]time.Time{"o": now.Add(time.Hour)}, false},
		"expired": {map[string]time.Time{"m": now.Add(-time.Microsecond)}, false},
		"now":     {map[string]time.Time{"m": now}, false},
		"good":    {map[string]time.Time{"m": now.Add(time.Hour)}, true},
	} {
		t.Run(name, func(t *testing.T) {
			store := &memory{marks: c.marks}
			l := &limit.Limiter{Counters: store, Now: func() time.Time { return now }}
			bucket := func(key string) limit.Bucket {
				return limit.Bucket{Key: key, Limit: limit.Limit{Free: 1, First: time.Minute, Longest: time.Hour, Fade: time.Hour}}
			}
			total := bucket("total")
			a := limit.Attempt{
				Network: "n", Hold: []limit.Bucket{bucket("stranger")}, Total: &total,
				Marked: &limit.Marked{Mark: "m", Attempt: limit.Attempt{Network: "n", Hold: []limit.Bucket{bucket("own")}, Count: []limit.Bucket{bucket("counted")}}},
			}
			r, err := l.Reserve(t.Context(), a)
			if err != nil {
				t.Fatal(err)
			}
			if got := r.MarkExpires(); !got.Equal(store.marks["m"]) {
				t.Errorf("the mark expires %v, want %v", got, store.marks["m"])
			}
			if err := r.Failed(t.Context()); err != nil {
				t.Fatal(err)
			}
			r.Release()
			for key, counts := range map[string]bool{"own": c.marked, "counted": c.marked, "stranger": !c.marked, "total": !c.marked} {
				if got := !store.count(key).Last.IsZero(); got != counts {
					t.Errorf("failure counts in %s: %v, want %v", key, got, counts)
				}
			}
			if n := store.Reads.Load(); n != 1 {
				t.Errorf("the store is read %d times, want once", n)
			}
			var refused *limit.Error
			if _, err := l.Reserve(t.Context(), a); !errors.As(err, &refused) || c.marked != (refused.Key == "own") {
				t.Errorf("the next attempt: %v, want it to be refused by its own bucket", err)
			}
		})
	}
}
