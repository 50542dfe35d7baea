package storetest

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/latchkey-auth/latchkey/internal/limit"
	"github.com/latchkey-auth/latchkey/internal/storage"
)

const fade = time.Minute

func count(t *testing.T, s Store, key string) limit.Count {
	t.Helper()
	counts, _, err := s.Counts(t.Context(), []string{key}, "")
	if err != nil || len(counts) != 1 {
		t.Fatalf("Counts(%s): %v, %v; want one", key, counts, err)
	}
	return counts[0]
}

func wantCount(t *testing.T, doing string, s Store, key string, want limit.Count) {
	t.Helper()
	got := count(t, s, key)
	if !got.Empty.Equal(want.Empty) || !got.Last.Equal(want.Last) || got.Reserved != want.Reserved {
		t.Errorf("%s: bucket %s: got %+v, want %+v", doing, key, got, want)
	}
}

func wantTaken(t *testing.T, doing string, s Store, want bool, takes ...limit.Take) {
	t.Helper()
	if taken, err := s.Take(t.Context(), takes); err != nil || taken != want {
		t.Errorf("%s: taken %v, %v; want %v", doing, taken, err, want)
	}
}

func mustTake(t *testing.T, s Store, takes ...limit.Take) {
	t.Helper()
	wantTaken(t, "taking", s, true, takes...)
}

func mustSettle(t *testing.T, s Store, given, kept, counted []limit.Take) {
	t.Helper()
	if err := s.Settle(t.Context(), given, kept, counted); err != nil {
		t.Fatalf("Settle: %v", err)
	}
}

// minute is so many minutes after at.
func minute(n float64) time.Time { return at.Add(time.Duration(n * float64(time.Minute))) }

// takeGuards takes from one bucket over and over; each step says what must be there after
// it.
func takeGuards(t *testing.T, s, other Store) {
	var none limit.Count
	room := func(moment, most time.Time) limit.Take {
		return limit.Take{Key: "k", At: moment, Fade: fade, Guard: limit.GuardRoom, Most: most}
	}
	unchanged := func(moment time.Time, was limit.Count) limit.Take {
		return limit.Take{Key: "k", At: moment, Fade: fade, Guard: limit.GuardUnchanged, Was: was}
	}
	free := func(moment time.Time, fade time.Duration) limit.Take {
		return limit.Take{Key: "k", At: moment, Fade: fade}
	}
	is := func(empty, last time.Time, reserved int64) limit.Count {
		return limit.Count{Empty: empty, Last: last, Reserved: reserved}
	}
	for _, c := range []struct {
		doing string
		take  limit.Take
		taken bool
		want  limit.Count
	}{
		{"another count than that of nothing", unchanged(at, is(at, at, 0)), false, none},
		{"another end than that of nothing", unchanged(at, is(at, time.Time{}, 0)), false, none},
		{"another moment than that of nothing", unchanged(at, is(time.Time{}, at, 0)), false, none},
		{"nothing, unchanged", unchanged(at, none), true, is(minute(1), at, 1)},
		{"what was unchanged before", unchanged(at, none), false, is(minute(1), at, 1)},
		{"another end", unchanged(at, is(minute(1).Add(time.Microsecond), at, 1)), false, is(minute(1), at, 1)},
		{"another moment", unchanged(at, is(minute(1), at.Add(time.Microsecond), 1)), false, is(minute(1), at, 1)},
		{"unchanged, whatever is reserved", unchanged(minute(0.5), is(minute(1), at, 7)), true, is(minute(2), minute(0.5), 2)},

		{"more than there is room for", room(at, minute(2).Add(-time.Microsecond)), false, is(minute(2), minute(0.5), 2)},
		{"just what there is room for", room(at, minute(2)), true, is(minute(3), at, 3)},
		{"the same again", room(at, minute(2)), false, is(minute(3), at, 3)},
		{"later, when there is still no room", room(minute(9), minute(2)), false, is(minute(3), at, 3)},
		{"when it has leaked out", room(minute(9), minute(3)), true, is(minute(10), minute(9), 4)},
		{"at an earlier moment", room(minute(1), minute(10)), true, is(minute(11), minute(1), 5)},

		{"without a guard", free(minute(1), fade), true, is(minute(12), minute(1), 6)},
		{"by another fade", free(minute(2), time.Hour), true, is(minute(72), minute(2), 7)},
		{"at the moment it is empty", free(minute(72), time.Microsecond), true, is(minute(72).Add(time.Microsecond), minute(72), 8)},
		{"long after", free(minute(100), 7*24*time.Hour), true, is(minute(100).Add(7*24*time.Hour), minute(100), 9)},
	} {
		wantTaken(t, c.doing, s, c.taken, c.take)
		wantCount(t, c.doing, other, "k", c.want)
		s, other = other, s
	}
	wantTaken(t, "room in a bucket of which nobody has taken", s, true, limit.Take{Key: "K", At: at, Fade: fade, Guard: limit.GuardRoom, Most: at})
	counts, _, err := other.Counts(t.Context(), []string{"none", "K", "k", "none", "K"}, "")
	if err != nil || len(counts) != 5 {
		t.Fatalf("Counts: %v, %v; want 5", counts, err)
	}
	for i, reserved := range []int64{0, 1, 9, 0, 1} {
		if counts[i].Reserved != reserved {
			t.Errorf("count %d: got %+v, want %d reserved", i, counts[i], reserved)
		}
	}
	if counts[0] != none || counts[3] != none {
		t.Errorf("of what nobody has taken: got %+v and %+v, want zero", counts[0], counts[3])
	}
	for _, c := range counts {
		wantUTC(t, "count", c)
	}
}

func settle(t *testing.T, s, other Store) {
	take := func(key string, moment time.Time) limit.Take {
		return limit.Take{Key: key, At: moment, Fade: fade, Was: count(t, s, key)}
	}
	takes := func(key string, moment time.Time) limit.Take {
		took := take(key, moment)
		mustTake(t, s, took)
		return took
	}
	given := func(doing, key string, took limit.Take, want limit.Count) {
		t.Helper()
		mustSettle(t, s, []limit.Take{took}, nil, nil)
		wantCount(t, doing, other, key, want)
	}
	only := takes("only", at)
	given("the first is given back", "only", only, limit.Count{Empty: at})
	after := takes("only", minute(5))
	wantCount(t, "and taken again", other, "only", limit.Count{Empty: minute(6), Last: minute(5), Reserved: 1})
	given("given back again", "only", after, limit.Count{Empty: minute(5)})

	takes("last", at)
	second := takes("last", minute(0.5))
	given("the last one is given back", "last", second, limit.Count{Empty: minute(1), Last: at, Reserved: 1})
	third := takes("last", minute(2))
	fourth := takes("last", minute(2.5))
	given("the one before the last", "last", third, limit.Count{Empty: minute(3), Last: minute(2.5), Reserved: 2})
	given("and the last, beside which somebody else was", "last", fourth, limit.Count{Empty: minute(2), Last: minute(2.5), Reserved: 1})

	one, two := takes("kept", at), takes("kept", at)
	mustSettle(t, s, nil, []limit.Take{one}, nil)
	wantCount(t, "one is kept", other, "kept", limit.Count{Empty: minute(2), Last: at, Reserved: 1})
	mustSettle(t, s, nil, []limit.Take{two}, nil)
	wantCount(t, "so is the other", other, "kept", limit.Count{Empty: minute(2), Last: at})
	mustSettle(t, s, nil, []limit.Take{two}, nil)
	wantCount(t, "one too many is kept", other, "kept", limit.Count{Empty: minute(2), Last: at})
	mustSettle(t, s, []limit.Take{two}, nil, nil)
	wantCount(t, "one too many is given back", other, "kept", limit.Count{Empty: minute(1), Last: at})

	refused := take("counted", at)
	refused.Guard, refused.Most, refused.Was = limit.GuardRoom, minute(-9), limit.Count{Last: at}
	mustSettle(t, s, nil, nil, []limit.Take{refused})
	wantCount(t, "counted in an empty bucket", other, "counted", limit.Count{Empty: minute(1), Last: at})
	refused.Guard, refused.At = limit.GuardUnchanged, minute(0.5)
	mustSettle(t, s, nil, nil, []limit.Take{refused})
	wantCount(t, "counted in one that is not", other, "counted", limit.Count{Empty: minute(2), Last: minute(0.5)})
	refused.At = minute(9)
	mustSettle(t, s, nil, nil, []limit.Take{refused})
	wantCount(t, "counted later", other, "counted", limit.Count{Empty: minute(10), Last: minute(9)})

	a, b, c := takes("a", at), takes("b", at), take("c", at)
	mustSettle(t, s, []limit.Take{a}, []limit.Take{b}, []limit.Take{c})
	wantCount(t, "all at once: given", other, "a", limit.Count{Empty: at})
	wantCount(t, "all at once: kept", other, "b", limit.Count{Empty: minute(1), Last: at})
	wantCount(t, "all at once: counted", other, "c", limit.Count{Empty: minute(1), Last: at})
	a, b = takes("a", at), takes("b", at)
	mustSettle(t, s, []limit.Take{a, b}, nil, []limit.Take{take("c", at), take("d", at)})
	wantCount(t, "two of one kind", other, "a", limit.Count{Empty: at})
	wantCount(t, "two of one kind", other, "b", limit.Count{Empty: minute(1), Last: at})
	wantCount(t, "two of one kind", other, "c", limit.Count{Empty: minute(2), Last: at})
	wantCount(t, "two of one kind", other, "d", limit.Count{Empty: minute(1), Last: at})

	// A purge may have come between.
	mustSettle(t, s, []limit.Take{take("gone", at)}, []limit.Take{take("gone too", at)}, nil)
	for _, key := range []string{"gone", "gone too"} {
		if got := count(t, other, key); got.Empty.After(at) || !got.Last.IsZero() || got.Reserved != 0 {
			t.Errorf("a reservation that is not there is settled: got %+v, want nothing in it", got)
		}
	}
}

// markWithCounts: a mark is read as Mark reads it, and has nothing to do with a count of
// the same key.
func markWithCounts(t *testing.T, s, other Store) {
	mustCommit(t, s, storage.PutMark{Mark: mark("known")}, storage.PutMark{Mark: mark("another")})
	mustTake(t, s, limit.Take{Key: "k", At: at, Fade: fade}, limit.Take{Key: "counted", At: at, Fade: fade})
	for _, c := range []struct {
		mark string
		keys []string
		want time.Time
	}{
		{"known", []string{"none", "k"}, mark("known").ExpiresAt},
		{"known", []string{"known", "k"}, mark("known").ExpiresAt},
		{"known", nil, mark("known").ExpiresAt},
		{"none", []string{"none", "k"}, time.Time{}},
		{"counted", []string{"none", "k"}, time.Time{}},
		{"", []string{"none", "k"}, time.Time{}},
		{"known", []string{"none", "k", "3", "4", "5", "6", "7", "8", "9", "k"}, mark("known").ExpiresAt},
	} {
		counts, expires, err := other.Counts(t.Context(), c.keys, c.mark)
		if err != nil || !expires.Equal(c.want) || len(counts) != len(c.keys) {
			t.Errorf("mark %q with %q: expires %v, %d counts, %v; want %v", c.mark, c.keys, expires, len(counts), err, c.want)
		}
		wantUTC(t, "mark", expires)
		for i, key := range c.keys {
			if taken := key == "k"; taken != (counts[i].Reserved == 1) || taken == counts[i].Empty.IsZero() {
				t.Errorf("mark %q with %q: count of %s is %+v", c.mark, c.keys, key, counts[i])
			}
		}
	}
}

func takeAllOrNothing(t *testing.T, s, other Store) {
	keys := []string{"a", "b", "c"}
	free := func(key string) limit.Take { return limit.Take{Key: key, At: at, Fade: fade} }
	full := limit.Take{At: at, Fade: fade, Guard: limit.GuardRoom, Most: minute(-1)}
	ended := limit.Take{At: at, Fade: fade, Guard: limit.GuardUnchanged, Was: limit.Count{Empty: minute(3), Last: at}}
	moved := limit.Take{At: at, Fade: fade, Guard: limit.GuardUnchanged, Was: limit.Count{Last: minute(-3)}}
	var stored limit.Count
	for round, refusals := range [][]limit.Take{{ended, moved}, {ended, moved, full}} { // a bucket that is not there is never full
		for _, refuses := range refusals {
			for failing, key := range keys {
				takes := []limit.Take{free("a"), free("b"), free("c")}
				takes[failing] = refuses
				takes[failing].Key = key
				doing := fmt.Sprint("round ", round, ", ", key, " refuses")
				wantTaken(t, doing, s, false, takes...)
				for _, key := range keys {
					wantCount(t, doing, other, key, stored)
				}
			}
		}
		mustTake(t, s, free("a"), free("b"), free("c"))
		stored = limit.Count{Empty: minute(float64(round + 1)), Last: at, Reserved: int64(round + 1)}
		for _, key := range keys {
			wantCount(t, "from all", other, key, stored)
		}
	}
}

// racingForRoom: of many who take at the same time exactly as many do as there is room
// for. What is given back can be taken again, all of it.
func racingForRoom(t *testing.T, s, other Store) {
	const fit = 7
	for round := range 2 {
		var mu sync.Mutex
		var took []limit.Take
		race(t, s, other, nil, func(ctx context.Context, s Store, _ int) error {
			counts, _, err := s.Counts(ctx, []string{"k"}, "")
			if err != nil {
				return err
			}
			take := limit.Take{Key: "k", At: at, Fade: fade, Guard: limit.GuardRoom, Most: minute(fit - 1), Was: counts[0]}
			taken, err := s.Take(ctx, []limit.Take{take})
			if taken {
				mu.Lock()
				defer mu.Unlock()
				took = append(took, take)
			}
			return err
		})
		if len(took) != fit {
			t.Errorf("round %d: %d took, want %d", round, len(took), fit)
		}
		wantCount(t, "all taken", other, "k", limit.Count{Empty: minute(fit), Last: at, Reserved: fit})
		race(t, s, other, nil, func(ctx context.Context, s Store, i int) error {
			if i >= len(took) {
				return nil
			}
			return s.Settle(ctx, took[i:i+1], nil, nil)
		})
		if got := count(t, s, "k"); !got.Empty.Equal(at) || got.Reserved != 0 {
			t.Errorf("round %d: all is given back, and left are %+v", round, got)
		}
	}
}

// racingForBuckets: as racingForRoom, with two buckets of which one has room for all. The
// racers name them in either order.
func racingForBuckets(t *testing.T, s, other Store) {
	const fit = 7
	var mu sync.Mutex
	var took int
	race(t, s, other, nil, func(ctx context.Context, s Store, i int) error {
		takes := []limit.Take{
			{Key: "narrow", At: at, Fade: fade, Guard: limit.GuardRoom, Most: minute(fit - 1)},
			{Key: "wide", At: at, Fade: fade, Guard: limit.GuardRoom, Most: minute(2 * racers)},
		}
		if i/2%2 == 1 {
			takes[0], takes[1] = takes[1], takes[0]
		}
		taken, err := s.Take(ctx, takes)
		if taken {
			mu.Lock()
			defer mu.Unlock()
			took++
		}
		return err
	})
	if took != fit {
		t.Errorf("%d took, want %d", took, fit)
	}
	for _, key := range []string{"narrow", "wide"} {
		wantCount(t, "after the race", other, key, limit.Count{Empty: minute(fit), Last: at, Reserved: fit})
	}
}

// racingRefusals: each racer's takes are refused by one bucket of three, which another one
// takes from. However they meet, what is left is what those have taken who were let in.
func racingRefusals(t *testing.T, s, other Store) {
	mustTake(t, s, limit.Take{Key: "full", At: at, Fade: 100 * fade})
	full := limit.Take{Key: "full", At: at, Fade: fade, Guard: limit.GuardRoom, Most: at}
	var taken atomic.Int64
	race(t, s, other, nil, func(ctx context.Context, s Store, i int) error {
		moment := at.Add(time.Duration(i) * time.Millisecond)
		takes := []limit.Take{{Key: "a", At: moment, Fade: fade}, {Key: "b", At: moment, Fade: fade}}
		if i%4 < 3 {
			takes = append(takes, full)
		}
		ok, err := s.Take(ctx, takes)
		if ok != (i%4 == 3) && err == nil {
			t.Errorf("racer %d: taken %v", i, ok)
		}
		if ok {
			taken.Add(1)
		}
		return err
	})
	for _, key := range []string{"a", "b"} {
		if got := count(t, other, key); got.Reserved != taken.Load() {
			t.Errorf("%s: %d reservations are left, want %d", key, got.Reserved, taken.Load())
		}
		// The first of them fills an empty bucket from its own moment on.
		level := count(t, other, key).Empty.Sub(at)
		if least := time.Duration(taken.Load()) * fade; level < least || level > least+time.Second {
			t.Errorf("%s is filled up to %v, want %v", key, level, least)
		}
	}
	wantCount(t, "after the race", other, "full", limit.Count{Empty: at.Add(100 * fade), Last: at, Reserved: 1})
}

// racingForUnchanged: of many who have read the same count one takes; nobody else does
// until it is read again.
func racingForUnchanged(t *testing.T, s, other Store) {
	for round := range 3 {
		was := count(t, s, "k")
		var mu sync.Mutex
		var took int
		race(t, s, other, nil, func(ctx context.Context, s Store, i int) error {
			take := limit.Take{Key: "k", At: at.Add(time.Duration(i) * time.Second), Fade: fade, Guard: limit.GuardUnchanged, Was: was}
			taken, err := s.Take(ctx, []limit.Take{take})
			if taken {
				mu.Lock()
				defer mu.Unlock()
				took++
			}
			return err
		})
		if got := count(t, other, "k"); took != 1 || got.Reserved != int64(round+1) {
			t.Errorf("round %d: %d took, and left are %+v; want 1 more", round, took, got)
		}
	}
}

// racingSettlements: each racer takes, and then one third gives back, one keeps, and one
// counts.
func racingSettlements(t *testing.T, s, other Store) {
	race(t, s, other, nil, func(ctx context.Context, s Store, i int) error {
		take := limit.Take{Key: "k", At: at, Fade: fade}
		one := []limit.Take{take}
		switch i % 3 {
		case 0:
			return s.Settle(ctx, nil, nil, one)
		case 1:
			if _, err := s.Take(ctx, one); err != nil {
				return err
			}
			return s.Settle(ctx, nil, one, nil)
		}
		if _, err := s.Take(ctx, one); err != nil {
			return err
		}
		return s.Settle(ctx, one, nil, nil)
	})
	stay := 0
	for i := range racers {
		if i%3 != 2 {
			stay++
		}
	}
	if got := count(t, other, "k"); !got.Empty.Equal(minute(float64(stay))) || got.Reserved != 0 {
		t.Errorf("got %+v, want %d to stay and none to be reserved", got, stay)
	}
}
