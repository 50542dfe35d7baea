// Package web is the auth service over HTTP: a plain [http.Handler] that a
// server, a Lambda function or a test can own. Handlers decode, call one method
// of the domain and encode; the rules are in internal/auth, the status of every
// error is in problem.go.
package web

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"path"
	"sync"

	"github.com/latchkey-auth/latchkey"
	"github.com/latchkey-auth/latchkey/internal/auth"
	"github.com/latchkey-auth/latchkey/internal/cors"
)

// Config is what the handler needs.
type Config struct {
	Service  *auth.Service                    // required
	Verifier *latchkey.Verifier               // required: checks bearer tokens
	JWKS     func(ctx context.Context) []byte // required: the published key set

	// RevocationKey is what authorizers read with what has ended; empty: nobody can.
	RevocationKey string
	// ServiceName stands on the pages that links in mail open.
	ServiceName string
	// AppURL is where the pages lead on to when all is done; empty: nowhere.
	AppURL string
	// JWKSMaxAge is how long caches may keep the key set, in seconds.
	JWKSMaxAge int
	// CORSOrigins may read answers from a browser. Empty: no other origin may.
	CORSOrigins []string
	// CORSHeaders are what their pages may send beside the usual headers.
	CORSHeaders []string
	// TrustedProxies is how many proxies stand before this server. The client's
	// address is then that many places from the right of X-Forwarded-For; where no
	// address stands there it is unknown. 0: the header is ignored.
	TrustedProxies int
	// Listens: requests come over connections, not as events of a gateway, whose
	// X-Forwarded-For is as it should be. One that arrives while TrustedProxies is 0
	// is then warned of.
	Listens bool
	// RequestID names the request, where a gateway has named it already; nil or
	// an empty answer: a new name.
	RequestID func(context.Context) string

	Log *slog.Logger // nil: nothing is logged
	// AccessLog gets a line per request; nil: none.
	AccessLog *slog.Logger
}

// A route is a pattern of the mux and the handler that answers it.
type route struct {
	pattern string
	handle  func(http.ResponseWriter, *http.Request) error
}

// routes are all routes of the service, once. The mux, Routes, and by them the route
// table of the local gateway and the tests of the OpenAPI document and docs/api.md
// are made from this list.
func (h *handler) routes() []route {
	return []route{
		{"POST /register", h.register},
		{"POST /email/verify", h.verifyEmail},
		{"POST /email/verify/resend", h.resendVerification},
		{"POST /login", h.login},
		{"POST /token/refresh", h.refresh},
		{"POST /logout", h.logout},
		{"POST /password/forgot", h.forgotPassword},
		{"POST /password/reset", h.resetPassword},
		{"POST /password/change", h.changePassword},
		{"POST /email/change", h.changeEmail},
		{"GET /me", h.me},
		{"PATCH /me", h.patchMe},
		{"DELETE /me", h.deleteMe},
		{"GET /me/sessions", h.sessions},
		{"DELETE /me/sessions/{id}", h.endSession},
		{"GET /verify", h.showPage(verifyPage)},
		{"POST /verify", h.submitVerify()},
		{"GET /reset", h.showPage(resetPage)},
		{"POST /reset", h.submit(resetPage, h.Service.ResetPassword)},
		{"GET /accept", h.showPage(acceptPage)},
		{"POST /accept", h.submit(acceptPage, h.Service.ResetPassword)},
		{"GET /revocations", h.revocations},
		{"GET /revocations/lookup", h.lookUpToken},
		{"GET /.well-known/jwks.json", h.jwks},
		{"GET /.well-known/openid-configuration", h.discover},
		{"GET /.well-known/oauth-authorization-server", h.discover},
		{"GET /openapi.json", h.openAPI},
		{"GET /livez", h.livez},
		{"GET /readyz", h.readyz},
	}
}

// Routes are the patterns of all routes, in the form of the route table. They are
// public to a gateway: those that need a token check it themselves.
var Routes = patterns(new(handler).routes())

func patterns(routes []route) []string {
	all := make([]string, len(routes))
	for i, r := range routes {
		all[i] = r.pattern
	}
	return all
}

// oneSpelling keeps the mux from redirecting other spellings of a path ("//me")
// to its own: a redirect repeats what stands in the URL.
func oneSpelling(mux, notFound http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		clean := path.Clean(r.URL.Path)
		// RawPath is set when something is encoded that need not be. "*", of OPTIONS
		// (RFC 9112 section 3.2.4), is no path; the mux would answer it by itself.
		if r.URL.RawPath != "" || clean[0] != '/' || r.URL.Path != clean && (clean == "/" || r.URL.Path != clean+"/") {
			r.URL.Path, r.URL.RawPath = "/", ""
			notFound.ServeHTTP(w, r)
			return
		}
		mux.ServeHTTP(w, r)
	})
}

type handler struct {
	Config
	ready     readiness
	noAddress sync.Once // logs the first client without one
	forwarded sync.Once // logs the first X-Forwarded-For that is ignored
	origin    string    // of the public URL
	document  []byte    // OpenAPI
}

// New returns the handler.
func New(cfg Config) (http.Handler, error) {
	switch {
	case cfg.Service == nil || cfg.Verifier == nil || cfg.JWKS == nil:
		return nil, errors.New("service, verifier and JWKS must be set")
	case cfg.TrustedProxies < 0:
		return nil, fmt.Errorf("trusted proxies %d: must be 0 or more", cfg.TrustedProxies)
	case cfg.JWKSMaxAge < 0:
		return nil, fmt.Errorf("JWKS max-age %d: must be 0 or more", cfg.JWKSMaxAge)
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	policy, err := cors.New(cfg.CORSOrigins, cfg.CORSHeaders)
	if err != nil {
		return nil, err
	}
	prefix := prefixOf(cfg.Service.PublicURL)
	document, err := openAPIBelow(prefix)
	if err != nil {
		return nil, err
	}
	h := &handler{Config: cfg, origin: originOf(cfg.Service.PublicURL), document: document}
	mux := http.NewServeMux()
	for _, r := range h.routes() {
		mux.Handle(r.pattern, h.answer(r.handle))
	}
	mux.Handle("/", h.answer(noRoute(mux)))
	return h.frame(withCORS(policy, belowPrefix(prefix, mux, oneSpelling(mux, h.answer(noRoute(mux)))))), nil
}
