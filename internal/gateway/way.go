package gateway

import (
	"slices"
	"strings"
)

// A way is a list of patterns by which an exposed route can be denied.
type way struct {
	deny              []string
	encoded           []string       // the same for paths with a percent sign
	denyAt, encodedAt []int          // the patterns of both
	takes             set            // routes of which it takes a path away
	takesOrdinary     set            // routes of which it takes away paths whose parameters have ordinary texts
	lost              map[int]string // such a path
	kept              int            // parts of the exposed route's pattern; 0: it is made from the granting route's
}

// longer denies all that the granting route's pattern matches and that has more parts
// than the route's own paths. There is no such way if the route is greedy, or if the leak
// has no more parts.
func (t *Table) longer(p *plan, verb string, granting *rule, exposed rule) *way {
	if isGreedy(t.entries[granting.entry].segments) {
		return nil
	}
	if _, found := (search{Table: t, verb: verb, pattern: granting.allow, reach: onePart, target: exposed.entry}).run(); found {
		return nil
	}
	if granting.longer == nil {
		var deny []string
		for i, part := range granting.allow {
			if part == "*" {
				deny = append(deny, strings.Join(slices.Insert(slices.Clone(granting.allow), i, "*"), "/"))
			}
		}
		w := t.newWay(p, verb, deny)
		granting.longer = &w
	}
	w := *granting.longer
	return &w
}

// findWays finds the ways of denying a route, the widest first: its subtree cut after
// some part, and last its own pattern. A wider way is a shorter policy; a narrower
// one takes less away.
func (t *Table) findWays(p *plan, verb string, exposed rule) []way {
	pattern := exposed.allow
	own, n := strings.Join(pattern, "/"), len(pattern)
	var ways []way
	// The whole patterns say what a way takes away. The others are of paths that have
	// no single reading.
	add := func(kept int, whole []string, others ...string) {
		w := t.newWay(p, verb, whole)
		w.kept, w.deny = kept, slices.Concat(whole, others, doubled(pattern[:kept]))
		ways = append(ways, w)
	}
	for kept := 1; kept < n; kept++ {
		if subtree := joinHead(pattern[:kept]) + "*"; subtree != own {
			add(kept, []string{subtree})
		}
	}
	if pattern[n-1] == "*" {
		add(n, []string{own})
		return ways
	}
	add(n, []string{own, own + "/*"})
	add(n, []string{own}, own+"/", own+"//*", own+"/%*")
	return ways
}

// newWay notes what the patterns take away from each route.
func (t *Table) newWay(p *plan, verb string, deny []string) way {
	w := way{deny: deny, takes: t.newSet(), takesOrdinary: t.newSet(), lost: make(map[int]string)}
	for i := range p.routes {
		t.findTaken(&w, verb, &p.routes[i])
	}
	return w
}

func (t *Table) findTaken(w *way, verb string, r *rule) {
	for _, text := range w.deny {
		q := search{Table: t, verb: verb, pattern: strings.Split(text, "/"), target: r.entry, plain: true}
		if !someParts.meets(q.pattern, t.entries[r.entry].segments) {
			continue
		}
		if lost, found := q.run(); found {
			w.takes.add(r.entry)
			w.takesOrdinary.add(r.entry)
			w.lost[r.entry] = lost
			return
		}
		q.plain = false
		if lost, found := q.run(); found {
			w.takes.add(r.entry)
			w.lost[r.entry] = lost
		}
	}
}

// doubled are the patterns with two slashes before a literal that follows another
// one, or the verb. Elsewhere a "*" takes the second slash.
func doubled(pattern []string) []string {
	var all []string
	for i, part := range pattern {
		if part != "*" && (i == 0 || pattern[i-1] != "*") {
			all = append(all, joinHead(pattern[:i])+"/*")
		}
	}
	return all
}
