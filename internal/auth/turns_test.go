package auth_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/latchkey-auth/latchkey"
	"github.com/latchkey-auth/latchkey/internal/auth"
)

// TestChangesStarveNobody has a bearer token, which may be a stolen one, change the
// user over and over: what else its owner does gets through, and makes no hash in vain.
func TestChangesStarveNobody(t *testing.T) {
	for name, change := range map[string]func(*fixture, latchkey.Claims, int) error{
		"name": func(f *fixture, stolen latchkey.Claims, n int) error {
			_, err := f.Rename(f.t.Context(), stolen, fmt.Sprint("name ", n), auth.Client{})
			return err
		},
		"other sessions": func(f *fixture, stolen latchkey.Claims, _ int) error {
			return f.Logout(f.t.Context(), stolen, auth.LogoutOthers, auth.Client{})
		},
	} {
		t.Run(name, func(t *testing.T) {
			f := fixtureOn(t, tempDatabase(t), withCost(t, costly), open(&mailbox{}))
			f.addAda()
			link := token(t, f.forgot("ada@example.com"))
			made := 0
			hashBy(f.Hasher, func(hash func()) { made++; hash() })
			endStorm := f.storm(64, f.claimsOf(f.mustLogin("ada", password)), change)
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
// or they are told to stop.
func (f *fixture) storm(n int, stolen latchkey.Claims, change func(*fixture, latchkey.Claims, int) error) (end func()) {
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
				if err := change(f, stolen, i); errors.Is(err, auth.ErrInvalidToken) {
					return
				} else if err != nil && !isLimit(err) {
					f.t.Error(err)
					return
				}
			}
		})
	}
	return sync.OnceFunc(func() { close(done); all.Wait() })
}

// TestTooManyChangesByOneToken are told to come again, and that is recorded; who
// needs more than a token waits however many they are.
func TestTooManyChangesByOneToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &faulty{}
		f := newFixture(t, withStore(store))
		f.addAda()
		claims, other := f.claimsOf(f.mustLogin("ada", password)), f.claimsOf(f.mustLogin("ada", password))
		held := make(chan struct{})
		var begun atomic.Bool
		store.fault = func(operation string) error {
			if operation == "Commit" && !begun.Swap(true) {
				<-held // the first, who has the turn
			}
			return nil
		}
		var changes sync.WaitGroup
		change := func(c latchkey.Claims) {
			changes.Go(func() {
				if _, err := f.Rename(t.Context(), c, "Ada", auth.Client{}); err != nil {
					t.Error(err)
				}
			})
			synctest.Wait()
		}
		for range 16 {
			change(claims)
		}
		if _, err := f.Rename(t.Context(), claims, "Ada", auth.Client{}); !isLimit(err) {
			t.Errorf("one more: %v, want a LimitError", err)
		}
		f.wantOutcome(auth.EventUserUpdated, auth.OutcomeLimited)
		change(other)
		changes.Go(func() {
			if err := f.ChangePassword(t.Context(), claims, password, otherPassword, auth.Client{}); err != nil {
				t.Error(err)
			}
		})
		synctest.Wait()
		close(held)
		changes.Wait()
		f.mustLogin("ada", otherPassword)
	})
}

// TestWhoHasLostTakesTurns with those who change the user.
func TestWhoHasLostTakesTurns(t *testing.T) {
	for name, change := range map[string]func(f *fixture, refresh, link string) error{
		"login": func(f *fixture, _, _ string) error {
			_, err := f.login("ada", password)
			return err
		},
		"refresh": func(f *fixture, refresh, _ string) error {
			_, err := f.Refresh(f.t.Context(), refresh, auth.Client{})
			return err
		},
		"reset": func(f *fixture, _, link string) error { return f.reset(link, otherPassword) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				store := &faulty{}
				f := newFixture(t, withStore(store), open(&mailbox{}))
				f.addAda()
				tokens, link := f.mustLogin("ada", password), token(t, f.forgot("ada@example.com"))
				held := make(chan struct{})
				commits := 0
				store.fault = func(operation string) error {
					if operation != "Commit" {
						return nil
					}
					switch commits++; commits {
					case 1: // has the turn
						<-held
					case 2, 3: // as often as one loses before waiting
						return auth.ErrConflict
					}
					return nil
				}
				var changes sync.WaitGroup
				changes.Go(func() {
					if _, err := f.Rename(t.Context(), f.claimsOf(tokens), "Ada", auth.Client{}); err != nil {
						t.Error(err)
					}
				})
				synctest.Wait()
				changes.Go(func() {
					if err := change(f, tokens.RefreshToken, link); err != nil {
						t.Error(err)
					}
				})
				synctest.Wait()
				if commits > 3 {
					t.Error("a third try was made out of turn")
				}
				close(held)
				changes.Wait()
				if commits < 3 {
					t.Errorf("%d commits", commits)
				}
			})
		})
	}
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
		ada := f.addAda()
		ada.EmailVerified = false
		meanwhile(f, func() error { return f.store.Commit(t.Context(), auth.Batch{UpdateUsers: []auth.User{ada}}) })
		if _, err := f.login("ada", password); !errors.Is(err, auth.ErrEmailNotVerified) {
			t.Errorf("got %v, want ErrEmailNotVerified", err)
		}
	})
	t.Run("sessions that have ended", func(t *testing.T) {
		const home = "192.0.2.1"
		f := newFixture(t, limits)
		f.addAda()
		old := f.claimsOf(f.mustLogin("ada", password))
		meanwhile(f, func() error { return f.Logout(t.Context(), old, auth.LogoutAll, auth.Client{}) })
		if wait, err := f.try("ada", password, home); wait > 0 || err != nil {
			t.Fatal(wait, err)
		}
		f.checked("ada", "203.0.113.1")
		if wait, err := f.try("ada", password, home); wait > 0 || err != nil {
			t.Errorf("at home: %v, %v", wait, err)
		}
	})
}

// TestTurnsAreInOrderAndBounded: who comes first goes first, some are told to come
// again, and nobody waits for ever.
func TestTurnsAreInOrderAndBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var turns auth.Turns
		first, err := turns.Take(t.Context(), "u", "ada")
		if err != nil {
			t.Fatal(err)
		}
		var order []int
		var waiting sync.WaitGroup
		for i := range 15 {
			waiting.Go(func() {
				done, err := turns.Take(t.Context(), "u", "ada")
				if err != nil {
					t.Error(err)
					return
				}
				order = append(order, i)
				done()
			})
			synctest.Wait()
		}
		if _, err := turns.Take(t.Context(), "u", "ada"); !isLimit(err) {
			t.Errorf("one more: %v, want a LimitError", err)
		}
		other, err := turns.Take(t.Context(), "another", "ada")
		if err != nil {
			t.Errorf("another user: %v", err)
		}
		other()
		first()
		waiting.Wait()
		if !slices.IsSorted(order) || len(order) != 15 {
			t.Errorf("the turns went %v", order)
		}
		last, err := turns.Take(t.Context(), "u", "ada")
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		if _, err := turns.Take(t.Context(), "u", "ada"); !errors.Is(err, auth.ErrUnavailable) || time.Since(began) > 5*time.Second {
			t.Errorf("after %v: %v, want ErrUnavailable", time.Since(began), err)
		}
		gone, hangUp := context.WithCancel(t.Context())
		hangUp()
		if _, err := turns.Take(gone, "u", ""); !errors.Is(err, context.Canceled) || errors.Is(err, auth.ErrUnavailable) {
			t.Errorf("who hangs up: %v, want context.Canceled", err)
		}
		last()
		if n := turns.Users(); n != 0 {
			t.Errorf("%d users are kept in mind", n)
		}
	})
}
