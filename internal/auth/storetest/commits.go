package storetest

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/latchkey-auth/latchkey/internal/auth"
)

// serviceCommits are lists of changes that belong together, each committed once more
// because its answer was lost, and refused as a whole when one guard fails.
func serviceCommits(t *testing.T, s, other Store) {
	w := newWorld(t, s, other)
	check := auth.CheckEpoch{UserID: "id-ada", Epoch: 5}
	appendEvent := func(id string) auth.Change { return auth.AppendEvent{Event: event(id)} }
	rehash := auth.UpdateUser{Old: w.user("ada"), New: w.user("ada")}
	rehash.New.PasswordHash = "$argon2id$stronger"

	w.does("a login", func(all *state) {
		all.Sessions["new"], all.Marks["new"] = session("new", w.user("ada")), mark("new")
		all.log([]auth.Event{event("login")})
	}, check, auth.CreateSession{Session: session("new", w.user("ada"))}, auth.PutMark{Mark: mark("new")}, appendEvent("login"))

	refreshed := w.session("new")
	refreshed.Refreshes, refreshed.Seed = 4, []byte{4}
	w.does("a refresh", func(all *state) {
		all.Sessions["new"] = refreshed
		all.log([]auth.Event{event("refresh")})
	}, check, auth.RefreshSession{Session: refreshed}, appendEvent("refresh"))

	w.does("a login that replaces a weak hash", func(all *state) {
		u := rehash.New
		u.SignInVersion = 2
		all.Users[u.ID] = u
		all.Sessions["newer"] = session("newer", u)
		all.log([]auth.Event{event("rehash")})
	}, rehash, auth.CreateSession{Session: session("newer", w.user("ada"))}, appendEvent("rehash"))
	w.refuses("another that has read the same", auth.ErrConflict, rehash, auth.CreateSession{Session: session("newest", w.user("ada"))})

	reset := auth.UpdateUser{Old: w.user("ada"), New: w.user("ada")}
	reset.New.PasswordHash, reset.New.Epoch, reset.New.EpochAt, reset.New.EmailVerified = "$argon2id$new", 6, at, true
	kept := w.session("phone")
	kept.Epoch = 6
	changes := []auth.Change{
		auth.TakeTicket{Ticket: ticket("reset")}, reset, auth.KeepSession{Session: kept}, auth.PutMark{Mark: mark("newer")},
		auth.AppendRevocation{Revocation: revocation("reset")}, auth.QueueMail{Mail: mail("changed")}, appendEvent("reset"),
	}
	for i, spoilt := range []auth.Change{
		auth.TakeTicket{Ticket: otherTicket("reset")}, rehash, auth.KeepSession{Session: w.session("ended")},
	} {
		list := append([]auth.Change(nil), changes...)
		list[i] = spoilt
		w.refuses(fmt.Sprint("a reset whose change ", i, " fails"), auth.ErrConflict, list...)
	}
	taken := append([]auth.Change(nil), changes...)
	taken[5] = auth.QueueMail{Mail: mail("queued")}
	w.refuses("a reset whose mail is there", auth.ErrTaken, taken...)
	w.does("a reset", func(all *state) {
		u := reset.New
		u.SignInVersion = 3
		all.Users[u.ID] = u
		delete(all.Tickets, "reset")
		changed("phone", func(e *auth.Session) { e.Epoch = 6 })(all)
		all.Marks["newer"], all.Mails["changed"] = mark("newer"), mail("changed")
		all.log([]auth.Event{event("reset")}, revocation("reset"))
	}, changes...)

	eve := user("eve")
	eve.Email = ""
	w.does("a registration", func(all *state) {
		all.Tickets["newer"], all.Mails["new"] = ticket("newer"), mail("new")
		all.log([]auth.Event{event("register")})
	}, auth.PutTicket{Ticket: ticket("newer")}, auth.QueueMail{Mail: mail("new")}, appendEvent("register"))
	w.does("a registration that is proved", func(all *state) {
		delete(all.Tickets, "newer")
		all.drop("id-bob")
		all.create(eve)
		all.log([]auth.Event{event("verify"), event("gone")}, revocation("gone"))
	}, auth.TakeTicket{Ticket: ticket("newer")}, auth.ReplaceUser{Old: w.user("bob"), New: eve},
		auth.AppendRevocation{Revocation: revocation("gone")}, appendEvent("verify"), appendEvent("gone"))
	w.does("a mail that is delivered", func(all *state) {
		delete(all.Mails, "new")
		all.log([]auth.Event{event("mail")})
	}, auth.DeleteMail{Mail: mail("new")}, appendEvent("mail"))
}

// impossibleChanges are mistakes of the program: more items than a commit has, or one of
// them twice.
func impossibleChanges(t *testing.T, s, other Store) {
	w := newWorld(t, s, other)
	ada, bob, eve := w.user("ada"), w.user("bob"), user("eve")
	update := func(u auth.User, change func(*auth.User)) auth.UpdateUser {
		c := auth.UpdateUser{Old: u, New: u}
		change(&c.New)
		return c
	}
	profile := update(ada, func(u *auth.User) { u.Name = "changed" })
	signIn := update(ada, func(u *auth.User) { u.Epoch++ })
	rename := update(ada, func(u *auth.User) { u.Username = "countess" })
	check := auth.CheckEpoch{UserID: ada.ID, Epoch: ada.Epoch}
	namesake := user("mallory")
	namesake.Username = "EVE"
	neighbour := user("mallory")
	neighbour.Email = "EVE@example.com"
	heir := user("eve")
	heir.Username = "ada"
	marks := func(n int) []auth.Change {
		var changes []auth.Change
		for i := range n {
			changes = append(changes, auth.PutMark{Mark: mark(fmt.Sprint(i))})
		}
		return append(changes[:n-1], auth.PutMark{Mark: mark("new")})
	}
	users := func(n int) (changes []auth.Change) {
		for i := range n {
			changes = append(changes, auth.CreateUser{User: user(fmt.Sprint("user", i))})
		}
		return changes
	}
	for doing, changes := range map[string][]auth.Change{
		"26 items":                               marks(auth.MaxChanges + 1),
		"100 items":                              marks(100),
		"28 items of 7 users":                    users(7),
		"a mark twice":                           {auth.PutMark{Mark: mark("new")}, auth.PutMark{Mark: mark("new")}},
		"a ticket put and taken":                 {auth.PutTicket{Ticket: ticket("new")}, auth.TakeTicket{Ticket: ticket("new")}},
		"a ticket taken and put":                 {auth.TakeTicket{Ticket: ticket("reset")}, auth.PutTicket{Ticket: ticket("reset")}},
		"a try and another":                      {auth.CountTry{Ticket: ticket("reset")}, auth.CountTry{Ticket: ticket("reset")}},
		"a session begun and kept":               {auth.CreateSession{Session: session("new", ada)}, auth.KeepSession{Session: session("new", ada)}},
		"a session refreshed and ended":          {auth.RefreshSession{Session: session("phone", ada)}, auth.EndSession{Session: session("phone", ada)}},
		"a mail twice":                           {auth.QueueMail{Mail: mail("new")}, auth.DeleteMail{Mail: mail("new")}},
		"an event twice":                         {auth.AppendEvent{Event: event("new")}, auth.AppendEvent{Event: event("new")}},
		"a revocation twice":                     {auth.AppendRevocation{Revocation: revocation("new")}, auth.AppendRevocation{Revocation: revocation("new")}},
		"an epoch twice":                         {check, check},
		"a user who is new and checked":          {auth.CreateUser{User: eve}, auth.CheckEpoch{UserID: eve.ID, Epoch: eve.Epoch}},
		"a user who is new twice":                {auth.CreateUser{User: eve}, auth.CreateUser{User: eve}},
		"two users of one name":                  {auth.CreateUser{User: eve}, auth.CreateUser{User: namesake}},
		"two users of one address":               {auth.CreateUser{User: eve}, auth.CreateUser{User: neighbour}},
		"an epoch that is checked and moved":     {check, signIn},
		"an epoch that is checked, a new name":   {rename, check},
		"a profile twice":                        {profile, profile},
		"a profile and a new name":               {profile, rename},
		"a name that passes on by an update":     {rename, auth.CreateUser{User: heir}},
		"a name that passes on by a deletion":    {auth.DeleteUser{User: ada}, auth.CreateUser{User: heir}},
		"a user who is deleted twice":            {auth.DeleteUser{User: ada}, auth.DeleteUser{User: ada}},
		"a user who is deleted and checked":      {auth.DeleteUser{User: ada}, check},
		"a user who is replaced by the same":     {auth.ReplaceUser{Old: ada, New: ada}},
		"a user who is replaced by two":          {auth.ReplaceUser{Old: ada, New: eve}, auth.ReplaceUser{Old: ada, New: user("mallory")}},
		"two users who are replaced by the same": {auth.ReplaceUser{Old: ada, New: eve}, auth.ReplaceUser{Old: bob, New: eve}},
	} {
		wantError(t, doing, s.Commit(t.Context(), changes...), auth.ErrChanges)
		w.check(doing)
	}
	w.does("25 items", func(all *state) { all.Marks["new"] = mark("new") }, marks(auth.MaxChanges)...)
	w.does("24 items of 6 users, and one", func(all *state) {
		for i := range 6 {
			all.create(user(fmt.Sprint("user", i)))
		}
		all.Marks["newer"] = mark("newer")
	}, append(users(6), auth.PutMark{Mark: mark("newer")})...)
}

// commitOutlivesContext: failures count for those who hang up, too.
func commitOutlivesContext(t *testing.T, s, other Store) {
	w := newWorld(t, s, other)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Commit(ctx, auth.PutMark{Mark: mark("new")}, auth.CountTry{Ticket: ticket("reset")}); err != nil {
		t.Fatal(err)
	}
	tried := ticket("reset")
	tried.Tries = 1
	w.want.Marks["new"], w.want.Tickets["reset"] = mark("new"), tried
	w.check("a commit whose context has ended")
	if err := s.Commit(ctx, auth.CountTry{Ticket: ticket("reset")}); !errors.Is(err, auth.ErrConflict) {
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
		change func() auth.Change
		then   func(*state)
	}{
		{"a refresh", func() auth.Change {
			phone.Refreshes++
			return auth.RefreshSession{Session: phone}
		}, changed("phone", func(e *auth.Session) { e.Refreshes++ })},
		{"a session kept", func() auth.Change {
			phone.Epoch = 6
			return auth.KeepSession{Session: phone}
		}, changed("phone", func(e *auth.Session) { e.Epoch = 6 })},
		{"a session ended", func() auth.Change {
			phone.EndedAt = at
			return auth.EndSession{Session: phone}
		}, changed("phone", func(e *auth.Session) { e.EndedAt = at })},
		{"a user disabled", func() auth.Change {
			c := auth.UpdateUser{Old: w.user("ada"), New: w.user("ada")}
			c.New.Disabled = true
			return c
		}, func(all *state) {
			u := all.Users["id-ada"]
			u.Disabled, u.SignInVersion = true, u.SignInVersion+1
			all.Users[u.ID] = u
		}},
		{"a user renamed", func() auth.Change {
			c := auth.UpdateUser{Old: w.user("ada"), New: w.user("ada")}
			c.New.Username = "countess"
			return c
		}, func(all *state) {
			u := all.Users["id-ada"]
			u.Username, u.Version, u.SignInVersion = "countess", u.Version+1, u.SignInVersion+1
			all.Users[u.ID] = u
		}},
		{"a user deleted", func() auth.Change { return auth.DeleteUser{User: w.user("ada")} }, func(all *state) { all.drop("id-ada") }},
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
			auth.AppendEvent{Event: event(fmt.Sprint("a", i))}, auth.AppendEvent{Event: event(fmt.Sprint("b", i))},
			auth.AppendEvent{Event: event("same")}, auth.AppendRevocation{Revocation: revocation(fmt.Sprint("a", i))})
	})
	want := newState()
	want.log([]auth.Event{event("same")})
	for i := range racers {
		want.log([]auth.Event{event(fmt.Sprint("a", i)), event(fmt.Sprint("b", i))}, revocation(fmt.Sprint("a", i)))
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
	mustCommit(t, s, auth.CreateUser{User: ada})
	before := at.Add(-time.Hour)
	race(t, s, other, nil, func(ctx context.Context, s Store, i int) error {
		if i%5 == 0 {
			return s.Purge(ctx, auth.Moments{Expired: before, Events: before, Counts: before})
		}
		return s.Commit(ctx, auth.CheckEpoch{UserID: ada.ID, Epoch: ada.Epoch},
			auth.CreateSession{Session: session(fmt.Sprint(i), ada)}, auth.AppendEvent{Event: event(fmt.Sprint(i))})
	})
	const want = racers * 4 / 5
	sessions := userSessionIDs(t, s, ada.ID)
	events, _, err := other.Events(t.Context(), dayBefore, "", all)
	if err != nil || len(sessions) != want || len(events) != want {
		t.Errorf("got %d sessions and %d events, %v; want %d of each", len(sessions), len(events), err, want)
	}
}
