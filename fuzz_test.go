package latchkey_test

import (
	"context"
	"crypto"
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"github.com/latchkey-auth/latchkey"
)

// FuzzVerify: what we accept, go-jose accepts with the same key and the same
// payload. We may be stricter, never laxer.
func FuzzVerify(f *testing.F) {
	for _, h := range hostileTokens() {
		if len(h.token) < 16<<10 {
			f.Add(h.token)
		}
	}
	for _, alg := range algorithms {
		f.Add(goodToken(alg))
	}
	v := newVerifier(f, nil)
	f.Fuzz(func(t *testing.T, token string) {
		if c, err := verify(v, token); err == nil {
			wantSameOfJOSE(t, token, c)
		}
	})
}

// FuzzVerifySigned signs what the fuzzer thinks of: mutations of whole tokens
// end at their signature.
func FuzzVerifySigned(f *testing.F) {
	for _, h := range hostileTokens() {
		p := strings.Split(h.token, ".")
		if len(p) != 3 || len(h.token) > 8192 {
			continue
		}
		header, err1 := base64.RawURLEncoding.DecodeString(p[0])
		payload, err2 := base64.RawURLEncoding.DecodeString(p[1])
		if err1 == nil && err2 == nil {
			f.Add(string(header), string(payload))
		}
	}
	f.Add(goodHeader(latchkey.HS256), claims())
	f.Add(`{"alg":"HS256","typ":"AT+JWT","x":{"y":[1,2.5e3,null]}}`, claims("aud", `["x","`+audience+`"]`, "scope", `"a\u00e9\ud83d\ude00"`, "nbf", "1"))
	v := newVerifier(f, func(cfg *latchkey.Config) { cfg.CacheSize = -1 })
	f.Fuzz(func(t *testing.T, header, payload string) {
		// The alg of the seeds is mostly ES256, whose signatures are slow to make.
		header = strings.Replace(strings.Replace(header, `"ES256"`, `"HS256"`, 1), `"ec"`, `"hs"`, 1)
		token := sign(latchkey.HS256, header, payload)
		c, err := verify(v, token)
		if err != nil {
			return
		}
		if c.Payload() != payload {
			t.Errorf("Payload is %q, signed was %q", c.Payload(), payload)
		}
		wantSameOfJOSE(t, token, c)
	})
}

var joseAlgorithms = []jose.SignatureAlgorithm{jose.HS256, jose.RS256, jose.RS384, jose.RS512, jose.PS256, jose.PS384, jose.PS512,
	jose.ES256, jose.ES384, jose.EdDSA}

// wantSameOfJOSE wants go-jose to accept the token and to see the same claims.
func wantSameOfJOSE(t *testing.T, token string, c latchkey.Claims) {
	t.Helper()
	if payload := wantGoodToJOSE(t, token, c); payload != nil {
		wantSameClaims(t, payload, c)
	}
}

// wantGoodToJOSE wants go-jose to accept the token with the same payload, and
// returns that, or nil where go-jose reads what we do not.
func wantGoodToJOSE(t *testing.T, token string, c latchkey.Claims) []byte {
	t.Helper()
	if usesIgnoredMembers(token) {
		return nil
	}
	sig, err := jose.ParseSignedCompact(token, joseAlgorithms)
	if err != nil {
		t.Fatalf("go-jose does not parse %q: %v", token, err)
	}
	var key any = secret
	if signer := private(latchkey.Algorithm(sig.Signatures[0].Header.Algorithm)); signer != nil {
		key = signer.Public()
	}
	payload, err := sig.Verify(key)
	if err != nil {
		t.Fatalf("go-jose refuses %q: %v", token, err)
	}
	if string(payload) != c.Payload() {
		t.Fatalf("go-jose sees the payload %q, we %q", payload, c.Payload())
	}
	return payload
}

// wantSameClaims wants encoding/json to see what we see.
func wantSameClaims(t *testing.T, payload []byte, c latchkey.Claims) {
	t.Helper()
	var theirs struct {
		Iss      string          `json:"iss"`
		Sub      string          `json:"sub"`
		Aud      json.RawMessage `json:"aud"`
		Exp      int64           `json:"exp"`
		Nbf      int64           `json:"nbf"`
		Iat      int64           `json:"iat"`
		Jti      string          `json:"jti"`
		Sid      string          `json:"sid"`
		ClientID string          `json:"client_id"`
		Username string          `json:"username"`
		Scope    string          `json:"scope"`
	}
	if err := json.Unmarshal(payload, &theirs); err != nil {
		t.Fatalf("encoding/json refuses %q: %v", payload, err)
	}
	var aud []string
	if json.Unmarshal(theirs.Aud, &aud) != nil {
		aud = make([]string, 1)
		if err := json.Unmarshal(theirs.Aud, &aud[0]); err != nil {
			t.Fatalf("aud: %v", err)
		}
	}
	if got, want := strings.Join(c.Audience(), "\x00"), strings.Join(aud, "\x00"); got != want {
		t.Errorf("we see aud %q, others %q", got, want)
	}
	for name, pair := range map[string][2]string{
		"iss": {c.Issuer, theirs.Iss}, "sub": {c.Subject, theirs.Sub}, "jti": {c.ID, theirs.Jti}, "sid": {c.SessionID, theirs.Sid},
		"client_id": {c.ClientID, theirs.ClientID}, "username": {c.Username, theirs.Username}, "scope": {c.Scope, theirs.Scope},
	} {
		if pair[0] != pair[1] {
			t.Errorf("we see %s %q, others %q", name, pair[0], pair[1])
		}
	}
	if c.ExpiresAt.Unix() != theirs.Exp || c.IssuedAt.Unix() != theirs.Iat || theirs.Nbf != 0 && c.NotBefore.Unix() != theirs.Nbf {
		t.Errorf("we see exp %v, iat %v, nbf %v, others %+v", c.ExpiresAt, c.IssuedAt, c.NotBefore, theirs)
	}
}

// usesIgnoredMembers reports header members that go-jose reads and refuses
// where they are malformed, and that we ignore by decision, in any form: keys
// come from the configuration alone, and nonce belongs to ACME.
func usesIgnoredMembers(token string) bool {
	var header map[string]json.RawMessage
	if err := json.Unmarshal(unbase64(token[:strings.IndexByte(token, '.')]), &header); err != nil {
		return false
	}
	for _, name := range []string{"jwk", "x5c", "nonce"} {
		if _, ok := header[name]; ok {
			return true
		}
	}
	return false
}

// FuzzParseJWKS: nothing makes it panic, go-jose reads what it accepts, and
// what it publishes of it is the same set again.
func FuzzParseJWKS(f *testing.F) {
	for _, keys := range [][]string{{}, {rsaJWK}, {ecJWK}, {edJWK}, {rsaJWK, ecJWK, edJWK},
		{and(ecJWK, `"kid":"a","use":"sig","alg":"ES256"`), and(edJWK, `"kid":"b","alg":"Ed25519"`)},
		{and(ecJWK, `"kid":null`), edJWK}, {and(ecJWK, `"kid":"a"`), and(ecJWK, `"kid":"a"`)}, {and(edJWK, `"key_ops":["verify"]`)},
		{and(rsaJWK, `"d":"AQ"`)}, {and(ecJWK, `"use":"enc"`), edJWK}, {`{"kty":"EC P-256"}`}, {`{"kty":"oct","k":"AQ"}`}} {
		f.Add([]byte(jwks(keys...)))
	}
	f.Fuzz(func(t *testing.T, doc []byte) {
		set, err := latchkey.ParseJWKS(doc)
		if err != nil {
			if set != nil {
				t.Error("a set came with the error")
			}
			return
		}
		var members map[string]json.RawMessage
		var keys []json.RawMessage
		if err := json.Unmarshal(doc, &members); err != nil {
			t.Fatalf("encoding/json refuses %q: %v", doc, err)
		}
		if err := json.Unmarshal(members["keys"], &keys); err != nil {
			t.Fatalf("encoding/json refuses the keys of %q: %v", doc, err)
		}
		for _, jwk := range keys {
			wantSameKeyOfJOSE(t, string(jwk))
		}
		back, err := latchkey.ParseJWKS(set.JWKS())
		if err != nil || string(back.JWKS()) != string(set.JWKS()) {
			t.Errorf("published %s, which reads as %v, %v", set.JWKS(), back, err)
		}
	})
}

// wantSameKeyOfJOSE wants go-jose to read the key as we do, if it is for us.
func wantSameKeyOfJOSE(t *testing.T, jwk string) {
	t.Helper()
	set, err := latchkey.ParseJWKS([]byte(jwks(jwk)))
	if err != nil || strings.Contains(jwk, "x5") { // certificates are ignored here, and read there
		return
	}
	for _, alg := range algorithms {
		key, err := set.Key(context.Background(), "", alg)
		if err != nil {
			continue
		}
		var theirs jose.JSONWebKey
		if err := theirs.UnmarshalJSON([]byte(jwk)); err != nil {
			t.Fatalf("go-jose refuses %q: %v", jwk, err)
		}
		sum := must(theirs.Thumbprint(crypto.SHA256))
		if theirs.KeyID != key.ID() || enbase64(sum) != latchkey.Thumbprint(key) || !theirs.IsPublic() {
			t.Errorf("go-jose reads %q as %v, we as %s", jwk, theirs, key.AppendJWK(nil))
		}
	}
}
