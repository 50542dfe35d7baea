package offline_test

import (
	"net/http"
	"testing"

	"github.com/latchkey-auth/latchkey/internal/gateway"
)

// TestOverlappingRoutesByOneCachedPolicy: the policy that is made for the first request
// is right for every other one, in any order.
func TestOverlappingRoutesByOneCachedPolicy(t *testing.T) {
	routes := []gateway.Route{
		{Method: "GET", Path: "/orders/{id}", Scopes: []string{"read"}, To: "echo"},
		{Method: "GET", Path: "/orders/{id}/refunds", Scopes: []string{"read", "refund"}, To: "echo"},
		{Method: "GET", Path: "/{proxy+}", To: "echo"},
		{Method: "GET", Path: "/orders/{id}/{path+}", Scopes: []string{"read", "refund"}, To: "echo"},
		{Method: "GET", Path: "/admin/{path+}", Scopes: []string{"admin", "root"}, AnyScope: true, To: "echo"},
	}
	const ok, no = http.StatusOK, http.StatusForbidden
	paths := []string{"/orders/7", "/orders/7/refunds", "/orders/7/items/1", "/admin/a/b", "/elsewhere/a"}
	for scope, want := range map[string][]int{
		"":            {no, no, no, no, ok},
		"read":        {ok, no, no, no, ok},
		"refund":      {no, no, no, no, ok},
		"read refund": {ok, ok, ok, no, ok},
		"root":        {no, no, no, ok, ok},
	} {
		for first := range paths {
			a := serve(t, routes, nil)
			token := a.mint(map[string]any{"scope": scope})
			for i := range paths {
				at := (first + i) % len(paths)
				if r := a.signedIn(t, "GET", paths[at], token); r.status != want[at] {
					t.Errorf("scope %q, first %s: GET %s: %d %s, want %d", scope, paths[first], paths[at], r.status, r.body, want[at])
				}
			}
			if n := a.calls.Load(); n != 1 {
				t.Errorf("scope %q: the authorizer was called %d times", scope, n)
			}
		}
	}
}
