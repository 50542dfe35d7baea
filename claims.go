package latchkey

import (
	"encoding/json"
	"fmt"
	"iter"
	"reflect"
	"strings"
	"time"

	"github.com/latchkey-auth/latchkey/internal/strictjson"
)

// Claims are what a verified token says.
type Claims struct {
	Issuer string // iss
	// IssuerName is what the issuer is called in [Config.Issuers]; empty for
	// latchkey's own tokens.
	IssuerName string
	// Subject is who the token is about: sub, or what the issuer's profile takes in
	// its place. Two issuers may have equal ones: see Principal.
	Subject   string
	ID        string // jti
	SessionID string // sid: the session it belongs to
	ClientID  string // client_id: the application it was issued to
	Username  string // username, or that of the user object in legacy tokens
	// Scope is words separated by spaces: the claim scope. Of another issuer it
	// holds those of the token's scopes that the issuer may grant.
	Scope     string
	ExpiresAt time.Time
	IssuedAt  time.Time // zero: the token does not say
	NotBefore time.Time // zero: the token does not say

	// Epoch and Rights are the numbers of the user that the token was issued under: a
	// revocation of the user ends tokens with less of either. -1: the token does not
	// say, as those of other issuers.
	Epoch, Rights int64

	// Legacy tells that it is a token of the compatibility mode: signed with a shared
	// secret, and without what other tokens of latchkey always have.
	Legacy bool

	audience  []string // shared with the cache: never handed out
	principal string   // empty: Subject
	payload   string
}

// Principal returns who the token is about, told apart from the subjects of all
// other issuers: for latchkey's own tokens the subject, for others their
// issuer's name, "|" and the subject.
func (c Claims) Principal() string {
	if c.principal == "" {
		return c.Subject
	}
	return c.principal
}

// Audience returns whom the token is for: the values of aud.
func (c Claims) Audience() []string { return append([]string(nil), c.audience...) }

// Scopes yields the words of Scope.
func (c Claims) Scopes() iter.Seq[string] { return words(c.Scope) }

// words yields what spaces alone separate (RFC 6749 section 3.3), not all that
// Unicode calls so.
func words(text string) iter.Seq[string] {
	return strings.FieldsFuncSeq(text, func(r rune) bool { return r == ' ' })
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
// object without duplicate members. Of another issuer it holds all that the issuer
// says, also scopes that it may not grant.
func (c Claims) Payload() string { return c.payload }

// Decode decodes the payload into a struct of yours, as encoding/json does:
//
//	var mine struct {
//		Plan string `json:"plan"`
//	}
//	err := claims.Decode(&mine)
//
// It is an error when the payload has a member whose name differs from that of a
// field in case alone, which encoding/json would take for it: give fields their
// tags.
func (c Claims) Decode(into any) error {
	t := reflect.TypeOf(into)
	if t == nil || t.Kind() != reflect.Pointer || t.Elem().Kind() != reflect.Struct {
		return fmt.Errorf("decoding claims: %T is no pointer to a struct", into)
	}
	names := fieldNames(t.Elem(), nil, 0)
	err := strictjson.Object(c.payload, func(name string, _ strictjson.Value) error {
		for _, field := range names {
			if name != field && strings.EqualFold(name, field) {
				return fmt.Errorf("member %s and field %q differ in case alone", shown(name), field)
			}
		}
		return nil
	})
	if err == nil {
		err = json.Unmarshal([]byte(c.payload), into)
	}
	if err != nil {
		return fmt.Errorf("decoding claims: %w", err)
	}
	return nil
}

// fieldNames appends the names that encoding/json gives to the fields of a struct,
// and of those embedded in it: a few deep, because they may embed each other.
func fieldNames(t reflect.Type, names []string, depth int) []string {
	for i := range t.NumField() {
		f := t.Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		inner := f.Type
		if inner.Kind() == reflect.Pointer {
			inner = inner.Elem()
		}
		switch {
		case f.Tag.Get("json") == "-":
		case name != "":
			names = append(names, name)
		case f.Anonymous && inner.Kind() == reflect.Struct && depth < 5:
			names = fieldNames(inner, names, depth+1)
		default:
			names = append(names, f.Name)
		}
	}
	return names
}
