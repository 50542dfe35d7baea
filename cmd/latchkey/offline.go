package main

import (
	"context"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/latchkey-auth/latchkey/internal/app"
	"github.com/latchkey-auth/latchkey/internal/awslambda"
	"github.com/latchkey-auth/latchkey/internal/gateway"
	"github.com/latchkey-auth/latchkey/internal/offline"
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

// authorizerLog is for why a token was refused. Except for debugging each request has
// one line, the gateway's.
func (p *process) authorizerLog(log *slog.Logger) *slog.Logger {
	if p.level != "debug" {
		return nil
	}
	return log
}
