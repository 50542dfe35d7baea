package auth

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Lifetimes that apply unless the configuration says otherwise.
const (
	DefaultAccessTokenTTL = 15 * time.Minute
	// LegacyAccessTokenTTL is what tokens of the HS256 compatibility mode live.
	LegacyAccessTokenTTL = 14 * 24 * time.Hour
	// SessionLifetime is how long a session's refresh token is good for.
	SessionLifetime = 90 * 24 * time.Hour
	// SessionIdle ends a session that is not refreshed for so long.
	SessionIdle = 30 * 24 * time.Hour
	// RefreshGrace is how long a refresh token that was just spent gives the
	// same successor again: for a second tab, or an answer that got lost.
	RefreshGrace = 10 * time.Second
	// EventRetention is how long the audit trail is kept.
	EventRetention = 90 * 24 * time.Hour
)

// ClientID is the "client_id" of tokens that users get by logging in here
// directly (RFC 9068 section 2.2 requires one).
const ClientID = "latchkey"

// Config is what a Service needs.
type Config struct {
	Store  Store   // required
	Signer Signer  // required
	Hasher *Hasher // required
	// RefreshKey derives each refresh token from the one before: 32 bytes, the
	// same in all processes that share the store, and secret.
	RefreshKey []byte

	// Limits slow down guessing; nil: nothing does.
	Limits *Limits

	// Issuer and Audience go into every token; required unless Legacy.
	Issuer, Audience string
	// Legacy mints tokens in the form of the system this one descends from:
	// typ JWT, the user as an object, neither iss nor aud.
	Legacy bool
	// AccessTokenTTL is how long an access token lives; 0 is
	// DefaultAccessTokenTTL, or LegacyAccessTokenTTL with Legacy.
	AccessTokenTTL time.Duration

	Now func() time.Time // nil: time.Now
}

// Service holds the rules. Its methods may be called concurrently.
type Service struct {
	Config
	trying trying
}

// New checks the configuration and returns a Service.
func New(cfg Config) (*Service, error) {
	switch {
	case cfg.Store == nil || cfg.Signer == nil || cfg.Hasher == nil:
		return nil, errors.New("store, signer and hasher must be set")
	case len(cfg.RefreshKey) != 32:
		return nil, errors.New("refresh key must have 32 bytes")
	case !cfg.Legacy && (cfg.Issuer == "" || cfg.Audience == ""):
		return nil, errors.New("issuer and audience must be set")
	case cfg.AccessTokenTTL < 0 || cfg.AccessTokenTTL > SessionLifetime:
		return nil, fmt.Errorf("access token TTL %v: must be between 1s and %v", cfg.AccessTokenTTL, SessionLifetime)
	case cfg.AccessTokenTTL%time.Second != 0:
		return nil, fmt.Errorf("access token TTL %v: must be whole seconds", cfg.AccessTokenTTL)
	}
	if cfg.AccessTokenTTL == 0 {
		cfg.AccessTokenTTL = DefaultAccessTokenTTL
		if cfg.Legacy {
			cfg.AccessTokenTTL = LegacyAccessTokenTTL
		}
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	return &Service{Config: cfg}, nil
}

// Ready says whether logins can succeed now.
func (s *Service) Ready(ctx context.Context) error { return s.Store.Ping(ctx) }

// Purge deletes what has outlived its use.
func (s *Service) Purge(ctx context.Context) error {
	now := s.Now()
	return s.Store.Purge(ctx, now, now.Add(-EventRetention))
}
