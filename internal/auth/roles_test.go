package auth_test

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/latchkey-auth/latchkey/internal/auth"
	"github.com/latchkey-auth/latchkey/internal/storage"
)

func withRoles(table auth.RoleTable) func(*auth.Config) {
	return func(c *auth.Config) { c.Roles = table }
}

// scopeOf is the scope of an access token.
func scopeOf(t *testing.T, tokens auth.Tokens) string {
	t.Helper()
	_, claims := decodeToken(t, tokens.AccessToken)
	scope, _ := claims["scope"].(string)
	return scope
}

func TestRolesBecomeScopes(t *testing.T) {
	table := auth.RoleTable{"clerk": "orders:read orders:write", "auditor": "orders:read audit", "nothing": ""}
	for name, c := range map[string]struct {
		scope string
		roles []string
		want  string
	}{
		"no roles":                     {"read write", nil, "read write"},
		"a role":                       {"", []string{"clerk"}, "orders:read orders:write"},
		"a role and a scope":           {"read", []string{"clerk"}, "read orders:read orders:write"},
		"two roles with one in common": {"", []string{"clerk", "auditor"}, "orders:read audit orders:write"},
		"a scope that a role gives":    {"orders:write", []string{"clerk"}, "orders:write orders:read"},
		"a role that gives nothing":    {"read", []string{"nothing"}, "read"},
		"a role of no table":           {"read", []string{"admin"}, "read"},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, withRoles(table))
			f.add(auth.NewUser{ID: "u1", Username: "ada", Scope: c.scope, Roles: c.roles, Password: password})
			tokens := f.mustLogin("ada", password)
			if got := scopeOf(t, tokens); got != c.want {
				t.Errorf("the token has the scope %q, want %q", got, c.want)
			}
			if got := scopeOf(t, f.mustRefresh(tokens.RefreshToken)); got != c.want {
				t.Errorf("the refreshed one has the scope %q, want %q", got, c.want)
			}
			if me, err := f.me(tokens); err != nil || me.Scope != c.want {
				t.Errorf("Me says %q, %v; want %q", me.Scope, err, c.want)
			}
			if _, claims := decodeToken(t, tokens.AccessToken); claims["roles"] != nil {
				t.Errorf("the token has the claim roles: %v", claims["roles"])
			}
		})
	}
}

func TestRolesBecomeScopesInCompatibilityTokens(t *testing.T) {
	f := newFixture(t, legacy, withRoles(auth.RoleTable{"clerk": "orders:read"}))
	f.add(auth.NewUser{ID: "u1", Username: "ada", Scope: "read", Roles: []string{"clerk"}, Password: password})
	_, claims := decodeToken(t, f.mustLogin("ada", password).AccessToken)
	if user := claims["user"].(map[string]any); user["scope"] != "read orders:read" {
		t.Errorf("user is %v", user)
	}
}

// TestAnotherRoleTableCountsAtTheNextToken: what a role gives is not stored with anybody.
func TestAnotherRoleTableCountsAtTheNextToken(t *testing.T) {
	f := newFixture(t, withRoles(auth.RoleTable{"clerk": "orders:read orders:write"}))
	f.add(auth.NewUser{ID: "u1", Username: "ada", Roles: []string{"clerk"}, Password: password})
	tokens := f.mustLogin("ada", password)
	f.Service = f.service(withRoles(auth.RoleTable{"clerk": "orders:read"}))
	if got := scopeOf(t, f.mustRefresh(tokens.RefreshToken)); got != "orders:read" {
		t.Errorf("the next token has the scope %q", got)
	}
	if ended := f.revocations(); len(ended) != 0 {
		t.Errorf("revocations %v: a table ends no tokens", ended)
	}
}

func TestRolesAndAttributesOfAUser(t *testing.T) {
	f := newFixture(t)
	u := f.add(auth.NewUser{
		ID: "u1", Username: "ada", Roles: []string{"clerk", "auditor", "clerk"}, Attributes: map[string]string{"tenant": `Ulm "1"`, "plan": "pro"}, Password: password,
	})
	want := storage.User{Roles: []string{"auditor", "clerk"}, Attributes: map[string]string{"tenant": `Ulm "1"`, "plan": "pro"}}
	for saying, got := range map[string]storage.User{"returned": u, "stored": f.user("u1")} {
		if diff := cmp.Diff(want.Roles, got.Roles) + cmp.Diff(want.Attributes, got.Attributes); diff != "" {
			t.Errorf("%s (-want +got):\n%s", saying, diff)
		}
	}
	doc, err := json.Marshal(u)
	if err != nil || !strings.Contains(string(doc), `"roles":["auditor","clerk"]`) || !strings.Contains(string(doc), `"attributes":{"plan":"pro","tenant":"Ulm \"1\""}`) {
		t.Errorf("as JSON %s, %v", doc, err)
	}
	updated, err := f.UpdateUser(t.Context(), "ada", func(u *storage.User) {
		u.Roles = []string{"clerk"}
		u.Attributes["plan"] = "free"
		delete(u.Attributes, "tenant")
	})
	if err != nil || updated.Rights != 1 || cmp.Diff([]string{"clerk"}, updated.Roles)+cmp.Diff(map[string]string{"plan": "free"}, updated.Attributes) != "" {
		t.Errorf("updated to %v %v, rights %d, %v", updated.Roles, updated.Attributes, updated.Rights, err)
	}
	_, err = f.UpdateUser(t.Context(), "ada", func(u *storage.User) { u.Roles, u.Attributes = []string{}, map[string]string{} })
	if u := f.user("u1"); err != nil || len(u.Roles) != 0 || len(u.Attributes) != 0 {
		t.Errorf("emptied to %v %v, %v", u.Roles, u.Attributes, err)
	}
	doc, err = json.Marshal(f.user("u1"))
	if err != nil || !strings.Contains(string(doc), `"roles":[]`) || !strings.Contains(string(doc), `"attributes":{}`) {
		t.Errorf("as JSON %s, %v", doc, err)
	}
}

// TestRolesOfTheInvited: what an invitation says counts, what it does not say stays.
func TestRolesOfTheInvited(t *testing.T) {
	f := newFixture(t, open(new(mailbox)))
	for _, n := range []auth.NewUser{
		{Email: "ada@example.com", Roles: []string{"clerk"}, Attributes: map[string]string{"tenant": "ulm", "plan": "pro"}},
		{Email: "ada@example.com"},
		{Email: "ada@example.com", Attributes: map[string]string{"plan": "free"}},
	} {
		if _, err := f.Invite(t.Context(), n); err != nil {
			t.Fatal(err)
		}
	}
	u, err := f.NamedUser(t.Context(), "ada@example.com")
	if err != nil || cmp.Diff([]string{"clerk"}, u.Roles)+cmp.Diff(map[string]string{"tenant": "ulm", "plan": "free"}, u.Attributes) != "" {
		t.Errorf("%v %v, %v", u.Roles, u.Attributes, err)
	}
	if _, err := f.Invite(t.Context(), auth.NewUser{Email: "bob@example.com", Attributes: attributesOf(7, 256)}); err != nil {
		t.Fatal(err)
	}
	_, err = f.Invite(t.Context(), auth.NewUser{Email: "bob@example.com", Attributes: map[string]string{"b": strings.Repeat("x", 256)}})
	wantInvalid(t, err, "attributes")
}

func TestParseRoleTable(t *testing.T) {
	got, err := auth.ParseRoleTable(` {"clerk": ["orders:read","orders:write"], "nothing":[], "a=b:c/*": ["x,y"]}`)
	want := auth.RoleTable{"clerk": "orders:read orders:write", "nothing": "", "a=b:c/*": "x,y"}
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
		if _, err := auth.ParseRoleTable(text); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v, want %q", text, err, says)
		}
	}
}

func FuzzRoleTable(f *testing.F) {
	f.Add(`{"clerk":["orders:read","x,y"],"nothing":[]}`)
	f.Add(`{"a\u0062":["\u0063"]}`)
	f.Fuzz(func(t *testing.T, text string) {
		table, err := auth.ParseRoleTable(text)
		if err != nil {
			return
		}
		for role, scope := range table {
			clean, err := auth.CleanScope(scope)
			if err != nil || clean != scope {
				t.Errorf("%s: role %q gives %q", text, role, scope)
			}
			if roles, err := auth.CleanRoles([]string{role}); err != nil || len(roles) != 1 || roles[0] != role || strings.ContainsAny(role, " ,") {
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
		taken, err := auth.CleanAttributes(given)
		if err != nil {
			return
		}
		if !maps.Equal(given, taken) {
			t.Errorf("%v became %v", given, taken)
		}
		for name, value := range taken {
			claims := auth.TokenClaims{"x": auth.ClaimSource("attributes." + name)}
			doc, err := auth.EncodeClaims(map[string]string{"sub": "u1"}, claims, storage.User{Attributes: taken})
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
