package offline_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/latchkey-auth/latchkey/internal/gateway"
	"github.com/latchkey-auth/latchkey/internal/offline"
)

// TestPagesAreForThisMachine: they are no part of the API, only the names of
// loopback lead to them, and no other origin's page may read them.
func TestPagesAreForThisMachine(t *testing.T) {
	table, err := gateway.NewTable([]gateway.Route{{Method: "GET", Path: "/x", Public: true, To: "f"}})
	if err != nil {
		t.Fatal(err)
	}
	page := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte("mail")) })
	cfg := offline.Config{
		Table: table, Functions: map[string]gateway.Function{"f": nil}, Authorizer: func(context.Context, []byte) ([]byte, error) { return nil, nil },
		CORSOrigins: []string{"https://app.example.com"}, Hosts: []string{"auth.example.com"},
		Pages: map[string]http.Handler{"/inbox": page, "/inbox.json": page, offline.PagePrefix: page},
	}
	g, err := offline.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	for host, want := range map[string]int{
		"127.0.0.1:4000": 200, "localhost": 200, "LOCALHOST:4000": 200, "[::1]:4000": 200, "[::1]": 200,
		"evil.example.com": 403, "auth.example.com": 403, "auth.example.com:4000": 403, "auth.example.com.": 403, "api.localhost": 403, "": 403,
	} {
		for _, path := range []string{"/inbox", "/inbox.json", "/_latchkey/"} {
			for _, method := range []string{"GET", "HEAD", "POST", "DELETE"} {
				r := httptest.NewRequestWithContext(t.Context(), method, path, nil)
				r.Host = host
				r.Header.Set("Origin", "https://app.example.com")
				w := httptest.NewRecorder()
				g.ServeHTTP(w, r)
				if w.Code != want || (w.Body.String() == "mail") != (want == 200) {
					t.Errorf("%s %s of %q: got %d %q, want %d", method, path, host, w.Code, w.Body, want)
				}
				if origin := w.Header().Get("Access-Control-Allow-Origin"); origin != "" && want == 200 {
					t.Errorf("%s of %q: %s may read it", path, host, origin)
				}
			}
		}
	}
	for _, header := range []string{
		"Forwarded", "X-Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Real-Ip", "Via", "Cf-Connecting-Ip", "True-Client-Ip",
		"Fastly-Client-Ip", "X-Client-Ip", "X-Host", "X-Scheme", "x_forwarded_for",
	} {
		r := httptest.NewRequestWithContext(t.Context(), "GET", "/inbox", nil)
		r.Host = "localhost:4000"
		r.Header.Set(header, "203.0.113.9")
		w := httptest.NewRecorder()
		if g.ServeHTTP(w, r); w.Code != 403 {
			t.Errorf("by a tunnel that says %s: %d", header, w.Code)
		}
	}
	for _, path := range []string{"/inbox", "/_latchkey", "/_latchkey/x"} {
		cfg.Table, err = gateway.NewTable([]gateway.Route{{Method: "GET", Path: path, Public: true, To: "f"}})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := offline.New(cfg); err == nil || !strings.Contains(err.Error(), "offline itself answers "+path) {
			t.Errorf("a route in its way: %v", err)
		}
	}
}
