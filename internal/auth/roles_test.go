package auth_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/latchkey-auth/latchkey/internal/auth"
	"github.com/latchkey-auth/latchkey/internal/rights"
	"github.com/latchkey-auth/latchkey/internal/storage"
)

func withRoles(table rights.RoleTable) func(*auth.Config) {
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
	table := rights.RoleTable{"clerk": "orders:read orders:write", "auditor": "orders:read audit", "nothing": ""}
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
	f := newFixture(t, legacy, withRoles(rights.RoleTable{"clerk": "orders:read"}))
	f.add(auth.NewUser{ID: "u1", Username: "ada", Scope: "read", Roles: []string{"clerk"}, Password: password})
	_, claims := decodeToken(t, f.mustLogin("ada", password).AccessToken)
	if user := claims["user"].(map[string]any); user["scope"] != "read orders:read" {
		t.Errorf("user is %v", user)
	}
}

// TestAnotherRoleTableCountsAtTheNextToken: what a role gives is not stored with anybody.
func TestAnotherRoleTableCountsAtTheNextToken(t *testing.T) {
	f := newFixture(t, withRoles(rights.RoleTable{"clerk": "orders:read orders:write"}))
	f.add(auth.NewUser{ID: "u1", Username: "ada", Roles: []string{"clerk"}, Password: password})
	tokens := f.mustLogin("ada", password)
	f.Service = f.service(withRoles(rights.RoleTable{"clerk": "orders:read"}))
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
