package gateway

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/latchkey-auth/latchkey"
	"github.com/latchkey-auth/latchkey/internal/strictjson"
)

// A ContextValue is a fact about the principal.
type ContextValue struct {
	Name, Value string
}

// A ContextClaim is a claim that the functions behind the API are told, and under which
// name. Claim is one of the token's members, or "payload": all of them, as JSON.
type ContextClaim struct {
	Claim, Name string
}

// defaultClaims are what functions are told where nothing is configured.
var defaultClaims = []ContextClaim{{"sub", "sub"}, {"username", "username"}, {"scope", "scope"}, {"payload", "payload"}}

// reservedNames are members of requestContext.authorizer that API Gateway sets, and
// "claims", which HTTP APIs keep for themselves in payload format 1.0.
var reservedNames = []string{"principalId", "integrationLatency", "claims"}

// ParseContextClaims reads a list such as "sub, email, https://example.com/tenant=tenant".
func ParseContextClaims(list string) ([]ContextClaim, error) {
	var claims []ContextClaim
	for text := range strings.SplitSeq(list, ",") {
		c, err := parseContextClaim(strings.TrimSpace(text))
		if err != nil {
			return nil, fmt.Errorf("context claim %q: %w", strings.TrimSpace(text), err)
		}
		// Integrations make headers of them, whose names do not mind the case.
		if slices.ContainsFunc(claims, func(o ContextClaim) bool { return strings.EqualFold(o.Name, c.Name) }) {
			return nil, fmt.Errorf("context claim %q: the name stands twice", c.Name)
		}
		if slices.ContainsFunc(claims, func(o ContextClaim) bool { return o.Claim == c.Claim }) {
			return nil, fmt.Errorf("context claim %q: the claim stands twice", c.Claim)
		}
		claims = append(claims, c)
	}
	return claims, nil
}

func parseContextClaim(text string) (ContextClaim, error) {
	c := ContextClaim{text, text}
	if i := strings.LastIndexByte(text, '='); i >= 0 {
		c.Claim, c.Name = text[:i], text[i+1:]
	}
	switch {
	case c.Claim == "":
		return c, errors.New("must be CLAIM or CLAIM=NAME")
	case !contextName(c.Name):
		return c, errors.New("a name must be letters, digits and _; write CLAIM=NAME to give another one")
	case c.Name == challengeName:
		return c, errors.New("the name is for the challenge of a new sign-in; write CLAIM=NAME to give another one")
	case slices.Contains(reservedNames, c.Name):
		return c, errors.New("API Gateway uses the name itself; write CLAIM=NAME to give another one")
	}
	return c, nil
}

// contextName checks what mapping templates can name ($context.authorizer.NAME).
func contextName(s string) bool {
	for _, c := range []byte(s) {
		if !(c == '_' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9') {
			return false
		}
	}
	return s != "" && len(s) <= 64
}

// contextValues makes flat strings of claims: API Gateway answers 500 to anything
// nested. A claim that the token does not have is left out, but for those that
// [latchkey.Claims] has a place for.
func contextValues(wanted []ContextClaim, claims latchkey.Claims) ([]ContextValue, error) {
	values := make([]ContextValue, 0, len(wanted))
	var others []ContextClaim
	for _, w := range wanted {
		switch w.Claim {
		case "sub":
			// Of another issuer with its name: equal subjects of two issuers are two people.
			values = append(values, ContextValue{w.Name, claims.Principal()})
		case "username":
			values = append(values, ContextValue{w.Name, withoutControls(claims.Username)})
		case "scope":
			values = append(values, ContextValue{w.Name, withoutControls(claims.Scope)})
		case "payload":
			values = append(values, ContextValue{w.Name, claims.Payload()})
		default:
			others = append(others, w)
		}
	}
	if others == nil {
		return values, nil
	}
	err := strictjson.Object(claims.Payload(), func(name string, v strictjson.Value) error {
		for _, w := range others {
			if w.Claim == name && v.Kind() != strictjson.Null {
				values = append(values, ContextValue{w.Name, flat(v)})
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("reading claims: %w", err)
	}
	return values, nil
}

// flat is text as it is, and anything else as JSON.
func flat(v strictjson.Value) string {
	text, ok := v.Text()
	if !ok {
		text = v.Raw()
	}
	return withoutControls(text)
}

// withoutControls puts spaces in the place of control characters: integrations make
// headers of these values.
func withoutControls(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r >= 0x7F && r <= 0x9F {
			return ' '
		}
		return r
	}, s)
}
