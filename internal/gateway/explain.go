package gateway

import (
	"fmt"
	"slices"
	"strings"
)

// An Explanation is why a principal may make a request, or not. What decides is asked
// in the order in which API Gateway asks: routes, token, policy.
type Explanation struct {
	Passes    bool
	Status    int    // of the gateway's own answer; 0: the request passes
	DecidedBy string // "routes", "token", "table" or "policy"
	Reason    string // for people

	Found   bool  // the request leads to a route
	Route   Route // that it leads to
	Granted bool  // by the table, to the bearer of the token

	Effect  EvalDecision // of the policy, where one was asked for
	Pattern string       // of the policy that decided: GET/orders/*; empty: none matched
}

// Explain decides a request by its escaped path, as API Gateway does for a token whose
// scopes are asked of has, or that is refused.
func (t *Table) Explain(method, path string, has func(scope string) bool, refused error) Explanation {
	m, found := t.Match(method, path)
	e := Explanation{Found: found, Route: m.Route}
	switch {
	case !found:
		e.Status, e.DecidedBy, e.Reason = 403, "routes", "no route takes the request: "+t.WhyNot(SlashRefuse, method, path)
	case m.Route.Public:
		e.Passes, e.Granted, e.DecidedBy, e.Reason = true, true, "routes", "the route is public: no token is asked for"
	case refused != nil:
		e.Status, e.DecidedBy, e.Reason = 401, "token", "the token is refused: "+refused.Error()
	default:
		t.explainPolicy(&e, method+path, has)
	}
	return e
}

// explainPolicy says what the policy does, and why.
func (t *Table) explainPolicy(e *Explanation, asked string, has func(scope string) bool) {
	e.Granted = e.Route.grants(has)
	allowed, denied := t.grants(has)
	if len(allowed) == 0 {
		denied = []string{"*"} // as [Authorizer.Encode] writes it
	}
	if e.Pattern = firstMatch(denied, asked); e.Pattern != "" {
		e.Effect = ExplicitDeny
	} else if e.Pattern = firstMatch(allowed, asked); e.Pattern != "" {
		e.Effect = Allow
	}
	e.Passes = e.Effect == Allow
	switch {
	case e.Passes:
		e.DecidedBy, e.Reason = "policy", "the policy allows "+e.Pattern
	case !e.Granted:
		e.Status, e.DecidedBy, e.Reason = 403, "table", "the token lacks scope "+e.Route.lacking(has)
	default:
		var routes []string
		for _, r := range t.reasons(e.Pattern, has) {
			routes = append(routes, fmt.Sprintf("%s (%s)", r, r.Needs()))
		}
		e.Status, e.DecidedBy = 403, "policy"
		e.Reason = fmt.Sprintf("the policy denies %s to keep the token from %s: the path could be read as one of that route", e.Pattern, strings.Join(routes, ", "))
	}
}

// lacking are the scopes that are not there, in words.
func (r Route) lacking(has func(scope string) bool) string {
	between := " and "
	if r.AnyScope {
		between = " or "
	}
	return strings.Join(slices.DeleteFunc(slices.Clone(r.Scopes), has), between)
}

func firstMatch(patterns []string, s string) string {
	if i := slices.IndexFunc(patterns, func(pattern string) bool { return glob(pattern, s) }); i >= 0 {
		return patterns[i]
	}
	return ""
}

// reasons are the routes that are not granted and on account of which a pattern is
// denied.
func (t *Table) reasons(pattern string, has func(scope string) bool) []Route {
	verb, pattern, _ := strings.Cut(pattern, "/")
	may := t.newSet()
	for i := range t.entries {
		if t.entries[i].Route.grants(has) {
			may.add(i)
		}
	}
	found := t.newSet()
	for _, p := range t.plans {
		if !slices.Contains(p.verbs, verb) {
			continue
		}
		for _, g := range p.gaps {
			if !may.has(g.granting) || !slices.Contains(g.deny, pattern) {
				continue
			}
			for i := range t.entries {
				if g.exposed.has(i) && !may.has(i) {
					found.add(i)
				}
			}
		}
		for i := range p.leaks {
			l := &p.leaks[i]
			if !may.has(l.granting) || may.has(l.exposed) {
				continue
			}
			if w := l.choose(may); slices.Contains(w.deny, pattern) || slices.Contains(w.encoded, pattern) || pattern == l.widest {
				found.add(l.exposed)
			}
		}
	}
	var routes []Route
	for i := range t.entries {
		if found.has(i) {
			routes = append(routes, t.entries[i].Route)
		}
	}
	return routes
}
