package web_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/latchkey-auth/latchkey"
	"github.com/latchkey-auth/latchkey/internal/auth"
	"github.com/latchkey-auth/latchkey/internal/keyring"
	"github.com/latchkey-auth/latchkey/internal/message"
	passwords "github.com/latchkey-auth/latchkey/internal/password"
	"github.com/latchkey-auth/latchkey/internal/password/passhash"
	"github.com/latchkey-auth/latchkey/internal/sqlstore"
	"github.com/latchkey-auth/latchkey/internal/storage"
	"github.com/latchkey-auth/latchkey/internal/storage/storetest"
	"github.com/latchkey-auth/latchkey/internal/web"
	"github.com/latchkey-auth/latchkey/internal/web/contract"
)

const (
	issuer    = "https://auth.example.com"
	audience  = "https://api.example.com"
	publicURL = "https://login.example.com/auth"
	password  = "correct horse battery staple"
	asJSON    = "application/json"
	asForm    = "application/x-www-form-urlencoded"
)

var start = time.Date(2026, 3, 14, 9, 26, 53, 0, time.UTC)

// buffer is a log that is written by the server and read by the test.
type buffer struct {
	mu  sync.Mutex // guards buf
	buf bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// faulty is a real store until fault is set.
type faulty struct {
	storage.Store
	mu    sync.Mutex // guards fault
	fault error
}

func (f *faulty) set(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.fault = err
}

func (f *faulty) err() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.fault
}

func (f *faulty) UserByUsername(ctx context.Context, key string) (storage.User, int, error) {
	if err := f.err(); err != nil {
		return storage.User{}, 0, err
	}
	return f.Store.UserByUsername(ctx, key)
}

func (f *faulty) SessionUser(ctx context.Context, id storage.SessionID) (storage.Session, storage.User, error) {
	if err := f.err(); err != nil {
		return storage.Session{}, storage.User{}, err
	}
	return f.Store.SessionUser(ctx, id)
}

func (f *faulty) UserByEmail(ctx context.Context, key string) (storage.User, int, error) {
	if err := f.err(); err != nil {
		return storage.User{}, 0, err
	}
	return f.Store.UserByEmail(ctx, key)
}

func (f *faulty) Ticket(ctx context.Context, id storage.TicketID) (storage.Ticket, error) {
	if err := f.err(); err != nil {
		return storage.Ticket{}, err
	}
	return f.Store.Ticket(ctx, id)
}

func (f *faulty) Ping(ctx context.Context) error {
	if err := f.err(); err != nil {
		return err
	}
	return f.Store.Ping(ctx)
}

// inbox is a mailer that keeps what it is given.
type inbox struct {
	mu       sync.Mutex // guards messages
	messages []message.Message
}

func (b *inbox) Send(_ context.Context, m message.Message) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.messages = append(b.messages, m)
	return nil
}

// fixture is the auth service over HTTP with one user, ada.
type fixture struct {
	testing.TB
	clock   *storetest.Clock
	store   *faulty
	keys    *keyring.Keyring
	service *auth.Service
	handler http.Handler
	log     buffer // both logs
	server  *httptest.Server
	inbox   inbox
}

func newFixture(t testing.TB, options ...func(*web.Config)) *fixture {
	t.Helper()
	return fixtureOn(t, sqlstore.Memory, options...)
}

func fixtureOn(t testing.TB, path string, options ...func(*web.Config)) *fixture {
	t.Helper()
	return fixtureWith(t, path, func(*auth.Config) {}, options...)
}

// mailFixture is one where anybody may register, by mail.
func mailFixture(t testing.TB, changes ...func(*auth.Config)) *fixture {
	t.Helper()
	return fixtureWith(t, sqlstore.Memory, func(c *auth.Config) {
		c.Registration, c.VerifyEmail, c.SendsMail, c.PublicURL = auth.RegistrationOpen, true, true, publicURL
		for _, change := range changes {
			change(c)
		}
	})
}

func fixtureWith(t testing.TB, path string, change func(*auth.Config), options ...func(*web.Config)) *fixture {
	t.Helper()
	f := &fixture{TB: t, clock: storetest.NewClock(start)}
	store, err := sqlstore.Open(t.Context(), path, true)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	f.store = &faulty{Store: store}
	f.keys, err = keyring.Open(t.Context(), keyring.Config{Store: store, TokenTTL: time.Hour, Now: f.clock.Now})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.keys.Rotate(t.Context(), latchkey.ES256, keyring.AtOnce); err != nil {
		t.Fatal(err)
	}
	hasher, err := passwords.NewHasher(passhash.Argon2{Memory: 8, Time: 1, Threads: 1}, runtime.GOMAXPROCS(0))
	if err != nil {
		t.Fatal(err)
	}
	cfg := auth.Config{RefreshKey: make([]byte, 32), TicketKey: make([]byte, 32), MailKey: make([]byte, 32),
		Store: f.store, Counters: store, Signer: f.keys, Hasher: hasher, Mailer: &f.inbox, Issuer: issuer, Audience: audience, Now: f.clock.Now,
	}
	change(&cfg)
	if f.service, err = auth.New(cfg); err != nil {
		t.Fatal(err)
	}
	ada := auth.NewUser{ID: "u1", Username: "ada", Email: "ada@example.com", Name: "Ada L.", Scope: "read write", Password: password}
	if _, err := f.service.AddUser(t.Context(), ada); err != nil {
		t.Fatal(err)
	}
	f.handler = f.newHandler(options...)
	f.server = httptest.NewUnstartedServer(f.handler)
	f.server.Config.DisableGeneralOptionsHandler = true // as the program does
	f.server.Start()
	t.Cleanup(f.server.Close)
	return f
}

func (f *fixture) newHandler(options ...func(*web.Config)) http.Handler {
	f.Helper()
	verifier, err := latchkey.New(latchkey.Config{Keys: f.keys, Issuer: issuer, Audience: audience, Leeway: -1, Now: f.clock.Now})
	if err != nil {
		f.Fatal(err)
	}
	log := slog.New(slog.NewJSONHandler(&f.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	cfg := web.Config{Service: f.service, Verifier: verifier, JWKS: f.keys.JWKS, JWKSMaxAge: 300, Log: log, AccessLog: log}
	for _, o := range options {
		o(&cfg)
	}
	h, err := web.New(cfg)
	if err != nil {
		f.Fatal(err)
	}
	if _, measured := f.TB.(*testing.B); measured {
		return h
	}
	c, err := contract.Service()
	if err != nil {
		f.Fatal(err)
	}
	return c.Handler(h, func(err error) { f.Error(err) })
}

// answer is a response, read.
type answer struct {
	status int
	header http.Header
	body   string
}

// fields are header fields of a request. A name may have several values,
// separated by line breaks.
type fields map[string]string

func (f *fixture) send(method, path, body string, h fields) answer {
	f.Helper()
	req, err := http.NewRequestWithContext(f.Context(), method, f.server.URL+path, strings.NewReader(body))
	if err != nil {
		f.Fatal(err)
	}
	return f.do(req, h)
}

func (f *fixture) do(req *http.Request, h fields) answer {
	f.Helper()
	for name, values := range h {
		for value := range strings.SplitSeq(values, "\n") {
			req.Header.Add(name, value)
		}
	}
	res, err := f.server.Client().Transport.RoundTrip(req) // follows no redirect
	if err != nil {
		f.Fatal(err)
	}
	defer res.Body.Close()
	doc, err := io.ReadAll(res.Body)
	if err != nil {
		f.Fatal(err)
	}
	return answer{res.StatusCode, res.Header, string(doc)}
}

func (f *fixture) get(path string, h fields) answer {
	f.Helper()
	return f.send("GET", path, "", h)
}

func (f *fixture) login(username, password string) answer {
	f.Helper()
	body, err := json.Marshal(map[string]string{"username": username, "password": password})
	if err != nil {
		f.Fatal(err)
	}
	return f.send("POST", "/login", string(body), fields{"Content-Type": asJSON})
}

// token logs ada in and returns the access token.
func (f *fixture) token() string {
	f.Helper()
	a := f.login("ada", password)
	if a.status != http.StatusOK {
		f.Fatalf("login: %d %s", a.status, a.body)
	}
	var doc struct{ Token string }
	f.decode(a, &doc)
	return doc.Token
}

func bearer(token string) fields { return fields{"Authorization": "Bearer " + token} }

func (f *fixture) decode(a answer, to any) {
	f.Helper()
	if err := json.Unmarshal([]byte(a.body), to); err != nil {
		f.Fatalf("body %q: %v", a.body, err)
	}
}

// problem is an error answer, read.
type problem struct {
	Type, Title, Code, Detail string
	Status                    int
	RequestID                 string `json:"request_id"`
	Errors                    []struct{ Field, Message string }
}

// wantProblem checks what every error answer has, and returns it.
func (f *fixture) wantProblem(a answer, status int, code string) problem {
	f.Helper()
	var p problem
	if got := a.header.Get("Content-Type"); got != "application/problem+json" {
		f.Errorf("got content type %q with %d %.200s, want a problem", got, a.status, a.body)
		return p
	}
	f.decode(a, &p)
	if a.status != status || p.Status != status || p.Code != code {
		f.Errorf("got %d with %.200s, want %d with code %s", a.status, a.body, status, code)
	}
	if p.Type != "about:blank" || p.Title != http.StatusText(status) || p.Detail == "" {
		f.Errorf("got type %q, title %q, detail %q; want about:blank, %q and a sentence", p.Type, p.Title, p.Detail, http.StatusText(status))
	}
	if id := a.header.Get("X-Request-Id"); id == "" || status != http.StatusUnauthorized && p.RequestID != id {
		f.Errorf("got request id %q in the body, %q in the header", p.RequestID, id)
	}
	if got := a.header.Get("Cache-Control"); got != "no-store" {
		f.Errorf("Cache-Control is %q, want no-store", got)
	}
	return p
}

// comparable returns the answer without what differs from request to request.
func (a answer) comparable() answer {
	a.header = maps.Clone(a.header)
	delete(a.header, "Date")
	delete(a.header, "X-Request-Id")
	return a
}

// lines returns the log's lines that have the message.
func (f *fixture) lines(msg string) []map[string]any {
	f.Helper()
	f.server.Close() // waits for the last line
	var found []map[string]any
	for line := range strings.Lines(f.log.String()) {
		var doc map[string]any
		if err := json.Unmarshal([]byte(line), &doc); err != nil {
			f.Fatalf("log line %q: %v", line, err)
		}
		if doc["msg"] == msg {
			found = append(found, doc)
		}
	}
	return found
}
