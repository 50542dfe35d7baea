package auth_test

import (
	"context"
	"encoding/base64"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/latchkey-auth/latchkey/internal/auth"
	"github.com/latchkey-auth/latchkey/internal/rights"
	"github.com/latchkey-auth/latchkey/internal/storage"
)

func withClaims(claims rights.TokenClaims) func(*auth.Config) {
	return func(c *auth.Config) { c.TokenClaims = claims }
}

// extraClaims are those that not every token has.
func extraClaims(t *testing.T, token string) map[string]any {
	t.Helper()
	_, claims := decodeToken(t, token)
	for _, name := range []string{"iss", "sub", "aud", "exp", "iat", "jti", "client_id", "sid", "scope", "username", "auth_time", "amr", "acr", "epoch", "rights", "user"} {
		delete(claims, name)
	}
	return claims
}

func TestClaimsOfTokens(t *testing.T) {
	mapped := rights.TokenClaims{
		"email": rights.ClaimEmail, "name": rights.ClaimName, "roles": rights.ClaimRoles, "tenant": "attributes.tenant", "https://example.com/plan": "attributes.plan",
	}
	ada := auth.NewUser{ID: "u1", Username: "ada", Email: "ada@example.com", Name: " Ada <L.>", Roles: []string{"clerk"}, Attributes: map[string]string{"tenant": `U"lm\&`, "other": "x"}, Password: password}
	longNamed := ada
	longNamed.Name = strings.Repeat(`"`, 129)
	unproved := ada
	unproved.EmailUnverified = true
	for name, c := range map[string]struct {
		claims rights.TokenClaims
		user   auth.NewUser
		want   map[string]any
	}{
		"none are configured":           {nil, ada, map[string]any{}},
		"all":                           {mapped, ada, map[string]any{"email": "ada@example.com", "name": "Ada <L.>", "roles": []any{"clerk"}, "tenant": `U"lm\&`}},
		"an address that is not proved": {rights.TokenClaims{"email": rights.ClaimEmail}, unproved, map[string]any{}},
		"a name that is too long":       {rights.TokenClaims{"name": rights.ClaimName}, longNamed, map[string]any{}},
		"nothing to say":                {mapped, auth.NewUser{ID: "u1", Username: "ada", Password: password}, map[string]any{}},
	} {
		t.Run(name, func(t *testing.T) {
			for mode, options := range map[string][]func(*auth.Config){"RFC 9068": {withClaims(c.claims)}, "compatibility": {legacy, withClaims(c.claims)}} {
				f := newFixture(t, options...)
				f.add(c.user)
				tokens := f.mustLogin("ada", password)
				if diff := cmp.Diff(c.want, extraClaims(t, tokens.AccessToken)); diff != "" {
					t.Errorf("%s (-want +got):\n%s", mode, diff)
				}
				if mode == "RFC 9068" {
					if _, err := f.me(tokens); err != nil { // which verifies it
						t.Error(err)
					}
				}
			}
		})
	}
}

// TestClaimsFollowTheUser: a refreshed token says what is true then.
func TestClaimsFollowTheUser(t *testing.T) {
	f := newFixture(t, withClaims(rights.TokenClaims{"name": rights.ClaimName, "plan": "attributes.plan"}))
	f.add(auth.NewUser{ID: "u1", Username: "ada", Name: "Ada", Attributes: map[string]string{"plan": "pro"}, Password: password})
	tokens := f.mustLogin("ada", password)
	if _, err := f.Rename(t.Context(), f.claimsOf(tokens), "Ada King", auth.Client{}); err != nil {
		t.Fatal(err)
	}
	if _, err := f.UpdateUser(t.Context(), "ada", func(u *storage.User) { u.Attributes["plan"] = "free" }); err != nil {
		t.Fatal(err)
	}
	want := map[string]any{"name": "Ada King", "plan": "free"}
	if diff := cmp.Diff(want, extraClaims(t, f.mustRefresh(tokens.RefreshToken).AccessToken)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// TestReservedClaims: no operator gives one a meaning, in any case of letters.
func TestReservedClaims(t *testing.T) {
	f := newFixture(t)
	f.addAda()
	_, claims := decodeToken(t, f.mustLogin("ada", password).AccessToken)
	names := []string{"nbf", "user", "payload", "nonce", "at_hash", "cnf", "scp", "email_verified"}
	for name := range claims { // all that every token has
		names = append(names, name)
	}
	for _, name := range names {
		for _, name := range []string{name, strings.ToUpper(name)} {
			if _, err := rights.ParseTokenClaims(fmt.Sprintf(`{%q:"name"}`, name)); err == nil || !strings.Contains(err.Error(), fmt.Sprintf("claim %q has a meaning already", name)) {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}

func TestTokenUsername(t *testing.T) {
	for name, c := range map[string]struct {
		by   rights.TokenUsername
		user auth.NewUser
		want string
	}{
		"by default the id":               {"", auth.NewUser{Email: "ada@example.com", Name: "Ada"}, "u1"},
		"the name":                        {rights.UsernameName, auth.NewUser{Email: "ada@example.com", Name: " Ada L."}, "Ada L."},
		"no name":                         {rights.UsernameName, auth.NewUser{Email: "ada@example.com"}, "u1"},
		"a long name":                     {rights.UsernameName, auth.NewUser{Email: "ada@example.com", Name: strings.Repeat("a", 256)}, strings.Repeat("a", 256)},
		"a name that is too long":         {rights.UsernameName, auth.NewUser{Email: "ada@example.com", Name: strings.Repeat("é", 129)}, "u1"},
		"the address":                     {rights.UsernameEmail, auth.NewUser{Email: "ada@example.com", Name: "Ada"}, "ada@example.com"},
		"an address that is not proved":   {rights.UsernameEmail, auth.NewUser{Email: "ada@example.com", EmailUnverified: true}, "u1"},
		"a username goes over the name":   {rights.UsernameName, auth.NewUser{Username: "ada", Name: "Ada"}, "ada"},
		"a username goes over an address": {rights.UsernameEmail, auth.NewUser{Username: "ada", Email: "ada@example.com"}, "ada"},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, func(c2 *auth.Config) { c2.TokenUsername = c.by })
			c.user.ID, c.user.Password = "u1", password
			u := f.add(c.user)
			login := u.Email
			if login == "" {
				login = u.Username
			}
			if _, claims := decodeToken(t, f.mustLogin(login, password).AccessToken); claims["username"] != c.want || claims["sub"] != "u1" {
				t.Errorf("username %v, sub %v; want %q, u1", claims["username"], claims["sub"], c.want)
			}
		})
	}
}

// longSigner makes the longest header and signature.
type longSigner struct{}

func (longSigner) Sign(_ context.Context, typ string, claims []byte) (string, error) {
	header := fmt.Sprintf(`{"alg":"RS256","typ":%q,"kid":%q}`, typ, strings.Repeat("k", 43))
	b64 := base64.RawURLEncoding
	return b64.EncodeToString([]byte(header)) + "." + b64.EncodeToString(claims) + "." + b64.EncodeToString(make([]byte, 512)), nil
}

// longest is a user of whom everything has its longest form, with the attributes that the
// claims tell.
func longest(attributes int) (auth.NewUser, rights.TokenClaims) {
	claims := rights.TokenClaims{"email": rights.ClaimEmail, "name": rights.ClaimName, "roles": rights.ClaimRoles}
	n := auth.NewUser{
		ID: storage.UserID(strings.Repeat(`"`, 128)), Username: strings.Repeat("𐐨", 64), Email: strings.Repeat("e", 64) + "@" + strings.Repeat(strings.Repeat("d", 61)+".", 3) + "com",
		Name: strings.Repeat("🔑", 64), Scope: strings.Repeat("s ", 1023) + "s", Roles: []string{"clerk"}, Attributes: make(map[string]string), Password: password,
	}
	for i := range 31 {
		n.Roles = append(n.Roles, fmt.Sprintf("role-%011d", i))
	}
	left := 2048
	for i := range attributes {
		name := fmt.Sprint("a", i)
		claims[name] = rights.ClaimSource("attributes." + name)
		n.Attributes[name] = strings.Repeat("<", min(256, left-len(name)))
		left -= len(name) + len(n.Attributes[name])
	}
	return n, claims
}

// TestNoTokenIsTooLong: for whatever configuration is taken, and whoever logs in.
func TestNoTokenIsTooLong(t *testing.T) {
	taken, refused := 0, 0
	for _, mode := range []func(*auth.Config){func(*auth.Config) {}, legacy} {
		for attributes := 0; attributes < 9; attributes += 4 {
			for scopes := 0; scopes < 150; scopes += 30 {
				user, claims := longest(attributes)
				var given []string
				for i := range scopes {
					given = append(given, fmt.Sprintf("scope%04d", i))
				}
				f := newFixture(t)
				cfg := auth.Config{
					RefreshKey: make([]byte, 32), TicketKey: make([]byte, 32), MailKey: make([]byte, 32), Store: f.store, Hasher: newHasher(t, cheap),
					Issuer: issuer, Audience: audience, Now: f.clock.Now,
				}
				mode(&cfg)
				if cfg.Legacy {
					user.Name = strings.Repeat("🔑", 256) // it stands in these tokens in any case
				}
				cfg.Signer, cfg.Roles, cfg.TokenClaims = longSigner{}, rights.RoleTable{"clerk": strings.Join(given, " ")}, claims
				s, err := auth.New(cfg)
				if err != nil {
					if !strings.Contains(err.Error(), "access tokens could be too long") {
						t.Fatal(err)
					}
					refused++
					continue
				}
				taken++
				if _, err := s.AddUser(t.Context(), user); err != nil {
					t.Fatal(err)
				}
				tokens, err := s.Login(t.Context(), auth.LoginRequest{Username: user.Username, Password: password})
				if err != nil || len(tokens.AccessToken) > 8192 {
					t.Errorf("%d attributes, %d scopes: a token of %d bytes, %v", attributes, scopes, len(tokens.AccessToken), err)
				}
			}
		}
	}
	if taken < 5 || refused < 5 {
		t.Errorf("%d configurations were taken, %d refused", taken, refused)
	}
}
