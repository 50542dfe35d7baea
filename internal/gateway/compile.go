package gateway

import (
	"encoding/binary"
	"slices"
	"strings"
	"sync"
)

// maxEncoded is how many patterns for paths with a percent sign a verb may have before
// all such paths of the granting routes are denied.
const maxEncoded = 32

// policies keeps what was compiled, for each distinct set of facts that tell
// principals of the table apart.
type policies struct {
	mu   sync.Mutex
	made map[string]Grants // guarded by mu
}

// maxPolicies bounds the memory; tables have a handful of kinds of principals.
const maxPolicies = 1024

// grants returns the methods of a stage, GET/orders/*, that a principal of whom the
// facts are true may call, those that have to be denied beside them, and the challenge.
// It returns the same lists again: nobody may change them.
func (t *Table) grants(held set) Grants {
	key := make([]byte, 0, 128)
	for _, word := range held {
		key = binary.LittleEndian.AppendUint64(key, word)
	}
	t.mu.Lock()
	g, made := t.made[string(key)]
	t.mu.Unlock()
	if made {
		return g
	}
	g = t.compile(t.admitted(held))
	g.Challenge = t.challenge(held)
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.made == nil || len(t.made) >= maxPolicies {
		t.made = make(map[string]Grants)
	}
	t.made[string(key)] = g
	return g
}

// compile makes the smallest policy of the plans for a principal who may call these
// routes and no others.
func (t *Table) compile(may set) Grants {
	var g Grants
	type method struct {
		entry int
		texts []string
	}
	var methods []method
	for _, p := range t.plans {
		for _, r := range p.routes {
			if may.has(r.entry) && !r.within.meets(may) {
				methods = append(methods, method{r.entry, r.allowed})
			}
		}
		denied := p.denied(may)
		for _, verb := range p.verbs {
			for _, pattern := range denied {
				g.Denied = append(g.Denied, verb+"/"+pattern)
			}
		}
	}
	slices.SortStableFunc(methods, func(a, b method) int { return a.entry - b.entry })
	for _, m := range methods {
		g.Allowed = append(g.Allowed, m.texts...)
	}
	return g
}

// denied returns the patterns of paths that the principal is denied.
func (p *plan) denied(may set) []string {
	var deny, encoded, widest []string
	for _, g := range p.gaps {
		if may.has(g.granting) && !g.exposed.within(may) {
			deny = append(deny, g.deny...)
		}
	}
	for i := range p.leaks {
		l := &p.leaks[i]
		if !may.has(l.granting) || may.has(l.exposed) {
			continue
		}
		w := l.choose(may)
		deny = append(deny, w.deny...)
		encoded = append(encoded, w.encoded...)
		widest = append(widest, l.widest)
	}
	if encoded = narrow(encoded); len(encoded) > maxEncoded {
		encoded = widest
	}
	return narrow(append(deny, encoded...))
}

// choose picks the widest way of denying a leak that takes nothing away from the
// principal, or else one that takes no more than paths in which a {parameter} has the
// text of a literal. [Table.checkWays] saw to it that there is one.
func (l *leak) choose(may set) *way {
	for i := range l.ways {
		if !l.ways[i].takes.meets(may) {
			return &l.ways[i]
		}
	}
	for i := range l.ways {
		if !l.ways[i].cripple.meets(may) {
			return &l.ways[i]
		}
	}
	return &l.ways[len(l.ways)-1]
}

// narrow sorts patterns and leaves out those that others hold. What a pattern holds
// begins like it up to its first "*", and so stands together when sorted.
func narrow(patterns []string) []string {
	slices.Sort(patterns)
	patterns = slices.Compact(patterns)
	held := make([]bool, len(patterns))
	for i, wider := range patterns {
		star := strings.IndexByte(wider, '*')
		if star < 0 {
			continue
		}
		from, _ := slices.BinarySearch(patterns, wider[:star])
		for j := from; j < len(patterns) && strings.HasPrefix(patterns[j], wider[:star]); j++ {
			held[j] = held[j] || i != j && glob(wider, patterns[j])
		}
	}
	var kept []string
	for i, pattern := range patterns {
		if !held[i] {
			kept = append(kept, pattern)
		}
	}
	return kept
}
