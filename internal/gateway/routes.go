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

// A segment is one part of a path pattern.
type segment struct {
	kind kind
	text string // the literal, or the parameter's name
}

type kind int

// In the order of precedence.
const (
	literal kind = iota
	param        // {name}: one segment
	greedy       // {name+}: the rest, one segment at least
)

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

// Match is where a request leads.
type Match struct {
	Route  Route
	Params map[string]string // values of the path parameters, still escaped
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

// parsePath reads a path pattern. Literals hold what API Gateway takes in a
// path part; a literal with "*" in it would widen the policy.
func parsePath(path string) ([]segment, error) {
	if !strings.HasPrefix(path, "/") {
		return nil, errors.New("path must begin with /")
	}
	if path == "/" {
		return nil, nil
	}
	parts := strings.Split(path[1:], "/")
	segments := make([]segment, len(parts))
	for i, part := range parts {
		s := segment{literal, part}
		if inner, ok := strings.CutPrefix(part, "{"); ok {
			name, closed := strings.CutSuffix(inner, "}")
			s.kind, s.text = param, name
			if rest, plus := strings.CutSuffix(name, "+"); plus {
				s.kind, s.text = greedy, rest
			}
			if !closed {
				return nil, fmt.Errorf("path part %q: a parameter is the whole part, {name} or {name+}", part)
			}
		}
		switch {
		case s.text == "" || strings.Trim(s.text, pathChars) != "" || s.text == "." || s.text == "..":
			return nil, fmt.Errorf("path part %q: must hold letters, digits and . _ : - only", part)
		case s.kind == literal && s.text[0] == ':':
			// API Gateway takes it as text; nobody who writes it means that.
			return nil, fmt.Errorf("path part %q: a parameter is written {name}", part)
		case s.kind == greedy && i != len(parts)-1:
			return nil, fmt.Errorf("path part %q: a greedy parameter must come last", part)
		case s.kind != literal && slices.ContainsFunc(segments[:i], func(o segment) bool { return o.kind != literal && o.text == s.text }):
			return nil, fmt.Errorf("path part %q: the parameter stands twice", part)
		}
		segments[i] = s
	}
	return segments, nil
}

const pathChars = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._:-"

// pattern is a path in a policy's Resource: each parameter becomes "*".
func pattern(segments []segment) string {
	if len(segments) == 0 {
		return "/"
	}
	var b strings.Builder
	for _, s := range segments {
		b.WriteByte('/')
		if s.kind == literal {
			b.WriteString(s.text)
		} else {
			b.WriteByte('*')
		}
	}
	return b.String()
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

// moreSpecific orders path patterns as API Gateway prefers them: segment by
// segment literal, parameter, greedy.
func moreSpecific(a, b []segment) int {
	for i := range min(len(a), len(b)) {
		if a[i].kind != b[i].kind {
			return int(a[i].kind) - int(b[i].kind)
		}
		if c := strings.Compare(a[i].text, b[i].text); c != 0 {
			return c
		}
	}
	return len(b) - len(a)
}

// Routes returns the routes, most specific first.
func (t *Table) Routes() []Route {
	routes := make([]Route, len(t.entries))
	for i, e := range t.entries {
		routes[i] = e.Route
	}
	return routes
}

// Match finds the route of a request by its escaped path. API Gateway chooses
// the resource first; when that has no method for the verb, only a greedy
// resource may take its place. A path that is not in canonical form matches
// nothing, and so does a verb that API Gateway does not know: ANY is no more
// than those.
func (t *Table) Match(method, path string) (Match, bool) { return t.MatchAs(SlashRefuse, method, path) }

// MatchAs is Match by a reading of slashes at the end.
func (t *Table) MatchAs(reading TrailingSlash, method, path string) (Match, bool) {
	path, slash := reading.cut(path)
	greedyOnly := slash && reading == SlashKeep
	e, params := t.match(method, path, greedyOnly)
	if e == nil || greedyOnly && t.bypasses(e, method, path) {
		return Match{}, false
	}
	if greedyOnly {
		params[e.segments[len(e.segments)-1].text] += "/"
	}
	return Match{e.Route, params}, true
}

// MethodsAs returns the verbs of the resource that a path leads to.
func (t *Table) MethodsAs(reading TrailingSlash, path string) []string {
	var found []string
	for _, method := range methods {
		if _, ok := t.MatchAs(reading, method, path); ok {
			found = append(found, method)
		}
	}
	return found
}

// WhyNot says why a request matches nothing.
func (t *Table) WhyNot(reading TrailingSlash, method, path string) string {
	plain, _ := reading.cut(path)
	if fault := PathFault(plain); fault != "" {
		return "the path can be read in more than one way: " + fault
	}
	if plain != path && reading == SlashKeep {
		if e, _ := t.match(method, plain, true); e != nil && t.bypasses(e, method, plain) {
			return "the path without its slash has a route that needs more than the greedy route"
		}
	}
	if found := t.MethodsAs(reading, path); len(found) > 0 {
		return "the path has no route for this method, only for " + strings.Join(found, ", ")
	}
	if plain != path && len(t.MethodsAs(reading, plain)) > 0 {
		return "only a greedy route takes a path that ends in a slash"
	}
	return "no route has this path"
}

func (t *Table) match(method, path string, greedyOnly bool) (*entry, map[string]string) {
	if method == MethodAny || !slices.Contains(methods, method) || !CanonicalPath(path) {
		return nil, nil
	}
	parts := pathParts(path)
	i := t.lead(t.all, method, parts, greedyOnly)
	if i < 0 {
		return nil, nil
	}
	return &t.entries[i], params(t.entries[i].segments, parts)
}

// lead returns which of the entries, in the table's order, a path leads to; -1 if none.
func (t *Table) lead(among []int, verb string, parts []string, greedyOnly bool) int {
	var chosen []segment // the resource that was chosen first
	found := false
	for _, i := range among {
		e := &t.entries[i]
		if !covers(e.segments, parts) || greedyOnly && !isGreedy(e.segments) {
			continue
		}
		if !found {
			chosen, found = e.segments, true
		}
		// Another resource than the first may only be a greedy one.
		if (isGreedy(e.segments) || slices.Equal(e.segments, chosen)) && slices.Contains(e.verbs, verb) {
			return i
		}
	}
	return -1
}

func isGreedy(segments []segment) bool {
	return len(segments) > 0 && segments[len(segments)-1].kind == greedy
}

func pathParts(path string) []string {
	if path == "/" {
		return nil
	}
	return strings.Split(path[1:], "/")
}

func covers(segments []segment, parts []string) bool {
	for i, s := range segments {
		switch {
		case i >= len(parts):
			return false
		case s.kind == greedy:
			return true
		case s.kind == literal && s.text != parts[i]:
			return false
		}
	}
	return len(segments) == len(parts)
}

func params(segments []segment, parts []string) map[string]string {
	m := make(map[string]string)
	for i, s := range segments {
		switch s.kind {
		case param:
			m[s.text] = parts[i]
		case greedy:
			m[s.text] = strings.Join(parts[i:], "/")
		}
	}
	return m
}
