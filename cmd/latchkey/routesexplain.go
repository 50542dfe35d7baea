package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/latchkey-auth/latchkey"
	"github.com/latchkey-auth/latchkey/internal/gateway"
)

type routesExplainCmd struct {
	Token   string `arg:"" help:"The token; - reads it from standard input, where no process list shows it."`
	Request string `arg:"" help:"The request: \"GET /orders/42\"."`
	JSON    bool   `help:"Print JSON."`
	verifierFlags
}

func (c *routesExplainCmd) Run(ctx context.Context, p *process) error {
	method, path, err := gateway.ParseRequest(c.Request)
	if err != nil {
		return usagef("%v", err)
	}
	t, err := p.config.servedTable()
	if err != nil {
		return err
	}
	token, err := p.readToken(c.Token)
	if err != nil {
		return err
	}
	verifier, done, err := c.verifier(ctx, p)
	if err != nil {
		return err
	}
	defer done()
	claims, refused := verifier.Verify(ctx, token)
	if refused != nil && !errors.Is(refused, latchkey.ErrInvalidToken) {
		return fmt.Errorf("the token could not be checked: %w", refused)
	}
	v := viewExplanation(method+" "+path, t.Explain(method, path, t.PrincipalOf(claims), time.Now(), refused))
	v.Token = viewToken(claims, refused)
	if c.JSON {
		return printJSON(p.stdout, v)
	}
	return v.print(p.stdout)
}

// explanationView is what decides about a request, for machines.
type explanationView struct {
	Request   string      `json:"request"`
	Passes    bool        `json:"passes"`
	Status    int         `json:"status,omitempty"` // of the gateway's own answer
	DecidedBy string      `json:"decided_by"`       // routes, token, table or policy
	Reason    string      `json:"reason"`
	Route     *routeView  `json:"route,omitempty"`
	Token     *tokenView  `json:"token"`
	Policy    *policyView `json:"policy,omitempty"`
	Challenge string      `json:"challenge,omitempty"` // of a sign-in that is all that is lacking
}

type routeView struct {
	Route string `json:"route"`
	Needs string `json:"needs"`
	To    string `json:"to"`
}

type tokenView struct {
	Good      bool       `json:"good"`
	Error     string     `json:"error,omitempty"`
	Subject   string     `json:"sub,omitempty"`
	Scope     string     `json:"scope"`
	ExpiresAt *time.Time `json:"expires_at,omitempty"`
}

type policyView struct {
	Effect  string `json:"effect"` // Allow, Deny or none
	Pattern string `json:"pattern,omitempty"`
}

func viewExplanation(request string, e gateway.Explanation) explanationView {
	v := explanationView{Request: request, Passes: e.Passes, Status: e.Status, DecidedBy: e.DecidedBy, Reason: e.Reason, Challenge: e.Challenge}
	if e.Found {
		v.Route = &routeView{e.Route.String(), e.Route.Needs(), e.Route.To}
	}
	if e.DecidedBy == "table" || e.DecidedBy == "policy" {
		effects := map[gateway.EvalDecision]string{gateway.Allow: "Allow", gateway.ExplicitDeny: "Deny", gateway.ImplicitDeny: "none"}
		v.Policy = &policyView{effects[e.Effect], e.Pattern}
	}
	return v
}

func viewToken(c latchkey.Claims, refused error) *tokenView {
	if refused != nil {
		return &tokenView{Error: refused.Error()}
	}
	expires := c.ExpiresAt.UTC()
	return &tokenView{Good: true, Subject: c.Subject, Scope: c.Scope, ExpiresAt: &expires}
}

func (v explanationView) print(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "request\t%s\n", v.Request)
	if v.Route != nil {
		fmt.Fprintf(t, "route\t%s, %s, to %s\n", v.Route.Route, v.Route.Needs, v.Route.To)
	}
	if v.Token.Good {
		fmt.Fprintf(t, "token\tgood until %s, of %s, scope %q\n", v.Token.ExpiresAt.Format(time.RFC3339), v.Token.Subject, v.Token.Scope)
	} else {
		fmt.Fprintf(t, "token\t%s\n", v.Token.Error)
	}
	if v.Policy != nil {
		fmt.Fprintf(t, "policy\t%s\n", strings.TrimSpace(v.Policy.Effect+" "+v.Policy.Pattern))
	}
	outcome := "passes"
	if !v.Passes {
		outcome = map[int]string{401: "401 Unauthorized", 403: "403 Forbidden"}[v.Status]
	}
	fmt.Fprintf(t, "answer\t%s: %s\n", outcome, v.Reason)
	if v.Challenge != "" {
		fmt.Fprintf(t, "challenge\t%s\n", v.Challenge)
	}
	return t.Flush()
}
