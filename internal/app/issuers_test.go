package app_test

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/latchkey-auth/latchkey"
	"github.com/latchkey-auth/latchkey/internal/app"
	"github.com/latchkey-auth/latchkey/internal/gateway"
	"github.com/latchkey-auth/latchkey/internal/issuers"
	"github.com/latchkey-auth/latchkey/internal/password/passhash"
	"github.com/latchkey-auth/latchkey/latchkeytest"
)

// TestServiceTakesItsOwnTokensAlone: a token of another issuer is good at the gateway,
// where a route admits it, and not at the service.
func TestServiceTakesItsOwnTokensAlone(t *testing.T) {
	other := latchkeytest.NewIssuer(t)
	cheap, err := passhash.ParseArgon2("m=64,t=1,p=1")
	if err != nil {
		t.Fatal(err)
	}
	const base = "http://127.0.0.1:4000"
	sys, err := app.OpenDemo(t.Context(), app.Config{
		Data: ":memory:", Argon2: cheap, Log: slog.New(slog.DiscardHandler),
		OtherIssuers: []issuers.Issuer{{
			Name: "other", URL: latchkeytest.URL, Profile: "rfc9068", Audiences: []string{latchkeytest.Audience},
			JWKS: other.KeySet().(*latchkey.StaticKeySet).JWKS(), Pinned: true,
		}},
	}, base)
	if err != nil {
		t.Fatal(err)
	}
	defer sys.Close()
	table, err := gateway.NewTable([]gateway.Route{
		{Method: "GET", Path: "/own", To: "f"}, {Method: "GET", Path: "/others", Issuers: []string{"other"}, To: "f"},
	})
	if err != nil {
		t.Fatal(err)
	}
	functions, err := sys.Functions(table, nil)
	if err != nil {
		t.Fatal(err)
	}
	handler, err := sys.Handler()
	if err != nil {
		t.Fatal(err)
	}
	own, err := sys.DemoToken(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	theirs := other.Sign(latchkeytest.Claims("ada", "", time.Now()))
	for token, want := range map[string]struct {
		status int
		path   string
	}{own: {http.StatusOK, "GET/own"}, theirs: {http.StatusUnauthorized, "GET/others"}} {
		out, err := functions["authorizer"](t.Context(), fmt.Appendf(nil, `{"type":"TOKEN","authorizationToken":"Bearer %s","methodArn":"arn:aws:execute-api:r:1:a/dev/GET/x"}`, token))
		if err != nil || !strings.Contains(string(out), `"Resource":["arn:aws:execute-api:r:1:a/dev/`+want.path+`"]`) {
			t.Errorf("at the gateway: %s, error %v, want %s", out, err, want.path)
		}
		r := httptest.NewRequest("GET", base+"/me", nil)
		r.Header.Set("Authorization", "Bearer "+token)
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		if w.Code != want.status {
			t.Errorf("at the service: %d %s, want %d", w.Code, w.Body, want.status)
		}
	}
}
