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
	"github.com/latchkey-auth/latchkey/internal/trial"
)

// A small world in which overlaps are the rule.
var (
	worldVerbs    = []string{"GET", "GET", "POST", "ANY"}
	worldLiterals = []string{"a", "b", "cd"}
	worldScopes   = []string{"r", "w", "x"}
)

func pick[T any](r *rand.Rand, from []T) T { return from[r.IntN(len(from))] }

// randomTable returns routes of at most four parts, some of which begin like the one
// before. Names of parameters depend on their depth, as API Gateway wants one name at
// one place.
func randomTable(r *rand.Rand) []gateway.Route {
	routes := make([]gateway.Route, 1+r.IntN(6))
	for i := range routes {
		var path strings.Builder
		depth := r.IntN(5)
		var before []string
		if i > 0 && r.IntN(2) == 0 {
			before = naiveParts(routes[i-1].Path)
		}
		for d := range depth {
			switch n := r.IntN(10); {
			case d < len(before) && n < 9 && !strings.HasSuffix(before[d], "+}"):
				path.WriteString("/" + before[d])
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
		switch r.IntN(6) {
		case 0:
			routes[i].Public = true
		case 1, 2:
			routes[i].Scopes = []string{pick(r, worldScopes)}
		case 3:
			routes[i].Scopes = slices.Clone(worldScopes[:2])
		case 4:
			routes[i].Scopes, routes[i].AnyScope = slices.Clone(worldScopes[r.IntN(2):]), true
		}
	}
	return routes
}

// askMore has some of the routes ask for issuers and sign-ins.
func askMore(r *rand.Rand, routes []gateway.Route) {
	for i := range routes {
		if routes[i].Public || r.IntN(3) == 0 {
			continue
		}
		routes[i].Issuers = pick(r, [][]string{nil, nil, {other}, {gateway.OwnIssuer, other}})
		switch r.IntN(5) {
		case 0:
			routes[i].ACR = pick(r, [][]string{{"1"}, {"2"}, {"1", "2"}})
		case 1:
			routes[i].AMR = pick(r, [][]string{{"pwd"}, {"otp"}, {"pwd", "otp"}})
		case 2:
			routes[i].MaxAuthAge = pick(r, []time.Duration{time.Minute, time.Hour})
		case 3:
			routes[i].MaxAuthAge, routes[i].ACR = time.Minute, []string{"2"}
		}
	}
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

// principals are all kinds of principals of the world, as far as scopes tell them apart.
func principals() (all [][]string) {
	for bits := range 1 << len(worldScopes) {
		var scopes []string
		for i, s := range worldScopes {
			if bits>>i&1 == 1 {
				scopes = append(scopes, s)
			}
		}
		all = append(all, scopes)
	}
	return all
}

// A caller is a principal whom issuer and sign-in tell from others too.
type caller struct {
	scopes []string
	issuer string // "": latchkey itself
	acr    string
	amr    []string
	ago    time.Duration // since the sign-in; negative: nobody says
}

// callers are all kinds of these.
var callers = func() (all []caller) {
	for _, scopes := range principals() {
		for _, issuer := range []string{"", other} {
			for _, acr := range []string{"", "1", "2"} {
				for _, amr := range [][]string{nil, {"pwd"}, {"otp", "pwd"}} {
					for _, ago := range []time.Duration{-1, 0, time.Minute - time.Second, time.Minute, 2 * time.Hour} {
						all = append(all, caller{scopes, issuer, acr, amr, ago})
					}
				}
			}
		}
	}
	return all
}()

// someCallers are a few of them, or where the routes ask for scopes alone those that
// these tell apart.
func someCallers(r *rand.Rand, routes []gateway.Route) (some []caller) {
	if !slices.ContainsFunc(routes, func(r gateway.Route) bool {
		return r.Issuers != nil || r.ACR != nil || r.AMR != nil || r.MaxAuthAge > 0
	}) {
		for _, scopes := range principals() {
			some = append(some, caller{scopes: scopes})
		}
		return some
	}
	for range 16 {
		some = append(some, pick(r, callers))
	}
	return some
}

func (c caller) token() string {
	claims := map[string]any{"sub": "s", "scope": strings.Join(c.scopes, " ")}
	if c.acr != "" {
		claims["acr"] = c.acr
	}
	if c.amr != nil {
		claims["amr"] = c.amr
	}
	if c.ago >= 0 {
		claims["auth_time"] = now.Add(-c.ago).Unix()
	}
	if c.issuer != "" {
		return mintOther(claims)
	}
	return mint(claims)
}

// mayCall is the reference for what a route needs of latchkey's own tokens.
func mayCall(r gateway.Route, scopes []string) bool { return caller{scopes: scopes, ago: -1}.may(r) }

// may is the reference for what a route needs.
func (c caller) may(r gateway.Route) bool {
	held := 0
	for _, s := range r.Scopes {
		if slices.Contains(c.scopes, s) {
			held++
		}
	}
	if held < len(r.Scopes) && !(r.AnyScope && held > 0) {
		return false
	}
	if c.issuer == "" && len(r.Issuers) > 0 && !slices.Contains(r.Issuers, "latchkey") {
		return false
	}
	if c.issuer != "" && !slices.Contains(r.Issuers, c.issuer) {
		return false
	}
	if len(r.ACR) > 0 && !slices.Contains(r.ACR, c.acr) {
		return false
	}
	for _, m := range r.AMR {
		if !slices.Contains(c.amr, m) {
			return false
		}
	}
	return r.MaxAuthAge == 0 || c.ago >= 0 && c.ago < r.MaxAuthAge
}

// odd reports whether a path may be denied to a principal who may call its route: a
// {parameter} has the text of a literal, or a percent sign.
func odd(route, path string) bool {
	parts := strings.Split(path[1:], "/")
	for i, pattern := range strings.Split(route[1:], "/") {
		if strings.HasSuffix(pattern, "+}") {
			break
		}
		if strings.HasPrefix(pattern, "{") && slices.Contains(worldLiterals, parts[i]) {
			return true
		}
	}
	return strings.Contains(path, "%")
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

// policyOf is the policy that a principal with the scopes gets, by the whole way.
func policyOf(a *gateway.Authorizer, scopes []string) (gateway.Policy, error) {
	return policyFor(a, caller{scopes: scopes, ago: -1})
}

func policyFor(a *gateway.Authorizer, c caller) (gateway.Policy, error) {
	out, err := a.Handle(context.Background(), tokenEvent("Bearer "+c.token(), dev+"GET/elsewhere"))
	if err != nil {
		return gateway.Policy{}, err
	}
	return gateway.ParsePolicy([]byte(policyDocument(out)))
}

// checkGrants compares what the authorizer's policy allows with what the table
// says, for every principal and a share of all requests.
func checkGrants(seed uint64) error {
	r := rand.New(rand.NewPCG(seed, 0))
	routes := randomTable(r)
	if seed%2 == 1 {
		askMore(r, routes)
	}
	tb, err := gateway.NewTable(routes)
	if err != nil {
		var over *gateway.OverGrantError
		if errors.As(err, &over) {
			return checkRefusal(routes, over)
		}
		return nil
	}
	a, all := newAuthorizer(tb), requests(r, tb)
	spelled := spellings(r, routes)
	for _, c := range someCallers(r, routes) {
		p, err := policyFor(a, c)
		if err != nil {
			return err
		}
		for _, q := range all {
			allowed, may := p.Evaluate(gateway.ActionInvoke, dev+q.verb+q.path) == gateway.Allow, c.may(q.leads)
			if allowed && !may || may && !allowed && !odd(q.leads.Path, q.path) {
				return fmt.Errorf("routes %s: %s %s leads to %s; a principal with %+v is allowed: %t", show(routes), q.verb, q.path, show([]gateway.Route{q.leads}), c, allowed)
			}
		}
		for _, s := range spelled {
			if !c.may(s.leads) && p.Evaluate(gateway.ActionInvoke, s.arn) == gateway.Allow {
				return fmt.Errorf("routes %s: %s, asked for by %s, leads %s to %s; a principal with %+v is allowed", show(routes), s.arn, s.path, s.router, show([]gateway.Route{s.leads}), c)
			}
		}
	}
	return nil
}

func show(routes []gateway.Route) string {
	var all []string
	for _, r := range routes {
		all = append(all, r.String()+" ("+r.Needs()+")")
	}
	return strings.Join(all, ", ")
}

// checkRefusal makes sure that a table was not refused for nothing: one example
// leads to the exposed route, the other one to that which a Deny would take away, and
// a principal can exist who has the granting route and that one, but not the exposed one.
func checkRefusal(routes []gateway.Route, over *gateway.OverGrantError) error {
	for example, want := range map[string]gateway.Route{over.Example: over.Exposed, over.Lost: over.Denied} {
		verb, path, _ := strings.Cut(example, " ")
		if led, ok := naiveRoute(routes, verb, naiveParts(path)); !ok || led.String() != want.String() {
			return fmt.Errorf("routes %s are refused (%w) by %s, which leads to %s", show(routes), over, example, led)
		}
	}
	if !slices.ContainsFunc(callers, func(c caller) bool { return c.may(over.Granting) && c.may(over.Denied) && !c.may(over.Exposed) }) {
		return fmt.Errorf("routes %s are refused (%w) though nobody may call %s and %s without %s", show(routes), over, over.Granting, over.Denied, over.Exposed)
	}
	return nil
}

// TestPolicyGrantsExactlyWhatTheTableGrants tries 40 random route tables, in full 2,000.
func TestPolicyGrantsExactlyWhatTheTableGrants(t *testing.T) {
	tables, accepted := trial.Of(40, 2000), 0
	for seed := range uint64(tables) {
		if err := checkGrants(seed); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		r := rand.New(rand.NewPCG(seed, 0))
		routes := randomTable(r)
		if seed%2 == 1 {
			askMore(r, routes)
		}
		if _, err := gateway.NewTable(routes); err == nil {
			accepted++
		}
	}
	t.Logf("%d of %d tables are accepted", accepted, tables)
	if accepted < tables/10 || accepted > tables*19/20 {
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
