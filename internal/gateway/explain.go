package gateway

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
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
	// Challenge is that of a sign-in which is all that the bearer lacks; empty: it is not.
	Challenge string

	Effect  EvalDecision // of the policy, where one was asked for
	Pattern string       // of the policy that decided: GET/orders/*; empty: none matched
}

// Explain decides a request by its escaped path at a time, as API Gateway does for the
// token of a principal, or one that is refused.
func (t *Table) Explain(method, path string, p Principal, now time.Time, refused error) Explanation {
	leads, _ := t.match(method, path, false)
	var e Explanation
	if leads != nil {
		e.Found, e.Route = true, leads.Route
	}
	switch {
	case !e.Found:
		e.Status, e.DecidedBy, e.Reason = 403, "routes", "no route takes the request: "+t.WhyNot(SlashRefuse, method, path)
	case leads.Public:
		e.Passes, e.Granted, e.DecidedBy, e.Reason = true, true, "routes", "the route is public: no token is asked for"
	case refused != nil:
		e.Status, e.DecidedBy, e.Reason = 401, "token", "the token is refused: "+refused.Error()
	default:
		t.explainPolicy(&e, leads, method+path, p, now)
	}
	return e
}

// explainPolicy says what the policy does, and why.
func (t *Table) explainPolicy(e *Explanation, leads *entry, asked string, p Principal, now time.Time) {
	held := t.of(p, now)
	e.Granted = leads.admits(held)
	g := t.grants(held)
	allowed, denied := g.Allowed, g.Denied
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
		e.Status, e.DecidedBy, e.Reason = 403, "table", t.lacks(leads, held, p, now)
		if leads.lacksSignInAlone(held) {
			e.Challenge = leads.Challenge()
		}
	default:
		var routes []string
		for _, r := range t.reasons(e.Pattern, held) {
			routes = append(routes, fmt.Sprintf("%s (%s)", r, r.Needs()))
		}
		e.Status, e.DecidedBy = 403, "policy"
		e.Reason = fmt.Sprintf("the policy denies %s to keep the token from %s: the path could be read as one of that route", e.Pattern, strings.Join(routes, ", "))
	}
}

// lacks says which of the entry's needs are not fulfilled.
func (t *Table) lacks(e *entry, held set, p Principal, now time.Time) string {
	var scopes, methods, others []string
	for _, n := range e.asks {
		if n.among.meets(held) {
			continue
		}
		names := strings.Join(t.names(n.among), " or ")
		switch n.is {
		case issuerFact:
			others = append(others, fmt.Sprintf("the token is of issuer %s, and the route admits %s", cmp.Or(p.Issuer, OwnIssuer), names))
		case scopeFact:
			scopes = append(scopes, names)
		case acrFact:
			others = append(others, fmt.Sprintf("the token's acr is %q, and the route asks for %s", p.ACR, names))
		case amrFact:
			methods = append(methods, names)
		case ageFact:
			others = append(others, t.tooOld(e, p, now))
		}
	}
	if len(methods) > 0 {
		others = slices.Insert(others, 0, "the token's amr lacks "+strings.Join(methods, " and "))
	}
	if len(scopes) > 0 {
		others = slices.Insert(others, 0, "the token lacks scope "+strings.Join(scopes, " and "))
	}
	return strings.Join(others, "; ")
}

func (t *Table) tooOld(e *entry, p Principal, now time.Time) string {
	if p.AuthTime.IsZero() {
		return fmt.Sprintf("the token does not say when its subject signed in (auth_time), and the route asks for the last %s", e.MaxAuthAge)
	}
	return fmt.Sprintf("the sign-in was %s ago, and the route asks for the last %s", now.Sub(p.AuthTime).Round(time.Second), e.MaxAuthAge)
}

// names are the facts of a set as their texts.
func (t *Table) names(among set) (names []string) {
	for i, f := range t.facts {
		if among.has(i) {
			names = append(names, f.text)
		}
	}
	return names
}

func firstMatch(patterns []string, s string) string {
	if i := slices.IndexFunc(patterns, func(pattern string) bool { return glob(pattern, s) }); i >= 0 {
		return patterns[i]
	}
	return ""
}

// reasons are the routes that are not granted and on account of which a pattern is
// denied.
func (t *Table) reasons(pattern string, held set) []Route {
	verb, pattern, _ := strings.Cut(pattern, "/")
	may := t.admitted(held)
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
