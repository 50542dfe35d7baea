package auth_test

import (
	"encoding/base64"
	"errors"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/latchkey-auth/latchkey/internal/auth"
	"github.com/latchkey-auth/latchkey/internal/password/passhash"
	"github.com/latchkey-auth/latchkey/internal/sqlstore"
	"github.com/latchkey-auth/latchkey/internal/storage"
)

func b64(n int) string { return base64.RawStdEncoding.EncodeToString(make([]byte, n)) }

func TestPlantedHashIsRefusedAndNotAllocated(t *testing.T) {
	f := newFixture(t)
	f.addAda()
	f.update("u1", func(u *storage.User) { u.PasswordHash = "$argon2id$v=19$m=4194304,t=1,p=1$" + b64(16) + "$" + b64(32) })
	var err error
	if n := allocated(func() { _, err = f.login("ada", password) }); n > 1<<20 {
		t.Errorf("%d bytes were allocated", n)
	}
	if err == nil || errors.Is(err, storage.ErrUnavailable) || errors.Is(err, auth.ErrInvalidCredentials) {
		t.Errorf("got %v, want a fault of our own", err)
	}
}

func TestWeakerHashesAreReplacedAtLogin(t *testing.T) {
	f := newFixture(t)
	f.addAda()
	before := f.user("u1")
	stronger := passhash.Argon2{Memory: 16, Time: 2, Threads: 1}
	f.Service = f.service(withCost(t, stronger))
	if _, err := f.login("ada", "wrong"); !errors.Is(err, auth.ErrInvalidCredentials) {
		t.Fatal(err)
	}
	if got := f.user("u1").PasswordHash; got != before.PasswordHash {
		t.Errorf("a wrong password has replaced the hash by %s", got)
	}
	f.mustLogin("ada", password)
	after := f.user("u1")
	if !strings.HasPrefix(after.PasswordHash, "$argon2id$v=19$m=16,t=2,p=1$") || after.SignInVersion != 2 || after.Version != 1 {
		t.Errorf("got hash %s, version %d; want one of cost %v, version 2", after.PasswordHash, after.SignInVersion, stronger)
	}
	if _, err := f.me(f.mustLogin("ada", password)); err != nil {
		t.Errorf("with the new hash: %v", err)
	}
	if got := f.user("u1"); got.PasswordHash != after.PasswordHash {
		t.Error("the new hash was replaced again")
	}
}

// TestHashReplacementYieldsToOthers: somebody else changes the user between its
// being read and its being stored. Both the login and the change succeed.
func TestHashReplacementYieldsToOthers(t *testing.T) {
	f := newFixture(t)
	f.addAda()
	racing := &faulty{}
	login := f.service(withStore(racing), withCost(t, passhash.Argon2{Memory: 16, Time: 1, Threads: 1}))
	racing.after = func(string) {
		racing.after = nil
		if _, err := f.UpdateUser(t.Context(), "ada", func(u *storage.User) { u.Scope = "changed" }); err != nil {
			t.Error(err)
		}
	}
	tokens, err := login.Login(t.Context(), auth.LoginRequest{Username: "ada", Password: password})
	if err != nil {
		t.Fatal(err)
	}
	if who, err := f.me(tokens); err != nil || who.Scope != "changed" {
		t.Errorf("got %+v, %v; want the session with the changed scope", who, err)
	}
}

func TestLoginsBeyondTheQueueAreBusyAndNotRefused(t *testing.T) {
	f := newFixture(t)
	synctest.Test(t, func(t *testing.T) {
		// A store of the bubble's own: one that works outside would seem to stand
		// still, and the clock would run on.
		store, err := sqlstore.Open(t.Context(), sqlstore.Memory, true)
		if err != nil {
			t.Fatal(err)
		}
		defer store.Close()
		h := newHasher(t, cheap)
		s := f.service(func(c *auth.Config) { c.Hasher, c.Store = h, store })
		if _, err := s.AddUser(t.Context(), auth.NewUser{Username: "ada", Password: password}); err != nil {
			t.Fatal(err)
		}
		release, done := make(chan struct{}), make(chan error)
		hashBy(h, func(hash func()) { <-release; hash() })
		for range 65 * runtime.GOMAXPROCS(0) {
			go func() {
				_, err := h.Hash(t.Context(), password)
				done <- err
			}()
		}
		synctest.Wait()
		login := auth.LoginRequest{Username: "ada", Password: password}
		if _, err := s.Login(t.Context(), login); !errors.Is(err, auth.ErrBusy) {
			t.Errorf("got %v, want ErrBusy", err)
		}
		close(release)
		for range 65 * runtime.GOMAXPROCS(0) {
			<-done
		}
		if _, err := s.Login(t.Context(), login); err != nil {
			t.Errorf("after the rush: %v", err)
		}
	})
}
