package gateway

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// A plan is what a policy needs to say about one verb, for any principal. It is made once;
// [plan.denied] picks from it what one principal gets.
//
// In a policy "*" matches any text, also slashes, also none. So the pattern of a granted
// route may match paths of another route. A principal who lacks that route needs a Deny
// for them. There are two cases:
//
//   - A leak: each "*" matches one part of the path at least. GET/orders/* matches
//     GET/orders/7/refunds. The Deny is made from the pattern of the exposed route.
//   - A gap: a "*" matches nothing, or nothing but slashes, which some gateways ignore.
//     GET/users/* matches GET/users/, which may be read as GET /users. The Deny is the
//     pattern with nothing or a slash in that place. No path in canonical form is like
//     that, so the Deny takes nothing away.
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

// A rule is a route that is not public.
type rule struct {
	entry   int
	allow   []string // parts of the pattern that allows it
	within  set      // the entries whose pattern allows all that this one does
	allowed []string // the methods that allow it, as GET/orders/*
	longer  *way     // of denying what its pattern allows beyond its paths, once it was looked for
}

// makePlans makes the plans. Verbs with the same routes share one.
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
		if _, found := (search{Table: t, verb: verb, pattern: parts, reach: onePart, target: i}).run(); found {
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

// joinHead is what comes before the next part.
func joinHead(parts []string) string {
	if len(parts) == 0 {
		return ""
	}
	return strings.Join(parts, "/") + "/"
}
