package auth

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/latchkey-auth/latchkey/internal/password"
)

// Lifetimes that apply unless the configuration says otherwise.
const (
	DefaultAccessTokenTTL = 15 * time.Minute
	// LegacyAccessTokenTTL is what tokens of the HS256 compatibility mode live.
	LegacyAccessTokenTTL = 14 * 24 * time.Hour
	// DefaultSessionLifetime is how long a session's refresh token is good for.
	DefaultSessionLifetime = 90 * 24 * time.Hour
	// DefaultSessionIdle ends a session that is not refreshed for so long.
	DefaultSessionIdle = 30 * 24 * time.Hour
	// RefreshGrace is how long a refresh token that was just spent gives the
	// same successor again: for a second tab, or an answer that got lost.
	RefreshGrace = 10 * time.Second
	// DefaultEventRetention is how long the audit trail is kept.
	DefaultEventRetention = 90 * 24 * time.Hour
	// expiredKept is how long what has expired stays before it is purged.
	expiredKept = 24 * time.Hour
	// hitRetention is above what it takes to forget all that a count can hold.
	hitRetention = 7 * 24 * time.Hour
)

// ClientID is the "client_id" of tokens that users get by logging in here
// directly (RFC 9068 section 2.2 requires one).
const ClientID = "latchkey"

// Config is what a Service needs.
type Config struct {
	Store  Store            // required
	Signer Signer           // required
	Hasher *password.Hasher // required
	// RefreshKey derives each refresh token from the one before: 32 bytes, the
	// same in all processes that share the store, and secret.
	RefreshKey []byte
	// TicketKey is for the MACs of codes, MailKey seals queued mail: 32 bytes each,
	// shared and secret like RefreshKey.
	TicketKey, MailKey []byte

	// Registration says who may create an account; empty: nobody.
	Registration Registration
	// VerifyEmail lets nobody in before the address is proved. Where anybody can
	// register, it needs SendsMail.
	VerifyEmail bool
	// SendsMail: mail is queued, and some process calls Deliver.
	SendsMail bool
	// Mailer delivers what is queued; nil: this process does not.
	Mailer Mailer
	// PublicURL is what links in mail begin with; required with SendsMail.
	PublicURL string
	// Passwords are the rules for new passwords.
	Passwords password.Rules

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
	// SessionIdle and SessionLifetime bound sessions; 0 is the default.
	SessionIdle, SessionLifetime time.Duration
	// EventRetention is how long the audit trail is kept; 0 is the default.
	EventRetention time.Duration

	Now func() time.Time // nil: time.Now
}

// Service holds the rules. Its methods may be called concurrently.
type Service struct {
	Config
	trying  trying
	turns   turns
	repeats repeats
	outages *outages
	mail    chan struct{} // has one when there may be mail to deliver
	// delivering makes Deliver wait for what another call of it has begun, and guards
	// the back-off.
	delivering sync.Mutex
	backOff    backOff
}

// New checks the configuration and returns a Service.
func New(cfg Config) (*Service, error) {
	cfg.setDefaults()
	switch {
	case cfg.Store == nil || cfg.Signer == nil || cfg.Hasher == nil:
		return nil, errors.New("store, signer and hasher must be set")
	case len(cfg.RefreshKey) != 32 || len(cfg.TicketKey) != 32 || len(cfg.MailKey) != 32:
		return nil, errors.New("refresh, ticket and mail key must have 32 bytes each")
	case !cfg.Legacy && (cfg.Issuer == "" || cfg.Audience == ""):
		return nil, errors.New("issuer and audience must be set")
	case cfg.AccessTokenTTL < 0 || cfg.AccessTokenTTL > DefaultSessionLifetime:
		return nil, fmt.Errorf("access token TTL %v: must be between 1s and %v", cfg.AccessTokenTTL, DefaultSessionLifetime)
	case cfg.AccessTokenTTL%time.Second != 0:
		return nil, fmt.Errorf("access token TTL %v: must be whole seconds", cfg.AccessTokenTTL)
	case cfg.SessionIdle < 0 || cfg.SessionLifetime < cfg.SessionIdle:
		return nil, fmt.Errorf("session idle time %v: must not be above the session lifetime %v", cfg.SessionIdle, cfg.SessionLifetime)
	case cfg.SendsMail && cfg.PublicURL == "":
		return nil, errors.New("public URL must be set: links in mail begin with it")
	case cfg.VerifyEmail && cfg.Registration != RegistrationClosed && !cfg.SendsMail:
		return nil, errors.New("addresses cannot be verified without mail")
	}
	o := new(outages)
	cfg.Store = announcing{cfg.Store, o}
	return &Service{Config: cfg, outages: o, mail: make(chan struct{}, 1)}, nil
}

func (c *Config) setDefaults() {
	if c.AccessTokenTTL == 0 {
		c.AccessTokenTTL = DefaultAccessTokenTTL
		if c.Legacy {
			c.AccessTokenTTL = LegacyAccessTokenTTL
		}
	}
	c.SessionIdle = cmp.Or(c.SessionIdle, DefaultSessionIdle)
	c.SessionLifetime = cmp.Or(c.SessionLifetime, DefaultSessionLifetime)
	c.EventRetention = cmp.Or(c.EventRetention, DefaultEventRetention)
	c.Registration = cmp.Or(c.Registration, RegistrationClosed)
	c.Passwords.Min = cmp.Or(c.Passwords.Min, password.MinLength) // pages show it
	if c.Now == nil {
		c.Now = time.Now
	}
}

// Ready says whether logins can succeed now.
func (s *Service) Ready(ctx context.Context) error { return s.Store.Ping(ctx) }

// Purge deletes what has outlived its use.
func (s *Service) Purge(ctx context.Context) error {
	now := s.Now()
	// A while after their end, so that mail which nobody took is recorded as such.
	return s.Store.Purge(ctx, Moments{Expired: now.Add(-expiredKept), Events: now.Add(-s.EventRetention), Hits: now.Add(-hitRetention)})
}
