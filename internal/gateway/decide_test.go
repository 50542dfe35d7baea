package gateway_test

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/latchkey-auth/latchkey/internal/gateway"
)

// TestDecision holds what every kind of answer is made from. It is the same for
// every resource that is asked about, a route key included, which no TOKEN event has.
func TestDecision(t *testing.T) {
	a := newAuthorizer(shop(t))
	for scope, grants := range map[string]gateway.Grants{
		"":            {Allowed: []string{"GET/me"}, Connect: true, GraphQL: true},
		"orders:read": {Allowed: []string{"GET/me", "GET/orders/*"}, Connect: true, GraphQL: true},
		"other":       {Allowed: []string{"GET/me"}, Connect: true, GraphQL: true},
	} {
		want := gateway.Decision{Principal: "user-1", Grants: grants, Context: []gateway.ContextValue{{"sub", "user-1"}, {"username", "ada"}, {"scope", scope}, {"payload", ""}}}
		credential := "Bearer " + mint(map[string]any{"username": "ada", "scope": scope})
		for _, arn := range []string{dev + "GET/me", dev + "DELETE/nowhere/*", arnHead + "*/GET/", dev + "$connect", arnHead + "$default/$default"} {
			asked, err := gateway.ParseARN(arn)
			if err != nil {
				t.Fatal(err)
			}
			got, err := a.Decide(t.Context(), gateway.Question{Credential: credential, Asked: asked})
			if err != nil {
				t.Fatal(err)
			}
			want.Context[3].Value = got.Context[3].Value // TestAuthorizerAnswersAGoodToken compares it
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("scope %q, asked for %s: -want +got:\n%s", scope, arn, diff)
			}
		}
	}
}

func TestDecisionRefusesABadCredential(t *testing.T) {
	a := newAuthorizer(shop(t))
	for _, credential := range []string{"", "Bearer", "Bearer x", mint(nil), "Bearer " + mint(map[string]any{"exp": now.Unix() - 1})} {
		got, err := a.Decide(t.Context(), gateway.Question{Credential: credential})
		if !errors.Is(err, gateway.ErrUnauthorized) || !cmp.Equal(got, gateway.Decision{}) {
			t.Errorf("%.20q: %+v, error %v", credential, got, err)
		}
	}
}

// TestEncode: the shape is the kind's, the resources those of the API and stage that
// asked, and no wildcard of theirs.
func TestEncode(t *testing.T) {
	d := gateway.Decision{Principal: `p"`, Grants: gateway.Grants{Allowed: []string{"GET/a", "GET/b/*"}, Denied: []string{"GET/b/"}}, Context: []gateway.ContextValue{{"a", "1"}, {`b"`, "\\"}}}
	for stage, want := range map[string]string{"dev": "dev", "$default": "$default", "*": "test-invoke-stage"} {
		for _, target := range []string{"GET/*", "$connect"} {
			asked, err := gateway.ParseARN(arnHead + stage + "/" + target)
			if err != nil {
				t.Fatal(err)
			}
			got, err := newAuthorizer(shop(t)).Encode(gateway.KindToken, gateway.Question{Asked: asked}, d)
			head := arnHead + want + "/"
			if wantDoc := `{"principalId":"p\"","policyDocument":{"Version":"2012-10-17","Statement":[` +
				`{"Action":"execute-api:Invoke","Effect":"Allow","Resource":["` + head + `GET/a","` + head + `GET/b/*"]},` +
				`{"Action":"execute-api:Invoke","Effect":"Deny","Resource":["` + head + `GET/b/"]}]},"context":{"a":"1","b\"":"\\"}}`; err != nil || string(got) != wantDoc {
				t.Errorf("%s/%s: %s, error %v, want %s", stage, target, got, err, wantDoc)
			}
		}
	}
	if got, err := newAuthorizer(shop(t)).Encode("S3", gateway.Question{}, d); err == nil {
		t.Errorf("an event of no kind is answered with %s", got)
	}
}
