package gateway

import (
	"fmt"
	"slices"
	"strings"
)

// GraphQL is what AppSync APIs need, which have fields in place of routes.
type GraphQL struct {
	Scopes  []string       // to call the API at all; none: any signed-in principal
	Issuers []string       // whose tokens are admitted; none: latchkey's own alone
	Fields  []GraphQLField // that need more
}

// A GraphQLField is a field of a GraphQL type, and what it needs.
type GraphQLField struct {
	Name   string   // "Mutation.createOrder"
	Scopes []string // all of them are needed
}

// ParseScopes reads scopes that are separated by spaces.
func ParseScopes(list string) ([]string, error) {
	scopes := strings.Fields(list)
	return scopes, checkWords("scope", scopes)
}

// ParseIssuers reads names of issuers that are separated by spaces.
func ParseIssuers(list string) ([]string, error) {
	names := strings.Fields(list)
	return names, checkWords("issuer", names)
}

// ParseGraphQLFields reads "Mutation.createOrder=orders:write Query.audit=admin". A
// field that stands twice needs both scopes.
func ParseGraphQLFields(list string) ([]GraphQLField, error) {
	var fields []GraphQLField
	for text := range strings.FieldsSeq(list) {
		name, scope, ok := strings.Cut(text, "=")
		typ, field, dotted := strings.Cut(name, ".")
		if !ok || !dotted || !graphQLName(typ) || !graphQLName(field) || !scopeToken(scope) {
			return nil, fmt.Errorf("field %q: must be TYPE.FIELD=SCOPE, such as Mutation.createOrder=orders:write", text)
		}
		i := slices.IndexFunc(fields, func(f GraphQLField) bool { return f.Name == name })
		if i < 0 {
			fields = append(fields, GraphQLField{Name: name})
			i = len(fields) - 1
		}
		fields[i].Scopes = append(fields[i].Scopes, scope)
	}
	return fields, nil
}

// graphQLName checks the Name of the GraphQL specification, section 2.1.9.
func graphQLName(s string) bool {
	return contextName(s) && (s[0] < '0' || s[0] > '9')
}
