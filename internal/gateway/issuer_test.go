package gateway_test

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/latchkey-auth/latchkey"
	"github.com/latchkey-auth/latchkey/internal/gateway"
)

// other is what another issuer is called whose tokens the tests verify.
const (
	other    = "other"
	otherURL = "https://other.example"
)

var otherKey = ed25519.NewKeyFromSeed(bytes.Repeat([]byte{7}, ed25519.SeedSize))

func otherIssuer() latchkey.Issuer {
	key, err := latchkey.NewEd25519Key("k", otherKey.Public().(ed25519.PublicKey))
	if err != nil {
		panic(err)
	}
	keys, err := latchkey.NewKeySet(key)
	if err != nil {
		panic(err)
	}
	return latchkey.Issuer{Name: other, URL: otherURL, Audiences: []string{issuer}, Keys: keys, Profile: latchkey.RFC9068(), Scopes: append([]string{"admin", "orders:read"}, worldScopes...)}
}

// mintOther signs the claims as the other issuer.
func mintOther(claims map[string]any) string {
	all := map[string]any{"iss": otherURL, "aud": issuer, "sub": "user-1", "client_id": "c", "jti": "j", "iat": now.Unix(), "exp": now.Unix() + 600}
	for name, value := range claims {
		all[name] = value
	}
	payload, err := json.Marshal(all)
	if err != nil {
		panic(err)
	}
	b64 := base64.RawURLEncoding.EncodeToString
	input := b64([]byte(`{"alg":"EdDSA","kid":"k","typ":"at+jwt"}`)) + "." + b64(payload)
	return input + "." + b64(ed25519.Sign(otherKey, []byte(input)))
}

// TestOtherIssuersHaveNoRoutes: a route admits latchkey's own tokens only unless it
// names issuers, and so do WebSocket and AppSync APIs, with any scopes of another issuer's
// token.
func TestOtherIssuersHaveNoRoutes(t *testing.T) {
	a := newAuthorizer(shop(t))
	token := mintOther(map[string]any{"scope": "admin orders:read"})
	if claims, err := a.Verifier.Verify(t.Context(), token); err != nil || claims.Principal() != "other|user-1" || !claims.HasScope("admin") {
		t.Fatalf("the token is not as good as the test needs it: %+v, error %v", claims, err)
	}
	for _, d := range documented {
		got, err := a.Handle(t.Context(), sample(t, d.file, token))
		if err != nil || strings.Contains(string(got), `"Allow"`) || strings.Contains(string(got), `"isAuthorized":true`) {
			t.Errorf("%s: %s, error %v", d.file, got, err)
		}
		got, err = a.Handle(t.Context(), sample(t, d.file, mint(map[string]any{"scope": "admin orders:read"})))
		if err != nil || !strings.Contains(string(got), `"Allow"`) && !strings.Contains(string(got), `"isAuthorized":true`) {
			t.Errorf("%s with an own token: %s, error %v", d.file, got, err)
		}
	}
}

// TestRoutesNameTheirIssuers: which issuer's tokens get through to which routes.
func TestRoutesNameTheirIssuers(t *testing.T) {
	own, outside, both := route(t, "GET /own", "read"), route(t, "GET /outside", "orders:read"), route(t, "GET /both", "")
	outside.Issuers, both.Issuers = []string{other}, []string{gateway.OwnIssuer, other}
	tb, err := gateway.NewTable([]gateway.Route{own, outside, both})
	if err != nil {
		t.Fatal(err)
	}
	a := newAuthorizer(tb)
	for token, want := range map[string]string{
		mint(map[string]any{"scope": "read orders:read"}):      "user-1: GET/both GET/own",
		mintOther(map[string]any{"scope": "read orders:read"}): "other|user-1: GET/both GET/outside",
		mintOther(nil): "other|user-1: GET/both",
	} {
		out, err := a.Handle(t.Context(), tokenEvent("Bearer "+token, dev+"GET/elsewhere"))
		if err != nil {
			t.Fatal(err)
		}
		o := readOutput(t, out)
		if o.Context["sub"] != o.PrincipalID {
			t.Errorf("the functions are told of %q, who is %q", o.Context["sub"], o.PrincipalID)
		}
		got := o.PrincipalID + ":"
		for _, resource := range o.PolicyDocument.Statement[0].Resource {
			got += " " + strings.TrimPrefix(resource, dev)
		}
		if got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}

// TestOtherKindsNameTheirIssuers: WebSocket and AppSync APIs by settings of their own.
func TestOtherKindsNameTheirIssuers(t *testing.T) {
	a := with(t, func(cfg *gateway.AuthorizerConfig) {
		cfg.Issuers = []string{gateway.OwnIssuer, other}
		cfg.ConnectIssuers, cfg.GraphQL.Issuers = []string{other}, []string{other}
	})
	for file, yes := range map[string]string{"websocket-connect": `"Allow"`, "appsync": `"isAuthorized":true`} {
		for token, want := range map[string]bool{mintOther(nil): true, mint(nil): false} {
			got, err := a.Handle(t.Context(), sample(t, file, token))
			if err != nil || strings.Contains(string(got), yes) != want {
				t.Errorf("%s: %s, error %v", file, got, err)
			}
		}
	}
}

// TestIssuersOfRoutesAreConfigured: a name that is misspelt would admit nobody.
func TestIssuersOfRoutesAreConfigured(t *testing.T) {
	r := route(t, "GET /a", "")
	r.Issuers = []string{"othre"}
	misspelt, err := gateway.NewTable([]gateway.Route{r})
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		cfg  gateway.AuthorizerConfig
		says string
	}{
		{gateway.AuthorizerConfig{Table: misspelt, Issuers: []string{gateway.OwnIssuer, other}}, `route GET /a: admits issuer "othre", which is not configured; configured are latchkey, other`},
		{gateway.AuthorizerConfig{Table: misspelt}, `configured are latchkey`},
		{gateway.AuthorizerConfig{Table: shop(t), Issuers: []string{other}}, "admits latchkey's own tokens alone, for which there are no keys"},
		{gateway.AuthorizerConfig{Table: shop(t), EventConfig: gateway.EventConfig{ConnectIssuers: []string{"x"}}}, `WebSocket APIs: admits issuer "x"`},
		{gateway.AuthorizerConfig{Table: shop(t), EventConfig: gateway.EventConfig{GraphQL: gateway.GraphQL{Issuers: []string{"x"}}}}, `AppSync APIs: admits issuer "x"`},
	} {
		test.cfg.Verifier = newVerifier(keySet())
		if _, err := gateway.NewAuthorizer(test.cfg); err == nil || !strings.Contains(err.Error(), test.says) {
			t.Errorf("got error %v, want %q", err, test.says)
		}
	}
}

// stepUp is a table of routes that ask for sign-ins.
func stepUp(t testing.TB) *gateway.Table {
	t.Helper()
	recent, strong, admin := route(t, "POST /transfer", "pay"), route(t, "DELETE /account", ""), route(t, "GET /admin", "admin")
	recent.MaxAuthAge = 10 * time.Minute
	strong.ACR, strong.AMR, strong.MaxAuthAge = []string{"2", "3"}, []string{"otp"}, time.Hour
	admin.ACR = []string{"3"}
	tb, err := gateway.NewTable([]gateway.Route{recent, strong, admin, route(t, "GET /me", "")})
	if err != nil {
		t.Fatal(err)
	}
	return tb
}

// TestStepUp: what a sign-in opens, until when, and the challenge without it.
func TestStepUp(t *testing.T) {
	tb := stepUp(t)
	const me, transfer, account, all = "GET/me", "POST/transfer", "DELETE/account", "DELETE/account GET/me POST/transfer"
	const insufficient = `Bearer error="insufficient_user_authentication"`
	at := func(ago time.Duration) int64 { return now.Add(-ago).Unix() }
	for _, test := range []struct {
		says      string
		claims    map[string]any
		want      string
		challenge string
	}{
		{"nothing is said", map[string]any{"scope": "pay"}, me, insufficient + `, acr_values="2 3", max_age="600"`},
		{"a password, now", map[string]any{"scope": "pay", "auth_time": at(0), "acr": "1", "amr": []string{"pwd"}}, me + " " + transfer, insufficient + `, acr_values="2 3", max_age="3600"`},
		{"the last moment", map[string]any{"scope": "pay", "auth_time": at(10*time.Minute - time.Second), "acr": "2", "amr": []string{"pwd", "otp"}}, all, ""},
		{"too late", map[string]any{"scope": "pay", "auth_time": at(10 * time.Minute), "acr": "2", "amr": []string{"pwd", "otp"}}, account + " " + me, insufficient + `, max_age="600"`},
		{"no code", map[string]any{"auth_time": at(0), "acr": "3", "amr": []string{"pwd"}}, me, insufficient + `, acr_values="2 3", max_age="3600"`},
		{"a sign-in to come", map[string]any{"scope": "pay", "auth_time": at(-2 * time.Minute), "acr": "2", "amr": []string{"otp"}}, me, insufficient + `, acr_values="2 3", max_age="600"`},
		{"clocks that differ", map[string]any{"scope": "pay", "auth_time": at(-time.Minute), "acr": "2", "amr": []string{"otp"}}, all, ""},
		{"other types", map[string]any{"scope": "pay", "auth_time": "now", "acr": 2, "amr": "otp"}, me, insufficient + `, acr_values="2 3", max_age="600"`},
		{"a huge time", map[string]any{"scope": "pay", "auth_time": int64(1) << 62, "acr": nil, "amr": []any{nil, 7}}, me, insufficient + `, acr_values="2 3", max_age="600"`},
		{"two that one sign-in opens", map[string]any{"scope": "admin pay"}, me, insufficient + `, acr_values="3", max_age="600"`},
	} {
		out, err := newAuthorizer(tb).Handle(t.Context(), tokenEvent("Bearer "+mint(test.claims), dev+"GET/me"))
		if err != nil {
			t.Fatal(err)
		}
		o := readOutput(t, out)
		var got []string
		for _, resource := range o.PolicyDocument.Statement[0].Resource {
			got = append(got, strings.TrimPrefix(resource, dev))
		}
		slices.Sort(got)
		if strings.Join(got, " ") != test.want {
			t.Errorf("%s: granted %q, want %q", test.says, got, test.want)
		}
		if o.Context["challenge"] != test.challenge {
			t.Errorf("%s: challenge %q, want %q", test.says, o.Context["challenge"], test.challenge)
		}
	}
}

// TestStepUpEndsWithTheAge: what is kept for one moment is not given in another.
func TestStepUpEndsWithTheAge(t *testing.T) {
	tb := stepUp(t)
	at := now
	a, err := gateway.NewAuthorizer(gateway.AuthorizerConfig{Verifier: newVerifier(keySet()), Table: tb, Now: func() time.Time { return at }})
	if err != nil {
		t.Fatal(err)
	}
	question := gateway.Question{Credential: "Bearer " + mint(map[string]any{"scope": "pay", "auth_time": now.Unix(), "exp": now.Unix() + 3600})}
	for _, want := range []bool{true, true, false} {
		d, err := a.Decide(t.Context(), question)
		if err != nil {
			t.Fatal(err)
		}
		if got := slices.Contains(d.Grants.Allowed, "POST/transfer"); got != want {
			t.Errorf("%s after the sign-in: granted %t", at.Sub(now), got)
		}
		at = at.Add(10*time.Minute - time.Second)
	}
}

// TestExplainStepUp says what a sign-in lacks, and the challenge where it lacks nothing
// else.
func TestExplainStepUp(t *testing.T) {
	tb := stepUp(t)
	for _, test := range []struct {
		request           string
		p                 gateway.Principal
		reason, challenge string
	}{
		{"POST /transfer", gateway.Principal{Scope: "pay"}, "the token does not say when its subject signed in (auth_time), and the route asks for the last 10m0s", `Bearer error="insufficient_user_authentication", max_age="600"`},
		{"POST /transfer", gateway.Principal{Scope: "pay", AuthTime: now.Add(-time.Hour)}, "the sign-in was 1h0m0s ago, and the route asks for the last 10m0s", `Bearer error="insufficient_user_authentication", max_age="600"`},
		{"POST /transfer", gateway.Principal{}, "the token lacks scope pay; the token does not say", ""},
		{"POST /transfer", gateway.Principal{Issuer: other, Scope: "pay", AuthTime: now}, "the token is of issuer other, and the route admits latchkey", ""},
		{"GET /admin", gateway.Principal{Scope: "admin", ACR: "1"}, `the token's acr is "1", and the route asks for 3`, `Bearer error="insufficient_user_authentication", acr_values="3"`},
		{"DELETE /account", gateway.Principal{ACR: "2", AuthTime: now, AMR: []string{"pwd"}}, "the token's amr lacks otp", `Bearer error="insufficient_user_authentication", acr_values="2 3", max_age="3600"`},
	} {
		method, path, _ := strings.Cut(test.request, " ")
		got := tb.Explain(method, path, test.p, now, nil)
		if got.Granted || got.DecidedBy != "table" || !strings.HasPrefix(got.Reason, test.reason) || got.Challenge != test.challenge {
			t.Errorf("%s by %+v: %+v", test.request, test.p, got)
		}
	}
}
