// Package offline is a local API Gateway: an HTTP server that routes,
// authorizes and refuses as a REST API on AWS does, in front of the same Lambda
// functions. Behaviour is from the API Gateway developer guide unless a comment
// says otherwise; none of it was compared with an account on AWS.
package offline

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"text/tabwriter"
	"time"

	"github.com/latchkey-auth/latchkey/internal/cors"
	"github.com/latchkey-auth/latchkey/internal/gateway"
	"github.com/latchkey-auth/latchkey/internal/suggest"
)

// The quotas of REST APIs ("Quotas for configuring and running a REST API").
const (
	maxHeaders         = 10_240             // bytes, names and values together
	maxEvent           = 6 << 20            // bytes of an invocation's payload (Lambda's quota)
	maxBody            = 10 << 20           // bytes
	maxMethodARN       = 1600               // bytes
	integrationTimeout = 29 * time.Second   // default, and the most without asking AWS
	MaxAuthorizerTTL   = 3600 * time.Second // of the authorizer's cache
)

// A few large bodies at a time are enough for a laptop, whose memory many would
// fill: an event is a multiple of its body.
const (
	largeBody = 256 << 10 // bytes
	maxLarge  = 4
)

// What the local API calls itself in ARNs and events.
const (
	region    = "us-east-1"
	accountID = "123456789012"
	apiID     = "offlineapi"
	stage     = "dev"
)

// PagePrefix begins the paths of pages. No route begins with it.
const PagePrefix = "/_latchkey/"

// Config is what a Gateway needs.
type Config struct {
	Table      *gateway.Table              // required
	Functions  map[string]gateway.Function // by the names that routes lead to
	Authorizer gateway.Function            // required; answers events of REST APIs
	// Claims are those that the Authorizer is configured to tell of a principal, each in a
	// header for servers behind; nil: no more than all of them are told.
	Claims []gateway.ContextClaim
	// IdentitySources make the authorizer one of type REQUEST, whose answers are kept
	// by their values. Nil: it is of type TOKEN, by the Authorization header.
	IdentitySources []IdentitySource
	// AuthorizerTTL is how long an authorizer's answer is used again for the
	// same identity: 0 (never) to MaxAuthorizerTTL.
	AuthorizerTTL time.Duration
	// TrailingSlash is how paths that end in a slash are read; "": SlashRefuse.
	TrailingSlash gateway.TrailingSlash
	Responses     map[gateway.ResponseType]gateway.Response // nil: gateway.DefaultResponses
	CORSOrigins   []string                                  // that browsers may call from
	CORSHeaders   []string                                  // that their pages may send beside the usual ones
	// Hosts are names beside those of loopback under which clients may call. A
	// page whose name suddenly means 127.0.0.1 (DNS rebinding) is none of them.
	Hosts []string
	// Pages are for the person at this machine, by their paths: they are no part of
	// the API, and answer under names of loopback only, never under Hosts. A name
	// that others can call may lead here through a tunnel.
	Pages map[string]http.Handler
	// Landing is the page at PagePrefix; nil: there is none.
	Landing *Landing
	Timeout time.Duration    // of integrations; 0: 29 s
	Now     func() time.Time // nil: time.Now
	Log     *slog.Logger     // nil: nothing is logged
}

// A Gateway serves one API, which may be replaced while it does.
type Gateway struct {
	api   atomic.Pointer[api]
	large chan struct{} // permits for large bodies
}

// api is what one request is answered by from its beginning to its end. The table,
// the authorizer that knows it and the cache of that one's answers change together:
// an answer for another table would grant what this one does not.
type api struct {
	Config
	cors      cors.Policy
	cache     *policyCache
	upstreams map[string]http.Handler // by URL
}

// New checks that every route leads somewhere.
func New(cfg Config) (*Gateway, error) {
	g := &Gateway{large: make(chan struct{}, maxLarge)}
	if err := g.Replace(cfg); err != nil {
		return nil, err
	}
	return g, nil
}

// Replace answers further requests by another configuration, with an empty cache.
// After an error the one before stays.
func (g *Gateway) Replace(cfg Config) error {
	a, err := newAPI(cfg)
	if err == nil {
		g.api.Store(a)
	}
	return err
}

func newAPI(cfg Config) (*api, error) {
	if cfg.Table == nil || cfg.Authorizer == nil {
		return nil, errors.New("offline: route table and authorizer must be set")
	}
	if cfg.AuthorizerTTL < 0 || cfg.AuthorizerTTL > MaxAuthorizerTTL {
		return nil, fmt.Errorf("authorizer TTL %s must be 0s to %s", cfg.AuthorizerTTL, MaxAuthorizerTTL)
	}
	if cfg.Responses == nil {
		cfg.Responses = gateway.DefaultResponses()
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	cfg.Timeout = cmp.Or(cfg.Timeout, integrationTimeout)
	policy, err := cors.New(cfg.CORSOrigins, cfg.CORSHeaders)
	if err != nil {
		return nil, err
	}
	a := &api{Config: cfg, cors: policy, cache: newPolicyCache(cfg.AuthorizerTTL), upstreams: make(map[string]http.Handler)}
	if cfg.Landing != nil {
		a.Pages = maps.Clone(cfg.Pages)
		if a.Pages == nil {
			a.Pages = make(map[string]http.Handler)
		}
		a.Pages[PagePrefix] = http.HandlerFunc(a.serveLanding)
	}
	for _, r := range cfg.Table.Routes() {
		if cfg.Pages[r.Path] != nil || strings.HasPrefix(r.Path+"/", PagePrefix) {
			return nil, fmt.Errorf("route %s: offline itself answers %s; take the route out", r, r.Path)
		}
		if _, known := cfg.Functions[r.To]; known {
			continue
		}
		target, err := url.Parse(r.To)
		if err != nil || target.Scheme != "http" && target.Scheme != "https" || target.Host == "" {
			return nil, fmt.Errorf("route %s leads to %q: there is no function of that name (known: %s), and it is no http:// or https:// URL%s",
				r, r.To, strings.Join(a.functionNames(), ", "), a.meantTarget(r.To))
		}
		a.upstreams[r.To] = a.newUpstream(target)
	}
	return a, nil
}

// meantTarget asks about a URL without its scheme, and a name misspelt.
func (a *api) meantTarget(to string) string {
	bare := strings.TrimPrefix(to, "//")
	u, err := url.Parse("http://" + bare)
	if err == nil && !strings.Contains(bare, "://") && (u.Port() != "" || strings.Contains(u.Hostname(), ".") || u.Hostname() == "localhost") {
		return fmt.Sprintf(": did you mean %q?", u)
	}
	return suggest.DidYouMean(to, a.functionNames())
}

func (a *api) functionNames() []string {
	var names []string
	for name := range a.Functions {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// PrintRoutes shows where requests go and what they need: first the routes that
// lead elsewhere than to the function service, then those, folded to a line unless
// all are to be seen.
func (g *Gateway) PrintRoutes(w io.Writer, base, service string, all bool) error {
	var own, others []gateway.Route
	for _, r := range g.api.Load().Table.Routes() {
		if r.To == service {
			others = append(others, r)
		} else {
			own = append(own, r)
		}
	}
	if err := printRoutes(w, base, own); err != nil || len(others) == 0 {
		return err
	}
	if !all {
		_, err := fmt.Fprintf(w, "  and %d routes of the auth service: /login, /register, /me, … (--all-routes)\n", len(others))
		return err
	}
	fmt.Fprintln(w)
	return printRoutes(w, base, others)
}

func printRoutes(w io.Writer, base string, routes []gateway.Route) error {
	t := tabwriter.NewWriter(w, 0, 0, 3, ' ', 0)
	for _, r := range foldVerbs(routes) {
		fmt.Fprintf(t, "  %s\t%s%s\t%s\t%s\n", r.Method, base, r.Path, r.Needs(), r.To)
	}
	return t.Flush()
}

// foldVerbs makes one line of the routes that differ in their verbs only.
func foldVerbs(routes []gateway.Route) []gateway.Route {
	var lines []gateway.Route
	for _, r := range routes {
		i := slices.IndexFunc(lines, func(l gateway.Route) bool { return l.Path == r.Path && l.Needs() == r.Needs() && l.To == r.To })
		if i < 0 {
			lines = append(lines, r)
			continue
		}
		lines[i].Method += "," + r.Method
	}
	return lines
}
