package gateway

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// MethodAny stands for every method, as in API Gateway.
const MethodAny = "ANY"

// A Route is a verb and a path pattern, what it needs and where it leads.
type Route struct {
	Method   string
	Path     string   // /orders/{id}, /files/{path+}
	Public   bool     // anybody may call it
	Scopes   []string // all of them are needed; none: any signed-in principal
	AnyScope bool     // one of the Scopes is enough
	Issuers  []string // whose tokens are admitted, by their names; none: latchkey's own alone
	SignIn
	To string // a function's name or an http(s) URL
}

// A SignIn is what a route asks of how and when its caller signed in. The zero value
// asks for nothing.
type SignIn struct {
	MaxAuthAge time.Duration // since the sign-in (auth_time), in whole seconds; 0: any
	ACR        []string      // one of them must be the token's acr; none: any
	AMR        []string      // all of them must be in the token's amr
}

func (r Route) String() string { return r.Method + " " + r.Path }

func (s SignIn) asks() bool { return s.MaxAuthAge > 0 || len(s.ACR)+len(s.AMR) > 0 }

// Needs says in words who may call the route.
func (r Route) Needs() string {
	var needs []string
	switch {
	case r.Public:
		return "public"
	case len(r.Scopes) == 0:
		needs = []string{"signed in"}
	case r.AnyScope:
		needs = []string{"scope " + strings.Join(r.Scopes, " or ")}
	default:
		needs = []string{"scope " + strings.Join(r.Scopes, " ")}
	}
	if len(r.Issuers) > 0 {
		needs = append(needs, "issuer "+strings.Join(r.Issuers, " or "))
	}
	if len(r.ACR) > 0 {
		needs = append(needs, "acr "+strings.Join(r.ACR, " or "))
	}
	if len(r.AMR) > 0 {
		needs = append(needs, "amr "+strings.Join(r.AMR, " "))
	}
	if r.MaxAuthAge > 0 {
		needs = append(needs, "signed in within "+r.MaxAuthAge.String())
	}
	return strings.Join(needs, ", ")
}

var methods = []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", MethodAny}

// entry is a route as the table keeps it.
type entry struct {
	Route
	segments []segment
	pattern  string   // its path in a policy's Resource: each parameter is "*"
	verbs    []string // that lead to it: for ANY those that its resource does not declare

	rules []*rule // one for each plan of its verbs
	asks  []need  // all of them
	least []set   // the smallest sets of facts that fulfil them
}

// A Table is the routes of an API. Nothing changes it.
type Table struct {
	entries []entry // most specific resource first
	other   string  // a text that is no literal of any route
	all     []int   // the indices of the entries
	plans   []*plan
	knowledge
	walks int // that were looked at while the table was made
	policies
}

// maxResource is the longest Resource in a policy, in characters.
const maxResource = 512

// NewTable checks the routes and returns their table. Beside what API Gateway
// itself would refuse, it refuses tables that a policy cannot express, see
// [OverGrantError].
func NewTable(routes []Route) (*Table, error) {
	t := &Table{}
	for _, r := range routes {
		e, err := newEntry(r)
		if err != nil {
			return nil, fmt.Errorf("route %s: %w", r, err)
		}
		for _, other := range t.entries {
			if err := collide(e, other); err != nil {
				return nil, err
			}
		}
		t.entries = append(t.entries, e)
	}
	slices.SortStableFunc(t.entries, func(a, b entry) int { return moreSpecific(a.segments, b.segments) })
	t.spreadANY()
	for i := range t.entries {
		t.all = append(t.all, i)
	}
	if err := t.learn(t.entries); err != nil {
		return nil, err
	}
	if err := t.makePlans(); err != nil {
		return nil, err
	}
	return t, nil
}

func newEntry(r Route) (entry, error) {
	segments, err := parsePath(r.Path)
	if err != nil {
		if meant := meantPath(r.Path); meant != "" {
			err = fmt.Errorf("%w: did you mean %q?", err, r.Method+" "+meant)
		}
		return entry{}, err
	}
	switch {
	case !slices.Contains(methods, r.Method):
		return entry{}, fmt.Errorf("verb %q: must be one of %s", r.Method, strings.Join(methods, ", "))
	case r.To == "":
		return entry{}, errors.New("needs a destination (to)")
	case r.Public && len(r.Scopes) > 0:
		return entry{}, errors.New("is public and asks for scopes; keep one")
	case r.Public && (len(r.Issuers) > 0 || r.SignIn.asks()):
		return entry{}, errors.New("is public and asks for issuers or a sign-in; keep one")
	case r.AnyScope && len(r.Scopes) == 0:
		return entry{}, errors.New("asks for any scope of an empty list; leave scopes out to let any signed-in principal call it")
	case r.MaxAuthAge < 0 || r.MaxAuthAge%time.Second != 0 || r.MaxAuthAge > maxMaxAuthAge*time.Second:
		return entry{}, fmt.Errorf("max_auth_age %s: must be whole seconds, from 1s to ten years", r.MaxAuthAge)
	}
	if err := errors.Join(checkWords("scope", r.Scopes), checkWords("issuer", r.Issuers), checkWords("acr", r.ACR), checkWords("amr", r.AMR)); err != nil {
		return entry{}, err
	}
	r.Scopes, r.Issuers, r.ACR, r.AMR = slices.Clone(r.Scopes), slices.Clone(r.Issuers), slices.Clone(r.ACR), slices.Clone(r.AMR)
	r.AnyScope = r.AnyScope && len(r.Scopes) > 1
	e := entry{Route: r, segments: segments, pattern: pattern(segments)}
	if len(e.pattern) > maxResource/2 {
		return entry{}, fmt.Errorf("path is too long for a policy: it has %d characters, at most %d are left beside the API's own", len(e.pattern), maxResource/2)
	}
	return e, nil
}

func checkWords(name string, list []string) error {
	for i, s := range list {
		if !scopeToken(s) {
			return fmt.Errorf("%s %q: must be visible ASCII without spaces, \" and \\", name, s)
		}
		if slices.Contains(list[:i], s) {
			return fmt.Errorf("%s %q stands twice", name, s)
		}
	}
	return nil
}

// scopeToken checks RFC 6749 section 3.3.
func scopeToken(s string) bool {
	for _, c := range []byte(s) {
		if c <= ' ' || c > '~' || c == '"' || c == '\\' {
			return false
		}
	}
	return s != ""
}

// spreadANY gives each entry its verbs. A policy cannot say ANY: "*" in place
// of the verb crosses slashes too, so that */me would allow GET/admin/me.
func (t *Table) spreadANY() {
	for i := range t.entries {
		e := &t.entries[i]
		if e.verbs = []string{e.Method}; e.Method != MethodAny {
			continue
		}
		e.verbs = slices.DeleteFunc(slices.Clone(methods[:len(methods)-1]), func(verb string) bool {
			return slices.ContainsFunc(t.entries, func(o entry) bool { return o.Method == verb && o.Path == e.Path })
		})
	}
}

// collide refuses two routes of one verb and resource, and parameters of
// different names at one place: API Gateway takes one variable name there.
func collide(a, b entry) error {
	for i := range min(len(a.segments), len(b.segments)) {
		x, y := a.segments[i], b.segments[i]
		if x.kind == y.kind && x.kind != literal && x.text != y.text {
			return fmt.Errorf("routes %s and %s: the parameters {%s} and {%s} stand at the same place; API Gateway wants one name there", b, a, y.text, x.text)
		}
		if x != y {
			return nil
		}
	}
	if len(a.segments) == len(b.segments) && a.Method == b.Method {
		return fmt.Errorf("route %s stands twice", a)
	}
	return nil
}

// Routes returns the routes, most specific first.
func (t *Table) Routes() []Route {
	routes := make([]Route, len(t.entries))
	for i, e := range t.entries {
		routes[i] = e.Route
	}
	return routes
}
