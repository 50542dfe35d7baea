package auth

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/latchkey-auth/latchkey/internal/attempt"
	"github.com/latchkey-auth/latchkey/internal/audit"
	"github.com/latchkey-auth/latchkey/internal/limit"
	"github.com/latchkey-auth/latchkey/internal/message"
	"github.com/latchkey-auth/latchkey/internal/outage"
	"github.com/latchkey-auth/latchkey/internal/password"
	"github.com/latchkey-auth/latchkey/internal/rights"
	"github.com/latchkey-auth/latchkey/internal/storage"
	"github.com/latchkey-auth/latchkey/internal/ticket"
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
	// countRetention is above what it takes to forget all that a count can hold, and how
	// long a network is remembered that has failed at an account.
	countRetention = 7 * 24 * time.Hour
)

// ClientID is the "client_id" of tokens that users get by logging in here
// directly (RFC 9068 section 2.2 requires one).
const ClientID = "latchkey"

// Config is what a Service needs.
type Config struct {
	Store  storage.Store    // required
	Signer Signer           // required
	Hasher *password.Hasher // required
	// RefreshKey makes refresh tokens: 32 bytes, the same in all processes that share
	// the store, and secret.
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
	Mailer message.Mailer
	// PublicURL is what links in mail begin with; required with SendsMail.
	PublicURL string
	// Passwords are the rules for new passwords.
	Passwords password.Rules

	// Limits slow down guessing, by what Counters keep; nil: nothing does.
	Limits   *attempt.Limits
	Counters limit.Counters

	// Issuer and Audience go into every token; required unless Legacy.
	Issuer, Audience string
	// Legacy mints tokens in the form of the system this one descends from:
	// typ JWT, the user as an object, neither iss nor aud.
	Legacy bool
	// Roles are the scopes that users have by their roles.
	Roles rights.RoleTable
	// TokenClaims go into every access token besides those that all have.
	TokenClaims rights.TokenClaims
	// TokenUsername is the username of users who have none; empty is rights.UsernameID.
	TokenUsername rights.TokenUsername
	// AccessTokenTTL is how long an access token lives; 0 is
	// DefaultAccessTokenTTL, or LegacyAccessTokenTTL with Legacy.
	AccessTokenTTL time.Duration
	// SessionIdle and SessionLifetime bound sessions; 0 is the default.
	SessionIdle, SessionLifetime time.Duration
	// EventRetention is how long the audit trail is kept; 0 is the default.
	EventRetention time.Duration

	Now func() time.Time // nil: time.Now
}

// A Signer turns claims into a signed compact JWS.
type Signer interface {
	// Sign signs the claims, a JSON object, under the given "typ" header.
	Sign(ctx context.Context, typ string, claims []byte) (string, error)
}

// Service holds the rules. Its methods may be called concurrently.
type Service struct {
	Config
	limiter *limit.Limiter
	outbox  message.Queue
	repeats *audit.Repeats
	outages *outage.Outages
	tickets ticket.Maker
}

// New checks the configuration and returns a Service.
func New(cfg Config) (*Service, error) {
	cfg.setDefaults()
	switch {
	case cfg.Store == nil || cfg.Signer == nil || cfg.Hasher == nil:
		return nil, errors.New("store, signer and hasher must be set")
	case cfg.Limits != nil && cfg.Counters == nil:
		return nil, errors.New("limits need counters")
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
	o := new(outage.Outages)
	cfg.Store = o.Store(cfg.Store)
	s := &Service{Config: cfg, outages: o, repeats: audit.NewRepeats(cfg.Store, cfg.Now), tickets: ticket.Maker{Key: cfg.TicketKey, PublicURL: cfg.PublicURL}}
	if cfg.Counters != nil {
		s.limiter = &limit.Limiter{Counters: o.Counters(cfg.Counters), Now: cfg.Now}
	}
	if err := s.checkTokenSize(); err != nil {
		return nil, err
	}
	var err error
	s.outbox, err = message.NewQueue(cfg.Store, cfg.Mailer, cfg.MailKey, cfg.Now)
	return s, err
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
	return s.Store.Purge(ctx, storage.Moments{Expired: now.Add(-expiredKept), Events: now.Add(-s.EventRetention), Counts: now.Add(-countRetention)})
}

// Retries of a commit that has lost to another one.
const (
	// retryFor bounds them: whoever loses for so long is told that the store is busy.
	retryFor = 5 * time.Second
	// longestPause is the most that one waits before the next, with jitter.
	longestPause = 50 * time.Millisecond
	// maxAttempts bounds how often a login begins anew because the credentials of the
	// user have changed.
	maxAttempts = 10
)

// retry repeats f for as long as it loses to somebody else's commit.
func retry(doing string, f func() error) error {
	end := time.Now().Add(retryFor)
	for pause := time.Millisecond; ; pause = min(2*pause, longestPause) {
		err := f()
		if !errors.Is(err, storage.ErrConflict) {
			return err
		}
		if time.Now().After(end) {
			return fmt.Errorf("%s: %w: %w", doing, storage.ErrUnavailable, storage.ErrConflict)
		}
		time.Sleep(rand.N(pause)) // those it loses to may rest
	}
}

func wrap(doing string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", doing, err)
}
