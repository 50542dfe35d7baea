package latchkey_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/latchkey-auth/latchkey"
	"github.com/latchkey-auth/latchkey/internal/costtest"
)

func TestGoodTokensOfEveryAlgorithm(t *testing.T) {
	v := newVerifier(t, nil)
	for _, alg := range algorithms {
		t.Run(string(alg), func(t *testing.T) {
			c, err := verify(v, goodToken(alg))
			if err != nil {
				t.Fatal(err)
			}
			if c.Issuer != issuer || c.Subject != "user-1" || c.ID != "t-1" {
				t.Errorf("got iss %q, sub %q, jti %q", c.Issuer, c.Subject, c.ID)
			}
			if want := []string{audience}; !slices.Equal(c.Audience(), want) {
				t.Errorf("got aud %q, want %q", c.Audience(), want)
			}
			if c.ExpiresAt.Unix() != 1800000600 || c.IssuedAt.Unix() != 1799999900 || !c.NotBefore.IsZero() {
				t.Errorf("got exp %v, iat %v, nbf %v", c.ExpiresAt, c.IssuedAt, c.NotBefore)
			}
			if c.Payload() != claims() {
				t.Errorf("got the payload %s, want %s", c.Payload(), claims())
			}
		})
	}
}

// TestEd25519IsEdDSA: RFC 9864 gives the algorithm a second name, in tokens and
// in keys. Each key verifies tokens of both.
func TestEd25519IsEdDSA(t *testing.T) {
	key := publicKey(latchkey.EdDSA, "ed").AppendJWK(nil)
	for _, inKey := range []string{"EdDSA", "Ed25519"} {
		set := must(latchkey.ParseJWKS([]byte(jwks(strings.Replace(string(key), "EdDSA", inKey, 1)))))
		v := newVerifier(t, func(cfg *latchkey.Config) { cfg.Keys = set })
		for _, inToken := range []string{"EdDSA", "Ed25519"} {
			for _, kid := range []string{`,"kid":"ed"`, ""} {
				token := sign(latchkey.EdDSA, `{"alg":"`+inToken+`","typ":"at+jwt"`+kid+`}`, claims())
				for range 2 { // not cached, and cached
					if _, err := verify(v, token); err != nil {
						t.Errorf("a token that says %s%s, a key that says %s: %v", inToken, kid, inKey, err)
					}
				}
			}
		}
	}
}

func TestClaims(t *testing.T) {
	v := newVerifier(t, nil)
	c, err := verify(v, withClaims(
		"aud", `["https://other.example.com","`+audience+`"]`,
		"nbf", "1800000000",
		"sid", `"s-7"`,
		"client_id", `"web"`,
		"username", `"Fran\u00e7ois \ud83d\ude00"`,
		"scope", `"read write  admin"`,
		"user", `{"username":"ignored outside legacy mode"}`,
		"other", `{"a":[1,2.5,null,true,{"b":"c"}]}`,
	))
	if err != nil {
		t.Fatal(err)
	}
	if c.SessionID != "s-7" || c.ClientID != "web" || c.Username != "François 😀" {
		t.Errorf("got sid %q, client_id %q, username %q", c.SessionID, c.ClientID, c.Username)
	}
	if c.NotBefore.Unix() != 1800000000 {
		t.Errorf("got nbf %v", c.NotBefore)
	}
	if got, want := slices.Collect(c.Scopes()), []string{"read", "write", "admin"}; !slices.Equal(got, want) {
		t.Errorf("got scopes %q, want %q", got, want)
	}
	for scope, want := range map[string]bool{"read": true, "admin": true, "rea": false, "Read": false, "": false, "read write": false} {
		if c.HasScope(scope) != want {
			t.Errorf("HasScope(%q) = %v, want %v", scope, !want, want)
		}
	}
	aud := c.Audience()
	if want := []string{"https://other.example.com", audience}; !slices.Equal(aud, want) {
		t.Errorf("got aud %q, want %q", aud, want)
	}
	aud[1] = "changed by a caller"
	if c.Audience()[1] != audience {
		t.Error("a caller's change of the audience reached the claims, which the cache shares")
	}
}

// TestUnusualButGoodTokens are those that a reader too strict would refuse.
func TestUnusualButGoodTokens(t *testing.T) {
	v := newVerifier(t, nil)
	for name, token := range map[string]string{
		"typ in capitals":                      withHeader("typ", `"AT+JWT"`),
		"typ as a media type":                  withHeader("typ", `"application/at+jwt"`),
		"typ with an escape":                   withHeader("typ", `"at\u002bjwt"`),
		"no kid, one key of the algorithm":     withHeader("kid", ""),
		"a header member nobody knows":         withHeader("x", `{"y":[1]}`),
		"cty":                                  withHeader("cty", `"JWT"`),
		"jwk of an attacker, signed by us":     withHeader("jwk", `{"kty":"OKP","crv":"Ed25519","x":"AQ"}`),
		"jku, signed by us":                    withHeader("jku", `"https://evil.example/keys"`),
		"x5u and x5c, signed by us":            withHeader("x5u", `"https://evil.example"`, "x5c", `["AQ"]`),
		"header in several lines":              withHeaderText("{\r\n \"alg\" : \"ES256\",\n\t\"typ\":\"at+jwt\" }\n"),
		"claims in several lines":              withPayload(" \n" + claims() + "\r\n"),
		"aud of one in an array":               withClaims("aud", `["`+audience+`"]`),
		"aud that names us twice":              withClaims("aud", `["`+audience+`","`+audience+`"]`),
		"sub of 255 bytes":                     withClaims("sub", `"`+strings.Repeat("s", 255)+`"`),
		"sub beyond ASCII":                     withClaims("sub", `"用户-1"`),
		"exp in the last second":               withClaims("exp", "1800000001"),
		"exp in the year 9999":                 withClaims("exp", "253402300799"),
		"nbf now":                              withClaims("nbf", "1800000000"),
		"iat now":                              withClaims("iat", "1800000000"),
		"names in other cases of other names":  withClaims("Roles", `["a"]`, "ROLES", `["b"]`),
		"twenty claims of its own":             withPayload(strings.Replace(manyMembers(20), `"sub"`, `"sub2"`, 1) + claims()[1:]),
		"user of any form outside legacy mode": withClaims("user", `"u"`),
		"nested 32 deep":                       withClaims("x", strings.Repeat("[", 31)+strings.Repeat("]", 31)),
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := verify(v, token); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestLeeway(t *testing.T) {
	for _, c := range []struct {
		name   string
		leeway time.Duration
		at     int64 // seconds after now
		good   bool
	}{
		{"last second without leeway", -1, 99, true},
		{"expired without leeway", -1, 100, false},
		{"last second by default", 0, 109, true},
		{"expired by default", 0, 110, false},
		{"last second with 30 s", 30 * time.Second, 129, true},
		{"expired with 30 s", 30 * time.Second, 130, false},
		{"last second with 60 s", time.Minute, 159, true},
		{"expired with 60 s", time.Minute, 160, false},
		{"nbf and iat without leeway", -time.Hour, 0, true},
		{"a second before nbf and iat without leeway", -time.Hour, -1, false},
		{"a second before nbf and iat by default", 0, -1, true},
		{"10 s before nbf and iat by default", 0, -10, true},
		{"11 s before nbf and iat by default", 0, -11, false},
		{"30 s before nbf and iat with 30 s", 30 * time.Second, -30, true},
		{"31 s before nbf and iat with 30 s", 30 * time.Second, -31, false},
		{"60 s before nbf and iat with 60 s", time.Minute, -60, true},
		{"61 s before nbf and iat with 60 s", time.Minute, -61, false},
	} {
		for _, early := range []string{"nbf", "iat"} {
			t.Run(c.name+", "+early, func(t *testing.T) {
				v := newVerifier(t, func(cfg *latchkey.Config) {
					cfg.Leeway = c.leeway
					cfg.Now = func() time.Time { return now.Add(time.Duration(c.at) * time.Second) }
				})
				_, err := verify(v, withClaims("iat", "1799990000", early, "1800000000", "exp", "1800000100"))
				if good := err == nil; good != c.good {
					t.Errorf("got error %v, want good: %v", err, c.good)
				}
			})
		}
	}
}

func TestNewRefusesBadConfigs(t *testing.T) {
	keys := allKeys()
	for name, cfg := range map[string]latchkey.Config{
		"keys must be set":                           {Issuer: issuer, Audience: audience},
		"keys must be set, in legacy mode too":       {Legacy: true},
		"issuer and audience must be set":            {Keys: keys},
		"issuer and audience must be set, no iss":    {Keys: keys, Audience: audience},
		"issuer and audience must be set, no aud":    {Keys: keys, Issuer: issuer},
		"leeway 1m0.000000001s must be 1m0s at most": {Keys: keys, Issuer: issuer, Audience: audience, Leeway: time.Minute + 1},
		"leeway 1h0m0s must be 1m0s at most, legacy": {Keys: keys, Legacy: true, Leeway: time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := latchkey.New(cfg)
			want, _, _ := strings.Cut(name, ", ")
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("got error %v, want one that says %q", err, want)
			}
		})
	}
}

func TestNewUsesTheClockOfTheSystem(t *testing.T) {
	v := newVerifier(t, func(cfg *latchkey.Config) { cfg.Now = nil })
	in := func(d time.Duration) string { return fmt.Sprint(time.Now().Add(d).Unix()) }
	if _, err := verify(v, withClaims("iat", in(-time.Minute), "exp", in(time.Minute))); err != nil {
		t.Error(err)
	}
	wantRefusal(t, v, withClaims("iat", in(-time.Hour), "exp", in(-time.Minute)), latchkey.CheckExpiry)
}

func TestLegacyTokens(t *testing.T) {
	const old = `{"exp":1800000600,"iat":1799999900,"sub":"u-1","user":{"username":"francesco","name":"Francesco","scope":"user admin","age":7}}`
	const header = `{"typ":"JWT","alg":"HS256"}`
	for name, c := range map[string]struct{ header, payload, sub, username, scope string }{
		"as the old system made them": {header, old, "u-1", "francesco", "user admin"},
		"without typ":                 {`{"alg":"HS256"}`, old, "u-1", "francesco", "user admin"},
		"with typ in small letters":   {`{"alg":"HS256","typ":"jwt"}`, old, "u-1", "francesco", "user admin"},
		"without user":                {header, `{"exp":1800000600,"sub":"u-1"}`, "u-1", "", ""},
		"with an empty user":          {header, `{"exp":1800000600,"sub":"u-1","user":{}}`, "u-1", "", ""},
		"claims of their own win": {header, `{"exp":1800000600,"sub":"u-1","username":"own","scope":"s","user":{"username":"other","scope":"admin"}}`,
			"u-1", "own", "s"},
		"with iss and aud that nobody asked for": {header, `{"exp":1800000600,"sub":"u-1","iss":"joe","aud":["x"]}`, "u-1", "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := verify(newLegacyVerifier(t), sign(latchkey.HS256, c.header, c.payload))
			if err != nil {
				t.Fatal(err)
			}
			if got.Subject != c.sub || got.Username != c.username || got.Scope != c.scope {
				t.Errorf("got sub %q, username %q, scope %q", got.Subject, got.Username, got.Scope)
			}
			if got.Payload() != c.payload {
				t.Errorf("got the payload %s", got.Payload())
			}
		})
	}
}

// TestLegacyTokensOfAnotherIssuer: what is present must be right.
func TestLegacyTokensOfAnotherIssuer(t *testing.T) {
	v := newVerifier(t, func(cfg *latchkey.Config) { cfg.Legacy = true })
	token := func(changes ...string) string {
		return sign(latchkey.HS256, `{"typ":"JWT","alg":"HS256"}`, claims(changes...))
	}
	for _, good := range []string{token(), token("iss", ""), token("aud", ""), token("iss", "", "aud", "")} {
		if _, err := verify(v, good); err != nil {
			t.Error(err)
		}
	}
	wantRefusal(t, v, token("iss", `"https://evil.example"`), latchkey.CheckIssuer)
	wantRefusal(t, v, token("aud", `"https://evil.example"`), latchkey.CheckAudience)
	wantRefusal(t, v, token("aud", `[]`), latchkey.CheckAudience)
}

// TestAnEmptyKidNamesNoKey: it is another thing than none, and a wrong one even
// where the only key has no id, as under a shared secret.
func TestAnEmptyKidNamesNoKey(t *testing.T) {
	for _, alg := range algorithms {
		keys, err := latchkey.NewKeySet(publicKey(alg, ""))
		if err != nil {
			t.Fatal(err)
		}
		for _, legacy := range []bool{false, alg == latchkey.HS256} {
			v := newVerifier(t, func(cfg *latchkey.Config) { cfg.Keys, cfg.Legacy = keys, legacy })
			typ := "at+jwt"
			if legacy {
				typ = "JWT"
			}
			if _, err := verify(v, sign(alg, `{"alg":"`+string(alg)+`","typ":"`+typ+`"}`, claims())); err != nil {
				t.Errorf("%s, legacy %v: without kid: %v", alg, legacy, err)
			}
			for _, kid := range []string{"", "other", " "} {
				wantRefusal(t, v, sign(alg, `{"alg":"`+string(alg)+`","kid":"`+kid+`","typ":"`+typ+`"}`, claims()), latchkey.CheckKey)
			}
		}
	}
}

// TestRefusalsSayWhatWasSeen: iss and aud with what they should be, bounded and
// escaped, because they go into logs.
func TestRefusalsSayWhatWasSeen(t *testing.T) {
	v := newVerifier(t, nil)
	long := strings.Repeat("x", 3000)
	for token, want := range map[string]string{
		withClaims("iss", `"https://other.example"`):                           `invalid token: issuer: iss is "https://other.example", want "` + issuer + `"`,
		withClaims("iss", `"`+issuer+`/"`):                                     `invalid token: issuer: iss is "` + issuer + `/", want "` + issuer + `"`,
		withClaims("aud", `"https://other.example"`):                           `invalid token: audience: aud is ["https://other.example"], which must hold "` + audience + `"`,
		withClaims("aud", `["a","b"]`):                                         `aud is ["a", "b"], which must hold`,
		withClaims("aud", `["a","b","c","d","e","f"]`):                         `aud is ["a", "b", "c", "d", and 2 more], which`,
		withClaims("aud", `[]`):                                                `aud is [], which`,
		withClaims("iss", `"a\nb\u001b[31m\u202e"`):                            `iss is "a\nb\x1b[31m\u202e", want`,
		withClaims("iss", `"`+long+`"`):                                        `xxx"…, want`,
		withClaims("aud", `["`+long[:900]+`","`+strings.Repeat("y", 900)+`"]`): `yyy"…], which`,
	} {
		_, err := verify(v, token)
		if !errors.Is(err, latchkey.ErrInvalidToken) || !strings.Contains(err.Error(), want) {
			t.Errorf("got error %v, want one that says %s", err, want)
		}
		if err != nil && len(err.Error()) > 1000 {
			t.Errorf("the error has %d bytes", len(err.Error()))
		}
	}
}

// keySetFunc is a KeySet made of a function.
type keySetFunc func(id string, alg latchkey.Algorithm) (*latchkey.Key, error)

func (f keySetFunc) Key(_ context.Context, id string, alg latchkey.Algorithm) (*latchkey.Key, error) {
	return f(id, alg)
}

func TestOutageOfTheKeySet(t *testing.T) {
	outage := errors.New("dial tcp: connection refused")
	down := false
	keys := allKeys()
	v := newVerifier(t, func(cfg *latchkey.Config) {
		cfg.Keys = keySetFunc(func(id string, alg latchkey.Algorithm) (*latchkey.Key, error) {
			if down {
				return nil, outage
			}
			return keys.Key(context.Background(), id, alg)
		})
	})
	token := goodToken(latchkey.ES256)
	if _, err := verify(v, token); err != nil {
		t.Fatal(err)
	}
	down = true
	for _, tok := range []string{token, withClaims("sub", `"user-2"`)} { // cached and not
		_, err := verify(v, tok)
		if !errors.Is(err, outage) || errors.Is(err, latchkey.ErrInvalidToken) {
			t.Errorf("got error %v, want the outage and nothing against the token", err)
		}
	}
	wantRefusal(t, v, "not a token", latchkey.CheckForm) // needs no key
	down = false
	if _, err := verify(v, token); err != nil {
		t.Errorf("after the outage: %v", err)
	}
}

// TestCarelessKeySets return keys that nobody asked for.
func TestCarelessKeySets(t *testing.T) {
	for name, keys := range map[string]keySetFunc{
		"no key and no error": func(string, latchkey.Algorithm) (*latchkey.Key, error) { return nil, nil },
		"key of another algorithm": func(string, latchkey.Algorithm) (*latchkey.Key, error) {
			return publicKey(latchkey.RS256, "ec"), nil
		},
		"wrapped ErrKeyNotFound": func(string, latchkey.Algorithm) (*latchkey.Key, error) {
			return nil, fmt.Errorf("looking in the drawer: %w", latchkey.ErrKeyNotFound)
		},
	} {
		t.Run(name, func(t *testing.T) {
			v := newVerifier(t, func(cfg *latchkey.Config) { cfg.Keys = keys })
			wantRefusal(t, v, goodToken(latchkey.ES256), latchkey.CheckKey)
		})
	}
}

// TestKidIsPassedOnAsItIs: the id reaches the key set as the token spells it,
// and only when it is a string (TK-05).
func TestKidIsPassedOnAsItIs(t *testing.T) {
	var asked []string
	v := newVerifier(t, func(cfg *latchkey.Config) {
		cfg.Keys = keySetFunc(func(id string, alg latchkey.Algorithm) (*latchkey.Key, error) {
			asked = append(asked, string(alg)+" "+id)
			return nil, latchkey.ErrKeyNotFound
		})
	})
	for _, kid := range []string{`"../../x"`, `"a\u0000b"`, `"' OR 1=1"`, "7", "null", `["ec"]`} {
		verify(v, withHeader("kid", kid))
	}
	if want := []string{"ES256 ../../x", "ES256 a\x00b", "ES256 ' OR 1=1"}; !slices.Equal(asked, want) {
		t.Errorf("the key set was asked for %q, want %q", asked, want)
	}
}

// TestLargeTokens: the size is bounded, and no token within it takes long (TK-14).
func TestLargeTokens(t *testing.T) {
	v := newVerifier(t, func(cfg *latchkey.Config) { cfg.CacheSize = -1 })
	if _, err := verify(v, tokenOf(8192)); err != nil {
		t.Errorf("8192 bytes: %v", err)
	}
	members := func(text string, n int) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, text, i)
		}
		return strings.TrimSuffix(b.String(), ",")
	}
	for name, token := range map[string]string{
		"8192 bytes":            tokenOf(8192),
		"10 MB":                 strings.Repeat("A", 10<<20),
		"500 claims":            withPayload("{" + members(`"m%d":0,`, 500) + "," + claims()[1:]),
		"1500 empty objects":    withClaims("x", "["+strings.Repeat("{},", 1500)+"{}]"),
		"500 audiences":         withClaims("aud", "["+members(`"a%d",`, 500)+`,"`+audience+`"]`),
		"700 escapes":           withClaims("x", `"`+strings.Repeat(`\u00e9`, 700)+`"`),
		"a number of 5000 bits": withClaims("x", strings.Repeat("9", 5000)),
		"400 header members":    withHeaderText("{" + members(`"m%d":0,`, 400) + "," + header()[1:]),
	} {
		t.Run(name, func(t *testing.T) {
			if len(token) > 8192 && name != "10 MB" {
				t.Fatalf("the token has %d bytes and is not read at all", len(token))
			}
			best := costtest.Time(func() { verify(v, token) })
			if best > 50*time.Millisecond {
				t.Errorf("took %v", best)
			}
		})
	}
}
