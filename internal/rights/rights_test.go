package rights_test

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/latchkey-auth/latchkey/internal/rights"
	"github.com/latchkey-auth/latchkey/internal/storage"
)

func TestParseRoleTable(t *testing.T) {
	got, err := rights.ParseRoleTable(` {"clerk": ["orders:read","orders:write"], "nothing":[], "a=b:c/*": ["x,y"]}`)
	want := rights.RoleTable{"clerk": "orders:read orders:write", "nothing": "", "a=b:c/*": "x,y"}
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	for text, says := range map[string]string{
		``:                                       "not a JSON object",
		`[]`:                                     "not a JSON object",
		`{"clerk":["a"]} {}`:                     "something follows",
		`{"clerk":["a"],"clerk":["b"]}`:          `"clerk" stands twice`,
		`{"clerk":"a"}`:                          `role "clerk" must have a list of scopes`,
		`{"clerk":null}`:                         `role "clerk" must have a list of scopes`,
		`{"clerk":["a b"]}`:                      "each scope must be one word",
		`{"clerk":[""]}`:                         "each scope must be one word",
		`{"clerk":[" a"]}`:                       "each scope must be one word",
		`{"clerk":["é"]}`:                        "each scope must be one word",
		`{"clerk":["a\"b"]}`:                     "each scope must be one word",
		`{"clerk":[7]}`:                          "each scope must be one word",
		`{"":["a"]}`:                             `role "" must be 1 to 64`,
		`{"a clerk":["a"]}`:                      `role "a clerk" must be`,
		`{"a,b":["a"]}`:                          `role "a,b" must be`,
		`{"é":["a"]}`:                            "must be 1 to 64",
		`{"` + strings.Repeat("x", 65) + `":[]}`: "must be 1 to 64",
	} {
		if _, err := rights.ParseRoleTable(text); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v, want %q", text, err, says)
		}
	}
}

func FuzzRoleTable(f *testing.F) {
	f.Add(`{"clerk":["orders:read","x,y"],"nothing":[]}`)
	f.Add(`{"a\u0062":["\u0063"]}`)
	f.Fuzz(func(t *testing.T, text string) {
		table, err := rights.ParseRoleTable(text)
		if err != nil {
			return
		}
		for role, scope := range table {
			clean, err := rights.CleanScope(scope)
			if err != nil || clean != scope {
				t.Errorf("%s: role %q gives %q", text, role, scope)
			}
			if roles, err := rights.CleanRoles([]string{role}); err != nil || len(roles) != 1 || roles[0] != role || strings.ContainsAny(role, " ,") {
				t.Errorf("%s: %q is no role: %v", text, role, err)
			}
		}
	})
}

// FuzzAttributes: what is taken stands in a token as it is, within the size that is
// counted, and can be a header.
func FuzzAttributes(f *testing.F) {
	f.Add("tenant", "ulm", "plan", `<"pro"&\>`)
	f.Add("a.b:c-d_e", "é\u2028", "", "\x00")
	f.Fuzz(func(t *testing.T, name1, value1, name2, value2 string) {
		given := map[string]string{name1: value1, name2: value2}
		taken, err := rights.CleanAttributes(given)
		if err != nil {
			return
		}
		if !maps.Equal(given, taken) {
			t.Errorf("%v became %v", given, taken)
		}
		for name, value := range taken {
			claims := rights.TokenClaims{"x": rights.ClaimSource("attributes." + name)}
			doc, err := claims.Encode(map[string]string{"sub": "u1"}, storage.User{Attributes: taken})
			if err != nil {
				t.Fatal(err)
			}
			var got map[string]string
			if err := json.Unmarshal(doc, &got); err != nil || got["x"] != value || got["sub"] != "u1" {
				t.Errorf("%q is %s, %v", value, doc, err)
			}
			if size := len(doc) - len(`{"sub":"u1","x":""}`); size > 256 {
				t.Errorf("%q has %d bytes in a token", value, size)
			}
			if !utf8.ValidString(value) || strings.TrimSpace(value) != value || strings.ContainsAny(value, "\r\n\x00\x7f") {
				t.Errorf("%q is no header", value)
			}
			if !slices.Contains([]string{name1, name2}, name) || strings.ContainsAny(name, "=, ") {
				t.Errorf("%q is no name", name)
			}
		}
	})
}
