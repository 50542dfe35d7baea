package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/latchkey-auth/latchkey"
	"github.com/latchkey-auth/latchkey/internal/issuers"
)

// outsideIssuer is another issuer at an address of its own, whose key can change.
type outsideIssuer struct {
	*httptest.Server
	mu   sync.Mutex
	kid  string            // guarded by mu
	key  *ecdsa.PrivateKey // guarded by mu
	asks int               // for the key set; guarded by mu
}

func startOutsideIssuer(t *testing.T) *outsideIssuer {
	t.Helper()
	o := &outsideIssuer{}
	o.rotate(t, "first")
	mux := http.NewServeMux()
	mux.HandleFunc("GET /.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, `{"issuer":%q,"jwks_uri":%q}`, o.URL, o.URL+"/keys")
	})
	mux.HandleFunc("GET /keys", func(w http.ResponseWriter, _ *http.Request) {
		o.mu.Lock()
		o.asks++
		o.mu.Unlock()
		w.Write(o.jwks(t))
	})
	o.Server = httptest.NewServer(mux)
	t.Cleanup(o.Close)
	return o
}

func (o *outsideIssuer) rotate(t *testing.T, kid string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.kid, o.key = kid, key
}

func (o *outsideIssuer) jwks(t *testing.T) []byte {
	o.mu.Lock()
	defer o.mu.Unlock()
	key, err := latchkey.NewECDSAKey(o.kid, &o.key.PublicKey)
	if err != nil {
		t.Error(err)
		return nil
	}
	set, err := latchkey.NewKeySet(key)
	if err != nil {
		t.Error(err)
		return nil
	}
	return set.JWKS()
}

// token is one of RFC 9068 for the audience "shop".
func (o *outsideIssuer) token(t *testing.T, subject, scope string) string {
	t.Helper()
	o.mu.Lock()
	defer o.mu.Unlock()
	encode := func(v any) string {
		doc, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return base64.RawURLEncoding.EncodeToString(doc)
	}
	now := time.Now().Unix()
	input := encode(map[string]any{"alg": "ES256", "typ": "at+jwt", "kid": o.kid}) + "." +
		encode(map[string]any{"iss": o.URL, "aud": "shop", "sub": subject, "client_id": "c", "jti": rand.Text(), "iat": now, "exp": now + 600, "scope": scope})
	digest := sha256.Sum256([]byte(input))
	r, s, err := ecdsa.Sign(rand.Reader, o.key, digest[:])
	if err != nil {
		t.Fatal(err)
	}
	signature := make([]byte, 64)
	r.FillBytes(signature[:32])
	s.FillBytes(signature[32:])
	return input + "." + base64.RawURLEncoding.EncodeToString(signature)
}

const otherRoutes = `{"version":1,"routes":[{"route":"GET /reports","issuers":["outside","second"],"scopes":["reports"],"to":"f"}]}`

// TestOtherIssuersOnLambda: the bootstrap that fetches takes tokens of two issuers whose
// keys change while it runs; equal subjects of both are two principals. The one that
// fetches nothing takes pinned keys, and says so when it starts.
func TestOtherIssuersOnLambda(t *testing.T) {
	outside, second := startOutsideIssuer(t), startOutsideIssuer(t)
	list := []issuers.Issuer{
		{Name: "outside", URL: outside.URL, Profile: "rfc9068", Audiences: []string{"shop"}, Scopes: []string{"reports"}, JWKS: outside.jwks(t), AllowPrivate: true},
		{Name: "second", URL: second.URL, Profile: "rfc9068", Audiences: []string{"shop"}, Scopes: []string{"reports"}, JWKSURI: second.URL + "/keys", JWKS: second.jwks(t), AllowPrivate: true},
	}
	dir := t.TempDir()
	write := func(name string, doc []byte) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), doc, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("routes.json", []byte(otherRoutes))
	write("issuers.json", issuers.JSON(list))
	event := func(token string) string {
		return fmt.Sprintf(`{"type":"TOKEN","authorizationToken":"Bearer %s","methodArn":"arn:aws:execute-api:us-east-1:123456789012:abcdef1234/prod/GET/reports"}`, token)
	}
	api := startBootstrap(t, "authorizer-remote", dir)
	principals := make(map[string]bool)
	for _, kid := range []string{"first", "another"} {
		for _, o := range []*outsideIssuer{outside, second} {
			if kid != "first" {
				o.rotate(t, kid)
			}
			a := api.invoke(t, event(o.token(t, "ada", "reports")))
			var out struct {
				PrincipalID string `json:"principalId"`
			}
			if err := json.Unmarshal(a.body, &out); err != nil || !strings.Contains(string(a.body), `"Effect":"Allow"`) {
				t.Fatalf("key %s: %s %s", kid, a.path, a.body)
			}
			principals[out.PrincipalID] = true
		}
	}
	if len(principals) != 2 || !principals["outside|ada"] || !principals["second|ada"] {
		t.Errorf("principals %v", principals)
	}
	for n := range 20 {
		outside.rotate(t, fmt.Sprint("forged-", n))
		if a := api.invoke(t, event(outside.token(t, "ada", "reports"))); strings.Contains(string(a.body), "Allow") {
			t.Fatalf("%s", a.body)
		}
	}
	outside.mu.Lock()
	if outside.asks > 2 {
		t.Errorf("%d fetches for keys that nobody has", outside.asks)
	}
	outside.mu.Unlock()

	if text := startBootstrap(t, "authorizer", dir).initError(t); !strings.Contains(text, "its keys are to be fetched, which this bootstrap cannot") {
		t.Errorf("it starts with %s", text)
	}
	for i := range list {
		list[i].Pinned, list[i].JWKSURI, list[i].JWKS = true, "", []*outsideIssuer{outside, second}[i].jwks(t)
	}
	write("issuers.json", issuers.JSON(list))
	if a := startBootstrap(t, "authorizer", dir).invoke(t, event(second.token(t, "ada", "reports"))); !strings.Contains(string(a.body), `"principalId":"second|ada"`) {
		t.Errorf("pinned: %s", a.body)
	}
}

// TestBootstrapsAreSmall: every byte is read at each cold start.
func TestBootstrapsAreSmall(t *testing.T) {
	bin, err := buildBootstraps()
	if err != nil {
		t.Fatal(err)
	}
	for name, most := range map[string]int64{"authorizer": 4_000_000, "authorizer-remote": 6_000_000} {
		info, err := os.Stat(filepath.Join(bin, name))
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%s has %d bytes", name, info.Size())
		if info.Size() > most {
			t.Errorf("%s has %d bytes, more than %d", name, info.Size(), most)
		}
	}
}

// TestReplaceEntry: an issuer is put into the file and taken out of it, and nothing else
// changes.
func TestReplaceEntry(t *testing.T) {
	entry := func(name string) *yamlIssuer {
		return &yamlIssuer{Name: name, URL: "https://" + name + ".example", Profile: "rfc9068", Audiences: words{"a", "b"}, Require: yamlClaims{{Claim: latchkey.ClaimPath{"hd"}, Values: []string{"yes", "true"}}}}
	}
	const text = `  - name: NAME
    url: https://NAME.example
    profile: rfc9068
    audiences: [a, b]
    require:
      hd: ["yes", "true"]
`
	one := func(name string) string { return strings.ReplaceAll(text, "NAME", name) }
	const before = "# mine\naddr: 127.0.0.1:1 # port\n\n"
	const after = "\n# the routes\nroutes:\n  - route: GET /x # here\n    to: f\n"
	for says, test := range map[string]struct {
		doc, name string
		with      *yamlIssuer
		want      string
	}{
		"into nothing":       {"", "a", entry("a"), "issuers:\n" + one("a")},
		"without a line end": {"addr: 127.0.0.1:1", "a", entry("a"), "addr: 127.0.0.1:1\nissuers:\n" + one("a")},
		"beside all else":    {before + after, "a", entry("a"), before + after + "issuers:\n" + one("a")},
		"after another":      {before + "issuers:\n" + one("a") + after, "b", entry("b"), before + "issuers:\n" + one("a") + one("b") + after},
		"in place of one":    {before + "issuers:\n  # first\n  - {name: a, url: https://x.example, profile: rfc9068, audiences: [a]}\n  # second\n" + one("b") + after, "a", entry("a"), before + "issuers:\n  # first\n" + one("a") + "  # second\n" + one("b") + after},
		"in place of a last": {before + "issuers:\n" + one("a") + "  - name: b\n\n    url: https://x.example\n    profile: rfc9068\n    audiences: [a]\n" + after, "b", entry("b"), before + "issuers:\n" + one("a") + one("b") + after},
		"out of several":     {before + "issuers:\n" + one("a") + one("b") + one("c") + after, "b", nil, before + "issuers:\n" + one("a") + one("c") + after},
		"the last out":       {before + "issuers:\n" + one("a") + one("b") + after, "b", nil, before + "issuers:\n" + one("a") + after},
		"the only one out":   {before + "issuers: # theirs\n" + one("a") + after, "a", nil, before + after},
		"no indentation":     {"issuers:\n- name: b\n  url: https://b.example\n  profile: rfc9068\n  audiences: [a]\nroutes: []\n", "b", nil, "routes: []\n"},
	} {
		got, err := replaceEntry([]byte(test.doc), test.name, test.with)
		if err != nil || string(got) != test.want {
			t.Errorf("%s: error %v, got\n%s\nwant\n%s", says, err, got, test.want)
			continue
		}
		if _, err := parseConfig(got); err != nil {
			t.Errorf("%s: %v", says, err)
		}
	}
	for _, doc := range []string{"issuers: []\n", "issuers: [{name: a}]\n", "issuers: {a: b}\n", "issuers:\n"} {
		if got, err := replaceEntry([]byte(doc), "a", entry("a")); err == nil {
			t.Errorf("%q becomes %q", doc, got)
		}
	}
}

// FuzzReplaceEntry: in any file a change of one issuer changes nothing else, or is refused.
func FuzzReplaceEntry(f *testing.F) {
	f.Add("issuers:\n  - name: a\n    url: https://a.example\n    profile: rfc9068\n    audiences: [x]\n\n  - name: b\n    url: https://b.example\n    profile: auth0\n    audiences: [x]\nroutes:\n  - {route: GET /x, public: true, to: f}\n")
	f.Add("issuers: # c\n- {name: a, url: \"https://a.example\", profile: rfc9068, audiences: x}\n# d\n")
	f.Fuzz(func(t *testing.T, doc string) {
		c, err := decodeConfig("x.yaml", []byte(doc))
		if err != nil {
			return
		}
		for _, with := range []*yamlIssuer{nil, {Name: "a", URL: "https://new.example", Profile: "rfc9068", Audiences: words{"y"}}} {
			got, err := replaceEntry([]byte(doc), "a", with)
			if err != nil || c.onlyIssuer("x.yaml", got, "a") != nil {
				continue
			}
			next, err := decodeConfig("x.yaml", got)
			if err != nil {
				t.Fatal(err)
			}
			if at := issuers.Find(next.issuers, "a"); (at >= 0) != (with != nil) && len(c.issuers) > 0 {
				t.Errorf("%q becomes %q", doc, got)
			}
		}
	})
}

func TestGuessProfile(t *testing.T) {
	for url, want := range map[string]string{
		"https://cognito-idp.eu-west-1.amazonaws.com/eu-west-1_AbC": "cognito", "https://shop.eu.auth0.com/": "auth0", "https://shop.okta.com/oauth2/default": "okta",
		"https://login.microsoftonline.com/9122040d-6c67-4c5b-b112-36a304b66dad/v2.0": "entra", "https://sts.windows.net/9122040d-6c67-4c5b-b112-36a304b66dad/": "entra-v1",
		"https://accounts.google.com": "google", "https://securetoken.google.com/shop": "firebase", "https://abc.supabase.co/auth/v1": "supabase", "https://x.clerk.accounts.dev": "clerk",
		"https://token.actions.githubusercontent.com": "github-actions", "http://127.0.0.1:8080/realms/shop": "keycloak", "https://id.example.com": "rfc9068", "https://evil.example/.auth0.com/": "rfc9068",
	} {
		got := guessProfile(url)
		if _, known := latchkey.ProfileNamed(got); got != want || !known {
			t.Errorf("%s is %s, want %s", url, got, want)
		}
	}
}

// TestSnapshotEndsWithItsContext: an issuer that does not answer keeps nobody waiting.
func TestSnapshotEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	o := startOutsideIssuer(t)
	if _, err := snapshot(ctx, issuers.Issuer{Name: "a", URL: o.URL, AllowPrivate: true}); err == nil {
		t.Error("it has an answer")
	}
}
