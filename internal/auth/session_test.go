package auth_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/latchkey-auth/latchkey"
	"github.com/latchkey-auth/latchkey/internal/auth"
	"github.com/latchkey-auth/latchkey/internal/password/passhash"
	"github.com/latchkey-auth/latchkey/internal/storage"
)

var errNoKey = errors.New("no key")

type noSigner struct{}

func (noSigner) Sign(context.Context, string, []byte) (string, error) { return "", errNoKey }

func TestNothingIsStoredWhenSigningFails(t *testing.T) {
	f := newFixture(t, func(c *auth.Config) { c.Signer = noSigner{} })
	f.addAda()
	before := len(f.events())
	if _, err := f.login("ada", password); !errors.Is(err, errNoKey) {
		t.Errorf("got %v, want the signer's error", err)
	}
	if got := f.events()[before:]; len(got) != 0 {
		t.Errorf("events %+v were written", got)
	}
}

func TestMeIsWhatTheStoreKnowsNow(t *testing.T) {
	f := newFixture(t)
	f.addAda()
	tokens := f.mustLogin("ada", password)
	if _, err := f.UpdateUser(t.Context(), "ada", func(u *storage.User) { u.Name, u.Scope = "Ada King", "read" }); err != nil {
		t.Fatal(err)
	}
	got, err := f.me(tokens)
	if err != nil {
		t.Fatal(err)
	}
	want := auth.Identity{
		ID: "u1", Username: "Ada", Name: "Ada King", Email: "ada@example.com", EmailVerified: true, Scope: "read", SessionID: sessionID(tokens),
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("identity (-want +got):\n%s", diff)
	}
}

func TestSessionsEnd(t *testing.T) {
	for name, end := range map[string]func(*fixture) error{
		"when the user is disabled": func(f *fixture) error {
			_, err := f.Disable(f.t.Context(), "ada", true)
			return err
		},
		"for good, also when the user is enabled again": func(f *fixture) error {
			_, err1 := f.Disable(f.t.Context(), "ada", true)
			_, err2 := f.Disable(f.t.Context(), "ada", false)
			return errors.Join(err1, err2)
		},
		"when the password is changed": func(f *fixture) error {
			_, err := f.SetPassword(f.t.Context(), "ada", "another good password")
			return err
		},
		"when the same password is set again": func(f *fixture) error {
			_, err := f.SetPassword(f.t.Context(), "ada", password)
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			f.addAda()
			f.add(auth.NewUser{ID: "u2", Username: "grace", Password: password})
			adas, graces := f.mustLogin("ada", password), f.mustLogin("grace", password)
			if _, err := f.me(adas); err != nil {
				t.Fatal(err)
			}
			f.clock.Advance(time.Millisecond)
			if err := end(f); err != nil {
				t.Fatal(err)
			}
			if who, err := f.me(adas); !errors.Is(err, auth.ErrInvalidToken) {
				t.Errorf("got %+v, %v; want ErrInvalidToken", who, err)
			}
			if _, err := f.me(graces); err != nil {
				t.Errorf("another user's session: %v", err)
			}
		})
	}
}

func TestLoginAfterAPasswordChangeIsGood(t *testing.T) {
	f := newFixture(t)
	f.addAda()
	f.clock.Advance(time.Second)
	if _, err := f.SetPassword(t.Context(), "ada", "another good password"); err != nil {
		t.Fatal(err)
	}
	if _, err := f.login("ada", password); !errors.Is(err, auth.ErrInvalidCredentials) {
		t.Errorf("old password: got %v, want ErrInvalidCredentials", err)
	}
	// At the very moment of the change, too: clocks stand still in between.
	if _, err := f.me(f.mustLogin("ada", "another good password")); err != nil {
		t.Errorf("new password: %v", err)
	}
}

// TestChangesDuringALoginRefuseIt changes the user after the login has read it:
// the old password is being checked while it stops being right.
func TestChangesDuringALoginRefuseIt(t *testing.T) {
	const newPassword = "another good password"
	for name, change := range map[string]func(*fixture) error{
		"new password": func(f *fixture) error {
			_, err := f.SetPassword(f.t.Context(), "ada", newPassword)
			return err
		},
		"disabled": func(f *fixture) error {
			_, err := f.Disable(f.t.Context(), "ada", true)
			return err
		},
	} {
		for cost, hasher := range map[string]passhash.Argon2{"": cheap, ", with a weak hash to replace": {Memory: 16, Time: 1, Threads: 1}} {
			t.Run(name+cost, func(t *testing.T) {
				f := newFixture(t)
				f.addAda()
				racing := &faulty{}
				login := f.service(withStore(racing), withCost(t, hasher))
				racing.after = func(operation string) {
					if operation != "UserByUsername" {
						return
					}
					racing.after = nil
					f.clock.Advance(time.Millisecond)
					if err := change(f); err != nil {
						t.Error(err)
					}
				}
				_, err := login.Login(t.Context(), auth.LoginRequest{Username: "ada", Password: password})
				if !errors.Is(err, auth.ErrInvalidCredentials) {
					t.Errorf("got %v, want ErrInvalidCredentials", err)
				}
				if changed := f.user("u1"); changed.SignInVersion != 2 {
					t.Errorf("the user is at version %d: the login has overwritten the change", changed.SignInVersion)
				}
			})
		}
	}
}

// TestLoginsDuringAChangeEnd logs in with the old password when the change has
// been decided and is not stored yet: the login is good, and ends with it.
func TestLoginsDuringAChangeEnd(t *testing.T) {
	for name, change := range map[string]func(*auth.Service) error{
		"new password": func(s *auth.Service) error {
			_, err := s.SetPassword(context.Background(), "ada", "another good password")
			return err
		},
		"disabled": func(s *auth.Service) error {
			_, err := s.Disable(context.Background(), "ada", true)
			return err
		},
	} {
		f := newFixture(t)
		f.addAda()
		racing := &faulty{}
		changer := f.service(withStore(racing))
		var tokens auth.Tokens
		racing.fault = func(operation string) error {
			if operation == "Commit" {
				racing.fault = nil
				f.clock.Advance(2 * time.Second)
				tokens = f.mustLogin("ada", password)
			}
			return nil
		}
		if err := change(changer); err != nil {
			t.Fatal(err)
		}
		f.wantAlive(name, tokens, false)
	}
}

func TestMeRefuses(t *testing.T) {
	for name, change := range map[string]func(*fixture, *latchkey.Claims){
		"a token without session":     func(_ *fixture, c *latchkey.Claims) { c.SessionID = "" },
		"an unknown session":          func(_ *fixture, c *latchkey.Claims) { c.SessionID = "unknown" },
		"another user's session":      func(_ *fixture, c *latchkey.Claims) { c.Subject = "u2" },
		"a session past its lifetime": func(f *fixture, _ *latchkey.Claims) { f.clock.Advance(auth.DefaultSessionLifetime) },
	} {
		f := newFixture(t)
		f.addAda()
		f.add(auth.NewUser{ID: "u2", Username: "grace", Password: password})
		claims := latchkey.Claims{Subject: "u1", SessionID: string(sessionID(f.mustLogin("ada", password)))}
		if _, err := f.Me(t.Context(), claims); err != nil {
			t.Fatal(err)
		}
		change(f, &claims)
		if who, err := f.Me(t.Context(), claims); !errors.Is(err, auth.ErrInvalidToken) {
			t.Errorf("%s: got %+v, %v; want ErrInvalidToken", name, who, err)
		}
	}
}

// TestTokensOfTheOldSystem: they have no session, and their users may not have
// been imported.
func TestTokensOfTheOldSystem(t *testing.T) {
	imported := auth.Identity{ID: "u1", Username: "Ada", Name: "Ada L.", Email: "ada@example.com", EmailVerified: true, Scope: "read write"}
	claimed := auth.Identity{ID: "u9", Username: "old", Scope: "sc"}
	nothing := func(*fixture) {}
	for name, c := range map[string]struct {
		subject string
		change  func(*fixture)
		late    bool          // issued after the change
		want    auth.Identity // zero: ErrInvalidToken
	}{
		"of an imported user":              {"u1", nothing, false, imported},
		"of a user nobody imported":        {"u9", nothing, false, claimed},
		"of a disabled user":               {"u1", func(f *fixture) { f.Disable(f.t.Context(), "ada", true) }, false, auth.Identity{}},
		"of a user that was enabled":       {"u1", func(f *fixture) { f.Disable(f.t.Context(), "ada", false) }, false, imported},
		"older than the user's password":   {"u1", func(f *fixture) { f.SetPassword(f.t.Context(), "ada", password) }, false, auth.Identity{}},
		"within the leeway of clocks":      {"u1", func(f *fixture) { f.SetPassword(f.t.Context(), "ada", password); f.clock.Advance(-50 * time.Second) }, true, auth.Identity{}},
		"outside the leeway of clocks":     {"u1", func(f *fixture) { f.SetPassword(f.t.Context(), "ada", password); f.clock.Advance(-49 * time.Second) }, true, imported},
		"older than another one's change":  {"u1", func(f *fixture) { f.SetPassword(f.t.Context(), "grace", password) }, false, imported},
		"of a disabled user, but younger":  {"u1", func(f *fixture) { f.Disable(f.t.Context(), "ada", true) }, true, auth.Identity{}},
		"younger than the user's password": {"u1", func(f *fixture) { f.SetPassword(f.t.Context(), "ada", password) }, true, imported},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, legacy)
			f.addAda()
			f.add(auth.NewUser{ID: "u2", Username: "grace"})
			claims := latchkey.Claims{Legacy: true, Subject: c.subject, Username: "old", Scope: "sc", IssuedAt: start}
			f.clock.Advance(time.Minute)
			c.change(f)
			if c.late {
				claims.IssuedAt = f.clock.Now().Add(time.Minute)
			}
			got, err := f.Me(t.Context(), claims)
			if (c.want == auth.Identity{}) != errors.Is(err, auth.ErrInvalidToken) || got != c.want {
				t.Errorf("got %+v, %v; want %+v", got, err, c.want)
			}
		})
	}
}

func TestPurgeDeletesWhatHasOutlivedItsUse(t *testing.T) {
	f := newFixture(t)
	f.addAda()
	old := f.mustLogin("ada", password)
	f.clock.Advance(auth.DefaultSessionLifetime)
	young := f.mustLogin("ada", password)
	f.clock.Advance(24*time.Hour + time.Second)
	if err := f.Purge(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, _, err := f.store.SessionUser(t.Context(), sessionID(old)); !errors.Is(err, storage.ErrNotFound) {
		t.Errorf("expired session: got %v, want ErrNotFound", err)
	}
	if _, _, err := f.store.SessionUser(t.Context(), sessionID(young)); err != nil {
		t.Errorf("live session: %v", err)
	}
	if events := f.events(); len(events) != 1 || events[0].SessionID != sessionID(young) {
		t.Errorf("got events %+v, want the young login alone", events)
	}
}
