package storetest

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/latchkey-auth/latchkey/internal/storage"
)

func loaded(u storage.User) storage.LoadedUser {
	return storage.LoadedUser{User: u, Event: event("loaded " + string(u.ID))}
}

func loaderReports(t *testing.T, s, other Store) {
	w := newWorld(t, s, other)
	with := func(id storage.UserID, change func(*storage.User)) storage.LoadedUser {
		u := user("mallory")
		u.ID = id
		change(&u)
		return loaded(u)
	}
	countess := user("countess")
	countess.Version, countess.SignInVersion, countess.Email = 7, 8, ""
	list := []storage.LoadedUser{
		loaded(user("eve")),
		with("id-ada", func(*storage.User) {}),
		with("1", func(u *storage.User) { u.Username = "ＡＤＡ" }),
		with("2", func(u *storage.User) { u.Email = "BOB@example.com" }),
		with("id-dan", func(*storage.User) {}),
		loaded(countess),
		loaded(w.user("bob")),
	}
	want := []bool{true, false, false, false, false, true, false}
	stored, err := s.LoadUsers(t.Context(), list)
	if err != nil || !slices.Equal(stored, want) {
		t.Fatalf("stored %v, %v; want %v", stored, err, want)
	}
	w.want.create(user("eve"))
	w.want.create(countess)
	w.want.log([]storage.Event{list[0].Event, list[5].Event})
	w.check("loading")

	stored, err = other.LoadUsers(t.Context(), list)
	if err != nil || slices.Contains(stored, true) {
		t.Errorf("loading them again, as the answer was lost: stored %v, %v; want none", stored, err)
	}
	w.check("loading them again")

	// Of two who would have one name, one gets it.
	twins := []storage.LoadedUser{with("twin 1", func(*storage.User) {}), with("twin 2", func(u *storage.User) { u.Username = "MALLORY" })}
	stored, err = s.LoadUsers(t.Context(), twins)
	if err != nil || len(stored) != 2 || stored[0] == stored[1] {
		t.Fatalf("two of one name: stored %v, %v; want one of them", stored, err)
	}
	winner := twins[slices.Index(stored, true)]
	w.want.create(winner.User)
	w.want.log([]storage.Event{winner.Event})
	w.check("loading two of one name")

	w.update("what was loaded can be changed, as everything else", true, true, func(u *storage.User) { u.Email = "" })
	eve := w.user("eve")
	w.does("and deleted", func(all *state) { all.drop("id-eve") }, storage.DeleteUser{User: eve})
	w.loads("a deleted one cannot be loaded again", false, eve)
	w.loads("the names are free", true, func() storage.User { eve.ID = "heir"; return eve }())
}

// racingLoaders have the same users, or others of the same names, in another order each.
func racingLoaders(t *testing.T, s, other Store) {
	const users, loaders = 30, 4
	lists := make([][]storage.LoadedUser, loaders)
	for l := range lists {
		for i := range users {
			u := user(fmt.Sprint("user", (i*7+l*11)%users))
			if l%2 == 1 {
				u.ID += "-another"
			}
			u.Name = fmt.Sprint("by ", l)
			e := event(fmt.Sprint("by ", l, " ", u.Username))
			e.UserID = u.ID
			lists[l] = append(lists[l], storage.LoadedUser{User: u, Event: e})
		}
	}
	var mu sync.Mutex
	want := newState()
	var wg sync.WaitGroup
	for l, list := range lists {
		wg.Go(func() {
			store := []Store{s, other, other, s}[l]
			stored, err := store.LoadUsers(t.Context(), list)
			if err != nil || len(stored) != users {
				t.Errorf("loader %d: stored %v, %v", l, stored, err)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			for i, one := range list {
				if !stored[i] {
					continue
				}
				if _, twice := want.Users[one.User.ID]; twice {
					t.Errorf("%s is stored twice", one.User.ID)
				}
				want.create(one.User)
				want.log([]storage.Event{one.Event})
			}
		})
	}
	wg.Wait()
	if len(want.Users) != users {
		t.Errorf("%d users are said to be stored, want %d", len(want.Users), users)
	}
	got := newState()
	for _, u := range listUsers(t, other) {
		got.Users[u.ID] = u
	}
	got.Events, _ = walk(t, s, other, 30, eventsSince(t, dayBefore), nil)
	if d := diff(want, got); d != "" {
		t.Errorf("stored (-want +got):\n%s", d)
	}
}

// loaderTakesMany: hundreds of users, each with its event, come in while others write, and
// a purge of most of the events leaves the others alone.
func loaderTakesMany(t *testing.T, s, other Store) {
	const many, young = 300, 10
	var list []storage.LoadedUser
	for i := range many {
		one := loaded(user(fmt.Sprint("user", i)))
		if i < young {
			one.Event.Time = at.Add(time.Hour)
		}
		list = append(list, one)
	}
	errs := atOnce(
		func() error {
			stored, err := s.LoadUsers(t.Context(), list)
			if err == nil && (len(stored) != many || slices.Contains(stored, false)) {
				t.Errorf("%d of %d are stored, or not all", len(stored), many)
			}
			return err
		},
		func() error { return writes(t.Context(), other) },
	)
	for _, err := range errs {
		if err != nil {
			t.Fatal(err)
		}
	}
	if users := listUsers(t, other); len(users) != many {
		t.Errorf("%d users are there, want %d", len(users), many)
	}
	lines := func(since time.Time) int {
		events, _ := walk(t, s, other, 300, eventsSince(t, since), nil)
		return len(events)
	}
	if n := lines(dayBefore); n != many {
		t.Errorf("%d events are there, want %d", n, many)
	}
	if err := s.Purge(t.Context(), storage.Moments{Events: at.Add(time.Hour)}); err != nil {
		t.Fatal(err)
	}
	if n := lines(at.Add(time.Hour)); n != young {
		t.Errorf("%d events are there that were not purged, want %d", n, young)
	}
	if users := listUsers(t, other); len(users) != many {
		t.Errorf("%d users are there after the purge, want %d", len(users), many)
	}
}

// writes commits a few changes.
func writes(ctx context.Context, s Store) error {
	for i := range 10 {
		if err := s.Commit(ctx, storage.PutMark{Mark: mark(fmt.Sprint(i))}); err != nil {
			return err
		}
	}
	return nil
}
