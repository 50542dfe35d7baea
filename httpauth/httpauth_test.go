package httpauth_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/latchkey-auth/latchkey"
	"github.com/latchkey-auth/latchkey/httpauth"
	"github.com/latchkey-auth/latchkey/jwks"
	"github.com/latchkey-auth/latchkey/latchkeytest"
	"github.com/latchkey-auth/latchkey/revocation"
)

// hello greets the subject of the request's token.
var hello = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
	claims, ok := httpauth.ClaimsFrom(r.Context())
	fmt.Fprint(w, claims.Subject, ok)
})

func TestRequire(t *testing.T) {
	issuer := latchkeytest.NewIssuer(t)
	guarded := httpauth.Require(issuer.Verifier(), httpauth.WithScopes("orders:read", "orders:write"))(hello)
	good := issuer.Token("ada", "orders:read orders:write")
	for _, c := range []struct {
		name      string
		headers   []string
		status    int
		challenge string
	}{
		{"a good token", []string{"Bearer " + good}, 200, ""},
		{"the scheme in another case", []string{"bEARER " + good}, 200, ""},
		{"no header", nil, 401, "Bearer"},
		{"two headers", []string{"Bearer " + good, "Bearer " + good}, 401, "Bearer"},
		{"two tokens in one header", []string{"Bearer " + good + ", Bearer " + good}, 401, "Bearer"},
		{"two spaces", []string{"Bearer  " + good}, 200, ""},
		{"ten spaces", []string{"bearer" + strings.Repeat(" ", 10) + good}, 200, ""},
		{"spaces alone", []string{"Bearer   "}, 401, "Bearer"},
		{"a tab behind the space", []string{"Bearer \t" + good}, 401, "Bearer"},
		{"a space within", []string{"Bearer  " + good[:20] + " " + good[20:]}, 401, "Bearer"},
		{"another scheme", []string{"Basic " + good}, 401, "Bearer"},
		{"the token alone", []string{good}, 401, "Bearer"},
		{"an empty token", []string{"Bearer "}, 401, "Bearer"},
		{"an expired token", []string{"Bearer " + issuer.Expired("ada", "")}, 401, `Bearer error="invalid_token"`},
		{"a forged token", []string{"Bearer " + issuer.Forged("ada", "")}, 401, `Bearer error="invalid_token"`},
		{"a scope too few", []string{"Bearer " + issuer.Token("ada", "orders:read")}, 403, `Bearer error="insufficient_scope", scope="orders:read orders:write"`},
	} {
		r := httptest.NewRequest("GET", "/?access_token="+good, nil)
		r.AddCookie(&http.Cookie{Name: "access_token", Value: good})
		r.Header["Authorization"] = c.headers
		w := httptest.NewRecorder()
		guarded.ServeHTTP(w, r)
		if w.Code != c.status || w.Header().Get("WWW-Authenticate") != c.challenge {
			t.Errorf("%s: answered %d with challenge %q, want %d with %q", c.name, w.Code, w.Header().Get("WWW-Authenticate"), c.status, c.challenge)
		}
		if c.status == 200 && w.Body.String() != "adatrue" {
			t.Errorf("%s: the handler saw %q", c.name, w.Body)
		}
	}
}

// brokenKeys is a key set that cannot be read.
type brokenKeys struct{}

func (brokenKeys) Key(context.Context, string, latchkey.Algorithm) (*latchkey.Key, error) {
	return nil, io.ErrUnexpectedEOF
}

func TestRequireAnswersAnOutageWith503(t *testing.T) {
	v, err := latchkey.New(latchkey.Config{Keys: brokenKeys{}, Issuer: latchkeytest.URL, Audience: latchkeytest.Audience})
	if err != nil {
		t.Fatal(err)
	}
	r := httptest.NewRequest("GET", "/", nil)
	r.Header.Set("Authorization", "Bearer "+latchkeytest.NewIssuer(t).Token("ada", ""))
	w := httptest.NewRecorder()
	httpauth.Require(v)(hello).ServeHTTP(w, r)
	if w.Code != 503 || w.Header().Get("Retry-After") == "" || w.Header().Get("WWW-Authenticate") != "" {
		t.Errorf("answered %d with headers %v", w.Code, w.Header())
	}
}

// TestWithLogger: refusals and outages are logged with what tells them apart, and
// never the token or the query.
func TestWithLogger(t *testing.T) {
	issuer := latchkeytest.NewIssuer(t)
	other, err := latchkey.New(latchkey.Config{Keys: issuer.KeySet(), Issuer: "https://other.example", Audience: latchkeytest.Audience})
	if err != nil {
		t.Fatal(err)
	}
	down, err := latchkey.New(latchkey.Config{Keys: brokenKeys{}, Issuer: latchkeytest.URL, Audience: latchkeytest.Audience})
	if err != nil {
		t.Fatal(err)
	}
	good := issuer.Token("ada", "orders:read")
	for name, c := range map[string]struct {
		v             *latchkey.Verifier
		authorization string
		want          string // "": nothing is logged
	}{
		"good":            {issuer.Verifier(), "Bearer " + good, ""},
		"no token":        {issuer.Verifier(), "", `level=INFO msg="request refused" method=GET path=/orders reason="no bearer token"`},
		"a forged token":  {issuer.Verifier(), "Bearer " + issuer.Forged("ada", ""), `reason="invalid token: signature: does not match"`},
		"another issuer":  {other, "Bearer " + good, `reason="invalid token: issuer: iss is \"` + latchkeytest.URL + `\", want \"https://other.example\""`},
		"a scope missing": {issuer.Verifier(), "Bearer " + issuer.Token("ada", ""), `reason="token lacks a scope: orders:read"`},
		"an outage":       {down, "Bearer " + good, `level=ERROR msg="token could not be checked"`},
	} {
		t.Run(name, func(t *testing.T) {
			var lines strings.Builder
			guarded := httpauth.Require(c.v, httpauth.WithScopes("orders:read"), httpauth.WithLogger(slog.New(slog.NewTextHandler(&lines, nil))))(hello)
			r := httptest.NewRequest("GET", "/orders?access_token="+good, nil)
			r.Header.Set("Authorization", c.authorization)
			w := httptest.NewRecorder()
			guarded.ServeHTTP(w, r)
			if (c.want == "") != (lines.Len() == 0) || !strings.Contains(lines.String(), c.want) {
				t.Errorf("logged %q, want %q", lines.String(), c.want)
			}
			for _, part := range strings.Split(good, ".")[1:] {
				if strings.Contains(lines.String(), part) {
					t.Error("a token is in the log")
				}
			}
			if strings.Contains(w.Body.String(), "example") || strings.Contains(fmt.Sprint(w.Header()), "example") {
				t.Errorf("the answer says why: %v %s", w.Header(), w.Body)
			}
		})
	}
}

// TestWithPreflights: without the option nothing passes without a token, and with
// it nothing but a preflight.
func TestWithPreflights(t *testing.T) {
	issuer := latchkeytest.NewIssuer(t)
	preflight := http.Header{"Origin": {"https://app.example.com"}, "Access-Control-Request-Method": {"GET"}}
	without := func(name string) http.Header {
		h := preflight.Clone()
		h.Del(name)
		return h
	}
	withToken := preflight.Clone()
	withToken.Set("Authorization", "Bearer garbage")
	for _, c := range []struct {
		name, method string
		header       http.Header
		passes       bool
	}{
		{"a preflight", "OPTIONS", preflight, true},
		{"a preflight with a bad token", "OPTIONS", withToken, false},
		{"without an origin", "OPTIONS", without("Origin"), false},
		{"without a method", "OPTIONS", without("Access-Control-Request-Method"), false},
		{"another method", "GET", preflight, false},
		{"a method in another case", "options", preflight, false},
	} {
		for _, on := range []bool{false, true} {
			options := []httpauth.Option{httpauth.WithScopes("orders:read")}
			if on {
				options = append(options, httpauth.WithPreflights())
			}
			r := httptest.NewRequest(c.method, "/", nil)
			r.Header = c.header
			w := httptest.NewRecorder()
			httpauth.Require(issuer.Verifier(), options...)(hello).ServeHTTP(w, r)
			passed := w.Code == http.StatusOK
			if passed != (on && c.passes) || passed && w.Body.String() != "false" {
				t.Errorf("%s, option %v: %d %q", c.name, on, w.Code, w.Body)
			}
		}
	}
}

func TestWithErrorHandler(t *testing.T) {
	issuer := latchkeytest.NewIssuer(t)
	var got error
	guarded := httpauth.Require(issuer.Verifier(), httpauth.WithErrorHandler(func(w http.ResponseWriter, _ *http.Request, err error) {
		got = err
		w.WriteHeader(http.StatusTeapot)
	}))(hello)
	w := httptest.NewRecorder()
	guarded.ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
	if w.Code != http.StatusTeapot || !errors.Is(got, httpauth.ErrNoToken) {
		t.Errorf("answered %d for %v", w.Code, got)
	}
}

// revoked is a verifier that asks further than the token.
type revoked struct {
	httpauth.Verifier
	session string
}

func (r revoked) Verify(ctx context.Context, token string) (latchkey.Claims, error) {
	c, err := r.Verifier.Verify(ctx, token)
	if err == nil && c.SessionID == r.session {
		return latchkey.Claims{}, fmt.Errorf("%w: its session has ended", latchkey.ErrInvalidToken)
	}
	return c, err
}

// TestWithRevocations: a token that has ended is 401, and nobody gets in when that cannot
// be told.
func TestWithRevocations(t *testing.T) {
	issuer := latchkeytest.NewIssuer(t)
	claims := latchkeytest.Claims("ada", "", time.Now())
	source := &ended{session: claims["sid"].(string)}
	revocations, err := revocation.New(revocation.Config{Source: source})
	if err != nil {
		t.Fatal(err)
	}
	guarded := httpauth.Require(issuer.Verifier(), httpauth.WithRevocations(revocations))(hello)
	status := func(token string) int {
		r := httptest.NewRequest("GET", "/", nil)
		r.Header.Set("Authorization", "Bearer "+token)
		w := httptest.NewRecorder()
		guarded.ServeHTTP(w, r)
		return w.Code
	}
	source.err = errors.New("away")
	if got := status(issuer.Token("ada", "")); got != 503 {
		t.Errorf("in an outage: answered %d, want 503", got)
	}
	source.err = nil
	if revocations, err = revocation.New(revocation.Config{Source: source}); err != nil {
		t.Fatal(err)
	}
	guarded = httpauth.Require(issuer.Verifier(), httpauth.WithRevocations(revocations))(hello)
	for range 2 { // the verifier remembers the token
		if got := status(issuer.Sign(claims)); got != 401 {
			t.Errorf("a token that has ended: answered %d, want 401", got)
		}
		if got := status(issuer.Token("ada", "")); got != 200 {
			t.Errorf("another: answered %d, want 200", got)
		}
	}
}

// ended is a source that tells of one session.
type ended struct {
	session string
	err     error
}

func (e *ended) Revocations(context.Context, string) (revocation.Page, error) {
	r := revocation.Revocation{Time: time.Now(), UserID: "ada", SessionID: e.session, ExpiresAt: time.Now().Add(time.Hour)}
	return revocation.Page{Revocations: []revocation.Revocation{r}, Next: "next"}, e.err
}

func (e *ended) Ended(context.Context, latchkey.Claims) (bool, error) { return false, e.err }

func TestRequireTakesAnyVerifier(t *testing.T) {
	issuer := latchkeytest.NewIssuer(t)
	ended := latchkeytest.Claims("ada", "", time.Now())
	guarded := httpauth.Require(revoked{issuer.Verifier(), ended["sid"].(string)})(hello)
	for token, status := range map[string]int{issuer.Token("ada", ""): 200, issuer.Sign(ended): 401} {
		r := httptest.NewRequest("GET", "/", nil)
		r.Header.Set("Authorization", "Bearer "+token)
		w := httptest.NewRecorder()
		guarded.ServeHTTP(w, r)
		if w.Code != status {
			t.Errorf("answered %d, want %d", w.Code, status)
		}
	}
}

func TestRequireWithoutVerifier(t *testing.T) {
	for name, v := range map[string]httpauth.Verifier{"none": nil, "a nil one": (*latchkey.Verifier)(nil)} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: no panic when it is made", name)
				}
			}()
			httpauth.Require(v)
		}()
	}
}

func TestClaimsFromAnotherContext(t *testing.T) {
	if _, ok := httpauth.ClaimsFrom(t.Context()); ok {
		t.Error("there are claims where no token was")
	}
}

// Guard an API: keys come from the issuer, claims from the context.
func ExampleRequire() {
	keys, err := jwks.Discover("https://auth.example.com", jwks.Config{})
	if err != nil {
		panic(err)
	}
	verifier, err := latchkey.New(latchkey.Config{Keys: keys, Issuer: "https://auth.example.com", Audience: "https://api.example.com"})
	if err != nil {
		panic(err)
	}
	orders := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		claims, _ := httpauth.ClaimsFrom(r.Context())
		fmt.Fprintln(w, "orders of", claims.Subject)
	})
	mux := http.NewServeMux()
	mux.Handle("GET /orders", httpauth.Require(verifier, httpauth.WithScopes("orders:read"))(orders))

	w := httptest.NewRecorder()
	mux.ServeHTTP(w, httptest.NewRequest("GET", "/orders", nil))
	fmt.Println(w.Code, w.Header().Get("WWW-Authenticate"))
	// Output: 401 Bearer
}
