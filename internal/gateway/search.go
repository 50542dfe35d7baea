package gateway

import (
	"slices"
	"strings"
)

// A reach is how many parts of a path "*" in a pattern matches.
type reach int

const (
	someParts reach = iota // one at least: as a policy reads a path that has one reading
	anyParts               // also none: as the rest of the path reads when "*" is nothing but slashes
	onePart
)

// closure adds the places in the pattern that are reached by a "*" that takes nothing.
func (r reach) closure(pattern []string, at []bool) []bool {
	if r == anyParts {
		for n, p := range pattern {
			at[n+1] = at[n+1] || at[n] && p == "*"
		}
	}
	return at
}

// begin is the state of a match before the first part: at[n] means that n parts of the
// pattern may be matched already.
func (r reach) begin(pattern []string) []bool {
	at := make([]bool, len(pattern)+1)
	at[0] = true
	return r.closure(pattern, at)
}

// advance moves on by one part of a path. It returns nil when the pattern cannot
// match any longer.
func (r reach) advance(pattern []string, at []bool, part string) []bool {
	var next []bool
	for n, p := range pattern {
		if !at[n] || p != "*" && p != part && part != anyText {
			continue
		}
		if next == nil {
			next = make([]bool, len(at))
		}
		next[n+1] = true
		next[n] = next[n] || p == "*" && r != onePart
	}
	if next == nil {
		return nil
	}
	return r.closure(pattern, next)
}

// anyText is a part that may be any text.
const anyText = "*"

// meets reports whether some path matches both, other routes left aside. For
// most pairs there is none, and no search is needed.
func (r reach) meets(pattern []string, segments []segment) bool {
	if len(pattern) > 0 && len(segments) > 0 && segments[0].kind == literal && pattern[0] != "*" && pattern[0] != segments[0].text {
		return false
	}
	at := r.begin(pattern)
	for _, s := range segments {
		text := s.text
		if s.kind != literal {
			text = anyText
		}
		if at = r.advance(pattern, at, text); at == nil {
			return false
		}
	}
	if isGreedy(segments) {
		// Each further part uses up more of the pattern, or nothing changes.
		for range pattern {
			if at[len(pattern)] {
				return true
			}
			if at = r.advance(pattern, at, anyText); at == nil {
				return false
			}
		}
	}
	return at[len(pattern)]
}

// A search looks for a path that leads to a route and is matched by a pattern.
type search struct {
	*Table
	verb    string
	pattern []string
	reach   reach
	target  int
	plain   bool // a {parameter} has no text that is a literal somewhere in the table
}

// maxWalks bounds a search, maxTableWalks all those for a table. They are variables for
// tests.
var (
	maxWalks      = 20_000
	maxTableWalks = 200_000
)

// A walk is a path that is tried.
type walk struct {
	parts []string
	alive []int  // the entries that it, or what it grows into, may lead to
	at    []bool // at[n]: it may have used up n parts of the pattern
}

// run grows the paths that the target covers, part by part, for as long as the
// pattern may match them. In place of a parameter it tries every text that makes a
// difference: the literals that other routes have at this depth, those of the pattern
// at any depth, because "*" may take any number of parts before them, and one
// that is neither. Of walks with the same possible continuations it follows one, which
// ends the search under greedy parameters too. A search that takes too long returns found
// without an example.
func (q search) run() (example string, found bool) {
	first := walk{at: q.reach.begin(q.pattern)}
	longest := 0
	for i, e := range q.entries {
		if compatible(e.segments, q.entries[q.target].segments) {
			first.alive = append(first.alive, i)
			longest = max(longest, len(e.segments))
		}
	}
	seen := make(map[string]bool)
	var key []byte
	for queue := []walk{first}; len(queue) > 0; queue = queue[1:] {
		w := queue[0]
		if w.at[len(q.pattern)] && q.lead(w.alive, q.verb, w.parts, false) == q.target {
			return q.verb + " /" + strings.Join(w.parts, "/"), true
		}
		for _, text := range q.textsAt(w) {
			next := walk{parts: append(slices.Clip(w.parts), text), at: q.reach.advance(q.pattern, w.at, text)}
			if next.at == nil {
				continue
			}
			for _, i := range w.alive {
				if q.entries[i].takes(len(w.parts), text) {
					next.alive = append(next.alive, i)
				}
			}
			// Beyond the longest route the depth makes no difference.
			key = next.appendKey(key[:0], longest+1)
			if seen[string(key)] {
				continue
			}
			q.walks++
			if seen[string(key)] = true; len(seen) > maxWalks || q.walks > maxTableWalks {
				return "", true
			}
			queue = append(queue, next)
		}
	}
	return "", false
}

func (w walk) appendKey(key []byte, deepest int) []byte {
	key = append(key, byte(min(len(w.parts), deepest)))
	for _, at := range w.at {
		bit := byte(0)
		if at {
			bit = 1
		}
		key = append(key, bit)
	}
	for _, i := range w.alive {
		key = append(key, byte(i), byte(i>>8))
	}
	return key
}

// compatible reports whether two path patterns may cover the same path, or one of
// them a path on the way to the other's.
func compatible(a, b []segment) bool {
	for i := range min(len(a), len(b)) {
		if a[i].kind == literal && b[i].kind == literal && a[i].text != b[i].text {
			return false
		}
	}
	return true
}

// textsAt returns what may follow a walk on paths that the target covers.
func (q search) textsAt(w walk) []string {
	e, depth := &q.entries[q.target], len(w.parts)
	switch {
	case depth < len(e.segments) && e.segments[depth].kind == literal:
		return []string{e.segments[depth].text}
	case depth >= len(e.segments) && !isGreedy(e.segments):
		return nil
	}
	texts := []string{q.other}
	if q.plain && depth < len(e.segments) && e.segments[depth].kind == param {
		return texts
	}
	for _, i := range w.alive {
		if s := q.entries[i].segments; depth < len(s) && s[depth].kind == literal && !slices.Contains(texts, s[depth].text) {
			texts = append(texts, s[depth].text)
		}
	}
	for _, part := range q.pattern {
		if part != "*" && !slices.Contains(texts, part) {
			texts = append(texts, part)
		}
	}
	return texts
}

// otherText returns a text that is no literal of the table.
func (t *Table) otherText() string {
	literals := make(map[string]bool)
	for _, e := range t.entries {
		for _, s := range e.segments {
			literals[s.text] = literals[s.text] || s.kind == literal
		}
	}
	other := "x"
	for literals[other] {
		other += "x"
	}
	return other
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
