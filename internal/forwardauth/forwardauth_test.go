package forwardauth

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/latchkey-auth/latchkey/internal/gateway"
	"github.com/latchkey-auth/latchkey/latchkeytest"
)

// table is what the tests' requests are decided by.
func table(t testing.TB) *gateway.Table {
	t.Helper()
	table, err := gateway.NewTable([]gateway.Route{
		{Method: "GET", Path: "/health", Public: true, To: "app"},
		{Method: "GET", Path: "/orders/{id}", To: "app"},
		{Method: "GET", Path: "/orders/{id}/refunds", Scopes: []string{"refunds"}, To: "app"},
		{Method: "POST", Path: "/orders", Scopes: []string{"orders:write"}, To: "app"},
		{Method: "GET", Path: "/admin", Scopes: []string{"admin"}, To: "app"},
		{Method: "POST", Path: "/transfer", SignIn: gateway.SignIn{MaxAuthAge: 10 * time.Minute, ACR: []string{"2"}}, To: "app"},
		{Method: "POST", Path: "/transfer/{id}", Scopes: []string{"transfer"}, SignIn: gateway.SignIn{AMR: []string{"otp"}}, To: "app"},
	})
	if err != nil {
		t.Fatal(err)
	}
	return table
}

func authorizer(t testing.TB, issuer *latchkeytest.Issuer) *gateway.Authorizer {
	t.Helper()
	a, err := gateway.NewAuthorizer(gateway.AuthorizerConfig{Verifier: issuer.Verifier(), Table: table(t)})
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// door answers peers of loopback; everybody else, and every other path, gets 418.
func door(t testing.TB, proxy Proxy, a Authorizer) http.Handler {
	t.Helper()
	h, err := New(Config{Authorizer: a, Proxy: proxy, Peers: LoopbackPeers, Log: slog.New(slog.DiscardHandler)},
		http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) }))
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// question is a request as the proxy asks it: Traefik and Envoy as documented.
func question(proxy Proxy, method, uri string, headers ...string) *http.Request {
	r := httptest.NewRequest("GET", Path, nil)
	switch proxy {
	case Nginx:
		r.Header.Set("X-Original-Method", method)
		r.Header.Set("X-Original-URI", uri)
	case Envoy:
		r = httptest.NewRequest(method, "/", nil)
		r.RequestURI = Path + uri
	default:
		r.Header.Set("X-Forwarded-Method", method)
		r.Header.Set("X-Forwarded-Uri", uri)
		r.Header.Set("X-Forwarded-Host", "api.example.com")
		r.Header.Set("X-Forwarded-For", "203.0.113.9")
	}
	r.RemoteAddr = "127.0.0.1:50000"
	for i := 0; i < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	return r
}

func answer(h http.Handler, r *http.Request) *http.Response {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Result()
}

var proxies = []Proxy{Nginx, Caddy, Traefik, Envoy}

func TestEachProxyGetsTheDecision(t *testing.T) {
	issuer := latchkeytest.NewIssuer(t)
	ada := "Bearer " + issuer.Token("ada", "orders:write")
	for _, proxy := range proxies {
		h := door(t, proxy, authorizer(t, issuer))
		for _, c := range []struct {
			method, uri, credential string
			status                  int
			challenge               string
		}{
			{"GET", "/health", "", 200, ""},
			{"GET", "/health?deep=1", "Bearer nonsense", 200, ""},
			{"GET", "/orders/42", "", 401, "Bearer"},
			{"GET", "/orders/42", "Bearer nonsense", 401, `Bearer error="invalid_token"`},
			{"GET", "/orders/42", "Bearer " + issuer.Expired("ada", ""), 401, `Bearer error="invalid_token"`},
			{"GET", "/orders/42?x=/../admin", ada, 200, ""},
			{"POST", "/orders", ada, 200, ""},
			{"GET", "/admin", ada, 403, ""},
			{"GET", "/elsewhere", ada, 403, ""},
			{"DELETE", "/orders/42", ada, 403, ""},
			{"ANY", "/orders/42", ada, 403, ""},
			{"GET", "/orders/42/refunds", ada, 403, ""},
			// One path in several spellings.
			{"GET", "/orders/42%2Frefunds", ada, 403, ""},
			{"GET", "/orders//refunds", ada, 403, ""},
			{"GET", "/orders/../admin", ada, 403, ""},
			{"GET", "/orders/%2e%2e/admin", ada, 403, ""},
			{"GET", "/health/../admin", "", 403, ""},
			{"GET", "/health/", "", 403, ""},
			{"GET", "/health;x/../admin", "", 403, ""},
			{"GET", "/HEALTH", "", 403, ""},
			{"GET", "/health%00", "", 403, ""},
			{"GET", "/health#/admin", "", 403, ""},
			{"GET", `/health\..\admin`, "", 403, ""},
		} {
			r := question(proxy, c.method, c.uri)
			if c.credential != "" {
				r.Header.Set("Authorization", c.credential)
			}
			got := answer(h, r)
			if got.StatusCode != c.status || got.Header.Get("WWW-Authenticate") != c.challenge {
				t.Errorf("%s: %s %s with %.20q: %d %q, want %d %q", proxy, c.method, c.uri, c.credential, got.StatusCode, got.Header.Get("WWW-Authenticate"), c.status, c.challenge)
			}
		}
	}
}

// signedIn is a token that says how ada signed in, and how long ago.
func signedIn(issuer *latchkeytest.Issuer, scope, acr string, amr []string, ago time.Duration) string {
	claims := latchkeytest.Claims("ada", scope, time.Now())
	claims["acr"], claims["amr"], claims["auth_time"] = acr, amr, time.Now().Add(-ago).Unix()
	return issuer.Sign(claims)
}

// TestSignInAgain: who lacks nothing but a sign-in is told that of the route, and nobody
// else is.
func TestSignInAgain(t *testing.T) {
	const transfer = `Bearer error="insufficient_user_authentication", acr_values="2", max_age="600"`
	const single = `Bearer error="insufficient_user_authentication"`
	issuer := latchkeytest.NewIssuer(t)
	plain := signedIn(issuer, "transfer", "1", []string{"pwd"}, time.Minute)
	for _, proxy := range proxies {
		h := door(t, proxy, authorizer(t, issuer))
		for _, c := range []struct {
			what, method, uri, token string
			status                   int
			challenge                string
		}{
			{"one factor", "POST", "/transfer", plain, 401, transfer},
			{"two factors", "POST", "/transfer", signedIn(issuer, "", "2", []string{"pwd", "otp"}, time.Minute), 200, ""},
			{"two factors, long ago", "POST", "/transfer", signedIn(issuer, "", "2", []string{"pwd", "otp"}, time.Hour), 401, transfer},
			{"a token that does not say", "POST", "/transfer", issuer.Token("ada", ""), 401, transfer},
			{"the scope without the factor", "POST", "/transfer/7", plain, 401, single},
			{"neither", "POST", "/transfer/7", issuer.Token("ada", ""), 403, ""},
			{"another spelling", "POST", "/Transfer", plain, 403, ""},
			{"a path of two readings", "POST", "/transfer//", plain, 403, ""},
			{"another verb", "GET", "/transfer", plain, 403, ""},
			{"a scope", "GET", "/admin", plain, 403, ""},
			{"a route that asks for none", "GET", "/orders/1", plain, 200, ""},
			{"a bad token", "POST", "/transfer", plain + "x", 401, `Bearer error="invalid_token"`},
		} {
			r := answer(h, question(proxy, c.method, c.uri, "Authorization", "Bearer "+c.token))
			if r.StatusCode != c.status || r.Header.Get("WWW-Authenticate") != c.challenge {
				t.Errorf("%s: %s: %d %q, want %d %q", proxy, c.what, r.StatusCode, r.Header["Www-Authenticate"], c.status, c.challenge)
			}
		}
	}
}

// TestSignInForTheOtherCase: behind a server that does not mind case, a public path leads
// to a route that asks for a sign-in.
func TestSignInForTheOtherCase(t *testing.T) {
	issuer := latchkeytest.NewIssuer(t)
	table, err := gateway.NewTable([]gateway.Route{
		{Method: "ANY", Path: "/{path+}", Public: true, To: "app"},
		{Method: "GET", Path: "/keys", SignIn: gateway.SignIn{ACR: []string{"2"}}, To: "app"},
	})
	if err != nil {
		t.Fatal(err)
	}
	a, err := gateway.NewAuthorizer(gateway.AuthorizerConfig{Verifier: issuer.Verifier(), Table: table})
	if err != nil {
		t.Fatal(err)
	}
	for acr, status := range map[string]int{"1": 401, "2": 200} {
		r := answer(door(t, Nginx, a), question(Nginx, "GET", "/KEYS", "Authorization", "Bearer "+signedIn(issuer, "", acr, nil, 0)))
		if r.StatusCode != status || strings.Contains(r.Header.Get("WWW-Authenticate"), `acr_values="2"`) != (status == 401) {
			t.Errorf("acr %s: %d %q", acr, r.StatusCode, r.Header["Www-Authenticate"])
		}
	}
}

// TestCaseLeadsAroundNoRoute: many servers do not mind the case of a path.
func TestCaseLeadsAroundNoRoute(t *testing.T) {
	issuer := latchkeytest.NewIssuer(t)
	table, err := gateway.NewTable([]gateway.Route{
		{Method: "GET", Path: "/orders/{id}", To: "app"},
		{Method: "GET", Path: "/orders/export", Scopes: []string{"export"}, To: "app"},
		{Method: "ANY", Path: "/{path+}", Public: true, To: "app"},
		{Method: "ANY", Path: "/Admin/{path+}", Scopes: []string{"admin"}, To: "app"},
		{Method: "GET", Path: "/Admin/health", Public: true, To: "app"},
	})
	if err != nil {
		t.Fatal(err)
	}
	a, err := gateway.NewAuthorizer(gateway.AuthorizerConfig{Verifier: issuer.Verifier(), Table: table})
	if err != nil {
		t.Fatal(err)
	}
	h := door(t, Nginx, a)
	for _, c := range []struct {
		method, uri, scope string // of a token; "-": there is none
		status             int
	}{
		{"GET", "/orders/Other", "", 200},
		{"GET", "/orders/export", "", 403},
		{"GET", "/orders/Export", "", 403},
		{"GET", "/orders/Export", "export", 200},
		{"GET", "/ORDERS/7", "-", 401},
		{"GET", "/ORDERS/EXPORT", "", 403},
		{"POST", "/orders/Export", "-", 200},
		{"POST", "/admin/users", "-", 401},
		{"POST", "/admin/users", "", 403},
		{"POST", "/admin/users", "admin", 200},
		{"GET", "/ADMIN/health", "-", 200},
		{"POST", "/ADMIN/health", "-", 401},
		{"GET", "/administration", "-", 200},
		{"GET", "/admin", "-", 200},
	} {
		r := question(Nginx, c.method, c.uri)
		if c.scope != "-" {
			r.Header.Set("Authorization", "Bearer "+issuer.Token("ada", c.scope))
		}
		if got := answer(h, r).StatusCode; got != c.status {
			t.Errorf("%s %s with scope %q: %d, want %d", c.method, c.uri, c.scope, got, c.status)
		}
	}
}

// A proxy copies what is there: an absent header would leave the client's own.
func TestIdentityHeadersAreAlwaysThere(t *testing.T) {
	issuer := latchkeytest.NewIssuer(t)
	h := door(t, Nginx, authorizer(t, issuer))
	identity := func(r *http.Request) map[string][]string {
		got := answer(h, r).Header
		return map[string][]string{"sub": got["X-Latchkey-Sub"], "username": got["X-Latchkey-Username"], "scope": got["X-Latchkey-Scope"]}
	}
	spoofed := []string{"X-Latchkey-Sub", "root", "X-Latchkey-Username", "root", "X-Latchkey-Scope", "admin"}
	none := map[string][]string{"sub": {""}, "username": {""}, "scope": {""}}
	if diff := cmp.Diff(none, identity(question(Nginx, "GET", "/health", spoofed...))); diff != "" {
		t.Errorf("public route (-want +got):\n%s", diff)
	}
	r := question(Nginx, "GET", "/orders/1", append(spoofed, "Authorization", "Bearer "+issuer.Token("ada", "a b"))...)
	if got := identity(r); got["sub"][0] != "ada" || got["scope"][0] != "a b" || len(got["username"]) != 1 || got["username"][0] == "root" {
		t.Errorf("private route: %v", got)
	}
}

// TestChosenClaimsAreHeaders, which are there and empty where the token has none.
func TestChosenClaimsAreHeaders(t *testing.T) {
	issuer := latchkeytest.NewIssuer(t)
	claims, err := gateway.ParseContextClaims("sub,payload,jti=token_id,tenant")
	if err != nil {
		t.Fatal(err)
	}
	a, err := gateway.NewAuthorizer(gateway.AuthorizerConfig{Verifier: issuer.Verifier(), Table: table(t), EventConfig: gateway.EventConfig{Claims: claims}})
	if err != nil {
		t.Fatal(err)
	}
	h, err := New(Config{Authorizer: a, Proxy: Nginx, Claims: claims, Peers: LoopbackPeers, Log: slog.New(slog.DiscardHandler)}, http.NotFoundHandler())
	if err != nil {
		t.Fatal(err)
	}
	got := answer(h, question(Nginx, "GET", "/orders/1", "Authorization", "Bearer "+issuer.Token("ada", "a b"))).Header
	if id := got.Get("X-Latchkey-Token-Id"); got.Get("X-Latchkey-Sub") != "ada" || id == "" || cmp.Diff([]string{""}, got["X-Latchkey-Tenant"]) != "" || got["X-Latchkey-Payload"] != nil {
		t.Errorf("headers %v", got)
	}
	got = answer(h, question(Nginx, "GET", "/health")).Header
	if cmp.Diff([]string{""}, got["X-Latchkey-Tenant"]) != "" || cmp.Diff([]string{""}, got["X-Latchkey-Token-Id"]) != "" {
		t.Errorf("public route: headers %v", got)
	}
}

func TestStrangersMayNotAsk(t *testing.T) {
	h := door(t, Nginx, authorizer(t, latchkeytest.NewIssuer(t)))
	for address, status := range map[string]int{
		"127.0.0.1:1": 200, "[::1]:1": 200, "[::ffff:127.0.0.1]:1": 200,
		"10.0.0.1:1": 418, "[fe80::1%eth0]:1": 418, "@": 418, "": 418, "127.0.0.1": 418,
	} {
		r := question(Nginx, "GET", "/health", "X-Forwarded-For", "127.0.0.1", "Forwarded", "for=127.0.0.1")
		r.RemoteAddr = address
		if got := answer(h, r).StatusCode; got != status {
			t.Errorf("from %q: %d, want %d", address, got, status)
		}
	}
}

// What a client sends under the names of another proxy is not read, and a proxy that does
// not say what it asks about gets no decision.
func TestQuestionsComeFromOnePlace(t *testing.T) {
	a := authorizer(t, latchkeytest.NewIssuer(t))
	others := map[Proxy][]string{
		Nginx:   {"X-Forwarded-Method", "GET", "X-Forwarded-Uri", "/health", "X-Original-Url", "/health"},
		Caddy:   {"X-Original-Method", "GET", "X-Original-Uri", "/health", "X-Rewrite-Url", "/health"},
		Traefik: {"X-Original-Method", "GET", "X-Original-Uri", "/health"},
		Envoy:   {"X-Original-Uri", "/health", "X-Forwarded-Uri", "/health", "X-Envoy-Original-Path", "/health", "X-Http-Method-Override", "GET"},
	}
	for _, proxy := range proxies {
		h := door(t, proxy, a)
		if got := answer(h, question(proxy, "GET", "/admin", others[proxy]...)).StatusCode; got != 401 {
			t.Errorf("%s, with headers of others: %d", proxy, got)
		}
		if proxy == Envoy {
			continue
		}
		silent := httptest.NewRequest("GET", Path, nil)
		silent.RemoteAddr = "127.0.0.1:1"
		for i := 0; i < len(others[proxy]); i += 2 {
			silent.Header.Set(others[proxy][i], others[proxy][i+1])
		}
		long := question(proxy, "GET", "/health?"+strings.Repeat("x", maxURI))
		method := question(proxy, strings.Repeat("G", maxMethod+1), "/health")
		twice := question(proxy, "GET", "/health")
		for name := range twice.Header {
			twice.Header[name] = append(twice.Header[name], "/health")
		}
		for what, r := range map[string]*http.Request{"nothing": silent, "two": twice, "a long path": long, "a long method": method} {
			if got := answer(h, r).StatusCode; got != 400 {
				t.Errorf("%s, asking about %s: %d, want 400", proxy, what, got)
			}
		}
	}
	envoy := door(t, Envoy, a)
	for uri, status := range map[string]int{Path: 418, Path + "x/health": 418, "http://x" + Path + "/health": 418, Path + "/": 403, Path + "/" + strings.Repeat("x", maxURI): 400} {
		r := question(Envoy, "GET", "/")
		r.RequestURI = uri
		if got := answer(envoy, r).StatusCode; got != status {
			t.Errorf("envoy at %.40s: %d, want %d", uri, got, status)
		}
	}
}

type broken struct{}

func (broken) AuthorizeRequest(context.Context, string, string, string) ([]gateway.ContextValue, error) {
	return nil, errors.New("the key set is out of reach")
}

type oddName struct{}

func (oddName) AuthorizeRequest(context.Context, string, string, string) ([]gateway.ContextValue, error) {
	return []gateway.ContextValue{{Name: "sub", Value: " ada"}}, nil
}

func TestAnOutageIsNoRefusal(t *testing.T) {
	for what, a := range map[string]Authorizer{"no keys": broken{}, "a name that a header cannot hold": oddName{}} {
		got := answer(door(t, Caddy, a), question(Caddy, "GET", "/orders/1"))
		if got.StatusCode != 503 || got.Header.Get("Retry-After") == "" || got.Header.Get("X-Latchkey-Sub") != "" {
			t.Errorf("%s: %d %v", what, got.StatusCode, got.Header)
		}
	}
}

func TestTwoCredentialsAreNone(t *testing.T) {
	issuer := latchkeytest.NewIssuer(t)
	r := question(Nginx, "GET", "/orders/1", "Authorization", "Bearer "+issuer.Token("ada", ""), "Authorization", "Bearer "+issuer.Token("eve", ""))
	if got := answer(door(t, Nginx, authorizer(t, issuer)), r).StatusCode; got != 401 {
		t.Errorf("two Authorization headers: %d", got)
	}
}

func TestParsePeers(t *testing.T) {
	got, err := ParsePeers([]string{"10.0.0.7", "10.1.2.3/8", "::1", "::ffff:192.0.2.1", "2001:db8::/32"})
	if err != nil {
		t.Fatal(err)
	}
	var text []string
	for _, p := range got {
		text = append(text, p.String())
	}
	if diff := cmp.Diff([]string{"10.0.0.7/32", "10.0.0.0/8", "::1/128", "192.0.2.1/32", "2001:db8::/32"}, text); diff != "" {
		t.Error(diff)
	}
	for _, bad := range []string{"", "nginx", "10.0.0.0/33", "0.0.0.0/0", "::/0", "10.0.0.1:80", "::ffff:10.0.0.0/104"} {
		if got, err := ParsePeers([]string{bad}); err == nil {
			t.Errorf("%q: %v", bad, got)
		}
	}
}

// FuzzQuestion: of all that a proxy can ask about, only what the table lets pass does.
func FuzzQuestion(f *testing.F) {
	issuer := latchkeytest.NewIssuer(f)
	a := authorizer(f, issuer)
	token := issuer.Token("ada", "")
	f.Add("GET", "/orders/1?x", true)
	f.Add("POST", "/orders", false)
	f.Add("POST", "/transfer", true)
	f.Add("GET", "//admin/%2e", true)
	f.Add("GET", "", false)
	f.Fuzz(func(t *testing.T, method, uri string, signedIn bool) {
		for _, proxy := range proxies {
			r := question(proxy, "GET", "/")
			if proxy == Envoy {
				r.Method, r.RequestURI = method, Path+uri
			}
			for name := range r.Header {
				switch {
				case strings.HasSuffix(name, "Method"):
					r.Header[name] = []string{method}
				case strings.HasSuffix(name, "Uri"):
					r.Header[name] = []string{uri}
				}
			}
			if signedIn {
				r.Header.Set("Authorization", "Bearer "+token)
			}
			status := answer(door(t, proxy, a), r).StatusCode
			path, _, _ := strings.Cut(uri, "?")
			m, found := a.Table.Match(method, path)
			if status == 200 && (!found || !m.Route.Public && !signedIn || len(m.Route.Scopes)+len(m.Route.ACR) > 0) {
				t.Errorf("%s: %q %q passes", proxy, method, uri)
			}
		}
	})
}
