package gateway

import (
	"encoding/binary"
	"math/bits"
	"slices"
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
	for i := range t.entries {
		if !may.has(i) {
			continue
		}
		for _, r := range t.entries[i].rules {
			if !r.within.meets(may) {
				g.Allowed = append(g.Allowed, r.allowed...)
			}
		}
	}
	for _, p := range t.plans {
		denied := p.denied(may)
		for verb := range p.verbs {
			for _, i := range denied {
				g.Denied = append(g.Denied, p.patterns[i].methods[verb])
			}
		}
	}
	return g
}

// denied returns the patterns of paths that the principal is denied.
func (p *plan) denied(may set) []int {
	deny, encoded, widest := p.noPatterns(), p.noPatterns(), p.noPatterns()
	for i := range p.gaps {
		if g := &p.gaps[i]; may.has(g.granting) && !g.exposed.within(may) {
			deny.addAll(g.denyAt)
		}
	}
	for i := range p.leaks {
		l := &p.leaks[i]
		if !may.has(l.granting) || may.has(l.exposed) {
			continue
		}
		w := l.choose(may)
		deny.addAll(w.denyAt)
		encoded.addAll(w.encodedAt)
		widest.add(l.widestAt)
	}
	if len(p.narrow(encoded)) > maxEncoded {
		encoded = widest
	}
	for i := range deny {
		deny[i] |= encoded[i]
	}
	return p.narrow(deny)
}

func (p *plan) noPatterns() set { return make(set, (len(p.patterns)+63)/64) }

func (s set) addAll(all []int) {
	for _, i := range all {
		s.add(i)
	}
}

// narrow returns the patterns of a set that no other one of it holds.
func (p *plan) narrow(patterns set) (kept []int) {
	for n, word := range patterns {
		for ; word != 0; word &= word - 1 {
			i := n*64 + bits.TrailingZeros64(word)
			if !slices.ContainsFunc(p.patterns[i].heldBy, patterns.has) {
				kept = append(kept, i)
			}
		}
	}
	return kept
}

// choose picks the widest way of denying a leak that takes nothing away from the
// principal, otherwise one that takes no more than paths in which a {parameter} has the
// text of a literal. [Table.checkWays] saw to it that there is one.
func (l *leak) choose(may set) *way {
	for i := range l.ways {
		if !l.ways[i].takes.meets(may) {
			return &l.ways[i]
		}
	}
	for i := range l.ways {
		if !l.ways[i].takesOrdinary.meets(may) {
			return &l.ways[i]
		}
	}
	return &l.ways[len(l.ways)-1]
}
