package gateway_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/latchkey-auth/latchkey/internal/gateway"
)

func override(t *testing.T, o map[gateway.ResponseType]gateway.Response) map[gateway.ResponseType]gateway.Response {
	t.Helper()
	all, err := gateway.OverrideResponses(o)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestDefaultResponses(t *testing.T) {
	want := map[gateway.ResponseType]struct {
		status int
		body   string // for the message "m"
	}{
		gateway.AccessDenied:                 {403, `{"Message":"m"}`},
		gateway.AuthorizerConfigurationError: {500, `{"message":"m"}`},
		gateway.AuthorizerFailure:            {500, `{"message":"m"}`},
		gateway.BadRequestParameters:         {400, `{"message":"m"}`},
		gateway.IntegrationFailure:           {502, `{"message":"m"}`},
		gateway.IntegrationTimeout:           {504, `{"message":"m"}`},
		gateway.MissingAuthenticationToken:   {403, `{"message":"m"}`},
		gateway.RequestTooLarge:              {413, `{"message":"m"}`},
		gateway.Unauthorized:                 {401, `{"statusCode":401,"error":"Unauthorized","message":"Unauthorized"}`},
	}
	all := gateway.DefaultResponses()
	if len(all) != len(want) {
		t.Errorf("%d types, want %d", len(all), len(want))
	}
	for name, w := range want {
		got := all[name]
		if got.StatusCode != w.status || got.Render(name, "m", "id") != w.body {
			t.Errorf("%s: %d %s, want %d %s", name, got.StatusCode, got.Render(name, "m", "id"), w.status, w.body)
		}
	}
	if got := all[gateway.Unauthorized].Headers["WWW-Authenticate"]; got != "Bearer" {
		t.Errorf("the challenge is %q, want Bearer", got)
	}
}

func TestOverrideLaysOverTheDefault(t *testing.T) {
	all := override(t, map[gateway.ResponseType]gateway.Response{
		gateway.AccessDenied: {StatusCode: 404},
		gateway.Unauthorized: {Body: "{}"},
		gateway.Default5XX:   {Headers: map[string]string{"X-Class": "5"}},
	})
	defaults := gateway.DefaultResponses()
	if got, want := all[gateway.AccessDenied], (gateway.Response{StatusCode: 404, Headers: defaults[gateway.AccessDenied].Headers, Body: defaults[gateway.AccessDenied].Body}); !cmp.Equal(got, want) {
		t.Errorf("AccessDenied is %+v, want %+v", got, want)
	}
	if got := all[gateway.Unauthorized]; got.StatusCode != 401 || got.Body != "{}" || got.Headers["WWW-Authenticate"] != "Bearer" {
		t.Errorf("Unauthorized is %+v, want the default with another body", got)
	}
	for name, r := range all {
		if is5xx := defaults[name].StatusCode >= 500; is5xx != (r.Headers["X-Class"] == "5") {
			t.Errorf("%s has headers %v", name, r.Headers)
		}
	}
	if !cmp.Equal(gateway.DefaultResponses(), defaults) {
		t.Error("an override changed the defaults themselves")
	}
}

func TestOverrideOfAClass(t *testing.T) {
	all := override(t, map[gateway.ResponseType]gateway.Response{
		gateway.Default4XX:           {StatusCode: 418, Body: "teapot"},
		gateway.BadRequestParameters: {StatusCode: 400},
	})
	want := map[gateway.ResponseType]int{
		gateway.MissingAuthenticationToken: 418, gateway.RequestTooLarge: 418,
		gateway.BadRequestParameters: 400,                            // the type itself wins over its class
		gateway.Unauthorized:         401, gateway.AccessDenied: 403, // latchkey overrides them already
		gateway.AuthorizerFailure: 500, gateway.AuthorizerConfigurationError: 500, gateway.IntegrationFailure: 502, gateway.IntegrationTimeout: 504,
	}
	for name, r := range all {
		if r.StatusCode != want[name] {
			t.Errorf("%s is %d, want %d", name, r.StatusCode, want[name])
		}
	}
}

func TestOverrideRefuses(t *testing.T) {
	header := func(name, value string) gateway.Response {
		return gateway.Response{Headers: map[string]string{name: value}}
	}
	tests := map[string]struct {
		name gateway.ResponseType
		r    gateway.Response
		says string
	}{
		"an unknown type":            {"NOT_FOUND", gateway.Response{}, "known are ACCESS_DENIED, AUTHORIZER_CONFIGURATION_ERROR"},
		"a type in lower case":       {"access_denied", gateway.Response{}, "unknown type"},
		"success":                    {gateway.Unauthorized, gateway.Response{StatusCode: 200}, "must be 400 to 599"},
		"a redirect":                 {gateway.Default4XX, gateway.Response{StatusCode: 302}, "must be 400 to 599"},
		"a status that is none":      {gateway.Default5XX, gateway.Response{StatusCode: 600}, "must be 400 to 599"},
		"a second header line":       {gateway.AccessDenied, header("X-A", "a\r\nSet-Cookie: b=c"), "cannot be sent"},
		"a line end in a class":      {gateway.Default4XX, header("X-A", "a\nb"), "cannot be sent"},
		"a second line in the name":  {gateway.AccessDenied, header("X-A: a\r\nX-B", "b"), "cannot be sent"},
		"a nameless header":          {gateway.AccessDenied, header("", "b"), "cannot be sent"},
		"a name with a space":        {gateway.AccessDenied, header("X A", "b"), "cannot be sent"},
		"a name with a colon":        {gateway.AccessDenied, header("X-A:", "b"), "cannot be sent"},
		"NUL in a value":             {gateway.AccessDenied, header("X-A", "a\x00b"), "cannot be sent"},
		"an escape code for the log": {gateway.AccessDenied, header("X-A", "\x1b[2J"), "cannot be sent"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := gateway.OverrideResponses(map[gateway.ResponseType]gateway.Response{test.name: test.r})
			if err == nil {
				t.Fatal("taken")
			}
			if !strings.Contains(err.Error(), test.says) {
				t.Errorf("error %q does not say %q", err, test.says)
			}
		})
	}
	override(t, map[gateway.ResponseType]gateway.Response{gateway.AccessDenied: header("X-A", "a\tb é")})
}

func TestRender(t *testing.T) {
	const template = `{"s":$context.error.messageString,"m":"$context.error.message","t":"$context.error.responseType","id":"$context.requestId"}`
	type body struct {
		S  *string
		M  string
		T  string
		ID string
	}
	text := func(s string) *string { return &s }
	for _, hostile := range []string{"plain", `say "hi"`, `"`, `ends in \`, "a\r\nb\x00\x1b", `","admin":"`, "é\u2028", "$context.requestId", "$context.error.messageString"} {
		rendered := gateway.Response{Body: template}.Render(gateway.AccessDenied, hostile, hostile)
		var got body
		if err := json.Unmarshal([]byte(rendered), &got); err != nil {
			t.Errorf("%q: %s: %v", hostile, rendered, err)
			continue
		}
		if want := (body{text(hostile), hostile, "ACCESS_DENIED", hostile}); !cmp.Equal(got, want) {
			t.Errorf("%q: got %s", hostile, rendered)
		}
	}
	if got, want := (gateway.Response{Body: template}).Render(gateway.AuthorizerFailure, "", "1"), `{"s":null,"m":"null","t":"AUTHORIZER_FAILURE","id":"1"}`; got != want {
		t.Errorf("no message: %s, want %s", got, want)
	}
}
