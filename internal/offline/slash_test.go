package offline_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/latchkey-auth/latchkey/internal/gateway"
	"github.com/latchkey-auth/latchkey/internal/offline"
)

// TestTrailingSlashReadings asks by each reading, as a user who may read one order
// and not list them.
func TestTrailingSlashReadings(t *testing.T) {
	up := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.RequestURI) }))
	defer up.Close()
	routes := []gateway.Route{
		{Method: "GET", Path: "/orders", Scopes: []string{"orders:list"}, To: "echo"},
		{Method: "GET", Path: "/orders/{id}", Scopes: []string{"orders:read"}, To: "echo"},
		{Method: "GET", Path: "/files/{path+}", To: up.URL},
	}
	const none, denied, ok = http.StatusForbidden, http.StatusForbidden, http.StatusOK
	for _, test := range []struct {
		reading                    gateway.TrailingSlash
		list, one, file, filePlain int
	}{
		{"", none, none, none, ok},
		{gateway.SlashRefuse, none, none, none, ok},
		{gateway.SlashStrip, denied, ok, ok, ok},
		{gateway.SlashKeep, none, none, ok, ok},
	} {
		t.Run("reading "+string(test.reading), func(t *testing.T) {
			a := serve(t, routes, func(cfg *offline.Config) { cfg.TrailingSlash = test.reading })
			token := a.mint(map[string]any{"scope": "orders:read"})
			for path, want := range map[string]int{"/orders/": test.list, "/orders/7/": test.one, "/files/a/": test.file, "/files/a": test.filePlain, "/orders": denied, "/orders/7": ok} {
				r := a.signedIn(t, "GET", path, token)
				if r.status != want {
					t.Errorf("%s: %d %s, want %d", path, r.status, r.body, want)
				}
				if want == ok && path == "/files/a/" && r.body != path {
					t.Errorf("%s reached the server as %s", path, r.body)
				}
			}
		})
	}
}

// TestTrailingSlashBypassesNoRouteOfAServer: servers read /pub/admin/ as /pub/admin.
func TestTrailingSlashBypassesNoRouteOfAServer(t *testing.T) {
	up := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.RequestURI) }))
	defer up.Close()
	a := serve(t, []gateway.Route{
		{Method: "ANY", Path: "/pub/{p+}", Public: true, To: up.URL},
		{Method: "GET", Path: "/pub/admin", Scopes: []string{"admin"}, To: up.URL},
	}, func(cfg *offline.Config) { cfg.TrailingSlash = gateway.SlashKeep })
	for path, want := range map[string]int{"/pub/admin": http.StatusUnauthorized, "/pub/admin/": http.StatusForbidden, "/pub/a/": http.StatusOK} {
		if r := a.do(t, "GET", path); r.status != want {
			t.Errorf("%s without a token: %d %s, want %d", path, r.status, r.body, want)
		}
	}
}
