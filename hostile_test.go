package latchkey_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/latchkey-auth/latchkey"
)

// hostile is a token that must be refused, by this check and no other: a token
// that fails an earlier check than it was made for proves nothing.
type hostile struct {
	name  string
	token string
	check latchkey.Check
}

// hostileTokens are the tokens that a verifier of allKeys must refuse.
func hostileTokens() []hostile {
	var all []hostile
	all = append(all, hostileForms()...)
	all = append(all, hostileAlgorithms()...)
	all = append(all, hostileHeaders()...)
	all = append(all, hostileTypes()...)
	all = append(all, hostileSignatures()...)
	all = append(all, hostilePayloads()...)
	all = append(all, hostileTimes()...)
	return append(all, hostileClaims()...)
}

func TestHostileTokensAreRefused(t *testing.T) {
	v := newVerifier(t, nil)
	tokens := hostileTokens()
	if len(tokens) < 110 {
		t.Fatalf("only %d hostile tokens", len(tokens))
	}
	seen := make(map[string]bool)
	for _, h := range tokens {
		if seen[h.name] {
			t.Errorf("two cases are called %q", h.name)
		}
		seen[h.name] = true
		t.Run(h.name, func(t *testing.T) {
			wantRefusal(t, v, h.token, h.check)
			wantRefusal(t, v, h.token, h.check) // a refused token is not remembered as good
		})
	}
}

func TestHostileLegacyTokensAreRefused(t *testing.T) {
	v := newLegacyVerifier(t)
	old := claims("iss", "", "aud", "", "iat", "")
	hs := func(payload string) string { return sign(latchkey.HS256, `{"typ":"JWT","alg":"HS256"}`, payload) }
	for _, h := range []hostile{
		{"RS256, well signed by a configured key", sign(latchkey.RS256, `{"typ":"JWT","alg":"RS256"}`, old), latchkey.CheckAlgorithm},
		{"alg none", unsigned("none", old), latchkey.CheckAlgorithm},
		{"access token of the new kind", sign(latchkey.HS256, goodHeader(latchkey.HS256), old), latchkey.CheckType},
		{"ID token type", sign(latchkey.HS256, `{"typ":"id_token","alg":"HS256"}`, old), latchkey.CheckType},
		{"another secret", forged(bytes.Repeat([]byte("x"), 32), `{"typ":"JWT","alg":"HS256"}`, old), latchkey.CheckSignature},
		{"no exp", hs(claims("exp", "")), latchkey.CheckExpiry},
		{"no sub", hs(claims("sub", "")), latchkey.CheckSubject},
		{"expired", hs(claims("exp", "1700000000")), latchkey.CheckExpiry},
		{"user is a string", hs(claims("user", `"root"`)), latchkey.CheckClaims},
		{"user is null", hs(claims("user", "null")), latchkey.CheckClaims},
		{"user is an array", hs(claims("user", `[{"username":"u"}]`)), latchkey.CheckClaims},
		{"username in user is a number", hs(claims("user", `{"username":1}`)), latchkey.CheckClaims},
		{"scope in user is an array", hs(claims("user", `{"scope":["admin"]}`)), latchkey.CheckClaims},
		{"username stands twice in user", hs(claims("user", `{"username":"u","username":"root"}`)), latchkey.CheckClaims},
	} {
		t.Run(h.name, func(t *testing.T) { wantRefusal(t, v, h.token, h.check) })
	}
}

func wantRefusal(t *testing.T, v *latchkey.Verifier, token string, check latchkey.Check) {
	t.Helper()
	c, err := verify(v, token)
	if !errors.Is(err, latchkey.ErrInvalidToken) {
		t.Fatalf("got error %v, want one that matches ErrInvalidToken", err)
	}
	var refusal *latchkey.TokenError
	if !errors.As(err, &refusal) {
		t.Fatalf("got a %T, want a *TokenError", err)
	}
	if refusal.Check != check {
		t.Errorf("refused by the check %q (%v), want %q", refusal.Check, err, check)
	}
	if c.Subject != "" || c.Payload() != "" || c.Audience() != nil {
		t.Error("claims came with the refusal")
	}
	if check == latchkey.CheckIssuer || check == latchkey.CheckAudience {
		return // these say what they saw, see TestRefusalsSayWhatWasSeen
	}
	if leak := leaked(token, err.Error()); leak != "" {
		t.Errorf("error %q quotes %q of the token", err, leak)
	}
}

// leaked returns a piece of the token, as it is or decoded, that stands in text.
func leaked(token, text string) string {
	const piece = 8 // bytes; shorter ones coincide with plain words
	all := []string{token}
	for _, part := range strings.Split(token, ".") {
		if b, err := base64.RawURLEncoding.DecodeString(part); err == nil {
			all = append(all, string(b))
		}
	}
	for i := 0; i+piece <= len(text); i++ {
		for _, s := range all {
			if strings.Contains(s, text[i:i+piece]) {
				return text[i : i+piece]
			}
		}
	}
	return ""
}

// unsigned returns a token with the alg and a signature that it does not need.
func unsigned(alg, payload string) string {
	return enbase64([]byte(`{"alg":"`+alg+`","typ":"at+jwt"}`)) + "." + enbase64([]byte(payload)) + "." + enbase64([]byte("x"))
}

// forged returns an HS256 token that is signed by another secret.
func forged(secret []byte, header, payload string) string {
	input := enbase64([]byte(header)) + "." + enbase64([]byte(payload))
	return input + "." + enbase64(mac(secret, input))
}

// respell changes the last character of base64url text in bits that stand for
// no byte: a lenient reader decodes both spellings to the same.
func respell(text string) string {
	if len(text)%4 == 0 {
		panic("no spare bits in this text")
	}
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	last := len(text) - 1
	return text[:last] + string(alphabet[strings.IndexByte(alphabet, text[last])|1])
}

// spare pads JSON with spaces until its base64url has spare bits.
func spare(doc string) string {
	for len(doc)%3 != 1 {
		doc += " "
	}
	return doc
}

func hostileForms() []hostile {
	const form = latchkey.CheckForm
	good := goodToken(latchkey.ES256)
	p := strings.Split(good, ".")
	h, c, s := p[0], p[1], p[2]
	signed := func(header, payload string) string { return signParts(latchkey.ES256, header, payload) }
	standard := base64.RawStdEncoding.EncodeToString([]byte(claims("n", `"???>>>~~~"`)))
	if !strings.ContainsAny(standard, "+/") {
		panic("standard base64 of these claims looks like base64url")
	}
	return []hostile{
		{"empty", "", form},
		{"one dot", ".", form},
		{"two dots", "..", form},
		{"header alone", h, form},
		{"header and claims alone", h + "." + c, form},
		{"no header", "." + c + "." + s, form},
		{"no claims (detached payload)", h + ".." + s, form},
		{"no signature", h + "." + c + ".", form},
		{"four parts", good + "." + s, form},
		{"a dot at the end", good + ".", form},
		{"JWE of five parts", h + ".." + enbase64([]byte("0123456789ab")) + "." + c + "." + s, form},
		{"JWE of five parts, none empty", h + "." + s + "." + enbase64([]byte("0123456789ab")) + "." + c + "." + s, form},
		{"two tokens", good + "." + good, form},
		{"two tokens behind a comma", good + "," + good, form},
		{"flattened JSON serialisation", `{"payload":"` + c + `","protected":"` + h + `","signature":"` + s + `"}`, form},
		{"general JSON serialisation", `{"payload":"` + c + `","signatures":[{"protected":"` + h + `","signature":"` + s + `"}]}`, form},
		{"Bearer in front", "Bearer " + good, form},
		{"quotes around", `"` + good + `"`, form},
		{"a space in front", " " + good, form},
		{"a space behind", good + " ", form},
		{"a newline behind", good + "\n", form},
		{"a carriage return behind", good + "\r", form},
		{"a tab between the parts", h + "\t." + c + "." + s, form},
		{"a newline inside the signature", h + "." + c + "." + s[:20] + "\r\n" + s[20:], form},
		{"a newline inside the header, signed so", signed(h[:9]+"\n"+h[9:], c), form},
		{"a newline inside the claims, signed so", signed(h, c[:9]+"\n"+c[9:]), form},
		{"a NUL behind", good + "\x00", form},
		{"a byte order mark in front", "\uFEFF" + good, form},
		{"full-width dots", h + "．" + c + "．" + s, form},
		{"percent-encoded dots", h + "%2E" + c + "%2E" + s, form},
		{"padding after the signature", good + "==", form},
		{"padding after the header, signed so", signed(h+"=", c), form},
		{"padding after the claims, signed so", signed(h, enbase64([]byte(spare(claims())))+"=="), form},
		{"standard base64 claims, signed so", signed(h, standard), form},
		{"claims not encoded at all, signed so", signed(h, claims("iss", "", "aud", "")), form},
		{"spare bits set in the signature", h + "." + c + "." + respell(s), form},
		{"spare bits set in the header, signed so", signed(respell(enbase64([]byte(spare(header())))), c), form},
		{"spare bits set in the claims, signed so", signed(h, respell(enbase64([]byte(spare(claims()))))), form},
		{"one character too many for base64", h + "." + c + "." + s + "AAA", form},
		{"last character cut off", good[:len(good)-1], form},
		{"cut in the middle of the claims", good[:len(h)+len(c)/2], form},
		{"last byte of the signature cut off", withSignature(latchkey.ES256, func(sig []byte) []byte { return sig[:63] }), latchkey.CheckSignature},
		{"8193 bytes, well signed", tokenOf(8193), latchkey.CheckSize},
		{"a megabyte of dots", strings.Repeat(".", 1<<20), latchkey.CheckSize},
		{"8192 dots", strings.Repeat(".", 8192), form},
		{"8192 letters", strings.Repeat("A", 8192), form},
	}
}

// tokenOf returns a well-signed token of exactly this many bytes.
func tokenOf(size int) string {
	for pad := range size {
		token := sign(latchkey.HS256, `{"alg":"HS256","kid":"hs","typ":"at+jwt","pad":"`+strings.Repeat("p", pad%3)+`"}`,
			claims("pad", `"`+strings.Repeat("p", (size-500)*3/4+pad/3)+`"`))
		if len(token) == size {
			return token
		}
	}
	panic("no token has this size")
}

func hostileAlgorithms() []hostile {
	const algorithm, key, sig = latchkey.CheckAlgorithm, latchkey.CheckKey, latchkey.CheckSignature
	ecPKIX := must(x509.MarshalPKIXPublicKey(&ecKey.PublicKey))
	rsaPKIX := must(x509.MarshalPKIXPublicKey(&rsaKey.PublicKey))
	inPEM := func(kind string, der []byte) []byte {
		return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
	}
	const noKid, asHS = `{"alg":"HS256","typ":"at+jwt"}`, `{"alg":"HS256","kid":"hs","typ":"at+jwt"}`
	under := func(kid string) string { return `{"alg":"HS256","kid":"` + kid + `","typ":"at+jwt"}` }
	relabel := func(alg string) string {
		p := strings.Split(goodToken(latchkey.ES256), ".")
		return enbase64([]byte(header("alg", alg))) + "." + p[1] + "." + p[2]
	}
	all := []hostile{
		{"alg none with empty signature", strings.TrimSuffix(unsigned("none", claims()), enbase64([]byte("x"))), latchkey.CheckForm},
		{"alg missing", withHeader("alg", ""), algorithm},
		{"alg null", withHeader("alg", "null"), latchkey.CheckHeader},
		{"alg a number", withHeader("alg", "256"), latchkey.CheckHeader},
		{"alg true", withHeader("alg", "true"), latchkey.CheckHeader},
		{"alg an array", withHeader("alg", `["ES256"]`), latchkey.CheckHeader},
		{"alg an object", withHeader("alg", `{"name":"ES256"}`), latchkey.CheckHeader},
		{"duplicate alg member", withHeaderText(`{"alg":"ES256","kid":"ec","alg":"ES256","typ":"at+jwt"}`), latchkey.CheckHeader},
		{"duplicate alg member, one escaped", withHeaderText(`{"alg":"ES256","kid":"ec","\u0061lg":"none","typ":"at+jwt"}`), latchkey.CheckHeader},
		{"Alg in wrong case", withHeader("alg", "", "Alg", `"ES256"`), latchkey.CheckHeader},
		{"ALG in wrong case next to the right one", withHeader("ALG", `"none"`), latchkey.CheckHeader},
		{"ES256 public key PEM used as HMAC secret, under its kid", forged(inPEM("PUBLIC KEY", ecPKIX), under("ec"), claims()), key},
		{"ES256 public key PEM used as HMAC secret, without kid", forged(inPEM("PUBLIC KEY", ecPKIX), noKid, claims()), sig},
		{"ES256 public key PEM used as HMAC secret, under the HMAC kid", forged(inPEM("PUBLIC KEY", ecPKIX), asHS, claims()), sig},
		{"RS256 public key PEM used as HMAC secret, under its kid", forged(inPEM("PUBLIC KEY", rsaPKIX), under("rs"), claims()), key},
		{"RS256 public key PEM used as HMAC secret, without kid", forged(inPEM("PUBLIC KEY", rsaPKIX), noKid, claims()), sig},
		{"RS256 public key PKCS #1 PEM used as HMAC secret", forged(inPEM("RSA PUBLIC KEY", x509.MarshalPKCS1PublicKey(&rsaKey.PublicKey)), noKid, claims()), sig},
		{"RS256 public key DER used as HMAC secret", forged(rsaPKIX, noKid, claims()), sig},
		{"RS256 modulus used as HMAC secret", forged(rsaKey.N.Bytes(), noKid, claims()), sig},
		{"Ed25519 public key used as HMAC secret", forged(edKey.Public().(ed25519.PublicKey), noKid, claims()), sig},
		{"published JWK used as HMAC secret", forged(publicKey(latchkey.ES256, "ec").AppendJWK(nil), noKid, claims()), sig},
		{"empty HMAC secret", forged(nil, asHS, claims()), sig},
		{"base64url text of the secret used as secret", forged([]byte(enbase64(secret)), asHS, claims()), sig},
		{"HS256 under RS256 kid, rightly signed", sign(latchkey.HS256, under("rs"), claims()), key},
		{"RS256 under ES256 kid, rightly signed", sign(latchkey.RS256, `{"alg":"RS256","kid":"ec","typ":"at+jwt"}`, claims()), key},
		{"EdDSA under HS256 kid, rightly signed", sign(latchkey.EdDSA, `{"alg":"EdDSA","kid":"hs","typ":"at+jwt"}`, claims()), key},
		{"RS384 under RS256 kid, rightly signed", sign(latchkey.RS384, `{"alg":"RS384","kid":"rs","typ":"at+jwt"}`, claims()), key},
		{"PS256 under RS256 kid, rightly signed", sign(latchkey.PS256, `{"alg":"PS256","kid":"rs","typ":"at+jwt"}`, claims()), key},
		{"RS256 under PS256 kid, rightly signed", sign(latchkey.RS256, `{"alg":"RS256","kid":"ps","typ":"at+jwt"}`, claims()), key},
		{"ES384 under ES256 kid, rightly signed", sign(latchkey.ES384, `{"alg":"ES384","kid":"ec","typ":"at+jwt"}`, claims()), key},
		{"ES256 token relabelled as ES384", relabel(`"ES384"`), key},
		{"ES256 token relabelled as EdDSA", relabel(`"EdDSA"`), key},
		{"ES256 token relabelled as Ed25519", relabel(`"Ed25519"`), key},
		{"ES256 token that says Ed25519 under the Ed25519 kid", withHeader("alg", `"Ed25519"`, "kid", `"ed"`), sig},
		{"ES256 token that says Ed25519, without kid", withHeader("alg", `"Ed25519"`, "kid", ""), sig},
	}
	for _, alg := range []string{"none", "None", "NONE", "nOnE", "", "null", "es256", "Es256", "ES256 ", " ES256", `ES256\u0000`, "ES256,none",
		"HS384", "HS512", "RS1", "rs256", "ps256", "PS1", "ES256K", "es384", "ES512", "ed25519", "Ed25519ph", "Ed448", "RSA-OAEP", "dir", "A128KW"} {
		all = append(all, hostile{"alg " + alg + " on a good ES256 signature", withHeader("alg", `"`+alg+`"`), algorithm})
	}
	return all
}

func hostileTypes() []hostile {
	const typ = latchkey.CheckType
	all := []hostile{
		{"typ missing", withHeader("typ", ""), typ},
		{"typ a number", withHeader("typ", "1"), latchkey.CheckHeader},
		{"typ null", withHeader("typ", "null"), latchkey.CheckHeader},
		{"typ an array", withHeader("typ", `["at+jwt"]`), latchkey.CheckHeader},
		{"typ stands twice", withHeaderText(`{"alg":"ES256","kid":"ec","typ":"JWT","typ":"at+jwt"}`), latchkey.CheckHeader},
		{"Typ in wrong case", withHeader("Typ", `"at+jwt"`), latchkey.CheckHeader},
	}
	for _, other := range []string{"", "JWT", "jwt", "id_token", "rt+jwt", "logout+jwt", "dpop+jwt", "secevent+jwt", "at+jwt ", "at jwt",
		"at+jwt;v=1", "text/at+jwt", "application/jwt", "application/application/at+jwt", `at+jwt\u0000`} {
		all = append(all, hostile{"typ " + other, withHeader("typ", `"`+other+`"`), typ})
	}
	return all
}

// TestKeysAreNeverFetched: a header that says where its key can be had is not
// believed, nor does it make the verifier talk to anybody (TK-04).
func TestKeysAreNeverFetched(t *testing.T) {
	var requests atomic.Int64
	attacker := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{7}, 32))
	jwk := string(must(latchkey.NewEd25519Key("evil", attacker.Public().(ed25519.PublicKey))).AppendJWK(nil))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		requests.Add(1)
		w.Write([]byte(`{"keys":[` + jwk + `]}`))
	}))
	t.Cleanup(server.Close)
	v := newVerifier(t, nil)
	for _, h := range []struct {
		name, kid, members string
		check              latchkey.Check
	}{
		{"jwk", "ed", `"jwk":` + jwk, latchkey.CheckSignature},
		{"jwk under its own kid", "evil", `"jwk":` + jwk, latchkey.CheckKey},
		{"jku", "ed", `"jku":"` + server.URL + `"`, latchkey.CheckSignature},
		{"jku under its own kid", "evil", `"jku":"` + server.URL + `"`, latchkey.CheckKey},
		{"kid is the address", server.URL, `"x":1`, latchkey.CheckKey},
		{"x5u", "ed", `"x5u":"` + server.URL + `"`, latchkey.CheckSignature},
		{"x5c", "ed", `"x5c":["` + enbase64([]byte(jwk)) + `"]`, latchkey.CheckSignature},
		{"all of them", "ed", `"jwk":` + jwk + `,"jku":"` + server.URL + `","x5u":"` + server.URL + `"`, latchkey.CheckSignature},
	} {
		t.Run(h.name, func(t *testing.T) {
			input := enbase64([]byte(`{"alg":"EdDSA","typ":"at+jwt","kid":"`+h.kid+`",`+h.members+`}`)) + "." + enbase64([]byte(claims()))
			wantRefusal(t, v, input+"."+enbase64(ed25519.Sign(attacker, []byte(input))), h.check)
		})
	}
	if n := requests.Load(); n != 0 {
		t.Errorf("%d requests were made", n)
	}
}
