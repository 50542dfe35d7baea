package web_test

import (
	"context"
	"net/http"
	"net/url"
	"testing"

	"github.com/coreos/go-oidc/v3/oidc"
	gocmp "github.com/google/go-cmp/cmp"

	"github.com/latchkey-auth/latchkey"
	"github.com/latchkey-auth/latchkey/internal/auth"
	"github.com/latchkey-auth/latchkey/internal/keyring"
	"github.com/latchkey-auth/latchkey/internal/sqlstore"
	"github.com/latchkey-auth/latchkey/internal/web"
)

var discoveryPaths = []string{"/.well-known/openid-configuration", "/.well-known/oauth-authorization-server"}

// discoverable is a service whose issuer is its public URL.
func discoverable(t *testing.T, options ...func(*web.Config)) *fixture {
	t.Helper()
	return fixtureWith(t, sqlstore.Memory, func(c *auth.Config) { c.PublicURL = issuer }, options...)
}

func TestDiscovery(t *testing.T) {
	f := discoverable(t)
	// One more key of another algorithm, and one more of the same.
	for _, alg := range []latchkey.Algorithm{latchkey.RS256, latchkey.ES256} {
		if _, err := f.keys.Rotate(t.Context(), alg, keyring.AtOnce); err != nil {
			t.Fatal(err)
		}
	}
	want := map[string]any{
		"issuer": issuer, "jwks_uri": issuer + "/.well-known/jwks.json",
		"id_token_signing_alg_values_supported": []any{"ES256", "RS256"},
		"response_types_supported":              []any{}, "subject_types_supported": []any{"public"},
	}
	for _, path := range discoveryPaths {
		a := f.get(path, nil)
		var doc map[string]any
		f.decode(a, &doc)
		// Whatever else it named would be an endpoint that is not there.
		if diff := gocmp.Diff(want, doc); diff != "" || a.status != http.StatusOK {
			t.Errorf("%s: %d; -want +got:\n%s", path, a.status, diff)
		}
		if got := a.header.Get("Cache-Control"); got != "public, max-age=300" || a.header.Get("Content-Type") != asJSON {
			t.Errorf("%s: headers %v, want JSON that may be kept as long as the keys", path, a.header)
		}
	}
}

// TestNothingToDiscover: where tokens are signed with a secret no keys are
// published, and without a public URL nobody knows where.
func TestNothingToDiscover(t *testing.T) {
	for name, f := range map[string]*fixture{
		"no keys": discoverable(t, func(c *web.Config) {
			c.JWKS = func(context.Context) []byte { return []byte(`{"keys":[]}`) }
		}),
		"no public URL": newFixture(t),
	} {
		for _, path := range discoveryPaths {
			if p := f.wantProblem(f.get(path, nil), http.StatusNotFound, "not_found"); p.Code == "" {
				t.Errorf("%s: %s", name, path)
			}
		}
	}
}

// elsewhere sends requests for any host to one server.
type elsewhere struct{ to string }

func (e elsewhere) RoundTrip(r *http.Request) (*http.Response, error) {
	to, err := url.Parse(e.to)
	if err != nil {
		return nil, err
	}
	r = r.Clone(r.Context())
	r.URL.Scheme, r.URL.Host = to.Scheme, to.Host
	return http.DefaultTransport.RoundTrip(r)
}

// TestOthersFindTheKeysByTheIssuer: go-oidc is given the issuer alone.
func TestOthersFindTheKeysByTheIssuer(t *testing.T) {
	for _, alg := range []latchkey.Algorithm{latchkey.ES256, latchkey.RS256, latchkey.EdDSA} {
		f := discoverable(t)
		if _, err := f.keys.Rotate(t.Context(), alg, keyring.AtOnce); err != nil {
			t.Fatal(err)
		}
		ctx := oidc.ClientContext(t.Context(), &http.Client{Transport: elsewhere{f.server.URL}})
		provider, err := oidc.NewProvider(ctx, issuer)
		if err != nil {
			t.Fatal(err)
		}
		token, err := provider.VerifierContext(ctx, &oidc.Config{ClientID: audience, Now: f.clock.Now}).Verify(ctx, f.token())
		if err != nil || token.Subject != "u1" || token.Issuer != issuer {
			t.Errorf("%s: got %+v, %v; want the token of u1", alg, token, err)
		}
	}
}
