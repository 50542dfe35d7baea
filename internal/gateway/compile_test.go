package gateway_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/latchkey-auth/latchkey/internal/costtest"
	"github.com/latchkey-auth/latchkey/internal/gateway"
)

// tableOf reads routes as "GET /path: needs".
func tableOf(t testing.TB, texts ...string) ([]gateway.Route, *gateway.Table, error) {
	t.Helper()
	var routes []gateway.Route
	for _, text := range texts {
		r, needs, _ := strings.Cut(text, ": ")
		routes = append(routes, route(t, r, needs))
	}
	tb, err := gateway.NewTable(routes)
	return routes, tb, err
}

// grantsOf is what the table grants to a principal with the scopes.
func grantsOf(t testing.TB, tb *gateway.Table, scopes string) gateway.Grants {
	t.Helper()
	d, err := newAuthorizer(tb).Decide(t.Context(), gateway.Question{Credential: "Bearer " + mint(map[string]any{"scope": scopes})})
	if err != nil {
		t.Fatal(err)
	}
	return d.Grants
}

func TestCompile(t *testing.T) {
	type policy struct{ allowed, denied string }
	none := policy{}
	tests := []struct {
		says   string
		routes []string
		want   map[string]policy // by scopes
	}{
		{"a nested route", []string{"GET /orders/{id}: read", "GET /orders/{id}/refunds: refund"}, map[string]policy{
			"":            none,
			"read":        {"GET/orders/*", "GET/orders/*%* GET/orders/*/*"},
			"refund":      {"GET/orders/*/refunds", "GET/orders/%* GET/orders//*"}, // GET/orders//refunds may be GET /orders/{id}
			"read refund": {"GET/orders/*", ""},
		}},
		{"... that asks for less, the same or nothing", []string{"GET /orders/{id}: read", "GET /orders/{id}/a: ", "GET /orders/{id}/b: read", "GET /orders/{id}/c: public"}, map[string]policy{
			"":     {"GET/orders/*/a", "GET/orders/%* GET/orders//*"},
			"read": {"GET/orders/*", ""},
		}},
		{"... of another verb", []string{"GET /orders/{id}: read", "POST /orders/{id}/refunds: refund"}, map[string]policy{"read": {"GET/orders/*", ""}}},
		{"... beside a granted sibling", []string{"GET /orders/{id}: read", "GET /orders/{id}/items: read", "GET /orders/{id}/refunds: refund"}, map[string]policy{
			"read": {"GET/orders/*", "GET/orders/*%* GET/orders/*/refunds GET/orders/*/refunds/*"},
		}},
		{"... with a granted route below it", []string{"GET /orders/{id}: read", "GET /orders/{id}/refunds: refund", "GET /orders/{id}/refunds/{rid}: read"}, map[string]policy{
			"read": {"GET/orders/*", "GET/orders/*%* GET/orders/*/refunds GET/orders/*/refunds/ GET/orders/*/refunds//* GET/orders//*"},
		}},
		{"a literal beside a parameter", []string{"GET /users/{id}: read", "GET /users/me: me", "GET /users: list"}, map[string]policy{
			"read":      {"GET/users/*", "GET/users/ GET/users/%* GET/users//* GET/users/m%* GET/users/me GET/users/me%* GET/users/me/*"},
			"me":        {"GET/users/me", ""},
			"read me":   {"GET/users/*", "GET/users/ GET/users/%* GET/users//*"},
			"read list": {"GET/users/* GET/users", "GET/users/%* GET/users//* GET/users/m%* GET/users/me GET/users/me%* GET/users/me/*"},
		}},
		{"a catch-all and a subtree", []string{"GET /{proxy+}: ", "GET /ab/{path+}: admin"}, map[string]policy{
			"":      {"GET/*", "GET/%* GET//* GET/a%* GET/ab%* GET/ab/*"},
			"admin": {"GET/*", ""},
		}},
		{"a catch-all and literals", []string{"GET /{proxy+}: ", "GET /a: admin", "GET /b/c: admin"}, map[string]policy{
			"": {"GET/*", "GET/%* GET//* GET/a GET/a%* GET/a/ GET/a/%* GET/a//* GET/b%* GET/b/%* GET/b//* GET/b/c GET/b/c%* GET/b/c/ GET/b/c/%* GET/b/c//*"},
		}},
		{"a catch-all and all below a parameter", []string{"GET /{proxy+}: ", "GET /a/{id}: admin", "GET /a/{id}/{path+}: admin"}, map[string]policy{
			"":      {"GET/*", "GET/%* GET//* GET/a%* GET/a/*"},
			"admin": {"GET/*", ""},
		}},
		{"a catch-all that is not granted", []string{"GET /a/{id}: read", "GET /{proxy+}: read admin"}, map[string]policy{
			"read":       {"GET/a/*", "GET/a/ GET/a/*%* GET/a/*/*"},
			"admin":      none,
			"read admin": {"GET/*", ""},
		}},
		{"a parameter and what is longer", []string{"GET /{id}: one", "GET /{path+}: more"}, map[string]policy{
			"one":      {"GET/*", "GET/*%* GET/*/*"},
			"more":     {"GET/*/*", "GET/%* GET/*/ GET/*/%* GET/*//* GET//*"},
			"one more": {"GET/*", ""},
		}},
		{"the root", []string{"GET /: root", "GET /{path+}: rest"}, map[string]policy{
			"root": {"GET/", ""},
			"rest": {"GET/*", "GET/ GET/%* GET//*"},
		}},
		{"a declared verb is not of ANY", []string{"ANY /a/{id}: read", "GET /a/{id}: admin"}, map[string]policy{
			"read":  {"HEAD/a/* POST/a/* PUT/a/* PATCH/a/* DELETE/a/* OPTIONS/a/*", ""},
			"admin": {"GET/a/*", ""},
		}},
		{"one of several scopes", []string{"GET /a/{id}: x|y", "GET /a/{id}/b: y|z", "GET /a/{id}/c: x y"}, map[string]policy{
			"x":     {"GET/a/*", "GET/a/*%* GET/a/*/*"},
			"z":     {"GET/a/*/b", "GET/a/%* GET/a//*"},
			"y":     {"GET/a/*", "GET/a/*%* GET/a/*/c GET/a/*/c/*"},
			"x y z": {"GET/a/*", ""},
		}},
		{"parameters first", []string{"GET /{t}/users/{id}: users", "GET /{t}/orders/{id}: orders"}, map[string]policy{
			"users": {"GET/*/users/*", "GET/%* GET/*/users/ GET/*/users/%* GET/*/users//* GET//*"},
		}},
	}
	for _, test := range tests {
		t.Run(test.says, func(t *testing.T) {
			_, tb, err := tableOf(t, test.routes...)
			if err != nil {
				t.Fatal(err)
			}
			got := make(map[string]policy)
			for scopes := range test.want {
				g := grantsOf(t, tb, scopes)
				got[scopes] = policy{strings.Join(g.Allowed, " "), strings.Join(g.Denied, " ")}
				if again := grantsOf(t, tb, scopes); !cmp.Equal(g, again) {
					t.Errorf("%q: %v, and then %v", scopes, g, again)
				}
			}
			if diff := cmp.Diff(test.want, got, cmp.AllowUnexported(policy{})); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

// What a policy cannot say is refused, with the routes and the ways out.
func TestOverGrant(t *testing.T) {
	tests := []struct {
		says          string
		routes        []string
		example, lost string
		way           string
	}{
		{"between a shorter and a longer one", []string{"GET /{a}: one", "GET /{a}/{b}: two", "GET /{a}/{b}/{c}: one"},
			"GET /x/x", "GET /x/x/x", "ask at GET /{a}/{b}/{c} for what GET /{a}/{b} needs, too"},
		{"part of a catch-all", []string{"GET /{p+}: one", "GET /orders/{id}: two"},
			"GET /orders/x", "GET /orders/x/x", "declare GET /orders/{id}/{path+} with the needs of GET /orders/{id}"},
		{"the end of a part of a catch-all", []string{"ANY /{p+}: one", "DELETE /orders/{id}/all: two"},
			"DELETE /orders/x/all", "DELETE /orders/x/x/all", "declare DELETE /orders/{id}/{path+} with the needs of DELETE /orders/{id}/all"},
		{"a catch-all between two routes", []string{"GET /orders/{id}: one", "GET /{p+}: two", "GET /orders/{id}/items: one"},
			"GET /orders/x/x", "GET /orders/x/items", "declare GET /orders/{id}/{path+} with the needs of GET /orders/{id}"},
		{"a parameter's resource lacks the verb", []string{"GET /{a}: two", "GET /{p+}: one", "POST /lit: one"},
			"GET /lit", "GET /x", "move it to a path of its own"},
		{"the end of what is below", []string{"GET /orders/{id}/{path+}: one", "GET /orders/{id}/refunds: two"},
			"GET /orders/x/refunds", "GET /orders/x/x/refunds", "ask at GET /orders/{id}/{path+} for what GET /orders/{id}/refunds needs, too"},
		{"one of several scopes", []string{"GET /{a}: x|y", "GET /{a}/{b}: y|z", "GET /{a}/{b}/{c}: x"},
			"GET /x/x", "GET /x/x/x", "make it public"},
	}
	for _, test := range tests {
		t.Run(test.says, func(t *testing.T) {
			routes, _, err := tableOf(t, test.routes...)
			var over *gateway.OverGrantError
			if !errors.As(err, &over) {
				t.Fatalf("got error %v, want an OverGrantError", err)
			}
			if over.Example != test.example || over.Lost != test.lost {
				t.Errorf("example %q, lost %q, want %q and %q", over.Example, over.Lost, test.example, test.lost)
			}
			if over.Granting.String() != routes[0].String() || over.Exposed.String() != routes[1].String() {
				t.Errorf("%s exposes %s, want %s and %s", over.Granting, over.Exposed, routes[0], routes[1])
			}
			for _, part := range []string{over.Granting.String(), over.Exposed.String(), over.Denied.String(), test.example, test.lost, test.way, "* crosses /"} {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("error %q does not say %q", err, part)
				}
			}
		})
	}
}

// TestOverGrantWaysOut: a table that is declared as a refusal proposes is taken.
func TestOverGrantWaysOut(t *testing.T) {
	for _, routes := range [][]string{
		{"GET /{p+}: one", "GET /orders/{id}: two", "GET /orders/{id}/{path+}: two"},
		{"ANY /{p+}: one", "DELETE /orders/{id}/all: two", "DELETE /orders/{id}/{path+}: two"},
		{"GET /orders/{id}: one", "GET /{p+}: two", "GET /orders/{id}/items: one", "GET /orders/{id}/{path+}: one"},
		{"GET /orders/{id}/{path+}: two", "GET /orders/{id}/refunds: two"},
		{"GET /{p+}: ", "GET /orders/{id}: one", "GET /orders/{id}/refunds: one two", "GET /orders/{id}/{path+}: one two"},
		{"GET /{a}: one", "GET /{a}/{b}: two", "GET /{a}/{b}/{c}: two"},
		{"GET /{a}: one", "GET /{a}/{b}: public", "GET /{a}/{b}/{c}: one"},
		{"GET /{a}: one", "GET /{a}/{b}: one", "GET /{a}/{b}/{c}: one"},
	} {
		if _, _, err := tableOf(t, routes...); err != nil {
			t.Errorf("%v: %v", routes, err)
		}
	}
}

// A table in which the search for a path would not end in time is taken for one in
// which there is such a path.
func TestCompileDeniesWhatItCannotSearch(t *testing.T) {
	routes := []string{"GET /{p0}/q: one"}
	const depth = 18
	var all, path []string
	for i := range depth {
		parts := make([]string, depth)
		for j := range parts {
			parts[j] = fmt.Sprintf("{p%d}", j)
		}
		parts[i] = fmt.Sprintf("l%d", i)
		routes = append(routes, "GET /"+strings.Join(parts, "/")+": public")
		all = append(all, fmt.Sprintf("{p%d}", i))
		path = append(path, "z")
	}
	_, tb, err := tableOf(t, append(routes, "GET /"+strings.Join(all, "/")+": two")...)
	if err != nil {
		t.Fatal(err)
	}
	p, err := policyOf(newAuthorizer(tb), []string{"one"})
	if err != nil {
		t.Fatal(err)
	}
	path[depth-1] = "q"
	for arn, want := range map[string]gateway.EvalDecision{dev + "GET/z/q": gateway.Allow, dev + "GET/" + strings.Join(path, "/"): gateway.ExplicitDeny} {
		if got := p.Evaluate(gateway.ActionInvoke, arn); got != want {
			t.Errorf("%s: %v, want %v", arn, got, want)
		}
	}
}

// A table that would take minutes to look at is refused in seconds.
func TestCompileRefusesWhatTakesTooLong(t *testing.T) {
	gateway.BoundWalks(t, 1000, 10_000) // the race detector makes each dear
	var routes []string
	const depth = 18
	for i := range depth {
		for j := range i {
			parts := make([]string, depth)
			for k := range parts {
				parts[k] = fmt.Sprintf("{p%d}", k)
			}
			parts[i], parts[j] = fmt.Sprintf("l%d", i), fmt.Sprintf("l%d", j)
			routes = append(routes, fmt.Sprintf("GET /%s: s%d.%d", strings.Join(parts, "/"), i, j))
		}
	}
	var err error
	took := costtest.Once(func() { _, _, err = tableOf(t, routes...) })
	if err == nil || !strings.Contains(err.Error(), "too many ways") {
		t.Errorf("got error %.200v", err)
	}
	if took > 20*time.Second {
		t.Errorf("it took %s", took)
	}
}

// The policies for many literals under a catch-all stay short: beyond a number of
// them, every path with a percent sign is denied.
func TestCompileManyLiterals(t *testing.T) {
	routes := []string{"GET /{proxy+}: "}
	for i := range 100 {
		routes = append(routes, fmt.Sprintf("GET /admin/report%d: admin", i))
	}
	_, tb, err := tableOf(t, routes...)
	if err != nil {
		t.Fatal(err)
	}
	g := grantsOf(t, tb, "")
	if n := len(g.Denied); n > 410 {
		t.Errorf("%d patterns are denied", n)
	}
	p, err := policyOf(newAuthorizer(tb), nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"%61dmin/report7", "admin/report%37", "admin%2freport7", "admin//report7", "/admin/report7", "admin/report7/"} {
		if p.Evaluate(gateway.ActionInvoke, dev+"GET/"+path) == gateway.Allow {
			t.Errorf("GET/%s is allowed", path)
		}
	}
	if p.Evaluate(gateway.ActionInvoke, dev+"GET/admin/report") != gateway.Allow {
		t.Error("GET /{proxy+} is denied for /admin/report")
	}
}

// manyRoutes is a table as an API of some size has it: five routes of each resource.
func manyRoutes(t testing.TB, resources int) *gateway.Table {
	t.Helper()
	var routes []string
	for i := range resources {
		for _, text := range []string{"GET /r%d: r%d:read", "POST /r%d: r%d:write", "GET /r%d/{id}: r%d:read", "DELETE /r%d/{id}: r%d:write|admin", "GET /r%d/{id}/history: r%d:audit"} {
			routes = append(routes, fmt.Sprintf(text, i, i))
		}
	}
	_, tb, err := tableOf(t, routes...)
	if err != nil {
		t.Fatal(err)
	}
	return tb
}

func manyScopes() string {
	var scopes []string
	for i := range 40 {
		scopes = append(scopes, fmt.Sprintf("r%d:read r%d:write", i, i))
	}
	return strings.Join(scopes, " ")
}

func BenchmarkPolicyOf200Routes(b *testing.B) {
	run := func(name string, f func()) {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				f()
			}
			reportProcessorTime(b, f)
		})
	}
	tb := manyRoutes(b, 40)
	scopes := manyScopes()
	run("loaded", func() { manyRoutes(b, 40) })
	run("compiled", func() {
		gateway.Forget(tb)
		gateway.GrantsOf(tb, scopes)
	})
	run("kept", func() { gateway.GrantsOf(tb, scopes) })
	asked, err := gateway.ParseARN(dev + "GET/r1")
	if err != nil {
		b.Fatal(err)
	}
	a, d := newAuthorizer(tb), gateway.Decision{Principal: "p", Grants: gateway.GrantsOf(tb, scopes)}
	run("encoded", func() {
		if _, err := a.Encode(gateway.KindToken, gateway.Question{Asked: asked}, d); err != nil {
			b.Fatal(err)
		}
	})
}

// TestCompileIsBounded is the bound in time that the benchmark shows in figures.
func TestCompileIsBounded(t *testing.T) {
	tb := manyRoutes(t, 40)
	scopes := manyScopes()
	took := costtest.Once(func() { gateway.GrantsOf(tb, scopes) })
	t.Logf("a policy for 200 routes took %s", took)
	if took > 100*time.Millisecond {
		t.Errorf("a policy for 200 routes took %s", took)
	}
}
