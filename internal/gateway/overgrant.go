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

// maxWalks bounds the search for a path; a table beyond it is refused.
const maxWalks = 20_000

// checkOverGrant looks, for every two routes of which the first may be granted
// without the second, for a path that leads to the second and is allowed by the
// first one's resource.
func (t *Table) checkOverGrant() error {
	other := t.otherText()
	for i := range t.entries {
		granting := &t.entries[i]
		if granting.Public || !strings.Contains(granting.pattern, "*") {
			continue // without "*" it allows its own path alone
		}
		resource := strings.Split(granting.pattern[1:], "/")
		for j := range t.entries {
			exposed := &t.entries[j]
			if i == j || exposed.Public || implies(granting.Route, exposed.Route) || !meet(resource, exposed.segments) {
				continue
			}
			for _, verb := range granting.verbs {
				if !slices.Contains(exposed.verbs, verb) {
					continue
				}
				if example, found := t.search(granting, exposed, verb, other); found {
					return &OverGrantError{granting.Route, exposed.Route, example}
				}
			}
		}
	}
	return nil
}

// meet reports whether some path matches both, whatever other routes there are.
// For most pairs there is none, and the search is spared.
func meet(resource []string, segments []segment) bool {
	if len(segments) == 0 {
		return len(resource) == 1 // "*" is the root too: it may be nothing
	}
	at := make([]bool, len(resource)+1)
	at[0] = true
	for _, s := range segments {
		text := s.text
		if s.kind != literal {
			text = anyText
		}
		if at = advance(resource, at, text); at == nil {
			return false
		}
	}
	if isGreedy(segments) {
		// Each further part uses up more of the resource, or nothing changes.
		for range resource {
			if at[len(resource)] {
				return true
			}
			if at = advance(resource, at, anyText); at == nil {
				return false
			}
		}
	}
	return at[len(resource)]
}

// anyText is a part that may be any text.
const anyText = "*"

// otherText returns a text that is no literal of the table.
func (t *Table) otherText() string {
	other := "x"
	for slices.ContainsFunc(t.entries, func(e entry) bool { return slices.Contains(e.segments, segment{literal, other}) }) {
		other += "x"
	}
	return other
}

// A walk is a path on trial.
type walk struct {
	parts []string
	alive []int  // the entries that it, or what it grows into, may lead to
	at    []bool // at[n]: it may have used up n parts of the granting resource
}

// search grows the paths that exposed covers, part by part, for as long as the
// granting resource may match them. In place of a parameter it tries every
// text that makes a difference: the literals that other routes have at this
// depth, those of the resource, whatever their depth, because "*" may take any
// number of parts before them, and one that is neither. Of walks that the same can become of it follows
// one; that ends the search under greedy parameters too.
func (t *Table) search(granting, exposed *entry, verb, other string) (example string, found bool) {
	resource := strings.Split(granting.pattern[1:], "/")
	first := walk{alive: make([]int, len(t.entries)), at: make([]bool, len(resource)+1)}
	first.at[0] = true
	longest := 0
	for i, e := range t.entries {
		first.alive[i] = i
		longest = max(longest, len(e.segments))
	}
	seen := make(map[string]bool)
	for queue := []walk{first}; len(queue) > 0; queue = queue[1:] {
		w := queue[0]
		path := "/" + strings.Join(w.parts, "/")
		if glob(granting.pattern, path) {
			if led, _ := t.match(verb, path, false); led == exposed {
				return verb + " " + path, true
			}
		}
		for _, text := range t.textsAt(exposed, w, resource, other) {
			next := walk{parts: append(slices.Clip(w.parts), text), at: advance(resource, w.at, text)}
			if next.at == nil {
				continue
			}
			for _, i := range w.alive {
				if t.entries[i].takes(len(w.parts), text) {
					next.alive = append(next.alive, i)
				}
			}
			// Beyond the longest route the depth makes no difference.
			key := fmt.Sprint(min(len(next.parts), longest+1), next.alive, next.at)
			if seen[key] {
				continue
			}
			if seen[key] = true; len(seen) > maxWalks {
				return "", true
			}
			queue = append(queue, next)
		}
	}
	return "", false
}

// advance moves on in a resource by one part of a request: "*" takes it and may
// take more. It returns nil when the resource cannot match any longer.
func advance(resource []string, at []bool, part string) []bool {
	var next []bool
	for n, pattern := range resource {
		if !at[n] || pattern != "*" && pattern != part && part != anyText {
			continue
		}
		if next == nil {
			next = make([]bool, len(at))
		}
		next[n+1] = true
		next[n] = next[n] || pattern == "*"
	}
	return next
}

// textsAt returns what may follow a walk on paths that the entry covers.
func (t *Table) textsAt(e *entry, w walk, resource []string, other string) []string {
	depth := len(w.parts)
	switch {
	case depth < len(e.segments) && e.segments[depth].kind == literal:
		return []string{e.segments[depth].text}
	case depth >= len(e.segments) && !isGreedy(e.segments):
		return nil
	}
	texts := []string{other}
	for _, i := range w.alive {
		if s := t.entries[i].segments; depth < len(s) && s[depth].kind == literal && !slices.Contains(texts, s[depth].text) {
			texts = append(texts, s[depth].text)
		}
	}
	for _, part := range resource {
		if part != "*" && !slices.Contains(texts, part) {
			texts = append(texts, part)
		}
	}
	return texts
}

// takes reports whether a path that the entry covers may have the part at the
// depth.
func (e *entry) takes(depth int, part string) bool {
	if depth >= len(e.segments) {
		return isGreedy(e.segments)
	}
	s := e.segments[depth]
	return s.kind != literal || s.text == part
}
