package storetest

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/latchkey-auth/latchkey/internal/storage"
)

// writersAtPages is after how many pages others write: a list that grows with each of its
// pages has no end.
const writersAtPages = 5

// usersArePaged: between the pages users are created, renamed and deleted. Whoever is
// there all the while comes once.
func usersArePaged(t *testing.T, s, other Store) {
	var staying, leaving []string
	for i := range 7 {
		staying, leaving = append(staying, fmt.Sprint("staying", 6-i)), append(leaving, fmt.Sprint("leaving", i))
		mustCommit(t, s, storage.CreateUser{User: user(staying[i])}, storage.CreateUser{User: user(leaving[i])})
	}
	page := func(s Store, after storage.Cursor, limit int) ([]storage.User, storage.Cursor, error) {
		return s.Users(t.Context(), after, limit)
	}
	var created int
	for _, limit := range []int{1, 2, 3, 100} {
		got, _ := walk(t, s, other, limit, page, func(n int, _ []storage.User) {
			if n >= writersAtPages {
				return
			}
			created++
			mustCommit(t, s, storage.CreateUser{User: user(fmt.Sprint("a-new", created))}, storage.CreateUser{User: user(fmt.Sprint("z-new", created))})
			renamed, err := other.User(t.Context(), storage.UserID("id-"+staying[n]))
			if err != nil {
				t.Fatal(err)
			}
			c := storage.UpdateUser{Old: renamed, New: renamed}
			c.New.Username, c.New.Name = fmt.Sprint(limit, "-", staying[n]), "renamed"
			mustCommit(t, other, c)
			if len(leaving) > 0 {
				gone := user(leaving[0])
				gone.SignInVersion = 1
				mustCommit(t, s, storage.DeleteUser{User: gone})
				leaving = leaving[1:]
			}
		})
		times := map[storage.UserID]int{}
		for _, u := range got {
			times[u.ID]++
		}
		for _, name := range staying {
			if n := times[storage.UserID("id-"+name)]; n != 1 {
				t.Errorf("limit %d: %s, who is there all the while, comes %d times", limit, name, n)
			}
		}
	}
}

// A feed is a list by time, as Events and Revocations are.
type feed[T any] struct {
	line   func(id string, after time.Duration) T // what happened so long after at
	store  func(T) storage.Change
	place  func(T) place
	since  func(t *testing.T, since time.Time) func(s Store, after storage.Cursor, limit int) ([]T, storage.Cursor, error)
	purges func(before time.Time) storage.Moments
}

func eventsArePaged(t *testing.T, s, other Store) {
	feedIsPaged(t, s, other, feed[storage.Event]{
		line: func(id string, after time.Duration) storage.Event {
			e := event(id)
			e.Time = at.Add(after)
			return e
		},
		store:  func(e storage.Event) storage.Change { return storage.AppendEvent{Event: e} },
		place:  eventPlace,
		since:  eventsSince,
		purges: func(before time.Time) storage.Moments { return storage.Moments{Events: before} },
	})
}

func revocationsArePaged(t *testing.T, s, other Store) {
	feedIsPaged(t, s, other, feed[storage.Revocation]{
		line: func(id string, after time.Duration) storage.Revocation {
			r := revocation(id)
			r.Time, r.ExpiresAt = at.Add(after), at.Add(after).Add(12*time.Hour)
			return r
		},
		store:  func(r storage.Revocation) storage.Change { return storage.AppendRevocation{Revocation: r} },
		place:  revocationPlace,
		since:  revocationsSince,
		purges: func(before time.Time) storage.Moments { return storage.Moments{Expired: before.Add(12 * time.Hour)} },
	})
}

// feedIsPaged: between the pages lines are added behind, among and before those that were
// read. What comes after the cursor comes once, in order; what comes before it may be
// missed.
func feedIsPaged[T any](t *testing.T, s, other Store, f feed[T]) {
	ids := func(lines []T) (ids []string) {
		for _, l := range lines {
			ids = append(ids, f.place(l).id)
		}
		return ids
	}
	wants := func(doing string, got []T, want ...string) {
		t.Helper()
		if d := diff(want, ids(got)); d != "" {
			t.Errorf("%s: lines (-want +got):\n%s", doing, d)
		}
	}
	adds := func(lines ...T) {
		t.Helper()
		var changes []storage.Change
		for _, l := range lines {
			changes = append(changes, f.store(l))
		}
		mustCommit(t, s, changes...)
	}
	// Ids decide where the times are the same, byte by byte, and the order of the commits
	// does not matter.
	adds(f.line("last", time.Minute), f.line("b", 0), f.line("B", 0), f.line("a-", 0), f.line("c", time.Microsecond), f.line("aa", 0))
	adds(f.line("a", 0), f.line("before", -time.Microsecond), f.line("_", 0), f.line("A", time.Microsecond), f.line("0", time.Second))
	base := []string{"B", "_", "a", "a-", "aa", "b", "A", "c", "0", "last"}

	page := f.since(t, at)
	first, next, err := page(s, "", len(base))
	if err != nil {
		t.Fatal(err)
	}
	wants("as many as there are", first, base...)
	rest, _, err := page(other, next, all)
	if err != nil {
		t.Fatal(err)
	}
	wants("after them", rest)
	got, _ := walk(t, s, other, 4, f.since(t, at.Add(-time.Microsecond)), nil)
	wants("since the moment before", got, append([]string{"before"}, base...)...)
	got, _ = walk(t, s, other, 4, f.since(t, at.Add(time.Microsecond)), nil)
	wants("since the moment after", got, base[6:]...)
	got, _ = walk(t, s, other, 4, f.since(t, at.Add(time.Hour)), nil)
	wants("since later", got)

	// The cursor says where to go on, not since.
	_, next, err = page(s, "", 7)
	if err != nil {
		t.Fatal(err)
	}
	rest, _, err = f.since(t, time.Time{})(other, next, all)
	if err != nil {
		t.Fatal(err)
	}
	wants("after a cursor, since ever", rest, base[7:]...)

	var later []string
	for _, limit := range []int{1, 2, 3, 100} {
		got, next := walk(t, s, other, limit, page, func(n int, got []T) {
			if n >= writersAtPages {
				return
			}
			read := f.place(got[len(got)-1])
			behind := fmt.Sprintf("later %05d", len(later))
			among := f.line(fmt.Sprint("among ", behind), read.time.Sub(at)) // just before or just after
			adds(f.line(behind, time.Hour), among, f.line(fmt.Sprint("first ", behind), -time.Minute))
			later = append(later, behind)
		})
		doing := fmt.Sprint("limit ", limit)
		places := make([]place, len(got))
		for i, l := range got {
			places[i] = f.place(l)
		}
		if !slices.IsSortedFunc(places, place.compare) || len(slices.Compact(places)) != len(got) {
			t.Errorf("%s: not in order, or twice: %v", doing, ids(got))
		}
		if len(places) > 0 && places[0].time.Before(at) {
			t.Errorf("%s: %v is before all that was asked for", doing, places[0])
		}
		wanted := slices.DeleteFunc(slices.Clone(got), func(l T) bool {
			return !slices.Contains(base, f.place(l).id) && !slices.Contains(later, f.place(l).id)
		})
		wants(doing, wanted, append(slices.Clone(base), later...)...)

		follow := fmt.Sprintf("later %05d", len(later))
		adds(f.line(follow, time.Hour))
		later = append(later, follow)
		news, _, err := page(other, next, all)
		if err != nil {
			t.Fatal(err)
		}
		wants(doing+": what came after the end", news, follow)
	}

	// A cursor outlives the line it was made of.
	lines, next, err := f.since(t, at.Add(time.Second))(s, "", 1)
	if err != nil {
		t.Fatal(err)
	}
	wants("one", lines, "0")
	if err := s.Purge(t.Context(), f.purges(at.Add(time.Minute))); err != nil {
		t.Fatal(err)
	}
	lines, _, err = page(other, next, 2)
	if err != nil {
		t.Fatal(err)
	}
	lines = slices.DeleteFunc(lines, func(l T) bool { return !slices.Contains(base, f.place(l).id) && !slices.Contains(later, f.place(l).id) })
	wants("after a purge", lines[:1], "last")
}
