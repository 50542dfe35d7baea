package offline_test

import (
	"context"
	"net/http"
	"strings"
	"testing"

	"github.com/latchkey-auth/latchkey/internal/gateway"
	"github.com/latchkey-auth/latchkey/internal/offline"
)

// TestReplace changes the routes of an API that is being served.
func TestReplace(t *testing.T) {
	a := serve(t, shop, nil)
	token := a.mint(map[string]any{"scope": "orders:read"})
	for range 2 { // called, then cached
		a.signedIn(t, "GET", "/orders/7", token).event(t)
	}
	if n := a.calls.Load(); n != 1 {
		t.Fatalf("the authorizer was called %d times, want once", n)
	}

	// What was granted before is not granted by an answer that is left over.
	changed := a.with(t, []gateway.Route{
		{Method: "GET", Path: "/orders/{id}", Scopes: []string{"orders:write"}, To: "echo"},
		{Method: "GET", Path: "/more", Scopes: []string{"orders:read"}, To: "echo"},
	})
	if err := a.gateway.Replace(changed); err != nil {
		t.Fatal(err)
	}
	if r := a.signedIn(t, "GET", "/orders/7", token); r.status != http.StatusForbidden {
		t.Errorf("%d %s by the policy of the table before, want 403", r.status, r.body)
	}
	a.signedIn(t, "GET", "/more", token).event(t)
	if r := a.do(t, "GET", "/health"); r.status != http.StatusForbidden {
		t.Errorf("a route that is gone answers %d", r.status)
	}
	if n := a.calls.Load(); n != 2 {
		t.Errorf("the authorizer was called %d times, want twice", n)
	}

	// A configuration that is refused changes nothing.
	err := a.gateway.Replace(a.with(t, []gateway.Route{{Method: "GET", Path: "/more", Public: true, To: "nowhere"}}))
	if err == nil || !strings.Contains(err.Error(), `leads to "nowhere"`) {
		t.Errorf("%v", err)
	}
	a.signedIn(t, "GET", "/more", token).event(t)
	if n := a.calls.Load(); n != 2 {
		t.Errorf("the authorizer was called again: its cache is gone")
	}
}

// TestReplaceUnderWay: an answer of the authorizer before does not reach the cache of
// the one after, and its request ends by the table that it began with.
func TestReplaceUnderWay(t *testing.T) {
	asked, answer := make(chan struct{}), make(chan struct{})
	var before gateway.Function
	a := serve(t, shop, func(cfg *offline.Config) {
		before = cfg.Authorizer
		cfg.Authorizer = func(ctx context.Context, event []byte) ([]byte, error) {
			close(asked)
			<-answer
			return before(ctx, event)
		}
	})
	token := a.mint(map[string]any{"scope": "orders:read"})
	status := make(chan int)
	go func() { status <- a.signedIn(t, "GET", "/orders/7", token).status }()
	<-asked
	if err := a.gateway.Replace(a.with(t, []gateway.Route{{Method: "GET", Path: "/orders/{id}", Scopes: []string{"orders:write"}, To: "echo"}})); err != nil {
		t.Fatal(err)
	}
	close(answer)
	if got := <-status; got != http.StatusOK {
		t.Errorf("the request under way got %d", got)
	}
	if r := a.signedIn(t, "GET", "/orders/7", token); r.status != http.StatusForbidden {
		t.Errorf("%d by the policy of the table before, want 403", r.status)
	}
}

// with is the API's configuration with other routes.
func (a *api) with(t *testing.T, routes []gateway.Route) offline.Config {
	t.Helper()
	tb, err := gateway.NewTable(routes)
	if err != nil {
		t.Fatal(err)
	}
	cfg := a.config
	cfg.Table, cfg.Authorizer = tb, a.authorizer(t, tb, nil, a.calls, gateway.EventConfig{})
	return cfg
}
