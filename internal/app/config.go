package app

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/latchkey-auth/latchkey"
	"github.com/latchkey-auth/latchkey/internal/auth"
	"github.com/latchkey-auth/latchkey/internal/gateway"
	"github.com/latchkey-auth/latchkey/internal/issuers"
	"github.com/latchkey-auth/latchkey/internal/password/passhash"
	"github.com/latchkey-auth/latchkey/internal/redact"
	"github.com/latchkey-auth/latchkey/internal/rights"
	"github.com/latchkey-auth/latchkey/internal/storage"
	"github.com/latchkey-auth/latchkey/internal/weaksecret"
	"github.com/latchkey-auth/latchkey/revocation"
)

// Config holds the settings from which parts are made. docs/configuration.md tells what
// those mean that people set; the caller checks their ranges.
type Config struct {
	// Store is where everything is kept; the zero value is SQLite's file in Data.
	Store StoreAddress
	// Data is the directory of the master key, of the database where Store names no
	// other, and of the inbox of offline. [Memory] keeps nothing.
	Data string
	// Kind is the mark that the store must have; empty takes either. Local is for
	// what this machine alone can reach: there a weak TokenSecret is taken.
	Kind storage.StoreKind
	// Create has made what is missing: the directory, the store, the master key.
	// Otherwise the store must be there.
	Create bool
	// MasterKey is the key in base64. It excludes MasterKeyFile.
	MasterKey Secret
	// MasterKeyFile is the file of the key; empty is that in the data directory.
	MasterKeyFile string
	// SigningAlg is the algorithm of new keys; empty is that of the key in use, ES256
	// for the first.
	SigningAlg latchkey.Algorithm
	// TokenSecret signs and verifies by HS256 in place of keys (compatibility mode);
	// empty uses the keys.
	TokenSecret Secret
	// TokenSecretUntil ends the compatibility mode: keys sign, and tokens of
	// TokenSecret are good beside theirs until then. Zero is never.
	TokenSecretUntil time.Time
	// AccessTokenTTL is how long access tokens live; a key that is replaced verifies
	// for as long. 0 is 15 minutes, with TokenSecret 14 days.
	AccessTokenTTL time.Duration
	// Issuer is the iss of tokens; empty is the public URL, with TokenSecret none.
	Issuer string
	// Audience is the aud of tokens; empty is the issuer, with TokenSecret none.
	Audience string

	// Roles are the scopes that users have by their roles; nil is none.
	Roles rights.RoleTable
	// TokenClaims are claims of tokens besides those that all have; nil is none.
	TokenClaims rights.TokenClaims
	// TokenUsername is the username of users who have none; empty is their id.
	TokenUsername rights.TokenUsername

	// PublicURL is what links begin with; empty is the base that Build is given.
	PublicURL string
	// AppURL is where the pages that links open lead on to; empty is nowhere.
	AppURL string
	// Name is what mails and pages call the service; empty is the host of the public
	// URL where that is a domain, else "latchkey".
	Name string
	// CORSOrigins are those whose pages may call from a browser; empty is none.
	CORSOrigins []string
	// CORSHeaders are those that such pages may send beside the usual ones.
	CORSHeaders []string
	// TrustedProxies is how many proxies append to X-Forwarded-For.
	TrustedProxies int

	// NoLimits leaves out what slows down guessing.
	NoLimits bool
	// Argon2 is the cost of password hashes; zero is [passhash.DefaultArgon2].
	Argon2 passhash.Argon2
	// MinPassword is the fewest characters of a new password; 0 is [password.MinLength].
	MinPassword int
	// BreachedPasswords is a directory of hashes of passwords that are refused; empty
	// is none.
	BreachedPasswords string

	// Registration is who may create an account; empty is closed, where Kind is Local
	// open.
	Registration auth.Registration
	// VerifyEmail lets nobody log in before the address is confirmed. Where no mail is
	// sent it does nothing.
	VerifyEmail bool
	// SessionIdle and SessionLifetime bound sessions, and EventRetention the audit
	// trail; 0 is the default of package auth.
	SessionIdle, SessionLifetime, EventRetention time.Duration

	// MailURL is what takes mail: a server, with its password, or SES. Empty sends none;
	// where Kind is Local mail goes to an inbox then.
	MailURL Secret
	// MailFrom is the sender; required with MailURL.
	MailFrom string
	// MailHelo is the name in EHLO; empty is that of the host, or the sender's domain.
	MailHelo string
	// MailTemplates is a directory of templates; empty is the built-in ones.
	MailTemplates string

	// RevocationKey is what authorizers read with what has ended; empty: none can.
	RevocationKey Secret
	// Revocations say how the authorizer of Functions learns of tokens that end before
	// they expire. Its source is the service.
	Revocations revocation.Config

	// OtherIssuers are those whose tokens the authorizer of Functions and the one of
	// ForwardAuth take beside the service's own.
	OtherIssuers []issuers.Issuer

	// Events is what the authorizer of Functions reads and answers events by.
	Events gateway.EventConfig

	// Log is required.
	Log *slog.Logger
}

// compatible reports the compatibility mode: TokenSecret signs.
func (c Config) compatible() bool { return c.TokenSecret != "" && c.TokenSecretUntil.IsZero() }

// accessTokenTTL applies the default.
func (c Config) accessTokenTTL() time.Duration {
	if c.compatible() {
		return cmp.Or(c.AccessTokenTTL, auth.LegacyAccessTokenTTL)
	}
	return cmp.Or(c.AccessTokenTTL, auth.DefaultAccessTokenTTL)
}

// eventRetention applies the default. Stores that delete by themselves go by it, others by
// what the service has them purge.
func (c Config) eventRetention() time.Duration {
	return cmp.Or(c.EventRetention, auth.DefaultEventRetention)
}

// algorithm applies the default for the first key.
func (c Config) algorithm() latchkey.Algorithm { return cmp.Or(c.SigningAlg, latchkey.ES256) }

// checkRevocationKey refuses a key that can be guessed.
func (c Config) checkRevocationKey() error {
	if c.RevocationKey == "" {
		return nil
	}
	if err := weaksecret.Check(string(c.RevocationKey)); err != nil {
		return settingsErrorf("LATCHKEY_REVOCATION_KEY is refused: %v. Make one with `openssl rand -base64 48`, the same for the service and its authorizers", err)
	}
	return nil
}

// A Secret is a setting whose value no print and no log shows.
type Secret string

// String tells whether there is a value, and not which.
func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return redact.Mark
}

// GoString is for %#v.
func (s Secret) GoString() string { return s.String() }

// MarshalText is for JSON and logs.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// ErrSettings marks errors about settings that exclude or require each other. They name
// the settings as flags and variables do.
var ErrSettings = errors.New("settings")

type settingsError struct{ text string }

func (e *settingsError) Error() string        { return e.text }
func (e *settingsError) Is(target error) bool { return target == ErrSettings }

func settingsErrorf(format string, args ...any) error {
	return &settingsError{fmt.Sprintf(format, args...)}
}
