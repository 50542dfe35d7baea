package latchkey

import (
	"iter"
	"strings"
	"time"
)

// Claims are what a verified token says.
type Claims struct {
	Issuer    string // iss
	Subject   string // sub: who the token is about
	ID        string // jti
	SessionID string // sid: the session it belongs to
	ClientID  string // client_id: the application it was issued to
	Username  string // username, or that of the user object in legacy tokens
	Scope     string // scope: words separated by spaces
	ExpiresAt time.Time
	IssuedAt  time.Time // zero: the token does not say
	NotBefore time.Time // zero: the token does not say

	audience []string // shared with the cache: never handed out
	payload  string
}

// Audience returns whom the token is for: the values of aud.
func (c Claims) Audience() []string { return append([]string(nil), c.audience...) }

// Scopes yields the words of Scope.
func (c Claims) Scopes() iter.Seq[string] {
	// Spaces alone separate (RFC 6749 section 3.3), not all that Unicode calls so.
	return strings.FieldsFuncSeq(c.Scope, func(r rune) bool { return r == ' ' })
}

// HasScope reports whether the token carries the scope.
func (c Claims) HasScope(scope string) bool {
	for s := range c.Scopes() {
		if s == scope {
			return true
		}
	}
	return false
}

// Payload returns the claims as the JSON text that was signed. It is a valid
// object without duplicate members; decode it for claims of your own.
func (c Claims) Payload() string { return c.payload }
