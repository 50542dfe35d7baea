package web_test

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/latchkey-auth/latchkey/internal/storage"
	"github.com/latchkey-auth/latchkey/internal/web"
)

func TestMethodsThatAPathDoesNotHave(t *testing.T) {
	f := newFixture(t)
	for path, allow := range map[string]string{
		"/login": "POST", "/me": "GET, HEAD, PATCH, DELETE", "/logout": "POST", "/me/sessions/x": "DELETE", "/livez": "GET, HEAD", "/readyz": "GET, HEAD", "/.well-known/jwks.json": "GET, HEAD",
	} {
		for _, method := range []string{"GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "PROPFIND", "BREW", "get", "post"} {
			if strings.Contains(allow, method) {
				continue
			}
			a := f.raw(method + " " + path + " HTTP/1.1")
			f.wantProblem(a, http.StatusMethodNotAllowed, "method_not_allowed")
			if got := a.header.Get("Allow"); got != allow {
				t.Errorf("%s %s: Allow is %q, want %q", method, path, got, allow)
			}
			if strings.Contains(a.body, "canary") {
				t.Errorf("%s %s: the answer echoes the request: %s", method, path, a.body)
			}
		}
	}
}

// raw sends a request that the client of net/http would not.
func (f *fixture) raw(line string) answer {
	f.Helper()
	conn, err := net.Dial("tcp", f.server.Listener.Addr().String())
	if err != nil {
		f.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "%s\r\nHost: x\r\nX-Echo: canary\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", line)
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		f.Fatalf("%s: %v", line, err)
	}
	defer res.Body.Close()
	body := make([]byte, 4096)
	n, _ := res.Body.Read(body)
	return answer{res.StatusCode, res.Header, string(body[:n])}
}

// TestNoPathIsNoRoute: the server is asked about itself; it answers like any path
// that leads nowhere.
func TestNoPathIsNoRoute(t *testing.T) {
	f := newFixture(t)
	for _, method := range []string{"OPTIONS", "GET", "POST", "BREW"} {
		a := f.raw(method + " * HTTP/1.1")
		f.wantProblem(a, http.StatusNotFound, "not_found")
		if a.header.Get("X-Content-Type-Options") != "nosniff" || a.header.Get("Content-Security-Policy") == "" {
			t.Errorf("%s *: got %v, want the safe headers", method, a.header)
		}
	}
	if lines := f.lines("request"); len(lines) != 4 || lines[0]["method"] != "OPTIONS" || lines[0]["status"] != 404.0 {
		t.Errorf("the access log says %v", lines)
	}
}

func TestPathsThatLeadNowhere(t *testing.T) {
	f := newFixture(t)
	for _, path := range []string{
		"/", "/nothing", "/login/", "/Login", "/login%2f", "/login;x=1", "/%2e%2e/me", "/me/", "/me%00", "/%6de/x", "/v1/me", "/admin", "/metrics",
		"/debug/pprof/", "/debug/vars", "/.well-known/", "/.well-known/security.txt", "/.env", "/.git/config", "/livez/x", "/\\evil.example",
	} {
		for _, method := range []string{"GET", "POST", "BREW"} {
			f.wantProblem(f.raw(method+" "+path+" HTTP/1.1"), http.StatusNotFound, "not_found")
		}
	}
}

// TestOtherSpellingsOfAPath: a gateway before us may have another idea of them,
// so none but the one is served.
func TestOtherSpellingsOfAPath(t *testing.T) {
	f := newFixture(t)
	for _, path := range []string{"//me", "/./me", "/x/../me", "//evil.example/..", "/me/../me", "//evil.example/%2e%2e"} {
		a := f.raw("GET " + path + " HTTP/1.1")
		if location := a.header.Get("Location"); a.status < 300 || a.status == 401 || strings.HasPrefix(location, "//") || strings.Contains(location, ":") {
			t.Errorf("%s: got %d to %q, want no answer of a route and no way out", path, a.status, location)
		}
	}
}

func TestEveryAnswerHasTheSafeHeaders(t *testing.T) {
	f := newFixture(t)
	token := f.token()
	for name, a := range map[string]answer{
		"login":      f.login("ada", password),
		"refusal":    f.login("ada", "wrong"),
		"bad body":   f.send("POST", "/login", "{", nil),
		"me":         f.get("/me", bearer(token)),
		"no token":   f.get("/me", nil),
		"jwks":       f.get("/.well-known/jwks.json", nil),
		"live":       f.get("/livez", nil),
		"nothing":    f.get("/nothing", nil),
		"bad method": f.send("DELETE", "/me", "", nil),
		"redirect":   f.raw("GET //me HTTP/1.1"),
	} {
		for header, want := range map[string]string{
			"X-Content-Type-Options":  "nosniff",
			"Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
			"Referrer-Policy":         "no-referrer",
		} {
			if got := a.header.Get(header); got != want {
				t.Errorf("%s: %s is %q, want %q", name, header, got, want)
			}
		}
		if a.header.Get("X-Request-Id") == "" || a.header.Get("Server") != "" || a.header.Get("X-Powered-By") != "" || a.header.Get("Set-Cookie") != "" {
			t.Errorf("%s: got %v, want a request id, no cookie and no name of a server", name, a.header)
		}
		wantCache := "no-store"
		if name == "jwks" {
			wantCache = "public, max-age=300"
		}
		if got := a.header.Get("Cache-Control"); got != wantCache {
			t.Errorf("%s: Cache-Control is %q, want %q", name, got, wantCache)
		}
		if a.header.Get("Access-Control-Allow-Origin") != "" {
			t.Errorf("%s: other origins may read it", name)
		}
	}
}

func TestPanicIsAProblemWithoutItsStack(t *testing.T) {
	f := newFixture(t, func(c *web.Config) {
		c.JWKS = func(context.Context) []byte { panic("canary of the panic") }
	})
	a := f.get("/.well-known/jwks.json", nil)
	f.wantProblem(a, http.StatusInternalServerError, "internal")
	for _, inside := range []string{"canary", "goroutine", ".go", "panic"} {
		if strings.Contains(a.body, inside) {
			t.Errorf("the answer tells %q: %s", inside, a.body)
		}
	}
	if a := f.get("/livez", nil); a.status != http.StatusOK {
		t.Errorf("afterwards: %d", a.status)
	}
	id := a.header.Get("X-Request-Id")
	panics := f.lines("panic")
	if len(panics) != 1 || panics[0]["request_id"] != id || panics[0]["value"] != "canary of the panic" || !strings.Contains(fmt.Sprint(panics[0]["stack"]), "frame_test.go") {
		t.Errorf("log says %v, want the panic with its stack", panics)
	}
	if lines := f.lines("request"); len(lines) != 2 || lines[0]["status"] != 500.0 || lines[0]["request_id"] != id {
		t.Errorf("access log says %v, want the 500 first", lines)
	}
}

func TestOriginsOnTheListMayReadAnswers(t *testing.T) {
	const ours = "https://app.example.com"
	f := newFixture(t, func(c *web.Config) {
		c.CORSOrigins, c.CORSHeaders = []string{ours, "http://localhost:3000"}, []string{"X-Client-Version"}
	})
	token := f.token()
	preflight := fields{"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization,content-type"}
	for origin, allowed := range map[string]bool{
		ours: true, "http://localhost:3000": true,
		"": false, "null": false, "*": false, "https://evil.example": false, "http://app.example.com": false, "HTTPS://APP.EXAMPLE.COM": false,
		"https://app.example.com.evil.example": false, "https://evil.app.example.com": false, "https://app.example.com:8443": false,
		"https://app.example.com/": false, "http://localhost:3001": false, "https://app.example.com\nhttps://evil.example": true, // the first counts
	} {
		answers := map[string]answer{
			"a good token": f.get("/me", fields{"Origin": origin, "Authorization": "Bearer " + token}),
			"no token":     f.get("/me", fields{"Origin": origin}),
			"a bad login":  f.send("POST", "/login", "{", fields{"Origin": origin}),
			"preflight":    f.send("OPTIONS", "/login", "", with(preflight, "Origin", origin)),
		}
		for name, a := range answers {
			want := ""
			if allowed {
				want, _, _ = strings.Cut(origin, "\n")
			}
			if got := a.header.Get("Access-Control-Allow-Origin"); got != want {
				t.Errorf("%s from %q: Access-Control-Allow-Origin is %q, want %q", name, origin, got, want)
			}
			if got := a.header.Get("Access-Control-Allow-Credentials"); got != "" {
				t.Errorf("%s from %q: cookies are allowed: %q", name, origin, got)
			}
			if strings.Join(a.header.Values("Vary"), ",") != "Origin" {
				t.Errorf("%s from %q: Vary is %q, want Origin once", name, origin, a.header.Values("Vary"))
			}
		}
		switch a := answers["preflight"]; {
		case allowed && (a.status != http.StatusNoContent || a.body != "" ||
			!strings.Contains(a.header.Get("Access-Control-Allow-Methods"), "POST") ||
			a.header.Get("Access-Control-Allow-Headers") != "Authorization, Content-Type, traceparent, tracestate, baggage, sentry-trace, X-Client-Version"):
			t.Errorf("preflight from %q: got %d %v", origin, a.status, a.header)
		case !allowed && (a.status != http.StatusMethodNotAllowed || a.header.Get("Access-Control-Allow-Methods") != ""):
			t.Errorf("preflight from %q: got %d %v, want 405", origin, a.status, a.header)
		}
	}
	if a := f.send("OPTIONS", "/login", "", fields{"Origin": ours}); a.status != http.StatusMethodNotAllowed {
		t.Errorf("OPTIONS that is no preflight: got %d, want 405", a.status)
	}
}

func with(h fields, name, value string) fields {
	all := fields{name: value}
	for n, v := range h {
		all[n] = v
	}
	return all
}

func TestConfigurationIsChecked(t *testing.T) {
	f := newFixture(t)
	good := web.Config{Service: f.service, Verifier: verifierOf(f), JWKS: f.keys.JWKS, CORSOrigins: []string{"https://a.example", "http://b.example:81"}, TrustedProxies: 2}
	if _, err := web.New(good); err != nil {
		t.Fatal(err)
	}
	origin := func(o string) func(*web.Config) {
		return func(c *web.Config) { c.CORSOrigins = []string{"https://a.example", o} }
	}
	for name, change := range map[string]func(*web.Config){
		"no service":               func(c *web.Config) { c.Service = nil },
		"no verifier":              func(c *web.Config) { c.Verifier = nil },
		"no key set":               func(c *web.Config) { c.JWKS = nil },
		"less than no proxies":     func(c *web.Config) { c.TrustedProxies = -1 },
		"a negative max-age":       func(c *web.Config) { c.JWKSMaxAge = -1 },
		"every origin":             origin("*"),
		"no origin":                origin(""),
		"the null origin":          origin("null"),
		"an origin with a path":    origin("https://a.example/"),
		"an origin without scheme": origin("a.example"),
		"a file's origin":          origin("file://x"),
		"an origin with a user":    origin("https://u@a.example"),
		"a pattern with a query":   origin("https://a.example?x"),
		"every header":             func(c *web.Config) { c.CORSHeaders = []string{"*"} },
		"several origins in one":   origin("https://a.example https://b.example"),
	} {
		cfg := good
		change(&cfg)
		if _, err := web.New(cfg); err == nil {
			t.Errorf("%s: New takes it", name)
		}
	}
}

func TestClientAddressIsThatOfTheLastTrustedHop(t *testing.T) {
	const peer = "198.51.100.1"
	for _, c := range []struct {
		trusted   int
		forwarded string
		want      string
	}{
		{0, "", peer},
		{0, "203.0.113.9", peer},
		{0, "203.0.113.9, 192.0.2.1", peer},
		{1, "", ""},
		{1, "203.0.113.9", "203.0.113.9"},
		{1, "1.1.1.1, 203.0.113.9", "203.0.113.9"},
		{1, "1.1.1.1\n203.0.113.9", "203.0.113.9"},
		{1, "2001:db8::7", "2001:db8::7"},
		{1, "203.0.113.9:4711", "203.0.113.9"},
		{1, "[2001:db8::7]:4711", "2001:db8::7"},
		{1, "[2001:db8::7]", "2001:db8::7"},
		{1, "1.1.1.1, [2001:DB8:0::7] ", "2001:db8::7"},
		{1, "::ffff:203.0.113.9", "203.0.113.9"},
		{1, "fe80::1%eth0", "fe80::1"},
		{1, "[203.0.113.9]", "203.0.113.9"},
		{1, "[2001:db8::7", ""},
		{1, "2001:db8::7]", ""},
		{1, "[[2001:db8::7]]", ""},
		{1, "[]", ""},
		{1, "unknown:4711", ""},
		{1, "203.0.113.9, unknown", ""},
		{1, "203.0.113.9,", ""},
		{1, "<script>", ""},
		{2, "203.0.113.9", ""},
		{2, "203.0.113.9, 192.0.2.1", "203.0.113.9"},
		{2, "1.1.1.1, 203.0.113.9,192.0.2.1", "203.0.113.9"},
		{2, "1.1.1.1\n203.0.113.9\n192.0.2.1", "203.0.113.9"},
		{2, "x\r, 192.0.2.1", ""},
	} {
		f := newFixture(t, func(cfg *web.Config) { cfg.TrustedProxies = c.trusted })
		req := httptest.NewRequestWithContext(t.Context(), "POST", "/login", strings.NewReader(`{"username":"ada","password":"wrong"}`))
		req.RemoteAddr = peer + ":4711"
		for value := range strings.SplitSeq(c.forwarded, "\n") {
			req.Header.Add("X-Forwarded-For", value)
		}
		for _, header := range []string{"X-Real-Ip", "Forwarded", "X-Client-Ip", "True-Client-Ip"} {
			req.Header.Set(header, "1.1.1.1")
		}
		f.handler.ServeHTTP(httptest.NewRecorder(), req)
		events, err := f.laterEvents()
		if err != nil || len(events) != 1 {
			t.Fatalf("got events %v, %v; want one", events, err)
		}
		if events[0].Address != c.want {
			t.Errorf("%d proxies, %q: the event says %s, want %s", c.trusted, c.forwarded, events[0].Address, c.want)
		}
		if line := f.lines("request"); line[0]["address"] != c.want {
			t.Errorf("%d proxies, %q: the log says %v, want %s", c.trusted, c.forwarded, line[0]["address"], c.want)
		}
	}
}

// TestUnknownAddressIsLoggedOnce: a wrong number of proxies shows in the log, and
// clients cannot fill it.
func TestUnknownAddressIsLoggedOnce(t *testing.T) {
	f := newFixture(t, func(cfg *web.Config) { cfg.TrustedProxies = 1 })
	for range 3 {
		f.get("/livez", fields{"X-Forwarded-For": "1.1.1.1, unreadable" + strings.Repeat("x", 1000)})
	}
	const says = "a client's address is unknown: X-Forwarded-For has no address at the place of the outermost trusted proxy; all such clients share the limits of one (logged once; check --trusted-proxies)"
	lines := f.lines(says)
	if len(lines) != 1 || lines[0]["level"] != "WARN" || lines[0]["trusted_proxies"] != 1.0 || lines[0]["hops"] != 2.0 {
		t.Fatalf("got %v, want one warning", lines)
	}
	if hop := fmt.Sprint(lines[0]["hop"]); !strings.Contains(hop, "unreadable") || len(hop) > 64 {
		t.Errorf("the hop is shown as %q", hop)
	}
}

// TestIgnoredHopsAreLoggedOnce: a proxy that --trusted-proxies does not count shows in
// the log of a server. A gateway's events always have the header.
func TestIgnoredHopsAreLoggedOnce(t *testing.T) {
	for name, c := range map[string]struct {
		listens   bool
		trusted   int
		forwarded string
		want      int
	}{
		"a proxy that is not counted": {true, 0, "203.0.113.9", 1},
		"a proxy that is counted":     {true, 1, "203.0.113.9", 0},
		"no proxy":                    {true, 0, "", 0},
		"an event of a gateway":       {false, 0, "203.0.113.9", 0},
	} {
		f := newFixture(t, func(cfg *web.Config) { cfg.Listens, cfg.TrustedProxies = c.listens, c.trusted })
		header := fields{}
		if c.forwarded != "" {
			header["X-Forwarded-For"] = c.forwarded
		}
		for range 3 {
			f.get("/livez", header)
		}
		const says = "X-Forwarded-For is ignored: behind a proxy all clients share the limits of one; set --trusted-proxies to the number of proxies in front (logged once; clients can send the header, too)"
		if lines := f.lines(says); len(lines) != c.want || c.want == 1 && lines[0]["level"] != "WARN" {
			t.Errorf("%s: got %v, want %d warnings", name, lines, c.want)
		}
	}
}

func TestRequestIDsAreOurs(t *testing.T) {
	f := newFixture(t)
	seen := map[string]bool{}
	for range 10 {
		a := f.get("/livez", fields{"X-Request-Id": "theirs", "X-Amzn-Trace-Id": "theirs"})
		id := a.header.Get("X-Request-Id")
		if seen[id] || len(id) < 16 || id == "theirs" {
			t.Errorf("request id is %q, want a new random one", id)
		}
		seen[id] = true
	}
	given := "gateway-1"
	f = newFixture(t, func(c *web.Config) { c.RequestID = func(context.Context) string { return given } })
	f.wantProblem(f.get("/nothing", nil), http.StatusNotFound, "not_found")
	if got := f.login("ada", password).header.Get("X-Request-Id"); got != given {
		t.Errorf("request id is %q, want the gateway's, %q", got, given)
	}
	events, err := f.laterEvents()
	if err != nil || len(events) != 1 || events[0].RequestID != given || events[0].Kind != storage.EventLogin {
		t.Errorf("got events %+v, %v; want the login under %q", events, err, given)
	}
	given = ""
	if got := f.get("/livez", nil).header.Get("X-Request-Id"); len(got) < 16 {
		t.Errorf("request id is %q, want a new one where the gateway has none", got)
	}
}

// laterEvents are those after the one that added the user.
func (f *fixture) laterEvents() ([]storage.Event, error) {
	f.Helper()
	events, _, err := f.store.Events(f.Context(), time.Time{}, "", 10)
	return slices.DeleteFunc(events, func(e storage.Event) bool { return e.Kind == storage.EventUserAdded }), err
}
