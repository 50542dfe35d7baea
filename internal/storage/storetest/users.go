package storetest

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/latchkey-auth/latchkey/internal/storage"
)

func createUser(t *testing.T, s, other Store) {
	w := newWorld(t, s, other)
	eve := user("eve")
	eve.Version, eve.SignInVersion = 7, 8 // the store begins at 1, whatever it is given
	w.does("creating a user", func(all *state) { all.create(eve) }, storage.CreateUser{User: eve})

	for doing, change := range map[string]func(*storage.User){
		"the id of another":                func(u *storage.User) { u.ID = "id-ada" },
		"the id of a deleted user":         func(u *storage.User) { u.ID = "id-dan" },
		"the username of another":          func(u *storage.User) { u.Username = "ada" },
		"a username in other case":         func(u *storage.User) { u.Username = "ADA" },
		"a username in full width":         func(u *storage.User) { u.Username = "ａｄａ" },
		"the e-mail address of another":    func(u *storage.User) { u.Email = "ada@example.com" },
		"an e-mail address in other case":  func(u *storage.User) { u.Email = "ADA@EXAMPLE.com" },
		"the id and the names of another":  func(u *storage.User) { *u = user("ada") },
		"the username of a user just made": func(u *storage.User) { u.Username = "eve" },
	} {
		mallory := user("mallory")
		change(&mallory)
		w.refuses(doing, storage.ErrTaken, storage.CreateUser{User: mallory})
	}

	noEmail, another := user("mallory"), user("countess")
	noEmail.Email, another.Email = "", ""
	w.does("two users without e-mail address", func(all *state) {
		all.create(noEmail)
		all.create(another)
	}, storage.CreateUser{User: noEmail}, storage.CreateUser{User: another})
}

// update changes ada and says which versions that has to move. Each update has a later
// UpdatedAt than the one before.
func (w *world) update(doing string, profile, signIn bool, change func(*storage.User)) {
	w.t.Helper()
	old := w.user("ada")
	next := old
	change(&next)
	next.UpdatedAt = old.UpdatedAt.Add(time.Second)
	want := next
	if profile {
		want.Version++
	}
	if signIn {
		want.SignInVersion++
	}
	w.does(doing, func(all *state) { all.Users[old.ID] = want }, storage.UpdateUser{Old: old, New: next})
}

func updateUserMembers(t *testing.T, s, other Store) {
	w := newWorld(t, s, other)
	for _, c := range []struct {
		member          string
		profile, signIn bool
		change          func(*storage.User)
	}{
		{"Name", true, false, func(u *storage.User) { u.Name = "Ada Lövelace" }},
		{"Scope", true, false, func(u *storage.User) { u.Scope = "" }},
		{"Roles", true, false, func(u *storage.User) { u.Roles = []string{"chief", "clerk"} }},
		{"Roles in another order", true, false, func(u *storage.User) { u.Roles = []string{"clerk", "chief"} }},
		{"no Roles", true, false, func(u *storage.User) { u.Roles = nil }},
		{"Attributes", true, false, func(u *storage.User) { u.Attributes = map[string]string{"city": "", "floor": "3"} }},
		{"no Attributes", true, false, func(u *storage.User) { u.Attributes = nil }},
		{"CreatedAt", true, false, func(u *storage.User) { u.CreatedAt = at.Add(-time.Hour) }},

		{"PasswordHash", false, true, func(u *storage.User) { u.PasswordHash = "$argon2id$another" }},
		{"Disabled", false, true, func(u *storage.User) { u.Disabled = true }},
		{"EmailVerified", false, true, func(u *storage.User) { u.EmailVerified = false }},
		{"PendingEmail", false, true, func(u *storage.User) { u.PendingEmail = "new@example.com" }},
		{"Epoch", false, true, func(u *storage.User) { u.Epoch++ }},
		{"EpochAt", false, true, func(u *storage.User) { u.EpochAt = at.Add(time.Microsecond) }},
		{"Rights", false, true, func(u *storage.User) { u.Rights++ }},

		// What was bound to a name goes by the version of the sign-in.
		{"Username", true, true, func(u *storage.User) { u.Username = "countess" }},
		{"the case of Username", true, true, func(u *storage.User) { u.Username = "Countess" }},
		{"Email", true, true, func(u *storage.User) { u.Email = "countess@example.com" }},
		{"the case of Email", true, true, func(u *storage.User) { u.Email = "Countess@example.com" }},
		{"no Email", true, true, func(u *storage.User) { u.Email = "" }},
		{"both names", true, true, func(u *storage.User) { u.Username, u.Email = "ada", "ada@example.com" }},
		{"something of both", true, true, func(u *storage.User) { u.Scope, u.Rights = "orders:read", u.Rights+1 }},
		{"everything", true, true, func(u *storage.User) {
			next := user("countess")
			next.ID, next.Version, next.SignInVersion, next.Epoch, next.Rights = u.ID, u.Version, u.SignInVersion, 70, 80
			next.Name, next.PendingEmail, next.Disabled = "The Countess", "again@example.com", false
			*u = next
		}},
	} {
		w.update(c.member, c.profile, c.signIn, c.change)
	}

	same := storage.UpdateUser{Old: w.user("ada"), New: w.user("ada")}
	same.New.UpdatedAt = at.Add(time.Hour)
	w.does("nothing", nothing, same)
	same.Old.Version, same.Old.SignInVersion = 1, 1
	w.does("nothing, by versions of long ago", nothing, same)
}

func updateUserVersions(t *testing.T, s, other Store) {
	w := newWorld(t, s, other)
	early := w.user("ada")
	w.update("moving the profile", true, false, func(u *storage.User) { u.Name = "second" })
	w.update("moving it again", true, false, func(u *storage.User) { u.Name = "third" })
	w.update("moving the sign-in", false, true, func(u *storage.User) { u.PasswordHash = "$argon2id$second" })

	profile := func(u *storage.User) { u.Name, u.Roles = "late", nil }
	signIn := func(u *storage.User) { u.PasswordHash, u.Epoch = "$argon2id$late", 9 }
	both := func(u *storage.User) { profile(u); signIn(u) }
	rename := func(u *storage.User) { u.Username = "countess" }
	address := func(u *storage.User) { u.Email = "" }
	update := func(old storage.User, change func(*storage.User)) storage.UpdateUser {
		c := storage.UpdateUser{Old: old, New: old}
		change(&c.New)
		c.New.UpdatedAt = at.Add(time.Hour)
		return c
	}
	versions := func(profile, signIn int64) storage.User {
		u := w.user("ada")
		u.Version, u.SignInVersion = profile, signIn
		return u
	}
	for doing, c := range map[string]storage.UpdateUser{
		"a profile by the version before":       update(versions(2, 2), profile),
		"a profile by a version to come":        update(versions(4, 2), profile),
		"a profile by no version":               update(versions(0, 2), profile),
		"a sign-in by the version before":       update(versions(3, 1), signIn),
		"a sign-in by a version to come":        update(versions(3, 3), signIn),
		"a sign-in by the version of a profile": update(versions(2, 3), signIn),
		"both by an old profile":                update(versions(2, 2), both),
		"both by an old sign-in":                update(versions(3, 1), both),
		"a username by an old profile":          update(versions(2, 2), rename),
		"a username by an old sign-in":          update(versions(3, 1), rename),
		"an address by an old profile":          update(versions(2, 2), address),
		"an address by an old sign-in":          update(versions(3, 1), address),
		"a profile of nobody":                   update(user("eve"), profile),
		"a sign-in of nobody":                   update(user("eve"), signIn),
		"a username of nobody":                  update(user("eve"), rename),
		"a profile of a deleted user":           update(user("dan"), profile),
	} {
		w.refuses(doing, storage.ErrConflict, c)
	}

	// Whoever changes the one item does not mind what became of the other.
	oldSignIn, oldProfile := early, early
	oldSignIn.Version, oldProfile.SignInVersion = 3, 2
	w.does("a profile by an old sign-in", func(all *state) {
		u := all.Users["id-ada"]
		u.Name, u.Roles, u.UpdatedAt, u.Version = "late", nil, at.Add(time.Hour), 4
		all.Users[u.ID] = u
	}, update(oldSignIn, profile))
	earlier := update(oldProfile, signIn)
	earlier.New.UpdatedAt = at.Add(time.Minute) // the later moment of both is what is read
	w.does("a sign-in by an old profile", func(all *state) {
		u := all.Users["id-ada"]
		u.PasswordHash, u.Epoch, u.SignInVersion = "$argon2id$late", 9, 3
		all.Users[u.ID] = u
	}, earlier)
	strange := update(w.user("ada"), both)
	strange.New.Name, strange.New.Rights, strange.New.Version, strange.New.SignInVersion = "counted", 7, 70, 80
	w.does("versions go up by one, whatever those of New", func(all *state) {
		want := strange.New
		want.Version, want.SignInVersion = 5, 4
		all.Users[want.ID] = want
	}, strange)
}

func updateUserNames(t *testing.T, s, other Store) {
	w := newWorld(t, s, other)
	bob := func(change func(*storage.User)) storage.UpdateUser {
		c := storage.UpdateUser{Old: w.user("bob"), New: w.user("bob")}
		change(&c.New)
		return c
	}
	for doing, change := range map[string]func(*storage.User){
		"the username of another":         func(u *storage.User) { u.Username = "ada" },
		"a username in other case":        func(u *storage.User) { u.Username = "Ada" },
		"a username in full width":        func(u *storage.User) { u.Username = "ａｄａ" },
		"the address of another":          func(u *storage.User) { u.Email = "ada@example.com" },
		"an address in other case":        func(u *storage.User) { u.Email = "ADA@example.com" },
		"a free name and one that is not": func(u *storage.User) { u.Username, u.Email = "eve", "ada@example.com" },
		"a taken name and a new password": func(u *storage.User) { u.Username, u.PasswordHash = "ada", "$argon2id$new" },
	} {
		w.refuses(doing, storage.ErrTaken, bob(change))
	}

	w.update("giving up both names", true, true, func(u *storage.User) { u.Username, u.Email = "countess", "countess@example.com" })
	heir := bob(func(u *storage.User) { u.Username, u.Email = "ada", "ADA@example.com" })
	w.does("taking names that are free again", func(all *state) {
		want := heir.New
		want.Version, want.SignInVersion = 2, 2
		all.Users[want.ID] = want
	}, heir)
	mallory := user("mallory")
	mallory.Username = "Bob"
	w.does("and those that are free by that", func(all *state) { all.create(mallory) }, storage.CreateUser{User: mallory})
	w.refuses("going back to a name that has gone", storage.ErrTaken,
		storage.UpdateUser{Old: w.user("ada"), New: func() storage.User { u := w.user("ada"); u.Username = "ada"; return u }()})
	w.update("giving up the address", true, true, func(u *storage.User) { u.Email = "" })
	w.update("another user without address", true, true, func(u *storage.User) { u.Username = "eve" })
}

func deleteUser(t *testing.T, s, other Store) {
	w := newWorld(t, s, other)
	w.update("moving the sign-in", false, true, func(u *storage.User) { u.PasswordHash = "$argon2id$second" })
	read := w.user("ada")
	w.update("moving the profile", true, false, func(u *storage.User) { u.Name = "second" })

	stale, ahead := read, read
	stale.SignInVersion, ahead.SignInVersion = 1, 3
	for doing, u := range map[string]storage.User{
		"by the version before": stale,
		"by a version to come":  ahead,
		"of nobody":             user("eve"),
		"of a deleted user":     user("dan"),
	} {
		w.refuses("a deletion "+doing, storage.ErrConflict, storage.DeleteUser{User: u})
	}
	w.does("a deletion that has not seen the new profile", func(all *state) { all.drop("id-ada") }, storage.DeleteUser{User: read})

	// The id stays known, and is nobody's any more.
	again := user("eve")
	again.ID = "id-ada"
	w.refuses("creating a user of that id", storage.ErrTaken, storage.CreateUser{User: again})
	w.refuses("creating the same user", storage.ErrTaken, storage.CreateUser{User: read})
	w.refuses("a user of that id in the place of another", storage.ErrTaken, storage.ReplaceUser{Old: w.user("bob"), New: again})
	w.refuses("a session bound to the user", storage.ErrConflict,
		storage.CheckEpoch{UserID: "id-ada", Epoch: read.Epoch}, storage.CreateSession{Session: session("new", read)})
	renamed := read
	renamed.Name, renamed.PasswordHash = "third", "$argon2id$third"
	w.refuses("updating the user", storage.ErrConflict, storage.UpdateUser{Old: read, New: renamed})
	w.loads("loading a user of that id", false, again)

	heir := user("eve")
	heir.Username, heir.Email = "Ada", "ADA@example.com"
	w.does("giving the names to another", func(all *state) { all.create(heir) }, storage.CreateUser{User: heir})

	// Nobody is bound to look after the session of somebody who is not there, but
	// nobody may find it.
	for id, u := range map[string]storage.User{"new": read, "newer": user("mallory")} {
		err := s.Commit(t.Context(), storage.CreateSession{Session: session(id, u)})
		if err != nil && !errors.Is(err, storage.ErrConflict) {
			t.Errorf("a session of %s, unbound: got error %v, want none or ErrConflict", u.ID, err)
		}
		w.check("a session of nobody")
	}
}

// loads has a loader load one user with an event.
func (w *world) loads(doing string, want bool, u storage.User) {
	w.t.Helper()
	e := event("loaded " + doing)
	stored, err := w.s.LoadUsers(w.t.Context(), []storage.LoadedUser{{User: u, Event: e}})
	if err != nil || len(stored) != 1 || stored[0] != want {
		w.t.Fatalf("%s: stored %v, %v; want %v", doing, stored, err, want)
	}
	if want {
		w.want.create(u)
		w.want.log([]storage.Event{e})
	}
	w.check(doing)
}

func replaceUser(t *testing.T, s, other Store) {
	w := newWorld(t, s, other)
	w.update("moving the sign-in", false, true, func(u *storage.User) { u.Rights++ })
	read := w.user("ada")
	w.update("moving the profile", true, false, func(u *storage.User) { u.Name = "second" })
	stale := read
	stale.SignInVersion = 1
	for doing, c := range map[string]storage.ReplaceUser{
		"somebody by an old version": {Old: stale, New: user("eve")},
		"nobody":                     {Old: user("mallory"), New: user("eve")},
		"a deleted user":             {Old: user("dan"), New: user("eve")},
	} {
		w.refuses("replacing "+doing, storage.ErrConflict, c)
	}
	for doing, change := range map[string]func(*storage.User){
		"an id that is in use":     func(u *storage.User) { u.ID = "id-bob" },
		"an id of a deleted user":  func(u *storage.User) { u.ID = "id-dan" },
		"a username of another":    func(u *storage.User) { u.Username = "BOB" },
		"an address of another":    func(u *storage.User) { u.Email = "BOB@example.com" },
		"one taken name, one kept": func(u *storage.User) { u.Username, u.Email = "bob", "ada@example.com" },
	} {
		eve := user("eve")
		change(&eve)
		w.refuses("replacing by "+doing, storage.ErrTaken, storage.ReplaceUser{Old: read, New: eve})
	}
	w.refuses("replacing somebody by the same id", storage.ErrChanges, storage.ReplaceUser{Old: read, New: read})

	replaced := func(old storage.UserID, heir storage.User) func(*state) {
		return func(all *state) {
			all.drop(old)
			all.create(heir)
		}
	}
	eve := user("eve")
	eve.Email = "ADA@example.com"
	begins := replaced(read.ID, eve)
	w.does("the address passes on", func(all *state) {
		begins(all)
		all.Sessions["new"] = session("new", eve)
	}, storage.ReplaceUser{Old: read, New: eve}, storage.CreateSession{Session: session("new", eve)})
	heir := user("ada")
	heir.ID, heir.Username, heir.Email = "id-mallory", "EVE", "ada@example.com"
	w.does("both names pass on", replaced(eve.ID, heir), storage.ReplaceUser{Old: w.user("eve"), New: heir})
	w.does("no name passes on", replaced(heir.ID, user("countess")), storage.ReplaceUser{Old: w.user("mallory"), New: user("countess")})
	another := user("ada")
	another.ID = "another"
	w.does("they are free", func(all *state) { all.create(another) }, storage.CreateUser{User: another})
}

func checkEpoch(t *testing.T, s, other Store) {
	w := newWorld(t, s, other)
	check := func(id storage.UserID, epoch int64) storage.Change {
		return storage.CheckEpoch{UserID: id, Epoch: epoch}
	}
	w.does("checking the epoch alone", nothing, check("id-ada", 5))
	w.does("binding a session to it", func(all *state) { all.Sessions["new"] = session("new", w.user("ada")) },
		check("id-ada", 5), storage.CreateSession{Session: session("new", w.user("ada"))})
	for doing, c := range map[string]storage.Change{
		"an epoch that has passed":  check("id-ada", 4),
		"an epoch to come":          check("id-ada", 6),
		"no epoch":                  check("id-ada", 0),
		"the epoch of nobody":       check("id-eve", 5),
		"no epoch of nobody":        check("id-eve", 0),
		"that of a deleted user":    check("id-dan", 5),
		"no epoch of a deleted one": check("id-dan", 0),
	} {
		w.refuses("checking "+doing, storage.ErrConflict, c)
		w.refuses("checking first "+doing, storage.ErrConflict, c, storage.CreateSession{Session: session("newer", w.user("ada"))})
		w.refuses("checking last "+doing, storage.ErrConflict, storage.CreateSession{Session: session("newer", w.user("ada"))}, c)
	}
	w.update("moving the profile", true, false, func(u *storage.User) { u.Name = "second" })
	w.update("moving the sign-in, not the epoch", false, true, func(u *storage.User) { u.Disabled = true })
	w.does("the epoch stands", nothing, check("id-ada", 5))
	profile := storage.UpdateUser{Old: w.user("ada"), New: w.user("ada")}
	profile.New.Name = "third"
	w.does("a profile changes beside it", func(all *state) {
		want := profile.New
		want.Version++
		all.Users[want.ID] = want
	}, check("id-ada", 5), profile)
	w.update("moving the epoch", false, true, func(u *storage.User) { u.Epoch = 6 })
	w.refuses("checking the one before", storage.ErrConflict, check("id-ada", 5))
	w.does("checking the new one, and another user's", nothing, check("id-ada", 6), check("id-bob", 5))
}

// racingUpdates: half of the racers change the profile of one user, the others the
// sign-in, all from one reading.
func racingUpdates(t *testing.T, s, other Store) {
	ada := user("ada")
	mustCommit(t, s, storage.CreateUser{User: ada})
	ada.Version, ada.SignInVersion = 1, 1
	won := race(t, s, other, storage.ErrConflict, func(ctx context.Context, s Store, i int) error {
		mine := ada
		if i/2%2 == 0 {
			mine.Name = fmt.Sprint("racer ", i)
		} else {
			mine.PasswordHash = fmt.Sprint("racer ", i)
		}
		return s.Commit(ctx, storage.UpdateUser{Old: ada, New: mine}, storage.AppendEvent{Event: event(fmt.Sprint(i))})
	})
	u, err := s.User(t.Context(), ada.ID)
	if err != nil || u.Version != 2 || u.SignInVersion != 2 || u.Name == ada.Name || u.PasswordHash == ada.PasswordHash {
		t.Errorf("got %+v, %v; want one change of each item", u, err)
	}
	events, _, err := s.Events(t.Context(), dayBefore, "", all)
	if won != 2 || err != nil || len(events) != 2 {
		t.Errorf("got %d winners and %d events (%v), want 2 and 2", won, len(events), err)
	}
}

// racingNames has new users, renamed, loaded and replacing ones race for one name.
func racingNames(t *testing.T, s, other Store) {
	for _, c := range []struct {
		name string
		wish func(*storage.User)
		find func(Store) (storage.User, int, error)
	}{
		{"username", func(u *storage.User) { u.Username = "Wanted" }, func(s Store) (storage.User, int, error) {
			return s.UserByUsername(t.Context(), "wanted")
		}},
		{"address", func(u *storage.User) { u.Email = "Wanted@example.com" }, func(s Store) (storage.User, int, error) {
			return s.UserByEmail(t.Context(), "wanted@example.com")
		}},
	} {
		var there []storage.LoadedUser
		for i := range racers {
			name := fmt.Sprint(c.name, i)
			there = append(there, storage.LoadedUser{User: user(name), Event: event(name)})
		}
		if _, err := s.LoadUsers(t.Context(), there); err != nil {
			t.Fatalf("LoadUsers: %v", err)
		}
		won := race(t, s, other, storage.ErrTaken, func(ctx context.Context, s Store, i int) error {
			name := fmt.Sprint(c.name, i)
			old, fresh := user(name), user("new-"+name)
			old.Version, old.SignInVersion = 1, 1
			renamed := old
			c.wish(&fresh)
			c.wish(&renamed)
			switch i / 2 % 4 {
			case 0:
				return s.Commit(ctx, storage.CreateUser{User: fresh})
			case 1:
				return s.Commit(ctx, storage.UpdateUser{Old: old, New: renamed})
			case 2:
				return s.Commit(ctx, storage.ReplaceUser{Old: old, New: fresh})
			}
			stored, err := s.LoadUsers(ctx, []storage.LoadedUser{{User: fresh, Event: event("new-" + name)}})
			if err == nil && !stored[0] {
				return storage.ErrTaken
			}
			return err
		})
		if won != 1 {
			t.Errorf("%d users got the %s, want 1", won, c.name)
		}
		holder, _, err := c.find(other)
		if err != nil {
			t.Errorf("nobody is found by the %s: %v", c.name, err)
		}
		for _, u := range listUsers(t, other) {
			mine := u
			c.wish(&mine)
			if u.ID != holder.ID && usernameKey(u) == usernameKey(mine) && emailKey(u) == emailKey(mine) {
				t.Errorf("%s has the %s of %s", u.ID, c.name, holder.ID)
			}
		}
	}
}

func listUsers(t *testing.T, s Store) []storage.User {
	t.Helper()
	users, _ := walk(t, s, s, 100, func(s Store, after storage.Cursor, limit int) ([]storage.User, storage.Cursor, error) {
		return s.Users(t.Context(), after, limit)
	}, nil)
	return users
}

func racingDeletions(t *testing.T, s, other Store) {
	w := newWorld(t, s, other)
	won := race(t, s, other, storage.ErrConflict, func(ctx context.Context, s Store, i int) error {
		if i%4 < 2 {
			return s.Commit(ctx, storage.DeleteUser{User: w.user("ada")})
		}
		heir := user("ada")
		heir.ID = storage.UserID(fmt.Sprint("heir ", i))
		return s.Commit(ctx, storage.ReplaceUser{Old: w.user("ada"), New: heir})
	})
	if won != 1 {
		t.Errorf("%d deleted the user, want 1", won)
	}
	w.want.drop("id-ada")
	if heir, _, err := s.UserByUsername(t.Context(), "ada"); err == nil {
		w.want.Users[heir.ID] = heir
	}
	w.check("after the race")
}

// deletionAgainstRename: both go by the version of the sign-in. Whatever happens, no name
// may stay with somebody who is gone.
func deletionAgainstRename(t *testing.T, s, other Store) {
	w := newWorld(t, s, other)
	for i := range 10 {
		name := fmt.Sprint("user", i)
		ada := user(name)
		mustCommit(t, s, storage.CreateUser{User: ada})
		ada.Version, ada.SignInVersion = 1, 1
		renamed := ada
		renamed.Username, renamed.Email = "new-"+name, "new-"+name+"@example.com"
		errs := atOnce(
			func() error { return s.Commit(t.Context(), storage.DeleteUser{User: ada}) },
			func() error { return other.Commit(t.Context(), storage.UpdateUser{Old: ada, New: renamed}) },
		)
		switch deleted, moved := errs[0], errs[1]; {
		case deleted == nil && errors.Is(moved, storage.ErrConflict):
			if _, err := s.User(t.Context(), ada.ID); !errors.Is(err, storage.ErrNotFound) {
				t.Errorf("the deleted user: %v", err)
			}
			for _, u := range []storage.User{ada, renamed} {
				u.ID = storage.UserID("heir of " + u.Username)
				u.Version, u.SignInVersion = 1, 1
				mustCommit(t, s, storage.CreateUser{User: u})
				mustCommit(t, s, storage.DeleteUser{User: u})
			}
		case moved == nil && errors.Is(deleted, storage.ErrConflict):
			renamed.Version, renamed.SignInVersion = 2, 2
			w.want.Users[ada.ID] = renamed
		default:
			t.Fatalf("deletion: %v, new name: %v; want one to succeed and the other in conflict", deleted, moved)
		}
	}
	w.check("after the races")
}
