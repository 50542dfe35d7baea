package offline_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/latchkey-auth/latchkey/internal/gateway"
	"github.com/latchkey-auth/latchkey/internal/offline"
)

// TestStepUpChallenge: who has to sign in again is told so by the gateway response of
// the type ACCESS_DENIED, and nobody else is.
func TestStepUpChallenge(t *testing.T) {
	routes := []gateway.Route{
		{Method: "POST", Path: "/transfer", SignIn: gateway.SignIn{MaxAuthAge: 10 * time.Minute, ACR: []string{"2"}}, To: "echo"},
		{Method: "GET", Path: "/admin", Scopes: []string{"admin"}, To: "echo"},
	}
	const challenge = `Bearer error="insufficient_user_authentication", acr_values="2", max_age="600"`
	a := serve(t, routes, nil)
	for acr, want := range map[string]struct {
		status    int
		challenge string
	}{"1": {403, challenge}, "2": {200, ""}} {
		token := a.mint(map[string]any{"acr": acr, "auth_time": time.Now().Unix()})
		r := a.signedIn(t, "POST", "/transfer", token)
		if r.status != want.status || r.header.Get("WWW-Authenticate") != want.challenge {
			t.Errorf("acr %s: %d, %q, want %+v", acr, r.status, r.header["Www-Authenticate"], want)
		}
		// One answer is kept for all routes, and with it the challenge.
		if r = a.signedIn(t, "GET", "/admin", token); r.status != http.StatusForbidden || r.header.Get("WWW-Authenticate") != want.challenge {
			t.Errorf("acr %s, without the scope: %d, %q", acr, r.status, r.header["Www-Authenticate"])
		}
	}
	if r := a.signedIn(t, "POST", "/transfer", "x"); r.status != http.StatusUnauthorized || r.header.Get("WWW-Authenticate") != "Bearer" {
		t.Errorf("a bad token: %d, %q", r.status, r.header["Www-Authenticate"])
	}
	own := serve(t, routes, func(cfg *offline.Config) {
		var err error
		cfg.Responses, err = gateway.OverrideResponses(map[gateway.ResponseType]gateway.Response{gateway.AccessDenied: {Headers: map[string]string{"X-Sign-In": "$context.authorizer.challenge"}}})
		if err != nil {
			t.Fatal(err)
		}
	})
	if r := own.signedIn(t, "POST", "/transfer", own.mint(nil)); r.header.Get("X-Sign-In") != challenge || r.header.Get("WWW-Authenticate") != "" {
		t.Errorf("overridden: %v", r.header)
	}
}
