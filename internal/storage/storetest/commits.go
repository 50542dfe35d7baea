package storetest

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/latchkey-auth/latchkey/internal/storage"
)

// serviceCommits are lists of changes that belong together, each committed once more
// because its answer was lost, and refused as a whole when one guard fails.
func serviceCommits(t *testing.T, s, other Store) {
	w := newWorld(t, s, other)
	check := storage.CheckEpoch{UserID: "id-ada", Epoch: 5}
	appendEvent := func(id string) storage.Change { return storage.AppendEvent{Event: event(id)} }
	rehash := storage.UpdateUser{Old: w.user("ada"), New: w.user("ada")}
	rehash.New.PasswordHash = "$argon2id$stronger"

	w.does("a login", func(all *state) {
		all.Sessions["new"], all.Marks["new"] = session("new", w.user("ada")), mark("new")
		all.log([]storage.Event{event("login")})
	}, check, storage.CreateSession{Session: session("new", w.user("ada"))}, storage.PutMark{Mark: mark("new")}, appendEvent("login"))

	refreshed := w.session("new")
	refreshed.Refreshes, refreshed.Seed = 4, []byte{4}
	w.does("a refresh", func(all *state) {
		all.Sessions["new"] = refreshed
		all.log([]storage.Event{event("refresh")})
	}, check, storage.RefreshSession{Session: refreshed}, appendEvent("refresh"))

	w.does("a login that replaces a weak hash", func(all *state) {
		u := rehash.New
		u.SignInVersion = 2
		all.Users[u.ID] = u
		all.Sessions["newer"] = session("newer", u)
		all.log([]storage.Event{event("rehash")})
	}, rehash, storage.CreateSession{Session: session("newer", w.user("ada"))}, appendEvent("rehash"))
	w.refuses("another that has read the same", storage.ErrConflict, rehash, storage.CreateSession{Session: session("newest", w.user("ada"))})

	reset := storage.UpdateUser{Old: w.user("ada"), New: w.user("ada")}
	reset.New.PasswordHash, reset.New.Epoch, reset.New.EpochAt, reset.New.EmailVerified = "$argon2id$new", 6, at, true
	kept := w.session("phone")
	kept.Epoch = 6
	changes := []storage.Change{
		storage.TakeTicket{Ticket: ticket("reset")}, reset, storage.KeepSession{Session: kept}, storage.PutMark{Mark: mark("newer")},
		storage.AppendRevocation{Revocation: revocation("reset")}, storage.QueueMail{Mail: mail("changed")}, appendEvent("reset"),
	}
	for i, spoilt := range []storage.Change{
		storage.TakeTicket{Ticket: otherTicket("reset")}, rehash, storage.KeepSession{Session: w.session("ended")},
	} {
		list := append([]storage.Change(nil), changes...)
		list[i] = spoilt
		w.refuses(fmt.Sprint("a reset whose change ", i, " fails"), storage.ErrConflict, list...)
	}
	taken := append([]storage.Change(nil), changes...)
	taken[5] = storage.QueueMail{Mail: mail("queued")}
	w.refuses("a reset whose mail is there", storage.ErrTaken, taken...)
	w.does("a reset", func(all *state) {
		u := reset.New
		u.SignInVersion = 3
		all.Users[u.ID] = u
		delete(all.Tickets, "reset")
		changed("phone", func(e *storage.Session) { e.Epoch = 6 })(all)
		all.Marks["newer"], all.Mails["changed"] = mark("newer"), mail("changed")
		all.log([]storage.Event{event("reset")}, revocation("reset"))
	}, changes...)

	eve := user("eve")
	eve.Email = ""
	w.does("a registration", func(all *state) {
		all.Tickets["newer"], all.Mails["new"] = ticket("newer"), mail("new")
		all.log([]storage.Event{event("register")})
	}, storage.PutTicket{Ticket: ticket("newer")}, storage.QueueMail{Mail: mail("new")}, appendEvent("register"))
	w.does("a registration that is proved", func(all *state) {
		delete(all.Tickets, "newer")
		all.drop("id-bob")
		all.create(eve)
		all.log([]storage.Event{event("verify"), event("gone")}, revocation("gone"))
	}, storage.TakeTicket{Ticket: ticket("newer")}, storage.ReplaceUser{Old: w.user("bob"), New: eve},
		storage.AppendRevocation{Revocation: revocation("gone")}, appendEvent("verify"), appendEvent("gone"))
	w.does("a mail that is delivered", func(all *state) {
		delete(all.Mails, "new")
		all.log([]storage.Event{event("mail")})
	}, storage.DeleteMail{Mail: mail("new")}, appendEvent("mail"))
}

// impossibleChanges are mistakes of the program: more items than a commit has, or one of
// them twice.
func impossibleChanges(t *testing.T, s, other Store) {
	w := newWorld(t, s, other)
	ada, bob, eve := w.user("ada"), w.user("bob"), user("eve")
	update := func(u storage.User, change func(*storage.User)) storage.UpdateUser {
		c := storage.UpdateUser{Old: u, New: u}
		change(&c.New)
		return c
	}
	profile := update(ada, func(u *storage.User) { u.Name = "changed" })
	signIn := update(ada, func(u *storage.User) { u.Epoch++ })
	rename := update(ada, func(u *storage.User) { u.Username = "countess" })
	check := storage.CheckEpoch{UserID: ada.ID, Epoch: ada.Epoch}
	namesake := user("mallory")
	namesake.Username = "EVE"
	neighbour := user("mallory")
	neighbour.Email = "EVE@example.com"
	heir := user("eve")
	heir.Username = "ada"
	marks := func(n int) []storage.Change {
		var changes []storage.Change
		for i := range n {
			changes = append(changes, storage.PutMark{Mark: mark(fmt.Sprint(i))})
		}
		return append(changes[:n-1], storage.PutMark{Mark: mark("new")})
	}
	users := func(n int) (changes []storage.Change) {
		for i := range n {
			changes = append(changes, storage.CreateUser{User: user(fmt.Sprint("user", i))})
		}
		return changes
	}
	for doing, changes := range map[string][]storage.Change{
		"26 items":                               marks(storage.MaxChanges + 1),
		"100 items":                              marks(100),
		"28 items of 7 users":                    users(7),
		"a mark twice":                           {storage.PutMark{Mark: mark("new")}, storage.PutMark{Mark: mark("new")}},
		"a ticket put and taken":                 {storage.PutTicket{Ticket: ticket("new")}, storage.TakeTicket{Ticket: ticket("new")}},
		"a ticket taken and put":                 {storage.TakeTicket{Ticket: ticket("reset")}, storage.PutTicket{Ticket: ticket("reset")}},
		"a try and another":                      {storage.CountTry{Ticket: ticket("reset")}, storage.CountTry{Ticket: ticket("reset")}},
		"a session begun and kept":               {storage.CreateSession{Session: session("new", ada)}, storage.KeepSession{Session: session("new", ada)}},
		"a session refreshed and ended":          {storage.RefreshSession{Session: session("phone", ada)}, storage.EndSession{Session: session("phone", ada)}},
		"a mail twice":                           {storage.QueueMail{Mail: mail("new")}, storage.DeleteMail{Mail: mail("new")}},
		"an event twice":                         {storage.AppendEvent{Event: event("new")}, storage.AppendEvent{Event: event("new")}},
		"a revocation twice":                     {storage.AppendRevocation{Revocation: revocation("new")}, storage.AppendRevocation{Revocation: revocation("new")}},
		"an epoch twice":                         {check, check},
		"a user who is new and checked":          {storage.CreateUser{User: eve}, storage.CheckEpoch{UserID: eve.ID, Epoch: eve.Epoch}},
		"a user who is new twice":                {storage.CreateUser{User: eve}, storage.CreateUser{User: eve}},
		"two users of one name":                  {storage.CreateUser{User: eve}, storage.CreateUser{User: namesake}},
		"two users of one address":               {storage.CreateUser{User: eve}, storage.CreateUser{User: neighbour}},
		"an epoch that is checked and moved":     {check, signIn},
		"an epoch that is checked, a new name":   {rename, check},
		"a profile twice":                        {profile, profile},
		"a profile and a new name":               {profile, rename},
		"a name that passes on by an update":     {rename, storage.CreateUser{User: heir}},
		"a name that passes on by a deletion":    {storage.DeleteUser{User: ada}, storage.CreateUser{User: heir}},
		"a user who is deleted twice":            {storage.DeleteUser{User: ada}, storage.DeleteUser{User: ada}},
		"a user who is deleted and checked":      {storage.DeleteUser{User: ada}, check},
		"a user who is replaced by the same":     {storage.ReplaceUser{Old: ada, New: ada}},
		"a user who is replaced by two":          {storage.ReplaceUser{Old: ada, New: eve}, storage.ReplaceUser{Old: ada, New: user("mallory")}},
		"two users who are replaced by the same": {storage.ReplaceUser{Old: ada, New: eve}, storage.ReplaceUser{Old: bob, New: eve}},
	} {
		wantError(t, doing, s.Commit(t.Context(), changes...), storage.ErrChanges)
		w.check(doing)
	}
	w.does("25 items", func(all *state) { all.Marks["new"] = mark("new") }, marks(storage.MaxChanges)...)
	w.does("24 items of 6 users, and one", func(all *state) {
		for i := range 6 {
			all.create(user(fmt.Sprint("user", i)))
		}
		all.Marks["newer"] = mark("newer")
	}, append(users(6), storage.PutMark{Mark: mark("newer")})...)
}

// commitOutlivesContext: failures count for those who hang up, too.
func commitOutlivesContext(t *testing.T, s, other Store) {
	w := newWorld(t, s, other)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Commit(ctx, storage.PutMark{Mark: mark("new")}, storage.CountTry{Ticket: ticket("reset")}); err != nil {
		t.Fatal(err)
	}
	tried := ticket("reset")
	tried.Tries = 1
	w.want.Marks["new"], w.want.Tickets["reset"] = mark("new"), tried
	w.check("a commit whose context has ended")
	if err := s.Commit(ctx, storage.CountTry{Ticket: ticket("reset")}); !errors.Is(err, storage.ErrConflict) {
		t.Errorf("got error %v, want ErrConflict", err)
	}
	w.check("a refused one")
}

// handlesAgree reads at each handle, changes at the other, and reads again: nothing that
// a handle remembers may be behind.
func handlesAgree(t *testing.T, s, other Store) {
	w := newWorld(t, s, other)
	phone := w.session("phone")
	for _, c := range []struct {
		doing  string
		change func() storage.Change
		then   func(*state)
	}{
		{"a refresh", func() storage.Change {
			phone.Refreshes++
			return storage.RefreshSession{Session: phone}
		}, changed("phone", func(e *storage.Session) { e.Refreshes++ })},
		{"a session kept", func() storage.Change {
			phone.Epoch = 6
			return storage.KeepSession{Session: phone}
		}, changed("phone", func(e *storage.Session) { e.Epoch = 6 })},
		{"a session ended", func() storage.Change {
			phone.EndedAt = at
			return storage.EndSession{Session: phone}
		}, changed("phone", func(e *storage.Session) { e.EndedAt = at })},
		{"a user disabled", func() storage.Change {
			c := storage.UpdateUser{Old: w.user("ada"), New: w.user("ada")}
			c.New.Disabled = true
			return c
		}, func(all *state) {
			u := all.Users["id-ada"]
			u.Disabled, u.SignInVersion = true, u.SignInVersion+1
			all.Users[u.ID] = u
		}},
		{"a user renamed", func() storage.Change {
			c := storage.UpdateUser{Old: w.user("ada"), New: w.user("ada")}
			c.New.Username = "countess"
			return c
		}, func(all *state) {
			u := all.Users["id-ada"]
			u.Username, u.Version, u.SignInVersion = "countess", u.Version+1, u.SignInVersion+1
			all.Users[u.ID] = u
		}},
		{"a user deleted", func() storage.Change { return storage.DeleteUser{User: w.user("ada")} }, func(all *state) { all.drop("id-ada") }},
	} {
		mustCommit(t, w.s, c.change())
		c.then(&w.want)
		for range 2 {
			w.check(c.doing)
			w.s, w.other = w.other, w.s
		}
		w.s, w.other = w.other, w.s // the next change is made at the other handle
	}
}

// racingLines appends to both lists at once; each line is there, once.
func racingLines(t *testing.T, s, other Store) {
	race(t, s, other, nil, func(ctx context.Context, s Store, i int) error {
		return s.Commit(ctx,
			storage.AppendEvent{Event: event(fmt.Sprint("a", i))}, storage.AppendEvent{Event: event(fmt.Sprint("b", i))},
			storage.AppendEvent{Event: event("same")}, storage.AppendRevocation{Revocation: revocation(fmt.Sprint("a", i))})
	})
	want := newState()
	want.log([]storage.Event{event("same")})
	for i := range racers {
		want.log([]storage.Event{event(fmt.Sprint("a", i)), event(fmt.Sprint("b", i))}, revocation(fmt.Sprint("a", i)))
	}
	got := newState()
	got.Events, _ = walk(t, s, other, 30, eventsSince(t, dayBefore), nil)
	got.Revocations, _ = walk(t, s, other, 30, revocationsSince(t, dayBefore), nil)
	if d := diff(want, got); d != "" {
		t.Errorf("lines (-want +got):\n%s", d)
	}
}

// purgeAmongWriters: commits succeed while the store is purged, and what they store does
// not go.
func purgeAmongWriters(t *testing.T, s, other Store) {
	ada := user("ada")
	mustCommit(t, s, storage.CreateUser{User: ada})
	before := at.Add(-time.Hour)
	race(t, s, other, nil, func(ctx context.Context, s Store, i int) error {
		if i%5 == 0 {
			return s.Purge(ctx, storage.Moments{Expired: before, Events: before, Counts: before})
		}
		return s.Commit(ctx, storage.CheckEpoch{UserID: ada.ID, Epoch: ada.Epoch},
			storage.CreateSession{Session: session(fmt.Sprint(i), ada)}, storage.AppendEvent{Event: event(fmt.Sprint(i))})
	})
	const want = racers * 4 / 5
	sessions := userSessionIDs(t, s, ada.ID)
	events, _, err := other.Events(t.Context(), dayBefore, "", all)
	if err != nil || len(sessions) != want || len(events) != want {
		t.Errorf("got %d sessions and %d events, %v; want %d of each", len(sessions), len(events), err, want)
	}
}
