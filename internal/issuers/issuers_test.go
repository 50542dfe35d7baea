package issuers_test

import (
	"bytes"
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/latchkey-auth/latchkey"
	"github.com/latchkey-auth/latchkey/internal/issuers"
)

// set is a key set with the public key of RFC 8037 appendix A.
const set = `{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"a","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}`

func several() []issuers.Issuer {
	return []issuers.Issuer{
		{Name: "auth0", URL: "https://shop.eu.auth0.com/", Profile: "auth0", Audiences: []string{"https://api.example.com"}, Scopes: []string{"orders:read", "orders:write"}, JWKS: []byte(set)},
		{Name: "google", URL: "https://accounts.google.com", Profile: "google", Audiences: []string{"a", "b"}, Require: []latchkey.Match{{Claim: latchkey.ClaimPath{"hd"}, Values: []string{"example.com"}}, {Claim: latchkey.ClaimPath{"a", "b"}}}},
		{Name: "kc", URL: "http://127.0.0.1:8080/realms/r", Profile: "keycloak", Audiences: []string{"shop"}, AudienceClaim: "azp", ScopeClaims: []latchkey.ClaimPath{{"resource_access", "shop", "roles"}}, AllowPrivate: true, JWKSURI: "http://127.0.0.1:8080/certs"},
		{Name: "pinned", URL: "https://pinned.example", Profile: "rfc9068", Audiences: []string{"a"}, JWKS: []byte(set), Pinned: true},
	}
}

func TestWhatIsWrittenIsRead(t *testing.T) {
	doc := issuers.JSON(several())
	got, err := issuers.Parse(doc)
	if err != nil {
		t.Fatalf("%s: %v", doc, err)
	}
	if !reflect.DeepEqual(got, several()) {
		t.Errorf("%s is read as %+v", doc, got)
	}
	if list, err := issuers.Parse(issuers.JSON(nil)); err != nil || list != nil {
		t.Errorf("no issuers: %v, %v", list, err)
	}
}

func TestParseRefuses(t *testing.T) {
	const good = `"name":"a","url":"https://a.example","profile":"rfc9068","audiences":["x"]`
	one := func(members string) string { return `{"version":1,"issuers":[{` + members + `}]}` }
	if _, err := issuers.Parse([]byte(one(good))); err != nil {
		t.Fatal(err)
	}
	for says, doc := range map[string]string{
		"not a JSON object":                  `[]`,
		"version 2: must be 1":               `{"version":2,"issuers":[]}`,
		"version 0: must be 1":               `{"issuers":[]}`,
		`unknown member "keys"`:              one(good + `,"keys":[]`),
		`unknown member "issuer"`:            `{"version":1,"issuer":[]}`,
		`the name "latchkey" is that of`:     one(strings.Replace(good, `"name":"a"`, `"name":"latchkey"`, 1)),
		"its name must be 1 to 32":           one(strings.Replace(good, `"name":"a"`, `"name":"A"`, 1)),
		`profile "none" is not known; known`: one(strings.Replace(good, "rfc9068", "none", 1)),
		"its audiences must be set":          one(strings.Replace(good, `["x"]`, `[]`, 1)),
		`member "audiences": not an array`:   one(strings.Replace(good, `["x"]`, `"x"`, 1)),
		`member "pinned": has the wrong`:     one(good + `,"pinned":"yes"`),
		"pinned keys need the key set":       one(good + `,"pinned":true`),
		"and no address":                     one(good + `,"pinned":true,"jwks":` + set + `,"jwks_uri":"https://a.example/keys"`),
		`member "jwks": has the wrong type`:  one(good + `,"jwks":"keys"`),
		"anybody can get tokens of":          one(`"name":"g","url":"https://accounts.google.com","profile":"google","audiences":["x"]`),
		"two issuers have the URL":           `{"version":1,"issuers":[{` + good + `},{` + strings.Replace(good, `"name":"a"`, `"name":"b"`, 1) + `}]}`,
		"two issuers are called":             `{"version":1,"issuers":[{` + good + `},{` + strings.Replace(good, "a.example", "b.example", 1) + `}]}`,
		`member "require": unknown member`:   one(good + `,"require":[{"claims":["hd"]}]`),
		"a claim's path is empty":            one(good + `,"require":[{"values":["hd"]}]`),
		"must hold texts":                    one(good + `,"scopes":[7]`),
	} {
		if list, err := issuers.Parse([]byte(doc)); err == nil || !strings.Contains(err.Error(), says) || list != nil {
			t.Errorf("%s: %v, error %v, want %q", doc, list, err, says)
		}
	}
}

// TestPinnedKeys: what fetches nothing takes pinned keys alone, and says so.
func TestPinnedKeys(t *testing.T) {
	list := several()
	if keys, err := issuers.Pinned(list[3]); err != nil {
		t.Error(err)
	} else if _, err := keys.Key(t.Context(), "a", latchkey.EdDSA); err != nil {
		t.Error(err)
	}
	if _, err := issuers.Verified(list, issuers.Pinned); err == nil || !strings.Contains(err.Error(), `issuer "auth0": its keys are to be fetched`) {
		t.Errorf("error %v", err)
	}
	broken := list[3]
	broken.JWKS = []byte(`{"keys":[]}`)
	if _, err := issuers.Pinned(broken); err == nil {
		t.Error("a key set without keys is taken")
	}
}

// TestSettingsReachTheVerifier: claims in place of the profile's, and beside them.
func TestSettingsReachTheVerifier(t *testing.T) {
	all, err := issuers.Verified(several(), func(issuers.Issuer) (latchkey.KeySet, error) { return latchkey.ParseJWKS([]byte(set)) })
	if err != nil {
		t.Fatal(err)
	}
	kc := all[2]
	if kc.Profile.Audience != "azp" || len(kc.Profile.Scopes) != 3 || kc.Profile.Scopes[2].String() != "resource_access.shop.roles" {
		t.Errorf("%+v", kc.Profile)
	}
	if plain := latchkey.Keycloak(); len(plain.Scopes) != 2 || plain.Audience != "" {
		t.Errorf("the ready profile has changed: %+v", plain)
	}
	away := errors.New("away")
	if _, err := issuers.Verified(several(), func(issuers.Issuer) (latchkey.KeySet, error) { return nil, away }); !errors.Is(err, away) {
		t.Errorf("error %v", err)
	}
	if got := strings.Join(issuers.Names(several()[:1], true), " "); got != "latchkey auth0" {
		t.Errorf("names %s", got)
	}
}

func FuzzParse(f *testing.F) {
	f.Add(issuers.JSON(several()))
	f.Add([]byte(`{"version":1,"issuers":[{"name":"a","url":"https://a.example","profile":"rfc9068","audiences":["x"],"require":[{"claim":["a"]}]}]}`))
	f.Fuzz(func(t *testing.T, doc []byte) {
		list, err := issuers.Parse(doc)
		if err != nil {
			return
		}
		out := issuers.JSON(list)
		back, err := issuers.Parse(out)
		if err != nil {
			t.Fatalf("%s is written as %s, which is refused: %v", doc, out, err)
		}
		if again := issuers.JSON(back); !bytes.Equal(out, again) {
			t.Errorf("%s is written as %s and then as %s", doc, out, again)
		}
	})
}
