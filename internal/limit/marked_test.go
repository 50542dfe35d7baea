package limit_test

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/latchkey-auth/latchkey/internal/limit"
)

// recording are Counters that record which marks they are asked for.
type recording struct {
	*memory
	asked []string
}

func (r *recording) Counts(ctx context.Context, keys []string, mark string) ([]limit.Count, time.Time, error) {
	r.asked = append(r.asked, mark)
	return r.memory.Counts(ctx, keys, mark)
}

// single has room for one attempt, and is empty again after an hour.
var single = limit.Limit{Free: 1, First: time.Minute, Longest: time.Hour, Fade: time.Hour}

// markedLogin is an attempt that draws on "own" while its mark is good, and else on "shared".
func markedLogin() limit.Attempt {
	alarm := limit.Bucket{Key: "alarm", Limit: alarm}
	hold := func(key string) []limit.Bucket { return []limit.Bucket{{Key: key, Limit: single}} }
	return limit.Attempt{
		Network: "n", Hold: hold("shared"), Alarm: &alarm,
		Marked: &limit.Marked{Mark: "m", Attempt: limit.Attempt{Network: "n", Hold: hold("own"), Alarm: &alarm}},
	}
}

// TestMarkedPassesThoseWhoWait: others wait for the bucket that an attempt would draw on
// without its mark. It is not one of them.
func TestMarkedPassesThoseWhoWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, 1)
		l := f.limiters[0]
		f.marks = map[string]time.Time{"m": time.Now().Add(time.Hour)}
		under, _ := f.reserve(l, held("shared", single))
		done := make(chan bool)
		go func() {
			r, err := l.Reserve(t.Context(), held("shared", single))
			r.Release()
			done <- err == nil
		}()
		synctest.Wait()
		time.Sleep(100 * time.Millisecond) // the other one has found the bucket full
		began := time.Now()
		r, wait := f.reserve(l, markedLogin())
		if took := time.Since(began); wait > 0 || took > 10*time.Millisecond {
			t.Errorf("the attempt with a mark got through after %v, or is to wait %v; want neither", took, wait)
		}
		f.must(r.GiveBack(t.Context()))
		r.Release()
		f.must(under.GiveBack(t.Context()))
		under.Release()
		if !<-done {
			t.Error("the one that waited is refused")
		}
	})
}

// TestMarkIsAskedForOnce: an attempt that has to look again knows which one it is, and
// reads the counts of that one alone.
func TestMarkIsAskedForOnce(t *testing.T) {
	for name, c := range map[string]struct {
		expires time.Duration
		held    string // where another attempt is under way
		keys    int64  // read in both looks
	}{
		"good": {time.Hour, "own", 3 + 2},
		"none": {0, "shared", 3 + 2},
	} {
		synctest.Test(t, func(t *testing.T) {
			store := &recording{memory: &memory{marks: map[string]time.Time{"m": time.Now().Add(c.expires)}}}
			l := &limit.Limiter{Counters: store}
			under, err := l.Reserve(t.Context(), held(c.held, single))
			if err != nil {
				t.Fatal(err)
			}
			store.asked = nil
			store.Keys.Store(0)
			done := make(chan struct{})
			go func() {
				defer close(done)
				r, err := l.Reserve(t.Context(), markedLogin())
				if err != nil {
					t.Errorf("%s: %v", name, err)
				}
				store.Keys.Add(-1) // what it has taken
				r.Release()
			}()
			synctest.Wait()
			if err := under.GiveBack(t.Context()); err != nil {
				t.Fatal(err)
			}
			under.Release()
			<-done
			if want := []string{"m", ""}; !slices.Equal(store.asked, want) {
				t.Errorf("%s: asked for marks %q, want %q", name, store.asked, want)
			}
			// Given back: the one that was under way, and the one that waited.
			if got := store.Keys.Load() - 2; got != c.keys {
				t.Errorf("%s: %d counts are read, want %d", name, got, c.keys)
			}
		})
	}
}

// TestMarkedAfterAClockThatWasAhead: the buckets of either case are emptied of what was
// taken by a clock that was far ahead.
func TestMarkedAfterAClockThatWasAhead(t *testing.T) {
	for name, expires := range map[string]time.Duration{"with a mark": time.Hour, "without": 0} {
		now := time.Date(2030, 1, 1, 12, 0, 0, 0, time.UTC)
		ahead := now.Add(48 * time.Hour)
		full := limit.Count{Empty: ahead.Add(time.Hour), Last: ahead}
		store := &memory{
			marks:  map[string]time.Time{"m": now.Add(expires)},
			counts: map[string]limit.Count{"own": full, "shared": full},
		}
		f := &fixture{t: t, memory: store, limiters: []*limit.Limiter{{Counters: store, Now: func() time.Time { return now }}}}
		if wait := f.fail(markedLogin()); wait != 0 {
			t.Errorf("%s: the first attempt is to wait %v", name, wait)
		}
		if wait := f.fail(markedLogin()); wait != single.First {
			t.Errorf("%s: after one failure the next one is to wait %v, want %v", name, wait, single.First)
		}
	}
}

// TestMarkedHoldsWhereOthersDoNot: an attempt that is held to nothing without its mark is
// held to what it has with it.
func TestMarkedHoldsWhereOthersDoNot(t *testing.T) {
	f := &fixture{t: t, memory: &memory{marks: map[string]time.Time{"m": time.Now().Add(time.Hour)}}}
	f.limiters = []*limit.Limiter{{Counters: f.memory}}
	a := markedLogin()
	a.Hold = nil
	if wait := f.fail(a); wait != 0 {
		t.Errorf("the first attempt is to wait %v", wait)
	}
	if wait := f.fail(a); wait == 0 {
		t.Error("the second attempt is let through, where there is room for one")
	}
}
