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

	"github.com/latchkey-auth/latchkey"
	"github.com/latchkey-auth/latchkey/internal/awslambda"
	"github.com/latchkey-auth/latchkey/internal/issuers"
	"github.com/latchkey-auth/latchkey/internal/issuers/remote"
	"github.com/latchkey-auth/latchkey/internal/setting"
	"github.com/latchkey-auth/latchkey/internal/textfile"
)

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
