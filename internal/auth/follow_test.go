package auth_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/latchkey-auth/latchkey"
	"github.com/latchkey-auth/latchkey/internal/auth"
	"github.com/latchkey-auth/latchkey/internal/storage"
	"github.com/latchkey-auth/latchkey/revocation"
)

// follower follows the service by the clock of the fixture.
func (f *fixture) follower(mode revocation.Mode) *revocation.Follower {
	f.t.Helper()
	r, err := revocation.New(revocation.Config{Source: f.Service, Mode: mode, Now: f.clock.Now})
	if err != nil {
		f.t.Fatal(err)
	}
	return r
}

// wantChecked asks followers that have read before, that begin now, and that look up.
func (f *fixture) wantChecked(saying string, ways map[string]*revocation.Follower, c latchkey.Claims, ended bool) {
	f.t.Helper()
	for name, r := range ways {
		err := r.Check(f.t.Context(), c)
		if ended != errors.Is(err, latchkey.ErrInvalidToken) || !ended && err != nil {
			f.t.Errorf("%s, %s: got %v, want ended %v", saying, name, err, ended)
		}
	}
}

// TestFollowersAgree: whatever ends tokens, those who follow, those who begin to and
// those who look up say the same of every token.
func TestFollowersAgree(t *testing.T) {
	type verdicts struct{ own, other bool } // ended
	for name, c := range map[string]struct {
		end  func(f *fixture, own, other auth.Tokens) error
		want verdicts
	}{
		"nothing": {func(*fixture, auth.Tokens, auth.Tokens) error { return nil }, verdicts{}},
		"logout": {func(f *fixture, own, _ auth.Tokens) error {
			return f.Logout(f.t.Context(), f.claimsOf(own), auth.LogoutThis, auth.Client{})
		}, verdicts{own: true}},
		"logout of the others": {func(f *fixture, own, _ auth.Tokens) error {
			return f.Logout(f.t.Context(), f.claimsOf(own), auth.LogoutOthers, auth.Client{})
		}, verdicts{other: true}},
		"logout of the others, twice": {func(f *fixture, own, _ auth.Tokens) error {
			err := f.Logout(f.t.Context(), f.claimsOf(own), auth.LogoutOthers, auth.Client{})
			f.mustLogin("ada", password)
			return errors.Join(err, f.Logout(f.t.Context(), f.claimsOf(own), auth.LogoutOthers, auth.Client{}))
		}, verdicts{other: true}},
		"logout of all": {func(f *fixture, own, _ auth.Tokens) error {
			return f.Logout(f.t.Context(), f.claimsOf(own), auth.LogoutAll, auth.Client{})
		}, verdicts{own: true, other: true}},
		"a changed password": {func(f *fixture, own, _ auth.Tokens) error {
			return f.ChangePassword(f.t.Context(), f.claimsOf(own), password, password+"!", auth.Client{})
		}, verdicts{other: true}},
		"a password that an operator sets": {func(f *fixture, _, _ auth.Tokens) error {
			_, err := f.SetPassword(f.t.Context(), "ada", password+"!")
			return err
		}, verdicts{own: true, other: true}},
		"a scope that is taken away": {func(f *fixture, _, _ auth.Tokens) error {
			_, err := f.UpdateUser(f.t.Context(), "ada", func(u *storage.User) { u.Scope = "read" })
			return err
		}, verdicts{own: true, other: true}},
		"a scope that is added": {func(f *fixture, _, _ auth.Tokens) error {
			_, err := f.UpdateUser(f.t.Context(), "ada", func(u *storage.User) { u.Scope += " more" })
			return err
		}, verdicts{}},
		"a scope that is taken away, then the others": {func(f *fixture, own, _ auth.Tokens) error {
			_, err := f.UpdateUser(f.t.Context(), "ada", func(u *storage.User) { u.Scope = "read" })
			return errors.Join(err, f.Logout(f.t.Context(), f.claimsOf(own), auth.LogoutOthers, auth.Client{}))
		}, verdicts{own: true, other: true}},
		"a deleted account": {func(f *fixture, own, _ auth.Tokens) error {
			return f.DeleteAccount(f.t.Context(), f.claimsOf(own), password, auth.Client{})
		}, verdicts{own: true, other: true}},
		"a disabled user": {func(f *fixture, _, _ auth.Tokens) error {
			_, err := f.Disable(f.t.Context(), "ada", true)
			return err
		}, verdicts{own: true, other: true}},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			f.addAda()
			own, other := f.mustLogin("ada", password), f.mustLogin("ada", password)
			claims := map[string]latchkey.Claims{"own": f.claimsOf(own), "other": f.claimsOf(other)}
			ways := map[string]*revocation.Follower{"following": f.follower(revocation.Feed), "looking up": f.follower(revocation.Strict)}
			for token, c := range claims {
				f.wantChecked(token+", before", ways, c, false)
			}
			f.clock.Advance(time.Second)
			if err := c.end(f, own, other); err != nil {
				t.Fatal(err)
			}
			f.clock.Advance(9 * time.Second)
			ways["beginning"] = f.follower(revocation.Feed)
			f.wantChecked("own", ways, claims["own"], c.want.own)
			f.wantChecked("other", ways, claims["other"], c.want.other)
			for _, word := range []string{password, password + "!"} {
				if tokens, err := f.login("ada", word); err == nil {
					f.clock.Advance(10 * time.Second)
					f.wantChecked("a login afterwards", ways, f.claimsOf(tokens), false)
				}
			}
		})
	}
}

// TestFollowersOfTheOldSystem: its tokens go by when they were issued, and by themselves.
func TestFollowersOfTheOldSystem(t *testing.T) {
	f := newFixture(t, legacy)
	f.addAda()
	issued := func(subject string, ago time.Duration) latchkey.Claims {
		at := f.clock.Now().Add(-ago)
		return latchkey.Claims{Legacy: true, Subject: subject, Epoch: -1, Rights: -1, IssuedAt: at, ExpiresAt: at.Add(48 * time.Hour)}
	}
	ways := map[string]*revocation.Follower{"following": f.follower(revocation.Feed), "looking up": f.follower(revocation.Strict)}
	alone, other, stranger := issued("u1", time.Minute), issued("u1", 2*time.Minute), issued("u9", time.Minute)
	for _, c := range []latchkey.Claims{alone, other, stranger} {
		f.wantChecked("before", ways, c, false)
		if c.Subject == "u9" || c.IssuedAt.Equal(alone.IssuedAt) {
			if err := f.Logout(t.Context(), c, auth.LogoutThis, auth.Client{}); err != nil {
				t.Fatal(err)
			}
		}
	}
	f.clock.Advance(10 * time.Second)
	ways["beginning"] = f.follower(revocation.Feed)
	f.wantChecked("logged out alone", ways, alone, true)
	f.wantChecked("logged out alone, of nobody who was imported", ways, stranger, true)
	f.wantChecked("another of the user", ways, other, false)
	if err := f.Logout(t.Context(), other, auth.LogoutAll, auth.Client{}); err != nil {
		t.Fatal(err)
	}
	f.clock.Advance(20 * time.Second)
	f.wantChecked("logged out with all", ways, other, true)
	f.wantChecked("issued afterwards", ways, issued("u1", 0), false)
}

// TestLogoutAloneOutlivesItsToken: what ended a long-lived token of the system before is
// told until that has expired.
func TestLogoutAloneOutlivesItsToken(t *testing.T) {
	f := newFixture(t, func(c *auth.Config) { c.AccessTokenTTL = time.Minute })
	old := latchkey.Claims{Legacy: true, Subject: "u9", Epoch: -1, IssuedAt: f.clock.Now(), ExpiresAt: f.clock.Now().Add(13 * 24 * time.Hour)}
	if err := f.Logout(t.Context(), old, auth.LogoutThis, auth.Client{}); err != nil {
		t.Fatal(err)
	}
	if all := f.revocations(); len(all) != 1 || all[0].ExpiresAt.Before(old.ExpiresAt) {
		t.Errorf("got %+v", all)
	}
}

// TestRevocationsArePaged: a look of several pages tells all, and the next one goes on a
// minute before it began.
func TestRevocationsArePaged(t *testing.T) {
	f := newFixture(t)
	at := f.clock.Now()
	store := func(n int, at time.Time) {
		id := fmt.Sprintf("%05d", n)
		f.commit(storage.AppendRevocation{Revocation: storage.Revocation{ID: id, Time: at, UserID: "u", SessionID: storage.SessionID(id), ExpiresAt: at.Add(24 * time.Hour)}})
	}
	for n := range 2100 {
		store(n, at.Add(-time.Duration(n)*time.Second/4))
	}
	store(9000, at.Add(-25*time.Hour)) // nothing of it lives
	read := func(after string) (told map[string]bool, next string, pages int) {
		told = make(map[string]bool)
		for {
			page, err := f.Revocations(t.Context(), after)
			if err != nil {
				t.Fatal(err)
			}
			if want := f.clock.Now().Add(-24*time.Hour - 2*time.Minute); !page.Since.Equal(want) {
				t.Errorf("since %v, want %v", page.Since, want)
			}
			for _, r := range page.Revocations {
				told[r.SessionID] = true
			}
			after, pages = page.Next, pages+1
			if !page.More {
				return told, after, pages
			}
			store(9001+pages, f.clock.Now()) // while the look is under way
		}
	}
	told, next, pages := read("")
	if len(told) < 2100 || told["09000"] || pages != 3 {
		t.Errorf("told %d on %d pages, want 2100 on 3", len(told), pages)
	}
	f.clock.Advance(30 * time.Second)
	store(9500, f.clock.Now().Add(-80*time.Second)) // 50 s before the look before began
	store(9501, f.clock.Now().Add(-91*time.Second))
	told, next, _ = read(next)
	if !told["09002"] || !told["09003"] || !told["09500"] || told["09501"] || told["01000"] {
		t.Errorf("told %d", len(told))
	}
	f.clock.Advance(72 * time.Hour)
	if told, _, _ = read(next); len(told) != 0 {
		t.Errorf("told %d of what has expired", len(told))
	}
}

func TestRevocationsRefuse(t *testing.T) {
	f := newFixture(t)
	for _, after := range []string{"x", ".", "1", "-1.", "99999999999999999999.", "1 ."} {
		if _, err := f.Revocations(t.Context(), after); err == nil {
			t.Errorf("%q is taken", after)
		} else {
			wantInvalid(t, err, "after")
		}
	}
	f.store.Close()
	if _, err := f.Revocations(t.Context(), ""); !errors.Is(err, storage.ErrUnavailable) {
		t.Errorf("an outage: %v", err)
	}
	if _, err := f.Ended(t.Context(), latchkey.Claims{Subject: "u1", SessionID: "s"}); !errors.Is(err, storage.ErrUnavailable) {
		t.Errorf("an outage of a look-up: %v", err)
	}
}

// FuzzRevocations: no place makes it panic or go back behind what lives.
func FuzzRevocations(f *testing.F) {
	f.Add("1773480413589000.")
	f.Add("1773480413589000.1773480413589000 id")
	f.Fuzz(func(t *testing.T, after string) {
		place, ok := auth.ParseFeedPlace(after)
		if again, still := auth.ParseFeedPlace(place); ok && (!still || again != place) {
			t.Errorf("%q became %q, and that %q", after, place, again)
		}
	})
}

// TestALateCommitIsFollowed: a writer whose commit takes its time, and another meanwhile.
func TestALateCommitIsFollowed(t *testing.T) {
	f := newFixture(t)
	f.addAda()
	slow := f.mustLogin("ada", password)
	quick := f.mustLogin("ada", password)
	ways := map[string]*revocation.Follower{"following": f.follower(revocation.Feed)}
	f.wantChecked("before", ways, f.claimsOf(slow), false)
	late := &faulty{}
	other := f.service(withStore(late))
	slowClaims, quickClaims := f.claimsOf(slow), f.claimsOf(quick)
	late.fault = func(operation string) error {
		if operation == "Commit" { // its time is taken, and the commit is under way
			late.fault = nil
			f.clock.Advance(5 * time.Second)
			if err := f.Logout(context.Background(), quickClaims, auth.LogoutThis, auth.Client{}); err != nil {
				t.Error(err)
			}
			f.clock.Advance(15 * time.Second)
			f.wantChecked("the one that was quicker", ways, quickClaims, true)
		}
		return nil
	}
	if err := other.Logout(t.Context(), slowClaims, auth.LogoutThis, auth.Client{}); err != nil {
		t.Fatal(err)
	}
	f.clock.Advance(10 * time.Second)
	f.wantChecked("the late one", ways, slowClaims, true)
}
