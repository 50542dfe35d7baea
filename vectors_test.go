package latchkey_test

import (
	"context"
	"encoding/hex"
	"strings"
	"testing"
	"time"

	"github.com/latchkey-auth/latchkey"
)

// vectorClaims are the claims that RFC 7515 appendices A.1 to A.3 sign.
const vectorClaims = "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ"

var vectors = []struct {
	name, token string
	key         string // as JWK; empty: the secret of appendix A.1
	alg         latchkey.Algorithm
	thumbprint  string // where an RFC gives one
}{
	{
		name:  "RFC 7515 appendix A.1, HS256",
		token: "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9." + vectorClaims + ".dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk",
		alg:   latchkey.HS256,
	},
	{
		name: "RFC 7515 appendix A.2, RS256",
		token: "eyJhbGciOiJSUzI1NiJ9." + vectorClaims + ".cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7" +
			"AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K" +
			"0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw",
		key: `{"kty":"RSA","n":"ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMs` +
			`D1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdV` +
			`MTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ","e":"AQAB"}`,
		alg: latchkey.RS256,
	},
	{
		name:  "RFC 7515 appendix A.3, ES256",
		token: "eyJhbGciOiJFUzI1NiJ9." + vectorClaims + ".DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q",
		key:   `{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}`,
		alg:   latchkey.ES256,
	},
	{
		name: "RFC 7520 section 4.2, PS384",
		token: "eyJhbGciOiJQUzM4NCIsImtpZCI6ImJpbGJvLmJhZ2dpbnNAaG9iYml0b24uZXhhbXBsZSJ9." +
			"SXTigJlzIGEgZGFuZ2Vyb3VzIGJ1c2luZXNzLCBGcm9kbywgZ29pbmcgb3V0IHlvdXIgZG9vci4gWW91IHN0ZXAgb250byB0aGUgcm9hZCwgYW5kIGlmIHlvdSBkb24ndCBrZWVwIHlvdXIgZmVldCwgdGhlcmXigJlzIG5vIGtub3dpbmcgd2hlcmUgeW91IG1pZ2h0IGJlIHN3ZXB0IG9mZiB0by4." +
			"cu22eBqkYDKgIlTpzDXGvaFfz6WGoz7fUDcfT0kkOy42miAh2qyBzk1xEsnk2IpN6-tPid6VrklHkqsGqDqHCdP6O8TTB5dDDItllVo6_1OLPpcbUrhiUSMxbbXUvdvW" +
			"Xzg-UD8biiReQFlfz28zGWVsdiNAUf8ZnyPEgVFn442ZdNqiVJRmBqrYRXe8P_ijQ7p8Vdz0TTrxUeT3lm8d9shnr2lfJT8ImUjvAA2Xez2Mlp8cBE5awDzT0qI0n6uiP1aCN_2_jLAeQTlqRHtfa64QQSUmFAAjVKPbByi7xho0uTOcbH510a6GYmJUAfmWjwZ6oD4ifKo8DYM-X72Eaw",
		key: `{"kty":"RSA","alg":"PS384","n":"n4EPtAOCc9AlkeQHPzHStgAbgs7bTZLwUBZdR8_KuKPEHLd4rHVTeT-O-XV2jRojdNhxJWTDvNd7nqQ0VEiZQHz_AJmSCpMaJMRBSFKrKb2wqVwGU_NsYOYL-QtiWN2l` +
			`bzcEe6XC0dApr5ydQLrHqkHHig3RBordaZ6Aj-oBHqFEHYpPe7Tpe-OfVfHd1E6cS6M1FZcD1NNLYD5lFHpPI9bTwJlsde3uhGqC0ZCuEHg8lhzwOHrtIQbS0FVbb9k3-tVTU4fg_3L_vniUFAKwuCLqKnS2BYwdq_mzSnbLY7h_qixoR7jig3__kRhuaxwUkRz5iaiQkqgc5gHdrNP5zw","e":"AQAB"}`,
		alg: latchkey.PS384,
	},
	{
		name:       "RFC 8037 appendix A.4, EdDSA",
		token:      "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg",
		key:        `{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}`,
		alg:        latchkey.EdDSA,
		thumbprint: "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k", // RFC 8037 appendix A.3
	},
	{
		name:       "RFC 7638 section 3.1",
		key:        `{"kty":"RSA","n":"` + thumbprintModulus + `","e":"AQAB","alg":"RS256","kid":"2011-04-29"}`,
		alg:        latchkey.RS256,
		thumbprint: "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs",
	},
}

const thumbprintModulus = "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw"

// TestRFCVectors checks signatures and thumbprints that others have computed.
// No vector's key is below our minimum: the RSA keys have 2048 bits, the HMAC
// secret 64 bytes.
func TestRFCVectors(t *testing.T) {
	for _, v := range vectors {
		t.Run(v.name, func(t *testing.T) {
			key := publicKey(latchkey.HS256, "")
			if v.key != "" {
				set, err := latchkey.ParseJWKS([]byte(`{"keys":[` + v.key + `]}`))
				if err != nil {
					t.Fatalf("ParseJWKS: %v", err)
				}
				if key, err = set.Key(context.Background(), "", v.alg); err != nil {
					t.Fatalf("the set has no %s key: %v", v.alg, err)
				}
			}
			if got := latchkey.Thumbprint(key); v.thumbprint != "" && got != v.thumbprint {
				t.Errorf("thumbprint %s, want %s", got, v.thumbprint)
			}
			if v.token == "" {
				return
			}
			end := strings.LastIndexByte(v.token, '.')
			input, sig := []byte(v.token[:end]), unbase64(v.token[end+1:])
			if !key.VerifySignature(input, sig) {
				t.Error("the signature was refused")
			}
			for i := range sig {
				sig[i] ^= 1
				if key.VerifySignature(input, sig) {
					t.Fatalf("the signature was accepted with a changed byte %d", i)
				}
				sig[i] ^= 1
			}
			input[len(input)-1] ^= 1
			if key.VerifySignature(input, sig) {
				t.Error("the signature was accepted for another text")
			}
		})
	}
}

// TestES384Vector is RFC 6979 appendix A.2.6, SHA-384, message "sample": RFC 7520
// has no example of ES384.
func TestES384Vector(t *testing.T) {
	const r = "94edbb92a5ecb8aad4736e56c691916b3f88140666ce9fa73d64c4ea95ad133c81a648152e44acf96e36dd1e80fabe46"
	const s = "99ef4aeb15f178cea1fe40db2603138f130e740a19624526203b6351d0a3a94fa329c145786e679e7b82c71a38628ac8"
	key, sig := publicKey(latchkey.ES384, ""), must(hex.DecodeString(r+s))
	if !key.VerifySignature([]byte("sample"), sig) {
		t.Error("the signature was refused")
	}
	for i := range sig {
		sig[i] ^= 1
		if key.VerifySignature([]byte("sample"), sig) {
			t.Fatalf("the signature was accepted with a changed byte %d", i)
		}
		sig[i] ^= 1
	}
}

// TestRFCVectorThroughVerify takes appendix A.1, a legacy token with a header
// of two lines, through Verify while it was good. It has no sub: that it is
// refused for this shows that its signature and everything before it passed.
func TestRFCVectorThroughVerify(t *testing.T) {
	v := newVerifier(t, func(cfg *latchkey.Config) {
		cfg.Legacy, cfg.Issuer, cfg.Audience = true, "joe", ""
		cfg.Now = func() time.Time { return time.Unix(1300819379, 0) }
	})
	token := vectors[0].token
	wantRefusal(t, v, token, latchkey.CheckSubject)
	wantRefusal(t, v, token[:len(token)-2]+"Xg", latchkey.CheckSignature)
}
