package gateway

import (
	"testing"
	"time"
)

// Forget drops the policies that the table keeps.
func Forget(t *Table) { t.made = nil }

// GrantsOf is what the table grants a principal with the scopes.
func GrantsOf(t *Table, scopes string) Grants {
	return t.grants(t.of(Principal{Scope: scopes}, time.Time{}))
}

// MayLeadTo lets the tests look at pairs of routes that no table may hold yet.
var MayLeadTo = mayLeadTo

// Break makes the table's policies wrong: without what has to be denied, or without
// one route that is granted.
func Break(t *Table, denies bool) {
	t.made = nil
	for _, p := range t.plans {
		if denies {
			p.leaks, p.gaps = nil, nil
		} else if len(p.routes) > 0 {
			p.routes[0].allowed = nil
		}
	}
}

// BoundWalks bounds the searches of a table further until the test ends.
func BoundWalks(t *testing.T, one, all int) {
	before, beforeAll := maxWalks, maxTableWalks
	maxWalks, maxTableWalks = one, all
	t.Cleanup(func() { maxWalks, maxTableWalks = before, beforeAll })
}
