package gateway_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/latchkey-auth/latchkey"
	"github.com/latchkey-auth/latchkey/internal/gateway"
	"github.com/latchkey-auth/latchkey/revocation"
)

// ended is a source of revocations.
type ended struct {
	all []revocation.Revocation
	err error
}

func (e *ended) Revocations(context.Context, string) (revocation.Page, error) {
	return revocation.Page{Revocations: e.all, Next: "next"}, e.err
}

func (e *ended) Ended(context.Context, latchkey.Claims) (bool, error) { return false, e.err }

// TestEndedTokensAreRefused, in every kind of event, also when the verifier remembers the
// token. When nobody can tell, that is a fault: no policy and no 401.
func TestEndedTokensAreRefused(t *testing.T) {
	clock := now
	source := &ended{}
	follower, err := revocation.New(revocation.Config{Source: source, MaxStale: time.Minute, Now: func() time.Time { return clock }})
	if err != nil {
		t.Fatal(err)
	}
	a := with(t, func(cfg *gateway.AuthorizerConfig) { cfg.Revocations = follower })
	mine := mint(map[string]any{"sid": "mine", "epoch": 1, "rights": 0})
	others := mint(map[string]any{"sid": "others", "epoch": 1, "rights": 0})
	wantAnswer := func(saying, token string, good, fault bool) {
		t.Helper()
		for _, d := range documented {
			got, err := a.Handle(t.Context(), sample(t, d.file, token))
			switch {
			case fault && (err == nil || errors.Is(err, gateway.ErrUnauthorized) || got != nil):
				t.Errorf("%s, %s: %s, error %v; want a fault", saying, d.file, got, err)
			case !fault && good && err != nil:
				t.Errorf("%s, %s: %v", saying, d.file, err)
			case !fault && !good && d.kind == gateway.KindAppSync && string(got) != `{"isAuthorized":false,"ttlOverride":0}`:
				t.Errorf("%s, %s: %s, error %v", saying, d.file, got, err)
			case !fault && !good && d.kind != gateway.KindAppSync && (got != nil || err != gateway.ErrUnauthorized):
				t.Errorf("%s, %s: %s, error %v; want the bare error", saying, d.file, got, err)
			}
		}
	}
	source.err = errors.New("away")
	wantAnswer("a cold start that can read nothing", mine, false, true)
	source.err = nil
	clock = clock.Add(time.Second)
	wantAnswer("before", mine, true, false)
	source.all = []revocation.Revocation{{Time: clock, UserID: "user-1", Epoch: 2, Survivor: "mine", ExpiresAt: clock.Add(time.Hour)}}
	clock = clock.Add(10 * time.Second)
	wantAnswer("the one that asked", mine, true, false)
	wantAnswer("the others", others, false, false)
	source.err = errors.New("away")
	clock = clock.Add(time.Minute)
	wantAnswer("an outage", mine, true, false)
	wantAnswer("an outage, one that has ended", others, false, false)
	clock = clock.Add(time.Second)
	wantAnswer("an outage that lasts", mine, false, true)
}

// BenchmarkRevocations is what is done for a verified token that is remembered, of 1,000
// by turns, with 10,000 revocations.
func BenchmarkRevocations(b *testing.B) {
	source := &ended{}
	for n := range 10_000 {
		r := revocation.Revocation{Time: now, UserID: fmt.Sprintf("user-%026d", n), Epoch: 1, ExpiresAt: now.Add(24 * time.Hour)}
		if n%2 == 0 {
			r.SessionID = fmt.Sprintf("%026d", n)
		}
		source.all = append(source.all, r)
	}
	follower, err := revocation.New(revocation.Config{Source: source})
	if err != nil {
		b.Fatal(err)
	}
	verifier, err := latchkey.New(latchkey.Config{Keys: keySet(), Issuer: issuer, Audience: issuer, CacheSize: 4096, Now: func() time.Time { return now }})
	if err != nil {
		b.Fatal(err)
	}
	tokens := make([]string, 1000)
	for n := range tokens {
		tokens[n] = mint(map[string]any{"sub": fmt.Sprintf("user-%026d", n), "sid": fmt.Sprintf("x%025d", n), "epoch": 1, "rights": 0})
	}
	b.Run("verify", func(b *testing.B) {
		n := 0
		for b.Loop() {
			if _, err := verifier.Verify(b.Context(), tokens[n%len(tokens)]); err != nil {
				b.Fatal(err)
			}
			n++
		}
	})
	b.Run("verify-and-check", func(b *testing.B) {
		n := 0
		for b.Loop() {
			claims, err := verifier.Verify(b.Context(), tokens[n%len(tokens)])
			if err == nil {
				err = follower.Check(b.Context(), claims)
			}
			if err != nil {
				b.Fatal(err)
			}
			n++
		}
	})
}
