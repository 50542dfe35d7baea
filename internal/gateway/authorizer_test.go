package gateway_test

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/latchkey-auth/latchkey"
	"github.com/latchkey-auth/latchkey/internal/gateway"
)

const (
	issuer = "https://auth.example.com"
	secret = "no secret: it is printed in the tests"
)

// now is when every test happens, unless it says otherwise.
var now = time.Unix(1_800_000_000, 0)

// mint signs the claims, over those that make a good token.
func mint(claims map[string]any) string {
	all := map[string]any{"iss": issuer, "aud": issuer, "sub": "user-1", "iat": now.Unix(), "exp": now.Unix() + 600}
	for name, value := range claims {
		all[name] = value
	}
	payload, err := json.Marshal(all)
	if err != nil {
		panic(err)
	}
	b64 := base64.RawURLEncoding
	input := b64.EncodeToString([]byte(`{"alg":"HS256","typ":"at+jwt"}`)) + "." + b64.EncodeToString(payload)
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(input))
	return input + "." + b64.EncodeToString(mac.Sum(nil))
}

func newVerifier(keys latchkey.KeySet) *latchkey.Verifier {
	v, err := latchkey.New(latchkey.Config{Keys: keys, Issuer: issuer, Audience: issuer, Leeway: -1, Now: func() time.Time { return now }, Issuers: []latchkey.Issuer{otherIssuer()}})
	if err != nil {
		panic(err)
	}
	return v
}

func keySet() latchkey.KeySet {
	key, err := latchkey.NewHMACKey("", []byte(secret))
	if err != nil {
		panic(err)
	}
	keys, err := latchkey.NewKeySet(key)
	if err != nil {
		panic(err)
	}
	return keys
}

func newAuthorizer(tb *gateway.Table) *gateway.Authorizer {
	a, err := gateway.NewAuthorizer(gateway.AuthorizerConfig{Verifier: newVerifier(keySet()), Table: tb, Issuers: []string{gateway.OwnIssuer, other}, Now: func() time.Time { return now }})
	if err != nil {
		panic(err)
	}
	return a
}

func tokenEvent(authorization, arn string) []byte {
	doc, err := json.Marshal(map[string]string{"type": "TOKEN", "authorizationToken": authorization, "methodArn": arn})
	if err != nil {
		panic(err)
	}
	return doc
}

// output is what API Gateway documents for a TOKEN authorizer; members that it
// does not know are an error.
type output struct {
	PrincipalID    string `json:"principalId"`
	PolicyDocument struct {
		Version   string
		Statement []struct {
			Action, Effect string
			Resource       []string
		}
	} `json:"policyDocument"`
	Context map[string]string `json:"context"`
}

func readOutput(t testing.TB, out []byte) output {
	t.Helper()
	var o output
	d := json.NewDecoder(bytes.NewReader(out))
	d.DisallowUnknownFields()
	if err := d.Decode(&o); err != nil {
		t.Fatalf("output %s: %v", out, err)
	}
	return o
}

func policyDocument(out []byte) string {
	var o struct{ PolicyDocument json.RawMessage }
	if err := json.Unmarshal(out, &o); err != nil {
		panic(err)
	}
	return string(o.PolicyDocument)
}

// shop is the table that the authorizer's tests use.
func shop(t testing.TB) *gateway.Table {
	t.Helper()
	tb, err := gateway.NewTable([]gateway.Route{
		route(t, "GET /health", "public"),
		route(t, "GET /me", ""),
		route(t, "GET /orders/{id}", "orders:read"),
		route(t, "ANY /admin/{rest+}", "admin"),
	})
	if err != nil {
		t.Fatal(err)
	}
	return tb
}

func TestAuthorizerAnswersAGoodToken(t *testing.T) {
	token := mint(map[string]any{"sub": "u-\"1", "username": "franç<o>is", "scope": "orders:read other", "roles": []string{"a"}})
	out, err := newAuthorizer(shop(t)).Handle(t.Context(), tokenEvent("Bearer "+token, dev+"GET/me"))
	if err != nil {
		t.Fatal(err)
	}
	var want output
	want.PrincipalID = "u-\"1"
	want.PolicyDocument.Version = "2012-10-17"
	want.PolicyDocument.Statement = []struct {
		Action, Effect string
		Resource       []string
	}{{"execute-api:Invoke", "Allow", []string{dev + "GET/me", dev + "GET/orders/*"}}}
	payload, err := base64.RawURLEncoding.DecodeString(strings.Split(token, ".")[1])
	if err != nil {
		t.Fatal(err)
	}
	want.Context = map[string]string{"sub": "u-\"1", "username": "franç<o>is", "scope": "orders:read other", "payload": string(payload)}
	if diff := cmp.Diff(want, readOutput(t, out)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// Everything but the resources' API and stage is the same for every method that
// is asked for: API Gateway applies the answer to all of them.
func TestAuthorizerPolicyDependsOnThePrincipalAlone(t *testing.T) {
	a := newAuthorizer(shop(t))
	token := "Bearer " + mint(map[string]any{"scope": "admin"})
	first, err := a.Handle(t.Context(), tokenEvent(token, dev+"GET/me"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"GET/", "DELETE/admin/x", "GET/orders/7", "POST/nowhere", "GET/*", "GET/a:b", "GET/" + arnHead + "prod/GET/x", `GET/"],"Effect":"Allow`} {
		out, err := a.Handle(t.Context(), tokenEvent(token, dev+path))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(out, first) {
			t.Errorf("asked for %s: %s\nwant %s", path, out, first)
		}
	}
}

func TestAuthorizerNamesOnlyTheAPIAndStageThatAsk(t *testing.T) {
	a := newAuthorizer(shop(t))
	for _, stage := range []string{dev, arnHead + "$default/", "arn:aws-cn:execute-api:cn-north-1:999999999999:other/prod/"} {
		out, err := a.Handle(t.Context(), tokenEvent("Bearer "+mint(map[string]any{"scope": "admin orders:read"}), stage+"GET/me"))
		if err != nil {
			t.Fatal(err)
		}
		got := readOutput(t, out).PolicyDocument.Statement[0].Resource
		var want []string
		for _, verb := range []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"} { // of ANY
			want = append(want, stage+verb+"/admin/*")
		}
		want = append(want, stage+"GET/me", stage+"GET/orders/*")
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: -want +got:\n%s", stage, diff)
		}
	}
}

func TestAuthorizerDeniesExplicitlyWhereNothingIsGranted(t *testing.T) {
	tb, err := gateway.NewTable([]gateway.Route{route(t, "GET /a", "public"), route(t, "GET /b", "b")})
	if err != nil {
		t.Fatal(err)
	}
	out, err := newAuthorizer(tb).Handle(t.Context(), tokenEvent("Bearer "+mint(map[string]any{"scope": "bb B"}), dev+"GET/b"))
	if err != nil {
		t.Fatal(err)
	}
	statements := readOutput(t, out).PolicyDocument.Statement
	if len(statements) != 1 || statements[0].Effect != "Deny" || !cmp.Equal(statements[0].Resource, []string{dev + "*"}) {
		t.Errorf("statements %+v, want one that denies %s*", statements, dev)
	}
}

// The console's test and the samples of the documentation name stages that no
// request comes from. They are answered, and no wildcard gets into a resource.
func TestAuthorizerAnswersTestInvocations(t *testing.T) {
	a := newAuthorizer(shop(t))
	for stage, want := range map[string]string{"*": "test-invoke-stage", "test-invoke-stage": "test-invoke-stage", "ESTestInvoke-stage": "ESTestInvoke-stage", "$default": "$default"} {
		for scope, effect := range map[string]string{"orders:read": "Allow", "": "Allow"} {
			out, err := a.Handle(t.Context(), tokenEvent("Bearer "+mint(map[string]any{"scope": scope}), arnHead+stage+"/GET/"))
			if err != nil {
				t.Fatalf("%s: %v", stage, err)
			}
			s := readOutput(t, out).PolicyDocument.Statement[0]
			if s.Effect != effect || s.Resource[0] != arnHead+want+"/GET/me" {
				t.Errorf("%s: %+v", stage, s)
			}
			for _, resource := range s.Resource {
				if strings.Contains(strings.TrimSuffix(resource, "/*"), "*") {
					t.Errorf("%s: the resource %s has a wildcard of the ARN", stage, resource)
				}
			}
		}
	}
	tb, err := gateway.NewTable([]gateway.Route{route(t, "GET /a", "a")})
	if err != nil {
		t.Fatal(err)
	}
	out, err := newAuthorizer(tb).Handle(t.Context(), tokenEvent("Bearer "+mint(nil), arnHead+"*/GET/"))
	if err != nil {
		t.Fatal(err)
	}
	if s := readOutput(t, out).PolicyDocument.Statement; len(s) != 1 || s[0].Effect != "Deny" || s[0].Resource[0] != arnHead+"test-invoke-stage/*" {
		t.Errorf("a principal without rights gets %+v", s)
	}
}

// Text that the token's bearer or the request chose never becomes part of a
// resource.
func TestAuthorizerKeepsTokenAndRequestTextOutOfResources(t *testing.T) {
	hostile := []string{"*", "orders:read *", "admin*", dev + "*", "orders:*", "ADMIN", "admin,orders:read", "${aws:username}", `"],"x":["`}
	a := newAuthorizer(shop(t))
	for _, text := range hostile {
		for member, claims := range map[string]map[string]any{
			"scope":    {"scope": text},
			"sub":      {"sub": text},
			"username": {"username": text},
			"roles":    {"roles": []string{text}, "permissions": text},
		} {
			out, err := a.Handle(t.Context(), tokenEvent("Bearer "+mint(claims), dev+"GET/"+text))
			if err != nil {
				t.Errorf("%s %q: %v", member, text, err)
				continue
			}
			want := []string{dev + "GET/me"}
			if member == "scope" && strings.Contains(" "+text+" ", " orders:read ") {
				want = append(want, dev+"GET/orders/*")
			}
			if diff := cmp.Diff(want, readOutput(t, out).PolicyDocument.Statement[0].Resource); diff != "" {
				t.Errorf("%s %q: -want +got:\n%s", member, text, diff)
			}
		}
	}
}

func TestAuthorizerRefusesBadTokens(t *testing.T) {
	good := mint(nil)
	tests := map[string]string{
		"nothing":                "",
		"no scheme":              good,
		"no token":               "Bearer ",
		"the scheme alone":       "Bearer",
		"another scheme":         "Basic " + good,
		"spaces alone":           "Bearer   ",
		"a space within":         "Bearer  " + good[:20] + " " + good[20:],
		"a tab":                  "Bearer\t" + good,
		"two tokens":             "Bearer " + good + " " + good,
		"two header lines":       "Bearer " + good + ",Bearer " + good,
		"something after it":     "Bearer " + good + " ",
		"no JWT":                 "Bearer abc",
		"a changed signature":    "Bearer " + good[:len(good)-4] + "AAAA",
		"expired":                "Bearer " + mint(map[string]any{"exp": now.Unix() - 1}),
		"another issuer":         "Bearer " + mint(map[string]any{"iss": "https://evil.example"}),
		"another audience":       "Bearer " + mint(map[string]any{"aud": "https://evil.example"}),
		"no subject":             "Bearer " + mint(map[string]any{"sub": ""}),
		"a line end in sub":      "Bearer " + mint(map[string]any{"sub": "a\r\nX-Admin: 1"}),
		"longer than a token is": "Bearer " + mint(map[string]any{"pad": strings.Repeat("a", 8192)}),
	}
	a := newAuthorizer(shop(t))
	for name, value := range tests {
		t.Run(name, func(t *testing.T) {
			out, err := a.Handle(t.Context(), tokenEvent(value, dev+"GET/me"))
			if !errors.Is(err, gateway.ErrUnauthorized) || err.Error() != "Unauthorized" {
				t.Errorf("error %q, want exactly Unauthorized", err)
			}
			if out != nil {
				t.Errorf("with the error came %s", out)
			}
		})
	}
	for _, scheme := range []string{"Bearer ", "bearer ", "BEARER ", "Bearer  ", "Bearer     "} {
		if _, err := a.Handle(t.Context(), tokenEvent(scheme+good, dev+"GET/me")); err != nil {
			t.Errorf("%s: %v", scheme, err)
		}
	}
}

// outage is a key set that cannot be read.
type outage struct{ err error }

func (o outage) Key(context.Context, string, latchkey.Algorithm) (*latchkey.Key, error) {
	return nil, o.err
}

func TestAuthorizerFaultIsNeitherPolicyNorUnauthorized(t *testing.T) {
	down := errors.New("no route to host")
	a, err := gateway.NewAuthorizer(gateway.AuthorizerConfig{Verifier: newVerifier(outage{down}), Table: shop(t)})
	if err != nil {
		t.Fatal(err)
	}
	out, err := a.Handle(t.Context(), tokenEvent("Bearer "+mint(nil), dev+"GET/me"))
	if out != nil {
		t.Errorf("with the error came %s", out)
	}
	if !errors.Is(err, down) || errors.Is(err, gateway.ErrUnauthorized) || err.Error() == "Unauthorized" {
		t.Errorf("error %v, want one that wraps %v", err, down)
	}
}

func TestAuthorizerRefusesOtherEvents(t *testing.T) {
	value, arn := "Bearer "+mint(nil), dev+"GET/me"
	tests := map[string]struct{ event, says string }{
		"nothing":                   {"", "not a JSON object"},
		"null":                      {"null", "not a JSON object"},
		"a list":                    {"[]", "not a JSON object"},
		"half an object":            {`{"type":"TOKEN"`, "parsing authorizer event"},
		"two objects":               {string(tokenEvent(value, arn)) + "{}", "something follows"},
		"a proxy event":             {`{"httpMethod":"GET","path":"/me","body":null}`, `type "": it is an HTTP`},
		"type in lower case":        {fmt.Sprintf(`{"type":"token","authorizationToken":%q,"methodArn":%q}`, value, arn), `type "token"`},
		"Type with a capital":       {fmt.Sprintf(`{"Type":"TOKEN","authorizationToken":%q,"methodArn":%q}`, value, arn), `type ""`},
		"a token that is a number":  {fmt.Sprintf(`{"type":"TOKEN","authorizationToken":7,"methodArn":%q}`, arn), "authorizationToken is not a string"},
		"a token that is an object": {fmt.Sprintf(`{"type":"TOKEN","authorizationToken":{"a":1},"methodArn":%q}`, arn), "authorizationToken is not a string"},
		"two tokens":                {fmt.Sprintf(`{"type":"TOKEN","authorizationToken":"x","authorizationToken":%q,"methodArn":%q}`, value, arn), "stands twice"},
		"no methodArn":              {fmt.Sprintf(`{"type":"TOKEN","authorizationToken":%q}`, value), "method ARN must have the form"},
		"a methodArn with wildcard": {string(tokenEvent(value, arnHead+"dev*/GET/me")), "wildcard"},
		"messages of SQS":           {`{"Records":[{"eventSource":"aws:sqs"}]}`, "a list of records (SQS"},
		"a 2.0 event":               {`{"version":"2.0","rawPath":"/me","requestContext":{"http":{"method":"GET"}}}`, "an HTTP event"},
		"a schedule":                {`{"version":"0","detail-type":"Scheduled Event","detail":{}}`, "an EventBridge event"},
		"a Cognito trigger":         {`{"version":"1","triggerSource":"PreSignUp_SignUp","request":{}}`, "a Cognito trigger"},
		"a methodArn too long":      {string(tokenEvent(value, dev+"GET/"+strings.Repeat("a", 1600))), "must have 1600 at most"},
		"a stage too long":          {string(tokenEvent(value, arnHead+strings.Repeat("a", 500)+"/GET/me")), "more than 512 characters"},
		"a WebSocket methodArn":     {string(tokenEvent(value, arnHead+"dev/$connect")), "must end with"},
	}
	a := newAuthorizer(shop(t))
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			out, err := a.Handle(t.Context(), []byte(test.event))
			if out != nil {
				t.Errorf("with the error came %s", out)
			}
			if err == nil || errors.Is(err, gateway.ErrUnauthorized) || !strings.Contains(err.Error(), test.says) {
				t.Errorf("error %v, want one that says %q", err, test.says)
			}
		})
	}
	null := fmt.Sprintf(`{"type":"TOKEN","authorizationToken":null,"methodArn":%q}`, arn)
	if _, err := a.Handle(t.Context(), []byte(null)); !errors.Is(err, gateway.ErrUnauthorized) {
		t.Errorf("no token: error %v, want Unauthorized", err)
	}
}

func TestNewAuthorizerRefusesHalfAConfiguration(t *testing.T) {
	for name, cfg := range map[string]gateway.AuthorizerConfig{
		"no verifier": {Table: shop(t)},
		"no table":    {Verifier: newVerifier(keySet())},
	} {
		if _, err := gateway.NewAuthorizer(cfg); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
}

func TestAuthorizerLogsWhatHappenedAndNoToken(t *testing.T) {
	var lines bytes.Buffer
	cfg := gateway.AuthorizerConfig{
		Verifier: newVerifier(keySet()), Table: shop(t),
		Log: slog.New(slog.NewJSONHandler(&lines, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
	a, err := gateway.NewAuthorizer(cfg)
	if err != nil {
		t.Fatal(err)
	}
	cfg.Verifier = newVerifier(outage{errors.New("down")})
	broken, err := gateway.NewAuthorizer(cfg)
	if err != nil {
		t.Fatal(err)
	}
	good, expired := mint(map[string]any{"scope": "orders:read"}), mint(map[string]any{"exp": now.Unix() - 60})
	tests := []struct {
		a     *gateway.Authorizer
		token string
		want  map[string]any
	}{
		{a, "Bearer " + good, map[string]any{"level": "INFO", "msg": "authorized", "sub": "user-1", "kind": "TOKEN", "methods": 2.0, "request_id": "id-1"}},
		{a, "Bearer " + expired, map[string]any{"level": "INFO", "msg": "unauthorized", "reason": "invalid token: expiry: expired", "request_id": "id-1"}},
		{a, "Basic " + good, map[string]any{"level": "INFO", "msg": "unauthorized", "reason": "no bearer token", "request_id": "id-1"}},
		{broken, "Bearer " + good, map[string]any{"level": "ERROR", "msg": "authorizer failed", "error": "verifying token: looking up key: down", "request_id": "id-1"}},
	}
	for _, test := range tests {
		lines.Reset()
		test.a.Handle(gateway.WithInvocation(t.Context(), gateway.Invocation{RequestID: "id-1"}), tokenEvent(test.token, dev+"GET/me"))
		var got map[string]any
		if err := json.Unmarshal(lines.Bytes(), &got); err != nil {
			t.Fatalf("not one line of JSON: %q", lines.String())
		}
		delete(got, "time")
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("-want +got:\n%s", diff)
		}
		for _, part := range strings.Split(good+"."+expired, ".") {
			if strings.Contains(lines.String(), part) {
				t.Errorf("the log holds a part of the token: %s", lines.String())
			}
		}
	}
}

func b64Decode(part string) (string, error) {
	text, err := base64.RawURLEncoding.DecodeString(part)
	return string(text), err
}
