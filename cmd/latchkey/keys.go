package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/latchkey-auth/latchkey"
	"github.com/latchkey-auth/latchkey/internal/app"
	"github.com/latchkey-auth/latchkey/internal/awslambda"
	"github.com/latchkey-auth/latchkey/internal/issuers"
	"github.com/latchkey-auth/latchkey/internal/issuers/remote"
	"github.com/latchkey-auth/latchkey/internal/keyring"
	"github.com/latchkey-auth/latchkey/internal/setting"
	"github.com/latchkey-auth/latchkey/internal/textfile"
)

type keysCmd struct {
	List   keysListCmd   `cmd:"" help:"List signing keys and where they stand in their life."`
	Rotate keysRotateCmd `cmd:"" help:"Create the next signing key: published at once, signing when every cache has it."`
	Import keysImportCmd `cmd:"" help:"Add a key from elsewhere (PEM or JWK): a private one signs next, a public one only verifies."`
	Export keysExportCmd `cmd:"" help:"Print the public key set (JWKS)."`

	SealMaster keysSealMasterCmd `cmd:"" help:"Seal the master key by a key of KMS, and print what LATCHKEY_MASTER_KEY takes in its place."`
}

// keyView is a key as people and machines may see it.
type keyView struct {
	ID        string             `json:"kid"`
	Algorithm latchkey.Algorithm `json:"alg"`
	State     keyring.State      `json:"state"`
	CreatedAt time.Time          `json:"created_at"`
	ActiveAt  time.Time          `json:"active_at"`
	RetiresAt *time.Time         `json:"retires_at"`
	ExpiresAt *time.Time         `json:"expires_at"`
}

func viewKey(k *keyring.Keyring, r keyring.Record) keyView {
	moment := func(t time.Time) *time.Time {
		if t.IsZero() {
			return nil
		}
		t = t.UTC()
		return &t
	}
	return keyView{r.ID, r.Algorithm, k.State(r), r.CreatedAt.UTC(), r.ActiveAt.UTC(), moment(r.RetiresAt), moment(r.ExpiresAt)}
}

// printLine writes a value as one line of JSON.
func printLine(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	return e.Encode(v)
}

type keysListCmd struct {
	JSON bool `help:"Print one JSON object per line."`
	dataFlags
}

func (c *keysListCmd) Run(ctx context.Context, p *process) error {
	s, err := c.open(ctx, p.logger())
	if err != nil {
		return err
	}
	defer s.Close()
	t := p.newTable(keysColumns)
	for _, r := range s.Keyring.Records(ctx) {
		v := viewKey(s.Keyring, r)
		if c.JSON {
			if err := printLine(p.stdout, v); err != nil {
				return err
			}
			continue
		}
		until := "-"
		if v.ExpiresAt != nil {
			until = v.ExpiresAt.Format(time.RFC3339)
		}
		from := v.ActiveAt.Format(time.RFC3339)
		if v.RetiresAt != nil && !v.RetiresAt.After(v.ActiveAt) {
			from = "-" // it never did, and will not
		}
		t.add(v.ID, string(v.Algorithm), string(v.State), from, until)
	}
	if c.JSON {
		return nil
	}
	return t.flush()
}

// keysColumns: no command takes a kid, so that a part of it is enough to tell keys
// apart.
var keysColumns = []column{{title: "KID", min: 8}, {title: "ALG"}, {title: "STATE"}, {title: "SIGNS FROM", yields: 1}, {title: "VERIFIES UNTIL"}}

type keysRotateCmd struct {
	Now    bool `help:"Sign with the new key at once. Verifiers that cached the old key set refuse its tokens until they fetch again."`
	Revoke bool `help:"For keys that may have leaked: like --now, and the old keys stop verifying at once. Tokens signed by them are refused; clients refresh or log in again."`
	Yes    bool `help:"Do not ask before --revoke."`
	JSON   bool `help:"Print JSON."`
	dataFlags
	tokenTTL
	signingFlags
}

func (c *keysRotateCmd) Run(ctx context.Context, p *process) error {
	cfg, err := c.config(p.logger())
	if err != nil {
		return err
	}
	cfg.AccessTokenTTL, cfg.SigningAlg = c.AccessTokenTTL, c.SigningAlg
	s, err := app.Open(ctx, cfg)
	if err != nil {
		return c.explain(err)
	}
	defer s.Close()
	how := rotation(c.Now)
	var old []string
	if c.Revoke {
		how = keyring.Revoking
		old = goodKeys(ctx, s.Keyring)
		question := fmt.Sprintf("Revoke %s (%s)? Every access token signed by them is refused at once.", count(len(old), "key"), strings.Join(old, ", "))
		if err := p.confirm(c.Yes, question); err != nil {
			return err
		}
	}
	r, err := s.Keyring.Rotate(ctx, s.NextAlgorithm(ctx), how)
	if errors.Is(err, keyring.ErrExists) {
		return errors.New("somebody else is rotating keys just now; see `latchkey keys list`")
	}
	if err != nil {
		return err
	}
	if err := p.showKey(s.Keyring, r, c.JSON); err != nil || c.JSON {
		return err
	}
	if c.Revoke {
		fmt.Fprintf(p.stdout, "revoked: %s; access tokens signed by them are refused within 10 s, sessions go on and refresh\n", strings.Join(old, ", "))
	}
	by := ""
	if how == keyring.Planned {
		by = ", before then"
	}
	_, err = fmt.Fprintf(p.stdout, "next: give the authorizer on Lambda, which holds a copy of the key set, what `latchkey keys export%s` prints%s\n", c.again(), by)
	return err
}

// goodKeys are the ids of those that sign or verify.
func goodKeys(ctx context.Context, k *keyring.Keyring) (ids []string) {
	for _, r := range k.Records(ctx) {
		if k.State(r) != keyring.Expired {
			ids = append(ids, r.ID)
		}
	}
	return ids
}

func rotation(now bool) keyring.Rotation {
	if now {
		return keyring.AtOnce
	}
	return keyring.Planned
}

func (p *process) showKey(k *keyring.Keyring, r keyring.Record, asJSON bool) error {
	v := viewKey(k, r)
	if asJSON {
		return printLine(p.stdout, v)
	}
	what := "signs from " + v.ActiveAt.Format(time.RFC3339) + " on"
	if len(r.Sealed) == 0 {
		what = "verifies"
		if v.ExpiresAt != nil {
			what += " until " + v.ExpiresAt.Format(time.RFC3339)
		}
	}
	_, err := fmt.Fprintf(p.stdout, "%s key %s is published and %s\n", v.Algorithm, v.ID, what)
	return err
}

type keysImportCmd struct {
	File      string        `arg:"" help:"File of the key, PEM or JWK; - is standard input."`
	Now       bool          `help:"Sign with a private key at once, see rotate."`
	VerifyFor time.Duration `help:"How long a public key verifies: as long as the last token that was signed by it lives (${default})." default:"336h" placeholder:"DURATION"`
	JSON      bool          `help:"Print JSON."`
	dataFlags
}

func (c *keysImportCmd) Run(ctx context.Context, p *process) error {
	doc, err := p.readInput(c.File)
	if err != nil {
		return fmt.Errorf("reading the key: %w", err)
	}
	s, err := c.open(ctx, p.logger())
	if err != nil {
		return err
	}
	defer s.Close()
	r, err := s.Keyring.Import(ctx, doc, rotation(c.Now), time.Now().Add(c.VerifyFor))
	if errors.Is(err, keyring.ErrExists) {
		return errors.New("this key is here already; see `latchkey keys list`")
	}
	if err != nil {
		return fmt.Errorf("%s: %w", c.File, err)
	}
	return p.showKey(s.Keyring, r, c.JSON)
}

type keysExportCmd struct {
	dataFlags
}

func (c *keysExportCmd) Run(ctx context.Context, p *process) error {
	s, err := c.open(ctx, p.logger())
	if err != nil {
		return err
	}
	defer s.Close()
	_, err = fmt.Fprintf(p.stdout, "%s\n", s.Keyring.JWKS(ctx))
	return err
}

type tokenCmd struct {
	Verify tokenVerifyCmd `cmd:"" help:"Verify a token: print its claims, or which check it fails and exit 1."`
}

type tokenVerifyCmd struct {
	Token string `arg:"" optional:"" help:"The token; - (default) reads it from standard input, where no process list shows it." default:"-"`
	verifierFlags
}

// verifierFlags say by which keys tokens are verified, and whose they must be.
type verifierFlags struct {
	JWKS      string `name:"jwks" help:"File of the key set. Default: the keys in the data directory." type:"path" placeholder:"FILE"`
	SecretEnv string `help:"Variable that holds the secret of HS256 tokens. Default: TOKEN_SECRET, if that is set." placeholder:"NAME"`
	dataFlags
	Issuer    string `help:"iss that the token must have; required unless a secret is used." env:"LATCHKEY_ISSUER" placeholder:"URL"`
	Audience  string `help:"aud that the token must have. Default: the issuer." env:"LATCHKEY_AUDIENCE" placeholder:"NAME"`
	PublicURL string `name:"public-url" hidden:"" env:"LATCHKEY_PUBLIC_URL"`
}

// readToken takes a token from an argument, or from standard input for "-", with or
// without the scheme before it.
func (p *process) readToken(token string) (string, error) {
	if token == "-" {
		doc, err := io.ReadAll(io.LimitReader(p.stdin, 1<<20))
		if err != nil {
			return "", fmt.Errorf("reading the token: %w", err)
		}
		token = strings.TrimSpace(string(doc))
	}
	if len(token) > 7 && strings.EqualFold(token[:7], "bearer ") {
		token = strings.TrimLeft(token[7:], " ")
	}
	return token, nil
}

func (c *tokenVerifyCmd) Run(ctx context.Context, p *process) error {
	token, err := p.readToken(c.Token)
	if err != nil {
		return err
	}
	verifier, done, err := c.verifier(ctx, p)
	if err != nil {
		return err
	}
	defer done()
	claims, err := verifier.Verify(ctx, token)
	if errors.Is(err, latchkey.ErrInvalidToken) {
		return err
	}
	if err != nil {
		return fmt.Errorf("the token could not be checked: %w", err)
	}
	return printJSON(p.stdout, json.RawMessage(claims.Payload()))
}

// verifier finds the keys: a secret, a file, or the data directory.
func (c *verifierFlags) verifier(ctx context.Context, p *process) (*latchkey.Verifier, func(), error) {
	none := func() {}
	issuer := cmp.Or(c.Issuer, c.PublicURL)
	cfg := latchkey.Config{Issuer: issuer, Audience: cmp.Or(c.Audience, issuer), CacheSize: -1}
	var err error
	if cfg.Issuers, err = issuers.Verified(p.config.issuers, remote.Keys(p.logger(), true)); err != nil {
		return nil, none, err
	}
	variable := c.SecretEnv
	if variable == "" && c.JWKS == "" && compatible() {
		variable = awslambda.EnvSecret
	}
	if variable != "" {
		if c.JWKS != "" {
			return nil, none, usagef("--jwks and --secret-env exclude each other: a token is signed by one or the other")
		}
		secret := os.Getenv(variable)
		if secret == "" {
			return nil, none, usagef("the variable %s is not set", variable)
		}
		if err := setting.Check(variable, secret); err != nil {
			return nil, none, err
		}
		key, err := latchkey.NewInsecureHMACKey("", []byte(secret))
		if err != nil {
			return nil, none, err
		}
		cfg.Legacy = true
		if cfg.Keys, err = latchkey.NewKeySet(key); err != nil {
			return nil, none, err
		}
		v, err := latchkey.New(cfg)
		return v, none, err
	}
	if issuer == "" && len(cfg.Issuers) > 0 && c.JWKS == "" {
		v, err := latchkey.New(latchkey.Config{Issuers: cfg.Issuers, CacheSize: -1})
		return v, none, err
	}
	if issuer == "" {
		return nil, none, usagef("--issuer is missing: it must be the token's iss, exactly (and --audience, unless it is the same)")
	}
	if c.JWKS != "" {
		doc, err := textfile.ReadFile(c.JWKS)
		if err != nil {
			return nil, none, fmt.Errorf("reading the key set: %w", err)
		}
		keys, err := latchkey.ParseJWKS(doc)
		if err != nil {
			return nil, none, fmt.Errorf("%s: %w", c.JWKS, err)
		}
		for _, skipped := range keys.Skipped() {
			fmt.Fprintf(p.stderr, "%s: %s; skipped\n", c.JWKS, skipped)
		}
		cfg.Keys = keys
		v, err := latchkey.New(cfg)
		return v, none, err
	}
	s, err := c.open(ctx, p.logger())
	if err != nil {
		return nil, none, err
	}
	cfg.Keys = s.Keyring
	v, err := latchkey.New(cfg)
	return v, func() { s.Close() }, err
}
