package app

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"maps"
	"net/http"
	"net/netip"

	"github.com/latchkey-auth/latchkey/internal/auth"
	"github.com/latchkey-auth/latchkey/internal/forwardauth"
	"github.com/latchkey-auth/latchkey/internal/gateway"
	"github.com/latchkey-auth/latchkey/internal/gateway/proxy"
	"github.com/latchkey-auth/latchkey/internal/offline"
)

// OpenFunction opens the auth service as a function on Lambda, on a store for production
// that is created where it is missing. basePath comes before the service's own paths,
// where an event does not tell it.
func OpenFunction(ctx context.Context, cfg Config, basePath string) (gateway.Function, error) {
	if cfg.address().Scheme != SQLite && cfg.ownMasterKey() {
		return nil, settingsErrorf("LATCHKEY_MASTER_KEY is not set: what is in %s is sealed under the master key, and one that this function made would be gone with its execution environment", cfg.Place())
	}
	s, err := Init(ctx, cfg)
	if err != nil {
		return nil, err
	}
	sys, err := s.Build("")
	if err != nil {
		return nil, err
	}
	if err := s.RefuseDemoUser(ctx, sys.Service); err != nil {
		return nil, err
	}
	h, err := sys.eventHandler(cfg.Log)
	if err != nil {
		return nil, err
	}
	f := authFunction(h, proxy.Config{BasePath: basePath, TrustedProxies: cfg.TrustedProxies, Log: cfg.Log})
	return scheduled(sys.Service, f), nil
}

// scheduled has a function record refusals, purge and deliver mail when a schedule of
// EventBridge calls it: on Lambda nothing runs between invocations.
func scheduled(s *auth.Service, next gateway.Function) gateway.Function {
	return func(ctx context.Context, event []byte) ([]byte, error) {
		var e struct {
			DetailType string `json:"detail-type"`
		}
		if json.Unmarshal(event, &e) != nil || e.DetailType != "Scheduled Event" {
			return next(ctx, event)
		}
		err := errors.Join(s.RecordRepeats(ctx, true), s.Purge(ctx))
		if s.Mailer != nil {
			err = errors.Join(err, s.Deliver(ctx))
		}
		return []byte("null"), err
	}
}

// loginDefault is what an event without method and path asks for: the old
// system's mocks hold a body and nothing else.
var loginDefault = proxy.Default{Method: "POST", Path: "/login"}

// authFunction is the service as a Lambda function.
func authFunction(h http.Handler, cfg proxy.Config) gateway.Function {
	cfg.Default = loginDefault
	return proxy.Handler(h, cfg)
}

// Functions are the system's Lambda functions behind the local gateway, by their
// names. The log is for why tokens are refused; nil writes nothing.
func (s *System) Functions(table *gateway.Table, log *slog.Logger) (map[string]gateway.Function, error) {
	authorizer, err := s.authorizer(table, log)
	if err != nil {
		return nil, err
	}
	// No line for a request, which is the gateway's, and no proxies: the gateway tells
	// the client's address.
	service, err := s.eventHandler(nil)
	if err != nil {
		return nil, err
	}
	functions := DemoEndpoints()
	functions["auth"], functions["login"] = authFunction(service, proxy.Config{}), authFunction(service, proxy.Config{})
	functions["authorizer"] = authorizer
	return functions, nil
}

func (s *System) authorizer(table *gateway.Table, log *slog.Logger) (gateway.Function, error) {
	a, err := s.newAuthorizer(table, log)
	if err != nil {
		return nil, err
	}
	return a.Handle, nil
}

func (s *System) newAuthorizer(table *gateway.Table, log *slog.Logger) (*gateway.Authorizer, error) {
	return gateway.NewAuthorizer(gateway.AuthorizerConfig{Verifier: s.Verifier, Table: table, Log: log, Revocations: s.Revocations, EventConfig: s.cfg.Events})
}

// ForwardAuth has proxies ask the service about requests, beside what it answers itself.
func (s *System) ForwardAuth(proxy forwardauth.Proxy, peers []netip.Prefix, table *gateway.Table, next http.Handler) (http.Handler, error) {
	a, err := s.newAuthorizer(table, s.cfg.Log)
	if err != nil {
		return nil, err
	}
	return forwardauth.New(forwardauth.Config{Authorizer: a, Proxy: proxy, Peers: peers, Log: s.cfg.Log}, next)
}

// Reroute is the configuration of the local gateway with another table and other
// responses. Everything else stays.
func (s *System) Reroute(cfg offline.Config, table *gateway.Table, responses map[gateway.ResponseType]gateway.Response, log *slog.Logger) (offline.Config, error) {
	authorizer, err := s.authorizer(table, log)
	if err != nil {
		return cfg, err
	}
	cfg.Table, cfg.Authorizer, cfg.Responses = table, authorizer, responses
	cfg.Functions = maps.Clone(cfg.Functions)
	cfg.Functions["authorizer"] = authorizer
	return cfg, nil
}
