package app

import (
	"context"
	"encoding/json"
	"log/slog"
	"maps"
	"net/http"
	"net/netip"
	"reflect"
	"time"

	"github.com/latchkey-auth/latchkey"
	"github.com/latchkey-auth/latchkey/internal/awslambda"
	"github.com/latchkey-auth/latchkey/internal/forwardauth"
	"github.com/latchkey-auth/latchkey/internal/gateway"
	"github.com/latchkey-auth/latchkey/internal/gateway/proxy"
	"github.com/latchkey-auth/latchkey/internal/issuers"
	"github.com/latchkey-auth/latchkey/internal/issuers/remote"
	"github.com/latchkey-auth/latchkey/internal/offline"
	"github.com/latchkey-auth/latchkey/internal/storage"
)

// OpenFunction opens the auth service as a function on Lambda, on a store for production
// that is created where it is missing. basePath comes before the service's own paths,
// where an event does not tell it.
func OpenFunction(ctx context.Context, cfg Config, basePath string) (gateway.Function, error) {
	if err := cfg.checkLambda(); err != nil {
		return nil, err
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
	f := authFunction(sys.mailAfterwards(h), proxy.Config{BasePath: basePath, TrustedProxies: cfg.TrustedProxies, Log: cfg.Log})
	return sys.scheduled(f), nil
}

// OpenMaintenance opens a function that does the background work of all others on the
// store, once for each event of a schedule, without reading it. It creates nothing.
func OpenMaintenance(ctx context.Context, cfg Config) (gateway.Function, error) {
	if err := cfg.checkLambda(); err != nil {
		return nil, err
	}
	sys, err := OpenSystem(ctx, cfg)
	if err != nil {
		return nil, err
	}
	return sys.maintenance, nil
}

// OpenSystem opens the service on a store for production, for its background work.
func OpenSystem(ctx context.Context, cfg Config) (*System, error) {
	cfg.Kind, cfg.Create = storage.ProductionStore, false
	s, err := Open(ctx, cfg)
	if err != nil {
		return nil, err
	}
	sys, err := s.Build("")
	if err != nil {
		s.Close()
		return nil, err
	}
	return sys, nil
}

// checkLambda refuses a master key of which each execution environment would have its own.
func (c Config) checkLambda() error {
	if c.address().Scheme != SQLite && c.ownMasterKey() {
		return settingsErrorf("LATCHKEY_MASTER_KEY is not set: what is in %s is sealed under the master key, and one that this function made would be gone with its execution environment", c.Place())
	}
	return nil
}

// scheduled has a function do background work when a schedule of EventBridge calls it: on
// Lambda nothing runs between invocations.
func (s *System) scheduled(next gateway.Function) gateway.Function {
	return func(ctx context.Context, event []byte) ([]byte, error) {
		var e struct {
			DetailType string `json:"detail-type"`
		}
		if json.Unmarshal(event, &e) != nil || e.DetailType != "Scheduled Event" {
			return next(ctx, event)
		}
		return s.maintenance(ctx, event)
	}
}

// maintenance is background work as a function. It ends a moment before its time does: what
// is cut off in the middle is done again.
func (s *System) maintenance(ctx context.Context, _ []byte) ([]byte, error) {
	if end, ok := ctx.Deadline(); ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, end.Add(-2*time.Second))
		defer cancel()
	}
	return []byte("null"), s.Maintain(ctx)
}

// mailHold is how long an invocation goes on, at least, whose answer says that a mail may
// follow: as long whether one does or not. While it goes on, Lambda hands further requests
// to other environments, and by that a client could tell.
const mailHold = time.Second

// mailAfterwards has mail tried in the invocation that has queued it, and what was counted
// of refusals recorded. The client has its answer by then, so that it does not wait for the
// mail, nor tells by its time whether there is one.
func (s *System) mailAfterwards(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		noted := &statusNoter{ResponseWriter: w}
		next.ServeHTTP(noted, r)
		awslambda.After(r.Context(), func(ctx context.Context) {
			hold := time.After(mailHold)
			s.recordRefusals(ctx, false)
			select {
			case <-s.Service.MailQueued():
				s.DeliverNow(ctx)
			default:
			}
			if noted.status == http.StatusAccepted {
				select {
				case <-hold:
				case <-ctx.Done():
				}
			}
		})
	})
}

// A statusNoter notes the status of an answer.
type statusNoter struct {
	http.ResponseWriter
	status int
}

func (w *statusNoter) WriteHeader(status int) {
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}

// Unwrap is for http.ResponseController.
func (w *statusNoter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

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
	authorizer, err := s.authorizer(table, s.cfg.OtherIssuers, log)
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
	auth := s.scheduled(authFunction(service, proxy.Config{}))
	functions["auth"], functions["login"] = auth, auth
	functions["authorizer"] = authorizer
	return functions, nil
}

func (s *System) authorizer(table *gateway.Table, others []issuers.Issuer, log *slog.Logger) (gateway.Function, error) {
	a, err := s.newAuthorizer(table, others, log)
	if err != nil {
		return nil, err
	}
	return a.Handle, nil
}

func (s *System) newAuthorizer(table *gateway.Table, others []issuers.Issuer, log *slog.Logger) (*gateway.Authorizer, error) {
	verifier, err := s.verifierBeside(others)
	if err != nil {
		return nil, err
	}
	return gateway.NewAuthorizer(gateway.AuthorizerConfig{Verifier: verifier, Table: table, Issuers: issuers.Names(others, true), Log: log, Revocations: s.Revocations, EventConfig: s.cfg.Events})
}

// verifierBeside takes tokens of other issuers beside those of the service, which never
// takes them itself. Key sets that were fetched are kept until the issuers change.
func (s *System) verifierBeside(others []issuers.Issuer) (*latchkey.Verifier, error) {
	if len(others) == 0 {
		return s.Verifier, nil
	}
	if s.beside != nil && reflect.DeepEqual(s.others, others) {
		return s.beside, nil
	}
	verified, err := issuers.Verified(others, remote.Keys(s.cfg.Log, false))
	if err != nil {
		return nil, err
	}
	verifier, err := s.verifier(verified)
	if err != nil {
		return nil, err
	}
	s.beside, s.others = verifier, others
	return verifier, nil
}

// ForwardAuth has proxies ask the service about requests, beside what it answers itself.
func (s *System) ForwardAuth(proxy forwardauth.Proxy, peers []netip.Prefix, table *gateway.Table, next http.Handler) (http.Handler, error) {
	a, err := s.newAuthorizer(table, s.cfg.OtherIssuers, s.cfg.Log)
	if err != nil {
		return nil, err
	}
	return forwardauth.New(forwardauth.Config{Authorizer: a, Proxy: proxy, Claims: s.cfg.Events.Claims, Peers: peers, Log: s.cfg.Log}, next)
}

// Reroute is the configuration of the local gateway with another table, other
// issuers and other responses. Everything else stays.
func (s *System) Reroute(cfg offline.Config, table *gateway.Table, others []issuers.Issuer, responses map[gateway.ResponseType]gateway.Response, log *slog.Logger) (offline.Config, error) {
	authorizer, err := s.authorizer(table, others, log)
	if err != nil {
		return cfg, err
	}
	cfg.Table, cfg.Authorizer, cfg.Responses = table, authorizer, responses
	cfg.Functions = maps.Clone(cfg.Functions)
	cfg.Functions["authorizer"] = authorizer
	return cfg, nil
}
