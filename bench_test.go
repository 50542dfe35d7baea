package latchkey_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/latchkey-auth/latchkey"
)

// BenchmarkVerify is the whole of Verify without its cache, to be held against
// BenchmarkBareCheck.
func BenchmarkVerify(b *testing.B) {
	ctx := context.Background()
	for _, alg := range algorithms {
		b.Run(string(alg), func(b *testing.B) {
			v := newVerifier(b, func(cfg *latchkey.Config) { cfg.CacheSize = -1 })
			token := goodToken(alg)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := v.Verify(ctx, token); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkBareCheck is what the standard library needs for the same bytes: to
// hash them and to check the signature, which is decoded already.
func BenchmarkBareCheck(b *testing.B) {
	for _, alg := range algorithms {
		b.Run(string(alg), func(b *testing.B) {
			token := goodToken(alg)
			end := strings.LastIndexByte(token, '.')
			input, sig := []byte(token[:end]), unbase64(token[end+1:])
			check := bareCheck(alg, sig)
			b.ReportAllocs()
			for b.Loop() {
				if !check(input) {
					b.Fatal("refused")
				}
			}
		})
	}
}

func bareCheck(alg latchkey.Algorithm, sig []byte) func(input []byte) bool {
	hash := hashes[alg]
	digest := func(input []byte) []byte {
		switch hash {
		case crypto.SHA384:
			d := sha512.Sum384(input)
			return d[:]
		case crypto.SHA512:
			d := sha512.Sum512(input)
			return d[:]
		}
		d := sha256.Sum256(input)
		return d[:]
	}
	switch alg {
	case latchkey.HS256:
		return func(input []byte) bool {
			mac := hmac.New(sha256.New, secret)
			mac.Write(input)
			return hmac.Equal(mac.Sum(nil), sig)
		}
	case latchkey.RS256, latchkey.RS384, latchkey.RS512:
		return func(input []byte) bool {
			return rsa.VerifyPKCS1v15(&rsaKey.PublicKey, hash, digest(input), sig) == nil
		}
	case latchkey.PS256, latchkey.PS384, latchkey.PS512:
		salt := &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash}
		return func(input []byte) bool {
			return rsa.VerifyPSS(&rsaKey.PublicKey, hash, digest(input), sig, salt) == nil
		}
	case latchkey.ES256, latchkey.ES384:
		pub, der := private(alg).Public().(*ecdsa.PublicKey), asn1ECDSA(sig)
		return func(input []byte) bool {
			return ecdsa.VerifyASN1(pub, digest(input), der)
		}
	}
	pub := edKey.Public().(ed25519.PublicKey)
	return func(input []byte) bool { return ed25519.Verify(pub, input, sig) }
}

// BenchmarkVerifyOverBare makes both by turns in one run, so that what else the
// machine does falls on both, and reports the medians of many short rounds.
func BenchmarkVerifyOverBare(b *testing.B) {
	ctx := context.Background()
	const round = 20
	for _, alg := range algorithms {
		b.Run(string(alg), func(b *testing.B) {
			v := newVerifier(b, func(cfg *latchkey.Config) { cfg.CacheSize = -1 })
			token := goodToken(alg)
			end := strings.LastIndexByte(token, '.')
			input := []byte(token[:end])
			check := bareCheck(alg, unbase64(token[end+1:]))
			var verify, bare []float64
			perOp := func(f func()) float64 {
				began := time.Now()
				for range round {
					f()
				}
				return float64(time.Since(began).Nanoseconds()) / round
			}
			verifyRound := func() { verify = append(verify, perOp(func() { v.Verify(ctx, token) })) }
			bareRound := func() { bare = append(bare, perOp(func() { check(input) })) }
			for first := true; b.Loop(); first = !first {
				if first { // by turns: who comes second finds other caches
					verifyRound()
					bareRound()
				} else {
					bareRound()
					verifyRound()
				}
			}
			slices.Sort(verify)
			slices.Sort(bare)
			b.ReportMetric(verify[len(verify)/2], "verify-ns")
			b.ReportMetric(bare[len(bare)/2], "bare-ns")
			b.ReportMetric(verify[len(verify)/2]-bare[len(bare)/2], "over-ns")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// BenchmarkVerifyCached is a token that was seen before; the algorithm makes no
// difference then.
func BenchmarkVerifyCached(b *testing.B) {
	ctx := context.Background()
	v := newVerifier(b, nil)
	token := goodToken(latchkey.ES256)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := v.Verify(ctx, token); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkVerifyAmongIssuers is Verify where fourteen other issuers are configured
// beside latchkey: an own token, and one of another issuer. Both are ES256.
func BenchmarkVerifyAmongIssuers(b *testing.B) {
	ctx := context.Background()
	tokens := map[string]string{"own": goodToken(latchkey.ES256)}
	for _, s := range shapes() {
		if s.profile == "supabase" {
			tokens[s.profile] = s.token("")
		}
	}
	for name, token := range tokens {
		for _, size := range []int{-1, 0} {
			b.Run(name+map[int]string{-1: "", 0: ", cached"}[size], func(b *testing.B) {
				v := allShapes(b, func(cfg *latchkey.Config) { cfg.CacheSize = size })
				b.ReportAllocs()
				for b.Loop() {
					if _, err := v.Verify(ctx, token); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

// BenchmarkVerifyRefused is the flood: a token whose signature is wrong.
func BenchmarkVerifyRefused(b *testing.B) {
	ctx := context.Background()
	v := newVerifier(b, nil)
	token := withSignature(latchkey.ES256, func(sig []byte) []byte { sig[0] ^= 1; return sig })
	b.ReportAllocs()
	for b.Loop() {
		if _, err := v.Verify(ctx, token); err == nil {
			b.Fatal("accepted")
		}
	}
}
