package main

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/latchkey-auth/latchkey/internal/gateway"
)

func TestTablesOfTheFile(t *testing.T) {
	c, err := parseConfig([]byte("roles:\n  clerk: [orders:read, 'x\"y']\n"))
	if err == nil {
		t.Errorf("a quote in a scope is taken: %v", c.settings)
	}
	c, err = parseConfig([]byte(`
roles:
  clerk: [orders:read, orders:write]
  nothing: []
  yes: ["7"]
token:
  username: name
  claims:
    tenant: attributes.tenant
    https://example.com/name: name
`))
	want := map[string]string{
		"roles": `{"clerk":["orders:read","orders:write"],"nothing":[],"yes":["7"]}`, "token-username": "name",
		"token-claims": `{"tenant":"attributes.tenant","https://example.com/name":"name"}`,
	}
	if diff := cmp.Diff(want, c.settings); err != nil || diff != "" {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
}

// TestTablesThatCannotBe are refused when the file is read, with their line.
func TestTablesThatCannotBe(t *testing.T) {
	for file, says := range map[string]string{
		"roles:\n":                                          "line 1: roles: must be a table, {clerk: [orders:read, orders:write]}",
		"roles: [clerk]":                                    "line 1: roles: must be a table",
		"roles:\n  clerk: orders:read":                      `line 2: roles: role "clerk" must have a list of scopes`,
		"roles:\n  clerk: [7]":                              "line 2: must be text or a list of texts; put a number, yes and no in quotes",
		"roles:\n  clerk: {a: b}":                           "line 2: must be text or a list of texts",
		"roles:\n  clerk: [a b]":                            `role "clerk": each scope must be one word`,
		"roles:\n  a clerk: [a]":                            `role "a clerk" must be 1 to 64 characters`,
		"roles:\n  clerk: [a]\n  clerk: [b]":                `"clerk" stands twice`,
		"roles:\n  x: &x [a]\n  y: *x":                      "line 3: must be text or a list of texts",
		"token:\n  claims: email":                           "line 2: token: claims: must be a table, {tenant: attributes.tenant}",
		"token:\n  claims:\n    iss: name":                  `line 3: token: claims: claim "iss" has a meaning already`,
		"token:\n  claims:\n    Scope: name":                `claim "Scope" has a meaning already`,
		"token:\n  claims:\n    x: phone":                   `claim "x": comes from email, name, roles or attributes.NAME, not from "phone"`,
		"token:\n  claim:\n    x: name":                     `unknown member "claim": did you mean "claims"?`,
		"token-claims: x":                                   `unknown setting "token-claims"`,
		"routes:\n- {route: GET /x, roles: [clerk], to: f}": `line 2: route GET /x: there is no role "clerk"; declare it under roles, with the scopes that it gives`,
		"roles: {clerk: [a]}\nroutes:\n- {route: GET /x, roles: [clerc], to: f}":                       `there is no role "clerc": did you mean "clerk"?`,
		"roles: {clerk: []}\nroutes:\n- {route: GET /x, roles: [clerk], to: f}":                        `role "clerk" gives no scope`,
		"roles: {clerk: [a]}\nroutes:\n- {route: GET /x, roles: [clerk], scopes: [a], to: f}":          "scopes and roles are both given; keep one",
		"roles: {clerk: [a]}\nroutes:\n- {route: GET /x, roles: clerk, to: f}":                         "roles must be a list of one at least",
		"roles: {clerk: [a]}\nroutes:\n- {route: GET /x, roles: [], to: f}":                            "roles must be a list of one at least",
		"roles: {clerk: [a]}\nroutes:\n- {route: GET /x, roles: , to: f}":                              "roles must be a list of one at least",
		"roles: {clerk: [a, b], chief: [c]}\nroutes:\n- {route: GET /x, roles: [clerk, chief], to: f}": "give them a scope in common for this route",
	} {
		if _, err := parseConfig([]byte(file)); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s\n%v, want %q", file, err, says)
		}
	}
}

// TestRoutesByRoles checks which scopes a route with roles asks for. A role counts for
// nothing beside another one whose scopes it has.
func TestRoutesByRoles(t *testing.T) {
	const table = "roles: {clerk: [read, write], reader: [read], auditor: [audit], chief: [read, write, audit], twin: [write, read]}\n"
	for roles, want := range map[string]gateway.Route{
		"[clerk]":                  {Scopes: []string{"read", "write"}},
		"[reader, auditor]":        {Scopes: []string{"read", "audit"}, AnyScope: true},
		"[clerk, chief]":           {Scopes: []string{"read", "write"}}, // chief has all scopes of clerk
		"[chief, reader]":          {Scopes: []string{"read"}},
		"[chief, reader, auditor]": {Scopes: []string{"read", "audit"}, AnyScope: true},
		"[clerk, twin]":            {Scopes: []string{"read", "write"}},
		"[clerk, clerk]":           {Scopes: []string{"read", "write"}},
	} {
		c, err := parseConfig([]byte(table + "routes:\n- {route: GET /x, roles: " + roles + ", to: f}"))
		if err != nil {
			t.Errorf("%s: %v", roles, err)
			continue
		}
		want.Method, want.Path, want.To = "GET", "/x", "f"
		if diff := cmp.Diff([]gateway.Route{want}, c.routes); diff != "" {
			t.Errorf("%s (-want +got):\n%s", roles, diff)
		}
	}
}

// FuzzTables: what the file takes for tables, the flags take too.
func FuzzTables(f *testing.F) {
	f.Add("clerk: [orders:read]", "tenant: attributes.tenant")
	f.Add("{a: [], b: ['x']}", "{email: email}")
	f.Add("<<: {a: [b]}", "? [x]\n: y")
	f.Fuzz(func(t *testing.T, roles, claims string) {
		indent := func(text string) string { return strings.ReplaceAll("\n"+text, "\n", "\n    ") }
		c, err := parseConfig([]byte("roles:" + indent(roles) + "\ntoken:\n  claims:" + indent(claims) + "\n"))
		if err != nil {
			return
		}
		if err := (tokenFlags{Roles: c.settings["roles"], TokenClaims: c.settings["token-claims"]}).Validate(); err != nil {
			t.Errorf("%q, %q: %v", roles, claims, err)
		}
	})
}
