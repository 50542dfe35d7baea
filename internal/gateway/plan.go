package gateway

import (
	"errors"
	"fmt"
	"math/bits"
	"slices"
	"strings"
)

// A plan is what a policy needs to say about one verb, whoever asks. It is made once;
// [plan.denied] picks from it what one principal gets.
//
// In a policy "*" is any text, slashes and none at all included. So what allows a
// route may allow another one's paths, which a principal who lacks that one must be
// denied. There are two ways to get there:
//
//   - A leak: each "*" takes one part of the path at least. GET/orders/* allows
//     GET/orders/7/refunds. The Deny is made from the pattern of the exposed route.
//   - A gap: a "*" takes nothing, or nothing but slashes, which some gateways ignore.
//     GET/users/* allows GET/users/, which may be read as GET /users. The Deny is the
//     pattern that has nothing or a slash in that place. No path that has one reading
//     is like that, so it takes away nothing.
//
// Each is denied in every spelling: doubled and trailing slashes, and percent signs,
// because gateways disagree whether the ARN has the path before or after decoding.
type plan struct {
	verbs  []string // that have the same routes
	routes []rule
	leaks  []leak
	gaps   []gap
	ways   map[int][]way // of denying a route, by entry

	patterns []denial // all that may be denied, sorted
}

// A denial is a pattern, known by its place in [plan.patterns], so that a policy is put together
// without comparing texts.
type denial struct {
	methods []string // for each verb: GET/orders/*/*
	heldBy  []int    // patterns that match all that this one does
}

// A rule is a route that is not public.
type rule struct {
	entry   int
	allow   []string // parts of the pattern that allows it
	within  set      // the entries whose pattern allows all that this one does
	allowed []string // the methods that allow it, as GET/orders/*
	longer  *way     // of denying what its pattern allows beyond its paths, once it was looked for
}

type leak struct {
	granting, exposed int // entries
	by                string
	ways              []way  // of denying it, the widest first
	widest            string // all paths with a percent sign that the granting route allows
	widestAt          int    // the pattern
}

type gap struct {
	granting int
	exposed  set
	deny     []string
	denyAt   []int // the patterns
}

// A way of denying an exposed route.
type way struct {
	deny              []string
	encoded           []string       // the same for paths with a percent sign
	denyAt, encodedAt []int          // the patterns of both
	takes             set            // routes of which it takes a path away
	cripple           set            // routes of which it takes away paths whose parameters have ordinary texts
	lost              map[int]string // such a path
	kept              int            // parts of the exposed route's pattern; 0: it is made from the granting route's
}

// A set is a set of entries, or of facts.
type set []uint64

func (s set) has(i int) bool { return s[i/64]>>(i%64)&1 == 1 }
func (s set) add(i int)      { s[i/64] |= 1 << (i % 64) }

func (s set) meets(other set) bool {
	for i := range s {
		if s[i]&other[i] != 0 {
			return true
		}
	}
	return false
}

// count is how many of s are in the other.
func (s set) count(other set) (n int) {
	for i := range s {
		n += bits.OnesCount64(s[i] & other[i])
	}
	return n
}

// within reports whether each of s is in the other.
func (s set) within(other set) bool {
	for i := range s {
		if s[i]&^other[i] != 0 {
			return false
		}
	}
	return true
}

func (t *Table) newSet() set { return make(set, (len(t.entries)+63)/64) }

// makePlans makes a plan for the verbs of each kind: those with the same routes are one.
func (t *Table) makePlans() error {
	t.other = t.otherText()
	made := make(map[string]*plan)
	for _, verb := range methods[:len(methods)-1] {
		var has []int
		for i := range t.entries {
			if slices.Contains(t.entries[i].verbs, verb) {
				has = append(has, i)
			}
		}
		key := fmt.Sprint(has)
		p := made[key]
		if p == nil {
			p = &plan{ways: make(map[int][]way)}
			err := t.fill(p, verb, has)
			if t.walks > maxTableWalks {
				return errors.New("the routes overlap in too many ways to look at them all: let fewer of their paths consist of parameters")
			}
			if err != nil {
				return err
			}
			made[key] = p
			t.plans = append(t.plans, p)
		}
		p.verbs = append(p.verbs, verb)
	}
	for _, p := range t.plans {
		for i := range p.routes {
			r := &p.routes[i]
			for _, verb := range p.verbs {
				r.allowed = append(r.allowed, verb+"/"+strings.Join(r.allow, "/"))
			}
			t.entries[r.entry].rules = append(t.entries[r.entry].rules, r)
		}
		p.numberPatterns()
	}
	return nil
}

// numberPatterns has gaps and ways know their patterns by number.
func (p *plan) numberPatterns() {
	var texts []string
	for _, g := range p.gaps {
		texts = append(texts, g.deny...)
	}
	for _, l := range p.leaks {
		texts = append(texts, l.widest)
		for _, w := range l.ways {
			texts = append(append(texts, w.deny...), w.encoded...)
		}
	}
	slices.Sort(texts)
	texts = slices.Compact(texts)
	at := func(patterns []string) (all []int) {
		for _, text := range patterns {
			i, _ := slices.BinarySearch(texts, text)
			all = append(all, i)
		}
		return all
	}
	for i := range p.gaps {
		p.gaps[i].denyAt = at(p.gaps[i].deny)
	}
	for i := range p.leaks {
		l := &p.leaks[i]
		l.widestAt, _ = slices.BinarySearch(texts, l.widest)
		for j := range l.ways {
			l.ways[j].denyAt, l.ways[j].encodedAt = at(l.ways[j].deny), at(l.ways[j].encoded)
		}
	}
	p.patterns = make([]denial, len(texts))
	for i, text := range texts {
		for _, verb := range p.verbs {
			p.patterns[i].methods = append(p.patterns[i].methods, verb+"/"+text)
		}
		p.findHeld(texts, i)
	}
}

// findHeld notes which patterns the one at a place holds. They begin like it up to its
// first "*", and so stand together when sorted.
func (p *plan) findHeld(texts []string, wider int) {
	head, _, wild := strings.Cut(texts[wider], "*")
	if !wild {
		return
	}
	from, _ := slices.BinarySearch(texts, head)
	for i := from; i < len(texts) && strings.HasPrefix(texts[i], head); i++ {
		if i != wider && glob(texts[wider], texts[i]) {
			p.patterns[i].heldBy = append(p.patterns[i].heldBy, wider)
		}
	}
}

func (t *Table) fill(p *plan, verb string, has []int) error {
	for _, i := range has {
		if !t.entries[i].Public {
			p.routes = append(p.routes, rule{entry: i, allow: t.allow(i, verb), within: t.newSet()})
		}
	}
	p.findWithin()
	for i := range p.routes {
		granting := &p.routes[i]
		if !slices.Contains(granting.allow, "*") {
			continue // it allows its own path alone
		}
		t.findGaps(p, verb, granting)
		if err := t.findLeaks(p, verb, granting); err != nil {
			return err
		}
	}
	return nil
}

// allow returns the parts of the pattern that allows a route. A greedy route beside
// one for exactly as many parts as it takes at least gets another "*": of GET /{id} and
// GET /{path+} the second begins at two parts.
func (t *Table) allow(i int, verb string) []string {
	e := &t.entries[i]
	if len(e.segments) == 0 {
		return []string{""}
	}
	parts := make([]string, len(e.segments))
	for n, s := range e.segments {
		parts[n] = "*"
		if s.kind == literal {
			parts[n] = s.text
		}
	}
	if !isGreedy(e.segments) {
		return parts
	}
	head := e.segments[:len(e.segments)-1]
	for slices.ContainsFunc(t.entries, func(o entry) bool { return beside(o.segments, head, len(parts)) }) {
		if _, found := (hunt{Table: t, verb: verb, pattern: parts, reach: onePart, target: i}).run(); found {
			break
		}
		parts = append(parts, "*")
	}
	return parts
}

// beside reports whether a path pattern is the head and parameters, n parts in all.
func beside(segments, head []segment, n int) bool {
	return len(segments) == n && slices.Equal(segments[:len(head)], head) &&
		!slices.ContainsFunc(segments[len(head):], func(s segment) bool { return s.kind != param })
}

// findWithin finds which pattern allows all that another one does. Of equal ones the
// first stays.
func (p *plan) findWithin() {
	texts := make([]string, len(p.routes))
	for i, r := range p.routes {
		texts[i] = strings.Join(r.allow, "/")
	}
	for i, wide := range p.routes {
		if !strings.Contains(texts[i], "*") {
			continue
		}
		for j, r := range p.routes {
			if i != j && glob(texts[i], texts[j]) && (texts[i] != texts[j] || i < j) {
				r.within.add(wide.entry)
			}
		}
	}
}

// maxHunts bounds the hunts for one gap. A gap that is not there costs nobody
// anything but a longer policy.
const maxHunts = 16

func (t *Table) findGaps(p *plan, verb string, granting *rule) {
	for star, part := range granting.allow {
		if part != "*" {
			continue
		}
		without := slices.Delete(slices.Clone(granting.allow), star, star+1)
		g := gap{granting: granting.entry, exposed: t.newSet()}
		hunts := 0
		for _, exposed := range p.routes {
			e := &t.entries[exposed.entry]
			if exposed.entry == granting.entry || implies(&t.entries[granting.entry], e) || !anyParts.meets(without, e.segments) {
				continue
			}
			if hunts++; hunts <= maxHunts {
				if _, found := (hunt{Table: t, verb: verb, pattern: without, reach: anyParts, target: exposed.entry}).run(); !found {
					continue
				}
			}
			g.exposed.add(exposed.entry)
			g.deny = gapDenies(granting.allow, star)
		}
		if g.deny != nil {
			p.gaps = append(p.gaps, g)
		}
	}
}

// gapDenies are the patterns with nothing, a slash or a percent sign where a "*" begins.
func gapDenies(allow []string, star int) []string {
	head := joinHead(allow[:star])
	deny := []string{head + "/*", head + "%*"}
	if star == len(allow)-1 {
		deny = append(deny, head)
	}
	return deny
}

// joinHead is what comes before the next part.
func joinHead(parts []string) string {
	if len(parts) == 0 {
		return ""
	}
	return strings.Join(parts, "/") + "/"
}

func (t *Table) findLeaks(p *plan, verb string, granting *rule) error {
	for _, exposed := range p.routes {
		e := &t.entries[exposed.entry]
		if exposed.entry == granting.entry || implies(&t.entries[granting.entry], e) || !someParts.meets(granting.allow, e.segments) {
			continue
		}
		by, found := hunt{Table: t, verb: verb, pattern: granting.allow, target: exposed.entry}.run()
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

// checkWays refuses a leak that cannot be denied to everybody who must be: somebody
// may have the granting route and not the exposed one, and for each way a route that
// it takes away. Of the ways that are made from the exposed route's pattern the last
// takes least.
func (t *Table) checkWays(l leak) error {
	granting, exposed := t.entries[l.granting].Route, t.entries[l.exposed].Route
	narrowest, first := l.ways[len(l.ways)-1], l.ways[0]
	for i := range t.entries {
		if !narrowest.cripple.has(i) {
			continue
		}
		if first.kept > 0 && t.together(l.exposed, l.granting, i) {
			return &OverGrantError{granting, exposed, l.by, t.entries[i].Route, narrowest.lost[i]}
		}
		for j := range t.entries {
			if first.kept == 0 && first.cripple.has(j) && t.together(l.exposed, l.granting, i, j) {
				return &OverGrantError{granting, exposed, l.by, t.entries[j].Route, first.lost[j]}
			}
		}
	}
	return nil
}

// longer is the way of denying all that the granting route's pattern allows beyond
// its own paths by being longer. There is none if the route is greedy, or if the leak
// is not longer.
func (t *Table) longer(p *plan, verb string, granting *rule, exposed rule) *way {
	if isGreedy(t.entries[granting.entry].segments) {
		return nil
	}
	if _, found := (hunt{Table: t, verb: verb, pattern: granting.allow, reach: onePart, target: exposed.entry}).run(); found {
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
	w := way{deny: deny, takes: t.newSet(), cripple: t.newSet(), lost: make(map[int]string)}
	for i := range p.routes {
		t.findTaken(&w, verb, &p.routes[i])
	}
	return w
}

func (t *Table) findTaken(w *way, verb string, r *rule) {
	for _, text := range w.deny {
		h := hunt{Table: t, verb: verb, pattern: strings.Split(text, "/"), target: r.entry, plain: true}
		if !someParts.meets(h.pattern, t.entries[r.entry].segments) {
			continue
		}
		if lost, found := h.run(); found {
			w.takes.add(r.entry)
			w.cripple.add(r.entry)
			w.lost[r.entry] = lost
			return
		}
		h.plain = false
		if lost, found := h.run(); found {
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

// overlapping are the patterns that match something that the other one matches too.
func overlapping(patterns []string, other string) []string {
	return slices.DeleteFunc(slices.Clone(patterns), func(pattern string) bool { return !globsMeet(pattern, other) })
}

// globsMeet reports whether a text is matched by both patterns.
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
