package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"path"
	"runtime"
	"strings"
	"time"

	"github.com/latchkey-auth/latchkey"
	"github.com/latchkey-auth/latchkey/internal/app"
	"github.com/latchkey-auth/latchkey/internal/auth"
	"github.com/latchkey-auth/latchkey/internal/awslambda"
	"github.com/latchkey-auth/latchkey/internal/gateway"
	"github.com/latchkey-auth/latchkey/internal/gateway/proxy"
	"github.com/latchkey-auth/latchkey/internal/hashworker"
	"github.com/latchkey-auth/latchkey/internal/keyring"
	"github.com/latchkey-auth/latchkey/internal/mailer"
	"github.com/latchkey-auth/latchkey/internal/password"
	"github.com/latchkey-auth/latchkey/internal/password/passhash"
	"github.com/latchkey-auth/latchkey/internal/sqlstore"
	"github.com/latchkey-auth/latchkey/internal/weaksecret"
	"github.com/latchkey-auth/latchkey/internal/web"
)

// dataFlags say where things are kept.
type dataFlags struct {
	Data          string `help:"Directory of the database and the master key; :memory: keeps nothing (${default})." env:"LATCHKEY_DATA" default:".latchkey" placeholder:"DIR"`
	MasterKeyFile string `help:"File of the master key, in place of DATA/master.key." env:"LATCHKEY_MASTER_KEY_FILE" type:"path" placeholder:"FILE"`
}

// again is what a further command has to be given to find the same directory.
func (f dataFlags) again() string {
	if f.Data == defaultData {
		return ""
	}
	return " --data " + f.Data
}

const defaultData = ".latchkey"

// config is of a command on the directory.
func (f dataFlags) config(log *slog.Logger) app.Config {
	return app.Config{
		Data: f.Data, MasterKeyFile: f.MasterKeyFile, MasterKey: app.Secret(os.Getenv(envMasterKey)),
		TokenSecret: app.Secret(os.Getenv(awslambda.EnvSecret)), AccessTokenTTL: maxTokenTTL, Log: log,
	}
}

// open opens the directory, of either kind, for a command that issues no tokens.
func (f dataFlags) open(ctx context.Context, log *slog.Logger) (*app.Storage, error) {
	s, err := app.Open(ctx, f.config(log))
	return s, f.explain(err)
}

// explain says what to do about a directory that is refused.
func (f dataFlags) explain(err error) error {
	var other *sqlstore.KindError
	switch {
	case errors.Is(err, sqlstore.ErrNoDatabase):
		return f.noDatabase()
	case errors.As(err, &other):
		return f.explainKind(other)
	}
	return err
}

// envMasterKey holds the key itself, and so is no flag.
const envMasterKey = "LATCHKEY_MASTER_KEY"

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
	return i.accountFlags.Validate()
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

type signingFlags struct {
	SigningAlg latchkey.Algorithm `help:"Algorithm of new signing keys: ES256, RS256 or EdDSA. Default: that of the key in use, ES256 for the first." env:"LATCHKEY_SIGNING_ALG" enum:"ES256,RS256,EdDSA," default:"" placeholder:"ALG"`
}

// serviceFlags are of commands that run the service. Where several embedded
// structs can be validated, kong would see none of them.
type serviceFlags struct {
	issueFlags `group:"Tokens"`
	tokenTTL   `group:"Tokens"`
	dataFlags  `group:"Data"`
	hashFlags  `group:"Passwords"`
}

func (f serviceFlags) Validate() error {
	return errors.Join(f.tokenTTL.Validate(), f.issueFlags.Validate())
}

// config is of a service on a directory of the kind.
func (f serviceFlags) config(kind sqlstore.Kind, log *slog.Logger) app.Config {
	cfg := f.dataFlags.config(log)
	cfg.Kind, cfg.AccessTokenTTL, cfg.SigningAlg = kind, f.AccessTokenTTL, f.SigningAlg
	return cfg
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

// logger returns the program's log, to standard error.
func (p *process) logger() *slog.Logger {
	log, err := awslambda.NewLogger(p.stderr, os.Getenv(awslambda.EnvAppName), p.level)
	if err != nil { // kong has checked the level
		panic(err)
	}
	return log
}

// system is the auth service, wired.
type system struct {
	*app.Storage
	service  *auth.Service
	verifier *latchkey.Verifier
	jwks     func(context.Context) []byte
	inbox    *mailer.Inbox // nil: mail is sent, or there is none
	appURL   string        // where the pages lead on to; empty: nowhere
}

// newHasher returns a hasher that may use every core.
func newHasher(cost passhash.Argon2) (*password.Hasher, error) {
	return password.NewHasher(cost, runtime.GOMAXPROCS(0))
}

// build wires the service. base is the public URL where none is configured.
// forDemo is for what only this machine can reach: weak secrets are tolerated.
func build(s *app.Storage, f serviceFlags, base string, forDemo bool, log *slog.Logger) (*system, error) {
	i := f.issueFlags
	hasher, err := newHasher(f.Argon2)
	if err != nil {
		return nil, err
	}
	public := cmp.Or(i.PublicURL, base)
	issuer := cmp.Or(i.Issuer, public)
	audience := cmp.Or(i.Audience, issuer)
	cfg := s.ServiceConfig(hasher)
	cfg.Issuer, cfg.Audience, cfg.AccessTokenTTL, cfg.PublicURL = issuer, audience, f.AccessTokenTTL, public
	if i.Limits == "on" {
		cfg.Limits = &auth.DefaultLimits
	} else {
		log.Warn("limits are off: passwords can be guessed as fast as they can be hashed")
	}
	sys := &system{Storage: s, jwks: s.Keyring.JWKS, appURL: i.AppURL}
	if sys.inbox, err = i.configure(&cfg, f.Data, forDemo, log); err != nil {
		return nil, err
	}
	if secret := os.Getenv(awslambda.EnvSecret); secret != "" {
		cfg.Legacy, cfg.Signer = true, keyring.Secret(secret)
		cfg.Issuer, cfg.Audience = i.Issuer, i.Audience
		sys.jwks = func(context.Context) []byte { return []byte(`{"keys":[]}`) }
		sys.verifier, err = secretVerifier(secret, i, forDemo, log)
	} else {
		sys.verifier, err = latchkey.New(latchkey.Config{Keys: s.Keyring, Issuer: issuer, Audience: audience})
	}
	if err != nil {
		return nil, err
	}
	sys.service, err = auth.New(cfg)
	return sys, err
}

// hashBeside has passwords hashed in processes beside this one. The function that
// it returns ends them.
func (s *system) hashBeside(log *slog.Logger) (stop func()) {
	pool := hashworker.New(log)
	s.service.Hasher.Maker = pool
	return pool.Close
}

func secretVerifier(secret string, i issueFlags, forDemo bool, log *slog.Logger) (*latchkey.Verifier, error) {
	cfg := latchkey.Config{Issuer: i.Issuer, Audience: i.Audience}
	reason := weaksecret.Check(secret)
	if reason == nil || !forDemo {
		return awslambda.LegacyVerifier(secret, cfg)
	}
	log.Warn("TOKEN_SECRET is weak; serve and Lambda refuse it", slog.String("reason", reason.Error()))
	key, err := latchkey.NewInsecureHMACKey("", []byte(secret))
	if err != nil {
		return nil, err
	}
	if cfg.Keys, err = latchkey.NewKeySet(key); err != nil {
		return nil, err
	}
	cfg.Legacy = true
	return latchkey.New(cfg)
}

// handler is the service over HTTP, for events of a gateway.
func (s *system) handler(h httpFlags, log, access *slog.Logger) (http.Handler, error) {
	return web.New(s.webConfig(h, log, access))
}

func (s *system) webConfig(h httpFlags, log, access *slog.Logger) web.Config {
	return web.Config{
		Service: s.service, Verifier: s.verifier, JWKS: s.jwks, ServiceName: serviceName(s.service.PublicURL), AppURL: s.appURL, JWKSMaxAge: int(keyring.JWKSMaxAge / time.Second),
		CORSOrigins: h.CORSOrigins, CORSHeaders: h.CORSHeaders, TrustedProxies: h.TrustedProxies, RequestID: proxy.RequestID, Log: log, AccessLog: access,
	}
}

// loginDefault is what an event without method and path asks for: the old
// system's mocks hold a body and nothing else.
var loginDefault = proxy.Default{Method: "POST", Path: "/login"}

// authFunction is the service as a Lambda function.
func authFunction(h http.Handler, cfg proxy.Config) gateway.Function {
	cfg.Default = loginDefault
	return proxy.Handler(h, cfg)
}
