package gateway_test

import (
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/latchkey-auth/latchkey/internal/gateway"
	"github.com/latchkey-auth/latchkey/internal/trial"
)

func TestCheck(t *testing.T) {
	_, tb, err := tableOf(t, "GET /orders/{id}: read", "GET /orders/{id}/refunds: refund", "GET /orders/{id}/refunds/{rid}: read", "GET /health: public", "ANY /admin/{path+}: admin|root")
	if err != nil {
		t.Fatal(err)
	}
	r, err := tb.Check()
	if err != nil {
		t.Fatal(err)
	}
	if !r.OK() || r.Left != 0 || r.Requests < 100 {
		t.Errorf("%+v", r)
	}
	var kinds []string
	for _, p := range r.Principals {
		kinds = append(kinds, strings.Join(p.Scopes, " "))
	}
	want := []string{"", "admin", "read", "refund", "admin read", "admin refund", "read refund", "admin read refund"}
	if diff := cmp.Diff(want, kinds); diff != "" {
		t.Errorf("kinds of principals: -want +got:\n%s", diff)
	}
	read := r.Principals[2]
	if read.Routes != 2 || read.Allowed != 1 || read.Denied != 5 || read.Bytes < 400 {
		t.Errorf("%+v", read)
	}
	var losses []string
	for _, f := range r.Losses {
		losses = append(losses, strings.Join(f.Scopes, " ")+": "+f.Request+": "+f.Why)
	}
	wantLosses := []string{
		"read: GET /orders/x%20x/refunds/x: the path has an encoded character",
		"read: GET /orders/x%20x: the path has an encoded character",
		`read: GET /orders/x/refunds/refunds: "refunds" is a fixed part of another route`,
		"refund: GET /orders/x%20x/refunds: the path has an encoded character",
	}
	slices.Sort(losses)
	if diff := cmp.Diff(wantLosses, losses); diff != "" {
		t.Errorf("losses: -want +got:\n%s", diff)
	}
}

// TestCheckFinds: a check of broken policies is not content.
func TestCheckFinds(t *testing.T) {
	routes := []string{"GET /orders/{id}: read", "GET /orders/{id}/refunds: refund", "GET /orders: list"}
	for _, denies := range []bool{true, false} {
		_, tb, err := tableOf(t, routes...)
		if err != nil {
			t.Fatal(err)
		}
		gateway.Break(tb, denies)
		r, err := tb.Check()
		if err != nil {
			t.Fatal(err)
		}
		if r.OK() || (len(r.OverGrants) > 0) != denies || (len(r.Missing) > 0) == denies {
			t.Errorf("without denies %t: %+v", denies, r)
		}
		if denies {
			var asked []string
			for _, f := range r.OverGrants {
				if slices.Equal(f.Scopes, []string{"read"}) {
					asked = append(asked, f.Request)
				}
			}
			for _, want := range []string{"GET /orders/x/refunds", "GET /orders/x%2Frefunds", "GET /orders/x//refunds", "GET /orders/"} {
				if !slices.Contains(asked, want) {
					t.Errorf("%s is not found, only %q", want, asked)
				}
			}
		}
	}
}

// TestCheckAgrees: a check of any table that is taken is content, and counts no kind of
// principals twice. It tries 60 tables, in full 600.
func TestCheckAgrees(t *testing.T) {
	for seed := range uint64(trial.Of(60, 600)) {
		r := rand.New(rand.NewPCG(seed, 3))
		routes := randomTable(r)
		most := 8
		if seed%3 == 0 {
			askMore(r, routes)
			most = 400
		}
		tb, err := gateway.NewTable(routes)
		if err != nil {
			continue
		}
		report, err := tb.Check()
		if err != nil {
			t.Fatal(err)
		}
		if !report.OK() || len(report.Principals) > most || report.Left > 0 {
			t.Fatalf("seed %d, routes %s: %d kinds, %+v, %+v", seed, show(routes), len(report.Principals), report.OverGrants, report.Missing)
		}
	}
}

// TestCheckLooksAtWhatTells: with many scopes, not at all sets of them. It takes 10
// resources, in full 40.
func TestCheckLooksAtWhatTells(t *testing.T) {
	resources := trial.Of(10, 40)
	r, err := manyRoutes(t, resources).Check()
	if err != nil {
		t.Fatal(err)
	}
	if n := len(r.Principals); n < 3*resources+1 || n > 10*resources || r.Left != 0 || !r.OK() {
		t.Errorf("%d kinds of principals, %d left, %d over, %d missing", n, r.Left, len(r.OverGrants), len(r.Missing))
	}
}

func TestExplain(t *testing.T) {
	_, tb, err := tableOf(t, "GET /orders/{id}: read", "GET /orders/{id}/refunds: refund", "GET /health: public", "GET /any: a|b", "GET /both: a b", "GET /me: ")
	if err != nil {
		t.Fatal(err)
	}
	expired := errors.New("it has expired")
	type outcome struct {
		passes    bool
		status    int
		decidedBy string
	}
	yes, no, denied := outcome{true, 0, "policy"}, outcome{false, 403, "table"}, outcome{false, 403, "policy"}
	tests := []struct {
		request, scopes string
		refused         error
		outcome         outcome
		route           string
		effect          gateway.EvalDecision
		pattern, reason string
	}{
		{"GET /orders/42", "read", nil, yes, "GET /orders/{id}", gateway.Allow, "GET/orders/*", "the policy allows GET/orders/*"},
		{"GET /orders/42", "read refund", nil, yes, "GET /orders/{id}", gateway.Allow, "GET/orders/*", "the policy allows GET/orders/*"},
		{"GET /orders/42", "", nil, no, "GET /orders/{id}", gateway.ImplicitDeny, "", "the token lacks scope read"},
		{"GET /orders/42", "read", expired, outcome{false, 401, "token"}, "GET /orders/{id}", gateway.ImplicitDeny, "", "the token is refused: it has expired"},
		{"GET /orders/42/refunds", "read", nil, no, "GET /orders/{id}/refunds", gateway.ExplicitDeny, "GET/orders/*/*", "the token lacks scope refund"},
		{"GET /orders/a%20b", "read", nil, denied, "GET /orders/{id}", gateway.ExplicitDeny, "GET/orders/*%*", "to keep the token from GET /orders/{id}/refunds (scope refund): "},
		{"GET /orders/%C3%BCx/refunds", "refund", nil, denied, "GET /orders/{id}/refunds", gateway.ExplicitDeny, "GET/orders/%*", "to keep the token from GET /orders/{id} (scope read): "},
		{"GET /health", "", expired, outcome{true, 0, "routes"}, "GET /health", gateway.ImplicitDeny, "", "the route is public"},
		{"GET /any", "x", nil, no, "GET /any", gateway.ImplicitDeny, "", "the token lacks scope a or b"},
		{"GET /both", "b", nil, no, "GET /both", gateway.ImplicitDeny, "", "the token lacks scope a"},
		{"GET /both", "", nil, no, "GET /both", gateway.ImplicitDeny, "", "the token lacks scope a and b"},
		{"POST /me", "", nil, outcome{false, 403, "routes"}, " ", gateway.ImplicitDeny, "", "only for GET"},
		{"GET /me/", "", nil, outcome{false, 403, "routes"}, " ", gateway.ImplicitDeny, "", "ends in a slash"},
	}
	for _, test := range tests {
		method, path, err := gateway.ParseRequest(test.request + "?a=b c")
		if err != nil {
			t.Fatal(err)
		}
		got := tb.Explain(method, path, gateway.Principal{Scope: test.scopes}, now, test.refused)
		if got.Route.String() != test.route || got.Effect != test.effect || got.Pattern != test.pattern || !strings.Contains(got.Reason, test.reason) ||
			(outcome{got.Passes, got.Status, got.DecidedBy}) != test.outcome || got.Found != (test.route != " ") {
			t.Errorf("%s by %q: %+v, want %+v", test.request, test.scopes, got, test)
		}
	}
	_, closed, err := tableOf(t, "GET /a: a")
	if err != nil {
		t.Fatal(err)
	}
	if got := closed.Explain("GET", "/a", gateway.Principal{}, now, nil); got.Pattern != "*" || got.Reason != "the token lacks scope a" {
		t.Errorf("nothing is granted: %+v", got)
	}
}

func TestParseRequest(t *testing.T) {
	for _, text := range []string{"", "GET", "/orders", "get /orders", "ANY /orders", "GET orders", "GET  /orders", "GET https://api.example/orders", "GET,HEAD /orders"} {
		if verb, path, err := gateway.ParseRequest(text); err == nil {
			t.Errorf("%q is taken as %q, %q", text, verb, path)
		} else if !strings.Contains(err.Error(), "must be a verb") {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// TestExplainAgrees: an explanation says what the policy does. It tries 30 tables, in
// full 300.
func TestExplainAgrees(t *testing.T) {
	for seed := range uint64(trial.Of(30, 300)) {
		r := rand.New(rand.NewPCG(seed, 4))
		routes := randomTable(r)
		if seed%2 == 1 {
			askMore(r, routes)
		}
		tb, err := gateway.NewTable(routes)
		if err != nil {
			continue
		}
		a := newAuthorizer(tb)
		for _, c := range someCallers(r, routes)[:8] {
			p, err := policyFor(a, c)
			if err != nil {
				t.Fatal(err)
			}
			principal := gateway.Principal{Issuer: c.issuer, Scope: strings.Join(c.scopes, " "), ACR: c.acr, AMR: c.amr}
			if c.ago >= 0 {
				principal.AuthTime = now.Add(-c.ago)
			}
			for range 50 {
				verb, path := pick(r, []string{"GET", "POST"}), respell(r, pick(r, worldPaths))
				e := tb.Explain(verb, path, principal, now, nil)
				if got := p.Evaluate(gateway.ActionInvoke, dev+verb+path); e.Found && !e.Route.Public && got != e.Effect {
					t.Fatalf("seed %d, %s %s by %q: %v, the policy says %v", seed, verb, path, c.scopes, e.Effect, got)
				}
				if strings.Contains(e.Reason, "to keep the token from :") {
					t.Fatalf("seed %d, %s %s by %q is denied for no reason: %+v", seed, verb, path, c.scopes, e)
				}
			}
		}
	}
}
