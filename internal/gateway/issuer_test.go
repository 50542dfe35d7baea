package gateway_test

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"fmt"
	"testing"
	"time"

	"github.com/latchkey-auth/latchkey"
	"github.com/latchkey-auth/latchkey/internal/gateway"
)

// TestOtherIssuersHaveNoRoutes: a route admits latchkey's own tokens only, and so do
// WebSocket and AppSync APIs, whatever scopes another issuer's token has.
func TestOtherIssuersHaveNoRoutes(t *testing.T) {
	signer := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{7}, ed25519.SeedSize))
	key, err := latchkey.NewEd25519Key("k", signer.Public().(ed25519.PublicKey))
	if err != nil {
		t.Fatal(err)
	}
	keys, err := latchkey.NewKeySet(key)
	if err != nil {
		t.Fatal(err)
	}
	v, err := latchkey.New(latchkey.Config{Keys: keySet(), Issuer: issuer, Audience: issuer, Now: func() time.Time { return now }, Issuers: []latchkey.Issuer{{
		Name: "other", URL: "https://other.example", Audiences: []string{issuer}, Keys: keys, Profile: latchkey.RFC9068(), Scopes: []string{"admin", "orders:read"},
	}}})
	if err != nil {
		t.Fatal(err)
	}
	b64 := base64.RawURLEncoding.EncodeToString
	input := b64([]byte(`{"alg":"EdDSA","kid":"k","typ":"at+jwt"}`)) + "." +
		b64(fmt.Appendf(nil, `{"iss":"https://other.example","aud":%q,"sub":"user-1","client_id":"c","jti":"j","iat":%d,"exp":%d,"scope":"admin orders:read"}`, issuer, now.Unix(), now.Unix()+600))
	token := input + "." + b64(ed25519.Sign(signer, []byte(input)))
	if claims, err := v.Verify(t.Context(), token); err != nil || claims.Principal() != "other|user-1" || !claims.HasScope("admin") {
		t.Fatalf("the token is not as good as the test needs it: %+v, error %v", claims, err)
	}
	a := with(t, func(cfg *gateway.AuthorizerConfig) { cfg.Verifier = v })
	for _, d := range documented {
		got, err := a.Handle(t.Context(), sample(t, d.file, token))
		if d.kind == gateway.KindAppSync {
			if string(got) != `{"isAuthorized":false,"ttlOverride":0}` || err != nil {
				t.Errorf("%s: %s, error %v", d.file, got, err)
			}
		} else if got != nil || err != gateway.ErrUnauthorized {
			t.Errorf("%s: %s, error %v", d.file, got, err)
		}
		if _, err := a.Handle(t.Context(), sample(t, d.file, mint(nil))); err != nil {
			t.Errorf("%s with an own token: %v", d.file, err)
		}
	}
}
