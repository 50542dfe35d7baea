package awslambda_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/latchkey-auth/latchkey/internal/awslambda"
)

// connectEvent is a WebSocket API's, with the token as a browser can send it.
func connectEvent(token string) []byte {
	return fmt.Appendf(nil, `{"type":"REQUEST","methodArn":"arn:aws:execute-api:us-east-1:123456789012:abcdef1234/prod/$connect","headers":{"Sec-WebSocket-Protocol":"bearer, %s"},"requestContext":{"eventType":"CONNECT","connectionId":"c"}}`, token)
}

func httpEvent(token string) []byte {
	return fmt.Appendf(nil, `{"version":"2.0","type":"REQUEST","routeKey":"GET /me","routeArn":"arn:aws:execute-api:us-east-1:123456789012:abcdef1234/prod/GET/me","headers":{"authorization":"Bearer %s"},"identitySource":["Bearer %s"]}`, token, token)
}

func appSyncEvent(token string) []byte {
	return fmt.Appendf(nil, `{"authorizationToken":%q,"requestContext":{"apiId":"a","accountId":"123456789012","requestId":"r","queryString":"{ me }","variables":{}}}`, token)
}

// TestEventSettings: what a variable says reaches the answer, and without it the
// default holds.
func TestEventSettings(t *testing.T) {
	good := token(issuer)
	for _, c := range []struct {
		env   environ
		event []byte
		want  string // in the answer or the error
	}{
		{environ{}, connectEvent(good), "Unauthorized"},
		{environ{"LATCHKEY_TOKEN_SOURCES": "header:Authorization, protocol"}, connectEvent(good), `"Effect":"Allow","Resource":["arn:aws:execute-api:us-east-1:123456789012:abcdef1234/prod/$connect"]`},
		{environ{"LATCHKEY_TOKEN_SOURCES": "protocol", "LATCHKEY_WEBSOCKET_SCOPES": "chat"}, connectEvent(good), `"Effect":"Deny","Resource":["arn:aws:execute-api:us-east-1:123456789012:abcdef1234/prod/*"]`},
		{environ{}, httpEvent(good), `"Resource":["arn:aws:execute-api:us-east-1:123456789012:abcdef1234/prod/GET/me"]`},
		{environ{"LATCHKEY_HTTP_API_RESPONSES": "policy"}, httpEvent(good), `"policyDocument"`},
		{environ{"LATCHKEY_HTTP_API_RESPONSES": "simple"}, httpEvent(good), `{"isAuthorized":true,"context":{"sub":"user-1",`},
		{environ{"LATCHKEY_HTTP_API_RESPONSES": "simple-per-route", "LATCHKEY_CONTEXT_CLAIMS": "sub=id"}, httpEvent(good), `{"isAuthorized":true,"context":{"id":"user-1"}}`},
		{environ{"LATCHKEY_CONTEXT_CLAIMS": "iss=by"}, tokenEvent(good), `"context":{"by":"https://auth.example.com"}}`},
		{environ{"LATCHKEY_CONTEXT_CLAIMS": "sub"}, appSyncEvent(good), `{"isAuthorized":true,"resolverContext":{"sub":"user-1"},"deniedFields":[]}`},
		{environ{"LATCHKEY_CONTEXT_CLAIMS": "sub", "LATCHKEY_APPSYNC_FIELDS": "Query.audit=admin"}, appSyncEvent(good), `"deniedFields":["Query.audit"]}`},
		{environ{"LATCHKEY_APPSYNC_SCOPES": "app"}, appSyncEvent(good), `{"isAuthorized":false}`},
	} {
		c.env["LATCHKEY_JWKS"], c.env["LATCHKEY_ISSUER"], c.env["LATCHKEY_ROUTES_FILE"] = keySet(t), issuer, routesFile(t)
		a, err := awslambda.Authorizer(c.env.get, nil, awslambda.Remote{})
		if err != nil {
			t.Fatal(err)
		}
		out, err := a.Handle(t.Context(), c.event)
		if got := fmt.Sprint(string(out), err); !strings.Contains(got, c.want) {
			t.Errorf("%s with %v: %s, want %s", c.event, c.env, got, c.want)
		}
	}
}

// TestEventSettingsAreRefusedByName: half of a setting would leave a door open or shut.
func TestEventSettingsAreRefusedByName(t *testing.T) {
	for _, c := range []struct{ name, value, says string }{
		{"LATCHKEY_TOKEN_SOURCES", "Authorization", `token source "Authorization": must be header:NAME`},
		{"LATCHKEY_TOKEN_SOURCES", "cookie:session,", "must be header:NAME"},
		{"LATCHKEY_TOKEN_SOURCES", `"protocol"`, "is in quotes"},
		{"LATCHKEY_CONTEXT_CLAIMS", "cognito:groups", "write CLAIM=NAME"},
		{"LATCHKEY_CONTEXT_CLAIMS", "sub\n", "holds a line end"},
		{"LATCHKEY_HTTP_API_RESPONSES", "Simple", "must be policy, simple or simple-per-route"},
		{"LATCHKEY_HTTP_API_RESPONSES", "true", "must be policy, simple or simple-per-route"},
		{"LATCHKEY_WEBSOCKET_SCOPES", "chat chat", "stands twice"},
		{"LATCHKEY_APPSYNC_SCOPES", `a"b`, "visible ASCII"},
		{"LATCHKEY_APPSYNC_FIELDS", "Query.audit", "must be TYPE.FIELD=SCOPE"},
	} {
		env := environ{"LATCHKEY_JWKS": keySet(t), "LATCHKEY_ISSUER": issuer, "LATCHKEY_ROUTES_FILE": routesFile(t), c.name: c.value}
		_, err := awslambda.Authorizer(env.get, nil, awslambda.Remote{})
		if err == nil || !strings.HasPrefix(err.Error(), c.name) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s=%q: error %v, want %q", c.name, c.value, err, c.says)
		}
	}
}
