// Package deploy_test checks the templates without an account. That the functions of the
// SAM template run as it says, and with its roles, is tested where there is an emulator of
// DynamoDB: internal/dynamo/minidyn.
package deploy_test

import (
	"maps"
	"testing"

	"github.com/latchkey-auth/latchkey/internal/gateway"
	"github.com/latchkey-auth/latchkey/internal/stacktest"
)

const samTemplate = "sam/template.yaml"

// forms are the parameters with which a stack is made.
var forms = map[string]map[string]string{
	"default": nil,
	"all":     {"PublicUrl": "https://auth.example.com", "CorsOrigin": "https://app.example.com", "MailFrom": "mail@example.com", "Registration": "open"},
	"bare":    {"Demo": "false"},
}

// TestTemplateIsWhole: every name leads somewhere, and nothing waits for itself.
func TestTemplateIsWhole(t *testing.T) {
	used := make(map[string]bool)
	for name, parameters := range forms {
		x := stacktest.Load(t, samTemplate, parameters)
		for _, r := range x.Resources {
			x.Value(t, stacktest.Member(r, "Properties"))
		}
		x.Value(t, stacktest.Member(x.Root, "Outputs"))
		x.RefuseCircles(t, name)
		for n := range x.Used {
			used[n] = true
		}
	}
	x := stacktest.Load(t, samTemplate, nil)
	for name := range stacktest.Members(stacktest.Member(x.Root, "Parameters")) {
		if !used[name] {
			t.Errorf("nothing uses parameter %s", name)
		}
	}
	for name := range stacktest.Members(stacktest.Member(x.Root, "Conditions")) {
		if !used["condition "+name] {
			t.Errorf("nothing uses condition %s", name)
		}
	}
}

// TestGatewayResponses: the API on AWS answers as offline does.
func TestGatewayResponses(t *testing.T) {
	sameResponses(t, stacktest.Load(t, samTemplate, nil))
	const origin = "https://app.example.com"
	cors := stacktest.Load(t, samTemplate, map[string]string{"CorsOrigin": origin}).Responses(t)
	for _, typ := range []gateway.ResponseType{gateway.Unauthorized, gateway.AccessDenied, gateway.Default4XX, gateway.Default5XX} {
		h := cors[typ].Headers
		if h["Access-Control-Allow-Origin"] != origin {
			t.Errorf("%s: a page cannot read the answer: %v", typ, h)
		}
		if h["WWW-Authenticate"] != "" && h["Access-Control-Expose-Headers"] != "WWW-Authenticate" {
			t.Errorf("%s: a page cannot read the challenge: %v", typ, h)
		}
	}
}

// sameResponses compares with those of offline. A template that has no body leaves AWS's.
func sameResponses(t *testing.T, x *stacktest.Stack) {
	t.Helper()
	defaults, all := gateway.DefaultResponses(), x.Responses(t)
	for _, typ := range []gateway.ResponseType{gateway.Unauthorized, gateway.AccessDenied} {
		got, want := all[typ], defaults[typ]
		if got.StatusCode != want.StatusCode || !maps.Equal(got.Headers, want.Headers) || typ == gateway.Unauthorized && got.Body != want.Body {
			t.Errorf("%s is answered by %+v; by offline with %+v", typ, got, want)
		}
	}
	if len(all) != 2 {
		t.Errorf("there are %d gateway responses, want those that offline has too", len(all))
	}
}
