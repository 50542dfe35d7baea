package auth_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/latchkey-auth/latchkey"
	"github.com/latchkey-auth/latchkey/internal/auth"
	"github.com/latchkey-auth/latchkey/internal/keyring"
	"github.com/latchkey-auth/latchkey/internal/limit"
	passwords "github.com/latchkey-auth/latchkey/internal/password"
	"github.com/latchkey-auth/latchkey/internal/password/passhash"
	"github.com/latchkey-auth/latchkey/internal/sqlstore"
	"github.com/latchkey-auth/latchkey/internal/storage"
	"github.com/latchkey-auth/latchkey/internal/storage/storetest"
)

const (
	issuer   = "https://auth.example.com"
	audience = "https://api.example.com"
	password = "correct horse battery staple"
	secret   = "gQ7xk2VvZ9pTn4Lr8Yw3Hc6Jd1Sf5Bm0"
)

// cheap is the lowest cost that is taken; costly makes hashes that can be
// counted by the memory that each takes.
var (
	cheap  = passhash.Argon2{Memory: 8, Time: 1, Threads: 1}
	costly = passhash.Argon2{Memory: 4096, Time: 1, Threads: 1}
)

var start = time.Date(2026, 3, 14, 9, 26, 53, 589_000_000, time.UTC)

// faulty passes everything on to a real store. A fault is returned in place of
// the operation's answer; after runs when an operation has succeeded.
type faulty struct {
	storage.Store
	limit.Counters
	fault func(operation string) error
	after func(operation string)
}

func (f *faulty) do(operation string, call func() error) error {
	if f.fault != nil {
		if err := f.fault(operation); err != nil {
			return err
		}
	}
	err := call()
	if err == nil && f.after != nil {
		f.after(operation)
	}
	return err
}

func (f *faulty) UserByUsername(ctx context.Context, key string) (u storage.User, sessions int, err error) {
	err = f.do("UserByUsername", func() (err error) { u, sessions, err = f.Store.UserByUsername(ctx, key); return err })
	return u, sessions, err
}

func (f *faulty) SessionUser(ctx context.Context, id storage.SessionID) (s storage.Session, u storage.User, err error) {
	err = f.do("SessionUser", func() (err error) { s, u, err = f.Store.SessionUser(ctx, id); return err })
	return s, u, err
}

func (f *faulty) Users(ctx context.Context, after storage.Cursor, limit int) (us []storage.User, next storage.Cursor, err error) {
	err = f.do("Users", func() (err error) { us, next, err = f.Store.Users(ctx, after, limit); return err })
	return us, next, err
}

func (f *faulty) User(ctx context.Context, id storage.UserID) (u storage.User, err error) {
	err = f.do("User", func() (err error) { u, err = f.Store.User(ctx, id); return err })
	return u, err
}

func (f *faulty) Mark(ctx context.Context, id storage.MarkID) (m storage.Mark, err error) {
	err = f.do("Mark", func() (err error) { m, err = f.Store.Mark(ctx, id); return err })
	return m, err
}

func (f *faulty) Counts(ctx context.Context, keys []string, mark string) (cs []limit.Count, expires time.Time, err error) {
	err = f.do("Counts", func() (err error) { cs, expires, err = f.Counters.Counts(ctx, keys, mark); return err })
	return cs, expires, err
}

func (f *faulty) Take(ctx context.Context, takes []limit.Take) (taken bool, err error) {
	err = f.do("Take", func() (err error) { taken, err = f.Counters.Take(ctx, takes); return err })
	return taken, err
}

func (f *faulty) Settle(ctx context.Context, given, kept, counted []limit.Take) error {
	return f.do("Settle", func() error { return f.Counters.Settle(ctx, given, kept, counted) })
}

func (f *faulty) UserByEmail(ctx context.Context, key string) (u storage.User, sessions int, err error) {
	err = f.do("UserByEmail", func() (err error) { u, sessions, err = f.Store.UserByEmail(ctx, key); return err })
	return u, sessions, err
}

func (f *faulty) Ticket(ctx context.Context, id storage.TicketID) (x storage.Ticket, err error) {
	err = f.do("Ticket", func() (err error) { x, err = f.Store.Ticket(ctx, id); return err })
	return x, err
}

func (f *faulty) Commit(ctx context.Context, changes ...storage.Change) error {
	return f.do("Commit", func() error { return f.Store.Commit(ctx, changes...) })
}

// fixture is a service on a store of its own.
type fixture struct {
	*auth.Service
	t     *testing.T
	clock *storetest.Clock
	store *sqlstore.Store // beneath every fault
	keys  *keyring.Keyring
	// tokens are those of users whom a test has logged in.
	tokens map[string]auth.Tokens
}

func newFixture(t *testing.T, options ...func(*auth.Config)) *fixture {
	t.Helper()
	return fixtureOn(t, sqlstore.Memory, options...)
}

func fixtureOn(t *testing.T, path string, options ...func(*auth.Config)) *fixture {
	t.Helper()
	store, err := sqlstore.Open(t.Context(), path, true)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	f := &fixture{t: t, clock: storetest.NewClock(start), store: store}
	f.keys, err = keyring.Open(t.Context(), keyring.Config{Store: store, TokenTTL: time.Hour, Now: f.clock.Now})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.keys.Rotate(t.Context(), latchkey.ES256, keyring.AtOnce); err != nil {
		t.Fatal(err)
	}
	f.Service = f.service(options...)
	return f
}

// service returns another service on the fixture's store.
func (f *fixture) service(options ...func(*auth.Config)) *auth.Service {
	f.t.Helper()
	cfg := auth.Config{RefreshKey: make([]byte, 32), TicketKey: make([]byte, 32), MailKey: make([]byte, 32),
		Store: f.store, Counters: f.store, Signer: f.keys, Hasher: newHasher(f.t, cheap),
		Issuer: issuer, Audience: audience, Now: f.clock.Now,
	}
	for _, o := range options {
		o(&cfg)
	}
	s, err := auth.New(cfg)
	if err != nil {
		f.t.Fatal(err)
	}
	return s
}

func newHasher(t testing.TB, cost passhash.Argon2) *passwords.Hasher {
	t.Helper()
	return newHasherOn(t, cost, runtime.GOMAXPROCS(0))
}

// newHasherOn returns a hasher that makes so many hashes at a time.
func newHasherOn(t testing.TB, cost passhash.Argon2, cores int) *passwords.Hasher {
	t.Helper()
	h, err := passwords.NewHasher(cost, cores)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// hashBy has every hash made by run, which calls what it is given.
func hashBy(h *passwords.Hasher, run func(hash func())) { h.Maker = makerBy(run) }

type makerBy func(hash func())

func (run makerBy) New(cost passhash.Argon2, password string) (h passhash.Hash) {
	run(func() { h = passhash.New(cost, password) })
	return h
}

func (run makerBy) Matches(h passhash.Hash, password string) (ok bool) {
	run(func() { ok = h.Matches(password) })
	return ok
}

func withCost(t *testing.T, cost passhash.Argon2) func(*auth.Config) {
	return func(c *auth.Config) { c.Hasher = newHasher(t, cost) }
}

func withStore(f *faulty) func(*auth.Config) {
	return func(c *auth.Config) { f.Store, f.Counters, c.Store, c.Counters = c.Store, c.Counters, f, f }
}

func legacy(c *auth.Config) {
	c.Legacy, c.Issuer, c.Audience, c.Signer = true, "", "", keyring.Secret(secret)
}

// wantAbsent looks for text in the files of a database.
func wantAbsent(t *testing.T, path, text string) {
	t.Helper()
	for _, name := range []string{path, path + "-wal"} {
		doc, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(doc, []byte(text)) {
			t.Errorf("%s holds %q", name, text)
		}
	}
}

func tempDatabase(t *testing.T) string { return filepath.Join(t.TempDir(), "latchkey.db") }

// addAda adds the user of most tests.
func (f *fixture) addAda() storage.User {
	f.t.Helper()
	return f.add(auth.NewUser{
		ID: "u1", Username: "Ada", Email: "ada@example.com", Name: "Ada L.", Scope: "read write", Password: password,
	})
}

func (f *fixture) add(n auth.NewUser) storage.User {
	f.t.Helper()
	u, err := f.AddUser(f.t.Context(), n)
	if err != nil {
		f.t.Fatal(err)
	}
	return u
}

// update stores what change makes of a user.
func (f *fixture) update(id storage.UserID, change func(*storage.User)) {
	f.t.Helper()
	before := f.user(id)
	after := before
	change(&after)
	f.commit(storage.UpdateUser{Old: before, New: after})
}

func (f *fixture) commit(changes ...storage.Change) {
	f.t.Helper()
	if err := f.store.Commit(f.t.Context(), changes...); err != nil {
		f.t.Fatal(err)
	}
}

// importAll creates the users of the records, one after the other.
func (f *fixture) importAll(records ...auth.ImportRecord) error {
	for _, r := range records {
		if err := f.AddImported(f.t.Context(), r); err != nil {
			return err
		}
	}
	return nil
}

func (f *fixture) login(name, password string) (auth.Tokens, error) {
	return f.Login(f.t.Context(), auth.LoginRequest{Username: name, Password: password})
}

func (f *fixture) mustLogin(name, password string) auth.Tokens {
	f.t.Helper()
	tokens, err := f.login(name, password)
	if err != nil {
		f.t.Fatalf("Login(%s): %v", name, err)
	}
	return tokens
}

func (f *fixture) user(id storage.UserID) storage.User {
	f.t.Helper()
	u, err := f.store.User(f.t.Context(), id)
	if err != nil {
		f.t.Fatal(err)
	}
	return u
}

func (f *fixture) session(tokens auth.Tokens) storage.Session {
	f.t.Helper()
	s, _, err := f.store.SessionUser(f.t.Context(), sessionID(tokens))
	if err != nil {
		f.t.Fatal(err)
	}
	return s
}

func (f *fixture) events() []storage.Event {
	f.t.Helper()
	events, _, err := f.store.Events(f.t.Context(), time.Time{}, "", 10_000)
	if err != nil {
		f.t.Fatal(err)
	}
	slices.SortFunc(events, func(a, b storage.Event) int { return strings.Compare(a.ID, b.ID) }) // whatever the clock does
	return events
}

// me asks who bears the access token.
func (f *fixture) me(tokens auth.Tokens) (auth.Identity, error) {
	f.t.Helper()
	v, err := latchkey.New(latchkey.Config{Keys: f.keys, Issuer: issuer, Audience: audience, Leeway: -1, Now: f.clock.Now})
	if err != nil {
		f.t.Fatal(err)
	}
	claims, err := v.Verify(f.t.Context(), tokens.AccessToken)
	if err != nil {
		f.t.Fatalf("verifying the access token: %v", err)
	}
	return f.Me(f.t.Context(), claims)
}

func sessionID(tokens auth.Tokens) storage.SessionID {
	id, _, _ := strings.Cut(tokens.RefreshToken, ".")
	return storage.SessionID(id)
}

// decodeToken returns the header and the claims of a compact JWS.
func decodeToken(t *testing.T, token string) (header, claims map[string]any) {
	t.Helper()
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		t.Fatalf("token has %d parts, want 3", len(parts))
	}
	for i, to := range []*map[string]any{&header, &claims} {
		doc, err := base64.RawURLEncoding.DecodeString(parts[i])
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(doc, to); err != nil {
			t.Fatal(err)
		}
	}
	return header, claims
}

// allocated returns how many bytes f allocates.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// hashes returns how many hashes of the cost f makes. Each takes its memory
// once, and next to costly ones nothing else matters.
func hashes(cost passhash.Argon2, f func()) uint64 {
	return allocated(f) / (uint64(cost.Memory) << 10)
}

func wantInvalid(t *testing.T, err error, field string) {
	t.Helper()
	var invalid *auth.InvalidError
	if !errors.As(err, &invalid) {
		t.Errorf("got %v, want an InvalidError about %s", err, field)
	} else if invalid.Field != field || invalid.Reason == "" {
		t.Errorf("got an InvalidError about %q (%q), want one about %q", invalid.Field, invalid.Reason, field)
	}
}
