package gateway

import "strings"

// TrailingSlash is how a path that ends in a slash is read. What AWS does is told
// in different ways and was not verified; no policy may depend on it.
type TrailingSlash string

const (
	SlashRefuse TrailingSlash = "refuse" // it matches nothing
	SlashStrip  TrailingSlash = "strip"  // it is the resource without the slash
	SlashKeep   TrailingSlash = "keep"   // greedy routes hand it on, unless that bypasses a route; others do not match
)

// cut takes the slash off a path for the readings that know what to do with it.
func (s TrailingSlash) cut(path string) (plain string, slash bool) {
	if s != SlashStrip && s != SlashKeep || len(path) < 2 {
		return path, false
	}
	return strings.CutSuffix(path, "/")
}

// ARNPath is the path of a request in its method ARN, without the first slash.
func (s TrailingSlash) ARNPath(path string) string {
	if s == SlashStrip {
		path, _ = s.cut(path)
	}
	return strings.TrimPrefix(path, "/")
}

// bypasses reports whether a greedy route needs less than the route that the path
// without its slash has. Most servers read both paths alike: the slash would lead
// around the needs of that route.
func (t *Table) bypasses(greedy *entry, method, plain string) bool {
	e, _ := t.match(method, plain, false)
	return e != nil && !e.Public && (greedy.Public || !implies(greedy.Route, e.Route))
}

// findWidened finds, for each entry, the others whose resource allows its paths
// with a slash at the end though not without it. In a policy "*" may be nothing:
// the resource of GET /users/{id}, GET/users/*, allows GET/users/. If AWS takes
// that for GET /users, a principal who may call the first route only would get
// through to it. Whoever is granted the first and not the second is therefore
// denied the paths of the second that end in a slash.
func (t *Table) findWidened() {
	for i := range t.entries {
		e := &t.entries[i]
		if e.Public || len(e.segments) == 0 {
			continue
		}
		for j := range t.entries {
			granting := &t.entries[j]
			head, ok := strings.CutSuffix(granting.pattern, "/*")
			if i == j || !ok || head == "" || granting.Public || implies(granting.Route, e.Route) {
				continue
			}
			if meet(strings.Split(head[1:], "/"), e.segments) {
				e.widened = append(e.widened, j)
			}
		}
	}
}
