package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/latchkey-auth/latchkey/internal/rights"
	"github.com/latchkey-auth/latchkey/internal/suggest"
)

// fileTables are the flags that the file sets by roles and token, not by their names.
var fileTables = []string{"roles", "token-claims", "token-username"}

// yamlToken is what the file says of tokens.
type yamlToken struct {
	Claims   yaml.Node `yaml:"claims"`
	Username string    `yaml:"username"`
}

// setTables makes settings of the tables of the file, and returns what roles give.
func (c *fileConfig) setTables(roles yaml.Node, token yamlToken) (rights.RoleTable, error) {
	var table rights.RoleTable
	if !roles.IsZero() {
		text, err := jsonTable(&roles, `{clerk: [orders:read, orders:write]}`)
		if err == nil {
			table, err = rights.ParseRoleTable(text)
		}
		if err != nil {
			return nil, fmt.Errorf("line %d: roles: %w", roles.Line, err)
		}
		c.settings["roles"] = text
	}
	if !token.Claims.IsZero() {
		text, err := jsonTable(&token.Claims, `{tenant: attributes.tenant}`)
		if err == nil {
			_, err = rights.ParseTokenClaims(text)
		}
		if err != nil {
			return nil, fmt.Errorf("line %d: token: claims: %w", token.Claims.Line, err)
		}
		c.settings["token-claims"] = text
	}
	if token.Username != "" {
		c.settings["token-username"] = token.Username
	}
	return table, nil
}

// jsonTable writes a mapping of names to texts or lists of texts as JSON.
func jsonTable(node *yaml.Node, example string) (string, error) {
	if node.Kind != yaml.MappingNode {
		return "", errors.New("must be a table, " + example)
	}
	var members []string
	for i := 0; i < len(node.Content); i += 2 {
		name, value := node.Content[i], node.Content[i+1]
		if name.Kind != yaml.ScalarNode || name.Tag == "!!merge" {
			return "", fmt.Errorf("line %d: a name must be text", name.Line)
		}
		var content any = value.Value
		if value.Kind == yaml.SequenceNode {
			texts, err := textsOf(value)
			if err != nil {
				return "", err
			}
			content = texts
		} else if !isText(value) {
			return "", notText(value)
		}
		members = append(members, jsonText(name.Value)+":"+jsonText(content))
	}
	return "{" + strings.Join(members, ",") + "}", nil
}

func jsonText(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err) // texts have an encoding
	}
	return string(text)
}

// textsOf reads a list of texts; an empty one is no null.
func textsOf(list *yaml.Node) ([]string, error) {
	texts := []string{}
	for _, node := range list.Content {
		if !isText(node) {
			return nil, notText(node)
		}
		texts = append(texts, node.Value)
	}
	return texts, nil
}

func isText(node *yaml.Node) bool { return node.Kind == yaml.ScalarNode && node.Tag == "!!str" }

func notText(node *yaml.Node) error {
	return fmt.Errorf("line %d: must be text or a list of texts; put a number, yes and no in quotes", node.Line)
}

// scopesOfRoles returns the scopes that a route with roles asks for. One of the roles is
// enough. The route asks for scopes because the authorizer decides by the token's scopes,
// and caches policies by them.
func (r yamlRoute) scopesOfRoles(table rights.RoleTable) (scopes []string, anyOf bool, err error) {
	fail := func(format string, args ...any) ([]string, bool, error) {
		return nil, false, fmt.Errorf("line %d: route %s: %s", r.Roles.Line, r.Route, fmt.Sprintf(format, args...))
	}
	if !r.Scopes.IsZero() {
		return fail("scopes and roles are both given; keep one")
	}
	roles, err := textsOf(&r.Roles)
	if err != nil || r.Roles.Kind != yaml.SequenceNode || len(roles) == 0 {
		return fail("roles must be a list of one at least, [clerk]; leave roles out to let any signed-in user call it")
	}
	var sets [][]string
	for _, role := range roles {
		scope, known := table[role]
		switch {
		case !known:
			return fail("there is no role %q%s; declare it under roles, with the scopes that it gives", role, suggest.DidYouMean(role, slices.Sorted(maps.Keys(table))))
		case scope == "":
			return fail("role %q gives no scope, and routes go by scopes: give it one under roles", role)
		}
		sets = append(sets, strings.Fields(scope))
	}
	sets = smallest(sets)
	if len(sets) == 1 {
		return sets[0], false, nil
	}
	for _, set := range sets {
		if len(set) > 1 {
			return fail("roles %s: a policy asks for all scopes of one role, or for one scope of several roles: give them a scope in common for this route, and write scopes: [that scope]", strings.Join(roles, ", "))
		}
		scopes = append(scopes, set[0])
	}
	return scopes, true, nil
}

// smallest returns the sets of scopes that contain no other set. A set that contains another
// one is not needed: a principal with all its scopes has those of the other set, too. Of
// equal sets the first is returned.
func smallest(sets [][]string) [][]string {
	var kept [][]string
	for i, set := range sets {
		holdsAnother := false
		for j, other := range sets {
			if i != j && holds(set, other) && (!holds(other, set) || j < i) {
				holdsAnother = true
			}
		}
		if !holdsAnother {
			kept = append(kept, set)
		}
	}
	return kept
}

// holds reports whether the set has all that the other one has.
func holds(set, other []string) bool {
	return !slices.ContainsFunc(other, func(one string) bool { return !slices.Contains(set, one) })
}
