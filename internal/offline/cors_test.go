package offline_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/latchkey-auth/latchkey/internal/gateway"
	"github.com/latchkey-auth/latchkey/internal/offline"
)

const (
	app    = "https://app.example"
	expose = "WWW-Authenticate, X-Amzn-RequestId, X-Amzn-ErrorType"
)

func withCORS(t *testing.T, routes []gateway.Route) *api {
	t.Helper()
	return serve(t, routes, func(cfg *offline.Config) {
		cfg.CORSOrigins, cfg.CORSHeaders = []string{"http://localhost:5173", app}, []string{"X-Client-Version"}
		cfg.Functions["boom"] = func(context.Context, []byte) ([]byte, error) { return nil, errors.New("boom") }
		cfg.Functions["vary"] = answers(`{"statusCode":200,"headers":{"Vary":"Accept"},"body":"{}"}`)
		cfg.Functions["varyOrigin"] = answers(`{"statusCode":200,"multiValueHeaders":{"Vary":["Origin, Accept","origin"]},"body":"{}"}`)
		cfg.Functions["own"] = answers(`{"statusCode":200,"headers":{"Access-Control-Allow-Origin":"*"},"body":"own"}`)
	})
}

// corsHeaders are those that concern browsers.
func corsHeaders(h http.Header) map[string]string {
	found := make(map[string]string)
	for _, name := range []string{"Origin", "Methods", "Headers", "Credentials"} {
		if v := h.Get("Access-Control-Allow-" + name); v != "" {
			found[name] = v
		}
	}
	if v := h.Get("Access-Control-Expose-Headers"); v != "" {
		found["Expose"] = v
	}
	if v := h.Get("Access-Control-Max-Age"); v != "" {
		found["Max-Age"] = v
	}
	for _, v := range h.Values("Vary") {
		found["Vary"] += v + ";"
	}
	return found
}

func TestPreflight(t *testing.T) {
	a := withCORS(t, append([]gateway.Route{
		{Method: "OPTIONS", Path: "/explicit", Public: true, To: "own"},
		{Method: "OPTIONS", Path: "/guarded", To: "own"},
		{Method: "GET", Path: "/guarded", To: "own"},
	}, shop...))
	listed := func(methods string) map[string]string {
		return map[string]string{"Origin": app, "Methods": methods, "Headers": "Authorization, Content-Type, traceparent, tracestate, baggage, sentry-trace, X-Client-Version", "Max-Age": "600", "Expose": expose, "Vary": "Origin;"}
	}
	unlisted := map[string]string{"Vary": "Origin;"}
	tests := []struct {
		says, path, origin, asks string
		status                   int
		want                     map[string]string
	}{
		{"a listed origin", "/me", app, "GET", 204, listed("GET")},
		{"several verbs", "/orders/7", app, "GET", 204, listed("GET")},
		{"a verb that the resource lacks", "/me", app, "DELETE", 204, listed("GET")},
		{"a route for ANY", "/open/a", app, "PUT", 204, listed("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS")},
		{"an origin that is not listed", "/me", "https://evil.example", "GET", 204, unlisted},
		{"a listed origin as a prefix", "/me", app + ".evil.example", "GET", 204, unlisted},
		{"the origin null", "/me", "null", "GET", 204, unlisted},
		{"a listed host, another scheme", "/me", "http://app.example", "GET", 204, unlisted},
		{"an unknown path", "/nowhere", app, "GET", 403, map[string]string{"Origin": app, "Expose": expose, "Vary": "Origin;"}},
		{"no preflight, only OPTIONS", "/me", app, "", 403, map[string]string{"Origin": app, "Expose": expose, "Vary": "Origin;"}},
		{"a route for OPTIONS answers by itself", "/explicit", app, "GET", 200, map[string]string{"Origin": "*", "Expose": expose, "Vary": "Origin;"}},
		{"a guarded route for OPTIONS is guarded", "/guarded", app, "GET", 401, map[string]string{"Origin": app, "Expose": expose, "Vary": "Origin;"}},
	}
	for _, test := range tests {
		t.Run(test.says, func(t *testing.T) {
			headers := []string{"Origin: " + test.origin}
			if test.asks != "" {
				headers = append(headers, "Access-Control-Request-Method: "+test.asks, "Access-Control-Request-Headers: authorization")
			}
			r := a.do(t, "OPTIONS", test.path, headers...)
			if r.status != test.status {
				t.Errorf("%d %s, want %d", r.status, r.body, test.status)
			}
			if diff := cmp.Diff(test.want, corsHeaders(r.header)); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
	if a.calls.Load() != 0 {
		t.Error("a preflight reached the authorizer")
	}
}

// A browser that may not read a refusal shows the program a network error.
func TestCORSOnEveryAnswer(t *testing.T) {
	a := withCORS(t, append([]gateway.Route{
		{Method: "GET", Path: "/boom", Public: true, To: "boom"},
		{Method: "GET", Path: "/vary", Public: true, To: "vary"},
		{Method: "GET", Path: "/varyOrigin", Public: true, To: "varyOrigin"},
	}, shop...))
	token := "Authorization: Bearer " + a.mint(nil)
	plain := map[string]string{"Origin": app, "Expose": expose, "Vary": "Origin;"}
	tests := []struct {
		says, path string
		headers    []string
		status     int
		want       map[string]string
	}{
		{"success", "/health", nil, 200, plain},
		{"no token", "/me", nil, 401, plain},
		{"a bad token", "/me", []string{"Authorization: x"}, 401, plain},
		{"not granted", "/orders/7", []string{token}, 403, plain},
		{"an unknown route", "/nowhere", []string{token}, 403, plain},
		{"a broken function", "/boom", nil, 502, plain},
		{"a function that varies itself", "/vary", nil, 200, map[string]string{"Origin": app, "Expose": expose, "Vary": "Accept;Origin;"}},
		{"a function with a list of origins", "/varyOrigin", nil, 200, map[string]string{"Origin": app, "Expose": expose, "Vary": "Origin, Accept;"}},
	}
	for _, test := range tests {
		t.Run(test.says, func(t *testing.T) {
			r := a.do(t, "GET", test.path, append(test.headers, "Origin: "+app)...)
			if diff := cmp.Diff(test.want, corsHeaders(r.header)); diff != "" || r.status != test.status {
				t.Errorf("%d, want %d; -want +got:\n%s", r.status, test.status, diff)
			}
			r = a.do(t, "GET", test.path, append(test.headers, "Origin: https://evil.example")...)
			if got := r.header.Get("Access-Control-Allow-Origin"); got != "" || r.header.Get("Vary") == "" {
				t.Errorf("an origin that is not listed got %q, Vary %q", got, r.header["Vary"])
			}
		})
	}
}

func TestCORSOnAuthorizerFaults(t *testing.T) {
	a := serve(t, shop, func(cfg *offline.Config) {
		cfg.CORSOrigins = []string{app}
		cfg.Authorizer = func(context.Context, []byte) ([]byte, error) { return nil, errors.New("boom") }
	})
	r := a.do(t, "GET", "/me", "Authorization: x", "Origin: "+app)
	if r.status != 500 || r.header.Get("Access-Control-Allow-Origin") != app {
		t.Errorf("%d with headers %v", r.status, r.header)
	}
}

func TestCORSOfAnUpstream(t *testing.T) {
	up := behind(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Access-Control-Allow-Origin", "https://its.own")
		w.Header().Set("Vary", "Accept")
	}, "")
	target := up.URL + "/public/x"
	a := withCORS(t, []gateway.Route{{Method: "GET", Path: "/x", Public: true, To: target[:len(target)-2]}})
	r := a.do(t, "GET", "/x", "Origin: "+app)
	want := map[string]string{"Origin": "https://its.own", "Expose": expose, "Vary": "Origin;Accept;"}
	if diff := cmp.Diff(want, corsHeaders(r.header)); diff != "" || r.status != 200 {
		t.Errorf("%d; -want +got:\n%s", r.status, diff)
	}
}

// TestVaryNamesOriginOnce: an upstream has its own list of origins, and the
// answers of the gateway may be overridden.
func TestVaryNamesOriginOnce(t *testing.T) {
	up := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Add("Vary", "Accept, Origin")
		w.Header().Add("Vary", "Origin")
	}))
	t.Cleanup(up.Close)
	responses, err := gateway.OverrideResponses(map[gateway.ResponseType]gateway.Response{
		gateway.MissingAuthenticationToken: {Headers: map[string]string{"vary": "Accept, origin"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	a := serve(t, []gateway.Route{{Method: "GET", Path: "/x", Public: true, To: up.URL}}, func(cfg *offline.Config) {
		cfg.CORSOrigins, cfg.Responses = []string{app}, responses
	})
	for _, path := range []string{"/x", "/nowhere"} {
		r := a.do(t, "GET", path, "Origin: "+app)
		if got := corsHeaders(r.header)["Vary"]; got != "Origin;Accept;" {
			t.Errorf("%s: Vary is %q, want each field once", path, got)
		}
	}
}

// TestOptionsAboutTheGatewayIsNoRoute: "*" is no path, and no preflight.
func TestOptionsAboutTheGatewayIsNoRoute(t *testing.T) {
	a := serve(t, append([]gateway.Route{{Method: "ANY", Path: "/{all+}", Public: true, To: "echo"}}, shop...), func(cfg *offline.Config) { cfg.CORSOrigins = []string{app} })
	r := httptest.NewRequestWithContext(t.Context(), "OPTIONS", "*", nil)
	r.Host = "localhost"
	r.Header.Set("Access-Control-Request-Method", "GET")
	w := httptest.NewRecorder()
	a.Config.Handler.ServeHTTP(w, r)
	if w.Code != http.StatusForbidden || w.Header().Get("X-Amzn-Errortype") != "MissingAuthenticationTokenException" {
		t.Errorf("got %d %v, want the answer of no route", w.Code, w.Header())
	}
	if lines := a.log.requests(t); len(lines) != 1 || lines[0]["status"] != 403.0 || lines[0]["path"] != "*" {
		t.Errorf("the log says %v", lines)
	}
}

func TestWithoutOriginsThereIsNoCORS(t *testing.T) {
	a := serve(t, shop, nil)
	r := a.do(t, "GET", "/health", "Origin: "+app)
	if got := corsHeaders(r.header); len(got) != 0 {
		t.Errorf("headers %v", got)
	}
	a.do(t, "OPTIONS", "/me", "Origin: "+app, "Access-Control-Request-Method: GET").wants(t, 403, missing, "MissingAuthenticationTokenException")
}
