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
	texts := t.texts()
	for i := range t.entries {
		granting := &t.entries[i]
		if granting.Public || !strings.Contains(granting.pattern, "*") {
			continue // without "*" it allows its own path alone
		}
		for j := range t.entries {
			exposed := &t.entries[j]
			if i == j || exposed.Public || apart(granting, exposed) || subset(exposed.Scopes, granting.Scopes) {
				continue
			}
			for _, verb := range granting.verbs {
				if !slices.Contains(exposed.verbs, verb) {
					continue
				}
				if example, found := t.search(granting, exposed, verb, texts); found {
					return &OverGrantError{granting.Route, exposed.Route, example}
				}
			}
		}
	}
	return nil
}

// apart reports, for most pairs, that they begin differently, which spares the
// search.
func apart(granting, exposed *entry) bool {
	for i, s := range granting.segments[:min(len(granting.segments), len(exposed.segments))] {
		if s.kind != literal || exposed.segments[i].kind == greedy {
			return false
		}
		if exposed.segments[i].kind == literal && exposed.segments[i].text != s.text {
			return true
		}
	}
	return false
}

func subset(of, in []string) bool {
	return !slices.ContainsFunc(of, func(s string) bool { return !slices.Contains(in, s) })
}

// texts returns the literals of the table and one that it does not hold.
func (t *Table) texts() []string {
	texts := []string{"x"}
	for _, e := range t.entries {
		for _, s := range e.segments {
			if s.kind == literal && !slices.Contains(texts[1:], s.text) {
				texts = append(texts, s.text)
			}
		}
	}
	for slices.Contains(texts[1:], texts[0]) {
		texts[0] += "x"
	}
	return texts
}

// A walk is a path on trial.
type walk struct {
	parts []string
	alive []int  // the entries that it, or what it grows into, may lead to
	at    []bool // at[n]: it may have used up n parts of the granting resource
}

// search grows the paths that exposed covers, part by part, for as long as the
// granting resource may match them. In place of a parameter it tries every
// literal of the table, whatever its depth there, because "*" may take any
// number of parts before it. Of walks that the same can become of it follows
// one; that ends the search under greedy parameters too.
func (t *Table) search(granting, exposed *entry, verb string, texts []string) (example string, found bool) {
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
			if led, _ := t.match(verb, path); led == exposed {
				return verb + " " + path, true
			}
		}
		for _, text := range exposed.textsAt(len(w.parts), texts) {
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
		if !at[n] || pattern != "*" && pattern != part {
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

// textsAt returns what may stand at a depth of the paths that the entry covers.
func (e *entry) textsAt(depth int, texts []string) []string {
	switch {
	case depth < len(e.segments) && e.segments[depth].kind == literal:
		return []string{e.segments[depth].text}
	case depth < len(e.segments) || isGreedy(e.segments):
		return texts
	}
	return nil
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
