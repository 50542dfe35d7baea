package gateway

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// OwnIssuer is what routes call latchkey itself among their issuers.
const OwnIssuer = "latchkey"

// A factKind is what a fact is about.
type factKind int

const (
	issuerFact factKind = iota // every principal has exactly one
	scopeFact
	acrFact // at most one
	amrFact
	ageFact // a younger sign-in is also one that is not older
	factKinds
)

// A fact is something that is true of a principal, or not, and that routes of the
// table ask for.
type fact struct {
	is   factKind
	text string
	age  time.Duration // of the sign-in at most; for ageFact alone
}

// Needs are what a route asks for: of each list one fact at least.
func (r Route) needs() [][]fact {
	issuers := r.Issuers
	if len(issuers) == 0 {
		issuers = []string{OwnIssuer}
	}
	needs := [][]fact{facts(issuerFact, issuers)}
	if r.AnyScope {
		needs = append(needs, facts(scopeFact, r.Scopes))
	} else {
		needs = appendEach(needs, facts(scopeFact, r.Scopes))
	}
	if len(r.ACR) > 0 {
		needs = append(needs, facts(acrFact, r.ACR))
	}
	needs = appendEach(needs, facts(amrFact, r.AMR))
	if r.MaxAuthAge > 0 {
		needs = append(needs, []fact{{is: ageFact, age: r.MaxAuthAge}})
	}
	return needs
}

func facts(is factKind, texts []string) []fact {
	all := make([]fact, len(texts))
	for i, text := range texts {
		all[i] = fact{is: is, text: text}
	}
	return all
}

func appendEach(needs [][]fact, all []fact) [][]fact {
	for i := range all {
		needs = append(needs, all[i:i+1])
	}
	return needs
}

// A need is a list of facts of which a principal must have one.
type need struct {
	is    factKind
	among set
}

// knowledge is the facts that a table's routes ask for. Two principals with the same set
// of them may call the same routes.
type knowledge struct {
	facts  []fact
	byText [ageFact]map[string]int
	ages   []int // longest first
	oneOf  []set // of each of these a principal has one fact at most
}

// learn numbers the facts of the entries, and has each entry know its needs by them.
func (k *knowledge) learn(entries []entry) error {
	for is := range k.byText {
		k.byText[is] = make(map[string]int)
	}
	var all []fact
	for i := range entries {
		if !entries[i].Public {
			all = append(all, slices.Concat(entries[i].needs()...)...)
		}
	}
	slices.SortFunc(all, compareFacts)
	k.facts = slices.Compact(all)
	for i, f := range k.facts {
		if f.is == ageFact {
			k.ages = append(k.ages, i)
		} else {
			k.byText[f.is][f.text] = i
		}
	}
	for _, is := range []factKind{issuerFact, acrFact} {
		one := k.none()
		for _, i := range k.byText[is] {
			one.add(i)
		}
		k.oneOf = append(k.oneOf, one)
	}
	for i := range entries {
		if err := k.tell(&entries[i]); err != nil {
			return fmt.Errorf("route %s: %w", entries[i], err)
		}
	}
	return nil
}

func compareFacts(a, b fact) int {
	switch {
	case a.is != b.is:
		return int(a.is) - int(b.is)
	case a.age != b.age:
		return int((b.age - a.age) / time.Second)
	}
	return strings.Compare(a.text, b.text)
}

// none is an empty set of facts.
func (k *knowledge) none() set { return make(set, (len(k.facts)+63)/64) }

// maxLeast bounds the smallest sets of facts that fulfil a route.
const maxLeast = 256

// tell notes the needs of an entry, and the smallest sets of facts that fulfil them.
func (k *knowledge) tell(e *entry) error {
	if e.Public {
		return nil
	}
	least := []set{k.none()}
	for _, alternatives := range e.needs() {
		n := need{alternatives[0].is, k.none()}
		for _, f := range alternatives {
			n.among.add(k.number(f))
		}
		e.asks = append(e.asks, n)
		least = k.fulfil(least, n)
		if len(least) > maxLeast {
			return fmt.Errorf("what it asks for can be had in more than %d ways: name fewer issuers, scopes or acr of which one is enough", maxLeast)
		}
	}
	e.least = least
	return nil
}

func (k *knowledge) number(f fact) int {
	if f.is != ageFact {
		return k.byText[f.is][f.text]
	}
	return k.ages[slices.IndexFunc(k.ages, func(i int) bool { return k.facts[i].age == f.age })]
}

// fulfil adds to each set what a need asks for, in every way in which a principal can
// have it.
func (k *knowledge) fulfil(sets []set, n need) (all []set) {
	for _, held := range sets {
		if n.among.meets(held) {
			all = append(all, held)
			continue
		}
		for i := range k.facts {
			if !n.among.has(i) {
				continue
			}
			one := k.none()
			k.hold(one, i)
			if both, ok := k.join(held, one); ok {
				all = append(all, both)
			}
		}
	}
	return all
}

// hold adds a fact to a set, and those that follow from it.
func (k *knowledge) hold(held set, i int) {
	held.add(i)
	if k.facts[i].is == ageFact {
		for _, longer := range k.ages {
			if k.facts[longer].age > k.facts[i].age {
				held.add(longer)
			}
		}
	}
}

// join is all facts of both sets; false: nobody can have all of them.
func (k *knowledge) join(a, b set) (set, bool) {
	both := slices.Clone(a)
	for i := range both {
		both[i] |= b[i]
	}
	for _, one := range k.oneOf {
		if one.count(both) > 1 {
			return nil, false
		}
	}
	return both, true
}

// admits reports whether a principal of whom the facts are true may call the entry's
// route. No authorizer is asked about a public one.
func (e *entry) admits(held set) bool {
	if e.Public {
		return false
	}
	for i := range e.asks {
		if !e.asks[i].among.meets(held) {
			return false
		}
	}
	return true
}

// admitted are the entries that such a principal may call.
func (t *Table) admitted(held set) set {
	may := t.newSet()
	for i := range t.entries {
		if t.entries[i].admits(held) {
			may.add(i)
		}
	}
	return may
}

// implies reports whether every principal who may call the first of two guarded entries
// may call the second.
func implies(first, second *entry) bool {
	return !slices.ContainsFunc(first.least, func(held set) bool { return !second.admits(held) })
}

// together reports whether a principal can exist who may call all of the entries and not
// the entry without.
func (t *Table) together(without int, entries ...int) bool {
	return t.someone(t.none(), without, entries)
}

// someone looks for such a principal among those of whom the facts are true. More facts
// never take a route away, so the smallest sets are enough.
func (t *Table) someone(held set, without int, entries []int) bool {
	switch {
	case t.entries[without].admits(held):
		return false
	case len(entries) == 0:
		return true
	case t.entries[entries[0]].admits(held):
		return t.someone(held, without, entries[1:])
	}
	for _, least := range t.entries[entries[0]].least {
		if both, ok := t.join(held, least); ok && t.someone(both, without, entries[1:]) {
			return true
		}
	}
	return false
}
