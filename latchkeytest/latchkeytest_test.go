package latchkeytest_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/latchkey-auth/latchkey"
	"github.com/latchkey-auth/latchkey/httpauth"
	"github.com/latchkey-auth/latchkey/jwks"
	"github.com/latchkey-auth/latchkey/latchkeytest"
)

func TestTokensAreWhatTheySay(t *testing.T) {
	issuer := latchkeytest.NewIssuer(t)
	late := latchkeytest.Claims("ada", "", time.Now())
	late["nbf"] = time.Now().Add(time.Hour).Unix()
	for _, c := range []struct {
		name, token string
		want        latchkey.Check // empty: good
	}{
		{"a token", issuer.Token("ada", "orders:read"), ""},
		{"an expired one", issuer.Expired("ada", ""), latchkey.CheckExpiry},
		{"a forged one", issuer.Forged("ada", ""), latchkey.CheckSignature},
		{"one of another issuer", latchkeytest.NewIssuer(t).Token("ada", ""), latchkey.CheckKey},
		{"one with claims of the test's own", issuer.Sign(late), latchkey.CheckNotBefore},
		{"one with a header of the test's own", issuer.SignAs(map[string]any{"alg": "ES256", "typ": "JWT"}, late), latchkey.CheckType},
	} {
		claims, err := issuer.Verifier().Verify(t.Context(), c.token)
		var refusal *latchkey.TokenError
		switch {
		case c.want == "" && (err != nil || claims.Subject != "ada" || !claims.HasScope("orders:read")):
			t.Errorf("%s: Verify says %v, %v", c.name, claims, err)
		case c.want != "" && (!errors.As(err, &refusal) || refusal.Check != c.want):
			t.Errorf("%s: Verify says %v, want a failure of the check %q", c.name, err, c.want)
		}
	}
}

func TestJWKSServesTheKeys(t *testing.T) {
	issuer := latchkeytest.NewIssuer(t)
	keys, err := jwks.Remote(issuer.JWKS(), jwks.Config{AllowPrivate: true})
	if err != nil {
		t.Fatal(err)
	}
	v, err := latchkey.New(latchkey.Config{Keys: keys, Issuer: latchkeytest.URL, Audience: latchkeytest.Audience})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := v.Verify(t.Context(), issuer.Token("ada", "")); err != nil {
		t.Error(err)
	}
}

func ExampleNewIssuer() {
	t := new(testing.T) // yours is the test's
	issuer := latchkeytest.NewIssuer(t)
	api := httpauth.Require(issuer.Verifier())(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		claims, _ := httpauth.ClaimsFrom(r.Context())
		fmt.Fprint(w, "hello ", claims.Subject)
	}))
	for _, token := range []string{issuer.Token("ada", ""), issuer.Expired("ada", ""), issuer.Forged("ada", "")} {
		r := httptest.NewRequest("GET", "/", nil)
		r.Header.Set("Authorization", "Bearer "+token)
		w := httptest.NewRecorder()
		api.ServeHTTP(w, r)
		fmt.Println(w.Code)
	}
	// Output:
	// 200
	// 401
	// 401
}
