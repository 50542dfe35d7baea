package gateway

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/latchkey-auth/latchkey"
	"github.com/latchkey-auth/latchkey/internal/strictjson"
)

// PrincipalOf returns what the table's routes ask about the bearer of a token with the
// claims. What they do not ask for is not read.
func (t *Table) PrincipalOf(c latchkey.Claims) Principal {
	p := Principal{Issuer: c.IssuerName, Scope: c.Scope}
	if len(t.byText[acrFact])+len(t.byText[amrFact])+len(t.ages) == 0 {
		return p
	}
	// What has another type than it should says nothing, and so nothing is granted on
	// account of it.
	_ = strictjson.Object(c.Payload(), func(name string, v strictjson.Value) error {
		switch name {
		case "auth_time":
			if seconds, ok := v.Int(); ok && seconds > 0 && seconds < maxAuthTime {
				p.AuthTime = time.Unix(seconds, 0)
			}
		case "acr":
			p.ACR, _ = v.Text()
		case "amr":
			_ = v.Elements(func(v strictjson.Value) error {
				if method, ok := v.Text(); ok {
					p.AMR = append(p.AMR, method)
				}
				return nil
			})
		}
		return nil
	})
	return p
}

// maxAuthTime is after the year 9999, and far below what time.Time can add to.
const maxAuthTime = 1 << 38

// challengeName is the member of the context that the gateway response ACCESS_DENIED
// makes a header of.
const challengeName = "challenge"

// Challenge is the value of WWW-Authenticate for a caller who has to sign in again
// (RFC 9470 section 3).
func (s SignIn) Challenge() string {
	challenge := `Bearer error="insufficient_user_authentication"`
	if len(s.ACR) > 0 {
		challenge += `, acr_values="` + strings.Join(s.ACR, " ") + `"`
	}
	if s.MaxAuthAge > 0 {
		challenge += `, max_age="` + strconv.Itoa(int(s.MaxAuthAge/time.Second)) + `"`
	}
	return challenge
}

// challenge is that of a sign-in after which a principal of whom the facts are true
// could call each route that lacks nothing else; empty: there is no such route. One
// answer is kept for all routes, so it cannot be that of the route that was asked for.
func (t *Table) challenge(held set) string {
	var needed []SignIn
	for i := range t.entries {
		if e := &t.entries[i]; !e.Public && e.lacksSignInAlone(held) {
			needed = append(needed, e.SignIn)
		}
	}
	if len(needed) == 0 {
		return ""
	}
	return allOf(needed).Challenge()
}

// signInFor is the sign-in after which a principal of whom the facts are true could make
// the request at each of the paths; false: none is enough.
func (t *Table) signInFor(held set, method string, paths []string) (SignIn, bool) {
	var needed []SignIn
	for _, path := range paths {
		e, _ := t.match(method, path, false)
		switch {
		case e == nil:
			return SignIn{}, false
		case e.admits(held):
		case !e.lacksSignInAlone(held):
			return SignIn{}, false
		default:
			needed = append(needed, e.SignIn)
		}
	}
	if len(needed) == 0 {
		return SignIn{}, false
	}
	return allOf(needed), true
}

// allOf is what fulfils all of the sign-ins, of which there is one at least.
func allOf(needed []SignIn) SignIn {
	all := needed[0]
	for _, s := range needed[1:] {
		all = all.and(s)
	}
	return all
}

// lacksSignInAlone reports whether the principal lacks something, and nothing that a
// sign-in would not change.
func (e *entry) lacksSignInAlone(held set) bool {
	lacks := false
	for i := range e.asks {
		if e.asks[i].among.meets(held) {
			continue
		}
		if e.asks[i].is < acrFact {
			return false
		}
		lacks = true
	}
	return lacks
}

// and is what fulfils both where there is such a thing. Where the two have no acr in
// common it names those of both.
func (s SignIn) and(other SignIn) SignIn {
	both := SignIn{MaxAuthAge: s.MaxAuthAge}
	if s.MaxAuthAge == 0 || other.MaxAuthAge > 0 && other.MaxAuthAge < s.MaxAuthAge {
		both.MaxAuthAge = other.MaxAuthAge
	}
	for _, acr := range s.ACR {
		if len(other.ACR) == 0 || slices.Contains(other.ACR, acr) {
			both.ACR = append(both.ACR, acr)
		}
	}
	switch {
	case len(s.ACR) == 0:
		both.ACR = other.ACR
	case len(both.ACR) == 0:
		both.ACR = slices.Concat(s.ACR, other.ACR)
	}
	return both
}
