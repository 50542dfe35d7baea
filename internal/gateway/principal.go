package gateway

import (
	"strings"
	"time"
)

// A Principal is who presents a token, as far as routes ask.
type Principal struct {
	Issuer   string // its name; "": latchkey itself
	Scope    string // separated by spaces
	AuthTime time.Time
	ACR      string
	AMR      []string
}

// clockLeeway is how far in the future a sign-in may be: clocks differ.
const clockLeeway = time.Minute

// of returns what of the facts is true of a principal now.
func (k *knowledge) of(p Principal, now time.Time) set {
	held := k.none()
	add := func(is factKind, text string) {
		if i, ok := k.byText[is][text]; ok {
			held.add(i)
		}
	}
	if p.Issuer == "" {
		p.Issuer = OwnIssuer
	}
	add(issuerFact, p.Issuer)
	for scope, rest, more := strings.Cut(p.Scope, " "); ; scope, rest, more = strings.Cut(rest, " ") {
		add(scopeFact, scope)
		if !more {
			break
		}
	}
	add(acrFact, p.ACR)
	for _, amr := range p.AMR {
		add(amrFact, amr)
	}
	for _, i := range k.ages {
		if age := now.Sub(p.AuthTime); !p.AuthTime.IsZero() && age >= -clockLeeway && age < k.facts[i].age {
			held.add(i)
		}
	}
	return held
}
