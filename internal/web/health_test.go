package web_test

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/latchkey-auth/latchkey"
	"github.com/latchkey-auth/latchkey/internal/keyring"
	"github.com/latchkey-auth/latchkey/internal/storage"
	"github.com/latchkey-auth/latchkey/internal/web"
)

func verifierOf(f *fixture) *latchkey.Verifier {
	f.Helper()
	v, err := latchkey.New(latchkey.Config{Keys: f.keys, Issuer: issuer, Audience: audience, Leeway: -1, Now: f.clock.Now})
	if err != nil {
		f.Fatal(err)
	}
	return v
}

func quiet(c *web.Config) { c.Log, c.AccessLog = nil, nil }

func TestHealth(t *testing.T) {
	f := newFixture(t)
	want := func(path string, status int, body string) {
		t.Helper()
		if a := f.get(path, nil); a.status != status || a.body != body || a.header.Get("Content-Type") != asJSON {
			t.Errorf("%s: got %d %q, want %d %q", path, a.status, a.body, status, body)
		}
	}
	want("/livez", 200, `{"status":"ok"}`+"\n")
	want("/readyz", 200, `{"status":"ready"}`+"\n")
	f.store.set(storage.ErrUnavailable)
	want("/livez", 200, `{"status":"ok"}`+"\n")     // a restart would not help
	want("/readyz", 200, `{"status":"ready"}`+"\n") // the answer is a second old at most
	f.clock.Advance(time.Second)
	a := f.get("/readyz", nil)
	f.wantProblem(a, http.StatusServiceUnavailable, "unavailable")
	if a.header.Get("Retry-After") != "5" {
		t.Errorf("Retry-After is %q, want 5", a.header.Get("Retry-After"))
	}
	f.store.set(nil)
	f.clock.Advance(time.Second)
	want("/readyz", 200, `{"status":"ready"}`+"\n")
}

// slow is a store whose ping takes as long as wait.
type slow struct {
	storage.Store
	wait func()
}

func (s slow) Ping(ctx context.Context) error {
	s.wait()
	return s.Store.Ping(ctx)
}

// TestSlowReadinessIsAskedOnce: those who have waited for an answer, which takes as
// long as the database is locked, do not ask one after the other.
func TestSlowReadinessIsAskedOnce(t *testing.T) {
	f := newFixture(t)
	asked := 0
	f.service.Store = slow{f.service.Store, func() { asked++; f.clock.Advance(2 * time.Second) }}
	for range 3 {
		f.get("/readyz", nil)
	}
	if asked != 1 {
		t.Errorf("the store was asked %d times, want once", asked)
	}
}

func TestPublishedKeySet(t *testing.T) {
	f := newFixture(t)
	for _, alg := range []latchkey.Algorithm{latchkey.RS256, latchkey.EdDSA} {
		if _, err := f.keys.Rotate(t.Context(), alg, keyring.Planned); err != nil {
			t.Fatal(err)
		}
	}
	a := f.get("/.well-known/jwks.json", nil)
	if a.status != http.StatusOK || a.header.Get("Content-Type") != "application/jwk-set+json" || a.header.Get("Cache-Control") != "public, max-age=300" {
		t.Errorf("got %d %v, want 200, application/jwk-set+json, max-age 300", a.status, a.header)
	}
	var set struct{ Keys []map[string]string }
	f.decode(a, &set)
	var kinds []string
	for _, key := range set.Keys {
		kinds = append(kinds, key["alg"])
		for _, private := range []string{"d", "p", "q", "dp", "dq", "qi", "oth", "k"} {
			if _, ok := key[private]; ok {
				t.Errorf("the %s key has the member %s", key["alg"], private)
			}
		}
		if key["use"] != "sig" || key["kid"] == "" {
			t.Errorf("the %s key has use %q and kid %q", key["alg"], key["use"], key["kid"])
		}
	}
	slices.Sort(kinds)
	if got := strings.Join(kinds, " "); got != "ES256 EdDSA RS256" {
		t.Errorf("keys are %s", got)
	}
}

// TestRoutesAreThoseThatAnswer keeps the list, on which gateways are built, to
// what is served.
func TestRoutesAreThoseThatAnswer(t *testing.T) {
	f := discoverable(t, withRevocationKey)
	for _, route := range web.Routes {
		method, path, _ := strings.Cut(route, " ")
		if a := f.send(method, path, "", nil); a.status == http.StatusNotFound || a.status == http.StatusMethodNotAllowed {
			t.Errorf("%s: %d", route, a.status)
		}
	}
}
