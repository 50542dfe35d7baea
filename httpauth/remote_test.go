package httpauth_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/latchkey-auth/latchkey"
	"github.com/latchkey-auth/latchkey/httpauth"
	"github.com/latchkey-auth/latchkey/latchkeytest"
)

// clock is a time that the test moves.
type clock struct{ ns atomic.Int64 }

func newClock() *clock {
	c := new(clock)
	c.ns.Store(time.Now().UnixNano())
	return c
}
func (c *clock) Now() time.Time          { return time.Unix(0, c.ns.Load()) }
func (c *clock) advance(d time.Duration) { c.ns.Add(int64(d)) }

// keyServer serves a key set that the test can change, and counts.
type keyServer struct {
	*httptest.Server
	fetches atomic.Int32
	answer  atomic.Pointer[http.HandlerFunc]
}

func newKeyServer(t *testing.T) *keyServer {
	s := new(keyServer)
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.fetches.Add(1)
		(*s.answer.Load())(w, r)
	}))
	t.Cleanup(s.Close)
	return s
}

func (s *keyServer) respond(f http.HandlerFunc) { s.answer.Store(&f) }

// serve answers with the keys of the issuer.
func (s *keyServer) serve(t *testing.T, issuer *latchkeytest.Issuer) {
	t.Helper()
	res, err := http.Get(issuer.JWKS())
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	doc, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	s.respond(func(w http.ResponseWriter, _ *http.Request) { w.Write(doc) })
}

func fails(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) }

func remoteVerifier(t *testing.T, url string, c *clock) *latchkey.Verifier {
	t.Helper()
	keys, err := httpauth.NewRemoteKeySet(httpauth.RemoteConfig{URL: url, Now: c.Now})
	if err != nil {
		t.Fatal(err)
	}
	// Tokens are verified by today's clock; it is the keys that age. No cache:
	// every call must ask for the key.
	v, err := latchkey.New(latchkey.Config{Keys: keys, Issuer: latchkeytest.URL, Audience: latchkeytest.Audience, CacheSize: -1})
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestRemoteKeySetFetchesOnceForAll(t *testing.T) {
	issuer, server := latchkeytest.NewIssuer(t), newKeyServer(t)
	server.serve(t, issuer)
	v := remoteVerifier(t, server.URL, newClock())
	token := issuer.Token("ada", "")
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			if _, err := v.Verify(t.Context(), token); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if n := server.fetches.Load(); n != 1 {
		t.Errorf("%d fetches, want 1", n)
	}
}

func TestRemoteKeySetFindsANewKey(t *testing.T) {
	old, next, server, c := latchkeytest.NewIssuer(t), latchkeytest.NewIssuer(t), newKeyServer(t), newClock()
	server.serve(t, old)
	v := remoteVerifier(t, server.URL, c)
	if _, err := v.Verify(t.Context(), old.Token("ada", "")); err != nil {
		t.Fatal(err)
	}
	server.serve(t, next)
	// Too soon after the first fetch: the key is unknown, and nobody asks.
	if _, err := v.Verify(t.Context(), next.Token("ada", "")); !errors.Is(err, latchkey.ErrInvalidToken) {
		t.Errorf("Verify says %v, want an invalid token", err)
	}
	c.advance(11 * time.Second)
	if _, err := v.Verify(t.Context(), next.Token("ada", "")); err != nil {
		t.Errorf("the new key is not found: %v", err)
	}
	// A flood of unknown keys is no flood of fetches.
	for range 100 {
		v.Verify(t.Context(), latchkeytest.NewIssuer(t).Token("ada", ""))
	}
	if n := server.fetches.Load(); n != 2 {
		t.Errorf("%d fetches, want 2", n)
	}
}

func TestRemoteKeySetOutage(t *testing.T) {
	issuer, server, c := latchkeytest.NewIssuer(t), newKeyServer(t), newClock()
	server.respond(fails)
	v := remoteVerifier(t, server.URL, c)
	token := issuer.Token("ada", "")
	outage := func(when string) {
		t.Helper()
		if _, err := v.Verify(t.Context(), token); err == nil || errors.Is(err, latchkey.ErrInvalidToken) {
			t.Errorf("%s: Verify says %v, want an outage", when, err)
		}
	}
	outage("never fetched")
	outage("asked again at once")
	if n := server.fetches.Load(); n != 1 {
		t.Errorf("%d fetches, want 1", n)
	}
	c.advance(11 * time.Second)
	server.serve(t, issuer)
	if _, err := v.Verify(t.Context(), token); err != nil {
		t.Fatalf("the set is back: %v", err)
	}
	server.respond(fails)
	c.advance(59 * time.Minute)
	if _, err := v.Verify(t.Context(), token); err != nil {
		t.Errorf("within an hour the old set serves: %v", err)
	}
	c.advance(2 * time.Minute)
	outage("stale")
	// A set that cannot be used does not replace one, and is an outage too.
	c.advance(11 * time.Second)
	server.respond(func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte(`{"keys":[]}`)) })
	outage("an empty set")
	c.advance(11 * time.Second)
	server.serve(t, issuer)
	if _, err := v.Verify(t.Context(), token); err != nil {
		t.Errorf("the set is back: %v", err)
	}
}

// TestRemoteKeySetSkipsKeys: a key that cannot be used is skipped, once in the
// log for each set; a set in which none is left replaces no good one.
func TestRemoteKeySetSkipsKeys(t *testing.T) {
	issuer, server, c := latchkeytest.NewIssuer(t), newKeyServer(t), newClock()
	res, err := http.Get(issuer.JWKS())
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	doc, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	const broken, worse = `{"kty":"RSA","kid":null,"e":"AQAB","n":"AQ"}`, `{"kty":"EC","crv":"P-256","kid":"half"}`
	beside := func(key string) http.HandlerFunc {
		set := strings.Replace(string(doc), `{"keys":[`, `{"keys":[`+key+`,`, 1)
		return func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, set) }
	}
	var lines strings.Builder
	keys, err := httpauth.NewRemoteKeySet(httpauth.RemoteConfig{URL: server.URL, Now: c.Now, Log: slog.New(slog.NewTextHandler(&lines, nil))})
	if err != nil {
		t.Fatal(err)
	}
	v, err := latchkey.New(latchkey.Config{Keys: keys, Issuer: latchkeytest.URL, Audience: latchkeytest.Audience, CacheSize: -1})
	if err != nil {
		t.Fatal(err)
	}
	token := issuer.Token("ada", "")
	for _, step := range []struct {
		name   string
		answer http.HandlerFunc
		logged int    // lines so far
		last   string // of what the last line says
	}{
		{"an unusable key beside the good one", beside(broken), 1, "kid"},
		{"the same set", beside(broken), 1, "kid"},
		{"another set", beside(worse), 2, "half"},
		{"no usable key", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, `{"keys":[`+worse+`]}`) }, 3, "no public key"},
		{"still none", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, `{"keys":[`+worse+`]}`) }, 3, "no public key"},
		{"an outage", fails, 4, "status 500"},
		{"back again", beside(worse), 5, "half"},
	} {
		server.respond(step.answer)
		c.advance(11 * time.Second)
		// A made-up key id has the set fetched, and waits for it.
		v.Verify(t.Context(), latchkeytest.NewIssuer(t).Token("ada", ""))
		if _, err := v.Verify(t.Context(), token); err != nil {
			t.Errorf("%s: the good key's token: %v", step.name, err)
		}
		all := strings.Split(strings.TrimSpace(lines.String()), "\n")
		if len(all) != step.logged || !strings.Contains(all[len(all)-1], step.last) {
			t.Errorf("%s: logged %q, want %d lines, the last with %q", step.name, all, step.logged, step.last)
		}
	}
}

func TestRemoteKeySetBounds(t *testing.T) {
	issuer := latchkeytest.NewIssuer(t)
	for name, answer := range map[string]http.HandlerFunc{
		"a redirect": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, issuer.JWKS(), http.StatusFound)
		},
		"an endless answer": func(w http.ResponseWriter, _ *http.Request) {
			for range 1000 {
				if _, err := w.Write([]byte(strings.Repeat(" ", 1024))); err != nil {
					return
				}
			}
		},
		"no JSON": func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte("<html>")) },
	} {
		server := newKeyServer(t)
		server.respond(answer)
		v := remoteVerifier(t, server.URL, newClock())
		if _, err := v.Verify(t.Context(), issuer.Token("ada", "")); err == nil || errors.Is(err, latchkey.ErrInvalidToken) {
			t.Errorf("%s: Verify says %v, want an outage", name, err)
		}
	}
}

func TestRemoteKeySetWaitsNoLongerThanItsCaller(t *testing.T) {
	issuer, server := latchkeytest.NewIssuer(t), newKeyServer(t)
	release, arrived := make(chan struct{}), make(chan struct{})
	server.respond(func(http.ResponseWriter, *http.Request) {
		close(arrived)
		<-release
	})
	v := remoteVerifier(t, server.URL, newClock())
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-arrived
		cancel()
	}()
	if _, err := v.Verify(ctx, issuer.Token("ada", "")); !errors.Is(err, context.Canceled) {
		t.Errorf("Verify says %v, want that it was canceled", err)
	}
	close(release)
}

func TestRemoteKeySetURL(t *testing.T) {
	for url, good := range map[string]bool{
		"https://auth.example.com/jwks.json": true,
		"http://127.0.0.1:8080/jwks.json":    true,
		"http://localhost/jwks.json":         true,
		"http://[::1]:1/":                    true,
		"http://auth.example.com/jwks.json":  false,
		"http://127.0.0.1.example.com/":      false,
		"https://user:pw@auth.example.com/":  false,
		"ftp://127.0.0.1/":                   false,
		"file:///etc/passwd":                 false,
		"/jwks.json":                         false,
		"":                                   false,
	} {
		_, err := httpauth.NewRemoteKeySet(httpauth.RemoteConfig{URL: url})
		if (err == nil) != good {
			t.Errorf("NewRemoteKeySet(%q): %v", url, err)
		}
		if err != nil && strings.Contains(err.Error(), "pw") {
			t.Errorf("the error holds the password: %v", err)
		}
	}
}
