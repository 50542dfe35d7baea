package auth_test

import (
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/latchkey-auth/latchkey"
	"github.com/latchkey-auth/latchkey/internal/auth"
	"github.com/latchkey-auth/latchkey/internal/storage"
)

// TestChangesStarveNobody has a bearer token, which may be a stolen one, change the
// user over and over, also by another process: what else its owner does gets through, and
// makes no hash in vain.
func TestChangesStarveNobody(t *testing.T) {
	for name, change := range map[string]func(*auth.Service, latchkey.Claims, int) error{
		"name": func(s *auth.Service, stolen latchkey.Claims, n int) error {
			_, err := s.Rename(t.Context(), stolen, fmt.Sprint("name ", n), auth.Client{})
			return err
		},
		"other sessions": func(s *auth.Service, stolen latchkey.Claims, _ int) error {
			return s.Logout(t.Context(), stolen, auth.LogoutOthers, auth.Client{})
		},
	} {
		t.Run(name, func(t *testing.T) {
			path := tempDatabase(t)
			f := fixtureOn(t, path, withCost(t, costly), open(&mailbox{}))
			other := reopen(t, f, path)
			f.addAda()
			link := token(t, f.forgot("ada@example.com"))
			made := 0
			hashBy(f.Hasher, func(hash func()) { made++; hash() })
			stolen := f.claimsOf(f.mustLogin("ada", password))
			endStorm := f.storm(64, func(n int) error { return change([]*auth.Service{f.Service, other}[n%2], stolen, n) })
			defer endStorm()
			within := func(saying string, hashes int, err error) {
				t.Helper()
				if err != nil || made != hashes {
					t.Errorf("%s: %v by %d hashes, want %d", saying, err, made, hashes)
				}
				made = 0
			}
			made = 0
			for range 10 {
				_, err := f.login("ada", password)
				within("login", 1, err)
			}
			if name == "name" { // or else its session has ended
				_, err := f.Refresh(t.Context(), f.mustLogin("ada", password).RefreshToken, auth.Client{})
				within("login and refresh", 1, err)
			}
			within("reset", 1, f.ResetPassword(t.Context(), auth.TicketRequest{Token: link}, otherPassword))
			endStorm()
			f.mustLogin("ada", otherPassword)
		})
	}
}

// storm has so many at a time change the user by a token until its session has ended
// or they are told to stop. What they lose to each other is theirs.
func (f *fixture) storm(n int, change func(n int) error) (end func()) {
	done := make(chan struct{})
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				if err := change(i); errors.Is(err, auth.ErrInvalidToken) {
					return
				} else if err != nil && !errors.Is(err, storage.ErrConflict) {
					f.t.Error(err)
					return
				}
			}
		})
	}
	return sync.OnceFunc(func() { close(done); all.Wait() })
}

// TestALogoutOfNobodyElseMovesNothing: the epoch stays, and with it what others sign in by.
func TestALogoutOfNobodyElseMovesNothing(t *testing.T) {
	f := newFixture(t)
	f.addAda()
	own := f.mustLogin("ada", password)
	before := f.user("u1")
	if err := f.Logout(t.Context(), f.claimsOf(own), auth.LogoutOthers, auth.Client{}); err != nil {
		t.Fatal(err)
	}
	if after := f.user("u1"); after.Epoch != before.Epoch || after.SignInVersion != before.SignInVersion {
		t.Errorf("the epoch went from %d to %d", before.Epoch, after.Epoch)
	}
	f.wantOutcome(storage.EventLogout, storage.OutcomeOthers)
	other := f.mustLogin("ada", password)
	if err := f.Logout(t.Context(), f.claimsOf(own), auth.LogoutOthers, auth.Client{}); err != nil {
		t.Fatal(err)
	}
	f.wantAlive("the other one", other, false)
	f.wantAlive("its own", own, true)
}

// TestRefreshingKeepsNoSessionFromBeingEnded: whoever has stolen a refresh token and
// uses it over and over.
func TestRefreshingKeepsNoSessionFromBeingEnded(t *testing.T) {
	for name, end := range map[string]func(*fixture, auth.Tokens, auth.Tokens) error{
		"from the list": func(f *fixture, own, stolen auth.Tokens) error {
			return f.EndSession(f.t.Context(), f.claimsOf(own), sessionID(stolen), auth.Client{})
		},
		"by its own bearer": func(f *fixture, _, stolen auth.Tokens) error {
			return f.Logout(f.t.Context(), f.claimsOf(stolen), auth.LogoutThis, auth.Client{})
		},
		"as one of the others": func(f *fixture, own, _ auth.Tokens) error {
			return f.Logout(f.t.Context(), f.claimsOf(own), auth.LogoutOthers, auth.Client{})
		},
		"as one of all": func(f *fixture, _, stolen auth.Tokens) error {
			return f.Logout(f.t.Context(), f.claimsOf(stolen), auth.LogoutAll, auth.Client{})
		},
		"by a new password": func(f *fixture, own, _ auth.Tokens) error {
			return f.ChangePassword(f.t.Context(), f.claimsOf(own), password, otherPassword, auth.Client{})
		},
	} {
		t.Run(name, func(t *testing.T) {
			f := fixtureOn(t, tempDatabase(t))
			f.addAda()
			own, stolen := f.mustLogin("ada", password), f.mustLogin("ada", password)
			begun, ended := make(chan struct{}), make(chan struct{})
			go func() {
				defer close(ended)
				for n, tokens := 0, stolen; ; n++ {
					var err error
					if tokens, err = f.Refresh(t.Context(), tokens.RefreshToken, auth.Client{}); errors.Is(err, auth.ErrInvalidToken) {
						return
					} else if err != nil {
						t.Error(err)
						return
					}
					if n == 10 {
						close(begun)
					}
				}
			}()
			<-begun
			if err := end(f, own, stolen); err != nil {
				t.Fatal(err)
			}
			<-ended
			f.wantAlive("after it", stolen, false)
		})
	}
}

// TestLostLoginGoesByTheUserAsTheyAreNow: somebody changes the user while the
// password is being checked.
func TestLostLoginGoesByTheUserAsTheyAreNow(t *testing.T) {
	meanwhile := func(f *fixture, change func() error) {
		var once sync.Once
		hashBy(f.Hasher, func(hash func()) {
			hash()
			once.Do(func() {
				if err := change(); err != nil {
					f.t.Error(err)
				}
			})
		})
	}
	t.Run("an address to be proved", func(t *testing.T) {
		f := newFixture(t, open(&mailbox{}))
		f.addAda()
		meanwhile(f, func() error {
			f.update("u1", func(u *storage.User) { u.EmailVerified = false; u.Epoch++ })
			return nil
		})
		if _, err := f.login("ada", password); !errors.Is(err, auth.ErrEmailNotVerified) {
			t.Errorf("got %v, want ErrEmailNotVerified", err)
		}
	})
	t.Run("sessions that have ended", func(t *testing.T) {
		const network = "192.0.2.1"
		f := newFixture(t, limits)
		f.addAda()
		old := f.claimsOf(f.mustLogin("ada", password))
		meanwhile(f, func() error { return f.Logout(t.Context(), old, auth.LogoutAll, auth.Client{}) })
		if wait, err := f.try("ada", password, network); wait > 0 || err != nil {
			t.Fatal(wait, err)
		}
		f.checked("ada", "203.0.113.1")
		if wait, err := f.try("ada", password, network); wait > 0 || err != nil {
			t.Errorf("from the known network: %v, %v", wait, err)
		}
	})
}
