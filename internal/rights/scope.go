package rights

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/latchkey-auth/latchkey/internal/storage"
)

// CleanScope checks scope tokens (RFC 6749 section 3.3) and joins them by one space.
func CleanScope(scope string) (string, error) {
	if len(scope) > MaxScope {
		return "", fmt.Errorf("must have at most %d bytes", MaxScope)
	}
	scope = strings.Join(strings.Fields(scope), " ")
	for _, c := range []byte(scope) {
		if c != ' ' && (c < '!' || c > '~' || c == '"' || c == '\\') {
			return "", errors.New(`must be words of visible ASCII without " and \, separated by spaces`)
		}
	}
	return scope, nil
}

// Scope is what a user may do: the user's own scope, and that of each role.
func (t RoleTable) Scope(u storage.User) string {
	if len(u.Roles) == 0 || len(t) == 0 {
		return u.Scope
	}
	scopes := strings.Fields(u.Scope)
	for _, role := range u.Roles {
		for scope := range strings.FieldsSeq(t[role]) {
			if !slices.Contains(scopes, scope) {
				scopes = append(scopes, scope)
			}
		}
	}
	return strings.Join(scopes, " ")
}

// All is what a user with every role of the table has by them.
func (t RoleTable) All() string {
	return t.Scope(storage.User{Roles: slices.Sorted(maps.Keys(t))})
}

// Granted is what of a scope that was asked for the user has; all of it when none was
// asked for.
func Granted(asked, has string) string {
	if asked == "" {
		return has
	}
	var scopes []string
	for _, scope := range strings.Fields(asked) {
		if hasScope(has, scope) {
			scopes = append(scopes, scope)
		}
	}
	return strings.Join(scopes, " ")
}

func hasScope(scopes, one string) bool {
	for scope := range strings.FieldsSeq(scopes) {
		if scope == one {
			return true
		}
	}
	return false
}

// TakesAway reports whether a scope, a role or an attribute is gone, or an attribute says
// something else: tokens of before say what does not hold any more.
func TakesAway(before, after storage.User) bool {
	for scope := range strings.FieldsSeq(before.Scope) {
		if !hasScope(after.Scope, scope) {
			return true
		}
	}
	for _, role := range before.Roles {
		if !slices.Contains(after.Roles, role) {
			return true
		}
	}
	for name, value := range before.Attributes {
		if after.Attributes[name] != value {
			return true
		}
	}
	return false
}
