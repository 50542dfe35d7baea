package latchkey_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"math/big"
	"slices"
	"strings"
	"testing"

	"github.com/latchkey-auth/latchkey"
)

func hostileSignatures() []hostile {
	const sig = latchkey.CheckSignature
	order := elliptic.P256().Params().N
	ec := func(change func(r, s *big.Int) []byte) string {
		return withSignature(latchkey.ES256, func(sig []byte) []byte {
			return change(new(big.Int).SetBytes(sig[:32]), new(big.Int).SetBytes(sig[32:]))
		})
	}
	raw := func(r, s *big.Int) []byte {
		return append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...)
	}
	rs := func(change func(sig []byte) []byte) string { return withSignature(latchkey.RS256, change) }
	ed := func(change func(sig []byte) []byte) string { return withSignature(latchkey.EdDSA, change) }
	hs := func(change func(sig []byte) []byte) string { return withSignature(latchkey.HS256, change) }
	ps := func(salt int) string {
		return withSignature(latchkey.PS256, func([]byte) []byte { return pss(latchkey.PS256, signingInput(latchkey.PS256), salt) })
	}
	cut := func(sig []byte) []byte { return sig[:len(sig)-1] }
	longer := func(sig []byte) []byte { return append(sig, 0) }
	padded := func(sig []byte) []byte { return append([]byte{0}, sig...) }
	zero := func(sig []byte) []byte { return make([]byte, len(sig)) }
	flip := func(sig []byte) []byte { sig[len(sig)/2] ^= 1; return sig }
	good := strings.Split(goodToken(latchkey.ES256), ".")
	other := strings.Split(withClaims("sub", `"root"`), ".")
	return []hostile{
		{"claims of another token", good[0] + "." + other[1] + "." + good[2], sig},
		{"signature of another token", good[0] + "." + good[1] + "." + other[2], sig},
		{"header changed after signing", enbase64([]byte(header("x", "1"))) + "." + good[1] + "." + good[2], sig},
		{"header with a space added after signing", enbase64([]byte(header()+" ")) + "." + good[1] + "." + good[2], sig},
		{"expired and badly signed: the signature is told first", good[0] + "." + enbase64([]byte(claims("exp", "1"))) + "." + good[2], sig},
		{"claims no JSON and badly signed: the signature is told first", good[0] + "." + enbase64([]byte("{")) + "." + good[2], sig},
		{"ID token type and badly signed: the signature is told first", enbase64([]byte(header("typ", `"JWT"`))) + "." + good[1] + "." + good[2], sig},

		{"ES256 signature in DER", ec(func(r, s *big.Int) []byte {
			digest := sha256.Sum256([]byte(good[0] + "." + good[1]))
			return must(ecKey.Sign(nil, digest[:], crypto.SHA256))
		}), sig},
		{"ES256 signature with one bit changed", withSignature(latchkey.ES256, flip), sig},
		{"ES256 signature all zero", withSignature(latchkey.ES256, zero), sig},
		{"ES256 with r zero", ec(func(_, s *big.Int) []byte { return raw(new(big.Int), s) }), sig},
		{"ES256 with s zero", ec(func(r, _ *big.Int) []byte { return raw(r, new(big.Int)) }), sig},
		{"ES256 with r the order", ec(func(_, s *big.Int) []byte { return raw(order, s) }), sig},
		{"ES256 with s the order", ec(func(r, _ *big.Int) []byte { return raw(r, order) }), sig},
		{"ES256 with r and s the order", ec(func(_, _ *big.Int) []byte { return raw(order, order) }), sig},
		{"ES256 with r and s one", ec(func(_, _ *big.Int) []byte { return raw(big.NewInt(1), big.NewInt(1)) }), sig},
		{"ES256 with r and s swapped", ec(func(r, s *big.Int) []byte { return raw(s, r) }), sig},
		{"ES256 with r negated", ec(func(r, s *big.Int) []byte { return raw(new(big.Int).Sub(order, r), s) }), sig},
		{"ES256 signature all ones", withSignature(latchkey.ES256, func([]byte) []byte {
			return slices.Repeat([]byte{0xFF}, 64)
		}), sig},
		{"ES256 signature of 63 bytes", withSignature(latchkey.ES256, cut), sig},
		{"ES256 signature of 65 bytes", withSignature(latchkey.ES256, longer), sig},
		{"ES256 signature with a zero in front", withSignature(latchkey.ES256, padded), sig},
		{"ES256 signature with a zero between r and s", withSignature(latchkey.ES256, func(sig []byte) []byte {
			return slices.Concat(sig[:32], []byte{0}, sig[32:])
		}), sig},
		{"ES256 signature of 96 bytes", withSignature(latchkey.ES256, func(sig []byte) []byte { return append(sig, sig[:32]...) }), sig},
		{"ES256 signature over SHA-224", ec(func(_, _ *big.Int) []byte {
			digest := sha256.Sum224([]byte(good[0] + "." + good[1]))
			return rawECDSA(must(ecdsa.SignASN1(rand.Reader, ecKey, digest[:])), 32)
		}), sig},

		{"RS256 signature a byte short", rs(cut), sig},
		{"RS256 signature a byte long", rs(longer), sig},
		{"RS256 signature with a zero in front", rs(padded), sig},
		{"RS256 signature all zero", rs(zero), sig},
		{"RS256 signature with one bit changed", rs(flip), sig},
		{"RS256 signature is one", rs(func(sig []byte) []byte { return big.NewInt(1).FillBytes(sig) }), sig},
		{"RS256 signature is the modulus", rs(func(sig []byte) []byte { return rsaKey.N.FillBytes(sig) }), sig},
		{"RS256 signature beyond the modulus, the same modulo it", wrappedRSA(), sig},
		{"RS256 with a PSS signature", rs(func([]byte) []byte {
			digest := sha256.Sum256([]byte(signingInput(latchkey.RS256)))
			return must(rsa.SignPSS(rand.Reader, rsaKey, crypto.SHA256, digest[:], nil))
		}), sig},
		{"RS256 without the hash's name in its padding", rs(func([]byte) []byte {
			digest := sha256.Sum256([]byte(signingInput(latchkey.RS256)))
			return must(rsa.SignPKCS1v15(nil, rsaKey, 0, digest[:]))
		}), sig},
		{"RS256 signature of 600 bytes", rs(func([]byte) []byte { return make([]byte, 600) }), sig},

		{"RS384 with the signature of RS256", relabelled(latchkey.RS256, latchkey.RS384), sig},
		{"RS512 with the signature of PS512", relabelled(latchkey.PS512, latchkey.RS512), sig},
		{"PS256 with the signature of RS256", relabelled(latchkey.RS256, latchkey.PS256), sig},
		{"PS256 with the signature of PS384", relabelled(latchkey.PS384, latchkey.PS256), sig},
		{"PS256 without salt", ps(0), sig},
		{"PS256 with a salt of 20 bytes", ps(20), sig},
		{"PS256 with a salt a byte longer than its hash", ps(33), sig},
		{"PS256 signature with one bit changed", withSignature(latchkey.PS256, flip), sig},
		{"PS512 signature a byte short", withSignature(latchkey.PS512, cut), sig},
		{"PS512 signature all zero", withSignature(latchkey.PS512, zero), sig},

		{"ES384 signature of 64 bytes", withSignature(latchkey.ES384, func(sig []byte) []byte { return sig[:64] }), sig},
		{"ES384 signature of 97 bytes", withSignature(latchkey.ES384, longer), sig},
		{"ES384 signature all zero", withSignature(latchkey.ES384, zero), sig},
		{"ES384 signature all ones", withSignature(latchkey.ES384, func([]byte) []byte { return slices.Repeat([]byte{0xFF}, 96) }), sig},
		{"ES384 signature with one bit changed", withSignature(latchkey.ES384, flip), sig},
		{"ES384 signature in DER", withSignature(latchkey.ES384, asn1ECDSA), sig},
		{"ES384 over SHA-256", withSignature(latchkey.ES384, func([]byte) []byte {
			return rawECDSA(must(ec384Key.Sign(nil, sum(latchkey.ES256, signingInput(latchkey.ES384)), crypto.SHA256)), 48)
		}), sig},

		{"EdDSA with S beyond the order (not canonical)", ed(addOrder), sig},
		{"EdDSA signature of 63 bytes", ed(cut), sig},
		{"EdDSA signature of 65 bytes", ed(longer), sig},
		{"EdDSA signature all zero", ed(zero), sig},
		{"EdDSA signature with one bit changed", ed(flip), sig},
		{"EdDSA with R the neutral point and S zero", ed(func(sig []byte) []byte { clear(sig); sig[0] = 1; return sig }), sig},

		{"HS256 MAC cut to 16 bytes", hs(func(sig []byte) []byte { return sig[:16] }), sig},
		{"HS256 MAC cut to 1 byte", hs(func(sig []byte) []byte { return sig[:1] }), sig},
		{"HS256 MAC with a byte behind", hs(longer), sig},
		{"HS256 MAC all zero", hs(zero), sig},
		{"HS256 MAC with one bit changed", hs(flip), sig},
	}
}

// relabelled returns a token of one algorithm's header with another's signature,
// made by the same RSA key.
func relabelled(signed, says latchkey.Algorithm) string {
	return withSignature(says, func([]byte) []byte { return signature(signed, signingInput(says)) })
}

func signingInput(alg latchkey.Algorithm) string {
	return enbase64([]byte(goodHeader(alg))) + "." + enbase64([]byte(claims()))
}

// TestES256RefusesNumbersBeyondTheOrder: s and s plus the order are the same to
// a reader that only reduces. By chance no s leaves room for that in 32 bytes,
// so the test picks s and the nonce first and then the key that they fit.
func TestES256RefusesNumbersBeyondTheOrder(t *testing.T) {
	order := elliptic.P256().Params().N
	input := signingInput(latchkey.ES256)
	digest := sha256.Sum256([]byte(input))
	e := new(big.Int).SetBytes(digest[:])
	nonce, s := big.NewInt(12345), big.NewInt(67890)
	point := must(must(ecdsa.ParseRawPrivateKey(elliptic.P256(), nonce.FillBytes(make([]byte, 32)))).PublicKey.Bytes())
	r := new(big.Int).SetBytes(point[1:33])
	r.Mod(r, order)
	d := new(big.Int).Mul(s, nonce) // s = (e + r d) / nonce
	d.Sub(d, e).Mul(d, new(big.Int).ModInverse(r, order)).Mod(d, order)
	key := must(ecdsa.ParseRawPrivateKey(elliptic.P256(), d.FillBytes(make([]byte, 32))))

	v := newVerifier(t, func(cfg *latchkey.Config) {
		cfg.Keys = must(latchkey.NewKeySet(must(latchkey.NewECDSAKey("ec", &key.PublicKey))))
	})
	token := func(s *big.Int) string {
		return input + "." + enbase64(append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...))
	}
	if _, err := verify(v, token(s)); err != nil {
		t.Fatalf("with s: %v", err)
	}
	wantRefusal(t, v, token(s.Add(s, order)), latchkey.CheckSignature)
}

// wrappedRSA returns a token whose signature is a right one plus the modulus,
// which a reader that only reduces takes for the right one (RFC 8017 section
// 8.2.2 step 2a).
func wrappedRSA() string {
	for i := range 100 {
		input := enbase64([]byte(goodHeader(latchkey.RS256))) + "." + enbase64([]byte(claims("n", big.NewInt(int64(i)).String())))
		sig := new(big.Int).SetBytes(signature(latchkey.RS256, input))
		if sig.Add(sig, rsaKey.N).BitLen() <= 2048 {
			return input + "." + enbase64(sig.FillBytes(make([]byte, 256)))
		}
	}
	panic("no signature leaves room for the modulus")
}

// addOrder adds the group's order to the S of an Ed25519 signature (RFC 8032
// section 5.1.7: S must be below it).
func addOrder(sig []byte) []byte {
	order, _ := new(big.Int).SetString("7237005577332262213973186563042994240857116359379907606001950938285454250989", 10)
	s := slices.Clone(sig[32:])
	slices.Reverse(s) // little endian
	sum := new(big.Int).Add(new(big.Int).SetBytes(s), order).FillBytes(make([]byte, 32))
	slices.Reverse(sum)
	return append(sig[:32:32], sum...)
}

func hostilePayloads() []hostile {
	const form = latchkey.CheckClaims
	nested := func(depth int) string {
		return strings.Repeat(`{"a":`, depth) + "1" + strings.Repeat("}", depth)
	}
	return []hostile{
		{"payload an array", withPayload("[" + claims() + "]"), form},
		{"payload a string", withPayload(`"user-1"`), form},
		{"payload a number", withPayload("1800000600"), form},
		{"payload null", withPayload("null"), form},
		{"payload only spaces", withPayload("  "), form},
		{"payload without members", withPayload("{}"), latchkey.CheckIssuer},
		{"payload of two values", withPayload(claims() + claims()), form},
		{"payload with trailing data", withPayload(claims() + "]"), form},
		{"payload with a NUL behind", withPayload(claims() + "\x00"), form},
		{"payload behind a byte order mark", withPayload("\uFEFF" + claims()), form},
		{"payload without end", withPayload(strings.TrimSuffix(claims(), "}")), form},
		{"payload with a trailing comma", withPayload(strings.TrimSuffix(claims(), "}") + ",}"), form},
		{"payload with a comment", withPayload(claims() + "//"), form},
		{"payload with a name without quotes", withPayload(`{sub:"user-1"}`), form},
		{"payload is a token (nested JWT)", withPayload(goodToken(latchkey.ES256)), form},
		{"payload compressed", withPayload("\xabV\xca,.V\xb2R\xca())"), form},
		{"payload nested 33 deep", withClaims("x", nested(32)), form},
		{"payload nested 900 deep", withClaims("x", nested(900)), form},
		{"payload with a hundred brackets left open", withPayload(strings.Repeat("[", 100)), form},
		{"duplicate claim sub", withPayload(`{"sub":"root",` + claims()[1:]), form},
		{"duplicate claim exp, one escaped", withPayload(`{"\u0065xp":9999999999,` + claims()[1:]), form},
		{"duplicate of a claim that nobody reads", withPayload(`{"x":1,"x":1,` + claims()[1:]), form},
		{"duplicate in an inner object", withClaims("x", `{"role":"user","role":"admin"}`), form},
		{"duplicate in an object in an array", withClaims("x", `[[{"role":"user","role":"admin"}]]`), form},
		{"duplicate beyond twenty members", withPayload(manyMembers(20) + claims()[1:]), form},
		{"claim Sub in wrong case", withClaims("Sub", `"root"`), form},
		{"claim EXP in wrong case", withClaims("exp", "", "EXP", "1800000600"), form},
		{"claim Scope in wrong case", withClaims("Scope", `"admin"`), form},
		{"claim sub with the long s", withClaims("\u017Fub", `"root"`), form},
		{"broken UTF-8 in a value", withClaims("x", "\"\xC3\x28\""), form},
		{"broken UTF-8 in a name", withClaims("x\xFF", "1"), form},
		{"UTF-8 of too many bytes", withClaims("x", "\"\xE0\x80\xAF\""), form},
		{"UTF-8 cut off", withClaims("x", "\"\xE2\x82\""), form},
		{"high surrogate alone", withClaims("x", `"\uD83D"`), form},
		{"low surrogate alone", withClaims("x", `"\uDE00"`), form},
		{"surrogates in the wrong order", withClaims("x", `"\uDE00\uD83D"`), form},
		{"two high surrogates", withClaims("x", `"\uD83D\uD83D"`), form},
		{"control character in a string", withClaims("x", "\"a\tb\""), form},
		{"escape of three digits", withClaims("x", `"\u00e"`), form},
		{"capital U escape", withClaims("x", `"\U0001F600"`), form},
		{"word nul", withClaims("x", "nul"), form},
		{"word True", withClaims("x", "True"), form},
		{"form feed as space", withPayload("\f" + claims()), form},
	}
}

// manyMembers starts an object with n members and a second sub among them.
func manyMembers(n int) string {
	var b strings.Builder
	b.WriteByte('{')
	for i := range n {
		b.WriteString(`"m` + big.NewInt(int64(i)).String() + `":0,`)
	}
	b.WriteString(`"sub":"root",`)
	return b.String()
}

func hostileTimes() []hostile {
	values := []struct{ name, value string }{
		{"a string", `"1800000600"`},
		{"a float", "1800000600.5"},
		{"a whole float", "1800000600.0"},
		{"with an exponent", "18000006e2"},
		{"1e400", "1e400"},
		{"null", "null"},
		{"true", "true"},
		{"an array", "[1800000600]"},
		{"an object", `{"seconds":1800000600}`},
		{"zero", "0"},
		{"minus zero", "-0"},
		{"negative", "-1800000600"},
		{"in milliseconds", "1800000600000"},
		{"2^53", "9007199254740992"},
		{"2^63", "9223372036854775808"},
		{"2^63-1", "9223372036854775807"},
		{"2^64 plus a good time", "18446744075509552216"},
		{"of a thousand digits", strings.Repeat("9", 1000)},
		{"in the year 10000", "253402300800"},
		{"with a leading zero", "01800000600"}, // the number ends behind the zero
		{"in hexadecimal", "0x6B49D258"},
	}
	broken := []struct{ name, value string }{
		{"with a plus", "+1800000600"},
		{"NaN", "NaN"},
		{"Infinity", "Infinity"},
		{"without digits", "-"},
		{"with a point and nothing after it", "1800000600."},
		{"with digit groups", "1_800_000_600"},
	}
	var all []hostile
	for name, check := range map[string]latchkey.Check{
		"exp": latchkey.CheckExpiry, "nbf": latchkey.CheckNotBefore, "iat": latchkey.CheckIssuedAt,
	} {
		for _, v := range values {
			all = append(all, hostile{name + " " + v.name, withClaims(name, v.value), check})
		}
		for _, v := range broken {
			all = append(all, hostile{name + " " + v.name, withClaims(name, v.value), latchkey.CheckClaims})
		}
	}
	slices.SortFunc(all, func(a, b hostile) int { return strings.Compare(a.name, b.name) })
	return append(all,
		hostile{"exp missing", withClaims("exp", ""), latchkey.CheckExpiry},
		hostile{"exp long past", withClaims("exp", "1300819380"), latchkey.CheckExpiry},
		hostile{"exp this second", withClaims("exp", "1800000000"), latchkey.CheckExpiry},
		hostile{"nbf in a second", withClaims("nbf", "1800000001"), latchkey.CheckNotBefore},
		hostile{"nbf next year", withClaims("nbf", "1830000000"), latchkey.CheckNotBefore},
		hostile{"iat missing", withClaims("iat", ""), latchkey.CheckIssuedAt},
		hostile{"iat in a second", withClaims("iat", "1800000001"), latchkey.CheckIssuedAt},
		hostile{"iat next year", withClaims("iat", "1830000000"), latchkey.CheckIssuedAt},
	)
}

func hostileClaims() []hostile {
	const form, iss, aud, sub = latchkey.CheckClaims, latchkey.CheckIssuer, latchkey.CheckAudience, latchkey.CheckSubject
	return []hostile{
		{"iss missing", withClaims("iss", ""), iss},
		{"iss empty", withClaims("iss", `""`), iss},
		{"iss of another issuer", withClaims("iss", `"https://evil.example"`), iss},
		{"iss with a trailing slash", withClaims("iss", `"`+issuer+`/"`), iss},
		{"iss in capitals", withClaims("iss", `"HTTPS://AUTH.EXAMPLE.COM"`), iss},
		{"iss with plain http", withClaims("iss", `"http://auth.example.com"`), iss},
		{"iss with a path behind", withClaims("iss", `"`+issuer+`/tenant"`), iss},
		{"iss with a domain behind", withClaims("iss", `"`+issuer+`.evil.example"`), iss},
		{"iss with a space behind", withClaims("iss", `"`+issuer+` "`), iss},
		{"iss with a NUL behind", withClaims("iss", `"`+issuer+`\u0000"`), iss},
		{"iss cut short", withClaims("iss", `"https://auth.example.co"`), iss},
		{"iss an array", withClaims("iss", `["`+issuer+`"]`), form},
		{"iss null", withClaims("iss", "null"), form},
		{"iss a number", withClaims("iss", "1"), form},

		{"aud missing", withClaims("aud", ""), aud},
		{"aud empty", withClaims("aud", `""`), aud},
		{"aud an empty array", withClaims("aud", "[]"), aud},
		{"aud of another service", withClaims("aud", `"https://other.example.com"`), aud},
		{"aud of other services", withClaims("aud", `["https://a.example","https://b.example"]`), aud},
		{"aud with a trailing slash", withClaims("aud", `"`+audience+`/"`), aud},
		{"aud in capitals", withClaims("aud", `"HTTPS://API.EXAMPLE.COM"`), aud},
		{"aud two in one string", withClaims("aud", `"`+audience+` https://b.example"`), aud},
		{"aud cut short", withClaims("aud", `"https://api.example.co"`), aud},
		{"aud a wildcard", withClaims("aud", `"*"`), aud},
		{"aud a number", withClaims("aud", "1"), form},
		{"aud null", withClaims("aud", "null"), form},
		{"aud an object", withClaims("aud", `{"`+audience+`":true}`), form},
		{"aud nested", withClaims("aud", `[["`+audience+`"]]`), form},
		{"aud with a number behind the right one", withClaims("aud", `["`+audience+`",1]`), form},
		{"aud with null behind the right one", withClaims("aud", `["`+audience+`",null]`), form},

		{"sub missing", withClaims("sub", ""), sub},
		{"sub empty", withClaims("sub", `""`), sub},
		{"sub of 256 bytes", withClaims("sub", `"`+strings.Repeat("s", 256)+`"`), sub},
		{"sub with a line break", withClaims("sub", `"user\r\nX-Admin: 1"`), sub},
		{"sub with a NUL", withClaims("sub", `"user-1\u0000"`), sub},
		{"sub with DEL", withClaims("sub", `"user-1\u007f"`), sub},
		{"sub with the next-line control", withClaims("sub", `"user-1\u0085"`), sub},
		{"sub a number", withClaims("sub", "1"), form},
		{"sub null", withClaims("sub", "null"), form},
		{"sub an array", withClaims("sub", `["user-1"]`), form},

		{"jti a number", withClaims("jti", "1"), form},
		{"sid an array", withClaims("sid", `["s-1"]`), form},
		{"client_id null", withClaims("client_id", "null"), form},
		{"username an object", withClaims("username", `{"name":"u"}`), form},
		{"scope an array", withClaims("scope", `["admin"]`), form},
		{"scope true", withClaims("scope", "true"), form},
	}
}
