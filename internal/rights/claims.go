package rights

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/latchkey-auth/latchkey/internal/identifier"
	"github.com/latchkey-auth/latchkey/internal/storage"
	"github.com/latchkey-auth/latchkey/internal/strictjson"
)

// TokenClaims are claims of access tokens besides those that every one has: their names,
// and what of the user each tells. A token lacks those that its user has nothing for.
type TokenClaims map[string]ClaimSource

// A ClaimSource is what of a user a claim tells: one of these, or an attribute.
type ClaimSource string

const (
	// ClaimEmail is the address, once it is proved: others read it as the user's.
	ClaimEmail ClaimSource = "email"
	ClaimName  ClaimSource = "name"  // one of 256 bytes at most
	ClaimRoles ClaimSource = "roles" // a list, RFC 9068 section 2.2.3.1

	attributePrefix = "attributes." // before the name of an attribute
)

// TokenUsername says what the username of a token is where the user has none of their own,
// as those who register.
type TokenUsername string

const (
	UsernameID    TokenUsername = "id"    // the default
	UsernameName  TokenUsername = "name"  // one of 256 bytes at most
	UsernameEmail TokenUsername = "email" // once it is proved
)

// reservedClaims cannot be given a meaning by an operator.
var reservedClaims = []string{
	"iss", "sub", "aud", "exp", "nbf", "iat", "jti", // RFC 7519 section 4.1
	"client_id", "scope", "auth_time", "acr", "amr", // RFC 9068 section 2.2
	"sid", "username", "epoch", "rights", "user", "payload", // latchkey
	// Verifiers of tokens in general go by these.
	"scp", "azp", "cnf", "act", "may_act", "nonce", "at_hash", "c_hash", "s_hash", "token_use", "typ", "email_verified",
}

const maxClaimName = 128 // bytes

// ParseTokenClaims reads a JSON object that gives each claim its source:
// {"tenant": "attributes.tenant", "email": "email"}.
func ParseTokenClaims(text string) (TokenClaims, error) {
	claims := make(TokenClaims)
	lower := make(map[string]string)
	err := strictjson.Object(text, func(name string, v strictjson.Value) error {
		if err := checkClaimName(name); err != nil {
			return fmt.Errorf("claim %.150q %w", name, err)
		}
		// Readers that do not mind the case would take one for the other.
		if other, twice := lower[strings.ToLower(name)]; twice {
			return fmt.Errorf("claims %q and %q differ in case alone", other, name)
		}
		lower[strings.ToLower(name)] = name
		source, _ := v.Text()
		if err := ClaimSource(source).check(); err != nil {
			return fmt.Errorf("claim %q: %w", name, err)
		}
		claims[name] = ClaimSource(source)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return claims, nil
}

func checkClaimName(name string) error {
	if slices.Contains(reservedClaims, strings.ToLower(name)) {
		return fmt.Errorf("has a meaning already; give it another name")
	}
	if name == "" || len(name) > maxClaimName || strings.ContainsFunc(name, func(c rune) bool {
		return c <= ' ' || c > '~' || c == '"' || c == '\\'
	}) {
		return fmt.Errorf(`must be 1 to %d characters of visible ASCII without " and \`, maxClaimName)
	}
	return nil
}

func (s ClaimSource) check() error {
	if slices.Contains([]ClaimSource{ClaimEmail, ClaimName, ClaimRoles}, s) {
		return nil
	}
	if name, ok := s.attribute(); ok {
		if err := checkAttributeName(name); err != nil {
			return fmt.Errorf("the name of an attribute %w", err)
		}
		return nil
	}
	return fmt.Errorf("comes from email, name, roles or attributes.NAME, not from %.80q", string(s))
}

// attribute is the name of the attribute that is the source.
func (s ClaimSource) attribute() (name string, ok bool) {
	return strings.CutPrefix(string(s), attributePrefix)
}

// of is what the source says of a user; nil: nothing.
func (s ClaimSource) of(u storage.User) any {
	text := ""
	switch s {
	case ClaimEmail:
		if u.EmailVerified {
			text = u.Email
		}
	case ClaimName:
		text = nameInToken(u)
	case ClaimRoles:
		if len(u.Roles) > 0 {
			return u.Roles
		}
	default:
		name, _ := s.attribute()
		text = u.Attributes[name]
	}
	if text == "" {
		return nil
	}
	return text
}

// of is the claims of a user.
func (c TokenClaims) of(u storage.User) map[string]any {
	claims := make(map[string]any, len(c))
	for name, source := range c {
		if value := source.of(u); value != nil {
			claims[name] = value
		}
	}
	return claims
}

// Of is the username claim of a user. A name is chosen by its owner and need not be
// unique.
func (by TokenUsername) Of(u storage.User) string {
	if u.Username != string(u.ID) {
		return u.Username
	}
	switch name := nameInToken(u); {
	case by == UsernameEmail && u.EmailVerified && u.Email != "":
		return u.Email
	case by == UsernameName && name != "":
		return name
	}
	return u.Username
}

// maxNameInToken is the bytes of a name that stands in tokens. The longest name has four
// times as many, and would leave little for other claims.
const maxNameInToken = 256

// nameInToken is empty for a name that is too long.
func nameInToken(u storage.User) string {
	name := identifier.Trim(u.Name)
	if sizeInToken(name) > maxNameInToken {
		return ""
	}
	return name
}

// Encode writes the claims that every token has, and those that are configured. It escapes
// nothing for HTML: a scope has as many bytes in a token as the user has of it.
func (c TokenClaims) Encode(always any, u storage.User) ([]byte, error) {
	doc, err := marshal(always)
	if err != nil {
		return nil, err
	}
	values := c.of(u)
	if len(values) == 0 {
		return doc, nil
	}
	more, err := marshal(values)
	if err != nil {
		return nil, err
	}
	return slices.Concat(doc[:len(doc)-1], []byte{','}, more[1:]), nil
}

func marshal(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(v)
	return bytes.TrimSuffix(b.Bytes(), []byte{'\n'}), err
}

// Longest is a user of whom the claims, and what every token tells, have their longest
// form.
func (c TokenClaims) Longest(t RoleTable) storage.User {
	x := func(n int) string { return strings.Repeat("x", n) }
	u := storage.User{
		Username: x(identifier.MaxLogin), Email: x(identifier.MaxEmail), EmailVerified: true, Name: x(maxNameInToken),
		Scope: x(MaxScope) + " " + t.All(), Attributes: make(map[string]string), Rights: math.MaxInt64,
	}
	for range maxRoles {
		u.Roles = append(u.Roles, x(maxRolesText/maxRoles))
	}
	left := maxAttributes
	for _, source := range c {
		if name, ok := source.attribute(); ok && u.Attributes[name] == "" {
			value := min(maxAttributeValue, max(left-len(name), 0))
			u.Attributes[name], left = x(value), left-len(name)-value
		}
	}
	return u
}
