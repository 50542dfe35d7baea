package gateway

import "strings"

// An HTTPAnswer is how HTTP APIs are answered in payload format 2.0. An event does not
// say which answer its authorizer was made for, nor what its identity sources are.
type HTTPAnswer string

const (
	// AnswerPolicy is an IAM policy. It may be used again for every route.
	AnswerPolicy HTTPAnswer = "policy"
	// AnswerSimple is isAuthorized, for authorizers with simple responses. API Gateway
	// uses it again for every route, so that only a principal who may call all of them
	// is authorized.
	AnswerSimple HTTPAnswer = "simple"
	// AnswerSimplePerRoute is isAuthorized where $context.routeKey is an identity source
	// of the authorizer, so that API Gateway uses the answer again for the same route
	// key only.
	AnswerSimplePerRoute HTTPAnswer = "simple-per-route"
)

// lacking returns the routes that a principal of whom the facts are true may not call.
func (t *Table) lacking(held set) []Route {
	var lacking []Route
	for i := range t.entries {
		if e := &t.entries[i]; !e.Public && !e.admits(held) {
			lacking = append(lacking, e.Route)
		}
	}
	return lacking
}

// simplyAllows decides for a yes or no: it is yes when no route that the answer may be
// used for is lacking.
func (a *Authorizer) simplyAllows(q Question, g Grants) bool {
	if len(g.Allowed) == 0 {
		return false
	}
	if len(g.Lacking) == 0 {
		return true
	}
	if a.HTTPAnswer != AnswerSimplePerRoute {
		return false
	}
	key, ok := a.Table.routeOfKey(q.RouteKey)
	if !ok {
		return false
	}
	for _, lacking := range g.Lacking {
		if mayLeadTo(key, lacking) {
			return false
		}
	}
	return true
}

// routeOfKey finds the route of a route key; the names of parameters do not matter. An
// HTTP API may have routes that the table does not, such as $default: these lead
// anywhere.
func (t *Table) routeOfKey(key string) (Route, bool) {
	method, path, ok := strings.Cut(key, " ")
	if !ok {
		return Route{}, false
	}
	segments, err := parsePath(path)
	if err != nil {
		return Route{}, false
	}
	for _, r := range t.Routes() {
		if own, err := parsePath(r.Path); err == nil && r.Method == method && within(own, segments) && within(segments, own) {
			return r, true
		}
	}
	return Route{}, false
}

// mayLeadTo reports whether a request under the route key of the first route may be one
// for the second. The API may lack the second route, so that its requests come under
// the key of the first. Those that the table itself leads to the first are none.
func mayLeadTo(key, other Route) bool {
	if key.Method != other.Method && key.Method != MethodAny && other.Method != MethodAny {
		return false
	}
	a, errA := parsePath(key.Path)
	b, errB := parsePath(other.Path)
	if errA != nil || errB != nil {
		return true
	}
	if within(a, b) && (!within(b, a) || key.Method != other.Method && other.Method == MethodAny) {
		return false // the second covers all of the first, which is the more specific one
	}
	return overlap(a, b)
}

// PathsOverlap reports whether some path has both patterns, and PathWithin whether every
// path of the first has the second. A pattern that cannot be read has nothing in common
// with another.
func PathsOverlap(a, b string) bool {
	x, errX := parsePath(a)
	y, errY := parsePath(b)
	return errX == nil && errY == nil && overlap(x, y)
}

// PathWithin is described at [PathsOverlap].
func PathWithin(a, b string) bool {
	x, errX := parsePath(a)
	y, errY := parsePath(b)
	return errX == nil && errY == nil && within(x, y)
}

// overlap reports whether some path has both patterns.
func overlap(a, b []segment) bool {
	for i := range min(len(a), len(b)) {
		if a[i].kind == greedy || b[i].kind == greedy {
			return true
		}
		if a[i].kind == literal && b[i].kind == literal && a[i].text != b[i].text {
			return false
		}
	}
	return len(a) == len(b)
}

// within reports whether every path of the pattern a has the pattern b.
func within(a, b []segment) bool {
	for i, s := range b {
		switch {
		case i >= len(a):
			return false
		case s.kind == greedy:
			return true
		case a[i].kind == greedy:
			return false
		case s.kind == literal && (a[i].kind != literal || a[i].text != s.text):
			return false
		}
	}
	return len(a) == len(b)
}
