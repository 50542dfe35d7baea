package latchkey_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/asn1"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/latchkey-auth/latchkey"
)

// The keys are those of the RFCs: fixed, so that fuzz corpora stay good, and
// known to everybody, so that nobody takes them for a secret.
var (
	// RFC 7515 appendix A.1.
	secret = unbase64("AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow")
	// RFC 7515 appendix A.2.
	rsaKey = rsaFrom("ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ",
		"Eq5xpGnNCivDflJsRQBXHx1hdR1k6Ulwe2JZD50LpXyWPEAeP88vLNO97IjlA7_GQ5sLKMgvfTeXZx9SE-7YwVol2NXOoAJe46sui395IW_GO-pWJ1O0BkTGoVEn2bKVRUCgu-GjBVaYLU6f3l9kJfFNS3E0QbVdxzubSu3Mkqzjkn439X0M_V51gfpRLI9JYanrC4D4qAdGcopV_0ZHHzQlBjudU2QvXt4ehNYTCBr6XCLQUShb1juUO1ZdiYoFaFQT5Tw8bGUl_x_jTj3ccPDVZFD9pIuhLhBOneufuBiB4cS98l2SR_RQyGWSeWjnczT0QU91p1DhOVRuOopznQ",
		"4BzEEOtIpmVdVEZNCqS7baC4crd0pqnRH_5IB3jw3bcxGn6QLvnEtfdUdiYrqBdss1l58BQ3KhooKeQTa9AB0Hw_Py5PJdTJNPY8cQn7ouZ2KKDcmnPGBY5t7yLc1QlQ5xHdwW1VhvKn-nXqhJTBgIPgtldC-KDV5z-y2XDwGUc",
		"uQPEfgmVtjL0Uyyx88GZFF1fOunH3-7cepKmtH4pxhtCoHqpWmT8YAmZxaewHgHAjLYsp1ZSe7zFYHj7C6ul7TjeLQeZD_YwD66t62wDmpe_HlB-TnBA-njbglfIsRLtXlnDzQkv5dTltRJ11BKBBypeeF6689rjcJIDEz9RWdc")
	// RFC 7515 appendix A.3.
	ecKey = must(ecdsa.ParseRawPrivateKey(elliptic.P256(), unbase64("jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI")))
	// RFC 6979 appendix A.2.6.
	ec384Key = must(ecdsa.ParseRawPrivateKey(elliptic.P384(), must(hex.DecodeString(
		"6b9d3dad2e1b8c1c05b19875b6659f4de23c3b667bf297ba9aa47740787137d896d5724e4c70a825f872c9ea60d2edf5"))))
	// RFC 8037 appendix A.1.
	edKey = ed25519.NewKeyFromSeed(unbase64("nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A"))
)

const (
	issuer   = "https://auth.example.com"
	audience = "https://api.example.com"
)

// now is when every test happens, unless it says otherwise.
var now = time.Unix(1800000000, 0)

var algorithms = []latchkey.Algorithm{latchkey.HS256, latchkey.RS256, latchkey.RS384, latchkey.RS512,
	latchkey.PS256, latchkey.PS384, latchkey.PS512, latchkey.ES256, latchkey.ES384, latchkey.EdDSA}

// kids are the ids that the keys have in the tests.
var kids = map[latchkey.Algorithm]string{latchkey.HS256: "hs", latchkey.RS256: "rs", latchkey.RS384: "rs384", latchkey.RS512: "rs512",
	latchkey.PS256: "ps", latchkey.PS384: "ps384", latchkey.PS512: "ps512", latchkey.ES256: "ec", latchkey.ES384: "ec384", latchkey.EdDSA: "ed"}

// hashes are those that the algorithms sign. EdDSA signs the text.
var hashes = map[latchkey.Algorithm]crypto.Hash{latchkey.RS256: crypto.SHA256, latchkey.RS384: crypto.SHA384, latchkey.RS512: crypto.SHA512,
	latchkey.PS256: crypto.SHA256, latchkey.PS384: crypto.SHA384, latchkey.PS512: crypto.SHA512, latchkey.ES256: crypto.SHA256, latchkey.ES384: crypto.SHA384}

// sum hashes the input the way the algorithm wants it.
func sum(alg latchkey.Algorithm, input string) []byte {
	h := hashes[alg].New()
	h.Write([]byte(input))
	return h.Sum(nil)
}

// private returns the key that signs for the algorithm; nil for HS256.
func private(alg latchkey.Algorithm) crypto.Signer {
	switch alg {
	case latchkey.HS256:
		return nil
	case latchkey.ES256:
		return ecKey
	case latchkey.ES384:
		return ec384Key
	case latchkey.EdDSA:
		return edKey
	}
	return rsaKey
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func unbase64(text string) []byte { return must(base64.RawURLEncoding.DecodeString(text)) }

func enbase64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

func bigint(text string) *big.Int { return new(big.Int).SetBytes(unbase64(text)) }

func rsaFrom(n, d, p, q string) *rsa.PrivateKey {
	key := &rsa.PrivateKey{
		PublicKey: rsa.PublicKey{N: bigint(n), E: 65537},
		D:         bigint(d),
		Primes:    []*big.Int{bigint(p), bigint(q)},
	}
	key.Precompute()
	if err := key.Validate(); err != nil {
		panic(err)
	}
	return key
}

// publicKey returns the tests' key for the algorithm under the id.
func publicKey(alg latchkey.Algorithm, id string) *latchkey.Key {
	if alg == latchkey.HS256 {
		return must(latchkey.NewHMACKey(id, secret))
	}
	switch pub := private(alg).Public().(type) {
	case *rsa.PublicKey:
		return must(latchkey.NewRSAKey(id, alg, pub))
	case *ecdsa.PublicKey:
		return must(latchkey.NewECDSAKey(id, pub))
	case ed25519.PublicKey:
		return must(latchkey.NewEd25519Key(id, pub))
	}
	panic("no key for " + alg)
}

// allKeys holds one key for every algorithm.
func allKeys() *latchkey.StaticKeySet {
	var keys []*latchkey.Key
	for _, alg := range algorithms {
		keys = append(keys, publicKey(alg, kids[alg]))
	}
	return must(latchkey.NewKeySet(keys...))
}

// newVerifier returns a verifier of allKeys at the time now, edited.
func newVerifier(t testing.TB, edit func(*latchkey.Config)) *latchkey.Verifier {
	t.Helper()
	cfg := latchkey.Config{
		Keys:     allKeys(),
		Issuer:   issuer,
		Audience: audience,
		Leeway:   -1,
		Now:      func() time.Time { return now },
	}
	if edit != nil {
		edit(&cfg)
	}
	v, err := latchkey.New(cfg)
	if err != nil {
		t.Fatalf("New: %v", err)
	}
	return v
}

// newLegacyVerifier returns one for the old tokens of a shared secret.
func newLegacyVerifier(t testing.TB) *latchkey.Verifier {
	t.Helper()
	return newVerifier(t, func(cfg *latchkey.Config) {
		cfg.Legacy, cfg.Issuer, cfg.Audience = true, "", ""
	})
}

// signature signs the input the way the algorithm wants it. All but the salted
// PSS are deterministic here: without a source of randomness ECDSA follows RFC 6979.
func signature(alg latchkey.Algorithm, input string) []byte {
	switch alg {
	case latchkey.HS256:
		return mac(secret, input)
	case latchkey.EdDSA:
		return ed25519.Sign(edKey, []byte(input))
	case latchkey.ES256, latchkey.ES384:
		return rawECDSA(must(private(alg).Sign(nil, sum(alg, input), hashes[alg])), coordinate(alg))
	case latchkey.PS256, latchkey.PS384, latchkey.PS512:
		return pss(alg, input, rsa.PSSSaltLengthEqualsHash)
	}
	return must(rsa.SignPKCS1v15(nil, rsaKey, hashes[alg], sum(alg, input)))
}

// pss signs with a salt of this many bytes.
func pss(alg latchkey.Algorithm, input string, salt int) []byte {
	return must(rsa.SignPSS(rand.Reader, rsaKey, hashes[alg], sum(alg, input), &rsa.PSSOptions{SaltLength: salt}))
}

func mac(secret []byte, input string) []byte {
	h := hmac.New(sha256.New, secret)
	h.Write([]byte(input))
	return h.Sum(nil)
}

// coordinate is how many bytes a number of the algorithm's curve has.
func coordinate(alg latchkey.Algorithm) int {
	if alg == latchkey.ES384 {
		return 48
	}
	return 32
}

// rawECDSA turns ASN.1 into the r and s of equal size of RFC 7518 section 3.4.
func rawECDSA(der []byte, size int) []byte {
	var sig struct{ R, S *big.Int }
	must(asn1.Unmarshal(der, &sig))
	raw := make([]byte, 2*size)
	sig.R.FillBytes(raw[:size])
	sig.S.FillBytes(raw[size:])
	return raw
}

// asn1ECDSA is the way back.
func asn1ECDSA(raw []byte) []byte {
	half := len(raw) / 2
	return must(asn1.Marshal(struct{ R, S *big.Int }{new(big.Int).SetBytes(raw[:half]), new(big.Int).SetBytes(raw[half:])}))
}

// sign returns a token of the header and payload as they are.
func sign(alg latchkey.Algorithm, header, payload string) string {
	return signParts(alg, enbase64([]byte(header)), enbase64([]byte(payload)))
}

// signParts signs parts that are encoded already.
func signParts(alg latchkey.Algorithm, header, payload string) string {
	input := header + "." + payload
	return input + "." + enbase64(signature(alg, input))
}

// goodHeader is the header of a good token.
func goodHeader(alg latchkey.Algorithm) string {
	return fmt.Sprintf(`{"alg":%q,"kid":%q,"typ":"at+jwt"}`, alg, kids[alg])
}

// goodToken returns a token that verifies.
func goodToken(alg latchkey.Algorithm) string { return sign(alg, goodHeader(alg), claims()) }

// claims returns the claims of a good token with changes: pairs of a member's
// name and its new JSON value, where an empty value takes the member away.
func claims(changes ...string) string {
	return object([]string{
		"iss", `"` + issuer + `"`,
		"aud", `"` + audience + `"`,
		"sub", `"user-1"`,
		"exp", "1800000600",
		"iat", "1799999900",
		"jti", `"t-1"`,
	}, changes)
}

// header returns the header of a good ES256 token with changes, as in claims.
func header(changes ...string) string {
	return object([]string{"alg", `"ES256"`, "kid", `"ec"`, "typ", `"at+jwt"`}, changes)
}

func object(members, changes []string) string {
	for i := 0; i < len(changes); i += 2 {
		members = set(members, changes[i], changes[i+1])
	}
	var b strings.Builder
	for i := 0; i < len(members); i += 2 {
		if members[i+1] != "" {
			fmt.Fprintf(&b, `,"%s":%s`, members[i], members[i+1])
		}
	}
	return "{" + strings.TrimPrefix(b.String(), ",") + "}"
}

func set(members []string, name, value string) []string {
	for i := 0; i < len(members); i += 2 {
		if members[i] == name {
			members[i+1] = value
			return members
		}
	}
	return append(members, name, value)
}

// withClaims returns a well-signed token with these claims changed.
func withClaims(changes ...string) string { return withPayload(claims(changes...)) }

// withPayload returns a well-signed token with this payload.
func withPayload(payload string) string { return sign(latchkey.ES256, header(), payload) }

// withHeader returns a well-signed token with these header members changed.
func withHeader(changes ...string) string { return withHeaderText(header(changes...)) }

// withHeaderText returns a well-signed token with this header.
func withHeaderText(text string) string { return sign(latchkey.ES256, text, claims()) }

// withSignature returns a good token with another signature.
func withSignature(alg latchkey.Algorithm, change func(sig []byte) []byte) string {
	input := enbase64([]byte(goodHeader(alg))) + "." + enbase64([]byte(claims()))
	return input + "." + enbase64(change(signature(alg, input)))
}

func verify(v *latchkey.Verifier, token string) (latchkey.Claims, error) {
	return v.Verify(context.Background(), token)
}
