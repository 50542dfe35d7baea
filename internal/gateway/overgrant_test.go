package gateway_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/latchkey-auth/latchkey/internal/gateway"
)

func TestOverGrant(t *testing.T) {
	// Routes as "GET /path: needs", granting first. An empty example: accepted.
	tests := []struct {
		says    string
		routes  []string
		example string
	}{
		{"* crosses the slash", []string{"GET /orders/{id}: read", "GET /orders/{id}/refunds: refund"}, "GET /orders/x/refunds"},
		{"... not if the second asks for less", []string{"GET /orders/{id}: read", "GET /orders/{id}/refunds: "}, ""},
		{"... or for the same", []string{"GET /orders/{id}: read", "GET /orders/{id}/refunds: read"}, ""},
		{"... or is public", []string{"GET /orders/{id}: read", "GET /orders/{id}/refunds: public"}, ""},
		{"... or the first is", []string{"GET /orders/{id}: public", "GET /orders/{id}/refunds: refund"}, ""},
		{"... or has another verb", []string{"GET /orders/{id}: read", "POST /orders/{id}/refunds: refund"}, ""},
		{"... or is elsewhere", []string{"GET /orders/{id}: read", "GET /refunds/{id}: refund"}, ""},
		{"more scopes than the first", []string{"GET /orders/{id}: read", "GET /orders/{id}/refunds: read refund"}, "GET /orders/x/refunds"},
		{"fewer scopes than the first", []string{"GET /orders/{id}: read refund", "GET /orders/{id}/refunds: refund"}, ""},
		{"signed in grants, a scope is exposed", []string{"GET /orders/{id}: ", "GET /orders/admin: admin"}, "GET /orders/admin"},
		{"ANY against a verb", []string{"ANY /orders/{id}: read", "DELETE /orders/{id}/all: admin"}, "DELETE /orders/x/all"},
		{"a verb against ANY", []string{"GET /orders/{id}: read", "ANY /orders/{id}/all: admin"}, "GET /orders/x/all"},
		{"a declared verb is not of ANY", []string{"ANY /a: read", "GET /a: admin"}, ""},
		{"ANY does not reach into longer paths", []string{"ANY /users/me: me", "GET /admin/users/me: admin"}, ""},
		{"a catch-all beside it", []string{"GET /files/{path+}: read", "GET /files/secret/key: admin"}, "GET /files/secret/key"},
		{"a catch-all is exposed", []string{"GET /orders/{id}: read", "ANY /{proxy+}: admin"}, "GET /orders/x/x"},
		{"a catch-all that asks for all", []string{"GET /orders: read", "GET /users: users", "ANY /{proxy+}: read users admin"}, ""},
		{"a catch-all that is granted", []string{"ANY /{proxy+}: admin", "GET /orders: read"}, "GET /orders"},
		{"the parameter after a longer path", []string{"GET /a/{id}/b: one", "GET /a/{id}/{sub}/{thing}: two"}, "GET /a/x/x/b"},
		{"the parameter before the literal", []string{"ANY /{x}/c: one", "GET /{x}/{y}/{z}: two"}, "GET /x/x/c"},
		{"the catch-all after a longer path", []string{"GET /a/{id}/b/c/d/e/f: one", "GET /a/1/2/3/4/{rest+}: two"}, "GET /a/1/2/3/4/b/c/d/e/f"},
		{"a literal takes the path away", []string{"GET /a/{id}: one", "GET /{x}/{y}: one two"}, ""},
		{"fall-through exposes the catch-all", []string{"GET /a/{id}: one", "POST /a/lit: one", "GET /{p+}: two"}, "GET /a/lit"},
		{"the root is exposed to nobody", []string{"GET /{p+}: one", "GET /: two"}, "GET /"},
	}
	for _, test := range tests {
		t.Run(test.says, func(t *testing.T) {
			var routes []gateway.Route
			for _, text := range test.routes {
				r, needs, _ := strings.Cut(text, ": ")
				routes = append(routes, route(t, r, needs))
			}
			_, err := gateway.NewTable(routes)
			if test.example == "" {
				if err != nil {
					t.Errorf("refused: %v", err)
				}
				return
			}
			var over *gateway.OverGrantError
			if !errors.As(err, &over) {
				t.Fatalf("got error %v, want an OverGrantError", err)
			}
			if over.Example != test.example {
				t.Errorf("example %q, want %q", over.Example, test.example)
			}
			if got, want := over.Granting.String(), routes[0].String(); got != want {
				t.Errorf("granting route %s, want %s", got, want)
			}
			for _, part := range []string{over.Granting.String(), over.Exposed.String(), test.example, "* crosses /"} {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("error %q does not say %q", err, part)
				}
			}
		})
	}
}

// A table in which the search would not end in time is refused, not trusted.
func TestOverGrantRefusesWhatItCannotSearch(t *testing.T) {
	routes := []gateway.Route{route(t, "GET /{p0}/q", "one")}
	const depth = 18
	var all []string
	for i := range depth {
		parts := make([]string, depth)
		for j := range parts {
			parts[j] = fmt.Sprintf("{p%d}", j)
		}
		parts[i] = fmt.Sprintf("l%d", i)
		routes = append(routes, route(t, "GET /"+strings.Join(parts, "/"), "public"))
		all = append(all, fmt.Sprintf("{p%d}", i))
	}
	routes = append(routes, route(t, "GET /"+strings.Join(all, "/"), "two"))
	_, err := gateway.NewTable(routes)
	var over *gateway.OverGrantError
	if !errors.As(err, &over) {
		t.Fatalf("got error %v, want an OverGrantError", err)
	}
	if over.Example != "" || !strings.Contains(err.Error(), "by some path") {
		t.Errorf("example %q in %q", over.Example, err)
	}
}
