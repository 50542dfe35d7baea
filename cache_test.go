package latchkey_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"

	"github.com/latchkey-auth/latchkey"
)

func TestCacheHitAllocatesNothing(t *testing.T) {
	ctx := context.Background()
	for _, alg := range algorithms {
		t.Run(string(alg), func(t *testing.T) {
			v := newVerifier(t, nil)
			token := goodToken(alg)
			want, err := v.Verify(ctx, token)
			if err != nil {
				t.Fatal(err)
			}
			var got latchkey.Claims
			allocs := testing.AllocsPerRun(100, func() { got, err = v.Verify(ctx, token) })
			if err != nil {
				t.Fatal(err)
			}
			if allocs != 0 {
				t.Errorf("%v allocations, want none", allocs)
			}
			if got.Payload() != want.Payload() || got.Subject != want.Subject || !got.ExpiresAt.Equal(want.ExpiresAt) {
				t.Errorf("the second time got %v, the first time %v", got, want)
			}
		})
	}
}

func TestCacheHitStillChecksTheTimes(t *testing.T) {
	at := now
	v := newVerifier(t, func(cfg *latchkey.Config) { cfg.Now = func() time.Time { return at } })
	withNotBefore := withClaims("nbf", "1800000000", "iat", "1700000000")
	plain := withClaims("iat", "1800000000")
	for _, token := range []string{plain, withNotBefore} {
		for range 2 {
			if _, err := verify(v, token); err != nil {
				t.Fatal(err)
			}
		}
	}
	if v.Cached() != 2 {
		t.Fatalf("%d tokens are remembered, want 2", v.Cached())
	}
	at = now.Add(600 * time.Second)
	wantRefusal(t, v, plain, latchkey.CheckExpiry)
	wantRefusal(t, v, withNotBefore, latchkey.CheckExpiry)
	at = now.Add(-time.Second) // clocks are set back
	wantRefusal(t, v, plain, latchkey.CheckIssuedAt)
	wantRefusal(t, v, withNotBefore, latchkey.CheckNotBefore)
	at = now
	if _, err := verify(v, plain); err != nil {
		t.Errorf("back in its time: %v", err)
	}
}

// keyBox is a KeySet whose one key can be taken out and replaced.
type keyBox struct{ key atomic.Pointer[latchkey.Key] }

func (b *keyBox) Key(_ context.Context, id string, alg latchkey.Algorithm) (*latchkey.Key, error) {
	if k := b.key.Load(); k != nil && k.ID() == id && k.Algorithm() == alg {
		return k, nil
	}
	return nil, latchkey.ErrKeyNotFound
}

func TestCachedTokenEndsWithItsKey(t *testing.T) {
	other := must(latchkey.NewHMACKey("hs", []byte("another secret of 32 bytes or so")))
	for name, c := range map[string]struct {
		replaced *latchkey.Key
		check    latchkey.Check // empty: the token stays good
	}{
		"key gone":                            {nil, latchkey.CheckKey},
		"another key under its id":            {other, latchkey.CheckSignature},
		"another algorithm under its id":      {publicKey(latchkey.EdDSA, "hs"), latchkey.CheckKey},
		"its key under another id":            {publicKey(latchkey.HS256, "hs-2"), latchkey.CheckKey},
		"the same key, read from a file anew": {publicKey(latchkey.HS256, "hs"), ""},
	} {
		t.Run(name, func(t *testing.T) {
			box := new(keyBox)
			box.key.Store(publicKey(latchkey.HS256, "hs"))
			v := newVerifier(t, func(cfg *latchkey.Config) { cfg.Keys = box })
			token := goodToken(latchkey.HS256)
			if _, err := verify(v, token); err != nil {
				t.Fatal(err)
			}
			box.key.Store(c.replaced)
			if c.check != "" {
				wantRefusal(t, v, token, c.check)
				wantRefusal(t, v, token, c.check)
				return
			}
			if _, err := verify(v, token); err != nil {
				t.Fatal(err)
			}
			if n := testing.AllocsPerRun(100, func() { verify(v, token) }); n != 0 {
				t.Errorf("%v allocations: the token is not remembered with its new key", n)
			}
		})
	}
}

func TestCacheIsBounded(t *testing.T) {
	for size, most := range map[int]int{-1: 0, 1: 2, 2: 2, 3: 3, 10: 10, 0: 1024} {
		t.Run(fmt.Sprint("size ", size), func(t *testing.T) {
			v := newVerifier(t, func(cfg *latchkey.Config) { cfg.CacheSize = size })
			peak := 0
			for i := range 1300 {
				token := sign(latchkey.HS256, goodHeader(latchkey.HS256), claims("jti", fmt.Sprintf(`"%d"`, i)))
				if _, err := verify(v, token); err != nil {
					t.Fatal(err)
				}
				peak = max(peak, v.Cached())
			}
			if peak > most || peak < most-1 {
				t.Errorf("%d tokens were remembered, want %d", peak, most)
			}
		})
	}
}

// TestCacheKeepsTheBusyTokens: a flood of others does not push out a token that
// is used all the time.
func TestCacheKeepsTheBusyTokens(t *testing.T) {
	v := newVerifier(t, func(cfg *latchkey.Config) { cfg.CacheSize = 10 })
	busy := goodToken(latchkey.HS256)
	first, err := verify(v, busy)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 100 {
		c, err := verify(v, busy)
		if err != nil {
			t.Fatal(err)
		}
		if unsafe.StringData(c.Payload()) != unsafe.StringData(first.Payload()) {
			t.Fatalf("after %d others the busy token was forgotten and decoded again", i)
		}
		other := sign(latchkey.HS256, goodHeader(latchkey.HS256), claims("jti", fmt.Sprintf(`"%d"`, i)))
		if _, err := verify(v, other); err != nil {
			t.Fatal(err)
		}
	}
}

func TestRefusedTokensAreNotRemembered(t *testing.T) {
	v := newVerifier(t, nil)
	for _, h := range hostileTokens() {
		if _, err := verify(v, h.token); !errors.Is(err, latchkey.ErrInvalidToken) {
			t.Errorf("%s: got error %v", h.name, err)
		}
	}
	if n := v.Cached(); n != 0 {
		t.Errorf("%d refused tokens are remembered", n)
	}
}

// TestConcurrentUse is for the race detector: good and bad tokens, a small
// cache that is always being renewed, and a key that comes and goes.
func TestConcurrentUse(t *testing.T) {
	box := new(keyBox)
	key := publicKey(latchkey.HS256, "hs")
	box.key.Store(key)
	v := newVerifier(t, func(cfg *latchkey.Config) { cfg.Keys, cfg.CacheSize = box, 8 })
	var tokens []string
	for i := range 20 {
		tokens = append(tokens, sign(latchkey.HS256, goodHeader(latchkey.HS256), claims("sub", fmt.Sprintf(`"user-%d"`, i))))
	}
	bad := forged([]byte("x"), goodHeader(latchkey.HS256), claims())
	var all sync.WaitGroup
	for g := range 8 {
		all.Go(func() {
			for i := range 300 {
				n := (i*7 + g) % len(tokens)
				c, err := verify(v, tokens[n])
				switch {
				case err == nil && c.Subject != fmt.Sprintf("user-%d", n):
					t.Errorf("token of user-%d gave %q", n, c.Subject)
				case err != nil && !errors.Is(err, latchkey.ErrInvalidToken):
					t.Error(err)
				}
				if _, err := verify(v, bad); !errors.Is(err, latchkey.ErrInvalidToken) {
					t.Errorf("a forged token: %v", err)
				}
				if g == 0 && i%10 == 0 {
					box.key.Store(nil)
				} else if g == 0 {
					box.key.Store(key)
				}
			}
		})
	}
	all.Wait()
	if n := v.Cached(); n > 8 {
		t.Errorf("%d tokens are remembered, want 8 at most", n)
	}
}
