package app

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/latchkey-auth/latchkey"
	"github.com/latchkey-auth/latchkey/internal/auth"
	"github.com/latchkey-auth/latchkey/internal/redact"
	"github.com/latchkey-auth/latchkey/internal/sqlstore"
)

// Config holds the settings from which parts are made. docs/configuration.md tells what
// those mean that people set; the caller checks their ranges.
type Config struct {
	// Data is the directory of the database and the master key. [sqlstore.Memory]
	// keeps nothing.
	Data string
	// Kind is the mark that the directory must have; empty takes either.
	Kind sqlstore.Kind
	// Create has made what is missing: the directory, the database, the master key.
	// Otherwise the database must be there.
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
	// AccessTokenTTL is how long access tokens live; a key that is replaced verifies
	// for as long. 0 is 15 minutes, with TokenSecret 14 days.
	AccessTokenTTL time.Duration
	// Log is required.
	Log *slog.Logger
}

// accessTokenTTL applies the default.
func (c Config) accessTokenTTL() time.Duration {
	if c.TokenSecret != "" {
		return cmp.Or(c.AccessTokenTTL, auth.LegacyAccessTokenTTL)
	}
	return cmp.Or(c.AccessTokenTTL, auth.DefaultAccessTokenTTL)
}

// algorithm applies the default for the first key.
func (c Config) algorithm() latchkey.Algorithm { return cmp.Or(c.SigningAlg, latchkey.ES256) }

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
