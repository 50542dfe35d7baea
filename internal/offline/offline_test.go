package offline_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/latchkey-auth/latchkey"
	"github.com/latchkey-auth/latchkey/internal/gateway"
	"github.com/latchkey-auth/latchkey/internal/gateway/proxy"
	"github.com/latchkey-auth/latchkey/internal/offline"
	"github.com/latchkey-auth/latchkey/internal/storage/storetest"
)

const (
	issuer = "https://auth.example.com"
	secret = "no secret: it is printed in the tests"
)

// A clock that tokens are minted by.
type clock struct{ *storetest.Clock }

func newClock() *clock { return &clock{storetest.NewClock(time.Unix(1_800_000_000, 0))} }

// mint signs a token that is good for ten minutes, unless the claims say
// otherwise.
func (c *clock) mint(claims map[string]any) string {
	now := c.Now().Unix()
	all := map[string]any{"iss": issuer, "aud": issuer, "sub": "user-1", "username": "francesco", "iat": now, "exp": now + 600}
	for name, value := range claims {
		all[name] = value
	}
	payload, err := json.Marshal(all)
	if err != nil {
		panic(err)
	}
	b64 := base64.RawURLEncoding
	input := b64.EncodeToString([]byte(`{"alg":"HS256","typ":"at+jwt"}`)) + "." + b64.EncodeToString(payload)
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(input))
	return input + "." + b64.EncodeToString(mac.Sum(nil))
}

// authorizer is the real one; calls counts its invocations.
func (c *clock) authorizer(t *testing.T, tb *gateway.Table, log *slog.Logger, calls *atomic.Int64, events gateway.EventConfig) gateway.Function {
	t.Helper()
	key, err := latchkey.NewHMACKey("", []byte(secret))
	if err != nil {
		t.Fatal(err)
	}
	keys, err := latchkey.NewKeySet(key)
	if err != nil {
		t.Fatal(err)
	}
	v, err := latchkey.New(latchkey.Config{Keys: keys, Issuer: issuer, Audience: issuer, Leeway: -1, Now: c.Now})
	if err != nil {
		t.Fatal(err)
	}
	a, err := gateway.NewAuthorizer(gateway.AuthorizerConfig{Verifier: v, Table: tb, Log: log, EventConfig: events})
	if err != nil {
		t.Fatal(err)
	}
	return func(ctx context.Context, event []byte) ([]byte, error) {
		calls.Add(1)
		return a.Handle(ctx, event)
	}
}

// lines is a log that many goroutines may write to.
type lines struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// requests returns the log's lines about requests; every line must be JSON.
func (l *lines) requests(t *testing.T) []map[string]any {
	t.Helper()
	var all []map[string]any
	for line := range strings.Lines(l.String()) {
		var m map[string]any
		if err := json.Unmarshal([]byte(line), &m); err != nil {
			t.Fatalf("log line %q: %v", line, err)
		}
		if m["msg"] == "request" {
			all = append(all, m)
		}
	}
	return all
}

// An api is a gateway that is being served.
type api struct {
	*httptest.Server
	*clock
	gateway *offline.Gateway
	config  offline.Config
	log     *lines
	calls   *atomic.Int64 // of the authorizer
}

// echo answers with the event that it was called with.
func echo(_ context.Context, event []byte) ([]byte, error) {
	return json.Marshal(proxy.Response{StatusCode: 200, Body: string(event), Headers: map[string]string{"Content-Type": "application/json"}})
}

// shop is the table that most tests use.
var shop = []gateway.Route{
	{Method: "GET", Path: "/health", Public: true, To: "echo"},
	{Method: "ANY", Path: "/open/{rest+}", Public: true, To: "echo"},
	{Method: "GET", Path: "/me", To: "echo"},
	{Method: "GET", Path: "/orders/{id}", Scopes: []string{"orders:read"}, To: "echo"},
	{Method: "POST", Path: "/orders", Scopes: []string{"orders:write"}, To: "echo"},
}

// serve starts an API of the routes. The configuration may be changed before.
func serve(t *testing.T, routes []gateway.Route, change func(*offline.Config)) *api {
	t.Helper()
	tb, err := gateway.NewTable(routes)
	if err != nil {
		t.Fatal(err)
	}
	a := &api{clock: newClock(), log: &lines{}, calls: &atomic.Int64{}}
	log := slog.New(slog.NewJSONHandler(a.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	cfg := offline.Config{
		Table: tb, Functions: map[string]gateway.Function{"echo": echo}, AuthorizerTTL: 300 * time.Second,
		Authorizer: a.authorizer(t, tb, log, a.calls, gateway.EventConfig{}), Now: a.Now, Log: log,
	}
	if change != nil {
		change(&cfg)
	}
	g, err := offline.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	a.gateway, a.config = g, cfg
	a.Server = httptest.NewServer(g)
	t.Cleanup(a.Close)
	return a
}

// answer is what a request got.
type answer struct {
	status int
	header http.Header
	body   string
}

// do sends a request; headers are "Name: value".
func (a *api) do(t *testing.T, method, path string, headers ...string) answer {
	t.Helper()
	return a.send(t, method, path, nil, headers...)
}

func (a *api) send(t *testing.T, method, path string, body io.Reader, headers ...string) answer {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, a.URL, body)
	if err != nil {
		t.Fatal(err)
	}
	path, r.URL.RawQuery, _ = strings.Cut(path, "?")
	r.URL.Opaque = strings.TrimPrefix(a.URL, "http:") + path // as it stands, without cleaning
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		r.Header[name] = append(r.Header[name], value)
	}
	res, err := a.Client().Transport.RoundTrip(r)
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	return answer{res.StatusCode, res.Header, string(b)}
}

// signedIn does a request with a token.
func (a *api) signedIn(t *testing.T, method, path, token string, headers ...string) answer {
	t.Helper()
	return a.do(t, method, path, append(headers, "Authorization: Bearer "+token)...)
}

// event reads what echo answered.
func (r answer) event(t *testing.T) proxy.Event {
	t.Helper()
	var e proxy.Event
	if r.status != 200 {
		t.Fatalf("%d %s", r.status, r.body)
	}
	if err := json.Unmarshal([]byte(r.body), &e); err != nil {
		t.Fatalf("%s: %v", r.body, err)
	}
	return e
}

// wants compares with an answer of the gateway itself.
func (r answer) wants(t *testing.T, status int, body, errorType string) {
	t.Helper()
	if r.status != status || r.body != body {
		t.Errorf("answered %d %s, want %d %s", r.status, r.body, status, body)
	}
	if got := r.header.Get("X-Amzn-Errortype"); got != errorType {
		t.Errorf("error type %q, want %q", got, errorType)
	}
	if got := r.header.Get("Content-Type"); got != "application/json" {
		t.Errorf("content type %q, want application/json", got)
	}
	if r.header.Get("X-Amzn-Requestid") == "" {
		t.Error("no request id")
	}
}

// The answers of the gateway itself.
const (
	unauthorized = `{"statusCode":401,"error":"Unauthorized","message":"Unauthorized"}`
	missing      = `{"message":"Missing Authentication Token"}`
	denied       = `{"Message":"User is not authorized to access this resource"}`
	deniedBy     = `{"Message":"User is not authorized to access this resource with an explicit deny"}`
	failed       = `{"message":null}`
	badGateway   = `{"message":"Internal server error"}`
	timedOut     = `{"message":"Endpoint request timed out"}`
	tooLarge     = `{"message":"Request Too Long"}`
)

func TestRefusals(t *testing.T) {
	a := serve(t, shop, nil)
	good, writer := a.mint(map[string]any{"scope": "orders:read"}), a.mint(map[string]any{"scope": "orders:write"})
	type want struct {
		status          int
		body, errorType string
		called          bool // the authorizer
	}
	var (
		none = want{401, unauthorized, "UnauthorizedException", false}
		bad  = want{401, unauthorized, "UnauthorizedException", true}
		no   = want{403, missing, "MissingAuthenticationTokenException", false}
	)
	tests := []struct {
		says, method, path string
		headers            []string
		want               want
	}{
		{"no token", "GET", "/me", nil, none},
		{"an empty header", "GET", "/me", []string{"Authorization: "}, none},
		{"two headers", "GET", "/me", []string{"Authorization: Bearer " + good, "Authorization: Bearer " + good}, none},
		{"two headers, one empty", "GET", "/me", []string{"Authorization: Bearer " + good, "Authorization: "}, none},
		{"two spellings of the header", "GET", "/me", []string{"Authorization: Bearer " + good, "authorization: Bearer " + good}, none},
		{"a token in the query", "GET", "/me?access_token=" + good + "&Authorization=" + good, nil, none},
		{"a token in a cookie", "GET", "/me", []string{"Cookie: Authorization=" + good}, none},
		{"a token in another header", "GET", "/me", []string{"X-Forwarded-Authorization: Bearer " + good, "Proxy-Authorization: Bearer " + good}, none},
		{"an identity in headers", "GET", "/me", []string{"X-Latchkey-Sub: user-1", "X-Forwarded-User: user-1", "X-Apigateway-Event: {}"}, none},
		{"a bad token", "GET", "/me", []string{"Authorization: Bearer x.y.z"}, bad},
		{"another scheme", "GET", "/me", []string{"Authorization: Basic " + good}, bad},
		{"an expired token", "GET", "/me", []string{"Authorization: Bearer " + a.mint(map[string]any{"exp": 1_700_000_000})}, bad},
		{"two tokens in one header", "GET", "/me", []string{"Authorization: Bearer " + good + ", Bearer " + good}, bad},
		{"a scope that is not granted", "GET", "/orders/7", []string{"Authorization: Bearer " + writer}, want{403, denied, "AccessDeniedException", true}},
		{"an unknown route", "GET", "/nowhere", []string{"Authorization: Bearer " + good}, no},
		{"a wrong verb", "DELETE", "/orders/7", []string{"Authorization: Bearer " + good}, no},
		{"a wrong verb of a public route", "POST", "/health", nil, no},
		{"an unknown verb on ANY", "PROPFIND", "/open/a", nil, no},
		{"TRACE", "TRACE", "/open/a", nil, no},
		{"the verb ANY", "ANY", "/open/a", nil, no},
		{"two slashes", "GET", "//health", nil, no},
		{"a trailing slash", "GET", "/health/", nil, no},
		{"dot segments", "GET", "/x/../health", nil, no},
		{"an encoded letter", "GET", "/%68ealth", nil, no},
		{"an encoded slash", "GET", "/orders/7%2f8", []string{"Authorization: Bearer " + good}, no},
		{"an encoded backslash", "GET", "/orders/7%5c8", []string{"Authorization: Bearer " + good}, no},
		{"NUL", "GET", "/health%00", nil, no},
		{"a path parameter of a servlet", "GET", "/health;x=1", nil, no},
		{"another case", "GET", "/Health", nil, no},
		{"headers of 10,241 bytes", "GET", "/health", []string{"X-Pad: " + strings.Repeat("a", 10_241)}, want{413, tooLarge, "RequestTooLargeException", false}},
		{"a path beyond the ARN", "GET", "/orders/" + strings.Repeat("a", 1600), []string{"Authorization: Bearer " + good},
			want{414, `{"message":"Request URI Too Long"}`, "", false}},
	}
	for _, test := range tests {
		t.Run(test.says, func(t *testing.T) {
			before := a.calls.Load()
			r := a.do(t, test.method, test.path, test.headers...)
			r.wants(t, test.want.status, test.want.body, test.want.errorType)
			if called := a.calls.Load() != before; called != test.want.called {
				t.Errorf("authorizer called: %t, want %t", called, test.want.called)
			}
			if challenge := r.header.Get("Www-Authenticate"); (challenge == "Bearer") != (r.status == 401) {
				t.Errorf("challenge %q with status %d", challenge, r.status)
			}
		})
	}
}

func TestExplicitDeny(t *testing.T) {
	a := serve(t, []gateway.Route{shop[3]}, nil) // to which a token without scope opens nothing
	r := a.signedIn(t, "GET", "/orders/7", a.mint(nil))
	r.wants(t, 403, deniedBy, "AccessDeniedException")
}

func TestHeadersAndARNsUpToTheLimitPass(t *testing.T) {
	a := serve(t, shop, nil)
	if r := a.do(t, "GET", "/health", "X-Pad: "+strings.Repeat("a", 10_000)); r.status != 200 {
		t.Errorf("headers of 10 kB: %d %s", r.status, r.body)
	}
	const arn = "arn:aws:execute-api:us-east-1:123456789012:offlineapi/dev/GET/orders/"
	token := a.mint(map[string]any{"scope": "orders:read"})
	if r := a.signedIn(t, "GET", "/orders/"+strings.Repeat("a", 1600-len(arn)), token); r.status != 200 {
		t.Errorf("an ARN of 1600 bytes: %d %s", r.status, r.body)
	}
	a.signedIn(t, "GET", "/orders/"+strings.Repeat("a", 1601-len(arn)), token).wants(t, 414, `{"message":"Request URI Too Long"}`, "")
}

func TestBodyLimit(t *testing.T) {
	var got atomic.Int64
	a := serve(t, []gateway.Route{{Method: "POST", Path: "/f", Public: true, To: "length"}}, func(cfg *offline.Config) {
		cfg.Functions = map[string]gateway.Function{"length": func(_ context.Context, event []byte) ([]byte, error) {
			got.Store(int64(len(event)))
			return []byte(`{"statusCode":204}`), nil
		}}
	})
	body := bytes.Repeat([]byte("a"), 10<<20)
	if r := a.send(t, "POST", "/f", bytes.NewReader(body[:6<<20])); r.status != 204 || got.Load() < 6<<20 {
		t.Errorf("6 MB: %d %s, the function got %d bytes", r.status, r.body, got.Load())
	}
	got.Store(0)
	for name, reader := range map[string]io.Reader{
		"more than an event may have":      bytes.NewReader(body[:6<<20+1]),
		"more in JSON":                     bytes.NewReader(make([]byte, 2<<20)),
		"more than a request, with length": bytes.NewReader(append(body, 'a')),
		"more than a request, in chunks":   io.MultiReader(bytes.NewReader(body), strings.NewReader("a")),
	} {
		a.send(t, "POST", "/f", reader).wants(t, 413, tooLarge, "RequestTooLargeException")
		if got.Load() != 0 {
			t.Errorf("%s: the function was called", name)
		}
	}
}

// TestBodiesAreRefusedByTheirLength: the answer comes before any of the body is
// sent.
func TestBodiesAreRefusedByTheirLength(t *testing.T) {
	a := serve(t, []gateway.Route{{Method: "POST", Path: "/f", Public: true, To: "echo"}}, nil)
	conn, err := net.Dial("tcp", strings.TrimPrefix(a.URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "POST /f HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n", 10<<20+1)
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	if res.StatusCode != http.StatusRequestEntityTooLarge {
		t.Errorf("answered %s, want 413", res.Status)
	}
}

// TestLongBodiesLeaveTheConnection: over HTTP/2 other requests share it, and go on.
func TestLongBodiesLeaveTheConnection(t *testing.T) {
	a := serve(t, []gateway.Route{{Method: "POST", Path: "/f", Public: true, To: "echo"}}, nil)
	server := httptest.NewUnstartedServer(a.gateway)
	server.Config.Protocols = new(http.Protocols)
	server.Config.Protocols.SetUnencryptedHTTP2(true)
	server.Start()
	t.Cleanup(server.Close)
	transport := &http.Transport{Protocols: server.Config.Protocols}
	t.Cleanup(transport.CloseIdleConnections)
	for i := range 3 {
		ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{GotConn: func(c httptrace.GotConnInfo) {
			if c.Reused != (i > 0) {
				t.Errorf("request %d: the connection is reused: %v", i, c.Reused)
			}
		}})
		r, err := http.NewRequestWithContext(ctx, "POST", server.URL+"/f", bytes.NewReader(make([]byte, 10<<20+1)))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/json")
		res, err := transport.RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		_, err = io.Copy(io.Discard, res.Body)
		res.Body.Close()
		if err != nil || res.StatusCode != http.StatusRequestEntityTooLarge || res.ProtoMajor != 2 {
			t.Errorf("answered %s over %s, %v; want 413 over HTTP/2", res.Status, res.Proto, err)
		}
	}
}

// TestHosts keeps pages out whose name was made to mean this machine.
func TestHosts(t *testing.T) {
	a := serve(t, shop, func(cfg *offline.Config) { cfg.Hosts = []string{"app.example"} })
	for host, good := range map[string]bool{
		"localhost": true, "localhost:4000": true, "LOCALHOST:1": true, "api.localhost:4000": true, "127.0.0.1:4000": true, "127.9.9.9": true,
		"[::1]:4000": true, "[::1]": true, "app.example:4000": true, "App.Example.": true,
		"evil.example": false, "localhost.evil.example": false, "127.0.0.1.evil.example:4000": false, "192.0.2.1": false, "app.example.evil": false, "": false,
	} {
		res, body := a.raw(t, "GET /health HTTP/1.1\r\nHost: "+host+"\r\nConnection: close\r\n\r\n")
		if (res.StatusCode == 200) != good || !good && body != `{"message":"Forbidden"}` {
			t.Errorf("host %q: %d %s", host, res.StatusCode, body)
		}
	}
}

func TestEventOfAFunction(t *testing.T) {
	a := serve(t, shop, nil)
	token := a.mint(map[string]any{"scope": "orders:read"})
	e := a.signedIn(t, "GET", "/orders/a%20b?x=1&x=2", token, "X-Forwarded-For: 203.0.113.9").event(t)
	if e.Resource != "/orders/{id}" || e.Path != "/orders/a%20b" || e.PathParameters["id"] != "a b" || strings.Join(e.MultiValueQueryStringParameters["x"], ",") != "1,2" {
		t.Errorf("event %+v", e)
	}
	if ip := e.RequestContext.Identity.SourceIP; ip != "127.0.0.1" && ip != "::1" {
		t.Errorf("source address %q is not that of the connection", ip)
	}
	auth := e.RequestContext.Authorizer
	if auth["principalId"] != "user-1" || auth["sub"] != "user-1" || auth["username"] != "francesco" || auth["scope"] != "orders:read" {
		t.Errorf("authorizer context %v", auth)
	}
	if _, ok := auth["integrationLatency"].(float64); !ok {
		t.Errorf("integrationLatency is %v", auth["integrationLatency"])
	}
	if e := a.do(t, "GET", "/health", "Authorization: Bearer "+token).event(t); e.RequestContext.Authorizer != nil || a.calls.Load() != 1 {
		t.Errorf("a public route has the authorizer context %v after %d calls", e.RequestContext.Authorizer, a.calls.Load())
	}
}
