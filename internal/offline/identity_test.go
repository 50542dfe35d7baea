package offline_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/latchkey-auth/latchkey/internal/gateway"
	"github.com/latchkey-auth/latchkey/internal/offline"
)

// requests serves the shop behind the real authorizer, as one of type REQUEST.
func requests(t *testing.T, tokens, identity string, ttl time.Duration) *api {
	t.Helper()
	from, err := gateway.ParseTokenSources(tokens)
	if err != nil {
		t.Fatal(err)
	}
	by, err := offline.ParseIdentitySources(identity)
	if err != nil {
		t.Fatal(err)
	}
	calls := &atomic.Int64{}
	a := serve(t, shop, func(cfg *offline.Config) {
		cfg.IdentitySources, cfg.AuthorizerTTL = by, ttl
		cfg.Authorizer = newClock().authorizer(t, cfg.Table, slog.New(slog.DiscardHandler), calls, gateway.EventConfig{Sources: from})
	})
	a.calls = calls
	return a
}

func TestRequestAuthorizerEvent(t *testing.T) {
	var event atomic.Value
	a := faked(t, func(_ context.Context, doc []byte) ([]byte, error) {
		event.Store(doc)
		return []byte(allow("*", "{}")), nil
	}, func(cfg *offline.Config) {
		cfg.IdentitySources = []offline.IdentitySource{"method.request.header.Authorization"}
	})
	a.send(t, "GET", "/orders/a%20b?c=d&c=e", strings.NewReader("a body"), "Authorization: Bearer any", "X-Two: 1", "X-Two: 2")
	doc := event.Load().([]byte)
	kind, q, err := gateway.ReadEvent(doc)
	if err != nil || kind != gateway.KindRequest || q.Credential != "Bearer any" || q.Asked.String() != stageARN+"GET/orders/a%20b" {
		t.Errorf("%s is read as %q, %+v, error %v", doc, kind, q, err)
	}
	var got map[string]any
	if err := json.Unmarshal(doc, &got); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]any{
		"type": "REQUEST", "methodArn": stageARN + "GET/orders/a%20b", "resource": "/orders/{id}", "path": "/orders/a%20b", "httpMethod": "GET",
		"queryStringParameters": map[string]any{"c": "e"}, "multiValueQueryStringParameters": map[string]any{"c": []any{"d", "e"}},
		"pathParameters": map[string]any{"id": "a b"}, "stageVariables": nil, "body": nil, "isBase64Encoded": nil,
	} {
		if diff := cmp.Diff(want, got[name]); diff != "" {
			t.Errorf("%s: -want +got:\n%s", name, diff)
		}
	}
	if _, there := got["body"]; there {
		t.Error("the authorizer is sent the body")
	}
	headers := got["multiValueHeaders"].(map[string]any)
	if diff := cmp.Diff([]any{"1", "2"}, headers["X-Two"]); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if c := got["requestContext"].(map[string]any); c["httpMethod"] != "GET" || c["stage"] != "dev" || c["authorizer"] != nil {
		t.Errorf("requestContext %v", c)
	}
}

// TestAnswersAreKeptByIdentity: by the values of the identity sources, never by the
// route, and not without all of them.
func TestAnswersAreKeptByIdentity(t *testing.T) {
	a := requests(t, "header:Authorization", "method.request.header.Authorization, method.request.header.X-Tenant,method.request.querystring.v", 300*time.Second)
	token := a.mint(map[string]any{"scope": "orders:read"})
	for _, step := range []struct {
		path    string
		headers []string
		status  int
		calls   int64
	}{
		{"/me?v=1", []string{"Authorization: Bearer " + token, "X-Tenant: a"}, 200, 1},
		{"/orders/7?v=1", []string{"Authorization: Bearer " + token, "X-Tenant: a"}, 200, 1},
		{"/me?v=2", []string{"Authorization: Bearer " + token, "X-Tenant: a"}, 200, 2},
		{"/me?v=1", []string{"Authorization: Bearer " + token, "X-Tenant: b"}, 200, 3},
		{"/me?v=1", []string{"Authorization: Bearer " + a.mint(nil), "X-Tenant: b"}, 200, 4},
		{"/orders/7?v=1", []string{"Authorization: Bearer " + a.mint(nil), "X-Tenant: b"}, 403, 4},
		// The function is not called where one is missing, empty or there twice.
		{"/me", []string{"Authorization: Bearer " + token, "X-Tenant: a"}, 401, 4},
		{"/me?v=", []string{"Authorization: Bearer " + token, "X-Tenant: a"}, 401, 4},
		{"/me?v=1&v=1", []string{"Authorization: Bearer " + token, "X-Tenant: a"}, 401, 4},
		{"/me?V=1", []string{"Authorization: Bearer " + token, "X-Tenant: a"}, 401, 4},
		{"/me?v=1", []string{"Authorization: Bearer " + token}, 401, 4},
		{"/me?v=1", []string{"X-Tenant: a"}, 401, 4},
		{"/me?v=1", []string{"Authorization: Bearer " + token, "Authorization: Bearer " + token, "X-Tenant: a"}, 401, 4},
	} {
		if r := a.do(t, "GET", step.path, step.headers...); r.status != step.status || a.calls.Load() != step.calls {
			t.Errorf("%s with %.60q: %d, %d calls, want %d, %d", step.path, step.headers, r.status, a.calls.Load(), step.status, step.calls)
		}
	}
}

// TestValuesThatRunIntoEachOther are two identities.
func TestValuesThatRunIntoEachOther(t *testing.T) {
	a := requests(t, "query:t", "method.request.querystring.t,method.request.header.X-A,method.request.header.X-B", 300*time.Second)
	token := a.mint(nil)
	for _, headers := range [][]string{{"X-A: ab", "X-B: c"}, {"X-A: a", "X-B: bc"}, {"X-A: a1:b", "X-B: c"}, {"X-A: a", "X-B: 1:bc"}} {
		before := a.calls.Load()
		if r := a.do(t, "GET", "/me?t="+token, headers...); r.status != 200 || a.calls.Load() != before+1 {
			t.Errorf("%q: %d after %d calls", headers, r.status, a.calls.Load()-before)
		}
	}
}

// TestTokensOfARequestAuthorizer stand where the setting says. Without a cache no
// identity source is needed.
func TestTokensOfARequestAuthorizer(t *testing.T) {
	a := requests(t, "header:Authorization, cookie:session", "method.request.header.Authorization", 0)
	token := a.mint(nil)
	for _, c := range []struct {
		headers []string
		want    int
	}{
		{[]string{"Authorization: Bearer " + token}, 200},
		{[]string{"Cookie: a=1; session=" + token}, 200},
		{[]string{"Cookie: session=" + token, "Authorization: Bearer " + token}, 401},
		{[]string{"Authorization: Bearer " + token, "Authorization: Bearer " + token}, 401},
		{[]string{"Cookie: session=x"}, 401},
		{nil, 401},
	} {
		before := a.calls.Load()
		if r := a.do(t, "GET", "/me", c.headers...); r.status != c.want || a.calls.Load() != before+1 {
			t.Errorf("%.40q: %d after %d calls, want %d", c.headers, r.status, a.calls.Load()-before, c.want)
		}
	}
	// An authorizer of type TOKEN sees no cookie.
	plain := serve(t, shop, nil)
	if r := plain.do(t, "GET", "/me", "Cookie: session="+plain.mint(nil)); r.status != 401 || plain.calls.Load() != 0 {
		t.Errorf("%d after %d calls", r.status, plain.calls.Load())
	}
}

func TestParseIdentitySources(t *testing.T) {
	got, err := offline.ParseIdentitySources("method.request.header.Authorization, method.request.querystring.access_token")
	if diff := cmp.Diff([]offline.IdentitySource{"method.request.header.Authorization", "method.request.querystring.access_token"}, got); diff != "" || err != nil {
		t.Errorf("error %v, -want +got:\n%s", err, diff)
	}
	for list, says := range map[string]string{
		"":                          "must be method.request.header.NAME",
		"Authorization":             "must be method.request.header.NAME",
		"method.request.header.":    "must be method.request.header.NAME",
		"method.request.header.A B": "must be method.request.header.NAME",
		"method.request.path.id":    "must be method.request.header.NAME", // nor does AWS take these
		"$request.header.A":         "must be method.request.header.NAME",
		"context.identity.sourceIp": "headers and query parameters only",
		"stageVariables.x":          "headers and query parameters only",
		"method.request.header.A,method.request.header.A": "stands twice",
		"method.request.header.A,":                        "must be method.request.header.NAME",
	} {
		if got, err := offline.ParseIdentitySources(list); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%q: %q, error %v, want %q", list, got, err, says)
		}
	}
}
