package apidoc

import (
	"fmt"
	"slices"
	"strings"

	"github.com/latchkey-auth/latchkey/internal/gateway"
)

// Table makes the routes of a table from those of a document, without the others, which
// latchkey answers itself. It says which it leaves out and why.
func (d Document) Table(others []gateway.Route) (routes []gateway.Route, left []Finding) {
	for _, r := range d.Routes {
		t := gateway.Route{Method: r.Verb, Path: r.Path, Public: r.Open(), To: r.To}
		if t.To == "" {
			t.To = "function"
		}
		if !t.Public {
			t.Scopes, t.AnyScope = r.Scopes, len(r.Scopes) > 1 // one of them is enough to API Gateway
		}
		leave := func(format string, args ...any) {
			left = append(left, Finding{r.String(), r.Line, fmt.Sprintf(format, args...)})
		}
		switch {
		case r.Verb == "OPTIONS" && r.Open():
			// Preflights carry no token, and API Gateway or the function answers them.
		case slices.ContainsFunc(others, func(o gateway.Route) bool { return o.Method == t.Method && samePath(o.Path, t.Path) }):
			leave("the auth service answers it, and every table has it")
		case r.Authorizer == IAM:
			leave("wants signed requests (IAM), which no token replaces")
		case slices.ContainsFunc(routes, func(o gateway.Route) bool { return o.Method == t.Method && samePath(o.Path, t.Path) }):
			leave("stands twice")
		default:
			if _, err := gateway.NewTable([]gateway.Route{t}); err != nil {
				leave("%v", err)
				continue
			}
			routes = append(routes, t)
		}
	}
	return routes, left
}

// YAML is the member routes of latchkey.yaml.
func YAML(routes []gateway.Route) string {
	var b strings.Builder
	b.WriteString("routes:\n")
	for _, r := range routes {
		fmt.Fprintf(&b, "  - route: %s\n", r)
		switch {
		case r.Public:
			b.WriteString("    public: true\n")
		case r.AnyScope:
			fmt.Fprintf(&b, "    scopes: {any: [%s]}\n", strings.Join(r.Scopes, ", "))
		case len(r.Scopes) > 0:
			fmt.Fprintf(&b, "    scopes: [%s]\n", strings.Join(r.Scopes, ", "))
		}
		fmt.Fprintf(&b, "    to: %s\n", r.To)
	}
	return b.String()
}
