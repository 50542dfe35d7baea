package app

import (
	"cmp"
	"context"
	"log/slog"
	"net/http"
	"runtime"
	"time"

	"github.com/latchkey-auth/latchkey"
	"github.com/latchkey-auth/latchkey/internal/attempt"
	"github.com/latchkey-auth/latchkey/internal/auth"
	"github.com/latchkey-auth/latchkey/internal/awslambda"
	"github.com/latchkey-auth/latchkey/internal/gateway/proxy"
	"github.com/latchkey-auth/latchkey/internal/issuers"
	"github.com/latchkey-auth/latchkey/internal/keyring"
	"github.com/latchkey-auth/latchkey/internal/mailer"
	"github.com/latchkey-auth/latchkey/internal/password"
	"github.com/latchkey-auth/latchkey/internal/password/passhash"
	"github.com/latchkey-auth/latchkey/internal/storage"
	"github.com/latchkey-auth/latchkey/internal/weaksecret"
	"github.com/latchkey-auth/latchkey/internal/web"
	"github.com/latchkey-auth/latchkey/revocation"
)

// System is the auth service, wired.
type System struct {
	*Storage
	Service  *auth.Service
	Verifier *latchkey.Verifier
	Inbox    *mailer.Inbox // nil: mail is sent, or there is none
	// Revocations know which tokens of the service have ended.
	Revocations *revocation.Follower

	jwks  func(context.Context) []byte
	mails *mailLog

	verifier func(others []latchkey.Issuer) (*latchkey.Verifier, error)
	beside   *latchkey.Verifier // of the others; nil: none was made yet. Functions and Reroute are not called at once.
	others   []issuers.Issuer
}

// NewHasher returns a hasher that may use every core.
func NewHasher(cost passhash.Argon2) (*password.Hasher, error) {
	return password.NewHasher(cost, runtime.GOMAXPROCS(0))
}

// serviceConfig is what a service on the storage has in any case.
func (s *Storage) serviceConfig(hasher *password.Hasher) auth.Config {
	return auth.Config{
		Store: s.Store, Counters: s.Store, Signer: s.Keyring, Hasher: hasher,
		RefreshKey: s.master.RefreshKey(), TicketKey: s.master.TicketKey(), MailKey: s.master.MailKey(),
	}
}

// Accounts is a service for commands, which issue no tokens. Options say more about
// it.
func (s *Storage) Accounts(options ...func(*auth.Config) error) (*auth.Service, error) {
	hasher, err := NewHasher(passhash.DefaultArgon2) // unless an option says otherwise
	if err != nil {
		return nil, err
	}
	cfg := s.serviceConfig(hasher)
	cfg.Legacy = true // the issuer is of no consequence
	for _, o := range options {
		if err := o(&cfg); err != nil {
			return nil, err
		}
	}
	return auth.New(cfg)
}

// Build wires the service. base is the public URL where none is configured.
func (s *Storage) Build(base string) (*System, error) {
	c := s.cfg
	if err := c.checkRevocationKey(); err != nil {
		return nil, err
	}
	hasher, err := NewHasher(cmp.Or(c.Argon2, passhash.DefaultArgon2))
	if err != nil {
		return nil, err
	}
	public := cmp.Or(c.PublicURL, base)
	issuer := cmp.Or(c.Issuer, public)
	audience := cmp.Or(c.Audience, issuer)
	cfg := s.serviceConfig(hasher)
	cfg.Issuer, cfg.Audience, cfg.AccessTokenTTL, cfg.PublicURL = issuer, audience, c.AccessTokenTTL, public
	cfg.Roles, cfg.TokenClaims, cfg.TokenUsername = c.Roles, c.TokenClaims, c.TokenUsername
	if c.NoLimits {
		c.Log.Warn("limits are off: passwords can be guessed as fast as they can be hashed")
	} else {
		cfg.Limits = &attempt.DefaultLimits
	}
	sys := &System{Storage: s, jwks: s.Keyring.JWKS, mails: newMailLog(c.Log, time.Now)}
	if sys.Inbox, err = c.accounts(&cfg); err != nil {
		return nil, err
	}
	if c.compatible() {
		cfg.Legacy, cfg.Signer = true, keyring.Secret(c.TokenSecret)
		cfg.Issuer, cfg.Audience = c.Issuer, c.Audience
		sys.jwks = func(context.Context) []byte { return []byte(`{"keys":[]}`) }
		sys.verifier = c.secretVerifier
	} else {
		sys.verifier = func(others []latchkey.Issuer) (*latchkey.Verifier, error) {
			return c.keyVerifier(s.Keyring, issuer, audience, others)
		}
	}
	if sys.Verifier, err = sys.verifier(nil); err != nil {
		return nil, err
	}
	if sys.Service, err = auth.New(cfg); err != nil {
		return nil, err
	}
	c.Revocations.Source, c.Revocations.Log = sys.Service, c.Log
	sys.Revocations, err = revocation.New(c.Revocations)
	return sys, err
}

// keyVerifier is for tokens of the keys, and while a system moves to them for those
// of its old secret too.
func (c Config) keyVerifier(keys latchkey.KeySet, issuer, audience string, others []latchkey.Issuer) (*latchkey.Verifier, error) {
	cfg := latchkey.Config{Keys: keys, Issuer: issuer, Audience: audience, Issuers: others}
	if c.TokenSecret != "" {
		var err error
		if cfg.OldKeys, err = c.secretKeys(); err != nil {
			return nil, err
		}
		cfg.OldUntil = c.TokenSecretUntil
		if now := time.Now(); !now.Before(cfg.OldUntil) {
			c.Log.Warn("TOKEN_SECRET_ACCEPT_UNTIL has passed: no token of TOKEN_SECRET is accepted; unset both", slog.Time("until", cfg.OldUntil))
		}
	}
	return latchkey.New(cfg)
}

func (c Config) secretVerifier(others []latchkey.Issuer) (*latchkey.Verifier, error) {
	keys, err := c.secretKeys()
	if err != nil {
		return nil, err
	}
	return latchkey.New(latchkey.Config{Keys: keys, Issuer: c.Issuer, Audience: c.Audience, Legacy: true, Issuers: others})
}

// secretKeys are for TokenSecret. A weak one is taken where this machine alone can
// reach the service.
func (c Config) secretKeys() (latchkey.KeySet, error) {
	reason := weaksecret.Check(string(c.TokenSecret))
	if reason == nil || c.Kind != storage.LocalStore {
		return awslambda.SecretKeys(string(c.TokenSecret))
	}
	c.Log.Warn("TOKEN_SECRET is weak; serve and Lambda refuse it", slog.String("reason", reason.Error()))
	key, err := latchkey.NewInsecureHMACKey("", []byte(c.TokenSecret))
	if err != nil {
		return nil, err
	}
	return latchkey.NewKeySet(key)
}

// Handler is the service for connections of its own, with a line in the log for each
// request.
func (s *System) Handler() (http.Handler, error) {
	cfg := s.webConfig(s.cfg.Log)
	cfg.Listens = true
	return web.New(cfg)
}

// eventHandler is the service for events of a gateway.
func (s *System) eventHandler(access *slog.Logger) (http.Handler, error) {
	return web.New(s.webConfig(access))
}

func (s *System) webConfig(access *slog.Logger) web.Config {
	return web.Config{
		Service: s.Service, Verifier: s.Verifier, JWKS: s.jwks, RevocationKey: string(s.cfg.RevocationKey), ServiceName: s.cfg.serviceName(s.Service.PublicURL), AppURL: s.cfg.AppURL, JWKSMaxAge: int(keyring.JWKSMaxAge / time.Second),
		CORSOrigins: s.cfg.CORSOrigins, CORSHeaders: s.cfg.CORSHeaders, TrustedProxies: s.cfg.TrustedProxies, RequestID: proxy.RequestID, Log: s.cfg.Log, AccessLog: access,
	}
}
