package gateway

import (
	"fmt"
	"strings"
)

// identityHeaders tell a server behind who is calling, each by a value of the context.
var identityHeaders = map[string]string{"X-Latchkey-Sub": "sub", "X-Latchkey-Username": "username", "X-Latchkey-Scope": "scope"}

// IdentityHeaders returns the headers that tell a server behind who is calling, by the
// values of the authorizer's context. All of them are there, empty where there is no
// value: what a client has sent under their names is to be overwritten. A value that
// would reach the server as another one is an error: header fields lose the spaces around
// them.
func IdentityHeaders(value func(name string) string) (map[string]string, error) {
	headers := make(map[string]string, len(identityHeaders))
	for name, member := range identityHeaders {
		v := value(member)
		if strings.TrimSpace(v) != v {
			return nil, fmt.Errorf("%s begins or ends with a space and cannot be sent in %s", member, name)
		}
		headers[name] = v
	}
	return headers, nil
}
