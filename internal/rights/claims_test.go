package rights_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/latchkey-auth/latchkey/internal/rights"
	"github.com/latchkey-auth/latchkey/internal/storage"
)

func TestParseTokenClaims(t *testing.T) {
	got, err := rights.ParseTokenClaims(`{"email":"email","roles":"roles","https://example.com/t":"attributes.a.b:c"}`)
	want := rights.TokenClaims{"email": "email", "roles": "roles", "https://example.com/t": "attributes.a.b:c"}
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	for text, says := range map[string]string{
		`email`:                              "not a JSON object",
		`{"email":"email"}x`:                 "something follows",
		`{"email":"email","email":"name"}`:   `"email" stands twice`,
		`{"tenant":"name","Tenant":"email"}`: `"tenant" and "Tenant" differ in case alone`,
		`{"tenant":"attributes."}`:           `claim "tenant": the name of an attribute must be 1 to 64`,
		`{"tenant":"attributes.a b"}`:        `claim "tenant": the name of an attribute must be`,
		`{"tenant":"tenant"}`:                `not from "tenant"`,
		`{"tenant":"password_hash"}`:         "comes from email, name, roles or attributes.NAME",
		`{"tenant":["attributes.tenant"]}`:   "comes from email, name, roles or attributes.NAME",
		`{"tenant":null}`:                    "comes from email, name, roles or attributes.NAME",
		`{"":"name"}`:                        `claim "" must be 1 to 128`,
		`{"a b":"name"}`:                     `claim "a b" must be`,
		`{"é":"name"}`:                       "must be 1 to 128 characters of visible ASCII",
		`{"a\"b":"name"}`:                    "must be 1 to 128 characters",
	} {
		if _, err := rights.ParseTokenClaims(text); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v, want %q", text, err, says)
		}
	}
}

func FuzzTokenClaims(f *testing.F) {
	f.Add(`{"email":"email","tenant":"attributes.tenant"}`)
	f.Add(`{"ſub":"name","\u0069ss":"name"}`)
	u := storage.User{ID: "u1", Email: "ada@example.com", EmailVerified: true, Name: "Ada", Roles: []string{"clerk"}, Attributes: map[string]string{"tenant": "ulm"}}
	f.Fuzz(func(t *testing.T, text string) {
		claims, err := rights.ParseTokenClaims(text)
		if err != nil {
			return
		}
		doc, err := claims.Encode(map[string]string{"iss": "i", "sub": "s"}, u)
		if err != nil || !strings.HasPrefix(string(doc), `{"iss":"i","sub":"s"`) {
			t.Fatalf("%s: %s, %v", text, doc, err)
		}
		for _, name := range []string{"iss", "sub", "aud", "exp", "scope", "sid", "username", "epoch"} {
			for claim := range claims {
				if strings.EqualFold(claim, name) {
					t.Errorf("%s: the claim %s is given a meaning", text, claim)
				}
			}
		}
	})
}
