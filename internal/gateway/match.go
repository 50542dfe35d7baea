package gateway

import (
	"slices"
	"strings"
)

// Match is where a request leads.
type Match struct {
	Route  Route
	Params map[string]string // values of the path parameters, still escaped
}

// Match finds the route of a request by its escaped path. API Gateway chooses
// the resource first; when that has no method for the verb, only a greedy
// resource may take its place. A path that is not in canonical form matches
// nothing, and neither does a verb that API Gateway does not know, also where the
// route is for ANY.
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
