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

// TestPagesAreForThisMachine: they are no part of the API, no other name leads to
// them, and no other origin's page may read them.
func TestPagesAreForThisMachine(t *testing.T) {
	table, err := gateway.NewTable([]gateway.Route{{Method: "GET", Path: "/x", Public: true, To: "f"}})
	if err != nil {
		t.Fatal(err)
	}
	cfg := offline.Config{
		Table: table, Functions: map[string]gateway.Function{"f": nil}, Authorizer: func(context.Context, []byte) ([]byte, error) { return nil, nil },
		CORSOrigins: []string{"https://app.example.com"},
		Pages:       map[string]http.Handler{"/inbox": http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte("mail")) })},
	}
	g, err := offline.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	for host, want := range map[string]int{"127.0.0.1:4000": 200, "localhost": 200, "evil.example.com": 403} {
		r := httptest.NewRequestWithContext(t.Context(), "GET", "http://"+host+"/inbox", nil)
		r.Header.Set("Origin", "https://app.example.com")
		w := httptest.NewRecorder()
		g.ServeHTTP(w, r)
		if w.Code != want || (w.Body.String() == "mail") != (want == 200) {
			t.Errorf("%s: got %d %q, want %d", host, w.Code, w.Body, want)
		}
		if origin := w.Header().Get("Access-Control-Allow-Origin"); origin != "" && want == 200 {
			t.Errorf("%s: %s may read it", host, origin)
		}
	}
	cfg.Table, err = gateway.NewTable([]gateway.Route{{Method: "GET", Path: "/inbox", Public: true, To: "f"}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := offline.New(cfg); err == nil || !strings.Contains(err.Error(), "offline itself answers /inbox") {
		t.Errorf("a route in its way: %v", err)
	}
}
