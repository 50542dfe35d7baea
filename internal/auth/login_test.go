package auth_test

import (
	"bytes"
	"crypto/sha256"
	"database/sql"
	"encoding/base64"
	"errors"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/latchkey-auth/latchkey"
	"github.com/latchkey-auth/latchkey/internal/auth"
	"github.com/latchkey-auth/latchkey/internal/password/passhash"
	"github.com/latchkey-auth/latchkey/internal/sqlstore"
	"github.com/latchkey-auth/latchkey/internal/storage"
)

func TestAccessTokenIsOfRFC9068(t *testing.T) {
	f := newFixture(t)
	f.addAda()
	tokens := f.mustLogin("ada", password)
	header, claims := decodeToken(t, tokens.AccessToken)
	if header["typ"] != "at+jwt" || header["alg"] != "ES256" || header["kid"] == "" {
		t.Errorf("got header %v, want typ at+jwt, alg ES256 and a kid", header)
	}
	if jti, _ := claims["jti"].(string); len(jti) < 22 { // 128 bits take 22 characters or more
		t.Errorf("jti is %q, want 128 bits of randomness", jti)
	}
	delete(claims, "jti")
	want := map[string]any{
		"iss": issuer, "aud": audience, "sub": "u1", "sid": string(sessionID(tokens)),
		"iat": float64(start.Unix()), "exp": float64(start.Unix() + 900),
		"scope": "read write", "client_id": "latchkey", "username": "Ada",
		"auth_time": float64(start.Unix()), "amr": []any{"pwd"}, "acr": "1", "epoch": 0.0, "rights": 0.0,
	}
	if diff := cmp.Diff(want, claims); diff != "" {
		t.Errorf("claims besides jti (-want +got):\n%s", diff)
	}
	if tokens.ExpiresIn != 15*time.Minute {
		t.Errorf("ExpiresIn is %v, want 15m", tokens.ExpiresIn)
	}
}

func TestCompatibilityTokenIsOfTheOldSystem(t *testing.T) {
	f := newFixture(t, legacy)
	f.addAda()
	tokens := f.mustLogin("ada", password)
	part, _, _ := strings.Cut(tokens.AccessToken, ".")
	if header, _ := base64.RawURLEncoding.DecodeString(part); string(header) != `{"typ":"JWT","alg":"HS256"}` {
		t.Errorf("header is %s, want the old one to the byte", header)
	}
	_, claims := decodeToken(t, tokens.AccessToken)
	if jti, _ := claims["jti"].(string); jti == "" {
		t.Error("there is no jti")
	}
	delete(claims, "jti")
	want := map[string]any{
		"iat": float64(start.Unix()), "exp": float64(start.Unix() + 14*24*3600), "sub": "u1",
		"user": map[string]any{"username": "Ada", "name": "Ada L.", "scope": "read write"},
		"sid":  string(sessionID(tokens)), "epoch": 0.0, "rights": 0.0,
	}
	if diff := cmp.Diff(want, claims); diff != "" {
		t.Errorf("claims besides jti (-want +got):\n%s", diff)
	}
	key, err := latchkey.NewHMACKey("", []byte(secret))
	if err != nil {
		t.Fatal(err)
	}
	set, _ := latchkey.NewKeySet(key)
	v, err := latchkey.New(latchkey.Config{Keys: set, Legacy: true, Leeway: -1, Now: f.clock.Now})
	if err != nil {
		t.Fatal(err)
	}
	if c, err := v.Verify(t.Context(), tokens.AccessToken); err != nil || c.Username != "Ada" || c.Scope != "read write" {
		t.Errorf("verified as %+v, %v; want Ada's claims", c, err)
	}
}

// TestTokensHoldNoPersonalData: claims are read by everybody whom the token
// passes.
func TestTokensHoldNoPersonalData(t *testing.T) {
	for name, options := range map[string][]func(*auth.Config){"RFC 9068": nil, "compatibility": {legacy}} {
		f := newFixture(t, options...)
		f.addAda()
		_, claims := decodeToken(t, f.mustLogin("ada@example.com", password).AccessToken)
		if got := claims["sub"]; got != "u1" {
			t.Errorf("%s: sub is %v, want the user's id", name, got)
		}
		for _, claim := range slices.Collect(maps.Keys(claims)) {
			if text, _ := claims[claim].(string); strings.Contains(text, "ada@example.com") || strings.Contains(text, "argon2") {
				t.Errorf("%s: claim %s is %q", name, claim, text)
			}
		}
	}
}

func TestLoginOpensASessionAndWritesAnEvent(t *testing.T) {
	f := newFixture(t)
	f.addAda()
	client := auth.Client{RequestID: "r1", Address: "192.0.2.7", Device: "curl/8 \x00\xff" + strings.Repeat("x", 1000)}
	tokens, err := f.Login(t.Context(), auth.LoginRequest{Username: "ada", Password: password, Client: client})
	if err != nil {
		t.Fatal(err)
	}
	device := "curl/8 \uFFFD\uFFFD" + strings.Repeat("x", 256-9)
	session := f.session(tokens)
	want := storage.Session{
		ID: sessionID(tokens), UserID: "u1", Seed: session.Seed, ClientID: "latchkey", Proof: storage.Proof{AMR: []string{"pwd"}, ACR: "1", At: start}, Device: device, Address: "192.0.2.7",
		CreatedAt: start, LastUsedAt: start, ExpiresAt: start.Add(90 * 24 * time.Hour),
	}
	if diff := cmp.Diff(want, session); diff != "" {
		t.Errorf("session (-want +got):\n%s", diff)
	}
	events := f.events()
	wantEvent := storage.Event{
		ID: events[len(events)-1].ID, Time: start, Kind: storage.EventLogin, Outcome: storage.OutcomeOK, UserID: "u1",
		SessionID: session.ID, RequestID: "r1", Address: "192.0.2.7", Device: device, Count: 1,
	}
	if diff := cmp.Diff(wantEvent, events[len(events)-1]); diff != "" {
		t.Errorf("last event (-want +got):\n%s", diff)
	}
}

func TestEveryLoginHasASessionOfItsOwn(t *testing.T) {
	f := newFixture(t)
	f.addAda()
	first, second := f.mustLogin("ada", password), f.mustLogin("ada", password)
	if sessionID(first) == sessionID(second) || first.RefreshToken == second.RefreshToken {
		t.Errorf("two logins share the session %s", sessionID(first))
	}
	_, a := decodeToken(t, first.AccessToken)
	_, b := decodeToken(t, second.AccessToken)
	if a["jti"] == b["jti"] {
		t.Error("two tokens share a jti")
	}
}

// TestTheStoreCannotMakeRefreshTokens: what it holds of them is worth nothing without the
// key. It reads the database's files, and has somebody with another key try.
func TestTheStoreCannotMakeRefreshTokens(t *testing.T) {
	path := tempDatabase(t)
	f := fixtureOn(t, path)
	f.addAda()
	tokens := f.mustLogin("ada", password)
	mac := tokens.RefreshToken[strings.LastIndex(tokens.RefreshToken, ".")+1:]
	raw, err := base64.RawURLEncoding.DecodeString(mac)
	if err != nil || len(raw) != 32 {
		t.Fatalf("MAC of the refresh token: %d bytes, %v; want 32", len(raw), err)
	}
	hash := sha256.Sum256(raw)
	var onDisk []byte
	for _, file := range []string{path, path + "-wal"} {
		doc, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		onDisk = append(onDisk, doc...)
	}
	if !bytes.Contains(onDisk, f.session(tokens).Seed) {
		t.Fatal("the seed is not in the files: the test looks in the wrong place")
	}
	for what, canary := range map[string]string{
		"the refresh token's MAC": mac, "its bytes": string(raw), "its hash": string(hash[:]),
		"the access token": tokens.AccessToken, "the password": password,
	} {
		if bytes.Contains(onDisk, []byte(canary)) {
			t.Errorf("the database holds %s", what)
		}
	}
	other := f.service(func(c *auth.Config) { c.RefreshKey = bytes.Repeat([]byte{1}, 32) })
	if _, err := other.Refresh(t.Context(), tokens.RefreshToken, auth.Client{}); !errors.Is(err, auth.ErrInvalidToken) {
		t.Errorf("under another key: %v, want ErrInvalidToken", err)
	}
	f.wantAlive("after it", tokens, true)
}

func TestUsersLogInByTheirNamesInAnySpelling(t *testing.T) {
	f := newFixture(t)
	f.addAda()
	f.add(auth.NewUser{ID: "u2", Username: "Zoë", Password: password})
	for login, want := range map[string]string{
		"ada": "u1", "ADA": "u1", "ＡＤＡ": "u1",
		"ada@example.com": "u1", "ADA@Example.COM": "u1",
		"zoë": "u2", "ZOË": "u2", "Zoe\u0308": "u2",
	} {
		tokens, err := f.login(login, password)
		if err != nil {
			t.Errorf("%s: %v", login, err)
			continue
		}
		if _, claims := decodeToken(t, tokens.AccessToken); claims["sub"] != want {
			t.Errorf("%s logs in as %v, want %s", login, claims["sub"], want)
		}
	}
}

// TestRefusalsLookAlike: who asks learns nothing, we learn everything.
func TestRefusalsLookAlike(t *testing.T) {
	for name, c := range map[string]struct {
		login, password string
		outcome         storage.Outcome
		user            storage.UserID
	}{
		"unknown username":                 {"grace", password, storage.OutcomeUnknownUser, ""},
		"unknown e-mail address":           {"grace@example.com", password, storage.OutcomeUnknownUser, ""},
		"a name that nobody can have":      {"no spaces", password, storage.OutcomeUnknownUser, ""},
		"an address's look-alike":          {"ada＠example.com", password, storage.OutcomeUnknownUser, ""},
		"wrong password":                   {"ada", "wrong", storage.OutcomeWrongPassword, "u1"},
		"wrong password, by e-mail":        {"ada@example.com", "wrong", storage.OutcomeWrongPassword, "u1"},
		"disabled user, right password":    {"dora", password, storage.OutcomeDisabledUser, "u2"},
		"disabled user, wrong password":    {"dora", "wrong", storage.OutcomeWrongPassword, "u2"},
		"user that never had any password": {"nobody", password, storage.OutcomeWrongPassword, "u3"},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, withCost(t, costly))
			f.addAda()
			f.add(auth.NewUser{ID: "u2", Username: "dora", Password: password})
			f.add(auth.NewUser{ID: "u3", Username: "nobody"})
			if _, err := f.Disable(t.Context(), "dora", true); err != nil {
				t.Fatal(err)
			}
			before := len(f.events())
			var err error
			if n := hashes(costly, func() { _, err = f.login(c.login, c.password) }); n != 1 {
				t.Errorf("%d hashes were made, want 1", n)
			}
			if !errors.Is(err, auth.ErrInvalidCredentials) || err.Error() != auth.ErrInvalidCredentials.Error() {
				t.Errorf("got %v, want ErrInvalidCredentials and no word more", err)
			}
			events := f.events()[before:]
			if len(events) != 1 || events[0].Outcome != c.outcome || events[0].UserID != c.user || events[0].SessionID != "" {
				t.Errorf("got events %+v, want one with outcome %s for user %q", events, c.outcome, c.user)
			}
		})
	}
}

func TestRightPasswordCostsOneHashToo(t *testing.T) {
	f := newFixture(t, withCost(t, costly))
	f.addAda()
	if n := hashes(costly, func() { f.mustLogin("ada", password) }); n != 1 {
		t.Errorf("%d hashes were made, want 1", n)
	}
}

func TestMalformedLoginsAreNamed(t *testing.T) {
	for name, c := range map[string]struct{ username, password, field string }{
		"no username":             {"", password, "username"},
		"a username without end":  {strings.Repeat("a", 1<<20), password, "username"},
		"a malformed address":     {"a@b@c", password, "username"},
		"an address's look-alike": {"ada@ex\u0430mple.com", password, "username"},
		"no password":             {"ada", "", "password"},
		"password of 1,025 bytes": {"ada", strings.Repeat("a", 1025), "password"},
		"password of 1 MB":        {"ada", strings.Repeat("a", 1<<20), "password"},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, withCost(t, costly))
			var err error
			if n := hashes(costly, func() { _, err = f.login(c.username, c.password) }); n != 0 {
				t.Errorf("%d hashes were made, want none", n)
			}
			wantInvalid(t, err, c.field)
		})
	}
}

func TestStoreFailureIsNoRefusal(t *testing.T) {
	for name, c := range map[string]struct{ operation, login, password string }{
		"looking up a user":            {"UserByUsername", "ada", password},
		"looking up an unknown user":   {"UserByUsername", "grace", password},
		"storing the session":          {"Commit", "ada", password},
		"recording a wrong password":   {"Commit", "ada", "wrong"},
		"recording an unknown user":    {"Commit", "grace", password},
		"replacing a weak stored hash": {"Commit", "weak", password},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			f.addAda()
			f.add(auth.NewUser{ID: "u2", Username: "weak", Password: password})
			broken := &faulty{fault: func(operation string) error {
				if operation == c.operation {
					return storage.ErrUnavailable
				}
				return nil
			}}
			f.Service = f.service(withStore(broken), withCost(t, passhash.Argon2{Memory: 16, Time: 1, Threads: 1}))
			tokens, err := f.login(c.login, c.password)
			if !errors.Is(err, storage.ErrUnavailable) || errors.Is(err, auth.ErrInvalidCredentials) {
				t.Errorf("got %v, want ErrUnavailable", err)
			}
			if tokens != (auth.Tokens{}) {
				t.Errorf("got tokens %+v beside the error", tokens)
			}
		})
	}
}

// TestFailedLoginLeavesNothing makes the last step of the transaction fail,
// inside the database.
func TestFailedLoginLeavesNothing(t *testing.T) {
	path := tempDatabase(t)
	f := fixtureOn(t, path)
	before := f.addAda()
	raw, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	if _, err := raw.Exec(`CREATE TRIGGER full BEFORE INSERT ON events BEGIN SELECT RAISE(ABORT, 'disk full'); END`); err != nil {
		t.Fatal(err)
	}
	f.Service = f.service(withCost(t, passhash.Argon2{Memory: 16, Time: 1, Threads: 1})) // wants to replace the hash
	if _, err := f.login("ada", password); !errors.Is(err, storage.ErrUnavailable) {
		t.Errorf("got %v, want ErrUnavailable", err)
	}
	var sessions int
	if err := raw.QueryRow(`SELECT count(*) FROM sessions`).Scan(&sessions); err != nil || sessions != 0 {
		t.Errorf("%d sessions are stored (%v), want none", sessions, err)
	}
	if diff := cmp.Diff(before, f.user("u1")); diff != "" {
		t.Errorf("the user changed (-want +got):\n%s", diff)
	}
	if _, err := raw.Exec(`DROP TRIGGER full`); err != nil {
		t.Fatal(err)
	}
	f.mustLogin("ada", password)
}

func TestClosedDatabaseIsUnavailable(t *testing.T) {
	f := fixtureOn(t, tempDatabase(t))
	f.addAda()
	f.store.Close()
	if _, err := f.login("ada", password); !errors.Is(err, storage.ErrUnavailable) {
		t.Errorf("Login: got %v, want ErrUnavailable", err)
	}
	if err := f.Ready(t.Context()); !errors.Is(err, storage.ErrUnavailable) {
		t.Errorf("Ready: got %v, want ErrUnavailable", err)
	}
	if _, err := f.Me(t.Context(), latchkey.Claims{Subject: "u1", SessionID: "s"}); !errors.Is(err, storage.ErrUnavailable) {
		t.Errorf("Me: got %v, want ErrUnavailable", err)
	}
}

func TestConfigurationIsChecked(t *testing.T) {
	store := new(sqlstore.Store)
	hasher := newHasher(t, cheap)
	for name, change := range map[string]func(*auth.Config){
		"no store":            func(c *auth.Config) { c.Store = nil },
		"no signer":           func(c *auth.Config) { c.Signer = nil },
		"no hasher":           func(c *auth.Config) { c.Hasher = nil },
		"no issuer":           func(c *auth.Config) { c.Issuer = "" },
		"no audience":         func(c *auth.Config) { c.Audience = "" },
		"negative lifetime":   func(c *auth.Config) { c.AccessTokenTTL = -time.Second },
		"fractional lifetime": func(c *auth.Config) { c.AccessTokenTTL = 1500 * time.Millisecond },
		"lifetime of years":   func(c *auth.Config) { c.AccessTokenTTL = 91 * 24 * time.Hour },
	} {
		cfg := auth.Config{RefreshKey: make([]byte, 32), TicketKey: make([]byte, 32), MailKey: make([]byte, 32), Store: store, Signer: noSigner{}, Hasher: hasher, Issuer: issuer, Audience: audience}
		if _, err := auth.New(cfg); err != nil {
			t.Fatal(err)
		}
		change(&cfg)
		if _, err := auth.New(cfg); err == nil {
			t.Errorf("%s: New takes it", name)
		}
	}
}

// TestLogoutOfTheOldSystem: its tokens belong to no session.
func TestLogoutOfTheOldSystem(t *testing.T) {
	for _, c := range []struct {
		subject    string
		scope      auth.LogoutScope
		otherToken bool // whether one of the same user that was issued before goes on
		session    bool // and a session of the imported user
	}{
		{"u1", auth.LogoutThis, true, true},
		{"u1", auth.LogoutAll, false, false},
		{"u1", auth.LogoutOthers, false, false},
		{"u9", auth.LogoutThis, true, true}, // nobody has imported u9
		{"u9", auth.LogoutAll, true, true},
	} {
		t.Run(c.subject+" "+string(c.scope), func(t *testing.T) {
			f := newFixture(t, legacy)
			f.addAda()
			tokens := f.mustLogin("ada", password)
			session := latchkey.Claims{Subject: "u1", SessionID: string(sessionID(tokens))}
			issued := func(ago time.Duration) latchkey.Claims {
				at := f.clock.Now().Add(-ago)
				return latchkey.Claims{Legacy: true, Subject: c.subject, IssuedAt: at, ExpiresAt: at.Add(time.Hour)}
			}
			own, other := issued(time.Minute), issued(2*time.Minute)
			for range 2 { // it is idempotent
				if err := f.Logout(t.Context(), own, c.scope, auth.Client{}); err != nil {
					t.Fatal(err)
				}
			}
			f.clock.Advance(11 * time.Second)
			if err := f.Purge(t.Context()); err != nil {
				t.Fatal(err)
			}
			for saying, want := range map[string]struct {
				claims latchkey.Claims
				good   bool
			}{
				"the token": {own, false}, "another one": {other, c.otherToken},
				"a younger one": {issued(0), true}, "a session": {session, c.session},
			} {
				if _, err := f.Me(t.Context(), want.claims); want.good && err != nil || !want.good && !errors.Is(err, auth.ErrInvalidToken) {
					t.Errorf("%s: Me says %v, want good %v", saying, err, want.good)
				}
			}
		})
	}
}

// TestDeadTokensOfTheOldSystemEndNothing: a new password has ended them, and whoever
// has one can do nothing by it.
func TestDeadTokensOfTheOldSystemEndNothing(t *testing.T) {
	f := newFixture(t, legacy)
	f.addAda()
	stolen := latchkey.Claims{Legacy: true, Subject: "u1", IssuedAt: f.clock.Now().Add(-time.Hour), ExpiresAt: f.clock.Now().Add(time.Hour)}
	if _, err := f.SetPassword(t.Context(), "ada", password); err != nil {
		t.Fatal(err)
	}
	tokens := f.mustLogin("ada", password)
	if err := f.Logout(t.Context(), stolen, auth.LogoutAll, auth.Client{}); err != nil {
		t.Errorf("Logout: %v", err)
	}
	if _, err := f.Me(t.Context(), latchkey.Claims{Subject: "u1", SessionID: string(sessionID(tokens))}); err != nil {
		t.Errorf("the owner's new session: %v", err)
	}
}

// TestTokensWithoutSessionAreOld: what is signed by a key and names no session is
// none of ours; a key that was imported may have signed it elsewhere.
func TestTokensWithoutSessionAreOld(t *testing.T) {
	for _, mode := range []func(*auth.Config){legacy, func(*auth.Config) {}} {
		f := newFixture(t, mode)
		f.addAda()
		claims := latchkey.Claims{Subject: "u1", IssuedAt: f.clock.Now(), ExpiresAt: f.clock.Now().Add(time.Hour)}
		if _, err := f.Me(t.Context(), claims); !errors.Is(err, auth.ErrInvalidToken) {
			t.Errorf("a token of a key: %v", err)
		}
		claims.Legacy = true
		if _, err := f.Me(t.Context(), claims); err != nil {
			t.Errorf("a token of the old secret: %v", err)
		}
	}
}

// TestDeletedUsersOfTheOldSystem: their tokens name no session that could have
// ended.
func TestDeletedUsersOfTheOldSystem(t *testing.T) {
	f := newFixture(t, legacy)
	f.addAda()
	old := latchkey.Claims{Legacy: true, Subject: "u1", Username: "Ada", Scope: "admin", IssuedAt: f.clock.Now().Add(-time.Hour)}
	if _, err := f.Me(t.Context(), old); err != nil {
		t.Fatal(err)
	}
	tokens := f.mustLogin("ada", password)
	bearer := latchkey.Claims{Subject: "u1", SessionID: string(sessionID(tokens))}
	if err := f.DeleteAccount(t.Context(), bearer, password, auth.Client{}); err != nil {
		t.Fatal(err)
	}
	if who, err := f.Me(t.Context(), old); !errors.Is(err, auth.ErrInvalidToken) {
		t.Errorf("got %+v, %v; want ErrInvalidToken", who, err)
	}
	stranger := latchkey.Claims{Legacy: true, Subject: "u2", IssuedAt: f.clock.Now()}
	if who, err := f.Me(t.Context(), stranger); err != nil || who.ID != "u2" {
		t.Errorf("who was never imported: %+v, %v", who, err)
	}
}
