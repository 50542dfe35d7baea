package auth_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/latchkey-auth/latchkey/internal/auth"
	"github.com/latchkey-auth/latchkey/internal/sqlstore"
	"github.com/latchkey-auth/latchkey/internal/storage"
)

// reopen returns the service of another process on the same database.
func reopen(t *testing.T, f *fixture, path string, options ...func(*auth.Config)) *auth.Service {
	t.Helper()
	store, err := sqlstore.Open(t.Context(), path, false)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	return f.service(append(options, func(c *auth.Config) { c.Store, c.Counters = store, store })...)
}

func TestLogout(t *testing.T) {
	for _, c := range []struct {
		scope        auth.LogoutScope
		this, others bool // alive after it
	}{
		{auth.LogoutThis, false, true},
		{auth.LogoutOthers, true, false},
		{auth.LogoutAll, false, false},
	} {
		f := newFixture(t)
		f.addAda()
		phone, laptop, tv := f.mustLogin("ada", password), f.mustLogin("ada", password), f.mustLogin("ada", password)
		f.clock.Advance(time.Second)
		if err := f.Logout(t.Context(), f.claimsOf(laptop), c.scope, auth.Client{}); err != nil {
			t.Fatal(err)
		}
		// Again: a session that has ended can end no other, and must not seem to.
		again := f.Logout(t.Context(), f.claimsOf(laptop), c.scope, auth.Client{})
		if want := map[auth.LogoutScope]error{auth.LogoutAll: auth.ErrInvalidToken}[c.scope]; !errors.Is(again, want) {
			t.Errorf("%s again: got %v, want %v", c.scope, again, want)
		}
		f.wantAlive(fmt.Sprint(c.scope, ": this"), laptop, c.this)
		f.wantAlive(fmt.Sprint(c.scope, ": the phone"), phone, c.others)
		f.wantAlive(fmt.Sprint(c.scope, ": the television"), tv, c.others)
		if _, err := f.Refresh(t.Context(), phone.RefreshToken, auth.Client{}); (err == nil) != c.others {
			t.Errorf("%s: refresh of another session: %v", c.scope, err)
		}
		f.clock.Advance(time.Second)
		f.wantAlive("a new login", f.mustLogin("ada", password), true)
		if c.this {
			f.mustRefresh(laptop.RefreshToken)
		}
	}
	f := newFixture(t)
	f.addAda()
	var refused *auth.InvalidError
	err := f.Logout(t.Context(), f.claimsOf(f.mustLogin("ada", password)), "everybody", auth.Client{})
	if !errors.As(err, &refused) || refused.Field != "scope" {
		t.Errorf("an unknown scope: %v", err)
	}
}

func TestLogoutByRefreshToken(t *testing.T) {
	f := newFixture(t)
	f.addAda()
	spent := f.mustLogin("ada", password)
	tokens := f.mustRefresh(spent.RefreshToken)
	for _, token := range []string{"", "garbage", string(sessionID(tokens)) + ".AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", "nobody" + tokens.RefreshToken} {
		if err := f.LogoutByRefreshToken(t.Context(), token, auth.Client{}); err != nil {
			t.Errorf("%q: %v", token, err)
		}
		f.wantAlive("after "+token, tokens, true)
	}
	// One that was spent proves the session as well.
	if err := f.LogoutByRefreshToken(t.Context(), spent.RefreshToken, auth.Client{}); err != nil {
		t.Fatal(err)
	}
	f.wantAlive("after the logout", tokens, false)
	if err := f.LogoutByRefreshToken(t.Context(), tokens.RefreshToken, auth.Client{}); err != nil {
		t.Errorf("again: %v", err)
	}
}

// A logout that was not stored must not be told as done.
func TestLogoutFaultIsNoSuccess(t *testing.T) {
	broken := &faulty{}
	f := newFixture(t, withStore(broken))
	f.addAda()
	tokens := f.mustLogin("ada", password)
	claims := f.claimsOf(tokens)
	broken.fault = func(op string) error {
		if op == "Commit" {
			return fmt.Errorf("%w: locked", storage.ErrUnavailable)
		}
		return nil
	}
	for _, err := range []error{
		f.Logout(t.Context(), claims, auth.LogoutThis, auth.Client{}),
		f.LogoutByRefreshToken(t.Context(), tokens.RefreshToken, auth.Client{}),
		f.ChangePassword(t.Context(), claims, password, "another battery", auth.Client{}),
		f.DeleteAccount(t.Context(), claims, password, auth.Client{}),
		f.EndSession(t.Context(), claims, sessionID(tokens), auth.Client{}),
	} {
		if !errors.Is(err, storage.ErrUnavailable) {
			t.Errorf("got %v, want ErrUnavailable", err)
		}
	}
	broken.fault = nil
	f.wantAlive("after them", tokens, true)
}

func TestSessions(t *testing.T) {
	f := newFixture(t)
	f.addAda()
	f.add(auth.NewUser{ID: "u2", Username: "bob", Password: password})
	bob := f.mustLogin("bob", password)
	phone := f.mustLogin("ada", password)
	f.clock.Advance(time.Minute)
	laptop := f.mustLogin("ada", password)
	claims := f.claimsOf(laptop)
	list, own, err := f.Sessions(t.Context(), claims)
	if err != nil || len(list) != 2 || own != sessionID(laptop) || list[0].ID != own || list[1].ID != sessionID(phone) {
		t.Fatalf("got %v, own %s, %v; want laptop and phone", list, own, err)
	}
	if err := f.EndSession(t.Context(), claims, sessionID(bob), auth.Client{}); !errors.Is(err, storage.ErrNotFound) {
		t.Errorf("ending somebody else's session: %v, want ErrNotFound", err)
	}
	f.wantAlive("bob's", bob, true)
	if err := f.EndSession(t.Context(), claims, sessionID(phone), auth.Client{}); err != nil {
		t.Fatal(err)
	}
	f.wantAlive("the phone", phone, false)
	if err := f.EndSession(t.Context(), claims, sessionID(phone), auth.Client{}); !errors.Is(err, storage.ErrNotFound) {
		t.Errorf("again: %v, want ErrNotFound", err)
	}
	if err := f.RecordRepeats(t.Context(), true); err != nil {
		t.Fatal(err)
	}
	f.wantOutcome(storage.EventLogout, storage.OutcomeDeadSession)
	if list, _, err := f.Sessions(t.Context(), claims); err != nil || len(list) != 1 {
		t.Errorf("%d sessions are left, %v; want 1", len(list), err)
	}
	f.clock.Advance(time.Minute)
	tablet := f.mustLogin("ada", password)
	f.clock.Advance(time.Minute)
	f.mustRefresh(laptop.RefreshToken)
	list, _, err = f.Sessions(t.Context(), claims)
	if err != nil || len(list) != 2 || list[0].ID != sessionID(laptop) || list[1].ID != sessionID(tablet) {
		t.Fatalf("got %v, %v; want the one that was used last first, laptop and tablet", list, err)
	}
	// Sessions that nobody uses any more are not shown.
	for i := range 100 {
		e := list[0]
		e.ID, e.CreatedAt, e.LastUsedAt = storage.SessionID(fmt.Sprint(i)), f.clock.Now(), f.clock.Now().Add(-auth.DefaultSessionIdle)
		f.commit(storage.CreateSession{Session: e})
	}
	if list, _, err := f.Sessions(t.Context(), claims); err != nil || len(list) != 2 {
		t.Errorf("with unused ones %d sessions are listed, %v; want 2", len(list), err)
	}
	// Of very many the bearer's own is shown, however old it is.
	for i := range 200 {
		e := list[0]
		e.ID, e.CreatedAt = storage.SessionID(fmt.Sprint("used ", i)), f.clock.Now().Add(time.Second)
		f.commit(storage.CreateSession{Session: e})
	}
	list, own, err = f.Sessions(t.Context(), claims)
	if err != nil || len(list) != 100 || !slices.ContainsFunc(list, func(s storage.Session) bool { return s.ID == own }) {
		t.Errorf("of many sessions %d are listed, %v; want 100, the bearer's own among them", len(list), err)
	}
}

// living is how many of the user's sessions are alive.
func (f *fixture) living(id storage.UserID) int {
	f.t.Helper()
	all, err := f.store.UserSessions(f.t.Context(), id, f.user(id).Epoch, 0, 1000)
	if err != nil {
		f.t.Fatal(err)
	}
	return len(all)
}

// TestLivingSessionsAreCapped: the oldest ends after the login that is one too many, and
// is recorded.
func TestLivingSessionsAreCapped(t *testing.T) {
	f := newFixture(t)
	f.addAda()
	var all []auth.Tokens
	for range 103 {
		f.clock.Advance(time.Second)
		all = append(all, f.mustLogin("ada", password))
	}
	for i, tokens := range all {
		f.wantAlive(fmt.Sprint("session ", i), tokens, i >= 3)
	}
	if n := f.living("u1"); n != 100 {
		t.Errorf("%d sessions are alive, want 100", n)
	}
	events := f.events()
	last := events[len(events)-1]
	if last.Kind != storage.EventLogout || last.Outcome != storage.OutcomeTooMany || last.SessionID != sessionID(all[2]) || last.UserID != "u1" {
		t.Errorf("the last event is %+v, want the end of the third session", last)
	}
}

// endCounter counts the sessions that one commit ends at most.
type endCounter struct {
	storage.Store
	most int
}

func (c *endCounter) Commit(ctx context.Context, changes ...storage.Change) error {
	ended := 0
	for _, change := range changes {
		if _, ok := change.(storage.EndSession); ok {
			ended++
		}
	}
	c.most = max(c.most, ended)
	return c.Store.Commit(ctx, changes...)
}

// TestVeryManySessionsBecomeFewer, a few with each login, for a user who had them
// before they were capped.
func TestVeryManySessionsBecomeFewer(t *testing.T) {
	f := newFixture(t)
	f.addAda()
	old := f.session(f.mustLogin("ada", password))
	for i := range 299 {
		e := old
		e.ID = storage.SessionID(fmt.Sprint(i))
		f.commit(storage.CreateSession{Session: e})
	}
	ends := &endCounter{Store: f.Store}
	f.Store = ends
	var recent []auth.Tokens
	for i := range 55 {
		f.clock.Advance(time.Second)
		recent = append(recent, f.mustLogin("ada", password))
		if want := max(100, 300-4*(i+1)); f.living("u1") != want {
			t.Fatalf("after %d logins %d sessions are alive, want %d", i+1, f.living("u1"), want)
		}
	}
	if ends.most != 5 {
		t.Errorf("one login has ended %d sessions, want 5 at most", ends.most)
	}
	for _, tokens := range recent {
		f.wantAlive("a recent session", tokens, true)
	}
}

// TestLoginsAtOnceStayNearTheCap: all succeed, through two processes, and what is too
// many for it is ended by the next logins.
func TestLoginsAtOnceStayNearTheCap(t *testing.T) {
	path := tempDatabase(t)
	f := fixtureOn(t, path)
	f.addAda()
	for range 100 {
		f.mustLogin("ada", password)
	}
	other := reopen(t, f, path)
	const atOnce = 40
	var wg sync.WaitGroup
	for i := range atOnce {
		service := f.Service
		if i%2 == 1 {
			service = other
		}
		wg.Go(func() {
			if _, err := service.Login(t.Context(), auth.LoginRequest{Username: "ada", Password: password}); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	living := f.living("u1")
	if living < 100 || living > 100+atOnce/2 {
		t.Errorf("%d sessions are alive, want 100, and fewer more than logins that met at the other process", living)
	}
	for ; living > 100; living -= 4 {
		f.mustLogin("ada", password)
	}
	if n := f.living("u1"); n != 100 {
		t.Errorf("%d sessions are alive after a login for each four of them, want 100", n)
	}
}

func TestChangePassword(t *testing.T) {
	const next = "another battery"
	f := newFixture(t)
	f.addAda()
	phone, laptop := f.mustLogin("ada", password), f.mustLogin("ada", password)
	claims := f.claimsOf(laptop)
	f.clock.Advance(time.Second)
	if err := f.ChangePassword(t.Context(), claims, "wrong "+password, next, auth.Client{}); !errors.Is(err, auth.ErrInvalidCredentials) {
		t.Errorf("with a wrong password: %v, want ErrInvalidCredentials", err)
	}
	var refused *auth.InvalidError
	if err := f.ChangePassword(t.Context(), claims, password, "short", auth.Client{}); !errors.As(err, &refused) {
		t.Errorf("to a short one: %v, want an InvalidError", err)
	}
	f.wantAlive("the phone, nothing has changed", phone, true)
	if err := f.ChangePassword(t.Context(), claims, password, next, auth.Client{}); err != nil {
		t.Fatal(err)
	}
	f.wantAlive("the phone", phone, false)
	f.wantAlive("the laptop", laptop, true)
	f.mustRefresh(laptop.RefreshToken)
	if _, err := f.login("ada", password); !errors.Is(err, auth.ErrInvalidCredentials) {
		t.Errorf("the old password: %v", err)
	}
	f.mustLogin("ada", next)
	if err := f.ChangePassword(t.Context(), f.claimsOf(phone), next, password, auth.Client{}); !errors.Is(err, auth.ErrInvalidToken) {
		t.Errorf("from an ended session: %v, want ErrInvalidToken", err)
	}
}

// Of two changes that prove the same old password, one wins.
func TestChangePasswordRace(t *testing.T) {
	path := tempDatabase(t)
	f := fixtureOn(t, path)
	f.addAda()
	other := reopen(t, f, path)
	laptop, phone := f.claimsOf(f.mustLogin("ada", password)), f.claimsOf(f.mustLogin("ada", password))
	f.clock.Advance(time.Second)
	errs := make(chan error, 2)
	go func() { errs <- f.ChangePassword(t.Context(), laptop, password, "battery one", auth.Client{}) }()
	go func() { errs <- other.ChangePassword(t.Context(), phone, password, "battery two", auth.Client{}) }()
	won := 0
	for range 2 {
		switch err := <-errs; {
		case err == nil:
			won++
		case !errors.Is(err, auth.ErrInvalidCredentials) && !errors.Is(err, auth.ErrInvalidToken):
			t.Errorf("the loser got %v", err)
		}
	}
	if won != 1 {
		t.Errorf("%d changes won, want 1", won)
	}
}

func TestRename(t *testing.T) {
	f := newFixture(t)
	f.addAda()
	claims := f.claimsOf(f.mustLogin("ada", password))
	id, err := f.Rename(t.Context(), claims, "Countess of Lovelace", auth.Client{})
	if err != nil || id.Name != "Countess of Lovelace" || f.user("u1").Name != id.Name {
		t.Errorf("got %v, %v", id, err)
	}
	var refused *auth.InvalidError
	if _, err := f.Rename(t.Context(), claims, string(make([]byte, 5000)), auth.Client{}); !errors.As(err, &refused) {
		t.Errorf("to something endless: %v, want an InvalidError", err)
	}
}

func TestDeleteAccount(t *testing.T) {
	f := newFixture(t)
	ada := f.addAda()
	laptop, phone := f.mustLogin("ada", password), f.mustLogin("ada", password)
	claims := f.claimsOf(laptop)
	if err := f.DeleteAccount(t.Context(), claims, "wrong "+password, auth.Client{}); !errors.Is(err, auth.ErrInvalidCredentials) {
		t.Errorf("with a wrong password: %v", err)
	}
	if err := f.DeleteAccount(t.Context(), claims, password, auth.Client{}); err != nil {
		t.Fatal(err)
	}
	f.wantAlive("the laptop", laptop, false)
	f.wantAlive("the phone", phone, false)
	if _, err := f.login("ada", password); !errors.Is(err, auth.ErrInvalidCredentials) {
		t.Errorf("login: %v", err)
	}
	f.wantRefused("refresh", phone.RefreshToken, storage.OutcomeWrongToken)
	again := f.add(auth.NewUser{Username: "ada", Email: "ada@example.com", Password: password})
	if again.ID == ada.ID {
		t.Error("a later account got the same id")
	}
	f.wantAlive("the old session under the new account", laptop, false)
	if _, err := f.AddUser(t.Context(), auth.NewUser{ID: ada.ID, Username: "grace"}); !errors.Is(err, storage.ErrTaken) {
		t.Errorf("somebody else with the id: %v, want ErrTaken", err)
	}
}
