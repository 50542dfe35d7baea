// Package awslambda is what the bootstraps for AWS Lambda share: it runs a function under the Lambda Runtime API and builds the
// authorizer from the environment. Both bootstraps use it: the lean one that
// holds nothing else, and latchkey itself.
package awslambda

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"time"

	"github.com/latchkey-auth/latchkey"
	"github.com/latchkey-auth/latchkey/internal/gateway"
	"github.com/latchkey-auth/latchkey/internal/issuers"
	"github.com/latchkey-auth/latchkey/internal/setting"
	"github.com/latchkey-auth/latchkey/internal/textfile"
	"github.com/latchkey-auth/latchkey/internal/weaksecret"
	"github.com/latchkey-auth/latchkey/revocation"
)

// Environment variables of the authorizer.
const (
	EnvSecret   = "TOKEN_SECRET"
	EnvUntil    = "TOKEN_SECRET_ACCEPT_UNTIL"
	EnvJWKS     = "LATCHKEY_JWKS"
	EnvJWKSFile = "LATCHKEY_JWKS_FILE"
	EnvJWKSURL  = "LATCHKEY_JWKS_URL"
	EnvPrivate  = "LATCHKEY_JWKS_ALLOW_PRIVATE"
	EnvIssuer   = "LATCHKEY_ISSUER"
	EnvAudience = "LATCHKEY_AUDIENCE"
	EnvRoutes   = "LATCHKEY_ROUTES_FILE"
	EnvIssuers  = "LATCHKEY_ISSUERS_FILE"
	EnvLevel    = "LATCHKEY_LOG_LEVEL"
	EnvAppName  = "APP_NAME"

	// See revocations.go.
	EnvRevocationSource   = "LATCHKEY_REVOCATION_SOURCE"
	EnvRevocationKey      = "LATCHKEY_REVOCATION_KEY"
	EnvRevocationMode     = "LATCHKEY_REVOCATION_MODE"
	EnvRevocationInterval = "LATCHKEY_REVOCATION_INTERVAL"
	EnvRevocationMaxStale = "LATCHKEY_REVOCATION_MAX_STALE"

	// See EventSettings.
	EnvTokenSources     = "LATCHKEY_TOKEN_SOURCES"
	EnvContextClaims    = "LATCHKEY_CONTEXT_CLAIMS"
	EnvHTTPAPIResponses = "LATCHKEY_HTTP_API_RESPONSES"
	EnvWebSocketScopes  = "LATCHKEY_WEBSOCKET_SCOPES"
	EnvWebSocketIssuers = "LATCHKEY_WEBSOCKET_ISSUERS"
	EnvAppSyncScopes    = "LATCHKEY_APPSYNC_SCOPES"
	EnvAppSyncIssuers   = "LATCHKEY_APPSYNC_ISSUERS"
	EnvAppSyncFields    = "LATCHKEY_APPSYNC_FIELDS"
)

// DefaultIssuers is where other issuers are in the zip, if there are any.
const DefaultIssuers = "issuers.json"

// DefaultRoutes is where the table is in the zip, relative to its root.
const DefaultRoutes = "routes.json"

// Remote is what a bootstrap can reach over the network; the zero value is nothing.
type Remote struct {
	// Keys makes key sets of other issuers that are fetched; nil: they are pinned.
	Keys func(*slog.Logger) issuers.KeySource
	// Revocations opens what has ended, at the address of a source; nil: none can be read.
	Revocations func(address string, getenv func(string) string) (revocation.Source, error)
}

// NewLogger returns a logger of JSON lines under the service's name. An empty
// level is info, an empty name latchkey.
func NewLogger(w io.Writer, name, level string) (*slog.Logger, error) {
	var l slog.Level
	if level != "" {
		if err := l.UnmarshalText([]byte(level)); err != nil {
			return nil, fmt.Errorf("log level %q must be debug, info, warn or error", level)
		}
	}
	if name == "" {
		name = "latchkey"
	}
	return slog.New(slog.NewJSONHandler(w, &slog.HandlerOptions{Level: l})).With(slog.String("service", name)), nil
}

// Authorizer builds the authorizer from the environment and the files beside
// the bootstrap. A nil log hears nothing.
func Authorizer(getenv func(string) string, log *slog.Logger, remote Remote) (*gateway.Authorizer, error) {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	for _, name := range []string{EnvSecret, EnvUntil, EnvIssuer, EnvAudience, EnvJWKSFile, EnvJWKSURL, EnvPrivate, EnvRoutes, EnvIssuers} {
		if err := setting.Check(name, getenv(name)); err != nil {
			return nil, err
		}
	}
	others, err := otherIssuers(getenv)
	if err != nil {
		return nil, err
	}
	source := issuers.Pinned
	if remote.Keys != nil {
		source = remote.Keys(log)
	}
	cfg := latchkey.Config{}
	if cfg.Issuers, err = issuers.Verified(others, source); err != nil {
		return nil, err
	}
	if err := ownTokens(&cfg, getenv, log, remote); err != nil {
		return nil, err
	}
	verifier, err := latchkey.New(cfg)
	if err != nil {
		return nil, err
	}
	path := getenv(EnvRoutes)
	if path == "" {
		path = DefaultRoutes
	}
	doc, err := textfile.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("reading the route table: %w; write it with `latchkey routes compile` and put it into the zip", err)
	}
	table, err := gateway.ParseTable(doc)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	events, err := EventSettings(getenv)
	if err != nil {
		return nil, err
	}
	ended, err := revocations(getenv, log, remote)
	if err != nil {
		return nil, err
	}
	return gateway.NewAuthorizer(gateway.AuthorizerConfig{Verifier: verifier, Table: table, Issuers: issuers.Names(others, cfg.Keys != nil), Log: log, Revocations: ended, EventConfig: events})
}

// otherIssuers are those of issuers.json, if it is there.
func otherIssuers(getenv func(string) string) ([]issuers.Issuer, error) {
	path := getenv(EnvIssuers)
	if path == "" {
		path = DefaultIssuers
		if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
			return nil, nil
		}
	}
	doc, err := textfile.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("reading the issuers: %w; write them with `latchkey issuer compile` and put the file into the zip", err)
	}
	list, err := issuers.Parse(doc)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return list, nil
}

// ownTokens has the verifier take latchkey's own tokens too, or those of the system with
// a shared secret. Where there are other issuers it needs neither.
func ownTokens(cfg *latchkey.Config, getenv func(string) string, log *slog.Logger, remote Remote) error {
	if err := checkPrivate(getenv); err != nil {
		return err
	}
	secret := getenv(EnvSecret)
	hasKeys := getenv(EnvJWKS) != "" || getenv(EnvJWKSFile) != "" || getenv(EnvJWKSURL) != ""
	if len(cfg.Issuers) > 0 && secret == "" && !hasKeys {
		if getenv(EnvIssuer) != "" || getenv(EnvAudience) != "" {
			return errors.New("LATCHKEY_ISSUER or LATCHKEY_AUDIENCE is set, and no keys for latchkey's own tokens: set LATCHKEY_JWKS_FILE, or unset it to take tokens of other issuers alone")
		}
		return nil
	}
	cfg.Issuer, cfg.Audience = getenv(EnvIssuer), getenv(EnvAudience)
	until, err := AcceptUntil(getenv(EnvUntil), secret)
	if err != nil {
		return err
	}
	if secret != "" && until.IsZero() {
		if hasKeys {
			return errors.New("TOKEN_SECRET and a JWKS are both set: tokens are signed by one or the other; unset one, or set TOKEN_SECRET_ACCEPT_UNTIL to the day until which the secret's tokens are good beside those of the keys")
		}
		cfg.Legacy = true
		cfg.Keys, err = SecretKeys(secret)
		return err
	}
	keys, err := ownKeys(getenv, log, remote)
	if err != nil {
		return err
	}
	if cfg.Issuer == "" {
		return errors.New("LATCHKEY_ISSUER is not set: it must be the iss of the tokens, exactly")
	}
	if cfg.Audience == "" {
		cfg.Audience = cfg.Issuer
	}
	cfg.Keys = keys
	if secret != "" {
		cfg.OldUntil = until
		cfg.OldKeys, err = SecretKeys(secret)
	}
	return err
}

// AcceptUntil reads the value of TOKEN_SECRET_ACCEPT_UNTIL: a day, which begins at
// midnight UTC, or a time. It is zero where the variable is empty.
func AcceptUntil(text, secret string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if secret == "" {
		return time.Time{}, errors.New("TOKEN_SECRET_ACCEPT_UNTIL is set and TOKEN_SECRET is not: there is no secret whose tokens could be accepted; unset it")
	}
	for _, layout := range []string{time.DateOnly, time.RFC3339} {
		if t, err := time.Parse(layout, text); err == nil && t.Year() > 2000 {
			return t, nil
		}
	}
	return time.Time{}, fmt.Errorf("TOKEN_SECRET_ACCEPT_UNTIL is %.40q: it must be a day like 2027-03-31, or a time like 2027-03-31T18:00:00Z", text)
}

// SecretKeys is the key set of TOKEN_SECRET, unless that is weak.
func SecretKeys(secret string) (latchkey.KeySet, error) {
	if err := weaksecret.Check(secret); err != nil {
		return nil, weakSecretError(err)
	}
	key, err := latchkey.NewHMACKey("", []byte(secret))
	if err != nil {
		return nil, err
	}
	return latchkey.NewKeySet(key)
}

// weakSecretError says what to do about a secret that weaksecret.Check refuses.
func weakSecretError(reason error) error {
	return fmt.Errorf("TOKEN_SECRET is refused: %w. An attacker who knows it can sign in as anybody. "+
		"Make a new one with `openssl rand -base64 48`, or unset TOKEN_SECRET to sign with keys of latchkey's own", reason)
}
