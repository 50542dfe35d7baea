package gateway_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/latchkey-auth/latchkey/internal/gateway"
)

// sample reads an event as AWS documents it, with the token in place.
func sample(t testing.TB, name, token string) []byte {
	t.Helper()
	doc, err := os.ReadFile(filepath.Join("testdata", "events", name+".json"))
	if err != nil {
		t.Fatal(err)
	}
	return bytes.ReplaceAll(doc, []byte("{{token}}"), []byte(token))
}

// with is the authorizer of the shop with a configuration.
func with(t testing.TB, change func(cfg *gateway.AuthorizerConfig)) *gateway.Authorizer {
	t.Helper()
	cfg := gateway.AuthorizerConfig{Verifier: newVerifier(keySet()), Table: shop(t)}
	change(&cfg)
	a, err := gateway.NewAuthorizer(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// documented are the shapes of AWS's documentation, with values of our own. The pages
// are of the API Gateway developer guide where nothing else is said.
var documented = []struct {
	file, page string
	kind       gateway.Kind
	stage      string // what the answer's resources begin with
	paths      []string
}{
	{"rest-token", "Input to an API Gateway Lambda authorizer", gateway.KindToken, "arn:aws:execute-api:eu-west-1:111122223333:a1b2c3d4e5/prod/", []string{"GET/me", "GET/orders/*"}},
	{"rest-token-console", "the console's button Test authorizer, as people have recorded it", gateway.KindToken, "arn:aws:execute-api:eu-west-1:111122223333:a1b2c3d4e5/ESTestInvoke-stage/", []string{"GET/me", "GET/orders/*"}},
	{"rest-token-sample-stage", "Use API Gateway Lambda authorizers: a sample with * for a stage", gateway.KindToken, "arn:aws:execute-api:eu-west-1:111122223333:a1b2c3d4e5/test-invoke-stage/", []string{"GET/me", "GET/orders/*"}},
	{"rest-request", "Input to an API Gateway Lambda authorizer", gateway.KindRequest, "arn:aws:execute-api:eu-west-1:111122223333:a1b2c3d4e5/prod/", []string{"GET/me", "GET/orders/*"}},
	{"rest-request-console", "the console's button Test authorizer, as people have recorded it", gateway.KindRequest, "arn:aws:execute-api:eu-west-1:111122223333:a1b2c3d4e5/ESTestInvoke-stage/", []string{"GET/me", "GET/orders/*"}},
	{"websocket-connect", "Control access to WebSocket APIs with AWS Lambda REQUEST authorizers", gateway.KindWebSocket, "arn:aws:execute-api:eu-west-1:111122223333:w5x6y7z8a9/default/", []string{"$connect"}},
	{"http-api-1.0", "Control access to HTTP APIs with AWS Lambda authorizers", gateway.KindHTTP1, "arn:aws:execute-api:eu-west-1:111122223333:h1j2k3l4m5/test/", []string{"GET/me", "GET/orders/*"}},
	{"http-api-2.0", "Control access to HTTP APIs with AWS Lambda authorizers", gateway.KindHTTP2, "arn:aws:execute-api:eu-west-1:111122223333:h1j2k3l4m5/test/", []string{"GET/me", "GET/orders/*"}},
	{"appsync", "AWS AppSync developer guide: Configuring authorization and authentication", gateway.KindAppSync, "", nil},
}

// TestDocumentedEvents: each is told apart and answered in its own shape.
func TestDocumentedEvents(t *testing.T) {
	a := newAuthorizer(shop(t))
	token := mint(map[string]any{"username": "ada", "scope": "orders:read"})
	payload, err := json.Marshal(payloadOf(t, token))
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range documented {
		t.Run(d.file, func(t *testing.T) {
			event := sample(t, d.file, token)
			kind, _, err := gateway.ReadEvent(event)
			if err != nil || kind != d.kind {
				t.Errorf("read as %q, error %v", kind, err)
			}
			got, err := a.Handle(t.Context(), event)
			if err != nil {
				t.Fatal(err)
			}
			context := `{"sub":"user-1","username":"ada","scope":"orders:read","payload":` + string(payload) + `}`
			want := `{"isAuthorized":true,"resolverContext":` + context + `,"deniedFields":[]}`
			if d.kind != gateway.KindAppSync {
				var resources []string
				for _, path := range d.paths {
					resources = append(resources, `"`+d.stage+path+`"`)
				}
				want = `{"principalId":"user-1","policyDocument":{"Version":"2012-10-17","Statement":[{"Action":"execute-api:Invoke","Effect":"Allow","Resource":[` +
					strings.Join(resources, ",") + `]}]},"context":` + context + `}`
			}
			if diff := cmp.Diff(want, string(got)); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			for _, bad := range []string{"", "x", token + "A", token[:len(token)-4] + "AAAA"} {
				got, err := a.Handle(t.Context(), sample(t, d.file, bad))
				if d.kind == gateway.KindAppSync {
					if err != nil || string(got) != `{"isAuthorized":false,"ttlOverride":0}` {
						t.Errorf("token %.10q: %s, error %v", bad, got, err)
					}
				} else if err != gateway.ErrUnauthorized || got != nil { // compared exactly, as API Gateway does
					t.Errorf("token %.10q: %s, error %v", bad, got, err)
				}
			}
		})
	}
}

func payloadOf(t testing.TB, token string) string {
	t.Helper()
	payload, err := b64Decode(strings.Split(token, ".")[1])
	if err != nil {
		t.Fatal(err)
	}
	return payload
}

// TestFaultsOfEveryKind: a key set that cannot be read is an error for all of them,
// for AppSync and simple answers too, which have a no of their own.
func TestFaultsOfEveryKind(t *testing.T) {
	for _, style := range []gateway.HTTPAnswer{gateway.AnswerPolicy, gateway.AnswerSimple, gateway.AnswerSimplePerRoute} {
		a := with(t, func(cfg *gateway.AuthorizerConfig) {
			cfg.Verifier, cfg.HTTPAnswer = newVerifier(outage{errors.New("no route to host")}), style
		})
		for _, d := range documented {
			got, err := a.Handle(t.Context(), sample(t, d.file, mint(nil)))
			if got != nil || err == nil || errors.Is(err, gateway.ErrUnauthorized) {
				t.Errorf("%s, %s: %s, error %v", style, d.file, got, err)
			}
		}
	}
}

// TestEventsOfNoAuthorizer: the error says what it is.
func TestEventsOfNoAuthorizer(t *testing.T) {
	a := newAuthorizer(shop(t))
	for file, says := range map[string]string{
		"load-balancer":     "Application Load Balancer, which has no Lambda authorizers",
		"lattice-1.0":       "VPC Lattice, which has no Lambda authorizers",
		"lattice-2.0":       "VPC Lattice, which has no Lambda authorizers",
		"appsync-events":    "an AppSync Event API's",
		"websocket-message": "a WebSocket event",
	} {
		got, err := a.Handle(t.Context(), sample(t, file, mint(nil)))
		if got != nil || err == nil || errors.Is(err, gateway.ErrUnauthorized) || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %s, error %v", file, got, err)
		}
	}
}

// edit changes members of an event by a JSON merge patch (RFC 7396).
func edit(t testing.TB, event []byte, patch string) []byte {
	t.Helper()
	var doc, change any
	if err := json.Unmarshal(event, &doc); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal([]byte(patch), &change); err != nil {
		t.Fatalf("%s: %v", patch, err)
	}
	out, err := json.Marshal(merge(doc, change))
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func merge(doc, patch any) any {
	p, ok := patch.(map[string]any)
	if !ok {
		return patch
	}
	d, ok := doc.(map[string]any)
	if !ok {
		d = map[string]any{}
	}
	for name, v := range p {
		if v == nil {
			delete(d, name)
		} else {
			d[name] = merge(d[name], v)
		}
	}
	return d
}

// TestMalformedEvents: a good token in an event that is not as it should be is an
// error, which API Gateway makes a 500 of.
func TestMalformedEvents(t *testing.T) {
	a := newAuthorizer(shop(t))
	token := mint(map[string]any{"scope": "orders:read"})
	const head = "arn:aws:execute-api:eu-west-1:111122223333:a1b2c3d4e5/"
	for _, c := range []struct{ file, patch, says string }{
		{"rest-request", `{"version":"3.0"}`, `version "3.0"`},
		{"rest-request", `{"version":2}`, "version is not a string"},
		{"rest-request", `{"type":"request"}`, `type "request"`},
		{"rest-request", `{"type":7}`, "type is not a string"},
		{"rest-request", `{"methodArn":null}`, "method ARN must have the form"},
		{"rest-request", `{"methodArn":"` + head + `prod/$connect"}`, "not with a route key"},
		{"rest-request", `{"methodArn":"` + head + `prod/$default"}`, "not with a route key"},
		{"rest-request", `{"methodArn":"` + head + `p*/GET/me"}`, "wildcard"},
		{"rest-request", `{"requestContext":null}`, "must have either an httpMethod"},
		{"rest-request", `{"requestContext":"GET"}`, "requestContext is not an object"},
		{"rest-request", `{"requestContext":{"httpMethod":7}}`, "httpMethod is not a string"},
		{"rest-request", `{"requestContext":{"httpMethod":null}}`, "must have either an httpMethod"},
		{"rest-request", `{"requestContext":{"eventType":"CONNECT","connectionId":"x"}}`, "must have either an httpMethod"},
		{"rest-request", `{"headers":[],"multiValueHeaders":null}`, "headers is not an object"},
		{"rest-request", `{"multiValueHeaders":{"Authorization":"x"}}`, "not an array"},
		{"rest-request", `{"multiValueHeaders":{"Authorization":[7]}}`, "a value in headers is not a string"},
		{"rest-request", `{"headers":{"Authorization":true}}`, "a value in headers is not a string"},
		{"websocket-connect", `{"requestContext":{"eventType":"MESSAGE"}}`, `eventType is "MESSAGE"`},
		{"websocket-connect", `{"requestContext":{"connectionId":null}}`, "with a connectionId"},
		{"websocket-connect", `{"requestContext":{"httpMethod":"GET"}}`, "must have either an httpMethod"},
		{"websocket-connect", `{"methodArn":"` + head + `prod/GET/me"}`, "end with API/STAGE/$connect"},
		{"websocket-connect", `{"methodArn":"` + head + `prod/$default"}`, "end with API/STAGE/$connect"},
		{"http-api-1.0", `{"methodArn":"` + head + `prod/$connect"}`, "or API/STAGE/$default"},
		{"http-api-1.0", `{"methodArn":null}`, "method ARN must have the form"},
		{"http-api-1.0", `{"identitySource":7}`, "identitySource holds something else"},
		{"http-api-2.0", `{"routeArn":null}`, "method ARN must have the form"},
		{"http-api-2.0", `{"routeArn":null,"methodArn":"` + head + `prod/GET/me"}`, "method ARN must have the form"},
		{"http-api-2.0", `{"routeKey":null}`, "no routeKey"},
		{"http-api-2.0", `{"routeKey":["GET /me"]}`, "routeKey is not a string"},
		{"http-api-2.0", `{"identitySource":[7]}`, "identitySource holds something else"},
		{"http-api-2.0", `{"identitySource":{}}`, "identitySource holds something else"},
		{"appsync", `{"authorizationToken":7}`, "authorizationToken is not a string"},
		{"appsync", `{"authorizationToken":null}`, `type ""`},
		{"appsync", `{"requestContext":null}`, `type ""`},
		{"appsync", `{"requestContext":{"apiId":null}}`, `type ""`},
		{"appsync", `{"requestContext":{"accountId":""}}`, `type ""`},
		{"appsync", `{"requestContext":{"httpMethod":"GET"}}`, "an HTTP event"},
		{"appsync", `{"requestContext":{"requestId":null,"queryString":null,"operationName":null,"variables":null}}`, `type ""`},
		{"appsync", `{"requestContext":{"requestId":7}}`, "requestId is not a string"},
		{"appsync", `{"requestContext":{"operation":"EVENT_CONNECT"}}`, "an AppSync Event API's"},
		{"appsync", `{"type":"APPSYNC"}`, `type "APPSYNC"`},
	} {
		got, err := a.Handle(t.Context(), edit(t, sample(t, c.file, token), c.patch))
		if got != nil || err == nil || errors.Is(err, gateway.ErrUnauthorized) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s with %s: %s, error %v, want %q", c.file, c.patch, got, err, c.says)
		}
	}
}

// TestNullAndAbsentMembers: maps that are null are as good as none, and an event
// without a token has a bad one.
func TestNullAndAbsentMembers(t *testing.T) {
	a := newAuthorizer(shop(t))
	token := mint(nil)
	for _, c := range []struct {
		file, patch string
		good        bool
	}{
		{"rest-request", `{"multiValueHeaders":null,"queryStringParameters":null,"multiValueQueryStringParameters":null}`, true},
		{"rest-request", `{"headers":null}`, true},
		{"rest-request", `{"headers":null,"multiValueHeaders":null}`, false},
		{"rest-request", `{"headers":{"Authorization":null},"multiValueHeaders":{"Authorization":null}}`, false},
		{"rest-request", `{"headers":{"Authorization":""},"multiValueHeaders":{"Authorization":[]}}`, false},
		{"http-api-1.0", `{"identitySource":null,"authorizationToken":null}`, true},
		{"http-api-1.0", `{"identitySource":""}`, true},
		{"http-api-2.0", `{"identitySource":null}`, true},
		{"http-api-2.0", `{"identitySource":[],"cookies":null,"pathParameters":null}`, true},
		{"http-api-2.0", `{"requestContext":null}`, true},
		{"appsync", `{"requestContext":{"queryString":null,"operationName":null,"variables":null},"requestHeaders":null}`, true},
	} {
		event := edit(t, sample(t, c.file, token), c.patch)
		// The patch deletes what it sets to null; AWS writes null as well.
		for _, event := range [][]byte{event, bytes.Replace(event, []byte(`{`), []byte(`{"pathParameters":null,`), 1)} {
			if bytes.Count(event, []byte(`"pathParameters"`)) > 1 {
				continue
			}
			got, err := a.Handle(t.Context(), event)
			if c.good && err != nil || !c.good && err != gateway.ErrUnauthorized {
				t.Errorf("%s with %s: %s, error %v", c.file, c.patch, got, err)
			}
		}
	}
	for _, member := range []string{"headers", "multiValueHeaders", "queryStringParameters", "cookies", "identitySource", "authorizationToken", "version"} {
		event := edit(t, sample(t, "rest-request", token), `{"headers":null,"multiValueHeaders":null,"queryStringParameters":null}`)
		event = bytes.Replace(event, []byte(`{`), fmt.Appendf(nil, `{%q:null,`, member), 1)
		if got, err := a.Handle(t.Context(), event); err != gateway.ErrUnauthorized {
			t.Errorf("%s null: %s, error %v", member, got, err)
		}
	}
}

// TestTokensOfEveryKindStandInTheHeaderAlone: nothing else is looked at unless a
// setting says so.
func TestTokensOfEveryKindStandInTheHeaderAlone(t *testing.T) {
	a := newAuthorizer(shop(t))
	token := mint(nil)
	places := fmt.Sprintf(`{"identitySource":null,"headers":{"authorization":null,"Authorization":null,"Cookie":"session=%[1]s","X-Token":"%[1]s","Sec-WebSocket-Protocol":"bearer, %[1]s","Proxy-Authorization":"Bearer %[1]s","X-Forwarded-Authorization":"Bearer %[1]s"},
		"multiValueHeaders":null,"cookies":["session=%[1]s"],"queryStringParameters":{"access_token":"%[1]s","Authorization":"Bearer %[1]s"},"pathParameters":{"id":"%[1]s"},"stageVariables":{"Authorization":"Bearer %[1]s"}}`, token)
	for _, file := range []string{"rest-request", "websocket-connect", "http-api-1.0", "http-api-2.0"} {
		if got, err := a.Handle(t.Context(), edit(t, sample(t, file, token), places)); err != gateway.ErrUnauthorized {
			t.Errorf("%s: %s, error %v", file, got, err)
		}
		for _, patch := range []string{
			`{"headers":{"authorization":null,"Authorization":null,"AUTHORIZATION":"Bearer ` + token + `"},"multiValueHeaders":null}`, // names have no case
			`{"headers":{"Authorization":"bearer ` + token + `","authorization":null},"multiValueHeaders":null}`,
		} {
			event := edit(t, sample(t, file, token), patch)
			if file == "http-api-2.0" || file == "http-api-1.0" {
				event = edit(t, event, `{"identitySource":null}`)
			}
			if got, err := a.Handle(t.Context(), event); err != nil {
				t.Errorf("%s with %s: %s, error %v", file, patch, got, err)
			}
		}
		if got, err := a.Handle(t.Context(), edit(t, sample(t, file, token), `{"headers":{"Authorization":"`+token+`","authorization":null},"multiValueHeaders":null}`)); err != gateway.ErrUnauthorized {
			t.Errorf("%s without a scheme: %s, error %v", file, got, err)
		}
	}
}

// TestTwoTokensCountAsNone: also two equal ones, in any two places.
func TestTwoTokensCountAsNone(t *testing.T) {
	sources, err := gateway.ParseTokenSources("header:Authorization, header:X-Token, cookie:session, query:access_token, protocol")
	if err != nil {
		t.Fatal(err)
	}
	a := with(t, func(cfg *gateway.AuthorizerConfig) { cfg.Sources = sources })
	token := mint(nil)
	for _, patch := range []string{
		`{"headers":{"X-Token":"T"}}`,
		`{"headers":{"X-Token":"other"}}`,
		`{"headers":{"Cookie":"a=1; session=T"}}`,
		`{"cookies":["session=T"]}`,
		`{"queryStringParameters":{"access_token":"T"}}`,
		`{"headers":{"AUTHORIZATION":"Bearer T"}}`,
		`{"headers":{"AUTHORIZATION":"Bearer other"}}`,
		`{"multiValueHeaders":{"Authorization":["Bearer T","Bearer T"]}}`,
		`{"multiValueHeaders":{"Authorization":["Bearer T"],"authorization":["Bearer other"]}}`,
		`{"multiValueHeaders":{"Authorization":["Bearer other"]}}`, // that headers do not have
	} {
		for _, file := range []string{"rest-request", "websocket-connect", "http-api-1.0", "http-api-2.0"} {
			if file == "http-api-2.0" && strings.Contains(patch, "Cookie") {
				continue // it has cookies instead
			}
			if file == "http-api-2.0" { // its names are in lower case
				patch = strings.ReplaceAll(patch, `{"Authorization":["Bearer other"]}`, `{"authorization":["Bearer other"]}`)
			}
			event := edit(t, sample(t, file, token), strings.ReplaceAll(patch, "T\"", token+"\""))
			if got, err := a.Handle(t.Context(), event); err != gateway.ErrUnauthorized {
				t.Errorf("%s with %s: %s, error %v", file, patch, got, err)
			}
		}
	}
}

func TestConfiguredTokenSources(t *testing.T) {
	token := mint(nil)
	for _, c := range []struct {
		sources, patch, files string
		good                  bool
	}{
		{"header:X-Token", `{"headers":{"x-token":"{{token}}"}}`, "rest-request websocket-connect http-api-1.0 http-api-2.0", true},
		{"header:X-Token", `{"headers":{"X-Token":"Bearer {{token}}"}}`, "rest-request", true},
		{"header:X-Token", `{"headers":{"X-Token":"Basic {{token}}"}}`, "rest-request", false},
		{"header:X-Token", `{"headers":{"Authorization":"Bearer {{token}}"}}`, "rest-request", false},
		{"header:authorization", `{"headers":{"Authorization":"Bearer {{token}}"}}`, "rest-request", true},
		{"header:authorization", `{"headers":{"Authorization":"{{token}}"}}`, "rest-request", false},
		{"cookie:session", `{"headers":{"Cookie":"a=1; session={{token}}; b"}}`, "rest-request websocket-connect http-api-1.0", true},
		{"cookie:session", `{"headers":{"cookie":"session={{token}}"}}`, "rest-request", true},
		{"cookie:session", `{"headers":{"Cookie":"session={{token}}; session={{token}}"}}`, "rest-request", false},
		{"cookie:session", `{"headers":{"Cookie":"Session={{token}}"}}`, "rest-request", false},
		{"cookie:session", `{"headers":{"Cookie":"session=\"{{token}}\""}}`, "rest-request", false},
		{"cookie:session", `{"cookies":["a=1","session={{token}}"]}`, "http-api-2.0", true},
		{"cookie:session", `{"cookies":["session={{token}}","session=x"]}`, "http-api-2.0", false},
		{"cookie:session", `{"cookies":["a=1"],"headers":{"cookie":"session={{token}}"}}`, "http-api-2.0", false},
		{"query:access_token", `{"queryStringParameters":{"access_token":"{{token}}"}}`, "rest-request websocket-connect http-api-1.0 http-api-2.0", true},
		{"query:access_token", `{"queryStringParameters":{"access_token":"{{token}}"},"multiValueQueryStringParameters":{"access_token":["{{token}}"]}}`, "rest-request", true},
		{"query:access_token", `{"queryStringParameters":{"access_token":"{{token}}"},"multiValueQueryStringParameters":{"access_token":["x","{{token}}"]}}`, "rest-request", false},
		{"query:access_token", `{"queryStringParameters":{"Access_Token":"{{token}}"}}`, "rest-request", false},
		{"query:access_token", `{"queryStringParameters":{"access_token":"x,{{token}}"}}`, "http-api-2.0", false},
		{"protocol", `{"headers":{"Sec-WebSocket-Protocol":"bearer, {{token}}"}}`, "websocket-connect", true},
		{"protocol", `{"headers":{"Sec-WebSocket-Protocol":"graphql-ws,bearer,{{token}}"}}`, "websocket-connect", true},
		{"protocol:latchkey", `{"headers":{"sec-websocket-protocol":"latchkey, {{token}}"}}`, "websocket-connect", true},
		{"protocol:latchkey", `{"headers":{"Sec-WebSocket-Protocol":"bearer, {{token}}"}}`, "websocket-connect", false},
		{"protocol", `{"headers":{"Sec-WebSocket-Protocol":"{{token}}"}}`, "websocket-connect", false},
		{"protocol", `{"headers":{"Sec-WebSocket-Protocol":"{{token}}, bearer"}}`, "websocket-connect", false},
		{"protocol", `{"headers":{"Sec-WebSocket-Protocol":"bearer"}}`, "websocket-connect", false},
		{"protocol", `{"headers":{"Sec-WebSocket-Protocol":"bearer, {{token}}, bearer, {{token}}"}}`, "websocket-connect", false},
		{"protocol", `{"headers":{"Sec-WebSocket-Protocol":"bearer, {{token}}"}}`, "rest-request http-api-1.0 http-api-2.0", false}, // no WebSocket comes in by these
		{"header:Authorization, cookie:session", `{"headers":{"Authorization":"Bearer {{token}}"}}`, "rest-request", true},
		{"header:Authorization, cookie:session", `{"headers":{"Cookie":"session={{token}}"}}`, "rest-request", true},
	} {
		sources, err := gateway.ParseTokenSources(c.sources)
		if err != nil {
			t.Fatal(err)
		}
		a := with(t, func(cfg *gateway.AuthorizerConfig) { cfg.Sources = sources })
		for _, file := range strings.Fields(c.files) {
			event := edit(t, sample(t, file, "none"), `{"identitySource":null,"headers":{"authorization":null,"Authorization":null},"multiValueHeaders":null}`)
			event = edit(t, event, strings.ReplaceAll(c.patch, "{{token}}", token))
			got, err := a.Handle(t.Context(), event)
			if c.good && err != nil || !c.good && err != gateway.ErrUnauthorized {
				t.Errorf("%s, %s with %s: %s, error %v", c.sources, file, c.patch, got, err)
			}
		}
	}
}

func TestParseTokenSources(t *testing.T) {
	for list, want := range map[string]string{
		"header:Authorization":                  "header:Authorization",
		" cookie:session ,query:t, protocol":    "cookie:session,query:t,protocol:bearer",
		"protocol:latchkey.v1,header:X-Api-Key": "protocol:latchkey.v1,header:X-Api-Key",
		"":                                      `must be header:NAME`,
		"header":                                "needs a name",
		"header:":                               "needs a name",
		"cookie:a b":                            "needs a name",
		"query:a&b=c":                           "needs a name",
		"query:ä":                               "needs a name",
		"protocol:":                             "needs a name",
		"Authorization":                         "must be header:NAME",
		"body:token":                            "must be header:NAME",
		"header:cookie":                         "write cookie:NAME",
		"header:sec-websocket-protocol":         "write protocol:NAME",
		"header:X-Token,header:x-token":         "stands twice",
		"cookie:a,cookie:a":                     "stands twice",
		"header:Authorization,header:authorization":   "stands twice",
		"header:Authorization,,cookie:session":        "must be header:NAME",
		"header:Authorization\ncookie:session":        "needs a name",
		"cookie:a,cookie:A,header:a,query:a,query:A,": "must be header:NAME",
	} {
		sources, err := gateway.ParseTokenSources(list)
		if err != nil {
			if !strings.Contains(err.Error(), want) || !strings.HasPrefix(err.Error(), "token source ") {
				t.Errorf("%q: error %v, want %q", list, err, want)
			}
			continue
		}
		var got []string
		for _, s := range sources {
			got = append(got, s.String())
		}
		if strings.Join(got, ",") != want {
			t.Errorf("%q is read as %q, want %q", list, got, want)
		}
	}
	if got := (gateway.TokenSource{}).String(); got != "header:Authorization" {
		t.Errorf("the zero value is %s", got)
	}
}

// TestIdentitySourcesHoldTheToken: API Gateway keeps answers by the values of the
// identity sources. Without the token among them it would give one principal's answer
// to another.
func TestIdentitySourcesHoldTheToken(t *testing.T) {
	sources, err := gateway.ParseTokenSources("header:Authorization,cookie:session")
	if err != nil {
		t.Fatal(err)
	}
	a := with(t, func(cfg *gateway.AuthorizerConfig) { cfg.Sources = sources })
	token := mint(nil)
	for _, c := range []struct {
		file, patch string
		good        bool
	}{
		{"http-api-2.0", `{"identitySource":["Bearer T"]}`, true},
		{"http-api-2.0", `{"identitySource":["GET /me","Bearer T"]}`, true},
		{"http-api-2.0", `{"identitySource":["GET /me"]}`, false},
		{"http-api-2.0", `{"identitySource":["Bearer other"]}`, false},
		{"http-api-2.0", `{"identitySource":["a=1; session=T"],"headers":{"authorization":null},"cookies":["a=1","session=T"]}`, true},
		{"http-api-2.0", `{"identitySource":["203.0.113.9"],"headers":{"authorization":null},"cookies":["session=T"]}`, false},
		{"http-api-1.0", `{"identitySource":"blue,Bearer T"}`, true},
		{"http-api-1.0", `{"identitySource":"blue"}`, false},
		{"http-api-1.0", `{"identitySource":"blue","authorizationToken":"Bearer T"}`, false},
	} {
		got, err := a.Handle(t.Context(), edit(t, sample(t, c.file, token), strings.ReplaceAll(c.patch, "T\"", token+"\"")))
		if c.good && err != nil || !c.good && (got != nil || err == nil || errors.Is(err, gateway.ErrUnauthorized) || !strings.Contains(err.Error(), "not among the authorizer's identity sources")) {
			t.Errorf("%s with %s: %s, error %v", c.file, c.patch, got, err)
		}
		if err != nil && strings.Contains(err.Error(), token) {
			t.Errorf("the error holds the token: %v", err)
		}
	}
	// A bad token stays a bad token.
	if got, err := a.Handle(t.Context(), edit(t, sample(t, "http-api-2.0", "x y"), `{"identitySource":["z"]}`)); err != gateway.ErrUnauthorized {
		t.Errorf("%s, error %v", got, err)
	}
}

// TestConnect: WebSocket APIs ask about $connect alone, and so says the policy.
func TestConnect(t *testing.T) {
	a := with(t, func(cfg *gateway.AuthorizerConfig) { cfg.ConnectScopes = []string{"chat", "orders:read"} })
	for scope, want := range map[string]string{
		"":                       `"Effect":"Deny","Resource":["arn:aws:execute-api:eu-west-1:111122223333:w5x6y7z8a9/default/*"]`,
		"chat":                   `"Effect":"Deny","Resource":["arn:aws:execute-api:eu-west-1:111122223333:w5x6y7z8a9/default/*"]`,
		"orders:read admin chat": `"Effect":"Allow","Resource":["arn:aws:execute-api:eu-west-1:111122223333:w5x6y7z8a9/default/$connect"]`,
	} {
		got, err := a.Handle(t.Context(), sample(t, "websocket-connect", mint(map[string]any{"scope": scope})))
		if err != nil || strings.Count(string(got), "Effect") != 1 || !strings.Contains(string(got), want) {
			t.Errorf("scope %q: %s, error %v, want %s", scope, got, err, want)
		}
	}
}

// TestWebSocketAnswersAreBounded: API Gateway takes 8 KB; what is longer is our error
// and not its guess.
func TestWebSocketAnswersAreBounded(t *testing.T) {
	a := newAuthorizer(shop(t))
	small := with(t, func(cfg *gateway.AuthorizerConfig) { cfg.Claims = []gateway.ContextClaim{{"sub", "sub"}} })
	token := mint(map[string]any{"pad": strings.Repeat(`"`, 2700)}) // which JSON text in JSON makes four times as long
	got, err := a.Handle(t.Context(), sample(t, "websocket-connect", token))
	if got != nil || err == nil || !strings.Contains(err.Error(), "WebSocket APIs take 8192: name fewer claims") {
		t.Errorf("%d bytes, error %v", len(got), err)
	}
	if got, err := small.Handle(t.Context(), sample(t, "websocket-connect", token)); err != nil {
		t.Errorf("with fewer claims: %s, error %v", got, err)
	}
	if got, err := a.Handle(t.Context(), sample(t, "rest-request", token)); err != nil || len(got) < 8192 {
		t.Errorf("REST: %d bytes, error %v", len(got), err)
	}
}

func TestGraphQL(t *testing.T) {
	fields, err := gateway.ParseGraphQLFields("Mutation.createOrder=orders:write Query.audit=admin Mutation.createOrder=orders:read User.email=admin")
	if err != nil {
		t.Fatal(err)
	}
	a := with(t, func(cfg *gateway.AuthorizerConfig) {
		cfg.GraphQL = gateway.GraphQL{Scopes: []string{"app"}, Fields: fields}
		cfg.Claims = []gateway.ContextClaim{{"sub", "id"}}
	})
	for scope, want := range map[string]string{
		"":                                   `{"isAuthorized":false}`,
		"admin orders:read orders:write":     `{"isAuthorized":false}`,
		"app":                                `{"isAuthorized":true,"resolverContext":{"id":"user-1"},"deniedFields":["Mutation.createOrder","Query.audit","User.email"]}`,
		"app orders:write":                   `{"isAuthorized":true,"resolverContext":{"id":"user-1"},"deniedFields":["Mutation.createOrder","Query.audit","User.email"]}`,
		"app orders:read orders:write":       `{"isAuthorized":true,"resolverContext":{"id":"user-1"},"deniedFields":["Query.audit","User.email"]}`,
		"app orders:read,orders:write":       `{"isAuthorized":true,"resolverContext":{"id":"user-1"},"deniedFields":["Mutation.createOrder","Query.audit","User.email"]}`,
		"admin app orders:read app":          `{"isAuthorized":true,"resolverContext":{"id":"user-1"},"deniedFields":["Mutation.createOrder"]}`,
		"admin app orders:read orders:write": `{"isAuthorized":true,"resolverContext":{"id":"user-1"},"deniedFields":[]}`,
	} {
		token := mint(map[string]any{"scope": scope})
		for _, credential := range []string{token, "Bearer " + token, "bearer " + token} {
			got, err := a.Handle(t.Context(), sample(t, "appsync", credential))
			if err != nil || string(got) != want {
				t.Errorf("scope %q: %s, error %v, want %s", scope, got, err, want)
			}
		}
		if got, err := a.Handle(t.Context(), sample(t, "appsync", "Basic "+token)); err != nil || string(got) != `{"isAuthorized":false,"ttlOverride":0}` {
			t.Errorf("another scheme: %s, error %v", got, err)
		}
	}
}

func TestParseGraphQLFields(t *testing.T) {
	for list, want := range map[string][]gateway.GraphQLField{
		"":                                   nil,
		"Query.a=b":                          {{"Query.a", []string{"b"}}},
		"  Query.a=b\tQ._x=c=d,e Query.a=f ": {{"Query.a", []string{"b", "f"}}, {"Q._x", []string{"c=d,e"}}},
		"Query.a":                            nil,
		"Query.a=":                           nil,
		"Query=b":                            nil,
		"Query.=b":                           nil,
		".a=b":                               nil,
		"Query.a.b=c":                        nil,
		"Query.*=b":                          nil,
		"Query.1a=b":                         nil,
		"Query.a-b=c":                        nil,
		"Query.a=\"":                         nil,
		"Query.a=b,Query.c=d":                {{"Query.a", []string{"b,Query.c=d"}}},
	} {
		got, err := gateway.ParseGraphQLFields(list)
		if diff := cmp.Diff(want, got); diff != "" || (err == nil) != (want != nil || list == "") {
			t.Errorf("%q: error %v, -want +got:\n%s", list, err, diff)
		}
	}
}

func TestParseScopes(t *testing.T) {
	if got, err := gateway.ParseScopes(" a  b:c "); err != nil || !cmp.Equal(got, []string{"a", "b:c"}) {
		t.Errorf("%q, error %v", got, err)
	}
	for _, list := range []string{"a a", `a "b"`, "ä"} {
		if got, err := gateway.ParseScopes(list); err == nil {
			t.Errorf("%q: %q", list, got)
		}
	}
}

func TestContextClaims(t *testing.T) {
	claims, err := gateway.ParseContextClaims("sub=user, email, https://example.com/tenant=tenant, a=b=c, roles, address, level, admin, nothing, missing, note, scope, nested")
	if err != nil {
		t.Fatal(err)
	}
	a := with(t, func(cfg *gateway.AuthorizerConfig) { cfg.Claims = claims })
	token := mint(map[string]any{
		"email": "ada@example.com", "https://example.com/tenant": "t-1", "a=b": "c", "roles": []string{"x", "y"}, "address": map[string]any{"city": "Köln"},
		"level": 7, "admin": false, "nothing": nil, "note": "a\r\nX-Admin: 1\u0085\u007f\x00", "nested": []string{"\n"},
	})
	want := map[string]string{
		"user": "user-1", "email": "ada@example.com", "tenant": "t-1", "c": "c", "roles": `["x","y"]`, "address": `{"city":"Köln"}`,
		"level": "7", "admin": "false", "note": "a  X-Admin: 1   ", "scope": "", "nested": `["\n"]`,
	}
	for _, d := range documented {
		got, err := a.Handle(t.Context(), sample(t, d.file, token))
		if err != nil {
			t.Fatal(err)
		}
		var o struct{ Context, ResolverContext map[string]string }
		if err := json.Unmarshal(got, &o); err != nil {
			t.Fatal(err)
		}
		if o.Context == nil {
			o.Context = o.ResolverContext
		}
		if diff := cmp.Diff(want, o.Context); diff != "" {
			t.Errorf("%s: -want +got:\n%s", d.file, diff)
		}
	}
	// Also those that have a place of their own: other issuers put there what they like.
	got, err := newAuthorizer(shop(t)).Handle(t.Context(), sample(t, documented[0].file, mint(map[string]any{"username": "a\r\nX-Admin: 1\u0085", "scope": "a\nb"})))
	if err != nil || !strings.Contains(string(got), `"username":"a  X-Admin: 1 ","scope":"a b"`) {
		t.Errorf("username and scope: %s, error %v", got, err)
	}
	for list, says := range map[string]string{
		"":                               "must be CLAIM or CLAIM=NAME",
		"sub,,email":                     "must be CLAIM or CLAIM=NAME",
		"=x":                             "must be CLAIM or CLAIM=NAME",
		"cognito:groups":                 "letters, digits and _",
		"sub=":                           "letters, digits and _",
		"sub=a-b":                        "letters, digits and _",
		"sub=" + strings.Repeat("a", 65): "letters, digits and _",
		"claims":                         "API Gateway uses the name itself",
		"sub=principalId":                "API Gateway uses the name itself",
		"x=integrationLatency":           "API Gateway uses the name itself",
		"sub,email=sub":                  "the name stands twice",
		"tenant,plan=Tenant":             "the name stands twice",
		"sub,sub=id":                     "the claim stands twice",
	} {
		if got, err := gateway.ParseContextClaims(list); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%q: %v, error %v, want %q", list, got, err, says)
		}
	}
}

// TestTheLogSaysWhatWasDecided of kinds that have a no of their own.
func TestTheLogSaysWhatWasDecided(t *testing.T) {
	var lines bytes.Buffer
	a := with(t, func(cfg *gateway.AuthorizerConfig) {
		cfg.Log = slog.New(slog.NewJSONHandler(&lines, nil))
		cfg.HTTPAnswer = gateway.AnswerSimple
		cfg.ConnectScopes, cfg.GraphQL.Scopes = []string{"chat"}, []string{"app"}
	})
	for _, file := range []string{"http-api-2.0", "websocket-connect", "appsync"} {
		for scope, msg := range map[string]string{"chat app orders:read admin": "authorized", "": "forbidden"} {
			lines.Reset()
			if _, err := a.Handle(t.Context(), sample(t, file, mint(map[string]any{"scope": scope}))); err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(lines.String(), `"msg":"`+msg+`","sub":"user-1","kind":`) {
				t.Errorf("%s, scope %q: logged %s", file, scope, lines.String())
			}
		}
	}
	lines.Reset()
	token := mint(nil)
	event := edit(t, sample(t, "rest-request", token), `{"multiValueHeaders":{"Authorization":["Bearer a","Bearer b"]}}`)
	if _, err := a.Handle(t.Context(), event); err == nil || !strings.Contains(lines.String(), `"reason":"a token in more than one place"`) {
		t.Errorf("error %v, logged %s", err, lines.String())
	}
}
