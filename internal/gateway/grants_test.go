package gateway_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/latchkey-auth/latchkey/internal/costtest"
	"github.com/latchkey-auth/latchkey/internal/gateway"
)

// A small world in which overlaps are the rule.
var (
	worldVerbs    = []string{"GET", "POST", "ANY"}
	worldLiterals = []string{"a", "b", "c"}
	worldScopes   = []string{"r", "w"}
)

func pick[T any](r *rand.Rand, from []T) T { return from[r.IntN(len(from))] }

// randomTable returns routes of at most four parts. Names of parameters depend
// on their depth, as API Gateway wants one name at one place.
func randomTable(r *rand.Rand) []gateway.Route {
	routes := make([]gateway.Route, 1+r.IntN(6))
	for i := range routes {
		var path strings.Builder
		depth := r.IntN(5)
		for d := range depth {
			switch n := r.IntN(10); {
			case n < 6:
				path.WriteString("/" + pick(r, worldLiterals))
			case n < 9 || d != depth-1:
				fmt.Fprintf(&path, "/{p%d}", d)
			default:
				fmt.Fprintf(&path, "/{p%d+}", d)
			}
		}
		routes[i] = gateway.Route{Method: pick(r, worldVerbs), Path: path.String(), To: "f"}
		if depth == 0 {
			routes[i].Path = "/"
		}
		switch r.IntN(5) {
		case 0:
			routes[i].Public = true
		case 1, 2:
			routes[i].Scopes = []string{pick(r, worldScopes)}
		case 3:
			routes[i].Scopes = slices.Clone(worldScopes)
		}
	}
	return routes
}

// worldPaths are all paths of at most five parts from the literals and one more.
var worldPaths = func() []string {
	paths, last := []string{"/"}, []string{""}
	for range 5 {
		var longer []string
		for _, p := range last {
			for _, part := range append([]string{"z"}, worldLiterals...) {
				longer = append(longer, p+"/"+part)
			}
		}
		paths, last = append(paths, longer...), longer
	}
	return paths
}()

func mayCall(r gateway.Route, scopes []string) bool {
	return !slices.ContainsFunc(r.Scopes, func(s string) bool { return !slices.Contains(scopes, s) })
}

// A request is one that the table routes to something that is not public.
type request struct {
	verb, path string
	leads      gateway.Route
}

// requests tries every path of up to four parts, and some of five.
func requests(r *rand.Rand, tb *gateway.Table) []request {
	paths := slices.Clone(worldPaths[:341])
	for range 40 {
		paths = append(paths, pick(r, worldPaths[341:]))
	}
	var all []request
	for _, verb := range []string{"GET", "POST", "DELETE"} {
		for _, path := range paths {
			if m, ok := tb.Match(verb, path); ok && !m.Route.Public {
				all = append(all, request{verb, path, m.Route})
			}
		}
	}
	return all
}

// checkGrants compares what the authorizer's policy allows with what the table
// says, for every principal and a share of all requests.
func checkGrants(seed uint64) error {
	r := rand.New(rand.NewPCG(seed, 0))
	routes := randomTable(r)
	tb, err := gateway.NewTable(routes)
	if err != nil {
		var over *gateway.OverGrantError
		if errors.As(err, &over) {
			return checkRefusal(routes, over)
		}
		return nil
	}
	a, all := newAuthorizer(tb), requests(r, tb)
	for _, scopes := range [][]string{nil, {"r"}, {"w"}, {"r", "w"}} {
		claims := map[string]any{"sub": "s", "scope": strings.Join(scopes, " ")}
		out, err := a.Handle(context.Background(), tokenEvent("Bearer "+mint(claims), dev+"GET/elsewhere"))
		if err != nil {
			return err
		}
		p, err := gateway.ParsePolicy([]byte(policyDocument(out)))
		if err != nil {
			return err
		}
		if err := checkSlashes(r, tb, p, routes, scopes); err != nil {
			return err
		}
		for _, q := range all {
			allowed := p.Evaluate(gateway.ActionInvoke, dev+q.verb+q.path) == gateway.Allow
			if allowed != mayCall(q.leads, scopes) {
				return fmt.Errorf("routes %v: %s %s leads to %s, which asks for %q; a principal with %q is allowed: %t",
					routes, q.verb, q.path, q.leads, q.leads.Scopes, scopes, allowed)
			}
		}
	}
	return nil
}

// checkSlashes looks for paths with a slash at the end that, however they are read,
// the policy allows and the table does not. ARNs may have the slash or not.
func checkSlashes(r *rand.Rand, tb *gateway.Table, p gateway.Policy, routes []gateway.Route, scopes []string) error {
	paths := slices.Clone(worldPaths[1:85])
	for range 40 {
		paths = append(paths, pick(r, worldPaths[85:]))
	}
	for _, reading := range []gateway.TrailingSlash{gateway.SlashRefuse, gateway.SlashStrip, gateway.SlashKeep} {
		for _, verb := range []string{"GET", "POST", "DELETE"} {
			for _, path := range paths {
				m, ok := tb.MatchAs(reading, verb, path+"/")
				if ok && reading == gateway.SlashRefuse {
					return fmt.Errorf("routes %v: %s %s/ leads to %s", routes, verb, path, m.Route)
				}
				plain, found := tb.Match(verb, path)
				may := m.Route.Public || mayCall(m.Route, scopes)
				if ok && may && found && !plain.Route.Public && !mayCall(plain.Route, scopes) {
					return fmt.Errorf("routes %v, %s: %s %s/ leads to %s, around %s, which asks for %q", routes, reading, verb, path, m.Route, plain.Route, plain.Route.Scopes)
				}
				if !ok || may {
					continue
				}
				arns := []string{dev + verb + "/" + reading.ARNPath(path+"/"), dev + verb + path + "/"}
				for _, arn := range arns {
					if p.Evaluate(gateway.ActionInvoke, arn) == gateway.Allow {
						return fmt.Errorf("routes %v, %s: %s leads to %s, which asks for %q; a principal with %q is allowed", routes, reading, arn, m.Route, m.Route.Scopes, scopes)
					}
				}
			}
		}
	}
	return nil
}

// checkRefusal makes sure that a table was not refused for nothing: the example
// is allowed by the first route's resource and leads to the second one.
func checkRefusal(routes []gateway.Route, over *gateway.OverGrantError) error {
	public := slices.Clone(routes)
	for i := range public {
		public[i].Public, public[i].Scopes = true, nil // which grants, and exposes, nothing
	}
	tb, err := gateway.NewTable(public)
	if err != nil {
		return err
	}
	verb, path, _ := strings.Cut(over.Example, " ")
	m, ok := tb.Match(verb, path)
	if !ok || m.Route.String() != over.Exposed.String() {
		return fmt.Errorf("routes %v are refused by %s, which leads to %q and not to %s", routes, over.Example, m.Route, over.Exposed)
	}
	if mayCall(over.Exposed, over.Granting.Scopes) {
		return fmt.Errorf("routes %v are refused though %s asks for nothing that %s does not", routes, over.Exposed, over.Granting)
	}
	return nil
}

func TestPolicyGrantsExactlyWhatTheTableGrants(t *testing.T) {
	const tables = 500
	accepted := 0
	for seed := range uint64(tables) {
		if err := checkGrants(seed); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		if _, err := gateway.NewTable(randomTable(rand.New(rand.NewPCG(seed, 0)))); err == nil {
			accepted++
		}
	}
	if accepted < tables/10 || accepted > tables*9/10 {
		t.Errorf("%d of %d tables are accepted: both kinds must be tried", accepted, tables)
	}
}

func FuzzPolicyGrants(f *testing.F) {
	f.Add(uint64(1) << 40)
	f.Fuzz(func(t *testing.T, seed uint64) {
		if err := checkGrants(seed); err != nil {
			t.Fatal(err)
		}
	})
}

// A table of many routes is read at every cold start.
func TestNewTableIsFast(t *testing.T) {
	// The authorizer makes its table in every cold start.
	for name, paths := range map[string][]string{
		"their own beginnings": {"/r%d", "/r%d/{id}", "/r%d/{id}/parts", "/r%d/{id}/parts/{part}"},
		"a common parameter":   {"/{tenant}/r%d/{id}"},
	} {
		var routes []gateway.Route
		for i := range 100 {
			for _, path := range paths {
				routes = append(routes, route(t, "GET "+fmt.Sprintf(path, i), fmt.Sprintf("r%d", i)))
			}
		}
		var err error
		took := costtest.Once(func() { _, err = gateway.NewTable(routes) })
		if err != nil {
			t.Fatal(err)
		}
		if took > 5*time.Second {
			t.Errorf("%d routes with %s took %s", len(routes), name, took)
		} else {
			t.Logf("%d routes with %s took %s", len(routes), name, took)
		}
	}
}
