package offline_test

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"html"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/latchkey-auth/latchkey/internal/gateway"
	"github.com/latchkey-auth/latchkey/internal/offline"
)

// TestLandingPage: it shows the routes that answer now, under names of loopback
// alone, runs nothing, and leaves AWS's answer to GET / as it is.
func TestLandingPage(t *testing.T) {
	table := func(own string) *gateway.Table {
		tb, err := gateway.NewTable([]gateway.Route{
			{Method: "GET", Path: own, Public: true, To: "f"}, {Method: "POST", Path: "/login", Public: true, To: "auth"},
		})
		if err != nil {
			t.Fatal(err)
		}
		return tb
	}
	none := gateway.Function(nil)
	cfg := offline.Config{
		Table: table("/first"), Functions: map[string]gateway.Function{"f": none, "auth": none},
		Authorizer: func(context.Context, []byte) ([]byte, error) { return nil, nil }, Hosts: []string{"auth.example.com"},
		Pages:   map[string]http.Handler{"/inbox": http.NotFoundHandler()},
		Landing: &offline.Landing{Base: "http://127.0.0.1:4000", Service: "auth", User: "francesco", Password: "<b>password"},
	}
	g, err := offline.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	get := func(method, host, path string) *httptest.ResponseRecorder {
		r := httptest.NewRequestWithContext(t.Context(), method, path, nil)
		r.Host = host
		w := httptest.NewRecorder()
		g.ServeHTTP(w, r)
		return w
	}
	for _, host := range []string{"localhost:4000", "127.0.0.1:4000", "[::1]:4000"} {
		w := get("GET", host, "/_latchkey/")
		body := html.UnescapeString(w.Body.String())
		for _, part := range []string{
			`<html lang="en">`, "<h1>", "GET /first", "POST /login", `href="/inbox"`, "francesco",
			`curl -s http://127.0.0.1:4000/login -H 'content-type: application/json' -d '{"username":"francesco","password":"<b>password"}'`,
		} {
			if w.Code != http.StatusOK || !strings.Contains(body, part) {
				t.Errorf("%s: %d, lacks %q: %s", host, w.Code, part, w.Body)
			}
		}
		if strings.Contains(w.Body.String(), "<script") || strings.Contains(w.Body.String(), "<b>") || strings.Count(w.Body.String(), "<h1>") != 1 {
			t.Errorf("the page: %s", w.Body)
		}
		_, rest, _ := strings.Cut(w.Body.String(), "<style>")
		style, _, _ := strings.Cut(rest, "</style>")
		sum := sha256.Sum256([]byte(style))
		if policy := w.Header().Get("Content-Security-Policy"); !strings.Contains(policy, base64.StdEncoding.EncodeToString(sum[:])) {
			t.Errorf("%q does not name the style", policy)
		}
	}
	for _, host := range []string{"auth.example.com", "auth.example.com:4000", "evil.example"} {
		if w := get("GET", host, "/_latchkey/"); w.Code != http.StatusForbidden || strings.Contains(w.Body.String(), "francesco") {
			t.Errorf("%s: %d %s", host, w.Code, w.Body)
		}
	}
	if w := get("POST", "localhost", "/_latchkey/"); w.Code != http.StatusMethodNotAllowed {
		t.Errorf("POST: %d", w.Code)
	}
	if w := get("GET", "localhost", "/"); w.Code != http.StatusForbidden || !strings.Contains(w.Body.String(), "Missing Authentication Token") {
		t.Errorf("GET /: %d %s", w.Code, w.Body)
	}
	cfg.Table = table("/second")
	if err := g.Replace(cfg); err != nil {
		t.Fatal(err)
	}
	if w := get("GET", "localhost", "/_latchkey/"); !strings.Contains(w.Body.String(), "GET /second") || strings.Contains(w.Body.String(), "/first") {
		t.Errorf("after a change of the routes: %s", w.Body)
	}
}
