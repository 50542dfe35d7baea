package main

import (
	"errors"
	"fmt"
	"io"
	"strconv"
	"text/tabwriter"
	"time"

	"github.com/latchkey-auth/latchkey"
	"github.com/latchkey-auth/latchkey/internal/gateway"
	"github.com/latchkey-auth/latchkey/revocation"
)

type routesCheckCmd struct {
	Against []string `help:"SAM or CloudFormation template, serverless.yml or OpenAPI document to hold the table against; may be given several times. Exit status 1 where they differ." sep:"none" placeholder:"FILE"`
	Strict  bool     `help:"With --against: exit status 1 where a part of the document cannot be read, too."`
	JSON    bool     `help:"Print JSON."`
	authorizerTTL
	revocationFlags
}

func (c *routesCheckCmd) Run(p *process) error {
	t, err := p.declaredTable("check")
	if err != nil {
		return err
	}
	revocations, err := c.revocations()
	if err != nil {
		return err
	}
	report, err := t.Check()
	if err != nil {
		return err
	}
	against, err := p.compareWith(c.Against)
	if err != nil {
		return err
	}
	if err := c.print(p, report, against, t, boundsOf(revocations, c.AuthorizerTTL)); err != nil {
		return err
	}
	if !report.OK() {
		return errors.New("the policies differ from the route table: this is a fault of latchkey, please report it with the table")
	}
	return differ(against, c.Strict)
}

func (c *routesCheckCmd) print(p *process, report gateway.Report, against []againstView, t *gateway.Table, bounds boundsView) error {
	if c.JSON {
		v := viewReport(report)
		v.Against, v.Bounds = against, bounds
		return printJSON(p.stdout, v)
	}
	if err := p.printReport(report, p.config.path, t.Routes()); err != nil {
		return err
	}
	for _, v := range against {
		if err := printAgainst(p.stdout, v); err != nil {
			return err
		}
	}
	_, err := fmt.Fprintf(p.stdout, "\n%s\n", bounds)
	return err
}

// boundsView is how long an answer outlives its token, in seconds.
type boundsView struct {
	Ended   *int64 `json:"ended_token_seconds"` // null: until it expires
	Expired int64  `json:"expired_token_seconds"`

	text string
}

func (v boundsView) String() string { return v.text }

// boundsOf are those of an authorizer with the settings, which has a source.
func boundsOf(cfg revocation.Config, ttl time.Duration) boundsView {
	expired := latchkey.DefaultLeeway + ttl
	v := boundsView{Expired: int64(expired.Seconds())}
	cached := fmt.Sprintf("%s in the gateway's cache", ttl)
	v.text = fmt.Sprintf("a token that has expired is refused within %s: %s of leeway for clocks, and %s", expired, latchkey.DefaultLeeway, cached)
	wait := cfg.Interval
	switch cfg.Mode {
	case revocation.Off:
		v.text += "\na token that was ended (logout, new password, ban, lost scope) is refused when it has expired: --revocation-mode is off"
		return v
	case revocation.Strict:
		wait = 0
	}
	ended := int64((wait + ttl).Seconds())
	v.Ended = &ended
	v.text += fmt.Sprintf("\na token that was ended (logout, new password, ban, lost scope) is refused within %s: %s to learn of it, and %s", wait+ttl, wait, cached)
	return v
}

var checkColumns = []column{{title: "PRINCIPAL", min: 9}, {title: "ROUTES"}, {title: "ALLOWED"}, {title: "DENIED"}, {title: "BYTES"}}

// printReport shows a report to people.
func (p *process) printReport(r gateway.Report, file string, routes []gateway.Route) error {
	public := 0
	for _, route := range routes {
		if route.Public {
			public++
		}
	}
	fmt.Fprintf(p.stdout, "%s: %d routes, %d of them public; %d requests for the others, put to the policy of every kind of principal\n\n", file, len(routes), public, r.Requests)
	t := p.newTable(checkColumns)
	for _, kind := range r.Principals {
		t.add(kind.String(), strconv.Itoa(kind.Routes), strconv.Itoa(kind.Allowed), strconv.Itoa(kind.Denied), strconv.Itoa(kind.Bytes))
	}
	if err := t.flush(); err != nil {
		return err
	}
	if r.Left > 0 {
		fmt.Fprintf(p.stdout, "\n%d more kinds of principals were not looked at\n", r.Left)
	}
	printFindings(p.stdout, "\nover-grants, requests that a policy allows and the table does not:", r.OverGrants)
	printFindings(p.stdout, "\nunder-grants, requests that the table grants and a policy does not allow:", r.Missing)
	printFindings(p.stdout, "\nknown losses, paths that are denied though their route is granted:", r.Losses)
	if r.OK() {
		_, err := fmt.Fprintln(p.stdout, "\nok: the policies grant what the table grants")
		return err
	}
	return nil
}

func printFindings(w io.Writer, title string, findings []gateway.Finding) {
	if len(findings) == 0 {
		return
	}
	fmt.Fprintln(w, title)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, f := range findings {
		why := ""
		if f.Why != "" {
			why = ": " + f.Why
		}
		fmt.Fprintf(t, "  %s\tof %s\tby %s%s\n", f.Request, f.Route, f.PrincipalKind, why)
	}
	t.Flush()
}

// reportView and findingView are a report for machines.
type reportView struct {
	OK          bool            `json:"ok"`
	Requests    int             `json:"requests"`
	Principals  []principalView `json:"principals"`
	Left        int             `json:"principals_left_out"`
	OverGrants  []findingView   `json:"over_grants"`
	UnderGrants []findingView   `json:"under_grants"`
	Losses      []findingView   `json:"known_losses"`
	Bounds      boundsView      `json:"bounds"`
	Against     []againstView   `json:"against,omitempty"`
}

// kindView says what is true of a kind of principals.
type kindView struct {
	Scopes     []string `json:"scopes"`
	Issuer     string   `json:"issuer,omitempty"` // another one than latchkey
	ACR        string   `json:"acr,omitempty"`
	AMR        []string `json:"amr,omitempty"`
	MaxAuthAge int      `json:"max_auth_age,omitempty"` // seconds
}

func viewKind(k gateway.PrincipalKind) kindView {
	return kindView{list(k.Scopes), k.Issuer, k.ACR, k.AMR, int(k.Within / time.Second)}
}

type principalView struct {
	kindView
	Routes  int `json:"routes"`
	Allowed int `json:"allowed"`
	Denied  int `json:"denied"`
	Bytes   int `json:"policy_bytes"`
}

type findingView struct {
	Request string `json:"request"`
	Route   string `json:"route"`
	kindView
	Why string `json:"why,omitempty"`
}

func viewReport(r gateway.Report) reportView {
	v := reportView{OK: r.OK(), Requests: r.Requests, Left: r.Left, OverGrants: viewFindings(r.OverGrants), UnderGrants: viewFindings(r.Missing), Losses: viewFindings(r.Losses)}
	for _, k := range r.Principals {
		v.Principals = append(v.Principals, principalView{viewKind(k.PrincipalKind), k.Routes, k.Allowed, k.Denied, k.Bytes})
	}
	return v
}

func viewFindings(findings []gateway.Finding) []findingView {
	views := []findingView{}
	for _, f := range findings {
		views = append(views, findingView{f.Request, f.Route.String(), viewKind(f.PrincipalKind), f.Why})
	}
	return views
}

// list makes [] of no list: null is another type to many programs.
func list(texts []string) []string {
	if texts == nil {
		return []string{}
	}
	return texts
}
