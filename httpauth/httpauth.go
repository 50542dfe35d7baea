// Package httpauth guards net/http handlers with access tokens that
// [latchkey.Verifier] verifies.
//
//	guarded := httpauth.Require(verifier)(mux)
//
// A token is taken from exactly one Authorization header and from nowhere else:
// not from the query, a cookie or the body.
package httpauth

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"

	"github.com/latchkey-auth/latchkey"
	"github.com/latchkey-auth/latchkey/internal/bearer"
)

// ErrNoToken: the request has no Authorization header, more than one, or one
// that is not a bearer token.
var ErrNoToken = errors.New("no bearer token")

// ErrScope: the token is good but lacks a scope.
var ErrScope = errors.New("token lacks a scope")

// BearerToken returns the token of the one Authorization header (RFC 6750
// section 2.1), or [ErrNoToken]. Two headers are refused: programs differ in
// which of them they read.
func BearerToken(r *http.Request) (string, error) {
	values := r.Header.Values("Authorization")
	if len(values) != 1 {
		return "", ErrNoToken
	}
	token, ok := bearer.Token(values[0])
	if !ok {
		return "", ErrNoToken
	}
	return token, nil
}

type claimsKey struct{}

// ClaimsFrom returns the claims of the request's token, which [Require] has put
// there.
func ClaimsFrom(ctx context.Context) (latchkey.Claims, bool) {
	c, ok := ctx.Value(claimsKey{}).(latchkey.Claims)
	return c, ok
}

// An Option changes what Require does.
type Option func(*guard)

// WithErrorHandler answers refused requests in place of [Answer]. The error
// matches [ErrNoToken], [latchkey.ErrInvalidToken], [ErrScope], or none of
// them, and is then an outage of the key set or of the revocations.
func WithErrorHandler(answer func(http.ResponseWriter, *http.Request, error)) Option {
	return func(g *guard) { g.answer = answer }
}

// WithScopes asks for all of the scopes.
func WithScopes(scopes ...string) Option {
	return func(g *guard) { g.scopes = append(g.scopes, scopes...) }
}

// WithLogger logs each refused request, with its method, path and the reason, at
// level info, and an outage of the key set at level error. Neither the token nor
// the query is logged. Without it nothing is: answers never say why.
func WithLogger(log *slog.Logger) Option {
	return func(g *guard) { g.log = log }
}

// WithPreflights lets CORS preflights pass without a token and without claims: a
// browser sends none with them (Fetch standard, "CORS-preflight fetch"). A
// preflight is OPTIONS with Origin and Access-Control-Request-Method, and without
// Authorization.
//
// Anybody can send one, so the handler behind must do nothing for OPTIONS but
// answer it. A CORS middleware in front of [Require] is better: it answers
// preflights before they come here, and lets browsers read refusals too. Use this
// where it can stand behind only.
func WithPreflights() Option {
	return func(g *guard) { g.preflights = true }
}

func isPreflight(r *http.Request) bool {
	_, token := r.Header["Authorization"]
	return r.Method == http.MethodOptions && r.Header.Get("Origin") != "" && r.Header.Get("Access-Control-Request-Method") != "" && !token
}

// A Verifier verifies tokens; [latchkey.Verifier] is one. An error that does not
// match [latchkey.ErrInvalidToken] is an outage.
type Verifier interface {
	Verify(ctx context.Context, token string) (latchkey.Claims, error)
}

// Revocations know which tokens have ended before they expire; a
// [github.com/latchkey-auth/latchkey/revocation.Follower] is one. Check returns an error
// that matches [latchkey.ErrInvalidToken] for one that has, and another one when it
// cannot be told.
type Revocations interface {
	Check(ctx context.Context, c latchkey.Claims) error
}

// WithRevocations refuses tokens that have ended before they expire. When it cannot be
// told whether a token has ended, the request is refused as in an outage.
func WithRevocations(r Revocations) Option {
	if r == nil {
		panic("httpauth: WithRevocations needs revocations")
	}
	return func(g *guard) { g.revocations = r }
}

type guard struct {
	verifier Verifier
	// revocations end tokens before they expire; nil: nothing does.
	revocations Revocations
	scopes      []string
	log         *slog.Logger // nil: nothing is logged
	// preflights pass without a token.
	preflights bool
	answer     func(http.ResponseWriter, *http.Request, error)
}

// Require lets requests pass that carry a good token. The handler behind it
// finds the claims by [ClaimsFrom].
func Require(v Verifier, options ...Option) func(http.Handler) http.Handler {
	if own, ok := v.(*latchkey.Verifier); v == nil || ok && own == nil {
		panic("httpauth: Require needs a verifier") // now, and not at every request
	}
	g := &guard{verifier: v}
	for _, o := range options {
		o(g)
	}
	if g.answer == nil {
		g.answer = func(w http.ResponseWriter, _ *http.Request, err error) { Answer(w, err, g.scopes...) }
	}
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if g.preflights && isPreflight(r) {
				next.ServeHTTP(w, r)
				return
			}
			claims, err := g.check(r)
			if err != nil {
				g.report(r, err)
				g.answer(w, r, err)
				return
			}
			next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), claimsKey{}, claims)))
		})
	}
}

func (g *guard) check(r *http.Request) (latchkey.Claims, error) {
	token, err := BearerToken(r)
	if err != nil {
		return latchkey.Claims{}, err
	}
	claims, err := g.verifier.Verify(r.Context(), token)
	if err != nil {
		return latchkey.Claims{}, err
	}
	if g.revocations != nil {
		if err := g.revocations.Check(r.Context(), claims); err != nil {
			return latchkey.Claims{}, err
		}
	}
	for _, s := range g.scopes {
		if !claims.HasScope(s) {
			return latchkey.Claims{}, fmt.Errorf("%w: %s", ErrScope, s)
		}
	}
	return claims, nil
}

// maxPath bounds what of a stranger's path is logged.
const maxPath = 256

func (g *guard) report(r *http.Request, err error) {
	if g.log == nil {
		return
	}
	level, msg := slog.LevelInfo, "request refused"
	if !errors.Is(err, ErrNoToken) && !errors.Is(err, latchkey.ErrInvalidToken) && !errors.Is(err, ErrScope) {
		level, msg = slog.LevelError, "token could not be checked"
	}
	path := r.URL.Path
	path = path[:min(len(path), maxPath)]
	g.log.LogAttrs(r.Context(), level, msg, slog.String("method", r.Method), slog.String("path", path), slog.String("reason", err.Error()))
}

// The bodies of refusals, one for all causes of each status.
const (
	bodyUnauthorized = `{"statusCode":401,"error":"Unauthorized","message":"Unauthorized"}`
	bodyForbidden    = `{"statusCode":403,"error":"Forbidden","message":"Forbidden"}`
	bodyUnavailable  = `{"statusCode":503,"error":"Service Unavailable","message":"Try again in a few seconds"}`
)

// Answer sends 401, 403 or 503 for an error of [Require], with the challenge of
// RFC 6750 section 3. An outage is 503: a client that got 401 would throw its
// good token away.
func Answer(w http.ResponseWriter, err error, scopes ...string) {
	status, body, challenge := http.StatusServiceUnavailable, bodyUnavailable, ""
	switch {
	case errors.Is(err, ErrNoToken):
		status, body, challenge = http.StatusUnauthorized, bodyUnauthorized, "Bearer"
	case errors.Is(err, latchkey.ErrInvalidToken):
		status, body, challenge = http.StatusUnauthorized, bodyUnauthorized, `Bearer error="invalid_token"`
	case errors.Is(err, ErrScope):
		status, body = http.StatusForbidden, bodyForbidden
		challenge = fmt.Sprintf(`Bearer error="insufficient_scope", scope="%s"`, strings.Join(scopes, " "))
	default:
		w.Header().Set("Retry-After", "5")
	}
	if challenge != "" {
		w.Header().Set("WWW-Authenticate", challenge)
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	fmt.Fprintln(w, body)
}
