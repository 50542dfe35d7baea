package gateway

import (
	"fmt"
	"maps"
	"strings"
)

// identityHeaders tell a server behind who is calling, each by a value of the context.
var identityHeaders = map[string]string{"X-Latchkey-Sub": "sub", "X-Latchkey-Username": "username", "X-Latchkey-Scope": "scope"}

// IdentityHeaders returns the headers that tell a server behind who is calling, by the
// values of the authorizer's context: three that are always told, and one for each further
// claim that is chosen for the context, but for the payload, which can be longer than
// headers may be. All of them are there, empty where there is no value: what a client has
// sent under their names is to be overwritten. A value that would reach the server as
// another one is an error: header fields lose the spaces around them.
func IdentityHeaders(claims []ContextClaim, value func(name string) string) (map[string]string, error) {
	members := maps.Clone(identityHeaders)
	for _, c := range claims {
		header := headerName(c.Name)
		if _, always := members[header]; !always && c.Claim != "payload" {
			members[header] = c.Name
		}
	}
	headers := make(map[string]string, len(members))
	for name, member := range members {
		v := value(member)
		if strings.TrimSpace(v) != v {
			return nil, fmt.Errorf("%s begins or ends with a space and cannot be sent in %s", member, name)
		}
		headers[name] = v
	}
	return headers, nil
}

// headerName is the header of a context value: X-Latchkey-Tenant-Id for tenant_id.
func headerName(context string) string {
	words := strings.Split(strings.ToLower("x_latchkey_"+context), "_")
	for i, word := range words {
		if word != "" {
			words[i] = strings.ToUpper(word[:1]) + word[1:]
		}
	}
	return strings.Join(words, "-")
}
