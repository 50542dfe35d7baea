package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"

	"github.com/latchkey-auth/latchkey/internal/app"
	"github.com/latchkey-auth/latchkey/internal/awslambda"
	"github.com/latchkey-auth/latchkey/internal/storage"
)

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
