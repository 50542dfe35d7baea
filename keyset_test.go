package latchkey_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"testing"

	"github.com/latchkey-auth/latchkey"
)

const (
	ecJWK = `{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}`
	edJWK = `{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}`
)

// ec384JWK is the public key of RFC 6979 appendix A.2.6.
var ec384JWK = strings.Replace(string(publicKey(latchkey.ES384, "").AppendJWK(nil)), `"kid":"","use":"sig","alg":"ES384",`, "", 1)

var rsaJWK = `{"kty":"RSA","e":"AQAB","n":"` + thumbprintModulus + `"}`

// jwks returns a set of the keys.
func jwks(keys ...string) string { return `{"keys":[` + strings.Join(keys, ",") + `]}` }

// and returns the key with more members.
func and(jwk, members string) string { return strings.TrimSuffix(jwk, "}") + "," + members + "}" }

func TestParseJWKS(t *testing.T) {
	for _, c := range []struct {
		name, doc string
		want      string // the keys found, as algorithm and id
	}{
		{"one of each", jwks(and(rsaJWK, `"kid":"a"`), and(ecJWK, `"kid":"b"`), and(edJWK, `"kid":"c"`)), "RS256 a, ES256 b, EdDSA c"},
		{"without kid", jwks(ecJWK), "ES256 "},
		{"with alg and use", jwks(and(ecJWK, `"alg":"ES256","use":"sig"`)), "ES256 "},
		{"Ed25519 as RFC 9864 names it", jwks(and(edJWK, `"alg":"Ed25519"`)), "EdDSA "},
		{"one id for two algorithms", jwks(and(ecJWK, `"kid":"a"`), and(edJWK, `"kid":"a"`)), "ES256 a, EdDSA a"},
		{"members that are not ours", `{"x":{"y":[1]},` + jwks(and(ecJWK, `"x5t":"AQ","x5c":["AQ"],"ext":true`))[1:], "ES256 "},
		{"RSA with a crv that means nothing", jwks(and(rsaJWK, `"crv":"P-256"`)), "RS256 "},
		{"unknown kty skipped", jwks(`{"kty":"AKP","alg":"ML-DSA-44","pub":"AQ"}`, ecJWK), "ES256 "},
		{"kty that runs into crv skipped", jwks(`{"kty":"EC P-256","x":"AQ","y":"AQ"}`, edJWK), "EdDSA "},
		{"kty in small letters skipped", jwks(`{"kty":"ec","crv":"P-256","x":"AQ","y":"AQ"}`, edJWK), "EdDSA "},
		{"no kty skipped", jwks(`{"crv":"P-256","x":"AQ","y":"AQ"}`, edJWK), "EdDSA "},
		{"empty object skipped", jwks(`{}`, edJWK), "EdDSA "},
		{"unknown curve skipped", jwks(`{"kty":"EC","crv":"P-521","x":"AQ","y":"AQ"}`, edJWK), "EdDSA "},
		{"X25519 skipped", jwks(`{"kty":"OKP","crv":"X25519","x":"AQ"}`, ecJWK), "ES256 "},
		{"encryption key skipped", jwks(and(rsaJWK, `"use":"enc"`), ecJWK), "ES256 "},
		{"RSA of every algorithm", jwks(and(rsaJWK, `"alg":"RS256"`), and(rsaJWK, `"alg":"RS384"`), and(rsaJWK, `"alg":"RS512"`),
			and(rsaJWK, `"alg":"PS256"`), and(rsaJWK, `"alg":"PS384"`), and(rsaJWK, `"alg":"PS512"`)), "RS256 , RS384 , RS512 , PS256 , PS384 , PS512 "},
		{"P-384 without alg", jwks(ec384JWK), "ES384 "},
		{"P-384 with alg", jwks(and(ec384JWK, `"alg":"ES384"`)), "ES384 "},
		{"RSA for encryption skipped", jwks(and(rsaJWK, `"alg":"RSA-OAEP"`), ecJWK), "ES256 "},
		{"one key twice", jwks(and(ecJWK, `"kid":"a"`), and(ecJWK, `"kid":"a"`)), "ES256 a"},
		{"one key twice without kid", jwks(ecJWK, ecJWK), "ES256 "},
		{"one key under two ids", jwks(and(ecJWK, `"kid":"a"`), and(ecJWK, `"kid":"b"`)), "ES256 a, ES256 b"},
	} {
		t.Run(c.name, func(t *testing.T) {
			set, err := latchkey.ParseJWKS([]byte(c.doc))
			if err != nil {
				t.Fatal(err)
			}
			if got := listed(t, set); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

// listed names the keys of a set by what it publishes.
func listed(t *testing.T, set *latchkey.StaticKeySet) string {
	t.Helper()
	var doc struct {
		Keys []struct{ Alg, Kid string }
	}
	if err := json.Unmarshal(set.JWKS(), &doc); err != nil {
		t.Fatal(err)
	}
	if len(doc.Keys) != set.Len() {
		t.Errorf("%d keys are published, Len is %d", len(doc.Keys), set.Len())
	}
	var names []string
	for _, k := range doc.Keys {
		names = append(names, k.Alg+" "+k.Kid)
	}
	return strings.Join(names, ", ")
}

func TestParseJWKSRefuses(t *testing.T) {
	ec := func(x, y string) string { return jwks(`{"kty":"EC","crv":"P-256","x":"` + x + `","y":"` + y + `"}`) }
	const x, y = "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU", "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"
	small := enbase64(modulus(1024).Bytes())
	cases := []struct{ name, doc, want string }{
		{"nothing", "", "not a JSON object"},
		{"an array", "[" + ecJWK + "]", "not a JSON object"},
		{"a key that is no set", ecJWK, `no member "keys"`},
		{"Keys in wrong case", strings.Replace(jwks(ecJWK), "keys", "Keys", 1), `no member "keys"`},
		{"keys an object", `{"keys":` + ecJWK + `}`, "not an array"},
		{"keys null", `{"keys":null}`, "not an array"},
		{"keys twice", `{"keys":[` + ecJWK + `],"keys":[` + edJWK + `]}`, "stands twice"},
		{"no key", jwks(), "holds no public key"},
		{"only keys for others", jwks(`{"kty":"EC","crv":"P-521","x":"AQ","y":"AQ"}`), "holds no public key"},
		{"a key that is a string", jwks(`"` + x + `"`), "not a JSON object"},
		{"text behind", jwks(ecJWK) + "x", "follows"},
		{"a member twice in a key", jwks(and(ecJWK, `"x":"`+x+`"`)), "stands twice"},
		{"a key that is null", jwks("null"), "key 1: not a JSON object"},
		{"kid a number", jwks(and(ecJWK, `"kid":1`)), `"kid" is not a string`},
		{"kty null", jwks(`{"kty":null}`), `"kty" is not a string`},
		{"HS256 on an EC key", jwks(and(ecJWK, `"alg":"HS256"`)), "does not go with"},
		{"RS256 on an EC key", jwks(and(ecJWK, `"alg":"RS256"`)), "does not go with"},
		{"ES256 on an Ed25519 key", jwks(and(edJWK, `"alg":"ES256"`)), "does not go with"},
		{"HS256 on an RSA key", jwks(and(rsaJWK, `"alg":"HS256"`)), "does not go with"},
		{"RSA of 1024 bits", jwks(`{"kty":"RSA","e":"AQAB","n":"` + small + `"}`), "1024 bits"},
		{"RSA with exponent 1", jwks(strings.Replace(rsaJWK, "AQAB", "AQ", 1)), "exponent"},
		{"RSA with an exponent of five bytes", jwks(strings.Replace(rsaJWK, "AQAB", "AQAAAAE", 1)), "exponent"},
		{"RSA with an exponent that overflows into a good one", jwks(strings.Replace(rsaJWK, "AQAB", "AQAAAAAAAQAB", 1)), "exponent"},
		{"RSA without modulus", jwks(`{"kty":"RSA","e":"AQAB"}`), `"n"`},
		{"RSA without exponent", jwks(`{"kty":"RSA","n":"` + thumbprintModulus + `"}`), `"e"`},
		{"EC point off the curve", ec(y, x), "point"},
		{"EC coordinate of 31 bytes", ec(enbase64(make([]byte, 31)), y), "32 bytes"},
		{"EC coordinate of 33 bytes", ec(enbase64(make([]byte, 33)), y), "32 bytes"},
		{"EC without y", jwks(`{"kty":"EC","crv":"P-256","x":"` + x + `"}`), `"y"`},
		{"EC with padded base64", ec(x+"=", y), `"x" is not base64url`},
		{"EC with a line break in base64", ec(x[:8]+`\n`+x[8:], y), `"x" is not base64url`},
		{"EC with standard base64", ec(strings.ReplaceAll(x, "_", "/"), strings.ReplaceAll(y, "_", "/")), `"y" is not base64url`},
		{"EC with spare bits set", ec(respell(x), y), `"x" is not base64url`},
		{"Ed25519 of 31 bytes", jwks(`{"kty":"OKP","crv":"Ed25519","x":"` + enbase64(make([]byte, 31)) + `"}`), "31 bytes"},
		{"Ed25519 without x", jwks(`{"kty":"OKP","crv":"Ed25519"}`), `"x"`},
		{"a secret key", jwks(`{"kty":"oct","k":"AQ"}`, ecJWK), "private or secret"},
		{"more than 100 keys", jwks(strings.Split(strings.Repeat("{} ", 101), " ")[:101]...), "more than 100"},
		{"more than 64 KiB", jwks(ecJWK) + strings.Repeat(" ", 64<<10), "bytes"},
	}
	for _, private := range []string{"d", "p", "q", "dp", "dq", "qi", "k"} {
		for name, key := range map[string]string{"an RSA": rsaJWK, "an EC": ecJWK, "an Ed25519": edJWK, "an unknown": `{"kty":"?"}`, "an encryption": and(rsaJWK, `"use":"enc"`)} {
			cases = append(cases, struct{ name, doc, want string }{private + " in " + name + " key", jwks(and(key, `"`+private+`":"AQ"`), edJWK), "private or secret"})
		}
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			set, err := latchkey.ParseJWKS([]byte(c.doc))
			if err == nil || set != nil {
				t.Fatalf("got the set %v and error %v, want a refusal", set, err)
			}
			if !strings.Contains(err.Error(), c.want) {
				t.Errorf("got error %q, want one that says %q", err, c.want)
			}
		})
	}
}

// unusableKeys are keys that verify nothing, with the reason.
func unusableKeys() []struct{ name, key, reason string } {
	const x, y = "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU", "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"
	modulusOf := func(bits uint) string { return enbase64(modulus(bits).Bytes()) }
	return []struct{ name, key, reason string }{
		{"an EC coordinate of 31 bytes", `{"kty":"EC","crv":"P-256","kid":"short","x":"XMKIKmbiT6NSpqMlWH006R5L42VUjjHthZpMIBinTg","y":"JPZsj9kTYurap4L9okOMQoHIVkBA2_OS6oiVH6HDlAk"}`, "32 bytes"},
		{"no y", `{"kty":"EC","crv":"P-256","kid":"half","x":"JPZsj9kTYurap4L9okOMQoHIVkBA2_OS6oiVH6HDlAk"}`, `"y"`},
		{"kid null, and a modulus of one bit", `{"kty":"RSA","kid":null,"e":"AQAB","n":"AQ"}`, `"kid" is not a string`},
		{"kid a number, alg null", `{"kty":"RSA","kid":12,"alg":null,"e":"AQAB","n":"AQ"}`, `"kid" is not a string`},
		{"a post-quantum key", `{"kty":"AKP","alg":"ML-DSA-65","kid":"pq","pub":"AA"}`, `kty "AKP" is not supported`},
		{"kid null", and(ecJWK, `"kid":null`), `"kid" is not a string`},
		{"alg null", and(ecJWK, `"alg":null`), `"alg" is not a string`},
		{"use null", and(ecJWK, `"use":null`), `"use" is not a string`},
		{"use a number", and(edJWK, `"use":1`), `"use" is not a string`},
		{"use enc", and(edJWK, `"use":"enc"`), `use is "enc"`},
		{"RSA of 1024 bits", `{"kty":"RSA","kid":"r","e":"AQAB","n":"` + modulusOf(1024) + `"}`, "1024 bits"},
		{"RSA of 16384 bits", `{"kty":"RSA","kid":"r","e":"AQAB","n":"` + modulusOf(16384) + `"}`, "16384 bits"},
		{"RSA without e", `{"kty":"RSA","kid":"r","n":"` + thumbprintModulus + `"}`, `"e"`},
		{"padded base64", `{"kty":"EC","crv":"P-256","x":"` + x + `=","y":"` + y + `"}`, `"x" is not base64url`},
		{"a point off the curve", `{"kty":"EC","crv":"P-256","x":"` + y + `","y":"` + x + `"}`, "point"},
		{"key_ops without verify", and(ecJWK, `"key_ops":["sign","encrypt"]`), "key_ops does not hold verify"},
		{"key_ops empty", and(ecJWK, `"key_ops":[]`), "key_ops does not hold verify"},
		{"key_ops a string", and(ecJWK, `"key_ops":"verify"`), `"key_ops" is not an array`},
		{"key_ops with null", and(ecJWK, `"key_ops":["verify",null]`), `"key_ops" is not an array`},
		{"alg of another kty", and(edJWK, `"alg":"RS256"`), "does not go with"},
		{"alg Ed25519 on an EC key", and(ecJWK, `"alg":"Ed25519"`), "does not go with"},
		{"another curve", `{"kty":"EC","crv":"P-521","x":"AQ","y":"AQ"}`, `crv "P-521" is not supported`},
		{"P-384 with coordinates of P-256", strings.Replace(ecJWK, "P-256", "P-384", 1), "48 bytes"},
		{"P-256 with coordinates of P-384", strings.Replace(ec384JWK, "P-384", "P-256", 1), "32 bytes"},
		{"P-384 for ES256", and(ec384JWK, `"alg":"ES256"`), "does not go with crv"},
		{"P-256 for ES384", and(ecJWK, `"alg":"ES384"`), "does not go with crv"},
		{"PS256 on an EC key", and(ecJWK, `"alg":"PS256"`), "does not go with kty"},
		{"an algorithm that is not ours", and(rsaJWK, `"alg":"RSA1_5"`), `alg "RSA1_5" is not supported`},
		{"null", `null`, "not a JSON object"},
		{"a string", `"key"`, "not a JSON object"},
		{"an empty object", `{}`, `kty "" is not supported`},
	}
}

// TestUnusableKeysAreSkipped: beside a good key, wherever it stands, the good
// key's tokens verify, and the set says which keys verify nothing (RFC 7517
// section 5).
func TestUnusableKeysAreSkipped(t *testing.T) {
	good := string(publicKey(latchkey.ES256, "ec").AppendJWK(nil))
	for _, c := range unusableKeys() {
		t.Run(c.name, func(t *testing.T) {
			for at, doc := range map[int]string{1: jwks(c.key, good), 2: jwks(good, c.key)} {
				set, err := latchkey.ParseJWKS([]byte(doc))
				if err != nil {
					t.Fatal(err)
				}
				if got := listed(t, set); got != "ES256 ec" {
					t.Errorf("the set holds %q, want the good key alone", got)
				}
				v := newVerifier(t, func(cfg *latchkey.Config) { cfg.Keys = set })
				if _, err := verify(v, goodToken(latchkey.ES256)); err != nil {
					t.Errorf("a token of the good key: %v", err)
				}
				skipped := set.Skipped()
				if len(skipped) != 1 || skipped[0].Index != at || !strings.Contains(skipped[0].Reason, c.reason) {
					t.Errorf("skipped are %v, want key %d for %q", skipped, at, c.reason)
				}
			}
			if set, err := latchkey.ParseJWKS([]byte(jwks(c.key))); err == nil || set != nil || !strings.Contains(err.Error(), c.reason) {
				t.Errorf("alone: got the set %v and error %v, want one that says %q", set, err, c.reason)
			}
		})
	}
}

// TestOneIDOfTwoKeysNamesNeither: which of them signed cannot be told.
func TestOneIDOfTwoKeysNamesNeither(t *testing.T) {
	key := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	other := strings.Replace(string(must(latchkey.NewECDSAKey("", &key.PublicKey)).AppendJWK(nil)), `"kid":"",`, "", 1)
	for name, c := range map[string]struct {
		keys    []string
		skipped string
	}{
		"a kid":               {[]string{and(ecJWK, `"kid":"a"`), and(other, `"kid":"a"`), edJWK}, "1 2"},
		"no kid":              {[]string{ecJWK, edJWK, other}, "1 3"},
		"three keys":          {[]string{and(ecJWK, `"kid":"a"`), and(other, `"kid":"a"`), and(ecJWK, `"kid":"a"`), edJWK}, "1 2 3"},
		"and an unusable one": {[]string{`{"kty":"EC","crv":"P-256","kid":"b"}`, and(other, `"kid":"b"`), edJWK, and(ecJWK, `"kid":"b"`)}, "1 2 4"},
	} {
		t.Run(name, func(t *testing.T) {
			set, err := latchkey.ParseJWKS([]byte(jwks(c.keys...)))
			if err != nil {
				t.Fatal(err)
			}
			var at []string
			for _, s := range set.Skipped() {
				at = append(at, fmt.Sprint(s.Index))
			}
			if got := strings.Join(at, " "); got != c.skipped || listed(t, set) != "EdDSA " {
				t.Errorf("skipped are %v, left %q; want %s", set.Skipped(), listed(t, set), c.skipped)
			}
			v := newVerifier(t, func(cfg *latchkey.Config) { cfg.Keys = set })
			for _, kid := range []string{`"a"`, `"b"`, ""} {
				wantRefusal(t, v, withHeader("kid", kid), latchkey.CheckKey)
			}
		})
	}
}

// TestPrivateMembersRefuseTheSet, wherever they stand: an unusable key is no
// cover for one.
func TestPrivateMembersRefuseTheSet(t *testing.T) {
	for _, c := range unusableKeys() {
		if !strings.HasSuffix(c.key, "}") || c.key == "{}" {
			continue
		}
		if set, err := latchkey.ParseJWKS([]byte(jwks(edJWK, and(c.key, `"d":"AQ"`)))); set != nil || err == nil || !strings.Contains(err.Error(), "private or secret") {
			t.Errorf("%s, with d: got the set %v and error %v", c.name, set, err)
		}
	}
}

// TestSkippedKeysAreShownBounded: the reasons go into logs.
func TestSkippedKeysAreShownBounded(t *testing.T) {
	long := strings.Repeat("k", 5000)
	set, err := latchkey.ParseJWKS([]byte(jwks(ecJWK, `{"kty":"\n`+long+`","kid":"a\n\u001b[31m`+long+`"}`)))
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range set.Skipped() {
		if text := s.String(); len(text) > 300 || strings.ContainsAny(text, "\n\x1b") {
			t.Errorf("a skipped key is shown as %q", text)
		}
	}
	_, err = latchkey.ParseJWKS([]byte(jwks(strings.Split(strings.Repeat("{} ", 100), " ")[:100]...)))
	if err == nil || len(err.Error()) > 1000 {
		t.Errorf("100 skipped keys make the error %v", err)
	}
}

func TestKeySetLookUp(t *testing.T) {
	ec1, ec2, ed, hs := publicKey(latchkey.ES256, "1"), publicKey(latchkey.ES256, "2"), publicKey(latchkey.EdDSA, "1"), publicKey(latchkey.HS256, "")
	set := must(latchkey.NewKeySet(ec1, ec2, ed, hs))
	for _, c := range []struct {
		name, id string
		alg      latchkey.Algorithm
		want     *latchkey.Key // nil: none
	}{
		{"by id and algorithm", "2", latchkey.ES256, ec2},
		{"one id, two algorithms", "1", latchkey.EdDSA, ed},
		{"id of another algorithm", "2", latchkey.EdDSA, nil},
		{"unknown id", "3", latchkey.ES256, nil},
		{"no id, one key", "", latchkey.EdDSA, ed},
		{"no id, two keys", "", latchkey.ES256, nil},
		{"no id, no key", "", latchkey.RS256, nil},
		{"no id, a key without one", "", latchkey.HS256, hs},
		{"an id, a key without one", "1", latchkey.HS256, nil},
		{"no algorithm", "1", "", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := set.Key(context.Background(), c.id, c.alg)
			if got != c.want || errors.Is(err, latchkey.ErrKeyNotFound) != (c.want == nil) {
				t.Errorf("got %v and error %v, want %v", got, err, c.want)
			}
		})
	}
}

func TestNewKeySetRefuses(t *testing.T) {
	ec := publicKey(latchkey.ES256, "a")
	for name, c := range map[string]struct {
		keys []*latchkey.Key
		want string
	}{
		"no keys":       {nil, "empty"},
		"a nil key":     {[]*latchkey.Key{nil}, "key 1 of the set is nil"},
		"a nil key too": {[]*latchkey.Key{ec, nil}, "key 2 of the set is nil"},
		"one id twice":  {[]*latchkey.Key{ec, publicKey(latchkey.ES256, "a")}, `two ES256 keys have the id "a"`},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := latchkey.NewKeySet(c.keys...); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got error %v, want one that says %q", err, c.want)
			}
		})
	}
}

// TestJWKSIsPublic: what a set publishes holds no secret of any of its keys and
// can be read again (TK-18).
func TestJWKSIsPublic(t *testing.T) {
	set := allKeys()
	doc := string(set.JWKS())
	for name, private := range map[string][]byte{
		"HMAC secret": secret, "RSA d": rsaKey.D.Bytes(), "RSA p": rsaKey.Primes[0].Bytes(), "EC d": must(ecKey.Bytes()), "Ed25519 seed": edKey.Seed(),
	} {
		for _, text := range []string{enbase64(private), fmt.Sprintf("%x", private), new(big.Int).SetBytes(private).String()} {
			if strings.Contains(doc, text) {
				t.Errorf("it holds the %s", name)
			}
		}
	}
	back, err := latchkey.ParseJWKS([]byte(doc))
	if err != nil {
		t.Fatal(err)
	}
	if got, want := listed(t, back), "RS256 rs, RS384 rs384, RS512 rs512, PS256 ps, PS384 ps384, PS512 ps512, ES256 ec, ES384 ec384, EdDSA ed"; got != want {
		t.Errorf("published %q, want %q", got, want)
	}
	v := newVerifier(t, func(cfg *latchkey.Config) { cfg.Keys = back })
	for _, alg := range algorithms[1:] {
		if _, err := verify(v, goodToken(alg)); err != nil {
			t.Errorf("%s with the published key: %v", alg, err)
		}
	}
	wantRefusal(t, v, goodToken(latchkey.HS256), latchkey.CheckKey)
}
