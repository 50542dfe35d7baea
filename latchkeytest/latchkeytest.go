// Package latchkeytest issues access tokens for tests of programs that verify
// them with latchkey: good, expired and forged ones, without a server.
//
//	issuer := latchkeytest.NewIssuer(t)
//	api := httpauth.Require(issuer.Verifier())(handler)
//	request.Header.Set("Authorization", "Bearer "+issuer.Token("ada", "orders:read"))
package latchkeytest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/latchkey-auth/latchkey"
)

// The iss and aud of an Issuer's tokens.
const (
	URL      = "https://auth.example.com"
	Audience = "https://api.example.com"
)

// An Issuer signs tokens with an ES256 key of its own.
type Issuer struct {
	t    testing.TB
	key  *ecdsa.PrivateKey
	keys *latchkey.StaticKeySet
	kid  string
}

// NewIssuer returns an issuer with a new key.
func NewIssuer(t testing.TB) *Issuer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	i := &Issuer{t: t, key: key, kid: "test-" + rand.Text()}
	public, err := latchkey.NewECDSAKey(i.kid, &key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	if i.keys, err = latchkey.NewKeySet(public); err != nil {
		t.Fatal(err)
	}
	return i
}

// KeySet returns the issuer's public keys.
func (i *Issuer) KeySet() latchkey.KeySet { return i.keys }

// Verifier returns a verifier of the issuer's tokens.
func (i *Issuer) Verifier() *latchkey.Verifier {
	i.t.Helper()
	v, err := latchkey.New(latchkey.Config{Keys: i.keys, Issuer: URL, Audience: Audience})
	if err != nil {
		i.t.Fatal(err)
	}
	return v
}

// JWKS starts a server of the issuer's key set, for programs that fetch it, and
// returns its URL; fetch it with jwks.Config.AllowPrivate. It ends with the test.
func (i *Issuer) JWKS() string {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/jwk-set+json")
		w.Write(i.keys.JWKS())
	}))
	i.t.Cleanup(s.Close)
	return s.URL
}

// Token returns a token that is good for 15 minutes.
func (i *Issuer) Token(subject, scope string) string {
	return i.Sign(Claims(subject, scope, time.Now()))
}

// Expired returns a token that was good until an hour ago.
func (i *Issuer) Expired(subject, scope string) string {
	return i.Sign(Claims(subject, scope, time.Now().Add(-75*time.Minute)))
}

// Forged returns a token in the issuer's name, signed by another key: right in all
// but the signature.
func (i *Issuer) Forged(subject, scope string) string {
	other := NewIssuer(i.t)
	other.kid = i.kid
	return other.Token(subject, scope)
}

// Claims are those of a good token issued at the given moment, to be changed
// and signed.
func Claims(subject, scope string, issued time.Time) map[string]any {
	return map[string]any{
		"iss": URL, "aud": Audience, "sub": subject, "scope": scope, "client_id": "test", "username": subject,
		"iat": issued.Unix(), "exp": issued.Add(15 * time.Minute).Unix(), "jti": rand.Text(), "sid": rand.Text(), "epoch": 0, "rights": 0,
	}
}

// Sign signs any claims as an access token (RFC 9068).
func (i *Issuer) Sign(claims map[string]any) string {
	i.t.Helper()
	return i.SignAs(map[string]any{"alg": "ES256", "typ": "at+jwt", "kid": i.kid}, claims)
}

// SignAs signs under any header, for tokens that must be refused.
func (i *Issuer) SignAs(header, claims map[string]any) string {
	i.t.Helper()
	signed := i.encode(header) + "." + i.encode(claims)
	digest := sha256.Sum256([]byte(signed))
	r, s, err := ecdsa.Sign(rand.Reader, i.key, digest[:])
	if err != nil {
		i.t.Fatal(err)
	}
	signature := make([]byte, 64)
	r.FillBytes(signature[:32])
	s.FillBytes(signature[32:])
	return signed + "." + base64.RawURLEncoding.EncodeToString(signature)
}

func (i *Issuer) encode(members map[string]any) string {
	doc, err := json.Marshal(members)
	if err != nil {
		i.t.Fatal(err)
	}
	return base64.RawURLEncoding.EncodeToString(doc)
}
