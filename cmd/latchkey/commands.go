package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/url"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/latchkey-auth/latchkey/internal/app"
	"github.com/latchkey-auth/latchkey/internal/awslambda"
	"github.com/latchkey-auth/latchkey/internal/gateway"
	"github.com/latchkey-auth/latchkey/internal/offline"
	"github.com/latchkey-auth/latchkey/internal/storage"
)

type offlineCmd struct {
	Addr            string                `help:"Address to listen on; localhost is 127.0.0.1 and [::1]; offline takes loopback only (${default})." env:"LATCHKEY_ADDR" default:"127.0.0.1:4000" placeholder:"HOST:PORT" group:"Listening"`
	IdentitySources string                `name:"identity-sources" help:"Makes the gateway's authorizer one of type REQUEST, whose answers are used again by these: method.request.header.NAME or method.request.querystring.NAME, separated by commas. Default: type TOKEN, by the Authorization header." env:"LATCHKEY_IDENTITY_SOURCES" placeholder:"SOURCE" group:"Listening"`
	TrailingSlash   gateway.TrailingSlash `help:"How the gateway reads a path that ends in a slash: refuse (no route), strip (the route without it) or keep (greedy routes hand it on) (${default})." env:"LATCHKEY_TRAILING_SLASH" enum:"refuse,strip,keep" default:"refuse" placeholder:"refuse|strip|keep" group:"Listening"`
	AllRoutes       bool                  `help:"Print the auth service's routes too."`
	JSON            bool                  `help:"Log JSON lines at a terminal too."`
	authorizerTTL
	revocationFlags
	serviceFlags
	corsFlags
}

// defaultOfflineAddr is the default of offline's --addr, which a tag cannot name.
const defaultOfflineAddr = "127.0.0.1:4000"

// writeTimeoutOffline leaves room for an integration's 29 seconds.
const writeTimeoutOffline = 40 * time.Second

func (c *offlineCmd) Run(ctx context.Context, p *process) error {
	if err := checkLoopback(ctx, c.Addr); err != nil {
		return err
	}
	revocations, err := c.revocations()
	if err != nil {
		return err
	}
	log := p.talk(c.JSON)
	srv, err := listen(ctx, c.Addr, log)
	if err != nil {
		return err
	}
	srv.WriteTimeout = writeTimeoutOffline
	defer srv.Close()
	settings, err := c.config(log)
	if err != nil {
		return err
	}
	settings.Revocations = revocations
	c.corsFlags.fill(&settings)
	if settings.Events, err = awslambda.EventSettings(os.Getenv); err != nil {
		return err
	}
	sources, err := c.identitySources()
	if err != nil {
		return err
	}
	settings.OtherIssuers = p.config.issuers
	sys, err := app.OpenDemo(ctx, settings, srv.URL())
	if err != nil {
		return c.explain(err)
	}
	defer sys.Close()
	table, err := p.config.table()
	if err != nil {
		return err
	}
	functions, err := sys.Functions(table, p.authorizerLog(log))
	if err != nil {
		return err
	}
	cfg := offline.Config{
		Table: table, Functions: functions, Authorizer: functions["authorizer"], Claims: settings.Events.Claims, AuthorizerTTL: c.AuthorizerTTL, IdentitySources: sources, TrailingSlash: c.TrailingSlash,
		Responses: p.config.responses, CORSOrigins: c.CORSOrigins, CORSHeaders: c.CORSHeaders, Hosts: hostOf(c.PublicURL), Pages: sys.InboxPages(), Log: log,
	}
	cfg.Landing = &offline.Landing{Base: srv.URL(), Service: "auth"}
	if _, err := sys.Service.UserByLogin(ctx, app.DemoUsername); err == nil { // who may have been deleted
		cfg.Landing.User, cfg.Landing.Password = app.DemoUsername, app.DemoPassword
	}
	g, err := offline.New(cfg)
	if err != nil {
		return err
	}
	defer sys.Start(ctx)()
	defer followConfig(ctx, p.config, log, func(changed fileConfig) error {
		table, err := changed.table()
		if err != nil {
			return err
		}
		next, err := sys.Reroute(cfg, table, changed.issuers, changed.responses, p.authorizerLog(log))
		if err != nil {
			return err
		}
		return g.Replace(next)
	})()
	if err := g.PrintRoutes(p.stdout, srv.URL(), "auth", c.AllRoutes); err != nil {
		return err
	}
	if p.config.path != "" {
		fmt.Fprintf(p.stdout, "  from %s, which is read again when it changes\n", p.config.path)
	}
	fmt.Fprintf(p.stdout, "\nin a browser: %s%s", srv.URL(), offline.PagePrefix)
	if sys.Inbox != nil {
		fmt.Fprintf(p.stdout, "\nmail: %s/inbox", srv.URL())
	}
	if cfg.Landing.User != "" {
		fmt.Fprintf(p.stdout, "\ndemo user: %s / %s", app.DemoUsername, app.DemoPassword)
	}
	fmt.Fprintf(p.stdout, "\nlistening on %s\n", srv.URL())
	return srv.Serve(ctx, g)
}

// identitySources is nil for an authorizer of type TOKEN.
func (c *offlineCmd) identitySources() ([]offline.IdentitySource, error) {
	if c.IdentitySources == "" {
		return nil, nil
	}
	sources, err := offline.ParseIdentitySources(c.IdentitySources)
	if err != nil {
		return nil, usagef("--identity-sources: %v", err)
	}
	return sources, nil
}

// hostOf is the name under which the configuration says that clients call.
func hostOf(publicURL string) []string {
	u, err := url.Parse(publicURL)
	if err != nil || u.Hostname() == "" {
		return nil
	}
	return []string{strings.ToLower(u.Hostname())}
}

// table is the route table with the auth service's own routes in it.
func (c fileConfig) table() (*gateway.Table, error) {
	routes := slices.Clone(c.routes)
	if routes == nil {
		routes = slices.Clone(app.DemoRoutes)
	}
	own, err := serviceRoutes()
	if err != nil {
		return nil, err
	}
	for _, o := range own {
		if slices.ContainsFunc(c.routes, func(r gateway.Route) bool {
			return r.Path == o.Path && (r.Method == o.Method || r.Method == gateway.MethodAny)
		}) {
			return nil, fmt.Errorf("%s: the auth service itself answers %s; take the route out", c.path, o)
		}
	}
	routes = append(routes, own...)
	t, err := gateway.NewTable(routes)
	if err != nil && c.path != "" {
		err = fmt.Errorf("%s: %w", c.path, err)
	}
	return t, err
}

// authorizerLog is for why a token was refused. Except for debugging each request has
// one line, the gateway's.
func (p *process) authorizerLog(log *slog.Logger) *slog.Logger {
	if p.level != "debug" {
		return nil
	}
	return log
}

// checkListening refuses to put an address into tokens and mails that nobody calls the
// service by: "http://[::]:8080" of --addr 0.0.0.0:8080.
func checkListening(addr string, i issueFlags) error {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return usagef("--addr %q must be HOST:PORT", addr)
	}
	ip := net.ParseIP(host)
	named := i.Issuer != "" || compatible()
	if i.PublicURL != "" || named && mailURL() == "" || host != "" && (ip == nil || !ip.IsUnspecified()) {
		return nil
	}
	return usagef("--addr %s listens on every address: say with --public-url by which one clients call the service; tokens name it as their issuer, and links in mail begin with it", addr)
}

type serveCmd struct {
	Addr  string `help:"Address to listen on; localhost is 127.0.0.1 and [::1]; offline takes loopback only (${default})." env:"LATCHKEY_ADDR" default:"127.0.0.1:8080" placeholder:"HOST:PORT" group:"Listening"`
	HTTP2 bool   `name:"http2" help:"Take HTTP/2 without TLS too, from proxies that are told to speak it (prior knowledge)." env:"LATCHKEY_HTTP2" group:"Listening"`
	serviceFlags
	httpFlags
	forwardAuthFlags
	revocationFlags
}

func (c *serveCmd) Validate() error {
	return errors.Join(c.serviceFlags.Validate(), c.forwardAuthFlags.Validate())
}

func (c *serveCmd) Run(ctx context.Context, p *process) error {
	log := p.logger()
	cfg, err := c.config(log)
	if err == nil {
		cfg.Revocations, err = c.revocations()
	}
	if err != nil {
		return err
	}
	cfg.Kind, cfg.OtherIssuers = storage.ProductionStore, p.config.issuers
	c.httpFlags.fill(&cfg)
	if c.ForwardAuth != "" {
		events, err := awslambda.EventSettings(os.Getenv)
		if err != nil {
			return err
		}
		cfg.Events.Claims = events.Claims
	}
	s, err := app.Open(ctx, cfg)
	if err != nil {
		return c.explain(err)
	}
	defer s.Close()
	if cfg.InMemory() {
		if err := s.BeginKeys(ctx); err != nil {
			return err
		}
	} else {
		s.WarnAlgorithm(ctx)
	}
	if err := checkListening(c.Addr, c.issueFlags); err != nil {
		return err
	}
	if len(s.Keyring.Records(ctx)) == 0 && !compatible() {
		return fmt.Errorf("there is no signing key in %s; create one with `latchkey init%s`", cfg.Place(), cfg.Arguments())
	}
	if c.Argon2.BelowOWASP() {
		log.Warn("password hashes cost less than OWASP recommends; see LATCHKEY_ARGON2", slog.String("argon2", c.Argon2.String()))
	}
	srv, err := listen(ctx, c.Addr, log)
	if err != nil {
		return err
	}
	srv.HTTP2 = c.HTTP2
	defer srv.Close()
	sys, err := s.Build(srv.URL())
	if err != nil {
		return err
	}
	if err := s.RefuseDemoUser(ctx, sys.Service); err != nil {
		return err
	}
	h, err := sys.Handler()
	if err != nil {
		return err
	}
	if h, err = c.forwardAuthFlags.wrap(h, sys, p.config); err != nil {
		return err
	}
	defer sys.Start(ctx)()
	fmt.Fprintf(p.stdout, "listening on %s\n", srv.URL())
	return srv.Serve(ctx, h)
}

type initCmd struct {
	dataFlags
	signingFlags
}

func (c *initCmd) Run(ctx context.Context, p *process) error {
	cfg, err := c.config(p.logger())
	if err != nil {
		return err
	}
	if cfg.InMemory() {
		return usagef("init creates what lasts; :memory: needs none of it")
	}
	cfg.SigningAlg = c.SigningAlg
	s, err := app.Init(ctx, cfg)
	if err != nil {
		return c.explain(err)
	}
	defer s.Close()
	if err := s.Complete(ctx); err != nil {
		return err
	}
	what, again := "database", cfg.Arguments()
	if cfg.Store.Scheme == app.DynamoDB {
		what = "table"
	}
	fmt.Fprintf(p.stdout, "%s is ready: %s, master key, signing key\nnext: latchkey users add NAME%s, latchkey serve%s\n", cfg.Place(), what, again, again)
	if os.Getenv(envMasterKey) == "" && c.MasterKeyFile == "" {
		fmt.Fprintf(p.stdout, "back up %s apart from the %s: neither is of use without the other\n", app.MasterKeyFile(c.Data), what)
		if shared := cfg.Store.Scheme != "" && cfg.Store.Scheme != app.SQLite; shared {
			fmt.Fprintf(p.stdout, "every machine on this store needs that key: copy the file, or give it by %s\n", envMasterKey)
		}
	}
	return nil
}

type versionCmd struct {
	JSON bool `help:"Print JSON."`
}

func (c *versionCmd) Run(p *process) error {
	version, revision := buildVersion()
	if c.JSON {
		return printJSON(p.stdout, map[string]string{"version": version, "revision": revision, "go": runtime.Version(), "platform": runtime.GOOS + "/" + runtime.GOARCH})
	}
	_, err := fmt.Fprintln(p.stdout, versionLine())
	return err
}

func versionLine() string {
	version, _ := buildVersion()
	return fmt.Sprintf("latchkey %s %s %s/%s", version, runtime.Version(), runtime.GOOS, runtime.GOARCH)
}

// buildVersion is what the Go tool has written into the program.
func buildVersion() (version, revision string) {
	version = "unknown"
	if info, ok := debug.ReadBuildInfo(); ok {
		version = info.Main.Version
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				revision = s.Value
			}
		}
	}
	return version, revision
}

// printJSON writes a value for people and machines alike.
func printJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(v)
}
