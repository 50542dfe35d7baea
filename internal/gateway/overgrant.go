package gateway

import (
	"fmt"
	"slices"
	"strings"
)

// An OverGrantError refuses a table that no policy can express. In a policy's
// Resource "*" crosses slashes, so the resource of GET /orders/{id}, which ends
// in GET/orders/*, also allows GET /orders/7/refunds. That is harmless while
// everybody who may call the first route may call the second, and a hole
// otherwise.
type OverGrantError struct {
	Granting Route  // whoever may call this one
	Exposed  Route  // would get through to this one
	Example  string // by this path; empty: too many to look at
}

func (e *OverGrantError) Error() string {
	by := "by some path"
	if e.Example != "" {
		by = "by " + e.Example
	}
	return fmt.Sprintf("routes %s and %s overlap in a policy: whoever may call the first would get through to the second %s, because * crosses / in a policy. Give the second route no scope that the first does not ask for, make it public, or move it to a path of its own", e.Granting, e.Exposed, by)
}

// maxCandidates bounds the search for a path; a table beyond it is refused.
const maxCandidates = 20_000

// checkOverGrant looks, for every two routes of which the first may be granted
// without the second, for a path that leads to the second and is allowed by the
// first one's resource.
func (t *Table) checkOverGrant() error {
	for i := range t.entries {
		for j := range t.entries {
			granting, exposed := &t.entries[i], &t.entries[j]
			if i == j || granting.Public || exposed.Public || !verbsMeet(granting.Method, exposed.Method) || subset(exposed.Scopes, granting.Scopes) {
				continue
			}
			if err := t.search(granting, exposed); err != nil {
				return err
			}
		}
	}
	return nil
}

func verbsMeet(a, b string) bool { return a == b || a == MethodAny || b == MethodAny }

func subset(of, in []string) bool {
	return !slices.ContainsFunc(of, func(s string) bool { return !slices.Contains(in, s) })
}

// search tries every kind of path that exposed covers: in place of a parameter
// each literal that the table has at that depth, and one that it has nowhere.
func (t *Table) search(granting, exposed *entry) error {
	verbs := []string{exposed.Method}
	if exposed.Method == MethodAny {
		verbs = methods[:len(methods)-1]
	}
	choices, err := t.candidates(exposed)
	if err != nil {
		return &OverGrantError{Granting: granting.Route, Exposed: exposed.Route}
	}
	for _, parts := range choices {
		path := "/" + strings.Join(parts, "/")
		for _, verb := range verbs {
			if !glob(granting.suffix, verb+path) {
				continue
			}
			if led, _ := t.match(verb, path); led == exposed {
				return &OverGrantError{granting.Route, exposed.Route, verb + " " + path}
			}
		}
	}
	return nil
}

// candidates lists the paths to try. A greedy parameter takes up to two
// segments more than the longest route has: beyond that nothing differs.
func (t *Table) candidates(exposed *entry) ([][]string, error) {
	fixed := exposed.segments
	if !isGreedy(fixed) {
		return t.expand(fixed)
	}
	longest := 0
	for _, e := range t.entries {
		longest = max(longest, len(e.segments))
	}
	var all [][]string
	last := fixed[len(fixed)-1]
	for n := len(fixed); n <= longest+2; n++ {
		segments := slices.Clone(fixed[:len(fixed)-1])
		for len(segments) < n {
			segments = append(segments, segment{param, last.text})
		}
		paths, err := t.expand(segments)
		if err != nil {
			return nil, err
		}
		all = append(all, paths...)
	}
	return all, nil
}

func (t *Table) expand(segments []segment) ([][]string, error) {
	paths := [][]string{nil}
	for depth, s := range segments {
		values := []string{s.text}
		if s.kind != literal {
			values = t.literalsAt(depth)
		}
		if len(paths)*len(values) > maxCandidates {
			return nil, fmt.Errorf("more than %d paths", maxCandidates)
		}
		var longer [][]string
		for _, p := range paths {
			for _, v := range values {
				longer = append(longer, append(slices.Clip(p), v))
			}
		}
		paths = longer
	}
	return paths, nil
}

// literalsAt returns the table's literals at a depth and one more.
func (t *Table) literalsAt(depth int) []string {
	values := []string{"x"}
	for _, e := range t.entries {
		if depth < len(e.segments) && e.segments[depth].kind == literal && !slices.Contains(values, e.segments[depth].text) {
			values = append(values, e.segments[depth].text)
		}
	}
	for slices.Contains(values[1:], values[0]) || t.hasLiteral(depth, values[0]) {
		values[0] += "x"
	}
	return values
}

func (t *Table) hasLiteral(depth int, text string) bool {
	return slices.ContainsFunc(t.entries, func(e entry) bool {
		return depth < len(e.segments) && e.segments[depth] == segment{literal, text}
	})
}
