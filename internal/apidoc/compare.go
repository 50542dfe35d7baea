package apidoc

import (
	"fmt"
	"slices"
	"strings"

	"github.com/latchkey-auth/latchkey/internal/gateway"
)

// A Finding is what a document and the route table say differently.
type Finding struct {
	Route   string `json:"route"`          // as the one of them has it that has it
	Line    int    `json:"line,omitempty"` // of the document
	Problem string `json:"problem"`
}

// Compare holds a document against the routes of a table. The other routes are some that
// the API may have or not, open: those of the auth service.
//
// A greedy route with the authorizer stands for the table's routes below it: the policy
// tells these apart.
func Compare(table, others []gateway.Route, doc Document) []Finding {
	c := comparison{table: table, others: others}
	for _, r := range doc.Routes {
		if r.Verb == "OPTIONS" && r.Open() {
			continue // preflights carry no token
		}
		c.routes = append(c.routes, r)
	}
	for _, r := range c.routes {
		c.judge(r)
	}
	for _, t := range table {
		c.find(t)
	}
	return c.findings
}

type comparison struct {
	table, others []gateway.Route
	routes        []Route
	findings      []Finding
}

func (c *comparison) say(route fmt.Stringer, line int, format string, args ...any) {
	c.findings = append(c.findings, Finding{route.String(), line, fmt.Sprintf(format, args...)})
}

// judge looks at a route of the document.
func (c *comparison) judge(r Route) {
	known, below := false, false
	for _, t := range c.table {
		switch {
		case samePath(t.Path, r.Path) && (t.Method == r.Verb || t.Method == gateway.MethodAny || r.Verb == gateway.MethodAny):
			known = true
			c.compare(r, t)
		case gateway.PathWithin(t.Path, r.Path) && sharedVerb(t.Method, r.Verb):
			below = true
		}
	}
	switch {
	case r.Verb == gateway.MethodAny && known && r.Open() && !c.has(gateway.MethodAny, r.Path):
		c.say(r, r.Line, "is open for every verb, and the table has some of them only; add ANY %s to the table, or name the verbs in the document", r.Path)
	case known || r.Authorizer == IAM || !r.Open() && below:
	case !r.Open():
		c.say(r, r.Line, "is not in the table: the authorizer's policies do not have it, and every token gets 403")
	case !slices.ContainsFunc(c.others, func(o gateway.Route) bool { return samePath(o.Path, r.Path) && sharedVerb(o.Method, r.Verb) }):
		c.say(r, r.Line, "is open, and the table does not know it; add it to the table as public: true, or name the authorizer in the document")
	}
}

// compare holds a route of both against each other.
func (c *comparison) compare(r Route, t gateway.Route) {
	switch {
	case r.Authorizer == IAM:
		c.say(r, r.Line, "wants signed requests (IAM), and the table says: %s", t.Needs())
	case r.Open() && !t.Public:
		c.say(r, r.Line, "names no authorizer, so anybody may call it; the table says: %s", t.Needs())
	case !r.Open() && t.Public:
		c.say(r, r.Line, "asks the authorizer %s, and the table says public: no policy has public routes, so everybody gets 403; take the authorizer off the route", r.Authorizer)
	}
}

// find looks for a route of the table in the document.
func (c *comparison) find(t gateway.Route) {
	var others []Route // that take its requests
	for _, r := range c.routes {
		switch {
		case !sharedVerb(t.Method, r.Verb) || !gateway.PathsOverlap(t.Path, r.Path):
		case samePath(t.Path, r.Path):
			return
		default:
			others = append(others, r)
		}
	}
	for _, r := range others {
		if r.Open() && !t.Public && greedy(r.Path) {
			c.say(t, r.Line, "is not in the document, whose %s takes its requests and is open: the authorizer is never asked; add the route to the document", r)
			return
		}
	}
	if !slices.ContainsFunc(others, func(r Route) bool { return gateway.PathWithin(t.Path, r.Path) }) {
		c.say(t, 0, "is not in the document: the API has no such route")
	}
}

// has reports whether the table has the very route.
func (c *comparison) has(verb, path string) bool {
	return slices.ContainsFunc(c.table, func(t gateway.Route) bool { return t.Method == verb && samePath(t.Path, path) })
}

// samePath reports whether two patterns are one but for the names of parameters.
func samePath(a, b string) bool {
	return a == b || gateway.PathWithin(a, b) && gateway.PathWithin(b, a)
}

func sharedVerb(a, b string) bool {
	return a == b || a == gateway.MethodAny || b == gateway.MethodAny
}

func greedy(path string) bool { return strings.HasSuffix(path, "+}") }
