package userimport_test

import (
	"testing"
	"time"

	"github.com/latchkey-auth/latchkey"
	"github.com/latchkey-auth/latchkey/internal/auth"
	"github.com/latchkey-auth/latchkey/internal/keyring"
	passwords "github.com/latchkey-auth/latchkey/internal/password"
	"github.com/latchkey-auth/latchkey/internal/password/passhash"
	"github.com/latchkey-auth/latchkey/internal/sqlstore"
	"github.com/latchkey-auth/latchkey/internal/storage"
	"github.com/latchkey-auth/latchkey/internal/storage/storetest"
	"github.com/latchkey-auth/latchkey/internal/userimport"
)

const (
	issuer   = "https://auth.example.com"
	audience = "https://api.example.com"
	password = "correct horse battery staple"
)

var cheap = passhash.Argon2{Memory: 8, Time: 1, Threads: 1}

var start = time.Date(2026, 3, 14, 9, 26, 53, 589_000_000, time.UTC)

// fixture is a service on a store of its own.
type fixture struct {
	*auth.Service
	t     *testing.T
	store *sqlstore.Store
	keys  *keyring.Keyring
	clock *storetest.Clock
}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	store, err := sqlstore.Open(t.Context(), sqlstore.Memory, true)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	f := &fixture{t: t, store: store, clock: storetest.NewClock(start)}
	f.keys, err = keyring.Open(t.Context(), keyring.Config{Store: store, TokenTTL: time.Hour, Now: f.clock.Now})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.keys.Rotate(t.Context(), latchkey.ES256, keyring.AtOnce); err != nil {
		t.Fatal(err)
	}
	f.Service = f.service()
	return f
}

// service returns another service on the fixture's store.
func (f *fixture) service(options ...func(*auth.Config)) *auth.Service {
	f.t.Helper()
	cfg := auth.Config{
		RefreshKey: make([]byte, 32), TicketKey: make([]byte, 32), MailKey: make([]byte, 32),
		Store: f.store, Signer: f.keys, Hasher: newHasher(f.t, cheap),
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

func newHasher(t *testing.T, cost passhash.Argon2) *passwords.Hasher {
	t.Helper()
	h, err := passwords.NewHasher(cost, 1)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func (f *fixture) importer(dryRun bool) *userimport.Importer {
	return userimport.New(f, f.store, dryRun)
}

func (f *fixture) add(n auth.NewUser) {
	f.t.Helper()
	if _, err := f.AddUser(f.t.Context(), n); err != nil {
		f.t.Fatal(err)
	}
}

func (f *fixture) user(id storage.UserID) storage.User {
	f.t.Helper()
	u, err := f.store.User(f.t.Context(), id)
	if err != nil {
		f.t.Fatal(err)
	}
	return u
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

func (f *fixture) events() []storage.Event {
	f.t.Helper()
	events, _, err := f.store.Events(f.t.Context(), time.Time{}, "", 10_000)
	if err != nil {
		f.t.Fatal(err)
	}
	return events
}
