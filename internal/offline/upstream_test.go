package offline_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/latchkey-auth/latchkey/internal/gateway"
	"github.com/latchkey-auth/latchkey/internal/offline"
)

// behind serves an API in front of a server: /public/{rest+} for everybody and
// /private/{rest+} for who is signed in. base is appended to the server's URL.
func behind(t *testing.T, h http.HandlerFunc, base string) *api {
	t.Helper()
	up := httptest.NewServer(h)
	t.Cleanup(up.Close)
	return behindURL(t, up.URL+base)
}

func behindURL(t *testing.T, target string, changes ...func(*offline.Config)) *api {
	t.Helper()
	return serve(t, []gateway.Route{
		{Method: "ANY", Path: "/public/{rest+}", Public: true, To: target},
		{Method: "ANY", Path: "/private/{rest+}", To: target},
	}, func(cfg *offline.Config) {
		for _, change := range changes {
			change(cfg)
		}
	})
}

// hasty is for what is to take too long: on a busy machine everything does.
func hasty(cfg *offline.Config) { cfg.Timeout = 200 * time.Millisecond }

// mirror answers with the request's headers, one line each.
func mirror(w http.ResponseWriter, r *http.Request) {
	io.Copy(io.Discard, r.Body)
	for name, values := range r.Header {
		for _, v := range values {
			fmt.Fprintf(w, "%s: %s\n", name, v)
		}
	}
	for name := range r.Trailer {
		fmt.Fprintf(w, "trailer %s\n", name)
	}
}

// identity picks the lines that a careless server might take for an identity.
func identity(body string) []string {
	var found []string
	for line := range strings.Lines(body) {
		if strings.Contains(strings.ToLower(line), "latchkey") {
			found = append(found, strings.TrimSpace(line))
		}
	}
	slices.Sort(found)
	return found
}

func TestUpstreamLearnsWhoCalls(t *testing.T) {
	a := behind(t, mirror, "")
	forged := []string{
		"X-Latchkey-Sub: root", "x-latchkey-sub: root", "X-LATCHKEY-SCOPE: admin", "X-Latchkey-Username: root", "X-Latchkey-Role: admin",
		"X_Latchkey_Sub: root", "x_latchkey_sub: root", "X.Latchkey.Sub: root", "X-Latchkey_Sub: root", "x_latchkey-scope: admin",
	}
	token := a.mint(map[string]any{"scope": "orders:read x", "username": "françois"})
	self := []string{"X-Latchkey-Scope: orders:read x", "X-Latchkey-Sub: user-1", "X-Latchkey-Username: françois"}
	nobody := []string{"X-Latchkey-Scope:", "X-Latchkey-Sub:", "X-Latchkey-Username:"}
	tests := map[string]struct {
		path    string
		headers []string
		want    []string
	}{
		"signed in":                      {"/private/x", nil, self},
		"signed in, forging":             {"/private/x", forged, self},
		"signed in, dropping ours":       {"/private/x", []string{"Connection: X-Latchkey-Sub, X-Latchkey-Scope, close"}, self},
		"public":                         {"/public/x", nil, nobody},
		"public, forging":                {"/public/x", forged, nobody},
		"public, forging and dropping":   {"/public/x", append([]string{"Connection: x-latchkey-sub"}, forged...), nobody},
		"public, forging and connection": {"/public/x", append([]string{"Connection: X_Latchkey_Sub"}, forged...), nobody},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			r := a.signedIn(t, "GET", test.path, token, test.headers...)
			if r.status != 200 {
				t.Fatalf("%d %s", r.status, r.body)
			}
			if diff := cmp.Diff(test.want, identity(r.body)); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
	// A value that would end its header line stays in it.
	hostile := a.mint(map[string]any{"username": "a\r\nX-Admin: 1"})
	r := a.signedIn(t, "GET", "/private/x", hostile)
	want := []string{"X-Latchkey-Scope:", "X-Latchkey-Sub: user-1", "X-Latchkey-Username: a  X-Admin: 1"}
	if diff := cmp.Diff(want, identity(r.body)); diff != "" || strings.Contains(r.body, "\nX-Admin") {
		t.Errorf("%d: -want +got:\n%s", r.status, diff)
	}
}

// TestUpstreamLearnsChosenClaims: each in a header of its own, under the name that is
// chosen for it; the payload in none.
func TestUpstreamLearnsChosenClaims(t *testing.T) {
	up := httptest.NewServer(http.HandlerFunc(mirror))
	t.Cleanup(up.Close)
	claims, err := gateway.ParseContextClaims("sub,payload,https://example.com/tenant=tenant_id,roles,plan=PLAN")
	if err != nil {
		t.Fatal(err)
	}
	a := behindURL(t, up.URL, func(cfg *offline.Config) {
		cfg.Claims = claims
		cfg.Authorizer = newClock().authorizer(t, cfg.Table, cfg.Log, &atomic.Int64{}, gateway.EventConfig{Claims: claims})
	})
	token := a.mint(map[string]any{"scope": "x", "https://example.com/tenant": "Ulm\n1", "roles": []string{"clerk", "chief"}, "plan": 7})
	forged := []string{"X-Latchkey-Tenant-Id: bonn", "x_latchkey_plan: 8", "X-Latchkey-Other: x"}
	want := []string{
		"X-Latchkey-Plan: 7", `X-Latchkey-Roles: ["clerk","chief"]`, "X-Latchkey-Scope:", "X-Latchkey-Sub: user-1", "X-Latchkey-Tenant-Id: Ulm 1", "X-Latchkey-Username:",
	}
	if diff := cmp.Diff(want, identity(a.signedIn(t, "GET", "/private/x", token, forged...).body)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	nobody := []string{"X-Latchkey-Plan:", "X-Latchkey-Roles:", "X-Latchkey-Scope:", "X-Latchkey-Sub:", "X-Latchkey-Tenant-Id:", "X-Latchkey-Username:"}
	if diff := cmp.Diff(nobody, identity(a.do(t, "GET", "/public/x", forged...).body)); diff != "" {
		t.Errorf("public (-want +got):\n%s", diff)
	}
	// What would arrive as another value fails closed.
	blank := a.mint(map[string]any{"plan": "pro "})
	a.signedIn(t, "GET", "/private/x", blank).wants(t, 502, badGateway, "InternalServerErrorException")
}

// A server that believes what proxies write would serve another request than the
// one that was routed and authorized.
func TestUpstreamIsToldNoOtherRequest(t *testing.T) {
	a := behind(t, mirror, "")
	for _, name := range []string{
		"X-Original-URL", "X-Rewrite-URL", "X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override", "X-Original-URI", "X-Original-Method",
		"X-Forwarded-Uri", "X-Forwarded-Path", "X-Forwarded-Method", "X-Forwarded-Prefix", "X-Forwarded-Port", "X-Forwarded-Server", "X-Envoy-Original-Path",
		"X-Script-Name", "Forwarded", "X-Host", "X-Original-Host", "X-Real-IP", "True-Client-IP", "CF-Connecting-IP", "X-Client-IP",
		"X-Remote-User", "Remote-User", "X-Forwarded-User", "X-Forwarded-Email", "X-Forwarded-Groups", "X-Auth-Request-User", "X-Amzn-Oidc-Identity",
		"X-ApiGateway-Event", "X-ApiGateway-Context", "X-Amzn-Request-Context", "X-Amzn-Lambda-Context", "x_apigateway_event",
		"Remote-Name", "Remote-Email", "Remote-Groups", "Remote-Addr", "X-Webauth-User", "X-Webauth-Groups", "X-Authentik-Username", "Tailscale-User-Login",
		"Cf-Access-Authenticated-User-Email", "Cf-Access-Jwt-Assertion", "X-Goog-Iap-Jwt-Assertion", "X-Goog-Authenticated-User-Email", "X-Auth-User", "X-User-Id",
		"X-SSL-Client-Verify", "SSL-Client-S-DN", "SSL_CLIENT_CERT", "Client-Cert", "Client-Cert-Chain",
		"X-Forwarded", "X-Scheme", "X-HTTP-Path-Override", "X-Middleware-Subrequest", "X-Sendfile-Type", "X-Accel-Mapping", "Proxy",
		"x_original_url", "X.Original.URL", "X_HTTP_METHOD_OVERRIDE", "x_http-method.override", "X_Forwarded_For",
	} {
		r := a.do(t, "GET", "/public/x", name+": forged")
		if r.status != 200 || strings.Contains(r.body, "forged") {
			t.Errorf("%s: %d %s", name, r.status, r.body)
		}
	}
	r := a.do(t, "GET", "/public/x", "X-Forwarded-Host: evil.example", "X-Forwarded-Proto: gopher", "X-Request-Id: 7", "Traceparent: 00-1-2-03", "Tracestate: a=1", "X-Amzn-Trace-Id: Root=1", "X-Api-Key: k", "Via: 1.1 p")
	for _, want := range []string{"X-Forwarded-For: 127.0.0.1\n", "X-Forwarded-Proto: http\n", "X-Request-Id: 7\n", "Traceparent: 00-1-2-03\n", "Tracestate: a=1\n", "X-Amzn-Trace-Id: Root=1\n", "X-Api-Key: k\n", "Via: 1.1 p\n"} {
		if !strings.Contains(r.body, want) {
			t.Errorf("the server lacks %q: %s", want, r.body)
		}
	}
	if strings.Contains(r.body, "evil") {
		t.Errorf("the server sees a forged host: %s", r.body)
	}
}

// raw sends bytes as they are and returns the answer.
func (a *api) raw(t *testing.T, request string) (*http.Response, string) {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(a.URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := io.WriteString(conn, request); err != nil {
		t.Fatal(err)
	}
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res, string(body)
}

func TestRequestTrailersDoNotReachTheUpstream(t *testing.T) {
	a := behind(t, mirror, "")
	res, body := a.raw(t, "POST /public/x HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\nTrailer: X-Latchkey-Sub, X-Other\r\nConnection: close\r\n\r\n"+
		"2\r\nhi\r\n0\r\nX-Latchkey-Sub: root\r\nX-Other: 1\r\n\r\n")
	if res.StatusCode != 200 || strings.Contains(strings.ToLower(body), "trailer") || strings.Contains(body, "root") {
		t.Errorf("%d %s", res.StatusCode, body)
	}
}

// An upgraded connection would carry requests past the authorizer.
func TestUpgradesAreNotForwarded(t *testing.T) {
	upgraded := make(chan string, 8)
	a := behind(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Upgrade") == "" && r.Header.Get("Http2-Settings") == "" && !strings.Contains(strings.ToLower(r.Header.Get("Connection")), "upgrade") {
			fmt.Fprint(w, "plain")
			return
		}
		upgraded <- fmt.Sprint(r.Header)
		w.Header().Set("Connection", "Upgrade")
		w.Header().Set("Upgrade", r.Header.Get("Upgrade"))
		w.WriteHeader(http.StatusSwitchingProtocols)
	}, "")
	for _, protocol := range []string{
		"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: x3JJHMbDL1EzLkh9GBhXDw==\r\n",
		"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n",
		"Connection: upgrade\r\nUpgrade: WebSocket, h2c\r\n",
		"Upgrade: h2c\r\n",
	} {
		res, body := a.raw(t, "GET /public/x HTTP/1.1\r\nHost: localhost\r\n"+protocol+"\r\n")
		if res.StatusCode != 200 || body != "plain" {
			t.Errorf("%q: %d %s", protocol, res.StatusCode, body)
		}
	}
	select {
	case h := <-upgraded:
		t.Errorf("the upstream was asked to upgrade: %s", h)
	default:
	}
}

func TestUpstreamThatSwitchesUnasked(t *testing.T) {
	a := behind(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Connection", "Upgrade")
		w.Header().Set("Upgrade", "h2c")
		w.WriteHeader(http.StatusSwitchingProtocols)
	}, "")
	a.do(t, "GET", "/public/x").wants(t, 502, badGateway, "InternalServerErrorException")
}

func TestUpstreamFaults(t *testing.T) {
	t.Run("down", func(t *testing.T) {
		up := httptest.NewServer(http.NotFoundHandler())
		up.Close()
		a := behindURL(t, up.URL)
		a.do(t, "GET", "/public/x").wants(t, 502, badGateway, "InternalServerErrorException")
	})
	t.Run("slow", func(t *testing.T) {
		up := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }))
		defer up.Close()
		a := behindURL(t, up.URL, hasty)
		a.do(t, "GET", "/public/x").wants(t, 504, timedOut, "InternalServerErrorException")
	})
	t.Run("hangs up", func(t *testing.T) {
		a := behind(t, func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, "")
		a.do(t, "GET", "/public/x").wants(t, 502, badGateway, "InternalServerErrorException")
	})
}

func TestUpstreamURL(t *testing.T) {
	uri := func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%s %s", r.RequestURI, r.Host)
	}
	tests := []struct{ base, path, want string }{
		{"", "/public/a", "/public/a"},
		{"/", "/public/a", "/public/a"},
		{"/base", "/public/a", "/base/public/a"},
		{"/base/", "/public/a%20b?x=1", "/base/public/a%20b?x=1"},
		{"/base?k=v", "/public/a", "/base/public/a?k=v"},
		{"/base?k=v", "/public/a?x=1&x=2&y=", "/base/public/a?k=v&x=1&x=2&y="},
	}
	for _, test := range tests {
		up := httptest.NewServer(http.HandlerFunc(uri))
		t.Cleanup(up.Close)
		u, err := url.Parse(up.URL)
		if err != nil {
			t.Fatal(err)
		}
		a := behindURL(t, up.URL+test.base)
		if r := a.do(t, "GET", test.path); r.body != test.want+" "+u.Host {
			t.Errorf("%q and %q: %s, want %s at %s", test.base, test.path, r.body, test.want, u.Host)
		}
	}
}

func TestUpstreamAnswerAndForwardedHeaders(t *testing.T) {
	a := behind(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("WWW-Authenticate", "Basic")
		w.Header().Add("Set-Cookie", "a=1")
		w.Header().Add("Set-Cookie", "b=2")
		w.WriteHeader(http.StatusUnauthorized)
		body, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s %s %q %q", r.Method, body, r.Header["X-Forwarded-For"], r.Header["Forwarded"])
	}, "")
	r := a.send(t, "POST", "/public/x", strings.NewReader("hi"), "X-Forwarded-For: 203.0.113.9", "Forwarded: for=203.0.113.9")
	if r.status != 401 || r.body != `POST hi ["127.0.0.1"] []` {
		t.Errorf("%d %s", r.status, r.body)
	}
	want := http.Header{"Www-Authenticate": nil, "X-Amzn-Remapped-Www-Authenticate": {"Basic"}, "Set-Cookie": {"a=1", "b=2"}}
	for name, values := range want {
		if diff := cmp.Diff(values, r.header[name]); diff != "" {
			t.Errorf("%s: -want +got:\n%s", name, diff)
		}
	}
	big := strings.NewReader(strings.Repeat("a", 10<<20+1))
	a.send(t, "POST", "/public/x", big).wants(t, 413, tooLarge, "RequestTooLargeException")
}
