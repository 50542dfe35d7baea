package latchkey_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/latchkey-auth/latchkey"
)

const otherURL = "https://issuer.example.com"

// otherIssuer is one of RFC 9068 that signs with the tests' EdDSA key, edited.
func otherIssuer(edit func(*latchkey.Issuer)) latchkey.Issuer {
	i := latchkey.Issuer{
		Name:      "other",
		URL:       otherURL,
		Audiences: []string{audience},
		Keys:      must(latchkey.NewKeySet(publicKey(latchkey.EdDSA, "ed"))),
		Profile:   latchkey.RFC9068(),
		Scopes:    []string{"orders:read", "orders:write"},
	}
	if edit != nil {
		edit(&i)
	}
	return i
}

// withOther returns a verifier of latchkey's own tokens, by the ES256 key alone,
// and of the other issuer.
func withOther(t testing.TB, edit func(*latchkey.Issuer)) *latchkey.Verifier {
	t.Helper()
	return newVerifier(t, func(cfg *latchkey.Config) {
		cfg.Keys = must(latchkey.NewKeySet(publicKey(latchkey.ES256, "ec")))
		cfg.Issuers = []latchkey.Issuer{otherIssuer(edit)}
	})
}

// ofOther returns a good token of the other issuer with changes.
func ofOther(changes ...string) string {
	return sign(latchkey.EdDSA, goodHeader(latchkey.EdDSA), claims(slices.Concat([]string{"iss", `"` + otherURL + `"`}, changes)...))
}

func TestIssuersAreChecked(t *testing.T) {
	jwt := func(i *latchkey.Issuer) { i.Profile = latchkey.Profile{Types: []string{"JWT"}} }
	common := func(tids ...string) func(*latchkey.Issuer) {
		return func(i *latchkey.Issuer) {
			i.URL, i.Profile = "https://login.microsoftonline.com/common/v2.0", latchkey.Entra()
			i.Require = []latchkey.Match{{Claim: latchkey.ClaimPath{"tid"}, Values: tids}}
		}
	}
	at := func(url string, require ...latchkey.Match) func(*latchkey.Issuer) {
		return func(i *latchkey.Issuer) { i.URL, i.Require = url, require }
	}
	match := func(claim string, values ...string) latchkey.Match {
		return latchkey.Match{Claim: latchkey.ClaimPath{claim}, Values: values}
	}
	const google, github, consumers = "https://accounts.google.com", "https://token.actions.githubusercontent.com", "9188040d-6c67-4c5b-b112-36a304b66dad"
	for name, c := range map[string]struct {
		edit func(*latchkey.Issuer)
		want string // of the error; empty: good
	}{
		"good":                              {nil, ""},
		"no name":                           {func(i *latchkey.Issuer) { i.Name = "" }, "name must be"},
		"a name with the principal's bar":   {func(i *latchkey.Issuer) { i.Name = "a|b" }, "name must be"},
		"a name in capitals":                {func(i *latchkey.Issuer) { i.Name = "Auth0" }, "name must be"},
		"a name of 33":                      {func(i *latchkey.Issuer) { i.Name = strings.Repeat("a", 33) }, "name must be"},
		"a name of 32":                      {func(i *latchkey.Issuer) { i.Name = strings.Repeat("a", 32) }, ""},
		"no URL":                            {func(i *latchkey.Issuer) { i.URL = "" }, "URL must be set"},
		"a URL with a line break":           {func(i *latchkey.Issuer) { i.URL += "\n" }, "URL must be set"},
		"latchkey's own URL":                {func(i *latchkey.Issuer) { i.URL = issuer }, "two issuers have the URL"},
		"no keys":                           {func(i *latchkey.Issuer) { i.Keys = nil }, "keys must be set"},
		"no audience":                       {func(i *latchkey.Issuer) { i.Audiences = nil }, "audiences must be set"},
		"an empty audience":                 {func(i *latchkey.Issuer) { i.Audiences = []string{audience, ""} }, "audiences must be set"},
		"no profile":                        {func(i *latchkey.Issuer) { i.Profile = latchkey.Profile{} }, "accepts no typ"},
		"typ JWT without a mark":            {jwt, "needs a Mark"},
		"typ jwt without a mark":            {func(i *latchkey.Issuer) { i.Profile.Types = []string{"at+jwt", "jwt"} }, "needs a Mark"},
		"no typ without a mark":             {func(i *latchkey.Issuer) { i.Profile.Types = []string{""} }, "needs a Mark"},
		"a mark without a claim":            {func(i *latchkey.Issuer) { i.Profile.Mark = []latchkey.Match{{}} }, "path is empty"},
		"a scope's claim without a name":    {func(i *latchkey.Issuer) { i.Profile.Scopes = []latchkey.ClaimPath{{"a", ""}} }, "path is empty"},
		"a subject's claim without a name":  {func(i *latchkey.Issuer) { i.Profile.Subject = []string{""} }, "no name"},
		"a requirement without a claim":     {func(i *latchkey.Issuer) { i.Require = []latchkey.Match{{Values: []string{"a"}}} }, "path is empty"},
		"a scope with a space":              {func(i *latchkey.Issuer) { i.Scopes = []string{"orders:read admin"} }, "RFC 6749"},
		"an empty scope":                    {func(i *latchkey.Issuer) { i.Scopes = []string{""} }, "RFC 6749"},
		"a scope beyond ASCII":              {func(i *latchkey.Issuer) { i.Scopes = []string{"größe"} }, "RFC 6749"},
		"Google without requirement":        {at(google), "hd or sub"},
		"Google, spelled as in old tokens":  {at("accounts.google.com"), "hd or sub"},
		"Google with any organization":      {at(google, match("hd")), "hd or sub"},
		"Google with an empty organization": {at(google, match("hd", "example.com", "")), "hd or sub"},
		"Google with another requirement":   {at(google, match("email_verified", "true")), "hd or sub"},
		"Google with an organization":       {at(google, match("hd", "example.com")), ""},
		"GitHub without requirement":        {at(github), "repository_owner"},
		"GitHub with a branch alone":        {at(github, match("ref", "refs/heads/main")), "repository_owner"},
		"GitHub with an owner":              {at(github, match("ref", "refs/heads/main"), match("repository_owner", "octo-org")), ""},
		"GitHub of one's own enterprise":    {at(github + "/octo-enterprise"), ""},
		"GitLab without requirement":        {at("https://gitlab.com"), "namespace_path"},
		"GitLab of one's own":               {at("https://gitlab.example.com"), ""},
		"Entra's common tenant":             {common(), "tid"},
		"Entra's organizations":             {at("https://login.microsoftonline.com/organizations/v2.0"), "tid"},
		"Entra's template":                  {at("https://login.microsoftonline.com/{tenantid}/v2.0"), "tid"},
		"Entra's template, version 1.0":     {at("https://sts.windows.net/{tenantid}/"), "tid"},
		"Entra's consumers":                 {at("https://login.microsoftonline.com/consumers/v2.0", match("tid", consumers)), "anybody can open"},
		"Entra's consumers among tenants":   {common("t1", consumers), "anybody can open"},
		"Entra's consumers by their id":     {at("https://login.microsoftonline.com/" + consumers + "/v2.0"), "oid or sub"},
		"Entra with tenants":                {common("t1", "t2"), ""},
		"Entra with a tenant twice":         {common("t1", "t1"), "two issuers have the URL"},
	} {
		t.Run(name, func(t *testing.T) {
			v, err := latchkey.New(latchkey.Config{Keys: allKeys(), Issuer: issuer, Audience: audience, Issuers: []latchkey.Issuer{otherIssuer(c.edit)}})
			switch {
			case c.want == "" && err != nil:
				t.Error(err)
			case c.want != "" && (err == nil || v != nil || !strings.Contains(err.Error(), c.want)):
				t.Errorf("got error %v, want one that says %q", err, c.want)
			}
		})
	}
	for name, issuers := range map[string][]latchkey.Issuer{
		"two issuers are called":   {otherIssuer(nil), otherIssuer(func(i *latchkey.Issuer) { i.URL += "/2" })},
		"two issuers have the URL": {otherIssuer(nil), otherIssuer(func(i *latchkey.Issuer) { i.Name = "second" })},
	} {
		if _, err := latchkey.New(latchkey.Config{Issuers: issuers}); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("got error %v, want one that says %q", err, name)
		}
	}
	for name, cfg := range map[string]latchkey.Config{
		"nothing":                       {},
		"an issuer's URL without keys":  {Issuers: []latchkey.Issuer{otherIssuer(nil)}, Issuer: issuer},
		"an audience without keys":      {Issuers: []latchkey.Issuer{otherIssuer(nil)}, Audience: audience},
		"compatibility without keys":    {Issuers: []latchkey.Issuer{otherIssuer(nil)}, Legacy: true},
		"keys without URL and audience": {Issuers: []latchkey.Issuer{otherIssuer(nil)}, Keys: allKeys()},
	} {
		if _, err := latchkey.New(cfg); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
}

// TestIssuersAreToldApart: a token is verified by the keys and the profile of the
// issuer that it names, and by no others.
func TestIssuersAreToldApart(t *testing.T) {
	v := withOther(t, nil)
	for _, good := range []struct{ token, principal, scope string }{
		{withClaims("scope", `"orders:read admin"`), "user-1", "orders:read admin"},
		{ofOther("scope", `"admin orders:write x orders:read"`), "other|user-1", "orders:read orders:write"},
		{ofOther("roles", `["orders:read"]`, "groups", `["orders:write"]`), "other|user-1", "orders:read orders:write"},
		{ofOther("scope", `"admin"`), "other|user-1", ""},
		{ofOther("scope", `null`), "other|user-1", ""},
		{ofOther("sub", `"other|user-1"`), "other|other|user-1", ""},
	} {
		c, err := verify(v, good.token)
		if err != nil || c.Principal() != good.principal || c.Scope != good.scope {
			t.Errorf("got %q with scope %q, %v; want %q with %q", c.Principal(), c.Scope, err, good.principal, good.scope)
		}
	}
	ed, ec := goodHeader(latchkey.EdDSA), goodHeader(latchkey.ES256)
	with := func(alg latchkey.Algorithm, header string, changes ...string) string {
		return sign(alg, header, claims(changes...))
	}
	const other = `"` + otherURL + `"`
	for _, c := range []struct {
		name, token string
		check       latchkey.Check
	}{
		{"the other's key for latchkey's own iss", with(latchkey.EdDSA, ed), latchkey.CheckKey},
		{"the other's key without kid for latchkey's own iss", with(latchkey.EdDSA, `{"alg":"EdDSA","typ":"at+jwt"}`), latchkey.CheckKey},
		{"the own key for the other's iss", with(latchkey.ES256, ec, "iss", other), latchkey.CheckKey},
		{"no iss", ofOther("iss", ""), latchkey.CheckIssuer},
		{"an unknown iss", ofOther("iss", `"https://evil.example"`), latchkey.CheckIssuer},
		{"a slash behind", ofOther("iss", `"`+otherURL+`/"`), latchkey.CheckIssuer},
		{"iss a number", ofOther("iss", "1"), latchkey.CheckClaims},
		{"iss twice", sign(latchkey.EdDSA, ed, strings.Replace(claims("iss", other), `"sub"`, `"iss":"`+issuer+`","sub"`, 1)), latchkey.CheckClaims},
		{"iss twice, the second escaped", sign(latchkey.EdDSA, ed, strings.Replace(claims("iss", other), `"sub"`, `"\u0069ss":"`+issuer+`","sub"`, 1)), latchkey.CheckClaims},
		{"ISS in wrong case beside it", ofOther("ISS", `"`+issuer+`"`), latchkey.CheckClaims},
		{"broken JSON behind a good iss, signed so", sign(latchkey.EdDSA, ed, `{"iss":`+other+`,`), latchkey.CheckClaims},
		{"no JSON", sign(latchkey.EdDSA, ed, `x`), latchkey.CheckClaims},
		{"an unsigned claim to be the other", ofOther()[:len(ofOther())-4] + "AAAA", latchkey.CheckSignature},
		{"HS256 with the public key", forged(edKey.Public().(ed25519.PublicKey), `{"alg":"HS256","typ":"at+jwt","kid":"ed"}`, claims("iss", other)), latchkey.CheckAlgorithm},
		{"typ JWT", with(latchkey.EdDSA, `{"alg":"EdDSA","kid":"ed","typ":"JWT"}`, "iss", other), latchkey.CheckType},
		{"an ID token", ofOther("at_hash", `"AAAA"`), latchkey.CheckType},
		{"an ID token of a code", ofOther("c_hash", `null`), latchkey.CheckType},
		{"At_hash in wrong case", ofOther("At_hash", `"AAAA"`), latchkey.CheckClaims},
		{"another audience", ofOther("aud", `"https://other.example"`), latchkey.CheckAudience},
		{"no audience", ofOther("aud", ""), latchkey.CheckAudience},
		{"no subject", ofOther("sub", ""), latchkey.CheckSubject},
		{"a subject of 256 bytes", ofOther("sub", `"`+strings.Repeat("s", 256)+`"`), latchkey.CheckSubject},
		{"an own subject like the other's principal", withClaims("sub", `"other|user-1"`), latchkey.CheckSubject},
		{"scope a number", ofOther("scope", "1"), latchkey.CheckClaims},
		{"scope an object", ofOther("scope", `{"orders:read":1}`), latchkey.CheckClaims},
		{"Roles in wrong case", ofOther("Roles", `["orders:read"]`), latchkey.CheckClaims},
		{"expired", ofOther("exp", "1799999999"), latchkey.CheckExpiry},
		{"not yet", ofOther("nbf", "1800000001"), latchkey.CheckNotBefore},
	} {
		wantCheck(t, v, c.name, c.token, c.check)
		wantCheck(t, v, c.name+", again", c.token, c.check)
	}
}

// TestHostileTokensBesideOtherIssuers: what is refused of latchkey's own tokens
// is refused where there are other issuers too.
func TestHostileTokensBesideOtherIssuers(t *testing.T) {
	v := allShapes(t, nil)
	for _, h := range hostileTokens() {
		if c, err := verify(v, h.token); !errors.Is(err, latchkey.ErrInvalidToken) || c.Payload() != "" {
			t.Errorf("%s: got error %v", h.name, err)
		}
	}
	for _, alg := range algorithms {
		if c, err := verify(v, goodToken(alg)); err != nil || c.IssuerName != "" || c.Principal() != "user-1" {
			t.Errorf("%s: %q, %v", alg, c.Principal(), err)
		}
	}
}

// TestElementsWithSpacesAreOneScope: a role called "a b" is neither a nor b.
func TestElementsWithSpacesAreOneScope(t *testing.T) {
	v := withOther(t, nil)
	for roles, want := range map[string]string{
		`["orders:read orders:write"]`:   "",
		`["orders:read ","orders:read"]`: "orders:read",
		`"orders:read\torders:write"`:    "",
		`"orders:read\u00a0x"`:           "",
		`"  orders:write  orders:read "`: "orders:read orders:write",
		`[]`:                             "",
		`""`:                             "",
		`["","ORDERS:READ"]`:             "",
	} {
		c, err := verify(v, ofOther("roles", roles))
		if err != nil || c.Scope != want {
			t.Errorf("roles %s grant %q, %v; want %q", roles, c.Scope, err, want)
		}
	}
}

// TestRequire: all that is required, by text, truth, number, list and path.
func TestRequire(t *testing.T) {
	path := func(names ...string) latchkey.ClaimPath { return names }
	v := withOther(t, func(i *latchkey.Issuer) {
		i.Require = []latchkey.Match{{path("org"), []string{"shop", "7", "true"}}, {Claim: path("a", "b.c")}}
	})
	for changes, want := range map[string]latchkey.Check{
		`"shop"`: "", `7`: "", `true`: "", `["x","shop"]`: "", `[7]`: "",
		`"Shop"`: latchkey.CheckRequired, `"shop "`: latchkey.CheckRequired, `null`: latchkey.CheckRequired, `7.0`: latchkey.CheckRequired, `[]`: latchkey.CheckRequired,
		`{"shop":true}`: latchkey.CheckRequired, `[["shop"]]`: latchkey.CheckRequired, `false`: latchkey.CheckRequired, ``: latchkey.CheckRequired,
	} {
		token := ofOther("org", changes, "a", `{"x":1,"b.c":"y"}`)
		if want != "" {
			wantCheck(t, v, "org "+changes, token, want)
		} else if _, err := verify(v, token); err != nil {
			t.Errorf("org %s: %v", changes, err)
		}
	}
	for a, good := range map[string]bool{
		`{"b.c":"y"}`: true, `{"b.c":0}`: true, `{"b.c":{}}`: true, `{"b.c":["y"]}`: true,
		`{"b.c":""}`: false, `{"b.c":null}`: false, `{"b.c":[]}`: false, `{"b":{"c":"y"}}`: false, `"b.c"`: false, ``: false,
	} {
		token := ofOther("org", `"shop"`, "a", a)
		if !good {
			wantCheck(t, v, "a "+a, token, latchkey.CheckRequired)
		} else if _, err := verify(v, token); err != nil {
			t.Errorf("a %s: %v", a, err)
		}
	}
	_, err := verify(v, ofOther("org", `"secret of the token"`))
	if err == nil || !strings.Contains(err.Error(), "org = shop or 7 or true") || strings.Contains(err.Error(), "secret") {
		t.Errorf("got error %v, want one that says what is required and nothing of the token", err)
	}
}

// TestTenantsOfEntra: the common URL stands for the tenants that are required, each
// by its exact iss.
func TestTenantsOfEntra(t *testing.T) {
	const t1, t2, t3 = "11111111-0000-0000-0000-000000000000", "22222222-0000-0000-0000-000000000000", "33333333-0000-0000-0000-000000000000"
	for _, s := range shapes() {
		if s.profile != "entra" {
			continue
		}
		i := s.configured(t)
		i.URL = "https://login.microsoftonline.com/common/v2.0"
		i.Require = []latchkey.Match{{Claim: latchkey.ClaimPath{"tid"}, Values: []string{t1, t2}}}
		v := newVerifier(t, func(cfg *latchkey.Config) { cfg.Issuers = []latchkey.Issuer{i} })
		of := func(iss, tid string) string {
			return s.token("", "iss", `"https://login.microsoftonline.com/`+iss+`/v2.0"`, "tid", `"`+tid+`"`)
		}
		for _, tid := range []string{t1, t2} {
			if _, err := verify(v, of(tid, tid)); err != nil {
				t.Errorf("tenant %s: %v", tid, err)
			}
		}
		wantCheck(t, v, "another tenant", of(t3, t3), latchkey.CheckIssuer)
		wantCheck(t, v, "another tenant with a good tid", of(t3, t1), latchkey.CheckIssuer)
		wantCheck(t, v, "a good tenant with another tid", of(t1, t3), latchkey.CheckRequired)
		wantCheck(t, v, "common", of("common", t1), latchkey.CheckIssuer)
	}
}

// TestSharedSecretsOfOthersAreRefused, also where one is configured.
func TestSharedSecretsOfOthersAreRefused(t *testing.T) {
	v := withOther(t, func(i *latchkey.Issuer) { i.Keys = allKeys() })
	wantCheck(t, v, "HS256", sign(latchkey.HS256, goodHeader(latchkey.HS256), claims("iss", `"`+otherURL+`"`)), latchkey.CheckAlgorithm)
	for _, alg := range algorithms[1:] {
		if _, err := verify(v, sign(alg, goodHeader(alg), claims("iss", `"`+otherURL+`"`))); err != nil {
			t.Errorf("%s: %v", alg, err)
		}
	}
}

// TestLegacyBesideOtherIssuers: tokens of the compatibility mode need no iss, and
// gain nothing by one.
func TestLegacyBesideOtherIssuers(t *testing.T) {
	v := newVerifier(t, func(cfg *latchkey.Config) {
		cfg.Keys = must(latchkey.NewKeySet(publicKey(latchkey.HS256, "")))
		cfg.Legacy, cfg.Issuer, cfg.Audience = true, "", ""
		cfg.Issuers = []latchkey.Issuer{otherIssuer(nil)}
	})
	old := func(changes ...string) string {
		return sign(latchkey.HS256, `{"typ":"JWT","alg":"HS256"}`, claims(changes...))
	}
	for _, token := range []string{old("iss", ""), old()} {
		if c, err := verify(v, token); err != nil || c.IssuerName != "" || c.Principal() != "user-1" {
			t.Errorf("an old token: %q, %v", c.Principal(), err)
		}
	}
	if c, err := verify(v, ofOther()); err != nil || c.Principal() != "other|user-1" {
		t.Errorf("the other's token: %q, %v", c.Principal(), err)
	}
	wantCheck(t, v, "an old token that says it is the other's", old("iss", `"`+otherURL+`"`), latchkey.CheckAlgorithm)
	wantCheck(t, v, "the other's key, without iss", ofOther("iss", ""), latchkey.CheckAlgorithm)
	wantCheck(t, v, "another secret", forged(bytes.Repeat([]byte("x"), 32), `{"typ":"JWT","alg":"HS256"}`, claims("iss", "")), latchkey.CheckSignature)
}

// TestKeysOfOneIssuerAreAway: its tokens cannot be checked, all others can.
func TestKeysOfOneIssuerAreAway(t *testing.T) {
	outage := errors.New("connection refused")
	away := false
	keys := must(latchkey.NewKeySet(publicKey(latchkey.EdDSA, "ed")))
	v := withOther(t, func(i *latchkey.Issuer) {
		i.Keys = keySetFunc(func(id string, alg latchkey.Algorithm) (*latchkey.Key, error) {
			if away {
				return nil, outage
			}
			return keys.Key(context.Background(), id, alg)
		})
	})
	token := ofOther()
	if _, err := verify(v, token); err != nil {
		t.Fatal(err)
	}
	away = true
	for _, tok := range []string{token, ofOther("sub", `"user-2"`)} { // cached and not
		if _, err := verify(v, tok); !errors.Is(err, outage) || errors.Is(err, latchkey.ErrInvalidToken) || !strings.Contains(err.Error(), "issuer other") {
			t.Errorf("got error %v, want the outage, with the issuer's name", err)
		}
	}
	if _, err := verify(v, goodToken(latchkey.ES256)); err != nil {
		t.Errorf("an own token: %v", err)
	}
}

// TestIssuersAreCopies: what the caller does with its configuration afterwards
// changes nothing.
func TestIssuersAreCopies(t *testing.T) {
	i := otherIssuer(func(i *latchkey.Issuer) {
		i.Require = []latchkey.Match{{Claim: latchkey.ClaimPath{"org", "id"}, Values: []string{"shop"}}}
	})
	v, err := latchkey.New(latchkey.Config{Issuers: []latchkey.Issuer{i}, Leeway: -1, Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	i.Audiences[0], i.Scopes[0], i.Require[0].Claim[1], i.Require[0].Values[0] = "x", "x", "x", "x"
	i.Profile.Types[0], i.Profile.Types[1], i.Profile.Scopes[0][0] = "x", "x", "x"
	c, err := verify(v, ofOther("org", `{"id":"shop"}`, "scope", `"orders:read"`))
	if err != nil || c.Scope != "orders:read" {
		t.Errorf("scope %q, %v", c.Scope, err)
	}
}

// TestCachedTokensOfOtherIssuers cost nothing and end with their keys.
func TestCachedTokensOfOtherIssuers(t *testing.T) {
	box := new(keyBox)
	box.key.Store(publicKey(latchkey.EdDSA, "ed"))
	v := withOther(t, func(i *latchkey.Issuer) { i.Keys = box })
	token := ofOther("scope", `"orders:read"`)
	if _, err := verify(v, token); err != nil {
		t.Fatal(err)
	}
	if n := testing.AllocsPerRun(100, func() { verify(v, token) }); n != 0 {
		t.Errorf("%v allocations, want none", n)
	}
	box.key.Store(nil)
	wantRefusal(t, v, token, latchkey.CheckKey)
}

// FuzzOtherIssuers signs what the fuzzer thinks of as another issuer would: what
// is taken has a principal of that issuer, scopes that it may grant, and is good
// to go-jose too.
func FuzzOtherIssuers(f *testing.F) {
	for _, s := range shapes() {
		header := strings.NewReplacer("%kid%", "ed", "%alg%", "EdDSA").Replace(s.header)
		f.Add(header, object(slices.Clone(s.payload), nil))
		for _, r := range s.refused {
			f.Add(header, object(slices.Clone(s.payload), r.change))
		}
	}
	f.Add(goodHeader(latchkey.EdDSA), claims())
	f.Add(goodHeader(latchkey.EdDSA), claims("iss", `"`+otherURL+`"`, "scope", `["orders:read","a b"]`, "roles", `"orders:write"`))
	keys := must(latchkey.NewKeySet(publicKey(latchkey.EdDSA, "ed")))
	may := make(map[string][]string)
	v := newVerifier(f, func(cfg *latchkey.Config) {
		cfg.CacheSize = -1
		cfg.Issuers = []latchkey.Issuer{otherIssuer(nil)}
		for _, s := range shapes() {
			if s.profile != "cognito-id" {
				i := s.configured(f)
				i.Keys = keys
				cfg.Issuers = append(cfg.Issuers, i)
			}
		}
		for _, i := range cfg.Issuers {
			may[i.Name] = i.Scopes
		}
	})
	f.Fuzz(func(t *testing.T, header, payload string) {
		token := sign(latchkey.EdDSA, header, payload)
		c, err := verify(v, token)
		if err != nil {
			if !errors.Is(err, latchkey.ErrInvalidToken) {
				t.Errorf("an outage: %v", err)
			}
			return
		}
		if c.IssuerName == "" {
			wantSameOfJOSE(t, token, c)
			return
		}
		if c.Principal() != c.IssuerName+"|"+c.Subject || c.Subject == "" {
			t.Errorf("principal %q of %q and %q", c.Principal(), c.IssuerName, c.Subject)
		}
		for scope := range c.Scopes() {
			if !slices.Contains(may[c.IssuerName], scope) {
				t.Errorf("%s grants %q", c.IssuerName, scope)
			}
		}
		wantGoodToJOSE(t, token, c)
	})
}
