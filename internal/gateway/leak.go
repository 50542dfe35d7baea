package gateway

import (
	"slices"
	"strings"
)

// A leak is paths of one route (exposed) that the pattern of another one (granting)
// matches, see [plan].
type leak struct {
	granting, exposed int // entries
	by                string
	ways              []way  // of denying it, the widest first
	widest            string // all paths with a percent sign that the granting route allows
	widestAt          int    // the pattern
}

// findLeaks finds the leaks of one granting route.
func (t *Table) findLeaks(p *plan, verb string, granting *rule) error {
	for _, exposed := range p.routes {
		e := &t.entries[exposed.entry]
		if exposed.entry == granting.entry || implies(&t.entries[granting.entry], e) || !someParts.meets(granting.allow, e.segments) {
			continue
		}
		by, found := search{Table: t, verb: verb, pattern: granting.allow, target: exposed.entry}.run()
		if !found {
			continue
		}
		l := leak{granting: granting.entry, exposed: exposed.entry, by: by}
		l.widest = joinHead(granting.allow[:slices.Index(granting.allow, "*")]) + "*%*"
		if longer := t.longer(p, verb, granting, exposed); longer != nil {
			longer.encoded = []string{l.widest}
			l.ways = append(l.ways, *longer)
		}
		if p.ways[exposed.entry] == nil {
			p.ways[exposed.entry] = t.findWays(p, verb, exposed)
		}
		for _, w := range p.ways[exposed.entry] {
			w.deny = overlapping(w.deny, strings.Join(granting.allow, "/"))
			w.encoded = l.encoded(granting.allow, exposed.allow, w.kept)
			l.ways = append(l.ways, w)
		}
		if err := t.checkWays(l); err != nil {
			return err
		}
		p.leaks = append(p.leaks, l)
	}
	return nil
}

// checkWays refuses a leak that cannot be denied to every principal: when one can exist
// who has the granting route, lacks the exposed one, and has for each way of denying it a
// route that the way takes away. Of the ways that are made from the exposed route's
// pattern the last takes least.
func (t *Table) checkWays(l leak) error {
	granting, exposed := t.entries[l.granting].Route, t.entries[l.exposed].Route
	narrowest, first := l.ways[len(l.ways)-1], l.ways[0]
	for i := range t.entries {
		if !narrowest.takesOrdinary.has(i) {
			continue
		}
		if first.kept > 0 && t.together(l.exposed, l.granting, i) {
			return &OverGrantError{granting, exposed, l.by, t.entries[i].Route, narrowest.lost[i]}
		}
		for j := range t.entries {
			if first.kept == 0 && first.takesOrdinary.has(j) && t.together(l.exposed, l.granting, i, j) {
				return &OverGrantError{granting, exposed, l.by, t.entries[j].Route, first.lost[j]}
			}
		}
	}
	return nil
}

// encoded are the patterns for paths with a percent sign that the granting route
// allows and that decode to paths that begin with so many parts of the exposed
// route's. What comes before the first such sign is as the exposed route has it.
func (l *leak) encoded(granting, exposed []string, kept int) []string {
	star := slices.Index(granting, "*")
	if !slices.Equal(granting[:star], exposed[:min(star, len(exposed))]) {
		return []string{l.widest}
	}
	if kept <= star {
		return nil // all that the granting route allows is denied
	}
	var all []string
	text := joinHead(exposed[:star])
	for _, part := range exposed[star:kept] {
		if part == "*" {
			return append(all, text+"*%*")
		}
		for n := range len(part) + 1 {
			all = append(all, text+part[:n]+"%*")
		}
		text += part + "/"
	}
	return all
}

// overlapping are the patterns of which some text is also matched by other.
func overlapping(patterns []string, other string) []string {
	return slices.DeleteFunc(slices.Clone(patterns), func(pattern string) bool { return !globsMeet(pattern, other) })
}

// globsMeet reports whether both patterns match some text.
func globsMeet(a, b string) bool {
	// at[j] says whether the rest of b from j and the rest of a overlap.
	at := make([]bool, len(b)+1)
	for i := len(a); i >= 0; i-- {
		next := slices.Clone(at) // for the rest of a from i+1
		for j := len(b); j >= 0; j-- {
			switch {
			case i < len(a) && a[i] == '*':
				at[j] = next[j] || j < len(b) && at[j+1]
			case j < len(b) && b[j] == '*':
				at[j] = at[j+1] || i < len(a) && next[j]
			case i == len(a) || j == len(b):
				at[j] = i == len(a) && j == len(b)
			default:
				at[j] = a[i] == b[j] && next[j+1]
			}
		}
	}
	return at[0]
}
