package auth_test

import (
	"context"
	"encoding/base64"
	"errors"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/latchkey-auth/latchkey/internal/auth"
)

func TestDecoyIsACompiledInHashOfTheDefaultCost(t *testing.T) {
	h := newHasher(t, auth.DefaultArgon2)
	const want = "$argon2id$v=19$m=19456,t=2,p=1$0DuMQpbGRSBPgcWxTTEA5g$ZkFpU2l4dGVlbkJ5dGVzT2ZOb3RoaW5nQXRBbGwhISE"
	if got := h.Decoy(); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// TestDecoyCostsWhatAHashCosts: its parts are as long as those of a new hash,
// and checking it is one hash of the hasher's own cost.
func TestDecoyCostsWhatAHashCosts(t *testing.T) {
	for _, cost := range []auth.Argon2{costly, {Memory: 2048, Time: 2, Threads: 2}} {
		h := newHasher(t, cost)
		fresh, err := h.Hash(t.Context(), password)
		if err != nil {
			t.Fatal(err)
		}
		decoy := strings.Split(h.Decoy(), "$")
		for i, part := range strings.Split(fresh, "$") {
			if i < 4 && part != decoy[i] || len(part) != len(decoy[i]) {
				t.Errorf("part %d of the decoy is %q, of a new hash %q", i, decoy[i], part)
			}
		}
		var ok, weak bool
		n := hashes(cost, func() { ok, weak, err = h.Verify(t.Context(), "", password) })
		if ok || weak || err != nil || n != 1 {
			t.Errorf("cost %v: got ok %v, weak %v, %v after %d hashes; want a refusal after 1", cost, ok, weak, err, n)
		}
	}
}

func TestHashesAreArgon2idWithTheirParameters(t *testing.T) {
	h := newHasher(t, auth.DefaultArgon2)
	hash, err := h.Hash(t.Context(), password)
	if err != nil {
		t.Fatal(err)
	}
	parts := strings.Split(hash, "$")
	if !strings.HasPrefix(hash, "$argon2id$v=19$m=19456,t=2,p=1$") || len(parts) != 6 {
		t.Fatalf("got %s, want argon2id with m=19456,t=2,p=1", hash)
	}
	if salt, err := base64.RawStdEncoding.DecodeString(parts[4]); err != nil || len(salt) < 16 {
		t.Errorf("salt has %d bytes (%v), want 16", len(salt), err)
	}
	if again, err := h.Hash(t.Context(), password); err != nil || again == hash {
		t.Errorf("two hashes of one password are alike (%v): the salt is not random", err)
	}
	for try, want := range map[string]bool{password: true, password + " ": false, strings.ToUpper(password): false, "": false} {
		if ok, weak, err := h.Verify(t.Context(), hash, try); ok != want || weak || err != nil {
			t.Errorf("%q: got ok %v, weak %v, %v; want ok %v", try, ok, weak, err, want)
		}
	}
}

func TestCostsBelowOWASPAreKnown(t *testing.T) {
	for cost, want := range map[string]bool{
		"m=19456,t=2,p=1": false, "m=47104,t=1,p=1": false, "m=12288,t=3,p=1": false, "m=9216,t=4,p=1": false,
		"m=7168,t=5,p=1": false, "m=65536,t=3,p=4": false,
		"m=19455,t=2,p=1": true, "m=47103,t=1,p=1": true, "m=7167,t=32,p=1": true, "m=8,t=1,p=1": true,
	} {
		a, err := auth.ParseArgon2(cost)
		if err != nil || a.BelowOWASP() != want {
			t.Errorf("%s: below OWASP's table: %v (%v), want %v", cost, a.BelowOWASP(), err, want)
		}
	}
}

func TestCostsAreBounded(t *testing.T) {
	for _, good := range []string{"m=8,t=1,p=1", "m=262144,t=32,p=16", "m=128,t=1,p=16"} {
		if a, err := auth.ParseArgon2(good); err != nil || a.String() != good {
			t.Errorf("%s: got %v, %v", good, a, err)
		}
	}
	for _, bad := range []string{
		"m=4194304,t=1,p=1", "m=262145,t=1,p=1", "m=7,t=1,p=1", "m=127,t=1,p=16", "m=0,t=1,p=1",
		"m=8,t=0,p=1", "m=8,t=33,p=1", "m=8,t=1,p=0", "m=136,t=1,p=17", "m=2048,t=1,p=256",
		"m=4294967304,t=1,p=1", "m=18446744073709551624,t=1,p=1", "m=-8,t=1,p=1", "m=+8,t=1,p=1", "m=08,t=1,p=1",
		"", "m=8", "m=8,t=1", "t=1,m=8,p=1", "m=8,t=1,p=1,x=1", "m=8,t=1,p=", " m=8,t=1,p=1", "m=8, t=1,p=1", "M=8,t=1,p=1",
	} {
		if a, err := auth.ParseArgon2(bad); err == nil {
			t.Errorf("%q is taken, as %v", bad, a)
		}
		if err := new(auth.Argon2).UnmarshalText([]byte(bad)); err == nil {
			t.Errorf("%q is taken as text", bad)
		}
	}
	if _, err := auth.NewHasher(auth.Argon2{}); err == nil {
		t.Error("a hasher of no cost at all is made")
	}
}

func b64(n int) string { return base64.RawStdEncoding.EncodeToString(make([]byte, n)) }

func TestForeignHashesAreBounded(t *testing.T) {
	salt, key := b64(16), b64(32)
	text := base64.RawStdEncoding.EncodeToString([]byte("c2FsdHNhbHRzYWx0")) // base64 of base64 text
	for _, good := range []string{
		"$argon2id$v=19$m=8,t=1,p=1$" + salt + "$" + key,
		"$argon2id$v=19$m=8,t=1,p=1$" + b64(8) + "$" + b64(16),
		"$argon2id$v=19$m=262144,t=32,p=16$" + b64(64) + "$" + b64(128),
		"$pbkdf2-sha512$i=4096,l=32$" + text + "$" + key,
		"$pbkdf2-sha512$i=1000000,l=1024$" + text + "$" + b64(1024),
	} {
		if got, err := auth.ParsePHC(good); err != nil || got != good {
			t.Errorf("%.60s: got %.60s, %v; want the same", good, got, err)
		}
	}
	for name, bad := range map[string]string{
		"nothing":                          "",
		"plain text":                       "password",
		"bcrypt":                           "$2b$12$R9h/cIPz0gi.URNNX3kh2OPST9/PgBkqquzi.Ss7KIUgO2t0jWMUW",
		"argon2i":                          "$argon2i$v=19$m=8,t=1,p=1$" + salt + "$" + key,
		"another version":                  "$argon2id$v=16$m=8,t=1,p=1$" + salt + "$" + key,
		"no version":                       "$argon2id$m=8,t=1,p=1$" + salt + "$" + key,
		"4 GiB":                            "$argon2id$v=19$m=4194304,t=1,p=1$" + salt + "$" + key,
		"a thousand passes":                "$argon2id$v=19$m=8,t=1000,p=1$" + salt + "$" + key,
		"short salt":                       "$argon2id$v=19$m=8,t=1,p=1$" + b64(7) + "$" + key,
		"long salt":                        "$argon2id$v=19$m=8,t=1,p=1$" + b64(65) + "$" + key,
		"no key":                           "$argon2id$v=19$m=8,t=1,p=1$" + salt + "$",
		"short key":                        "$argon2id$v=19$m=8,t=1,p=1$" + salt + "$" + b64(15),
		"long key":                         "$argon2id$v=19$m=8,t=1,p=1$" + salt + "$" + b64(129),
		"padded base64":                    "$argon2id$v=19$m=8,t=1,p=1$" + salt + "==$" + key,
		"set bits after the last byte":     "$argon2id$v=19$m=8,t=1,p=1$" + salt[:21] + "B$" + key,
		"one field more":                   "$argon2id$v=19$m=8,t=1,p=1$" + salt + "$" + key + "$",
		"text before it":                   "x$argon2id$v=19$m=8,t=1,p=1$" + salt + "$" + key,
		"no iterations":                    "$pbkdf2-sha512$i=0,l=32$" + text + "$" + key,
		"iterations without end":           "$pbkdf2-sha512$i=1000001,l=32$" + text + "$" + key,
		"a length that is another one's":   "$pbkdf2-sha512$i=4096,l=33$" + text + "$" + key,
		"a digest of 15 bytes":             "$pbkdf2-sha512$i=4096,l=15$" + text + "$" + b64(15),
		"a digest of 1,025 bytes":          "$pbkdf2-sha512$i=4096,l=1025$" + text + "$" + b64(1025),
		"a salt of 7 bytes":                "$pbkdf2-sha512$i=4096,l=32$" + b64(7) + "$" + key,
		"a salt without end":               "$pbkdf2-sha512$i=4096,l=32$" + b64(4000) + "$" + key,
		"a line break in the salt":         "$pbkdf2-sha512$i=4096,l=32$" + text[:8] + "\n" + text[8:] + "$" + key,
		"PBKDF2 with another hash":         "$pbkdf2-sha256$i=4096,l=32$" + text + "$" + key,
		"PBKDF2 with argon2's parameters":  "$pbkdf2-sha512$m=8,t=1,p=1$" + text + "$" + key,
		"argon2id with PBKDF2's parameter": "$argon2id$v=19$i=4096,l=32$" + salt + "$" + key,
	} {
		if got, err := auth.ParsePHC(bad); err == nil {
			t.Errorf("%s is taken, as %.80s", name, got)
		}
	}
}

func TestPlantedHashIsRefusedAndNotAllocated(t *testing.T) {
	f := newFixture(t)
	u := f.addAda()
	u.PasswordHash = "$argon2id$v=19$m=4194304,t=1,p=1$" + b64(16) + "$" + b64(32)
	if err := f.store.Commit(t.Context(), auth.Batch{UpdateUsers: []auth.User{u}}); err != nil {
		t.Fatal(err)
	}
	var err error
	if n := allocated(func() { _, err = f.login("ada", password) }); n > 1<<20 {
		t.Errorf("%d bytes were allocated", n)
	}
	if err == nil || errors.Is(err, auth.ErrUnavailable) || errors.Is(err, auth.ErrInvalidCredentials) {
		t.Errorf("got %v, want a fault of our own", err)
	}
}

func TestWeakerHashesAreReplacedAtLogin(t *testing.T) {
	f := newFixture(t)
	f.addAda()
	before := f.user("u1")
	stronger := auth.Argon2{Memory: 16, Time: 2, Threads: 1}
	f.Service = f.service(withCost(t, stronger))
	if _, err := f.login("ada", "wrong"); !errors.Is(err, auth.ErrInvalidCredentials) {
		t.Fatal(err)
	}
	if got := f.user("u1").PasswordHash; got != before.PasswordHash {
		t.Errorf("a wrong password has replaced the hash by %s", got)
	}
	f.mustLogin("ada", password)
	after := f.user("u1")
	if !strings.HasPrefix(after.PasswordHash, "$argon2id$v=19$m=16,t=2,p=1$") || after.Version != 2 {
		t.Errorf("got hash %s, version %d; want one of cost %v, version 2", after.PasswordHash, after.Version, stronger)
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
	login := f.service(withStore(racing), withCost(t, auth.Argon2{Memory: 16, Time: 1, Threads: 1}))
	racing.after = func(string) {
		racing.after = nil
		if _, err := f.UpdateUser(t.Context(), "ada", func(u *auth.User) { u.Scope = "changed" }); err != nil {
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

// queuePlaces is how many callers may work or wait: 64 in line behind each core.
func queuePlaces() int { return 65 * runtime.GOMAXPROCS(0) }

func TestHashingIsLimitedToTheCoresWithABoundedQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHasher(t, cheap)
		cores := runtime.GOMAXPROCS(0)
		var running atomic.Int32
		release, done := make(chan struct{}), make(chan error)
		for range queuePlaces() {
			go func() {
				done <- h.Work(t.Context(), func() {
					if n := int(running.Add(1)); n > cores {
						t.Errorf("%d hashes are made at a time, want %d", n, cores)
					}
					<-release
					running.Add(-1)
				})
			}()
		}
		synctest.Wait()
		if got := int(running.Load()); got != cores {
			t.Errorf("%d hashes are made at a time, want %d", got, cores)
		}
		if _, err := h.Hash(t.Context(), password); !errors.Is(err, auth.ErrBusy) {
			t.Errorf("Hash with the queue full: got %v, want ErrBusy", err)
		}
		if _, _, err := h.Verify(t.Context(), "", password); !errors.Is(err, auth.ErrBusy) {
			t.Errorf("Verify with the queue full: got %v, want ErrBusy", err)
		}
		close(release)
		for range queuePlaces() {
			if err := <-done; err != nil {
				t.Errorf("a caller in the queue: %v", err)
			}
		}
		if _, err := h.Hash(t.Context(), password); err != nil {
			t.Errorf("after the rush: %v", err)
		}
	})
}

// TestPermitsAreHeldByTheWork: callers that give up free their place in the
// queue, but not the core that works for them.
func TestPermitsAreHeldByTheWork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHasher(t, cheap)
		ctx, giveUp := context.WithCancel(t.Context())
		release, worked, waited := make(chan struct{}), make(chan error), make(chan error)
		for range runtime.GOMAXPROCS(0) {
			go func() { worked <- h.Work(ctx, func() { <-release }) }()
		}
		synctest.Wait()
		waiting := queuePlaces() - runtime.GOMAXPROCS(0)
		for range waiting {
			go func() { waited <- h.Work(ctx, func() { t.Error("work began for a caller that had given up") }) }()
		}
		synctest.Wait()
		giveUp()
		for range waiting {
			if err := <-waited; !errors.Is(err, context.Canceled) {
				t.Errorf("a caller that gave up: got %v, want context.Canceled", err)
			}
		}
		var began atomic.Bool
		next := make(chan error)
		go func() { next <- h.Work(t.Context(), func() { began.Store(true) }) }()
		synctest.Wait()
		if began.Load() {
			t.Error("new work began while the abandoned work held every core")
		}
		close(release)
		for range runtime.GOMAXPROCS(0) {
			<-worked
		}
		if err := <-next; err != nil || !began.Load() {
			t.Errorf("after the abandoned work: %v, began %v", err, began.Load())
		}
	})
}

func TestLoginsBeyondTheQueueAreBusyAndNotRefused(t *testing.T) {
	f := newFixture(t)
	f.addAda()
	synctest.Test(t, func(t *testing.T) {
		h := newHasher(t, cheap)
		s := f.service(func(c *auth.Config) { c.Hasher = h })
		release, done := make(chan struct{}), make(chan error)
		for range queuePlaces() {
			go func() { done <- h.Work(t.Context(), func() { <-release }) }()
		}
		synctest.Wait()
		login := auth.LoginRequest{Username: "ada", Password: password}
		if _, err := s.Login(t.Context(), login); !errors.Is(err, auth.ErrBusy) {
			t.Errorf("got %v, want ErrBusy", err)
		}
		close(release)
		for range queuePlaces() {
			<-done
		}
		if _, err := s.Login(t.Context(), login); err != nil {
			t.Errorf("after the rush: %v", err)
		}
	})
}
