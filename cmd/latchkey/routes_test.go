package main

import (
	"bytes"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/latchkey-auth/latchkey/internal/gateway"
)

// TestPrintReport: what is wrong is shown, and nothing is said to be right.
func TestPrintReport(t *testing.T) {
	refunds := gateway.Route{Method: "GET", Path: "/orders/{id}/refunds", Scopes: []string{"refund"}, To: "f"}
	order := gateway.Route{Method: "GET", Path: "/orders/{id}", Scopes: []string{"read"}, To: "f"}
	read := gateway.PrincipalKind{Scopes: []string{"read"}}
	r := gateway.Report{
		Principals: []gateway.PrincipalReport{{PrincipalKind: read, Routes: 1, Allowed: 1, Denied: 0, Bytes: 100}},
		Left:       3, Requests: 9,
		OverGrants: []gateway.Finding{{PrincipalKind: read, Request: "GET /orders/x/refunds", Route: refunds, Why: "allowed as GET/orders/x/refunds"}},
		Missing:    []gateway.Finding{{Request: "GET /orders/x", Route: order}},
	}
	var out bytes.Buffer
	p := &process{stdout: &out}
	if err := p.printReport(r, "latchkey.yaml", []gateway.Route{refunds, order, {Public: true}}); err != nil {
		t.Fatal(err)
	}
	const want = `latchkey.yaml: 3 routes, 1 of them public; 9 requests for the others, put to the policy of every kind of principal

PRINCIPAL  ROUTES  ALLOWED  DENIED  BYTES
read       1       1        0       100

3 more kinds of principals were not looked at

over-grants, requests that a policy allows and the table does not:
  GET /orders/x/refunds  of GET /orders/{id}/refunds  by read: allowed as GET/orders/x/refunds

under-grants, requests that the table grants and a policy does not allow:
  GET /orders/x  of GET /orders/{id}  by -
`
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	out.Reset()
	if err := printJSON(&out, viewReport(r)); err != nil {
		t.Fatal(err)
	}
	for _, part := range []string{`"ok": false`, `"request": "GET /orders/x/refunds"`, `"scopes": []`, `"known_losses": []`, `"principals_left_out": 3`} {
		if !strings.Contains(out.String(), part) {
			t.Errorf("%s is missing in %s", part, out.String())
		}
	}
}
