package main

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"path"
	"strings"
	"time"

	"github.com/latchkey-auth/latchkey"
	"github.com/latchkey-auth/latchkey/internal/app"
	"github.com/latchkey-auth/latchkey/internal/auth"
	"github.com/latchkey-auth/latchkey/internal/awslambda"
	"github.com/latchkey-auth/latchkey/internal/password"
	"github.com/latchkey-auth/latchkey/internal/password/passhash"
	"github.com/latchkey-auth/latchkey/internal/rights"
	"github.com/latchkey-auth/latchkey/revocation"
)

// compatible reports the compatibility mode: TOKEN_SECRET signs.
func compatible() bool {
	return os.Getenv(awslambda.EnvSecret) != "" && os.Getenv(awslambda.EnvUntil) == ""
}

// hashFlags are of commands that hash passwords.
type hashFlags struct {
	Argon2 passhash.Argon2 `name:"argon2" help:"Cost of password hashes: memory in KiB, passes, lanes (${default})." env:"LATCHKEY_ARGON2" default:"m=19456,t=2,p=1" placeholder:"m=N,t=N,p=N"`
}

// tokenTTL is of commands that issue tokens or retire keys, which are kept for as
// long.
type tokenTTL struct {
	AccessTokenTTL time.Duration `name:"access-token-ttl" help:"How long an access token lives: 1s to 720h. Default: 15m, with TOKEN_SECRET 336h." env:"LATCHKEY_ACCESS_TOKEN_TTL" placeholder:"DURATION"`
}

// maxTokenTTL bounds what a stolen token is worth.
const maxTokenTTL = 720 * time.Hour

func (t tokenTTL) Validate() error {
	if d := t.AccessTokenTTL; d != 0 && (d < time.Second || d > maxTokenTTL) {
		return fmt.Errorf("--access-token-ttl %s must be 1s to %s", d, maxTokenTTL)
	}
	return nil
}

// issueFlags say to whom tokens are issued, and what they look like.
type issueFlags struct {
	Limits    string `help:"Slow down guessing and requests for mail: on or off, which is for tests and load runs (${default})." env:"LATCHKEY_LIMITS" enum:"on,off" default:"on" placeholder:"on|off" group:"Limits"`
	PublicURL string `name:"public-url" help:"Base of links and default issuer. Default: http:// and the address that is bound." env:"LATCHKEY_PUBLIC_URL" placeholder:"URL" group:"Listening"`
	AppURL    string `name:"app-url" help:"Where the pages that links in mail open lead on to when all is done. Default: nowhere." env:"LATCHKEY_APP_URL" placeholder:"URL" group:"Listening"`
	Issuer    string `help:"iss of tokens. Default: the public URL." env:"LATCHKEY_ISSUER" placeholder:"URL"`
	Audience  string `help:"aud of tokens. Default: the issuer." env:"LATCHKEY_AUDIENCE" placeholder:"NAME"`
	tokenFlags
	signingFlags
	accountFlags `group:"Accounts and sessions"`
}

// Validate refuses a public URL from which no link can be made.
func (i issueFlags) Validate() error {
	if err := checkPublicURL(i.PublicURL); err != nil {
		return err
	}
	if u, err := url.Parse(i.AppURL); i.AppURL != "" && (err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.User != nil) {
		return fmt.Errorf("--app-url %q must be the URL of a page, https://app.example.com/login", i.AppURL)
	}
	return errors.Join(i.tokenFlags.Validate(), i.accountFlags.Validate())
}

func (i issueFlags) fill(cfg *app.Config) {
	cfg.Name, cfg.NoLimits, cfg.SigningAlg = os.Getenv(awslambda.EnvAppName), i.Limits == "off", i.SigningAlg
	cfg.PublicURL, cfg.AppURL, cfg.Issuer, cfg.Audience = i.PublicURL, i.AppURL, i.Issuer, i.Audience
	i.tokenFlags.fill(cfg)
	i.accountFlags.fill(cfg)
}

func checkPublicURL(text string) error {
	u, err := url.Parse(text)
	if text != "" && (err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.User != nil || strings.ContainsAny(text, "?#") || !isPrefix(u)) {
		return fmt.Errorf("--public-url %q must be like https://auth.example.com or https://example.com/auth", text)
	}
	return nil
}

// isPrefix reports whether links can begin with the path, and requests be found
// below it: nothing of it is encoded, and it has no empty or dot segment.
func isPrefix(u *url.URL) bool {
	below := strings.TrimSuffix(u.Path, "/")
	return u.RawPath == "" && !strings.HasSuffix(below, "/") && (below == "" || path.Clean(below) == below)
}

// tokenFlags say what tokens tell of a user. The file writes the first two as tables.
type tokenFlags struct {
	Roles         string `help:"Scopes that roles give, a JSON object of lists: '{\"clerk\":[\"orders:read\"]}'. In the file: roles, a table." env:"LATCHKEY_ROLES" placeholder:"JSON"`
	TokenClaims   string `name:"token-claims" help:"Claims of tokens beside those that all have, and what of the user each tells (email, name, roles, attributes.NAME), a JSON object: '{\"tenant\":\"attributes.tenant\"}'. In the file: token: claims, a table." env:"LATCHKEY_TOKEN_CLAIMS" placeholder:"JSON"`
	TokenUsername string `name:"token-username" help:"Username in tokens of users who have none of their own, because they registered: id, name (which its owner chooses, and others may have) or email (once it is confirmed) (${default}). In the file: token: username." env:"LATCHKEY_TOKEN_USERNAME" enum:"id,name,email" default:"id" placeholder:"id|name|email"`
}

func (f tokenFlags) Validate() error {
	_, roles := f.roles()
	_, claims := f.claims()
	return errors.Join(roles, claims)
}

func (f tokenFlags) roles() (rights.RoleTable, error) {
	if f.Roles == "" {
		return nil, nil
	}
	t, err := rights.ParseRoleTable(f.Roles)
	if err != nil {
		return nil, fmt.Errorf("--roles: %w", err)
	}
	return t, nil
}

func (f tokenFlags) claims() (rights.TokenClaims, error) {
	if f.TokenClaims == "" {
		return nil, nil
	}
	c, err := rights.ParseTokenClaims(f.TokenClaims)
	if err != nil {
		return nil, fmt.Errorf("--token-claims: %w", err)
	}
	return c, nil
}

func (f tokenFlags) fill(cfg *app.Config) {
	cfg.Roles, _ = f.roles() // Validate has seen them
	cfg.TokenClaims, _ = f.claims()
	cfg.TokenUsername = rights.TokenUsername(f.TokenUsername)
}

type signingFlags struct {
	SigningAlg latchkey.Algorithm `help:"Algorithm of new signing keys: ES256, RS256 or EdDSA. Default: that of the key in use, ES256 for the first." env:"LATCHKEY_SIGNING_ALG" enum:"ES256,RS256,EdDSA," default:"" placeholder:"ALG"`
}

// serviceFlags are of commands that run the service. Where several embedded
// structs can be validated, kong would see none of them.
type serviceFlags struct {
	issueFlags `group:"Tokens"`
	tokenTTL   `group:"Tokens"`
	trailFlags `group:"Data"`
	hashFlags  `group:"Passwords"`
}

func (f serviceFlags) Validate() error {
	return errors.Join(f.tokenTTL.Validate(), f.issueFlags.Validate())
}

// config is of a service on the store.
func (f serviceFlags) config(log *slog.Logger) (app.Config, error) {
	cfg, err := f.trailFlags.config(log)
	if err != nil {
		return cfg, err
	}
	cfg.AccessTokenTTL, cfg.Argon2 = f.AccessTokenTTL, f.Argon2
	f.issueFlags.fill(&cfg)
	return cfg, nil
}

// corsFlags say from where browsers may call.
type corsFlags struct {
	CORSOrigins []string `name:"cors-origins" help:"Origins whose pages may call from a browser, separated by commas." env:"LATCHKEY_CORS_ORIGINS" placeholder:"ORIGIN" group:"Listening"`
	CORSHeaders []string `name:"cors-headers" help:"Headers that these pages may send, beside Authorization, Content-Type and those of tracing, separated by commas." env:"LATCHKEY_CORS_HEADERS" placeholder:"NAME" group:"Listening"`
}

// httpFlags say how requests come in.
type httpFlags struct {
	corsFlags
	TrustedProxies int `help:"How many proxies stand in front and append to X-Forwarded-For." env:"LATCHKEY_TRUSTED_PROXIES" default:"0" placeholder:"N" group:"Listening"`
}

func (f corsFlags) fill(cfg *app.Config) {
	cfg.CORSOrigins, cfg.CORSHeaders = f.CORSOrigins, f.CORSHeaders
}

func (f httpFlags) fill(cfg *app.Config) {
	f.corsFlags.fill(cfg)
	cfg.TrustedProxies = f.TrustedProxies
}

// authorizerTTL is of the gateway's cache.
type authorizerTTL struct {
	AuthorizerTTL time.Duration `name:"authorizer-ttl" help:"How long the gateway uses an authorizer's answer again: 0s to 1h (${default})." env:"LATCHKEY_AUTHORIZER_TTL" default:"60s" placeholder:"DURATION" group:"Listening"`
}

// revocationFlags say how the authorizer learns of tokens that end before they expire.
type revocationFlags struct {
	RevocationMode     revocation.Mode `help:"How the authorizer learns of tokens that end before they expire: feed (it reads what has ended, once per interval), strict (it looks up each token) or off (${default})." env:"LATCHKEY_REVOCATION_MODE" enum:"off,feed,strict" default:"feed" placeholder:"off|feed|strict" group:"Tokens"`
	RevocationInterval time.Duration   `help:"How often the authorizer reads what has ended: 1s to 1h (${default})." env:"LATCHKEY_REVOCATION_INTERVAL" default:"10s" placeholder:"DURATION" group:"Tokens"`
	RevocationMaxStale time.Duration   `help:"How long the authorizer goes on by what it knows while nothing can be read; after that it answers with an error (${default})." env:"LATCHKEY_REVOCATION_MAX_STALE" default:"5m" placeholder:"DURATION" group:"Tokens"`
}

// revocations refuses what cannot be.
func (f revocationFlags) revocations() (revocation.Config, error) {
	cfg := revocation.Config{Mode: f.RevocationMode, Interval: f.RevocationInterval, MaxStale: f.RevocationMaxStale}
	switch {
	case cfg.Interval < time.Second || cfg.Interval > time.Hour:
		return cfg, usagef("--revocation-interval %s must be 1s to 1h", cfg.Interval)
	case cfg.MaxStale < cfg.Interval || cfg.MaxStale > 24*time.Hour:
		return cfg, usagef("--revocation-max-stale %s must be --revocation-interval (%s) to 24h", cfg.MaxStale, cfg.Interval)
	}
	return cfg, nil
}

// logger returns the program's log, to standard error.
func (p *process) logger() *slog.Logger {
	log, err := awslambda.NewLogger(p.stderr, os.Getenv(awslambda.EnvAppName), p.level)
	if err != nil { // kong has checked the level
		panic(err)
	}
	return log
}

// envMailURL may hold a password, and so is no flag. envSMTPURL is what it was called
// before mail could go out by SES.
const (
	envMailURL = "LATCHKEY_MAIL_URL"
	envSMTPURL = "LATCHKEY_SMTP_URL"
)

// mailURL is what takes mail; checkEnvironment refuses two.
func mailURL() string { return cmp.Or(os.Getenv(envMailURL), os.Getenv(envSMTPURL)) }

// passwordFlags are what new passwords are held to.
type passwordFlags struct {
	MinPassword       int    `help:"Fewest characters of a new password: 8 to 64; NIST advises 15 where the password is all that is asked for (${default})." env:"LATCHKEY_MIN_PASSWORD" default:"8" placeholder:"N"`
	BreachedPasswords string `help:"Directory of breached passwords, as the Pwned Passwords downloader writes it: a file of SHA-1 suffixes for each prefix. Default: none." env:"LATCHKEY_BREACHED_PASSWORDS" type:"path" placeholder:"DIR"`
}

func (f passwordFlags) Validate() error {
	if f.MinPassword < password.MinLength || f.MinPassword > 64 {
		return fmt.Errorf("--min-password %d must be %d to 64", f.MinPassword, password.MinLength)
	}
	return nil
}

// accountFlags say who may have an account, and how mail gets to its owner.
type accountFlags struct {
	Registration    string        `help:"Who may create an account: open (anybody), invite (whom users invite names; refuses to start without mail) or closed (operators, by users add, import and invite). Default: closed; in offline and invoke open." env:"LATCHKEY_REGISTRATION" enum:"open,invite,closed," default:"" placeholder:"open|invite|closed"`
	VerifyEmail     bool          `help:"Let nobody log in before the e-mail address is confirmed (${default}); where no mail is sent there is no such confirmation. Without it, registering tells whether an address has an account." env:"LATCHKEY_VERIFY_EMAIL" default:"true" negatable:""`
	MailFrom        string        `help:"Sender of mail; required with LATCHKEY_MAIL_URL." env:"LATCHKEY_MAIL_FROM" placeholder:"\"Example <mail@example.com>\"" group:"Mail"`
	MailHelo        string        `help:"Name of this machine to the mail server (EHLO): a full host name, or an address in brackets. Default: the host's name where it has a dot, else the domain of the sender." env:"LATCHKEY_MAIL_HELO" placeholder:"NAME" group:"Mail"`
	MailTemplates   string        `help:"Directory of mail templates that take the place of the built-in ones." env:"LATCHKEY_MAIL_TEMPLATES" type:"path" placeholder:"DIR" group:"Mail"`
	SessionIdle     time.Duration `help:"A session ends when it is not refreshed for so long (${default})." env:"LATCHKEY_SESSION_IDLE" default:"720h" placeholder:"DURATION"`
	SessionLifetime time.Duration `help:"A session ends after so long in any case (${default})." env:"LATCHKEY_SESSION_LIFETIME" default:"2160h" placeholder:"DURATION"`
	passwordFlags   `group:"Passwords"`
}

// maxLifetime bounds what is configured in hours: ten years.
const maxLifetime = 10 * 365 * 24 * time.Hour

func (f accountFlags) Validate() error {
	for _, d := range []struct {
		name       string
		value, min time.Duration
	}{{"session-idle", f.SessionIdle, time.Minute}, {"session-lifetime", f.SessionLifetime, time.Minute}} {
		if d.value < d.min || d.value > maxLifetime {
			return fmt.Errorf("--%s %s must be %s to %s", d.name, d.value, d.min, maxLifetime)
		}
	}
	if f.SessionIdle > f.SessionLifetime {
		return fmt.Errorf("--session-idle %s must not be above --session-lifetime %s", f.SessionIdle, f.SessionLifetime)
	}
	return f.passwordFlags.Validate()
}

func (f accountFlags) fill(cfg *app.Config) {
	cfg.Registration, cfg.VerifyEmail = auth.Registration(f.Registration), f.VerifyEmail
	cfg.MinPassword, cfg.BreachedPasswords = f.MinPassword, f.BreachedPasswords
	cfg.SessionIdle, cfg.SessionLifetime = f.SessionIdle, f.SessionLifetime
	cfg.MailURL = app.Secret(mailURL())
	cfg.RevocationKey = app.Secret(os.Getenv(awslambda.EnvRevocationKey))
	cfg.MailFrom, cfg.MailHelo, cfg.MailTemplates = f.MailFrom, f.MailHelo, f.MailTemplates
}
