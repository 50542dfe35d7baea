package offline_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/latchkey-auth/latchkey/internal/gateway"
	"github.com/latchkey-auth/latchkey/internal/offline"
)

var uuid = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)

func TestOneLogLinePerRequest(t *testing.T) {
	routes := append([]gateway.Route{
		{Method: "GET", Path: "/boom", Public: true, To: "boom"},
		{Method: "GET", Path: "/panic", Public: true, To: "panic"},
		{Method: "GET", Path: "/down", Public: true, To: "http://127.0.0.1:1"},
	}, shop...)
	a := serve(t, routes, func(cfg *offline.Config) {
		cfg.CORSOrigins = []string{app}
		cfg.Functions["boom"] = func(context.Context, []byte) ([]byte, error) { return nil, errors.New("boom\r\n\x1b[2J") }
		cfg.Functions["panic"] = func(context.Context, []byte) ([]byte, error) { panic("boom") }
	})
	token := a.mint(map[string]any{"sub": "s-7", "scope": "orders:read"})
	expired := a.mint(map[string]any{"exp": a.Now().Unix() - 600})
	auth := "Authorization: Bearer " + token
	tests := []struct {
		method, path string
		headers      []string
		want         map[string]any // beside method, request_id and what every line has
	}{
		{"GET", "/health", nil, map[string]any{"status": 200.0, "route": "GET /health"}},
		{"GET", "/health?token=" + token, nil, map[string]any{"status": 200.0, "route": "GET /health"}},
		{"GET", "/me", nil, map[string]any{"status": 401.0, "route": "GET /me", "gateway_response": "UNAUTHORIZED"}},
		{"GET", "/me", []string{"Authorization: Bearer " + expired}, map[string]any{"status": 401.0, "route": "GET /me", "gateway_response": "UNAUTHORIZED", "authorizer": "called"}},
		{"GET", "/me", []string{auth}, map[string]any{"status": 200.0, "route": "GET /me", "authorizer": "called", "sub": "s-7"}},
		{"GET", "/orders/9", []string{auth}, map[string]any{"status": 200.0, "route": "GET /orders/{id}", "authorizer": "cached", "sub": "s-7"}},
		{"POST", "/orders", []string{auth}, map[string]any{"status": 403.0, "route": "POST /orders", "gateway_response": "ACCESS_DENIED", "authorizer": "cached", "sub": "s-7"}},
		{"GET", "/nowhere", []string{auth}, map[string]any{"status": 403.0, "gateway_response": "MISSING_AUTHENTICATION_TOKEN", "reason": "no route has this path"}},
		{"GET", "/me/", []string{auth}, map[string]any{"status": 403.0, "gateway_response": "MISSING_AUTHENTICATION_TOKEN", "reason": "the path can be read in more than one way: it ends in a slash"}},
		{"OPTIONS", "/me", []string{"Origin: " + app, "Access-Control-Request-Method: GET"}, map[string]any{"status": 204.0}},
		{"GET", "/boom", []string{auth}, map[string]any{"status": 502.0, "route": "GET /boom", "gateway_response": "INTEGRATION_FAILURE", "error": "boom\r\n\x1b[2J", "level": "ERROR"}},
		{"GET", "/panic", []string{auth}, map[string]any{"status": 502.0, "route": "GET /panic", "gateway_response": "INTEGRATION_FAILURE", "error": "function panicked: boom", "level": "ERROR"}},
		{"GET", "/down", []string{auth}, map[string]any{"status": 502.0, "route": "GET /down", "gateway_response": "INTEGRATION_FAILURE", "error": "dial tcp 127.0.0.1:1: connect: connection refused", "level": "ERROR"}},
		{"GET", "/orders/" + strings.Repeat("a", 1600), []string{auth}, map[string]any{"status": 414.0, "route": "GET /orders/{id}"}},
	}
	for i, test := range tests {
		name := test.method + " " + test.path[:min(20, len(test.path))]
		r := a.do(t, test.method, test.path, test.headers...)
		all := a.log.requests(t)
		if len(all) != i+1 {
			t.Fatalf("%s: %d lines after %d requests", name, len(all), i+1)
		}
		got := all[i]
		id, _ := got["request_id"].(string)
		if !uuid.MatchString(id) || id != r.header.Get("X-Amzn-Requestid") {
			t.Errorf("%s: request id %q, and %q in the answer", name, id, r.header.Get("X-Amzn-Requestid"))
		}
		path, _, _ := strings.Cut(test.path, "?")
		want := map[string]any{"level": "INFO", "msg": "request", "method": test.method, "path": path, "request_id": id, "duration_ms": 0.0}
		for name, value := range test.want {
			want[name] = value
		}
		delete(got, "time")
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: -want +got:\n%s", name, diff)
		}
	}
	for _, part := range append(strings.Split(token, "."), strings.Split(expired, ".")[1:]...) {
		if strings.Contains(a.log.String(), part) {
			t.Errorf("the log holds %q of a token", part)
		}
	}
}

func TestOverriddenResponses(t *testing.T) {
	responses, err := gateway.OverrideResponses(map[gateway.ResponseType]gateway.Response{
		gateway.Unauthorized:               {StatusCode: 418, Headers: map[string]string{"X-Why": "no token"}, Body: `{"id":"$context.requestId","type":"$context.error.responseType"}`},
		gateway.MissingAuthenticationToken: {StatusCode: 404, Body: `{"message":"Not Found"}`},
	})
	if err != nil {
		t.Fatal(err)
	}
	a := serve(t, shop, func(cfg *offline.Config) { cfg.Responses = responses })
	r := a.do(t, "GET", "/me")
	if want := fmt.Sprintf(`{"id":%q,"type":"UNAUTHORIZED"}`, r.header.Get("X-Amzn-Requestid")); r.body != want || r.status != 418 || r.header.Get("X-Why") != "no token" {
		t.Errorf("%d %s with %v, want 418 %s", r.status, r.body, r.header, want)
	}
	a.do(t, "GET", "/nowhere").wants(t, http.StatusNotFound, `{"message":"Not Found"}`, "MissingAuthenticationTokenException")
	a.signedIn(t, "GET", "/orders/7", a.mint(nil)).wants(t, 403, denied, "AccessDeniedException")
}

func TestPrintRoutes(t *testing.T) {
	tb, err := gateway.NewTable(append([]gateway.Route{
		{Method: "PUT", Path: "/orders", Scopes: []string{"orders:read", "orders:write"}, To: "http://127.0.0.1:3000/base"},
		{Method: "DELETE", Path: "/orders", Scopes: []string{"orders:write", "admin"}, AnyScope: true, To: "http://127.0.0.1:3000/base"},
		{Method: "PATCH", Path: "/orders", Scopes: []string{"orders:read", "orders:write"}, To: "http://127.0.0.1:3000/base"},
	}, shop...))
	if err != nil {
		t.Fatal(err)
	}
	g, err := offline.New(offline.Config{Table: tb, Functions: map[string]gateway.Function{"echo": echo}, Authorizer: echo})
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := g.PrintRoutes(&out, "http://localhost:4000", "auth", false); err != nil {
		t.Fatal(err)
	}
	const want = `  GET         http://localhost:4000/health         public                           echo
  GET         http://localhost:4000/me             signed in                        echo
  ANY         http://localhost:4000/open/{rest+}   public                           echo
  GET         http://localhost:4000/orders/{id}    scope orders:read                echo
  PUT,PATCH   http://localhost:4000/orders         scope orders:read orders:write   http://127.0.0.1:3000/base
  DELETE      http://localhost:4000/orders         scope orders:write or admin      http://127.0.0.1:3000/base
  POST        http://localhost:4000/orders         scope orders:write               echo
`
	folded, all := new(bytes.Buffer), new(bytes.Buffer)
	if err := errors.Join(g.PrintRoutes(folded, "", "echo", false), g.PrintRoutes(all, "", "echo", true)); err != nil {
		t.Fatal(err)
	}
	const own = "  PUT,PATCH   /orders   scope orders:read orders:write   http://127.0.0.1:3000/base\n  DELETE      /orders   scope orders:write or admin      http://127.0.0.1:3000/base\n"
	if got := folded.String(); !strings.HasPrefix(got, own+"  and 5 routes of the auth service: ") || strings.Count(got, "\n") != 3 {
		t.Errorf("folded:\n%s", got)
	}
	if got := all.String(); !strings.HasPrefix(got, own+"\n  GET ") || strings.Count(got, "echo\n") != 5 {
		t.Errorf("all:\n%s", got)
	}
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}
