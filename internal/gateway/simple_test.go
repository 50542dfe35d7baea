package gateway_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/latchkey-auth/latchkey/internal/gateway"
)

// routeKeyEvent is an HTTP API's event for a route key.
func routeKeyEvent(t testing.TB, token, key string) []byte {
	t.Helper()
	return edit(t, sample(t, "http-api-2.0", token), fmt.Sprintf(`{"routeKey":%q,"identitySource":["Bearer %s",%q]}`, key, token, key))
}

func isAuthorized(t testing.TB, a *gateway.Authorizer, event []byte) bool {
	t.Helper()
	got, err := a.Handle(t.Context(), event)
	if err != nil {
		t.Fatal(err)
	}
	allowed := strings.HasPrefix(string(got), `{"isAuthorized":true,"context":{"sub":`)
	if !allowed && string(got) != `{"isAuthorized":false}` {
		t.Fatalf("answered %s", got)
	}
	return allowed
}

// TestSimpleAnswers: API Gateway uses a yes again for every route, and for the same
// route key only where the setting says so.
func TestSimpleAnswers(t *testing.T) {
	tb, err := gateway.NewTable([]gateway.Route{
		route(t, "GET /health", "public"), route(t, "GET /me", ""), route(t, "GET /orders/{id}", "orders:read"), route(t, "ANY /admin/{rest+}", "admin"),
		route(t, "GET /users/{id}", "admin"), route(t, "GET /users/self", ""), route(t, "ANY /files/{name}", "admin"), route(t, "GET /files/{name}", ""),
	})
	if err != nil {
		t.Fatal(err)
	}
	const every, read = "orders:read admin", "orders:read"
	for _, c := range []struct {
		scope, key       string
		simple, perRoute bool
	}{
		{scope: every, key: "GET /me", simple: true, perRoute: true},
		{scope: every, key: "$default", simple: true, perRoute: true},
		{scope: every, key: "POST /unknown", simple: true, perRoute: true},
		{scope: read, key: "GET /me", perRoute: true},
		{scope: read, key: "GET /orders/{id}", perRoute: true},
		{scope: read, key: "GET /orders/{order}", perRoute: true}, // the parameter's name does not matter
		{scope: read, key: "GET /orders/{id+}"},
		{scope: read, key: "POST /orders/{id}"},
		{scope: read, key: "ANY /orders/{id}"},
		{scope: read, key: "GET /orders/42"},
		{scope: read, key: "GET /orders"},
		{scope: read, key: "ANY /admin/{rest+}"},
		{scope: read, key: "ANY /{proxy+}"},
		{scope: read, key: "GET /{proxy+}"},
		{scope: read, key: "GET /health", perRoute: true}, // public
		{scope: read, key: "GET /users/self", perRoute: true},
		{scope: read, key: "GET /users/{id}"},
		{scope: read, key: "GET /files/{name}", perRoute: true},
		{scope: read, key: "ANY /files/{name}"}, // it leads to PUT as well
		{scope: read, key: "$default"},
		{scope: read, key: "GET"},
		{scope: read, key: "GET /me/"},
		{scope: read, key: "get /me"},
		{scope: read, key: " GET /me"},
		{scope: "", key: "GET /me", perRoute: true},
		{scope: "", key: "GET /orders/{id}"},
		{scope: "admin", key: "ANY /admin/{rest+}", perRoute: true},
		{scope: "admin", key: "GET /admin/{rest+}"},
	} {
		token := mint(map[string]any{"scope": c.scope})
		for style, want := range map[gateway.HTTPAnswer]bool{gateway.AnswerSimple: c.simple, gateway.AnswerSimplePerRoute: c.perRoute} {
			a := with(t, func(cfg *gateway.AuthorizerConfig) { cfg.Table, cfg.HTTPAnswer = tb, style })
			if got := isAuthorized(t, a, routeKeyEvent(t, token, c.key)); got != want {
				t.Errorf("%s, scope %q, key %q: %v", style, c.scope, c.key, got)
			}
		}
	}
}

// TestSimpleAnswersAreForFormat2: other kinds get what they always get.
func TestSimpleAnswersAreForFormat2(t *testing.T) {
	a := with(t, func(cfg *gateway.AuthorizerConfig) { cfg.HTTPAnswer = gateway.AnswerSimple })
	token := mint(map[string]any{"scope": "orders:read admin"})
	for _, d := range documented {
		got, err := a.Handle(t.Context(), sample(t, d.file, token))
		simple := strings.HasPrefix(string(got), `{"isAuthorized":true,"context"`)
		if err != nil || simple != (d.kind == gateway.KindHTTP2) {
			t.Errorf("%s: %s, error %v", d.file, got, err)
		}
	}
	if got, err := a.Handle(t.Context(), sample(t, "http-api-2.0", "x")); err != nil || string(got) != `{"isAuthorized":false}` {
		t.Errorf("a bad token: %s, error %v", got, err)
	}
	if _, err := gateway.NewAuthorizer(gateway.AuthorizerConfig{Verifier: newVerifier(keySet()), Table: shop(t), EventConfig: gateway.EventConfig{HTTPAnswer: "maybe"}}); err == nil {
		t.Error("an answer of no kind is taken")
	}
}

// TestTheEventNeverSaysPerRoute: a value among the identity sources that looks like the
// route key may be a header's, which anybody can send.
func TestTheEventNeverSaysPerRoute(t *testing.T) {
	a := with(t, func(cfg *gateway.AuthorizerConfig) { cfg.HTTPAnswer = gateway.AnswerSimple })
	if isAuthorized(t, a, routeKeyEvent(t, mint(nil), "GET /me")) {
		t.Error("a yes that API Gateway uses for every route")
	}
}

// TestPerRouteAnswersHoldForEveryRequestOfTheKey: with a yes for a route key, every
// path under that key is one that the table grants, also where the API lacks
// routes of the table.
func TestPerRouteAnswersHoldForEveryRequestOfTheKey(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	scopes := []string{"", "s", "t", "s t"}
	paths := everyPath(4)
	tables, yes := 0, 0
	for tables < 300 {
		var routes []gateway.Route
		for range 1 + random.IntN(5) {
			routes = append(routes, randomRoute(t, random, pick(random, scopes)))
		}
		tb, err := gateway.NewTable(routes)
		if err != nil {
			continue
		}
		tables++
		a := with(t, func(cfg *gateway.AuthorizerConfig) { cfg.Table, cfg.HTTPAnswer = tb, gateway.AnswerSimplePerRoute })
		held := pick(random, scopes)
		token := mint(map[string]any{"scope": held})
		for range 3 {
			key := randomRoute(t, random, "").String()
			if random.IntN(3) > 0 {
				key = pick(random, routes).String()
			}
			method, pattern, _ := strings.Cut(key, " ")
			if !isAuthorized(t, a, routeKeyEvent(t, token, key)) {
				continue
			}
			yes++
			under := table(t, "ANY "+pattern)
			for _, path := range paths {
				if _, ok := under.Match("GET", path); !ok {
					continue
				}
				for _, verb := range []string{"GET", "POST", "PUT"} {
					if m, ok := tb.Match(verb, path); (method == verb || method == "ANY") && ok && !mayCall(m.Route, strings.Fields(held)) {
						t.Fatalf("table %v, scope %q: a yes for %s lets %s %s through to %s", routes, held, key, verb, path, m.Route)
					}
				}
			}
		}
	}
	if yes < 100 {
		t.Errorf("only %d answers were yes", yes)
	}
}

// TestMayLeadTo holds pairs of routes to every path of a small alphabet.
func TestMayLeadTo(t *testing.T) {
	random := rand.New(rand.NewPCG(5, 6))
	paths := everyPath(4)
	under := func(r gateway.Route) []bool {
		tb := table(t, "GET "+r.Path)
		covered := make([]bool, len(paths))
		for i, path := range paths {
			_, covered[i] = tb.Match("GET", path)
		}
		return covered
	}
	verbs := func(r gateway.Route) []string {
		if r.Method == "ANY" {
			return []string{"GET", "POST", "PUT"}
		}
		return []string{r.Method}
	}
	outcomes := make(map[bool]int)
	for range 3000 {
		key, other := randomRoute(t, random, ""), randomRoute(t, random, "")
		a, b := under(key), under(other)
		common, beyond, fewer := false, false, false
		for i := range paths {
			common = common || a[i] && b[i]
			beyond = beyond || a[i] && !b[i]
			fewer = fewer || b[i] && !a[i]
		}
		verb := slices.ContainsFunc(verbs(key), func(v string) bool { return slices.Contains(verbs(other), v) })
		moreSpecific := !beyond && (fewer || key.Method != "ANY" && other.Method == "ANY")
		want := common && verb && !moreSpecific
		outcomes[want]++
		if got := gateway.MayLeadTo(key, other); got != want {
			t.Fatalf("key %s may lead to %s: %v", key, other, got)
		}
	}
	if outcomes[true] < 300 || outcomes[false] < 300 {
		t.Errorf("outcomes %v", outcomes)
	}
}

// everyPath returns the paths of up to so many segments of a small alphabet.
func everyPath(segments int) []string {
	var all []string
	last := []string{""}
	for range segments {
		var next []string
		for _, head := range last {
			for _, part := range []string{"a", "b", "x"} {
				next = append(next, head+"/"+part)
			}
		}
		all, last = append(all, next...), next
	}
	return all
}

// randomRoute returns a route of up to three segments of that alphabet.
func randomRoute(t testing.TB, random *rand.Rand, needs string) gateway.Route {
	t.Helper()
	path := ""
	for depth := range 1 + random.IntN(3) {
		part := pick(random, []string{"a", "b", "{p}", "{p}", "{r+}"})
		path += "/" + strings.Replace(part, "p}", fmt.Sprintf("p%d}", depth), 1)
		if part == "{r+}" {
			break
		}
	}
	return route(t, pick(random, []string{"GET", "POST", "ANY"})+" "+path, needs)
}
