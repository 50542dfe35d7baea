package latchkey_test

import (
	"testing"
	"time"

	"github.com/latchkey-auth/latchkey"
)

// moving returns a verifier of a system that has keys of its own since a while,
// and takes the tokens of its old secret until the end. Its clock is the caller's.
func moving(t *testing.T, at *time.Time, end time.Time) *latchkey.Verifier {
	return newVerifier(t, func(cfg *latchkey.Config) {
		cfg.Keys = must(latchkey.NewKeySet(publicKey(latchkey.ES256, "ec")))
		cfg.OldKeys = must(latchkey.NewKeySet(publicKey(latchkey.HS256, "")))
		cfg.OldUntil = end
		cfg.Issuers = []latchkey.Issuer{otherIssuer(nil)}
		cfg.Now = func() time.Time { return *at }
	})
}

// oldToken is one as the old system made it, with changes.
func oldToken(changes ...string) string {
	changes = append([]string{"iss", "", "aud", "", "iat", "", "user", `{"username":"ada","scope":"user"}`}, changes...)
	return sign(latchkey.HS256, `{"typ":"JWT","alg":"HS256"}`, claims(changes...))
}

// TestMovingFromASecretToKeys: each kind of token by its own verifier, the old one
// until its end, also where a token is remembered.
func TestMovingFromASecretToKeys(t *testing.T) {
	at := now
	v := moving(t, &at, now.Add(5*time.Minute))
	for range 2 {
		for name, c := range map[string]struct {
			token, principal, scope string
			legacy                  bool
		}{
			"an old token":  {oldToken(), "user-1", "user", true},
			"a new one":     {withClaims("scope", `"orders:read"`), "user-1", "orders:read", false},
			"the other's":   {ofOther(), "other|user-1", "", false},
			"an old of iss": {oldToken("iss", `"`+issuer+`"`), "user-1", "user", true},
		} {
			got, err := verify(v, c.token)
			if err != nil || got.Principal() != c.principal || got.Scope != c.scope || got.Legacy != c.legacy {
				t.Errorf("%s: %q with scope %q, legacy %v, %v", name, got.Principal(), got.Scope, got.Legacy, err)
			}
		}
	}
	for name, c := range map[string]struct {
		token string
		check latchkey.Check
	}{
		"the secret for a new token":          {sign(latchkey.HS256, `{"alg":"HS256","typ":"at+jwt"}`, claims()), latchkey.CheckType},
		"the key for an old token":            {sign(latchkey.ES256, `{"alg":"ES256","typ":"JWT","kid":"ec"}`, claims("iss", "", "aud", "")), latchkey.CheckIssuer},
		"the key for an old token of iss":     {sign(latchkey.ES256, `{"alg":"ES256","typ":"JWT","kid":"ec"}`, claims()), latchkey.CheckType},
		"the public key as the secret":        {forged(must(ecKey.PublicKey.Bytes()), `{"typ":"JWT","alg":"HS256"}`, claims()), latchkey.CheckSignature},
		"the secret for another issuer":       {oldToken("iss", `"`+otherURL+`"`), latchkey.CheckIssuer},
		"an old subject of another issuer":    {oldToken("sub", `"other|user-1"`), latchkey.CheckSubject},
		"an old token with another's kid":     {sign(latchkey.HS256, `{"typ":"JWT","alg":"HS256","kid":"ec"}`, claims()), latchkey.CheckKey},
		"an old token that has expired":       {oldToken("exp", "1799999999"), latchkey.CheckExpiry},
		"a new token without what it needs":   {withClaims("iat", ""), latchkey.CheckIssuedAt},
		"a header that is none":               {"e30.e30.AA", latchkey.CheckAlgorithm},
		"a new token, changed after signing":  {withSignature(latchkey.ES256, func(sig []byte) []byte { sig[0] ^= 1; return sig }), latchkey.CheckSignature},
		"an old token, changed after signing": {oldToken()[:len(oldToken())-4] + "AAAA", latchkey.CheckSignature},
	} {
		wantCheck(t, v, name, c.token, c.check)
	}
	at = now.Add(5*time.Minute - 1)
	if _, err := verify(v, oldToken()); err != nil {
		t.Errorf("in the last moment: %v", err)
	}
	at = now.Add(5 * time.Minute)
	wantCheck(t, v, "a remembered old token at the end", oldToken(), latchkey.CheckAlgorithm)
	wantCheck(t, v, "an old token at the end", oldToken("jti", `"t-2"`), latchkey.CheckAlgorithm)
	if _, err := verify(v, withClaims("scope", `"orders:read"`)); err != nil {
		t.Errorf("a new token at the end: %v", err)
	}
}

func TestOldKeysNeedAnEnd(t *testing.T) {
	for name, edit := range map[string]func(*latchkey.Config){
		"no end":             func(cfg *latchkey.Config) { cfg.OldKeys = allKeys() },
		"an end of nothing":  func(cfg *latchkey.Config) { cfg.OldUntil = now },
		"with Legacy":        func(cfg *latchkey.Config) { cfg.OldKeys, cfg.OldUntil, cfg.Legacy = allKeys(), now, true },
		"without other keys": func(cfg *latchkey.Config) { *cfg = latchkey.Config{OldKeys: allKeys(), OldUntil: now} },
		"beside others alone": func(cfg *latchkey.Config) {
			*cfg = latchkey.Config{OldKeys: allKeys(), OldUntil: now, Issuers: []latchkey.Issuer{otherIssuer(nil)}}
		},
	} {
		cfg := latchkey.Config{Keys: allKeys(), Issuer: issuer, Audience: audience}
		edit(&cfg)
		if _, err := latchkey.New(cfg); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
}
