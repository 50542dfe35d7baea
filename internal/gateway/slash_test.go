package gateway_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/latchkey-auth/latchkey/internal/gateway"
)

func TestTrailingSlash(t *testing.T) {
	tb, err := gateway.NewTable([]gateway.Route{route(t, "GET /", ""), route(t, "GET /orders", ""), route(t, "POST /orders/{id}", ""), route(t, "ANY /files/{path+}", "")})
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		reading            gateway.TrailingSlash
		method, path, want string // want: the route, or a part of the reason
		rest               string // of the greedy parameter
	}{
		{"", "GET", "/orders/", "it ends in a slash", ""},
		{gateway.SlashRefuse, "GET", "/orders/", "it ends in a slash", ""},
		{gateway.SlashRefuse, "GET", "/files/a/", "it ends in a slash", ""},
		{gateway.SlashRefuse, "GET", "/", "GET /", ""},
		{gateway.SlashStrip, "GET", "/", "GET /", ""},
		{gateway.SlashStrip, "GET", "/orders/", "GET /orders", ""},
		{gateway.SlashStrip, "GET", "/orders//", "it ends in a slash", ""},
		{gateway.SlashStrip, "POST", "/orders/7/", "POST /orders/{id}", ""},
		{gateway.SlashStrip, "GET", "/files/a/", "ANY /files/{path+}", "a"},
		{gateway.SlashStrip, "POST", "/orders/", "only for GET", ""},
		{gateway.SlashKeep, "GET", "/", "GET /", ""},
		{gateway.SlashKeep, "GET", "/orders", "GET /orders", ""},
		{gateway.SlashKeep, "GET", "/orders/", "only a greedy route", ""},
		{gateway.SlashKeep, "GET", "/files/a/", "ANY /files/{path+}", "a/"},
		{gateway.SlashKeep, "GET", "/files/a", "ANY /files/{path+}", "a"},
		{gateway.SlashKeep, "GET", "/files/", "no route has this path", ""},
		{gateway.SlashKeep, "GET", "/files/a//", "it ends in a slash", ""},
		{gateway.SlashKeep, "GET", "/a/../files/", "a dot segment", ""},
		{gateway.SlashRefuse, "GET", "/nothing", "no route has this path", ""},
	}
	for _, test := range tests {
		m, ok := tb.MatchAs(test.reading, test.method, test.path)
		got := m.Route.String()
		if !ok {
			got = tb.WhyNot(test.reading, test.method, test.path)
		}
		if !strings.Contains(got, test.want) || ok != strings.Contains(test.want, "/") || m.Params["path"] != test.rest {
			t.Errorf("%s: %s %s: %s with %q, want %s with %q", test.reading, test.method, test.path, got, m.Params["path"], test.want, test.rest)
		}
	}
}

// TestTrailingSlashBypassesNoRoute: a slash at the end leads to no greedy route that
// needs less than the route of the path without it.
func TestTrailingSlashBypassesNoRoute(t *testing.T) {
	public := gateway.Route{Method: "ANY", Path: "/pub/{p+}", Public: true, To: "f"}
	const reason = "the path without its slash has a route that needs more than the greedy route"
	for _, test := range []struct {
		routes             []gateway.Route
		method, path, want string
	}{
		{[]gateway.Route{public, route(t, "GET /pub/admin", "admin")}, "GET", "/pub/admin/", reason},
		{[]gateway.Route{public, route(t, "GET /pub/admin", "admin")}, "POST", "/pub/admin/", "ANY /pub/{p+}"},
		{[]gateway.Route{public, route(t, "GET /pub/admin", "admin")}, "GET", "/pub/other/", "ANY /pub/{p+}"},
		{[]gateway.Route{public, route(t, "ANY /pub/admin", "admin")}, "POST", "/pub/admin/", reason},
		{[]gateway.Route{public, route(t, "GET /pub/me", "")}, "GET", "/pub/me/", reason}, // needs a token alone
		{[]gateway.Route{public, route(t, "GET /pub/{id}", "read")}, "GET", "/pub/7/", reason},
		{[]gateway.Route{public, route(t, "ANY /pub/a/{p+}", "a")}, "GET", "/pub/a/b/", "ANY /pub/a/{p+}"},
		{[]gateway.Route{{Method: "ANY", Path: "/{p+}", Public: true, To: "f"}, route(t, "GET /pub", "admin")}, "GET", "/pub/", reason},
		{[]gateway.Route{route(t, "ANY /a/{p+}", "x y"), route(t, "GET /a/b", "x")}, "GET", "/a/b/", "ANY /a/{p+}"},
		{[]gateway.Route{route(t, "ANY /a/{p+}", "x"), {Method: "GET", Path: "/a/b", Public: true, To: "f"}}, "GET", "/a/b/", "ANY /a/{p+}"},
	} {
		tb, err := gateway.NewTable(test.routes)
		if err != nil {
			t.Errorf("%v: %v", test.routes, err)
			continue
		}
		m, ok := tb.MatchAs(gateway.SlashKeep, test.method, test.path)
		got := m.Route.String()
		if !ok {
			got = tb.WhyNot(gateway.SlashKeep, test.method, test.path)
		}
		if got != test.want || ok != strings.Contains(test.want, "{") {
			t.Errorf("%v: %s %s: %s, want %s", test.routes, test.method, test.path, got, test.want)
		}
	}
}

// A principal who may read one user and not list them does not get through by a slash.
func TestPolicyDeniesASlashThatAWildcardWouldAllow(t *testing.T) {
	tb, err := gateway.NewTable([]gateway.Route{route(t, "GET /users", "users:list"), route(t, "GET /users/{id}", "users:read"), route(t, "POST /users", "users:write"), route(t, "GET /a", "a")})
	if err != nil {
		t.Fatal(err)
	}
	slashes := []string{dev + "GET/users/", dev + "GET/users/%*", dev + "GET/users//*"}
	for scope, want := range map[string][]string{"users:read": slashes, "users:read users:list": nil, "a": nil, "a users:read": slashes} {
		out, err := newAuthorizer(tb).Handle(t.Context(), tokenEvent("Bearer "+mint(map[string]any{"scope": scope}), dev+"GET/a"))
		if err != nil {
			t.Fatal(err)
		}
		var denied []string
		for _, s := range readOutput(t, out).PolicyDocument.Statement {
			if s.Effect == "Deny" {
				denied = s.Resource
			}
		}
		if diff := cmp.Diff(want, denied); diff != "" {
			t.Errorf("%s: -want +got:\n%s", scope, diff)
		}
	}
}
