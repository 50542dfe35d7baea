package gateway

import (
	"slices"
	"strings"
)

// Forget drops the policies that the table keeps.
func Forget(t *Table) { t.made = nil }

// GrantsOf is what the table grants a principal with the scopes.
func GrantsOf(t *Table, scopes string) Grants {
	list := strings.Fields(scopes)
	allowed, denied := t.grants(func(s string) bool { return slices.Contains(list, s) })
	return Grants{Allowed: allowed, Denied: denied}
}

// MayLeadTo lets the tests look at pairs of routes that no table may hold yet.
var MayLeadTo = mayLeadTo
