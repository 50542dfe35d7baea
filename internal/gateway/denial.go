package gateway

import (
	"slices"
	"strings"
)

// A denial is a pattern. It is known by its place in [plan.patterns], so that no texts are
// compared when a policy is put together.
type denial struct {
	methods []string // for each verb: GET/orders/*/*
	heldBy  []int    // patterns that match all that this one does
}

// numberPatterns gives each pattern its place, and tells it to gaps, leaks and ways.
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
