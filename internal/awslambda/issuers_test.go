package awslambda_test

import (
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/latchkey-auth/latchkey"
	"github.com/latchkey-auth/latchkey/internal/awslambda"
	"github.com/latchkey-auth/latchkey/internal/gateway"
	"github.com/latchkey-auth/latchkey/internal/issuers"
	"github.com/latchkey-auth/latchkey/latchkeytest"
)

const otherURL = "https://other.example"

// outside makes tokens of another issuer, and the file that names it.
func outside(t *testing.T, pinned bool) (token func(scope string) string, path string) {
	t.Helper()
	other := latchkeytest.NewIssuer(t)
	list := []issuers.Issuer{{
		Name: "other", URL: otherURL, Profile: "rfc9068", Audiences: []string{latchkeytest.Audience}, Scopes: []string{"orders:read"},
		JWKS: other.KeySet().(*latchkey.StaticKeySet).JWKS(), Pinned: pinned,
	}}
	return func(scope string) string {
		claims := latchkeytest.Claims("ada", scope, time.Now())
		claims["iss"] = otherURL
		return other.Sign(claims)
	}, file(t, "issuers.json", string(issuers.JSON(list)))
}

// routesOfOther are one route for each issuer, and one for both.
const routesOfOther = `{"version":1,"routes":[{"route":"GET /me","to":"f"},{"route":"GET /other","issuers":["other"],"scopes":["orders:read"],"to":"f"},{"route":"GET /both","issuers":["latchkey","other"],"to":"f"}]}`

func grants(t *testing.T, a *gateway.Authorizer, token string) string {
	t.Helper()
	out, err := a.Handle(t.Context(), tokenEvent(token))
	if err != nil {
		return err.Error()
	}
	var granted []string
	for _, path := range []string{"GET/me", "GET/other", "GET/both"} {
		if strings.Contains(string(out), "/prod/"+path+`"`) {
			granted = append(granted, path)
		}
	}
	return strings.Join(granted, " ")
}

// TestOtherIssuersFromAFile: beside latchkey's own tokens, beside those of a secret, and
// alone.
func TestOtherIssuersFromAFile(t *testing.T) {
	other, path := outside(t, true)
	table := file(t, "both.json", routesOfOther)
	theirs := other("orders:read admin")
	for name, test := range map[string]struct {
		env             environ
		own, wants, say string
	}{
		"beside keys":     {environ{"LATCHKEY_JWKS": keySet(t), "LATCHKEY_ISSUER": issuer}, token(issuer), "GET/me GET/both", ""},
		"beside a secret": {environ{"TOKEN_SECRET": strong}, legacyToken(strong), "GET/me GET/both", ""},
		"alone":           {environ{}, "", "", `route GET /both: admits issuer "latchkey", which is not configured`},
		"half":            {environ{"LATCHKEY_ISSUER": issuer}, "", "", "no keys for latchkey's own tokens"},
	} {
		test.env["LATCHKEY_ROUTES_FILE"], test.env["LATCHKEY_ISSUERS_FILE"] = table, path
		a, err := awslambda.Authorizer(test.env.get, nil, awslambda.Remote{})
		if test.say != "" {
			if err == nil || !strings.Contains(err.Error(), test.say) {
				t.Errorf("%s: error %v, want %q", name, err, test.say)
			}
			continue
		}
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if got := grants(t, a, test.own); got != test.wants {
			t.Errorf("%s: an own token has %q", name, got)
		}
		if got := grants(t, a, theirs); got != "GET/other GET/both" {
			t.Errorf("%s: a token of the other issuer has %q", name, got)
		}
		if got := grants(t, a, other("")); got != "GET/both" {
			t.Errorf("%s: without the scope %q", name, got)
		}
	}
	alone := environ{"LATCHKEY_ISSUERS_FILE": path, "LATCHKEY_ROUTES_FILE": file(t, "alone.json", `{"version":1,"routes":[{"route":"GET /other","issuers":["other"],"to":"f"}]}`)}
	a, err := awslambda.Authorizer(alone.get, nil, awslambda.Remote{})
	if err != nil {
		t.Fatal(err)
	}
	if got := grants(t, a, theirs); got != "GET/other" {
		t.Errorf("alone: %q", got)
	}
	if got := grants(t, a, token(issuer)); got != "Unauthorized" {
		t.Errorf("alone: an own token has %q", got)
	}
}

// TestIssuersThatAreFetched: a bootstrap that cannot says so when it starts.
func TestIssuersThatAreFetched(t *testing.T) {
	other, path := outside(t, false)
	env := environ{"LATCHKEY_JWKS": keySet(t), "LATCHKEY_ISSUER": issuer, "LATCHKEY_ROUTES_FILE": file(t, "both.json", routesOfOther), "LATCHKEY_ISSUERS_FILE": path}
	if _, err := awslambda.Authorizer(env.get, nil, awslambda.Remote{}); err == nil || !strings.Contains(err.Error(), `issuer "other": its keys are to be fetched, which this bootstrap cannot: take authorizer-remote`) {
		t.Errorf("error %v", err)
	}
	remote := awslambda.Remote{Keys: func(*slog.Logger) issuers.KeySource {
		return func(i issuers.Issuer) (latchkey.KeySet, error) { return latchkey.ParseJWKS(i.JWKS) }
	}}
	a, err := awslambda.Authorizer(env.get, nil, remote)
	if err != nil {
		t.Fatal(err)
	}
	if got := grants(t, a, other("orders:read")); got != "GET/other GET/both" {
		t.Errorf("%q", got)
	}
	env["LATCHKEY_ISSUERS_FILE"] = "missing.json"
	if _, err := awslambda.Authorizer(env.get, nil, remote); err == nil || !strings.Contains(err.Error(), "`latchkey issuer compile`") {
		t.Errorf("error %v", err)
	}
	env["LATCHKEY_ISSUERS_FILE"] = file(t, "none.json", `{"version":1,"issuers":[]}`)
	if _, err := awslambda.Authorizer(env.get, nil, remote); err == nil || !strings.Contains(err.Error(), `admits issuer "other", which is not configured`) {
		t.Errorf("error %v", err)
	}
}

// TestRoutesAndFilesCallLatchkeyAlike: the name is declared on two floors.
func TestRoutesAndFilesCallLatchkeyAlike(t *testing.T) {
	if gateway.OwnIssuer != issuers.OwnName {
		t.Errorf("%q and %q", gateway.OwnIssuer, issuers.OwnName)
	}
}
