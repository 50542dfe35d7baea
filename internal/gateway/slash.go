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
	return e != nil && !e.Public && (greedy.Public || !implies(greedy, e))
}
