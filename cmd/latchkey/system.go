package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/latchkey-auth/latchkey"
	"github.com/latchkey-auth/latchkey/internal/auth"
	"github.com/latchkey-auth/latchkey/internal/awslambda"
	"github.com/latchkey-auth/latchkey/internal/gateway"
	"github.com/latchkey-auth/latchkey/internal/gateway/proxy"
	"github.com/latchkey-auth/latchkey/internal/hashworker"
	"github.com/latchkey-auth/latchkey/internal/keyring"
	"github.com/latchkey-auth/latchkey/internal/mailer"
	"github.com/latchkey-auth/latchkey/internal/sqlstore"
	"github.com/latchkey-auth/latchkey/internal/textfile"
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

// hashFlags are of commands that hash passwords.
type hashFlags struct {
	Argon2 auth.Argon2 `name:"argon2" help:"Cost of password hashes: memory in KiB, passes, lanes (${default})." env:"LATCHKEY_ARGON2" default:"m=19456,t=2,p=1" placeholder:"m=N,t=N,p=N"`
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

// value applies the default.
func (t tokenTTL) value() time.Duration {
	switch {
	case t.AccessTokenTTL != 0:
		return t.AccessTokenTTL
	case os.Getenv(awslambda.EnvSecret) != "":
		return auth.LegacyAccessTokenTTL
	}
	return auth.DefaultAccessTokenTTL
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

// algorithm applies the default for the first key.
func (f signingFlags) algorithm() latchkey.Algorithm { return cmp.Or(f.SigningAlg, latchkey.ES256) }

// nextAlgorithm is that of the key in use unless the setting says otherwise.
func (s *storage) nextAlgorithm(ctx context.Context, f signingFlags) latchkey.Algorithm {
	r, _ := s.newestKey(ctx)
	return cmp.Or(f.SigningAlg, r.Algorithm, f.algorithm())
}

// newestKey is the key that signs last of those that sign now or will.
func (s *storage) newestKey(ctx context.Context) (r keyring.Record, ok bool) {
	for _, r := range slices.Backward(s.keys.Records(ctx)) {
		if len(r.Sealed) > 0 && r.RetiresAt.IsZero() {
			return r, true
		}
	}
	return r, false
}

// beginKeys creates the first signing key where there is none.
func (s *storage) beginKeys(ctx context.Context, f signingFlags, log *slog.Logger) error {
	if err := s.keys.Begin(ctx, f.algorithm()); err != nil {
		return err
	}
	s.warnAlgorithm(ctx, f, log)
	return nil
}

// warnAlgorithm tells that the setting changes nothing: it is for new keys, and the
// newest one is of another algorithm.
func (s *storage) warnAlgorithm(ctx context.Context, f signingFlags, log *slog.Logger) {
	r, ok := s.newestKey(ctx)
	if ok && f.SigningAlg != "" && f.SigningAlg != r.Algorithm {
		log.Warn(fmt.Sprintf("--signing-alg is for new keys, and the key in use is another one: latchkey keys rotate --signing-alg %s makes the next", f.SigningAlg),
			slog.String("signing_alg", string(f.SigningAlg)), slog.String("key_alg", string(r.Algorithm)), slog.String("kid", r.ID))
	}
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

// storage is the opened database with the keys that it holds.
type storage struct {
	*sqlstore.Store
	keys   *keyring.Keyring
	master keyring.MasterKey
}

// open opens a data directory of either kind, see openKind.
func (f dataFlags) open(ctx context.Context, create bool, ttl time.Duration, log *slog.Logger) (*storage, error) {
	return f.openKind(ctx, "", create, ttl, log)
}

// openKind opens a data directory that is marked with the kind; one of another it
// refuses before it touches anything. With create it makes what is missing: the
// directory, the database, the master key. ttl is how long the tokens live that
// keys have signed: a key that is replaced verifies for as long.
func (f dataFlags) openKind(ctx context.Context, kind sqlstore.Kind, create bool, ttl time.Duration, log *slog.Logger) (*storage, error) {
	if err := f.checkOwnMasterKey(create); err != nil {
		return nil, err
	}
	path := sqlstore.Memory
	if f.Data != sqlstore.Memory {
		path = f.database()
		if create {
			if err := makeDataDirectory(f.Data); err != nil {
				return nil, fmt.Errorf("creating the data directory: %w", err)
			}
		}
	}
	store, err := sqlstore.OpenKind(ctx, path, create || path == sqlstore.Memory, kind)
	var other *sqlstore.KindError
	switch {
	case errors.Is(err, sqlstore.ErrNoDatabase):
		return nil, f.noDatabase()
	case errors.As(err, &other):
		return nil, f.explainKind(other)
	case err != nil:
		return nil, err
	}
	if kind != "" && f.Data != sqlstore.Memory {
		if err := checkDatabaseFiles(path); err != nil {
			store.Close()
			return nil, err
		}
		warnFileSystem(log, f.Data, sharedFileSystem(f.Data))
	}
	master, err := f.masterKey(ctx, store, create)
	if err != nil {
		store.Close()
		return nil, err
	}
	keys, err := keyring.Open(ctx, keyring.Config{Store: store, MasterKey: master, TokenTTL: ttl, Log: log})
	if err != nil {
		store.Close()
		if errors.Is(err, keyring.ErrMasterKey) {
			err = fmt.Errorf("%w; give the one it was created with by LATCHKEY_MASTER_KEY or --master-key-file", err)
		}
		return nil, err
	}
	return &storage{store, keys, master}, nil
}

// makeDataDirectory makes the directory for its owner alone. In one that it makes,
// git finds nothing to commit.
func makeDataDirectory(dir string) error {
	if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	f, err := os.OpenFile(filepath.Join(dir, ".gitignore"), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) { // by another process
		return nil
	}
	if err != nil {
		return err
	}
	_, err = f.WriteString("*\n")
	return errors.Join(err, f.Close())
}

// warnFileSystem tells of a file system on which a database can be damaged.
func warnFileSystem(log *slog.Logger, dir, name string) {
	if name != "" {
		log.Warn("the data directory is on "+name+", where SQLite can lose or damage data: its locks need a disk of this machine; name a directory on one with --data",
			slog.String("data", dir), slog.String("file_system", name))
	}
}

// masterKey finds the key: in the environment, in the named file, in the data
// directory, where create makes one unless the database was written under
// another.
func (f dataFlags) masterKey(ctx context.Context, store *sqlstore.Store, create bool) (keyring.MasterKey, error) {
	inline := os.Getenv("LATCHKEY_MASTER_KEY")
	switch {
	case inline != "" && f.MasterKeyFile != "":
		return keyring.MasterKey{}, usagef("LATCHKEY_MASTER_KEY and --master-key-file are both given; keep one")
	case inline != "":
		key, err := keyring.ParseMasterKey(inline)
		if err != nil {
			return key, fmt.Errorf("LATCHKEY_MASTER_KEY: %w", err)
		}
		return key, nil
	case f.MasterKeyFile != "":
		return readMasterKey(f.MasterKeyFile)
	case f.Data == sqlstore.Memory:
		return keyring.NewMasterKey(), nil
	}
	path := filepath.Join(f.Data, "master.key")
	key, err := readOwnMasterKey(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return key, err
	}
	keys, err := store.Keys(ctx)
	if err != nil {
		return key, err
	}
	if create && len(keys) == 0 {
		return createMasterKey(path)
	}
	// Another process may have made it, and then the keys, since we looked.
	if key, err = readOwnMasterKey(path); errors.Is(err, fs.ErrNotExist) {
		err = fmt.Errorf("there is no master key: %s is missing; put it back, or give it by LATCHKEY_MASTER_KEY or --master-key-file", path)
	}
	return key, err
}

// checkOwnMasterKey refuses a data directory whose master key others can read or
// replace before there is a database in it, or a newer schema. Where there is no key
// yet and create is about to make it, the directory alone counts.
func (f dataFlags) checkOwnMasterKey(create bool) error {
	if f.Data == sqlstore.Memory || f.MasterKeyFile != "" || os.Getenv("LATCHKEY_MASTER_KEY") != "" {
		return nil
	}
	path := filepath.Join(f.Data, "master.key")
	err := checkSecretFile(path)
	if create && errors.Is(err, fs.ErrNotExist) {
		err = checkSecretDirectory(path)
	}
	if err == nil || errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return fmt.Errorf("the master key: %w", err)
}

// readOwnMasterKey reads the file in the data directory. Another one may be a
// secret that an orchestrator shows to everybody in the container.
func readOwnMasterKey(path string) (keyring.MasterKey, error) {
	if err := checkSecretFile(path); err != nil {
		return keyring.MasterKey{}, fmt.Errorf("the master key: %w", err)
	}
	return readMasterKey(path)
}

func readMasterKey(path string) (keyring.MasterKey, error) {
	text, err := textfile.ReadFile(path)
	if err != nil {
		return keyring.MasterKey{}, fmt.Errorf("reading the master key: %w", err)
	}
	key, err := keyring.ParseMasterKey(string(text))
	if err != nil {
		return key, fmt.Errorf("%s: %w", path, err)
	}
	return key, nil
}

// createMasterKey never replaces a file: two processes may start at once, and
// the loser takes the winner's key. The key is written aside first, so that
// nobody ever reads half of it.
func createMasterKey(path string) (keyring.MasterKey, error) {
	temp, err := os.CreateTemp(filepath.Dir(path), ".master.key-*") // 0600
	if err != nil {
		return keyring.MasterKey{}, fmt.Errorf("creating the master key: %w", err)
	}
	defer os.Remove(temp.Name())
	_, err = temp.WriteString(keyring.NewMasterKey().Encode() + "\n")
	if err = errors.Join(err, temp.Sync(), temp.Close()); err != nil {
		return keyring.MasterKey{}, fmt.Errorf("writing the master key: %w", err)
	}
	if err := os.Link(temp.Name(), path); err != nil && !errors.Is(err, fs.ErrExist) {
		return keyring.MasterKey{}, fmt.Errorf("creating the master key: %w", err)
	}
	return readOwnMasterKey(path)
}

// system is the auth service, wired.
type system struct {
	*storage
	service  *auth.Service
	verifier *latchkey.Verifier
	jwks     func(context.Context) []byte
	inbox    *mailer.Inbox // nil: mail is sent, or there is none
	appURL   string        // where the pages lead on to; empty: nowhere
}

// config is what a service on the storage has in any case.
func (s *storage) config(hasher *auth.Hasher) auth.Config {
	return auth.Config{
		Store: s.Store, Signer: s.keys, Hasher: hasher,
		RefreshKey: s.master.RefreshKey(), TicketKey: s.master.TicketKey(), MailKey: s.master.MailKey(),
	}
}

// build wires the service. base is the public URL where none is configured.
// forDemo is for what only this machine can reach: weak secrets are tolerated.
func (s *storage) build(f serviceFlags, base string, forDemo bool, log *slog.Logger) (*system, error) {
	i := f.issueFlags
	hasher, err := auth.NewHasher(f.Argon2)
	if err != nil {
		return nil, err
	}
	public := cmp.Or(i.PublicURL, base)
	issuer := cmp.Or(i.Issuer, public)
	audience := cmp.Or(i.Audience, issuer)
	cfg := s.config(hasher)
	cfg.Issuer, cfg.Audience, cfg.AccessTokenTTL, cfg.PublicURL = issuer, audience, f.value(), public
	if i.Limits == "on" {
		cfg.Limits = &auth.DefaultLimits
	} else {
		log.Warn("limits are off: passwords can be guessed as fast as they can be hashed")
	}
	sys := &system{storage: s, jwks: s.keys.JWKS, appURL: i.AppURL}
	if sys.inbox, err = i.configure(&cfg, f.Data, forDemo, log); err != nil {
		return nil, err
	}
	if secret := os.Getenv(awslambda.EnvSecret); secret != "" {
		cfg.Legacy, cfg.Signer = true, keyring.Secret(secret)
		cfg.Issuer, cfg.Audience = i.Issuer, i.Audience
		sys.jwks = func(context.Context) []byte { return []byte(`{"keys":[]}`) }
		sys.verifier, err = secretVerifier(secret, i, forDemo, log)
	} else {
		sys.verifier, err = latchkey.New(latchkey.Config{Keys: s.keys, Issuer: issuer, Audience: audience})
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

// handler is the service over HTTP.
func (s *system) handler(h httpFlags, log, access *slog.Logger) (http.Handler, error) {
	return web.New(web.Config{
		Service: s.service, Verifier: s.verifier, JWKS: s.jwks, ServiceName: serviceName(s.service.PublicURL), AppURL: s.appURL, JWKSMaxAge: int(keyring.JWKSMaxAge / time.Second),
		CORSOrigins: h.CORSOrigins, CORSHeaders: h.CORSHeaders, TrustedProxies: h.TrustedProxies, RequestID: proxy.RequestID, Log: log, AccessLog: access,
	})
}

// loginDefault is what an event without method and path asks for: the old
// system's mocks hold a body and nothing else.
var loginDefault = proxy.Default{Method: "POST", Path: "/login"}

// authFunction is the service as a Lambda function.
func authFunction(h http.Handler, cfg proxy.Config) gateway.Function {
	cfg.Default = loginDefault
	return proxy.Handler(h, cfg)
}
