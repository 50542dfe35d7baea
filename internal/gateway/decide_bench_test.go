package gateway_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/asn1"
	"encoding/base64"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/latchkey-auth/latchkey"
	"github.com/latchkey-auth/latchkey/internal/gateway"
	"github.com/latchkey-auth/latchkey/revocation"
)

// BenchmarkDecide is a whole decision, revocations and grants included: for a token of
// ES256 that is new, beside the bare check of its signature by turns in one run; and for
// one that is remembered.
func BenchmarkDecide(b *testing.B) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		b.Fatal(err)
	}
	token, check := signES256(b, private)
	question := gateway.Question{Credential: "Bearer " + token}
	b.Run("new", func(b *testing.B) {
		a := deciding(b, &private.PublicKey, -1)
		var decide, bare []time.Duration
		decideRound := func() {
			decide = append(decide, perOp(func() {
				if _, err := a.Decide(b.Context(), question); err != nil {
					b.Fatal(err)
				}
			}))
		}
		bareRound := func() { bare = append(bare, perOp(check)) }
		for first := true; b.Loop(); first = !first {
			if first { // by turns: who comes second finds other caches
				decideRound()
				bareRound()
			} else {
				bareRound()
				decideRound()
			}
		}
		slices.Sort(decide)
		slices.Sort(bare)
		of, over := decide[len(decide)/2], bare[len(bare)/2]
		b.ReportMetric(float64(of), "decide-ns")
		b.ReportMetric(float64(over), "bare-ns")
		b.ReportMetric(float64(of)/float64(over), "over-bare")
		b.ReportMetric(0, "ns/op")
	})
	b.Run("remembered", func(b *testing.B) {
		a := deciding(b, &private.PublicKey, 4096)
		for b.Loop() {
			if _, err := a.Decide(b.Context(), question); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// perOp is what one of twenty takes.
func perOp(f func()) time.Duration {
	const round = 20
	began := time.Now()
	for range round {
		f()
	}
	return time.Since(began) / round
}

// signES256 returns a token, and the check of its signature alone.
func signES256(b *testing.B, private *ecdsa.PrivateKey) (token string, check func()) {
	b64 := base64.RawURLEncoding
	_, payload, _ := strings.Cut(mint(map[string]any{"username": "ada", "scope": "orders:read", "sid": "session-1", "epoch": 1, "rights": 0}), ".")
	payload, _, _ = strings.Cut(payload, ".")
	input := b64.EncodeToString([]byte(`{"alg":"ES256","typ":"at+jwt","kid":"a"}`)) + "." + payload
	digest := sha256.Sum256([]byte(input))
	r, s, err := ecdsa.Sign(rand.Reader, private, digest[:])
	if err != nil {
		b.Fatal(err)
	}
	der, err := asn1.Marshal([]*big.Int{r, s})
	if err != nil {
		b.Fatal(err)
	}
	raw := append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...)
	return input + "." + b64.EncodeToString(raw), func() {
		digest := sha256.Sum256([]byte(input))
		if !ecdsa.VerifyASN1(&private.PublicKey, digest[:], der) {
			b.Fatal("the signature is wrong")
		}
	}
}

// deciding is an authorizer that follows 10,000 revocations.
func deciding(b *testing.B, public *ecdsa.PublicKey, remembered int) *gateway.Authorizer {
	key, err := latchkey.NewECDSAKey("a", public)
	if err != nil {
		b.Fatal(err)
	}
	keys, err := latchkey.NewKeySet(key)
	if err != nil {
		b.Fatal(err)
	}
	clock := func() time.Time { return now }
	verifier, err := latchkey.New(latchkey.Config{Keys: keys, Issuer: issuer, Audience: issuer, CacheSize: remembered, Now: clock})
	if err != nil {
		b.Fatal(err)
	}
	source := &ended{}
	for n := range 10_000 {
		source.all = append(source.all, revocation.Revocation{Time: now, UserID: fmt.Sprintf("user-%026d", n), Epoch: 1, ExpiresAt: now.Add(24 * time.Hour)})
	}
	follower, err := revocation.New(revocation.Config{Source: source})
	if err != nil {
		b.Fatal(err)
	}
	a, err := gateway.NewAuthorizer(gateway.AuthorizerConfig{Verifier: verifier, Table: shop(b), Now: clock, Revocations: follower})
	if err != nil {
		b.Fatal(err)
	}
	return a
}
