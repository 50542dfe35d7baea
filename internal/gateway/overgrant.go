package gateway

import (
	"fmt"
	"strings"
)

// An OverGrantError refuses a table that no policy can express. In a policy's
// Resource "*" crosses slashes, so the pattern of one route may match paths of another.
// A Deny makes up for that, unless it would also take away what the principal may call:
// a third route, or the rest of the first.
type OverGrantError struct {
	Granting Route  // a principal who may call this one
	Exposed  Route  // would get through to this one
	Example  string // by this path; empty: too many to look at
	Denied   Route  // and to deny that would take away this one, or a part of it
	Lost     string // such as this path; empty: too many to look at
}

func (e *OverGrantError) Error() string {
	return fmt.Sprintf("routes %s and %s overlap in a policy: a principal who may call the first would get through to the second by %s, because * crosses / in a policy, and a Deny of that would take away %s by %s. Ways out: %s",
		e.Granting, e.Exposed, somePath(e.Example), e.Denied, somePath(e.Lost), strings.Join(e.waysOut(), "; "))
}

func somePath(example string) string {
	if example == "" {
		return "some path"
	}
	return example
}

func (e *OverGrantError) waysOut() []string {
	ways := []string{
		fmt.Sprintf("give %s no needs that %s does not have", e.Exposed, e.Granting),
		"make it public",
		"move it to a path of its own",
	}
	if e.Denied.String() != e.Granting.String() {
		ways = append(ways, alsoAsk(e.Denied, e.Exposed))
	}
	if isGreedyPath(e.Denied.Path) && !isGreedyPath(e.Exposed.Path) {
		ways = append(ways, declareBelow(e.Exposed, e.Denied))
	}
	if isGreedyPath(e.Exposed.Path) && !isGreedyPath(e.Granting.Path) {
		ways = append(ways, declareBelow(e.Granting, e.Exposed))
	}
	return ways
}

func isGreedyPath(path string) bool { return strings.HasSuffix(path, "+}") }

// declareBelow proposes a greedy route that takes what is below the last parameter of
// a route away from a wider one, or other needs for the one that takes it already.
func declareBelow(r, wider Route) string {
	head := r.Path[:strings.LastIndex(r.Path, "}")+1]
	if strings.HasPrefix(wider.Path, head+"/{") && strings.Count(wider.Path, "/") == strings.Count(head, "/")+1 {
		return alsoAsk(wider, r) // it is declared there
	}
	return fmt.Sprintf("declare %s %s/{path+} with the needs of %s, so that what is below does not belong to %s", r.Method, head, r, wider)
}

func alsoAsk(at, r Route) string {
	return fmt.Sprintf("ask at %s for what %s needs, too", at, r)
}
