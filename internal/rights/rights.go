// Package rights is what a user may do, and what access tokens say of it: scopes, the
// roles that give them, attributes, and the claims that are made of a user. It stores
// nothing. Its errors are sentences to stand behind the name of what they are about.
//
// Start at [RoleTable] and [TokenClaims].
package rights

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/latchkey-auth/latchkey/internal/identifier"
	"github.com/latchkey-auth/latchkey/internal/strictjson"
)

// A RoleTable says which scopes each role gives, in the form of [CleanScope]. A role that
// is not in it gives none.
type RoleTable map[string]string

// Bounds of what an operator says of a user. An access token can carry all of it.
const (
	// MaxScope is the bytes of the scope that a user has without roles.
	MaxScope = 2048

	maxRoles     = 32
	maxRole      = 64  // bytes
	maxRolesText = 512 // bytes of all roles

	maxAttributes     = 2048 // bytes of all names and values, in the form of a token
	maxAttributeName  = 64   // bytes
	maxAttributeValue = 256  // bytes, in the form of a token
)

// ParseRoleTable reads a JSON object that gives each role a list of scopes:
// {"clerk": ["orders:read"]}.
func ParseRoleTable(text string) (RoleTable, error) {
	t := make(RoleTable)
	err := strictjson.Object(text, func(role string, v strictjson.Value) error {
		if err := checkRole(role); err != nil {
			return fmt.Errorf("role %.80q %w", role, err)
		}
		var scopes []string
		if v.Kind() != strictjson.Array {
			return fmt.Errorf("role %q must have a list of scopes, like [\"orders:read\"]", role)
		}
		err := v.Elements(func(v strictjson.Value) error {
			scope, ok := v.Text()
			if clean, err := CleanScope(scope); !ok || err != nil || clean != scope || scope == "" || strings.Contains(scope, " ") {
				return fmt.Errorf("role %q: each scope must be one word of visible ASCII without \" and \\", role)
			}
			scopes = append(scopes, scope)
			return nil
		})
		t[role] = strings.Join(scopes, " ")
		return err
	})
	if err != nil {
		return nil, err
	}
	return t, nil
}

// checkRole says what is wrong with a role's name, to stand behind it. Names are separated
// by spaces in files, by commas in arguments.
func checkRole(role string) error {
	if role == "" || len(role) > maxRole || strings.ContainsFunc(role, func(c rune) bool {
		return c <= ' ' || c > '~' || strings.ContainsRune(`,"\`, c)
	}) {
		return fmt.Errorf(`must be 1 to %d characters of visible ASCII without commas, " and \`, maxRole)
	}
	return nil
}

// CleanRoles checks a user's roles and returns them sorted, each once.
func CleanRoles(roles []string) ([]string, error) {
	if len(roles) == 0 {
		return nil, nil
	}
	size := 0
	for _, role := range roles {
		if err := checkRole(role); err != nil {
			return nil, fmt.Errorf("each %w", err)
		}
		size += len(role)
	}
	if len(roles) > maxRoles || size > maxRolesText {
		return nil, fmt.Errorf("must be at most %d of %d bytes in all", maxRoles, maxRolesText)
	}
	return slices.Compact(slices.Sorted(slices.Values(roles))), nil
}

// CleanAttributes checks what an operator says of a user beside the roles, and returns a
// copy; nil for none.
func CleanAttributes(attributes map[string]string) (map[string]string, error) {
	if len(attributes) == 0 {
		return nil, nil
	}
	size := 0
	for name, value := range attributes {
		if err := checkAttributeName(name); err != nil {
			return nil, fmt.Errorf("each name %w", err)
		}
		if err := checkAttributeValue(value); err != nil {
			return nil, fmt.Errorf("%s %w", name, err)
		}
		size += len(name) + sizeInToken(value)
	}
	if size > maxAttributes {
		return nil, fmt.Errorf("must have at most %d bytes in all, names included", maxAttributes)
	}
	return maps.Clone(attributes), nil
}

func checkAttributeName(name string) error {
	if name == "" || len(name) > maxAttributeName || strings.ContainsFunc(name, func(c rune) bool {
		return !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.ContainsRune("_-.:", c))
	}) {
		return fmt.Errorf("must be 1 to %d letters, digits, dots, colons, - or _", maxAttributeName)
	}
	return nil
}

// checkAttributeValue refuses what could not be a header on the way to a server: headers
// lose the blanks around them.
func checkAttributeValue(value string) error {
	switch {
	case value == "":
		return errors.New("must not be empty; leave it out")
	case sizeInToken(value) > maxAttributeValue:
		return fmt.Errorf("must have at most %d bytes", maxAttributeValue)
	case identifier.Trim(value) != value:
		return errors.New("must not begin or end with a blank")
	}
	return identifier.CheckName(value)
}

// sizeInToken is the bytes that a text without control characters has in JSON.
func sizeInToken(text string) int {
	return len(text) + strings.Count(text, `"`) + strings.Count(text, `\`)
}
