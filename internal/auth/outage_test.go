package auth_test

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/latchkey-auth/latchkey/internal/auth"
	"github.com/latchkey-auth/latchkey/internal/storage"
)

// TestAnOutageEndsEveryWait: whatever a request waits for, it is told within two
// seconds that the store is not there. Here a hash takes 50 ms, and the store, which
// is locked, 750 ms to find that out.
func TestAnOutageEndsEveryWait(t *testing.T) {
	const requests = 100
	for name, request := range map[string]func(f *fixture, i int) error{
		"for a place of the network": func(f *fixture, i int) error {
			_, err := f.Login(f.t.Context(), auth.LoginRequest{
				Username: fmt.Sprint("name", i), Password: password, Client: auth.Client{Address: "203.0.113.77"},
			})
			return err
		},
		"for a reservation at the account": func(f *fixture, i int) error {
			_, err := f.Login(f.t.Context(), auth.LoginRequest{
				Username: "ada", Password: "wrong battery", Client: auth.Client{Address: fmt.Sprint("203.0.113.", i)},
			})
			return err
		},
		"for a hash": func(f *fixture, i int) error {
			_, err := f.Login(f.t.Context(), auth.LoginRequest{
				Username: fmt.Sprint("name", i), Password: password, Client: auth.Client{Address: fmt.Sprint("203.0.113.", i)},
			})
			return err
		},
		"for the user to change": func(f *fixture, _ int) error {
			return f.Logout(f.t.Context(), f.claimsOf(f.tokens["ada"]), auth.LogoutAll, auth.Client{})
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				store := &faulty{}
				f := newFixture(t, withStore(store), limits)
				f.addAda()
				f.tokens = map[string]auth.Tokens{"ada": f.mustLogin("ada", password)}
				f.Hasher = newHasherOn(t, cheap, 2)
				hashBy(f.Hasher, func(hash func()) { time.Sleep(50 * time.Millisecond); hash() })
				store.fault = func(operation string) error {
					if operation != "Commit" && operation != "Take" && operation != "Settle" {
						return nil
					}
					time.Sleep(750 * time.Millisecond)
					return fmt.Errorf("%w: locked", storage.ErrUnavailable)
				}
				var all sync.WaitGroup
				var unavailable atomic.Int32
				for i := range requests {
					all.Go(func() {
						began := time.Now()
						err := request(f, i)
						if isLimit(err) && time.Since(began) == 0 {
							return // too many wait: this one does not, and writes nothing
						}
						unavailable.Add(1)
						if took := time.Since(began); !errors.Is(err, storage.ErrUnavailable) || took > 2*time.Second {
							t.Errorf("request %d: %v after %v", i, err, took)
						}
					})
				}
				all.Wait()
				if unavailable.Load() < 32 { // as many as wait
					t.Errorf("%d were told that the store is away", unavailable.Load())
				}
			})
		})
	}
}
