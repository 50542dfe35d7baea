package auth_test

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/latchkey-auth/latchkey/internal/auth"
)

// TestChangesStarveNobody changes the name over and over by a bearer token, which may
// be a stolen one: logins, refreshes and a reset of the user get through, and make no
// hash in vain.
func TestChangesStarveNobody(t *testing.T) {
	f := fixtureOn(t, tempDatabase(t), withCost(t, costly), open(&mailbox{}))
	f.addAda()
	made := 0
	f.Hasher.HashBy(func(hash func()) { made++; hash() })
	stolen := f.claimsOf(f.mustLogin("ada", password))
	laptop := f.mustLogin("ada", password)
	link := token(t, f.forgot("ada@example.com"))
	done := make(chan struct{})
	var storm sync.WaitGroup
	for i := range 8 {
		storm.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-done:
					return
				default:
				}
				if _, err := f.Rename(t.Context(), stolen, fmt.Sprint("name ", i, n), auth.Client{}); errors.Is(err, auth.ErrInvalidToken) {
					return // after the reset
				} else if err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	for range 10 {
		made = 0
		if _, err := f.login("ada", password); err != nil || made != 1 {
			t.Errorf("login: %v by %d hashes, want 1", err, made)
		}
		laptop = f.mustRefresh(laptop.RefreshToken)
	}
	if err := f.ResetPassword(t.Context(), auth.TicketRequest{Token: link}, otherPassword); err != nil {
		t.Errorf("reset: %v", err)
	}
	close(done)
	storm.Wait()
	f.mustLogin("ada", otherPassword)
}

// TestTurnsAreInOrderAndBounded: who comes first goes first, some are told to come
// again, and nobody waits for ever.
func TestTurnsAreInOrderAndBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var turns auth.Turns
		first, err := turns.Take(t.Context(), "u", 2)
		if err != nil {
			t.Fatal(err)
		}
		var order []int
		var waiting sync.WaitGroup
		for i := range 2 {
			waiting.Go(func() {
				done, err := turns.Take(t.Context(), "u", 2)
				if err != nil {
					t.Error(err)
					return
				}
				order = append(order, i)
				done()
			})
			synctest.Wait()
		}
		if _, err := turns.Take(t.Context(), "u", 2); !isLimit(err) {
			t.Errorf("one more: %v, want a LimitError", err)
		}
		other, err := turns.Take(t.Context(), "another", 2)
		if err != nil {
			t.Errorf("another user: %v", err)
		}
		other()
		first()
		waiting.Wait()
		if fmt.Sprint(order) != "[0 1]" {
			t.Errorf("the turns went %v", order)
		}
		last, err := turns.Take(t.Context(), "u", 2)
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		if _, err := turns.Take(t.Context(), "u", 2); !errors.Is(err, auth.ErrUnavailable) || time.Since(began) > 5*time.Second {
			t.Errorf("after %v: %v, want ErrUnavailable", time.Since(began), err)
		}
		last()
		if n := turns.Users(); n != 0 {
			t.Errorf("%d users are kept in mind", n)
		}
	})
}
