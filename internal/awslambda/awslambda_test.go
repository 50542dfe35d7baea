package awslambda_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/latchkey-auth/latchkey"
	"github.com/latchkey-auth/latchkey/internal/awslambda"
	"github.com/latchkey-auth/latchkey/internal/gateway"
	"github.com/latchkey-auth/latchkey/internal/issuers"
)

const (
	issuer = "https://auth.example.com"
	strong = "mZ4-qT7_wX2.bN9~kR5vY8pL1cF6hJ3dS0gA" // strong enough, and no secret
)

// signer is the key of the tests, made of a known seed.
var signer = ed25519.NewKeyFromSeed(bytes.Repeat([]byte{7}, ed25519.SeedSize))

var b64 = base64.RawURLEncoding

func signingInput(header string, claims map[string]any) string {
	now := time.Now().Unix()
	all := map[string]any{"sub": "user-1", "iat": now, "exp": now + 600}
	for name, value := range claims {
		all[name] = value
	}
	payload, err := json.Marshal(all)
	if err != nil {
		panic(err)
	}
	return b64.EncodeToString([]byte(header)) + "." + b64.EncodeToString(payload)
}

// legacyToken is one of the HS256 compatibility mode.
func legacyToken(secret string) string {
	input := signingInput(`{"alg":"HS256","typ":"JWT"}`, nil)
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(input))
	return input + "." + b64.EncodeToString(mac.Sum(nil))
}

func token(aud string) string {
	input := signingInput(`{"alg":"EdDSA","kid":"k","typ":"at+jwt"}`, map[string]any{"iss": issuer, "aud": aud})
	return input + "." + b64.EncodeToString(ed25519.Sign(signer, []byte(input)))
}

func keySet(t *testing.T) string {
	t.Helper()
	key, err := latchkey.NewEd25519Key("k", signer.Public().(ed25519.PublicKey))
	if err != nil {
		t.Fatal(err)
	}
	keys, err := latchkey.NewKeySet(key)
	if err != nil {
		t.Fatal(err)
	}
	return string(keys.JWKS())
}

func tokenEvent(token string) []byte {
	return fmt.Appendf(nil, `{"type":"TOKEN","authorizationToken":"Bearer %s","methodArn":"arn:aws:execute-api:us-east-1:123456789012:abcdef1234/prod/GET/me"}`, token)
}

func file(t *testing.T, name, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func routesFile(t *testing.T) string {
	t.Helper()
	return file(t, "routes.json", `{"version":1,"routes":[{"route":"GET /me","to":"me"}]}`)
}

// environ is what the process finds in its environment.
type environ map[string]string

func (e environ) get(name string) string { return e[name] }

// TestUnusableKeysAreLoggedAtTheStart, and the others serve.
func TestUnusableKeysAreLoggedAtTheStart(t *testing.T) {
	set := strings.Replace(keySet(t), `{"keys":[`, `{"keys":[{"kty":"EC","crv":"P-256","kid":"half"},`, 1)
	var lines bytes.Buffer
	log, err := awslambda.NewLogger(&lines, "", "")
	if err != nil {
		t.Fatal(err)
	}
	env := environ{"LATCHKEY_JWKS": set, "LATCHKEY_ISSUER": issuer, "LATCHKEY_ROUTES_FILE": routesFile(t)}
	a, err := awslambda.Authorizer(env.get, log, awslambda.Remote{})
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(lines.String(), "is skipped"); n != 1 || !strings.Contains(lines.String(), `(kid \"half\")`) {
		t.Errorf("logged %s, want the skipped key once", lines.String())
	}
	if _, err := a.Handle(t.Context(), tokenEvent(token(issuer))); err != nil {
		t.Errorf("a token of the good key: %v", err)
	}
}

// TestOwnKeysAreFetched from the address, with what is in the zip to begin with.
func TestOwnKeysAreFetched(t *testing.T) {
	const address = "https://auth.example.com/.well-known/jwks.json"
	env := environ{"LATCHKEY_JWKS_URL": address, "LATCHKEY_JWKS_FILE": file(t, "jwks.json", "packed"), "LATCHKEY_ISSUER": issuer, "LATCHKEY_ROUTES_FILE": routesFile(t)}
	if _, err := awslambda.Authorizer(env.get, nil, awslambda.Remote{}); err == nil || !strings.Contains(err.Error(), "authorizer-remote") {
		t.Errorf("a bootstrap without connections: %v", err)
	}
	var asked issuers.Issuer
	remote := awslambda.Remote{Keys: func(*slog.Logger) issuers.KeySource {
		return func(i issuers.Issuer) (latchkey.KeySet, error) {
			asked = i
			return latchkey.ParseJWKS([]byte(keySet(t)))
		}
	}}
	a, err := awslambda.Authorizer(env.get, nil, remote)
	if err != nil {
		t.Fatal(err)
	}
	if asked.JWKSURI != address || string(asked.JWKS) != "packed" || asked.Pinned || asked.AllowPrivate {
		t.Errorf("asked for %+v", asked)
	}
	env["LATCHKEY_JWKS_ALLOW_PRIVATE"] = "true"
	if _, err := awslambda.Authorizer(env.get, nil, remote); err != nil || !asked.AllowPrivate {
		t.Errorf("in a network of one's own: asked for %+v, %v", asked, err)
	}
	if _, err := a.Handle(t.Context(), tokenEvent(token(issuer))); err != nil {
		t.Error(err)
	}
	if _, err := a.Handle(t.Context(), tokenEvent(token("https://other.example"))); !errors.Is(err, gateway.ErrUnauthorized) {
		t.Errorf("a token for others: %v", err)
	}
}

func TestAuthorizerFromTheEnvironment(t *testing.T) {
	jwks := keySet(t)
	tests := map[string]struct {
		env      environ
		good     string
		refusals []string
	}{
		"a secret":       {environ{"TOKEN_SECRET": strong}, legacyToken(strong), []string{legacyToken(strong + "x"), token(issuer)}},
		"keys":           {environ{"LATCHKEY_JWKS": jwks, "LATCHKEY_ISSUER": issuer}, token(issuer), []string{legacyToken(strong), token("https://other.example")}},
		"keys in a file": {environ{"LATCHKEY_JWKS_FILE": file(t, "jwks.json", jwks), "LATCHKEY_ISSUER": issuer}, token(issuer), []string{token("x")}},
		"an audience": {environ{"LATCHKEY_JWKS": jwks, "LATCHKEY_ISSUER": issuer, "LATCHKEY_AUDIENCE": "https://api.example.com"},
			token("https://api.example.com"), []string{token(issuer)}},
		"another issuer": {environ{"LATCHKEY_JWKS": jwks, "LATCHKEY_ISSUER": issuer + "/", "LATCHKEY_AUDIENCE": issuer}, "", []string{token(issuer)}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			test.env["LATCHKEY_ROUTES_FILE"] = routesFile(t)
			a, err := awslambda.Authorizer(test.env.get, nil, awslambda.Remote{})
			if err != nil {
				t.Fatal(err)
			}
			if test.good != "" {
				out, err := a.Handle(t.Context(), tokenEvent(test.good))
				if err != nil || !strings.Contains(string(out), `"arn:aws:execute-api:us-east-1:123456789012:abcdef1234/prod/GET/me"`) {
					t.Errorf("answer %s, error %v", out, err)
				}
			}
			for _, bad := range test.refusals {
				if out, err := a.Handle(t.Context(), tokenEvent(bad)); !errors.Is(err, gateway.ErrUnauthorized) {
					t.Errorf("answer %s, error %v, want Unauthorized", out, err)
				}
			}
		})
	}
}

// TestAuthorizerWhileMoving: from a secret to keys, with an end for the secret.
func TestAuthorizerWhileMoving(t *testing.T) {
	for until, old := range map[string]bool{"2999-12-31": true, "2999-12-31T18:00:00+02:00": true, "2001-01-01": false} {
		env := environ{"TOKEN_SECRET": strong, "TOKEN_SECRET_ACCEPT_UNTIL": until, "LATCHKEY_JWKS": keySet(t), "LATCHKEY_ISSUER": issuer, "LATCHKEY_ROUTES_FILE": routesFile(t)}
		a, err := awslambda.Authorizer(env.get, nil, awslambda.Remote{})
		if err != nil {
			t.Fatal(err)
		}
		for tok, good := range map[string]bool{token(issuer): true, legacyToken(strong): old, legacyToken(strong + "x"): false, token("https://other.example"): false} {
			_, err := a.Handle(t.Context(), tokenEvent(tok))
			if (err == nil) != good || err != nil && !errors.Is(err, gateway.ErrUnauthorized) {
				t.Errorf("until %s: error %v, want good: %v", until, err, good)
			}
		}
	}
}

func TestAuthorizerLooksForTheTableBesideItself(t *testing.T) {
	t.Chdir(filepath.Dir(routesFile(t)))
	if _, err := awslambda.Authorizer(environ{"TOKEN_SECRET": strong}.get, nil, awslambda.Remote{}); err != nil {
		t.Error(err)
	}
}

// A message that does not say what to do leaves its reader with a Lambda that
// does not start.
func TestAuthorizerConfigurationErrors(t *testing.T) {
	jwks, routes := keySet(t), routesFile(t)
	tests := map[string]struct {
		env  environ
		says []string
	}{
		"nothing":                 {environ{}, []string{"no keys", "set TOKEN_SECRET", "LATCHKEY_JWKS to the document that `latchkey keys export` prints", "LATCHKEY_JWKS_FILE"}},
		"a secret and keys":       {environ{"TOKEN_SECRET": strong, "LATCHKEY_JWKS": jwks}, []string{"TOKEN_SECRET and a JWKS are both set", "unset one"}},
		"a secret and a file":     {environ{"TOKEN_SECRET": strong, "LATCHKEY_JWKS_FILE": "x"}, []string{"TOKEN_SECRET and a JWKS are both set", "unset one"}},
		"an end and no secret":    {environ{"TOKEN_SECRET_ACCEPT_UNTIL": "2999-12-31", "LATCHKEY_JWKS": jwks, "LATCHKEY_ISSUER": issuer}, []string{"TOKEN_SECRET is not", "unset it"}},
		"an end and no keys":      {environ{"TOKEN_SECRET": strong, "TOKEN_SECRET_ACCEPT_UNTIL": "2999-12-31", "LATCHKEY_ISSUER": issuer}, []string{"no keys"}},
		"an end that is none":     {environ{"TOKEN_SECRET": strong, "TOKEN_SECRET_ACCEPT_UNTIL": "31.12.2999", "LATCHKEY_JWKS": jwks, "LATCHKEY_ISSUER": issuer}, []string{"must be a day like"}},
		"an end of a weak one":    {environ{"TOKEN_SECRET": "secret", "TOKEN_SECRET_ACCEPT_UNTIL": "2999-12-31", "LATCHKEY_JWKS": jwks, "LATCHKEY_ISSUER": issuer}, []string{"TOKEN_SECRET is refused"}},
		"keys twice":              {environ{"LATCHKEY_JWKS": jwks, "LATCHKEY_JWKS_FILE": "x", "LATCHKEY_ISSUER": issuer}, []string{"are both set; unset one"}},
		"keys by address":         {environ{"LATCHKEY_JWKS": "https://auth.example.com/jwks.json", "LATCHKEY_ISSUER": issuer}, []string{"LATCHKEY_JWKS holds the key set itself, not its address", "LATCHKEY_JWKS_FILE"}},
		"keys by address, plain":  {environ{"LATCHKEY_JWKS": "http://auth.example.com/jwks.json", "LATCHKEY_ISSUER": issuer}, []string{"not its address"}},
		"keys that are none":      {environ{"LATCHKEY_JWKS": "{}", "LATCHKEY_ISSUER": issuer}, []string{"LATCHKEY_JWKS: ", `no member "keys"`}},
		"a file that is missing":  {environ{"LATCHKEY_JWKS_FILE": "missing.json", "LATCHKEY_ISSUER": issuer}, []string{"reading LATCHKEY_JWKS_FILE", "missing.json"}},
		"a file without keys":     {environ{"LATCHKEY_JWKS_FILE": routes, "LATCHKEY_ISSUER": issuer}, []string{"routes.json: ", `no member "keys"`}},
		"private keys":            {environ{"LATCHKEY_JWKS": `{"keys":[{"kty":"OKP","crv":"Ed25519","x":"AA","d":"AA"}]}`, "LATCHKEY_ISSUER": issuer}, []string{"publish public keys only"}},
		"private, and no address": {environ{"LATCHKEY_JWKS": jwks, "LATCHKEY_ISSUER": issuer, "LATCHKEY_JWKS_ALLOW_PRIVATE": "true"}, []string{"no key set is fetched", "set LATCHKEY_JWKS_URL"}},
		"neither true nor false":  {environ{"LATCHKEY_JWKS": jwks, "LATCHKEY_ISSUER": issuer, "LATCHKEY_JWKS_ALLOW_PRIVATE": "yes"}, []string{"must be true or false"}},
		"no issuer":               {environ{"LATCHKEY_JWKS": jwks}, []string{"LATCHKEY_ISSUER is not set", "must be the iss of the tokens"}},
		"no table":                {environ{"TOKEN_SECRET": strong, "LATCHKEY_ROUTES_FILE": "missing.json"}, []string{"reading the route table", "missing.json", "`latchkey routes compile`"}},
		"a table that is none":    {environ{"TOKEN_SECRET": strong, "LATCHKEY_ROUTES_FILE": file(t, "other.json", jwks)}, []string{"other.json: ", "unknown member"}},
		"a table of the future":   {environ{"TOKEN_SECRET": strong, "LATCHKEY_ROUTES_FILE": file(t, "v2.json", `{"version":2,"routes":[]}`)}, []string{"version 2: must be 1; compile it again"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if test.env["LATCHKEY_ROUTES_FILE"] == "" {
				test.env["LATCHKEY_ROUTES_FILE"] = routes
			}
			_, err := awslambda.Authorizer(test.env.get, nil, awslambda.Remote{})
			if err == nil {
				t.Fatal("taken")
			}
			for _, part := range test.says {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("error %q does not say %q", err, part)
				}
			}
		})
	}
}

func TestWeakSecretsAreRefused(t *testing.T) {
	for name, secret := range map[string]string{
		"short":                  "hunter2",
		"31 bytes":               "kJ8#mQ2$vX5&zL9!pR4@wT7%yN1^bC3",
		"the sample's own":       `D5\x12\x03\xaa\xe6\x97\xe6\x1b\x9cjT~\x0c\x1f\xffg\xe1O\xef\xbeL\xc6\n`,
		"jwt.io":                 "your-256-bit-secret",
		"jwt.io, longer":         "a-string-secret-at-least-256-bits-long",
		"a framework's default":  "super-secret-jwt-token-with-at-least-32-characters-long",
		"RFC 7515":               "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow",
		"one character repeated": strings.Repeat("a", 64),
	} {
		t.Run(name, func(t *testing.T) {
			_, err := awslambda.Authorizer(environ{"TOKEN_SECRET": secret, "LATCHKEY_ROUTES_FILE": routesFile(t)}.get, nil, awslambda.Remote{})
			if err == nil {
				t.Fatal("taken")
			}
			for _, part := range []string{"TOKEN_SECRET is refused", "openssl rand -base64 48"} {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("error %q does not say %q", err, part)
				}
			}
			if strings.Contains(err.Error(), secret) {
				t.Errorf("error %q holds the secret", err)
			}
		})
	}
}

func TestNewLogger(t *testing.T) {
	tests := map[string]struct{ name, level, service, written string }{
		"defaults":        {"", "", "latchkey", "iwe"},
		"its own name":    {"shop", "info", "shop", "iwe"},
		"everything":      {"", "DEBUG", "latchkey", "diwe"},
		"only what fails": {"", "error", "latchkey", "e"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			log, err := awslambda.NewLogger(&out, test.name, test.level)
			if err != nil {
				t.Fatal(err)
			}
			log.DebugContext(context.Background(), "d")
			log.Info("i")
			log.Warn("w")
			log.Error("e")
			var written string
			for line := range strings.Lines(out.String()) {
				var m struct{ Msg, Service string }
				if err := json.Unmarshal([]byte(line), &m); err != nil || m.Service != test.service {
					t.Errorf("line %s (%v), want one of the service %s", line, err, test.service)
				}
				written += m.Msg
			}
			if written != test.written {
				t.Errorf("%q was written, want %q", written, test.written)
			}
		})
	}
	if _, err := awslambda.NewLogger(&bytes.Buffer{}, "", "loud"); err == nil || !strings.Contains(err.Error(), "must be debug, info, warn or error") {
		t.Errorf("level loud: error %v", err)
	}
}
