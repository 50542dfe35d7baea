package jwks_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
	"unsafe"

	"github.com/latchkey-auth/latchkey"
	"github.com/latchkey-auth/latchkey/httpauth"
	"github.com/latchkey-auth/latchkey/internal/fetch"
	"github.com/latchkey-auth/latchkey/jwks"
	"github.com/latchkey-auth/latchkey/latchkeytest"
)

const (
	issuerURL = "https://issuer.example.com"
	keysURL   = "https://keys.example.com/jwks.json"
)

// site answers as the servers of an issuer do, without a network, so that it may
// be used where time is made up (testing/synctest).
type site struct {
	mu      sync.Mutex
	pages   map[string]http.HandlerFunc // by URL; an issuer that is away has none
	fetches map[string]int
}

func (s *site) RoundTrip(r *http.Request) (*http.Response, error) {
	s.mu.Lock()
	s.fetches[r.URL.String()]++
	page := s.pages[r.URL.String()]
	s.mu.Unlock()
	if page == nil {
		return nil, errors.New("connection refused")
	}
	w := httptest.NewRecorder()
	page(w, r)
	return w.Result(), nil
}

func (s *site) fetch() fetch.Func { return httpauth.Fetch(&http.Client{Transport: s}) }

func newSite() *site {
	return &site{pages: make(map[string]http.HandlerFunc), fetches: make(map[string]int)}
}

// serve answers at the URL; nil takes the page away.
func (s *site) serve(url string, page http.HandlerFunc) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pages[url] = page
}

func (s *site) fetched(url string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.fetches[url]
}

// page answers with the document, and headers in pairs.
func page(doc string, headers ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		for i := 0; i < len(headers); i += 2 {
			w.Header().Add(headers[i], headers[i+1])
		}
		io.WriteString(w, doc)
	}
}

// document returns the issuer's key set.
func document(issuer *latchkeytest.Issuer) string {
	return string(issuer.KeySet().(*latchkey.StaticKeySet).JWKS())
}

// keysOf returns a page of the issuer's keys.
func keysOf(issuer *latchkeytest.Issuer, headers ...string) http.HandlerFunc {
	return page(document(issuer), headers...)
}

func fails(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) }

// verifierOf verifies with the keys, and without a cache: every call must ask for
// the key.
func verifierOf(t *testing.T, keys latchkey.KeySet, err error) *latchkey.Verifier {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	v, err := latchkey.New(latchkey.Config{Keys: keys, Issuer: latchkeytest.URL, Audience: latchkeytest.Audience, CacheSize: -1})
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func remote(t *testing.T, s *site, cfg jwks.Config) *latchkey.Verifier {
	t.Helper()
	cfg.Fetch = s.fetch()
	keys, err := jwks.Remote(keysURL, cfg)
	return verifierOf(t, keys, err)
}

// What a verification came to.
const (
	good    = "good"
	refused = "refused"
	outage  = "outage"
)

// want verifies a token that the issuer makes now.
func want(t *testing.T, v *latchkey.Verifier, issuer *latchkeytest.Issuer, outcome, when string) {
	t.Helper()
	wantToken(t, v, issuer.Token("ada", ""), outcome, when)
}

func wantToken(t *testing.T, v *latchkey.Verifier, token, outcome, when string) {
	t.Helper()
	got := good
	_, err := v.Verify(t.Context(), token)
	switch {
	case errors.Is(err, latchkey.ErrInvalidToken):
		got = refused
	case err != nil:
		got = outage
	}
	if got != outcome {
		t.Errorf("%s: %s (%v), want %s", when, got, err, outcome)
	}
}

func wantFetches(t *testing.T, s *site, n int, when string) {
	t.Helper()
	synctest.Wait()
	if got := s.fetched(keysURL); got != n {
		t.Errorf("%s: %d fetches, want %d", when, got, n)
	}
}

func TestOneFetchServesAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, issuer := newSite(), latchkeytest.NewIssuer(t)
		answer := keysOf(issuer)
		s.serve(keysURL, func(w http.ResponseWriter, r *http.Request) {
			time.Sleep(time.Second) // of the bubble's time
			answer(w, r)
		})
		v := remote(t, s, jwks.Config{})
		var wg sync.WaitGroup
		for range 50 {
			wg.Go(func() { want(t, v, issuer, good, "at once") })
		}
		wg.Wait()
		wantFetches(t, s, 1, "for fifty")
	})
}

func TestNewKeysAreFound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, old, next := newSite(), latchkeytest.NewIssuer(t), latchkeytest.NewIssuer(t)
		s.serve(keysURL, keysOf(old))
		v := remote(t, s, jwks.Config{})
		want(t, v, old, good, "the old key")
		s.serve(keysURL, keysOf(next))
		want(t, v, next, refused, "right after a fetch")
		wantFetches(t, s, 1, "right after a fetch")
		time.Sleep(11 * time.Second)
		want(t, v, next, good, "the new key")
		want(t, v, old, refused, "the old key, withdrawn")
		wantFetches(t, s, 2, "for the new key")
	})
}

// TestForgedKeysAreNoFloodOfFetches: at most one fetch a minute for unknown keys,
// whether they come one by one or at once, and whether the issuer answers or not.
func TestForgedKeysAreNoFloodOfFetches(t *testing.T) {
	for name, answer := range map[string]http.HandlerFunc{"answers": nil, "is away": fails} {
		t.Run("the issuer "+name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, issuer, forger := newSite(), latchkeytest.NewIssuer(t), latchkeytest.NewIssuer(t)
				s.serve(keysURL, keysOf(issuer))
				v := remote(t, s, jwks.Config{})
				want(t, v, issuer, good, "before")
				if answer != nil {
					s.serve(keysURL, answer)
				}
				forged := func(i int) string {
					return forger.SignAs(map[string]any{"alg": "ES256", "typ": "at+jwt", "kid": strings.Repeat("k", i)}, latchkeytest.Claims("eve", "", time.Now()))
				}
				var wg sync.WaitGroup
				for i := range 1000 {
					if i%2 == 0 {
						wg.Go(func() { wantToken(t, v, forged(i+1), refused, "a forged key") })
						continue
					}
					wantToken(t, v, forged(i+1), refused, "a forged key")
					time.Sleep(50 * time.Millisecond) // 500 of them take 25 s
				}
				wg.Wait()
				wantFetches(t, s, 2, "for 1,000 forged keys") // the first, and one for them
				want(t, v, issuer, good, "after")
				time.Sleep(46 * time.Second)
				wantToken(t, v, forged(1001), refused, "a minute later")
				wantFetches(t, s, 3, "a minute later")
			})
		})
	}
}

// TestSetsAreRefreshed before they go stale, behind the caller's back.
func TestSetsAreRefreshed(t *testing.T) {
	for name, c := range map[string]struct {
		headers []string
		maxAge  time.Duration
		at      time.Duration // when a refresh is due
	}{
		"by default":                   {nil, 0, 225 * time.Second},
		"by Cache-Control":             {[]string{"Cache-Control", "public, max-age=1200"}, 0, 15 * time.Minute},
		"no more often than useful":    {[]string{"Cache-Control", "no-store"}, 0, 45 * time.Second},
		"no later than an hour":        {[]string{"Cache-Control", "max-age=86400"}, 0, 45 * time.Minute},
		"no later than MaxAge":         {[]string{"Cache-Control", "max-age=86400"}, 2 * time.Hour, 90 * time.Minute},
		"MaxAge less than the default": {nil, 2 * time.Minute, 90 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, old, next := newSite(), latchkeytest.NewIssuer(t), latchkeytest.NewIssuer(t)
				s.serve(keysURL, keysOf(old, c.headers...))
				v := remote(t, s, jwks.Config{MaxAge: c.maxAge})
				want(t, v, old, good, "first")
				s.serve(keysURL, func(w http.ResponseWriter, r *http.Request) {
					time.Sleep(time.Second)
					keysOf(next, c.headers...)(w, r)
				})
				time.Sleep(c.at - time.Second)
				want(t, v, old, good, "before")
				wantFetches(t, s, 1, "before")
				time.Sleep(time.Second)
				want(t, v, old, good, "while it is refreshed")
				wantFetches(t, s, 2, "when it is due")
				time.Sleep(time.Second)
				synctest.Wait()
				want(t, v, next, good, "refreshed")
				wantFetches(t, s, 2, "refreshed")
			})
		})
	}
}

// TestInlineRefreshes happen within the call that finds them due.
func TestInlineRefreshes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, old, next := newSite(), latchkeytest.NewIssuer(t), latchkeytest.NewIssuer(t)
		s.serve(keysURL, keysOf(old))
		v := remote(t, s, jwks.Config{Inline: true})
		want(t, v, old, good, "first")
		s.serve(keysURL, keysOf(next))
		time.Sleep(4 * time.Minute)
		want(t, v, next, good, "when it is due")
		s.serve(keysURL, nil)
		time.Sleep(4 * time.Minute)
		want(t, v, next, good, "when the issuer is away")
		wantFetches(t, s, 3, "after all")
	})
}

// TestOutages: the last set serves for the stated time, then no set does, and
// that is an outage and nothing against the token.
func TestOutages(t *testing.T) {
	for name, c := range map[string]struct {
		staleFor time.Duration
		serves   time.Duration
	}{
		"by default":  {0, 65 * time.Minute},
		"ten minutes": {10 * time.Minute, 15 * time.Minute},
		"not at all":  {-1, 5 * time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, issuer := newSite(), latchkeytest.NewIssuer(t)
				v := remote(t, s, jwks.Config{StaleFor: c.staleFor})
				want(t, v, issuer, outage, "never fetched")
				want(t, v, issuer, outage, "asked again at once")
				wantFetches(t, s, 1, "asked again at once")
				time.Sleep(11 * time.Second)
				s.serve(keysURL, keysOf(issuer))
				want(t, v, issuer, good, "there now")
				s.serve(keysURL, fails)
				time.Sleep(c.serves - time.Second)
				want(t, v, issuer, good, "away, within the time")
				time.Sleep(time.Second)
				want(t, v, issuer, outage, "away for too long")
				// A set that cannot be used does not replace one, and is an outage too.
				time.Sleep(11 * time.Second)
				s.serve(keysURL, page(`{"keys":[]}`))
				want(t, v, issuer, outage, "an empty set")
				time.Sleep(11 * time.Second)
				s.serve(keysURL, keysOf(issuer))
				want(t, v, issuer, good, "back again")
			})
		})
	}
}

// TestClocksThatStop: the time of a frozen machine counts as well, by whichever
// clock has seen it.
func TestClocksThatStop(t *testing.T) {
	since := time.Now()
	thawed := since
	*(*uint64)(unsafe.Pointer(&thawed)) += 3600 << 30 // package time: the wall clock's seconds, beside a monotonic reading
	if thawed.Sub(since) != 0 || thawed.Round(0).Sub(since.Round(0)) != time.Hour {
		t.Fatalf("this test does not know how package time keeps its readings: %v, %v", since, thawed)
	}
	setBack := since.Add(time.Hour)
	*(*uint64)(unsafe.Pointer(&setBack)) -= 7200 << 30
	for name, now := range map[string]time.Time{
		"both clocks":                         since.Add(time.Hour),
		"the monotonic clock stood still":     thawed,
		"the wall clock was set back":         setBack,
		"one reading without monotonic clock": since.Add(time.Hour).Round(0),
	} {
		if got := jwks.Elapsed(since, now); got != time.Hour {
			t.Errorf("%s: %s, want an hour", name, got)
		}
	}
	if jwks.Elapsed(time.Time{}, since) < 1000*time.Hour {
		t.Error("what never happened is not long ago")
	}
}

// TestSnapshot: a start without a network, and what comes after.
func TestSnapshot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, old, next := newSite(), latchkeytest.NewIssuer(t), latchkeytest.NewIssuer(t)
		packed := []byte(document(old))
		v := remote(t, s, jwks.Config{Snapshot: packed, Inline: true})
		want(t, v, old, good, "without a network")
		wantFetches(t, s, 0, "without a network")
		s.serve(keysURL, keysOf(next))
		want(t, v, next, good, "a key that the snapshot does not have")
		wantFetches(t, s, 1, "a key that the snapshot does not have")
		want(t, v, old, refused, "a key that was withdrawn since")

		v = remote(t, s, jwks.Config{Snapshot: packed, Inline: true})
		time.Sleep(44 * time.Second)
		want(t, v, old, good, "within the first minute")
		time.Sleep(time.Second)
		want(t, v, old, refused, "refreshed")

		s.serve(keysURL, nil)
		v = remote(t, s, jwks.Config{Snapshot: packed, StaleFor: 10 * time.Minute})
		time.Sleep(11*time.Minute - 1)
		want(t, v, old, good, "the issuer is away")
		time.Sleep(time.Nanosecond)
		want(t, v, old, outage, "the issuer is away for too long")
	})
	for name, doc := range map[string]string{"empty": "", "no key": `{"keys":[]}`, "a private key": `{"keys":[{"kty":"EC","d":"AQ"}]}`} {
		if _, err := jwks.Remote(keysURL, jwks.Config{Snapshot: []byte(doc)}); err == nil {
			t.Errorf("a snapshot is taken that is %s", name)
		}
	}
}

// TestSnapshotIsMade of what is fetched, and can be used again.
func TestSnapshotIsMade(t *testing.T) {
	s, issuer := newSite(), latchkeytest.NewIssuer(t)
	s.serve(keysURL, keysOf(issuer))
	keys, err := jwks.Remote(keysURL, jwks.Config{Fetch: s.fetch()})
	if err != nil {
		t.Fatal(err)
	}
	doc, err := keys.Snapshot(t.Context())
	if err != nil || string(doc) != document(issuer) {
		t.Fatalf("the snapshot is %s, %v", doc, err)
	}
	s.serve(keysURL, nil)
	want(t, remote(t, s, jwks.Config{Snapshot: doc}), issuer, good, "from the snapshot")
	if keys, err = jwks.Remote(keysURL, jwks.Config{Fetch: s.fetch()}); err != nil {
		t.Fatal(err)
	}
	if doc, err := keys.Snapshot(t.Context()); err == nil {
		t.Errorf("a snapshot of nothing: %s", doc)
	}
}

// TestSkippedKeysAreLogged once for each set; a set in which none is left
// replaces no good one.
func TestSkippedKeysAreLogged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, issuer := newSite(), latchkeytest.NewIssuer(t)
		const broken, worse = `{"kty":"RSA","kid":null,"e":"AQAB","n":"AQ"}`, `{"kty":"EC","crv":"P-256","kid":"half"}`
		beside := func(key string) http.HandlerFunc {
			return page(strings.Replace(document(issuer), `{"keys":[`, `{"keys":[`+key+`,`, 1))
		}
		var lines strings.Builder
		v := remote(t, s, jwks.Config{Log: slog.New(slog.NewTextHandler(&lines, nil))})
		for _, step := range []struct {
			name   string
			answer http.HandlerFunc
			logged int    // lines so far
			last   string // of what the last line says
		}{
			{"an unusable key beside the good one", beside(broken), 1, "kid"},
			{"the same set", beside(broken), 1, "kid"},
			{"another set", beside(worse), 2, "half"},
			{"no usable key", page(`{"keys":[` + worse + `]}`), 3, "no public key"},
			{"still none", page(`{"keys":[` + worse + `]}`), 3, "no public key"},
			{"an outage", fails, 4, "status 500"},
			{"back again", beside(worse), 5, "half"},
		} {
			s.serve(keysURL, step.answer)
			time.Sleep(61 * time.Second)
			// A made-up key id has the set fetched, and waits for it.
			want(t, v, latchkeytest.NewIssuer(t), refused, step.name)
			want(t, v, issuer, good, step.name)
			all := strings.Split(strings.TrimSpace(lines.String()), "\n")
			if len(all) != step.logged || !strings.Contains(all[len(all)-1], step.last) {
				t.Errorf("%s: logged %q, want %d lines, the last with %q", step.name, all, step.logged, step.last)
			}
		}
	})
}

func TestWaitsNoLongerThanItsCaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, issuer := newSite(), latchkeytest.NewIssuer(t)
		s.serve(keysURL, func(w http.ResponseWriter, r *http.Request) {
			time.Sleep(time.Second)
			keysOf(issuer)(w, r)
		})
		v := remote(t, s, jwks.Config{})
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		if _, err := v.Verify(ctx, issuer.Token("ada", "")); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Verify says %v, want that time was up", err)
		}
		want(t, v, issuer, good, "the fetch goes on for others")
		wantFetches(t, s, 1, "the fetch goes on for others")
	})
}

// TestBoundsOfAFetch are those of a real connection.
func TestBoundsOfAFetch(t *testing.T) {
	issuer := latchkeytest.NewIssuer(t)
	elsewhere := issuer.JWKS()
	done := make(chan struct{})
	t.Cleanup(func() { close(done) })
	doc := document(issuer)
	for name, c := range map[string]struct {
		answer http.HandlerFunc
		want   string
	}{
		"good": {page(doc), good},
		"a redirect": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, elsewhere, http.StatusFound)
		}, outage},
		"64 KiB":        {page(doc + strings.Repeat(" ", 64<<10-len(doc))), good},
		"a byte more":   {page(doc + strings.Repeat(" ", 64<<10-len(doc)+1)), outage},
		"100 MB":        {func(w http.ResponseWriter, _ *http.Request) { io.Copy(w, io.LimitReader(spaces{}, 100<<20)) }, outage},
		"no JSON":       {page("<html>"), outage},
		"no content":    {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }, outage},
		"large headers": {page(doc, "X-Pad", strings.Repeat("x", 32<<10)), outage},
		"compressed": {func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Accept-Encoding") != "" {
				t.Error("it asks for compressed answers")
			}
			page(doc)(w, r)
		}, good},
		"no answer": {func(_ http.ResponseWriter, r *http.Request) {
			select {
			case <-r.Context().Done():
			case <-done:
			}
		}, outage},
		"an answer without end": {func(w http.ResponseWriter, r *http.Request) {
			for r.Context().Err() == nil {
				if _, err := w.Write([]byte(" ")); err != nil || http.NewResponseController(w).Flush() != nil {
					return
				}
				time.Sleep(100 * time.Millisecond) // slow, not for another goroutine to come first
			}
		}, outage},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := httptest.NewServer(c.answer)
			t.Cleanup(server.Close)
			keys, err := jwks.Remote(server.URL, jwks.Config{AllowPrivate: true})
			began := time.Now()
			want(t, verifierOf(t, keys, err), issuer, c.want, name)
			if took := time.Since(began); took > 5*time.Second { // 1.5 s, on a busy machine
				t.Errorf("it took %s", took)
			}
		})
	}
}

// spaces is white space without end.
type spaces struct{}

func (spaces) Read(b []byte) (int, error) { return copy(b, bytes.Repeat([]byte(" "), len(b))), nil }

// TestPrivateAddressesAreNotDialled: no name leads to one.
func TestPrivateAddressesAreNotDialled(t *testing.T) {
	var connections atomic.Int32
	server := httptest.NewUnstartedServer(http.NotFoundHandler())
	server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			connections.Add(1)
		}
	}
	server.StartTLS()
	t.Cleanup(server.Close)
	_, port, err := net.SplitHostPort(server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	const name = "https://localhost:" // looked up when it is dialled
	for _, open := range []func(string, jwks.Config) (*jwks.Set, error){jwks.Remote, jwks.Discover} {
		keys, err := open(name+port, jwks.Config{})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := keys.Snapshot(t.Context()); err == nil || !strings.Contains(err.Error(), "not a public address") {
			t.Errorf("got error %v", err)
		}
	}
	if n := connections.Load(); n != 0 {
		t.Errorf("%d connections were made", n)
	}
	keys, err := jwks.Remote(name+port, jwks.Config{AllowPrivate: true})
	if err != nil {
		t.Fatal(err)
	}
	// Allowed, it is dialled, and its certificate is nobody's.
	if _, err := keys.Snapshot(t.Context()); err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("got error %v, want one about the certificate", err)
	}
	if connections.Load() == 0 {
		t.Error("no connection was made")
	}
}

func TestURLs(t *testing.T) {
	for url, c := range map[string]struct{ public, private bool }{
		"https://auth.example.com/jwks.json":      {true, true},
		"https://auth.example.com:8443/jwks.json": {true, true},
		"https://127.0.0.1/jwks.json":             {false, true},
		"https://169.254.169.254/latest":          {false, true},
		"https://[::ffff:10.0.0.1]/":              {false, true},
		"https://[fe80::1]/":                      {false, true},
		"http://127.0.0.1:8080/jwks.json":         {false, true},
		"http://localhost/jwks.json":              {false, true},
		"http://[::1]:1/":                         {false, true},
		"http://auth.example.com/jwks.json":       {},
		"http://127.0.0.1.example.com/":           {},
		"http://localhost.example.com/":           {},
		"http://10.0.0.1/":                        {},
		"https://user:pw@auth.example.com/":       {},
		"https://user:pw@auth.example.com/%zz":    {},
		"https://auth.example.com/#part":          {},
		"https:auth.example.com":                  {},
		"https:///jwks.json":                      {},
		"ftp://127.0.0.1/":                        {},
		"file:///etc/passwd":                      {},
		"/jwks.json":                              {},
		"":                                        {},
	} {
		for name, open := range map[string]func(string, jwks.Config) (*jwks.Set, error){"Remote": jwks.Remote, "Discover": jwks.Discover} {
			for allow, want := range map[bool]bool{false: c.public, true: c.private} {
				set, err := open(url, jwks.Config{AllowPrivate: allow})
				if (err == nil) != want || (set == nil) == want {
					t.Errorf("%s(%q), AllowPrivate %v: %v", name, url, allow, err)
				}
				if err != nil && strings.Contains(err.Error(), "pw") {
					t.Errorf("the error holds the password: %v", err)
				}
			}
		}
	}
	if _, err := jwks.Discover("https://auth.example.com/?tenant=a", jwks.Config{}); err == nil {
		t.Error("an issuer with a query is taken")
	}
}

func TestConfigBounds(t *testing.T) {
	for name, c := range map[string]struct {
		cfg  jwks.Config
		good bool
	}{
		"zero":                {jwks.Config{}, true},
		"a minute":            {jwks.Config{MaxAge: time.Minute}, true},
		"less than a minute":  {jwks.Config{MaxAge: time.Minute - 1}, false},
		"negative":            {jwks.Config{MaxAge: -1}, false},
		"a day":               {jwks.Config{MaxAge: 24 * time.Hour, StaleFor: 24 * time.Hour}, true},
		"more than a day":     {jwks.Config{MaxAge: 24*time.Hour + 1}, false},
		"stale for more":      {jwks.Config{StaleFor: 24*time.Hour + 1}, false},
		"stale for no time":   {jwks.Config{StaleFor: -1}, true},
		"an unusable package": {jwks.Config{Snapshot: []byte("{}")}, false},
	} {
		if _, err := jwks.Remote(keysURL, c.cfg); (err == nil) != c.good {
			t.Errorf("%s: %v", name, err)
		}
	}
}
