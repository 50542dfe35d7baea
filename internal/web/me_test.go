package web_test

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/latchkey-auth/latchkey"
	"github.com/latchkey-auth/latchkey/internal/auth"
	"github.com/latchkey-auth/latchkey/internal/keyring"
	"github.com/latchkey-auth/latchkey/internal/storage"
)

func TestMeShowsTheBearer(t *testing.T) {
	f := newFixture(t)
	token := f.token()
	for _, scheme := range []string{"Bearer", "bearer", "BEARER"} {
		a := f.get("/me", fields{"Authorization": scheme + " " + token})
		if a.status != http.StatusOK || a.header.Get("Cache-Control") != "no-store" || a.header.Get("Content-Type") != asJSON {
			t.Fatalf("got %d %v, want 200, JSON, no-store", a.status, a.header)
		}
		var got map[string]any
		f.decode(a, &got)
		if got["session_id"] == "" {
			t.Error("there is no session_id")
		}
		want := map[string]any{
			"id": "u1", "username": "ada", "name": "Ada L.", "email": "ada@example.com", "email_verified": true,
			"scope": "read write", "session_id": got["session_id"],
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("body (-want +got):\n%s", diff)
		}
	}
}

// signed returns a token with the keyring's signature and any claims.
func (f *fixture) signed(by auth.Signer, typ string, change map[string]string) string {
	f.Helper()
	sid := ""
	for part := range strings.SplitSeq(f.token(), ".") {
		doc, _ := base64.RawURLEncoding.DecodeString(part)
		if _, after, ok := strings.Cut(string(doc), `"sid":"`); ok {
			sid, _, _ = strings.Cut(after, `"`)
		}
	}
	claims := map[string]string{
		"iss": `"` + issuer + `"`, "aud": `"` + audience + `"`, "sub": `"u1"`, "sid": `"` + sid + `"`,
		"iat": fmt.Sprint(start.Unix()), "exp": fmt.Sprint(start.Unix() + 900),
	}
	for name, value := range change {
		claims[name] = value
	}
	doc := "{"
	for name, value := range claims {
		if value != "" {
			doc += fmt.Sprintf("%q:%s,", name, value)
		}
	}
	token, err := by.Sign(f.Context(), typ, []byte(strings.TrimSuffix(doc, ",")+"}"))
	if err != nil {
		f.Fatal(err)
	}
	return token
}

// TestRefusedTokensAreAlike: every refusal has the challenge, and nobody learns
// from it what was wrong.
func TestRefusedTokensAreAlike(t *testing.T) {
	claims := func(change map[string]string) func(*fixture) fields {
		return func(f *fixture) fields { return bearer(f.signed(f.keys, "at+jwt", change)) }
	}
	with := func(change func(token string) fields) func(*fixture) fields {
		return func(f *fixture) fields { return change(f.token()) }
	}
	after := func(change func(*fixture)) func(*fixture) fields {
		return func(f *fixture) fields {
			token := f.token()
			if a := f.get("/me", bearer(token)); a.status != http.StatusOK { // and it is in the cache now
				f.Fatalf("before: %d", a.status)
			}
			f.clock.Advance(time.Second)
			change(f)
			return bearer(token)
		}
	}
	for name, header := range map[string]func(*fixture) fields{
		"no header":            with(func(string) fields { return nil }),
		"an empty header":      with(func(string) fields { return fields{"Authorization": ""} }),
		"the scheme alone":     with(func(string) fields { return fields{"Authorization": "Bearer"} }),
		"no token":             with(func(string) fields { return fields{"Authorization": "Bearer "} }),
		"no scheme":            with(func(token string) fields { return fields{"Authorization": token} }),
		"Basic":                with(func(string) fields { return fields{"Authorization": "Basic YWRhOng="} }),
		"another scheme":       with(func(token string) fields { return fields{"Authorization": "Token " + token} }),
		"spaces alone":         with(func(string) fields { return fields{"Authorization": "Bearer   "} }),
		"a space within":       with(func(token string) fields { return fields{"Authorization": "Bearer  " + token[:20] + " " + token[20:]} }),
		"two tokens":           with(func(token string) fields { return bearer(token + " " + token) }),
		"two headers":          with(func(token string) fields { return fields{"Authorization": "Bearer " + token + "\nBearer " + token} }),
		"a bad and a good one": with(func(token string) fields { return fields{"Authorization": "Bearer x\nBearer " + token} }),
		"a good and an empty":  with(func(token string) fields { return fields{"Authorization": "Bearer " + token + "\n"} }),
		"two in one header":    with(func(token string) fields { return bearer(token + ",Bearer " + token) }),
		"another header":       with(func(token string) fields { return fields{"X-Authorization": "Bearer " + token} }),
		"the user in a header": with(func(string) fields { return fields{"X-Forwarded-User": "ada", "X-Apigateway-Event": "{}"} }),
		"a cookie":             with(func(token string) fields { return fields{"Cookie": "token=" + token + "; access_token=" + token} }),
		"garbage":              with(func(string) fields { return bearer("a.b.c") }),
		"a token of 9 kB":      with(func(token string) fields { return bearer(token + strings.Repeat("A", 9000)) }),
		"a padded token":       with(func(token string) fields { return bearer(token + "=") }),
		"another signature":    with(func(token string) fields { return bearer(token[:len(token)-6] + "AAAAAA") }),
		"no signature":         with(func(token string) fields { return bearer(token[:strings.LastIndex(token, ".")+1]) }),
		"alg none":             with(func(token string) fields { return bearer(unsigned(token)) }),
		"an expired token":     after(func(f *fixture) { f.clock.Advance(15 * time.Minute) }),
		"a disabled user":      after(func(f *fixture) { f.service.Disable(f.Context(), "ada", true) }),
		"an enabled user": after(func(f *fixture) {
			f.service.Disable(f.Context(), "ada", true)
			f.service.Disable(f.Context(), "ada", false)
		}),
		"a changed password":     after(func(f *fixture) { f.service.SetPassword(f.Context(), "ada", "another password") }),
		"another issuer":         claims(map[string]string{"iss": `"https://evil.example"`}),
		"another audience":       claims(map[string]string{"aud": `"https://evil.example"`}),
		"no expiry":              claims(map[string]string{"exp": ""}),
		"no issuer":              claims(map[string]string{"iss": ""}),
		"a time to come":         claims(map[string]string{"nbf": fmt.Sprint(start.Unix() + 3600)}),
		"no session":             claims(map[string]string{"sid": ""}),
		"an unknown session":     claims(map[string]string{"sid": `"unknown"`}),
		"another user's session": claims(map[string]string{"sub": `"u2"`}),
		"another type":           func(f *fixture) fields { return bearer(f.signed(f.keys, "JWT", nil)) },
		"a shared secret": func(f *fixture) fields {
			return bearer(f.signed(keyring.Secret(f.keys.JWKS(f.Context())), "JWT", nil)) // the published set as secret
		},
		"another server's key": func(f *fixture) fields { return bearer(f.signed(newFixture(f.TB).keys, "at+jwt", nil)) },
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			want := f.get("/me", nil)
			f.wantProblem(want, http.StatusUnauthorized, "unauthorized")
			if got := want.header.Get("WWW-Authenticate"); got != "Bearer" {
				t.Errorf("WWW-Authenticate is %q, want Bearer", got)
			}
			got := f.get("/me", header(f))
			if diff := cmp.Diff(want.comparable(), got.comparable(), cmp.AllowUnexported(answer{})); diff != "" {
				t.Errorf("no token and %s (-none +this):\n%s", name, diff)
			}
		})
	}
	f := newFixture(t)
	if a := f.get("/me", bearer(f.signed(f.keys, "at+jwt", nil))); a.status != http.StatusOK {
		t.Errorf("nothing wrong: got %d %s, want 200", a.status, a.body)
	}
}

// unsigned is the token with alg none.
func unsigned(token string) string {
	parts := strings.Split(token, ".")
	return base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none","typ":"at+jwt"}`)) + "." + parts[1] + "."
}

func TestTokensCountInTheHeaderAlone(t *testing.T) {
	f := newFixture(t)
	token := f.token()
	for _, path := range []string{"/me?access_token=" + token, "/me?token=" + token, "/me?Authorization=Bearer%20" + token} {
		f.wantProblem(f.get(path, nil), http.StatusUnauthorized, "unauthorized")
		f.wantProblem(f.get(path, bearer("x")), http.StatusUnauthorized, "unauthorized")
	}
	for contentType, body := range map[string]string{
		"application/x-www-form-urlencoded": "access_token=" + token, asJSON: `{"access_token":"` + token + `"}`,
	} {
		f.wantProblem(f.send("GET", "/me", body, fields{"Content-Type": contentType}), http.StatusUnauthorized, "unauthorized")
	}
	if a := f.get("/me", bearer(token)); a.status != http.StatusOK {
		t.Errorf("in the header: got %d, want 200", a.status)
	}
}

func TestMeDuringAnOutageIsNoRefusal(t *testing.T) {
	f := newFixture(t)
	token := f.token()
	f.store.set(storage.ErrUnavailable)
	a := f.get("/me", bearer(token))
	f.wantProblem(a, http.StatusServiceUnavailable, "unavailable")
	if a.header.Get("Retry-After") == "" || a.header.Get("WWW-Authenticate") != "" {
		t.Errorf("got header %v, want Retry-After and no challenge", a.header)
	}
	f.wantProblem(f.get("/me", bearer(token+"x")), http.StatusUnauthorized, "unauthorized") // needs no store
}

func TestHeadShowsNothing(t *testing.T) {
	f := newFixture(t)
	token := f.token()
	for path, want := range map[string]int{"/me": 200, "/livez": 200, "/readyz": 200, "/.well-known/jwks.json": 200, "/login": 405, "/nothing": 404} {
		if a := f.send("HEAD", path, "", bearer(token)); a.status != want || a.body != "" {
			t.Errorf("HEAD %s: got %d with %q, want %d without body", path, a.status, a.body, want)
		}
	}
	if a := f.send("HEAD", "/me", "", nil); a.status != http.StatusUnauthorized {
		t.Errorf("HEAD /me without token: got %d, want 401", a.status)
	}
}

// TestRotationDoesNotShow: tokens of both keys are good, at /me and at a verifier
// that has fetched the published set.
func TestRotationDoesNotShow(t *testing.T) {
	f := newFixture(t)
	old := f.token()
	if _, err := f.keys.Rotate(t.Context(), latchkey.EdDSA, keyring.Planned); err != nil {
		t.Fatal(err)
	}
	set, err := latchkey.ParseJWKS([]byte(f.get("/.well-known/jwks.json", nil).body))
	if err != nil {
		t.Fatal(err)
	}
	f.clock.Advance(6 * time.Minute)
	young := f.token()
	v, err := latchkey.New(latchkey.Config{Keys: set, Issuer: issuer, Audience: audience, Leeway: -1, Now: f.clock.Now})
	if err != nil {
		t.Fatal(err)
	}
	for name, token := range map[string]string{"old": old, "young": young} {
		if a := f.get("/me", bearer(token)); a.status != http.StatusOK {
			t.Errorf("%s token at /me: %d", name, a.status)
		}
		if _, err := v.Verify(t.Context(), token); err != nil {
			t.Errorf("%s token with the set fetched before: %v", name, err)
		}
	}
	if a, b := strings.Split(old, ".")[0], strings.Split(young, ".")[0]; a == b {
		t.Error("both tokens name one key: nothing was rotated")
	}
}
