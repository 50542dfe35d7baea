package password_test

import (
	"context"
	"encoding/base64"
	"errors"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/latchkey-auth/latchkey/internal/password"
	"github.com/latchkey-auth/latchkey/internal/password/passhash"
)

const right = "correct horse battery staple"

// cheap is the lowest cost that is taken; costly makes hashes that can be counted
// by the memory that each takes.
var (
	cheap  = passhash.Argon2{Memory: 8, Time: 1, Threads: 1}
	costly = passhash.Argon2{Memory: 4096, Time: 1, Threads: 1}
)

func newHasher(t testing.TB, cost passhash.Argon2) *password.Hasher {
	t.Helper()
	h, err := password.NewHasher(cost, runtime.GOMAXPROCS(0))
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// hashes returns how many hashes of the cost f makes. Each takes its memory
// once, and next to costly ones nothing else matters.
func hashes(cost passhash.Argon2, f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return (after.TotalAlloc - before.TotalAlloc) / (uint64(cost.Memory) << 10)
}

func TestDecoyIsACompiledInHashOfTheDefaultCost(t *testing.T) {
	h := newHasher(t, passhash.DefaultArgon2)
	const want = "$argon2id$v=19$m=19456,t=2,p=1$0DuMQpbGRSBPgcWxTTEA5g$ZkFpU2l4dGVlbkJ5dGVzT2ZOb3RoaW5nQXRBbGwhISE"
	if got := h.Decoy(); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// TestDecoyCostsWhatAHashCosts: its parts are as long as those of a new hash,
// and checking it is one hash of the hasher's own cost.
func TestDecoyCostsWhatAHashCosts(t *testing.T) {
	for _, cost := range []passhash.Argon2{costly, {Memory: 2048, Time: 2, Threads: 2}} {
		h := newHasher(t, cost)
		fresh, err := h.Hash(t.Context(), right)
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
		n := hashes(cost, func() { ok, weak, err = h.Verify(t.Context(), "", right) })
		if ok || weak || err != nil || n != 1 {
			t.Errorf("cost %v: got ok %v, weak %v, %v after %d hashes; want a refusal after 1", cost, ok, weak, err, n)
		}
	}
}

func TestHashesAreArgon2idWithTheirParameters(t *testing.T) {
	h := newHasher(t, passhash.DefaultArgon2)
	hash, err := h.Hash(t.Context(), right)
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
	if again, err := h.Hash(t.Context(), right); err != nil || again == hash {
		t.Errorf("two hashes of one password are alike (%v): the salt is not random", err)
	}
	for try, want := range map[string]bool{right: true, right + " ": false, strings.ToUpper(right): false, "": false} {
		if ok, weak, err := h.Verify(t.Context(), hash, try); ok != want || weak || err != nil {
			t.Errorf("%q: got ok %v, weak %v, %v; want ok %v", try, ok, weak, err, want)
		}
	}
}

func TestHasherOfNoCostIsRefused(t *testing.T) {
	if _, err := password.NewHasher(passhash.Argon2{}, 1); err == nil {
		t.Error("a hasher of no cost at all is made")
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
		if _, err := h.Hash(t.Context(), right); !errors.Is(err, password.ErrBusy) {
			t.Errorf("Hash with the queue full: got %v, want ErrBusy", err)
		}
		if _, _, err := h.Verify(t.Context(), "", right); !errors.Is(err, password.ErrBusy) {
			t.Errorf("Verify with the queue full: got %v, want ErrBusy", err)
		}
		close(release)
		for range queuePlaces() {
			if err := <-done; err != nil {
				t.Errorf("a caller in the queue: %v", err)
			}
		}
		if _, err := h.Hash(t.Context(), right); err != nil {
			t.Errorf("after the rush: %v", err)
		}
	})
}

// TestTheQueueDoesNotWaitForEver: where hashes take long, those that wait get an error.
func TestTheQueueDoesNotWaitForEver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHasher(t, cheap)
		release := make(chan struct{})
		for range runtime.GOMAXPROCS(0) {
			go h.Work(t.Context(), func() { <-release })
		}
		synctest.Wait()
		began := time.Now()
		if _, err := h.Hash(t.Context(), right); !errors.Is(err, password.ErrBusy) {
			t.Errorf("got %v, want ErrBusy", err)
		}
		if waited := time.Since(began); waited != 4*time.Second {
			t.Errorf("it waited %v, want 4 s", waited)
		}
		close(release)
		synctest.Wait()
		if n := h.Waiting(); n != 0 {
			t.Errorf("%d places are still taken", n)
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
