package gateway

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
)

// A PrincipalKind is what tells principals apart.
type PrincipalKind struct {
	Scopes []string
	Issuer string // "": latchkey itself
	ACR    string
	AMR    []string
	Within time.Duration // of the sign-in; 0: longer ago than any route asks, or not known
}

// String is "orders:read, issuer cognito, acr 2, amr otp, signed in within 10m0s"; "-"
// where there is nothing to say.
func (k PrincipalKind) String() string {
	var parts []string
	add := func(name, value string) {
		if value != "" {
			parts = append(parts, name+value)
		}
	}
	add("", strings.Join(k.Scopes, " "))
	add("issuer ", k.Issuer)
	add("acr ", k.ACR)
	add("amr ", strings.Join(k.AMR, " "))
	if k.Within > 0 {
		add("signed in within ", k.Within.String())
	}
	return cmp.Or(strings.Join(parts, ", "), "-")
}

// kindOf puts a set of facts into words.
func (t *Table) kindOf(held set) PrincipalKind {
	var k PrincipalKind
	for i, f := range t.facts {
		if !held.has(i) {
			continue
		}
		switch f.is {
		case issuerFact:
			if f.text != OwnIssuer {
				k.Issuer = f.text
			}
		case scopeFact:
			k.Scopes = append(k.Scopes, f.text)
		case acrFact:
			k.ACR = f.text
		case amrFact:
			k.AMR = append(k.AMR, f.text)
		case ageFact:
			k.Within = f.age // the shortest is the last
		}
	}
	return k
}

// maxKinds bounds how many kinds of principals a check looks at.
const maxKinds = 1000

// maxEvery is up to how many sets of facts a check looks at all of them.
const maxEvery = 1 << 9

// kinds returns sets of facts, one for each set of routes that a principal may have. Where
// there are too many, it returns those that make a difference to a policy: none, all,
// what each route asks for, and what two routes ask for together when a Deny on account
// of the first could take the second away.
func (t *Table) kinds() (kinds []set, left int) {
	sets := t.every()
	if sets == nil {
		sets = t.telling()
	}
	slices.SortStableFunc(sets, func(a, b set) int { return a.count(a) - b.count(b) })
	seen := make(map[string]bool)
	for _, held := range sets {
		may := fmt.Sprint(t.admitted(held))
		switch {
		case seen[may]:
		case len(kinds) == maxKinds:
			left++
		default:
			kinds = append(kinds, held)
		}
		seen[may] = true
	}
	return kinds, left
}

// every returns all sets of facts that may be true of a principal; nil: there are too many.
func (t *Table) every() []set {
	sets := []set{t.none()}
	for i := range t.facts {
		one := t.none()
		t.hold(one, i)
		for _, held := range sets {
			if both, ok := t.join(held, one); ok && !held.has(i) {
				sets = append(sets, both)
			}
		}
		if len(sets) > 2*maxEvery {
			return nil
		}
	}
	return slices.DeleteFunc(sets, func(held set) bool { return t.oneOf[0].count(held) == 0 }) // nobody has no issuer
}

// telling returns the sets that make a difference.
func (t *Table) telling() (sets []set) {
	for i, f := range t.facts {
		if f.is != issuerFact {
			break
		}
		nothing := t.none()
		nothing.add(i)
		sets = append(sets, nothing, t.most(nothing))
	}
	for i := range t.entries {
		sets = append(sets, t.entries[i].least...)
	}
	for _, p := range t.plans {
		for _, l := range p.leaks {
			for _, r := range p.routes {
				if !slices.ContainsFunc(l.ways, func(w way) bool { return w.takes.has(r.entry) }) {
					continue
				}
				for _, a := range t.entries[l.granting].least {
					for _, b := range t.entries[r.entry].least {
						if both, ok := t.join(a, b); ok {
							sets = append(sets, both)
						}
					}
				}
			}
		}
	}
	return sets
}

// most adds every fact that can be true beside those of the set.
func (t *Table) most(held set) set {
	for i := range t.facts {
		one := t.none()
		one.add(i)
		if both, ok := t.join(held, one); ok {
			held = both
		}
	}
	return held
}
