package latchkey_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/json"
	"math/big"
	"strings"
	"testing"

	"github.com/latchkey-auth/latchkey"
)

// modulus returns an odd number of so many bits: as a key it is worth nothing,
// but its size is right.
func modulus(bits uint) *big.Int {
	n := new(big.Int).Lsh(big.NewInt(1), bits-1)
	return n.SetBit(n, 0, 1)
}

// pointOn returns a key that need not be one, as only its fields allow.
func pointOn(curve elliptic.Curve, x, y *big.Int) *ecdsa.PublicKey {
	//lint:ignore SA1019 the constructors that are left refuse it
	return &ecdsa.PublicKey{Curve: curve, X: x, Y: y}
}

func TestKeyConstructorsRefuse(t *testing.T) {
	rsaOf := func(n *big.Int, e int) func() (*latchkey.Key, error) {
		return func() (*latchkey.Key, error) {
			return latchkey.NewRSAKey("k", latchkey.RS256, &rsa.PublicKey{N: n, E: e})
		}
	}
	ecOf := func(pub *ecdsa.PublicKey) func() (*latchkey.Key, error) {
		return func() (*latchkey.Key, error) { return latchkey.NewECDSAKey("k", pub) }
	}
	p256 := elliptic.P256()
	x, y := bigint("f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU"), bigint("x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0")
	prime := p256.Params().P
	for _, c := range []struct {
		name string
		make func() (*latchkey.Key, error)
		want string
	}{
		{"RSA without key", func() (*latchkey.Key, error) { return latchkey.NewRSAKey("k", latchkey.RS256, nil) }, "empty"},
		{"RSA without modulus", rsaOf(nil, 65537), "empty"},
		{"RSA of 1024 bits", rsaOf(modulus(1024), 65537), "1024 bits"},
		{"RSA of 2047 bits", rsaOf(modulus(2047), 65537), "2047 bits"},
		{"RSA of 8193 bits", rsaOf(modulus(8193), 65537), "8193 bits"},
		{"RSA with exponent 0", rsaOf(modulus(2048), 0), "exponent"},
		{"RSA with exponent 1", rsaOf(modulus(2048), 1), "exponent"},
		{"RSA with exponent 2", rsaOf(modulus(2048), 2), "exponent"},
		{"RSA with an even exponent", rsaOf(modulus(2048), 65536), "exponent"},
		{"RSA with a negative exponent", rsaOf(modulus(2048), -3), "exponent"},
		{"RSA with an even modulus", rsaOf(new(big.Int).Lsh(big.NewInt(1), 2047), 65537), "odd"},
		{"RSA for ES256", func() (*latchkey.Key, error) { return latchkey.NewRSAKey("k", latchkey.ES256, &rsaKey.PublicKey) }, "must be RS256"},
		{"RSA for HS256", func() (*latchkey.Key, error) { return latchkey.NewRSAKey("k", latchkey.HS256, &rsaKey.PublicKey) }, "must be RS256"},
		{"RSA for no algorithm", func() (*latchkey.Key, error) { return latchkey.NewRSAKey("k", "", &rsaKey.PublicKey) }, "must be RS256"},
		{"ECDSA without key", ecOf(nil), "empty"},
		{"ECDSA without curve", ecOf(pointOn(nil, x, y)), "P-256"},
		{"ECDSA without point", ecOf(&ecdsa.PublicKey{Curve: elliptic.P256()}), "empty"},
		{"ECDSA on P-521", ecOf(pointOn(elliptic.P521(), x, y)), "P-256"},
		{"ECDSA point of P-256 on P-384", ecOf(pointOn(elliptic.P384(), x, y)), "ECDSA key"},
		{"ECDSA on P-224", ecOf(pointOn(elliptic.P224(), x, y)), "P-256"},
		{"ECDSA point off the curve", ecOf(pointOn(p256, x, new(big.Int).Add(y, big.NewInt(1)))), "ECDSA key"},
		{"ECDSA point at zero", ecOf(pointOn(p256, new(big.Int), new(big.Int))), "ECDSA key"},
		{"ECDSA coordinate beyond the prime", ecOf(pointOn(p256, new(big.Int).Add(x, prime), y)), "ECDSA key"},
		{"ECDSA coordinate negative", ecOf(pointOn(p256, new(big.Int).Neg(x), y)), "ECDSA key"},
		{"Ed25519 without key", func() (*latchkey.Key, error) { return latchkey.NewEd25519Key("k", nil) }, "0 bytes"},
		{"Ed25519 of 31 bytes", func() (*latchkey.Key, error) { return latchkey.NewEd25519Key("k", make([]byte, 31)) }, "31 bytes"},
		{"Ed25519 private key", func() (*latchkey.Key, error) { return latchkey.NewEd25519Key("k", ed25519.PublicKey(edKey)) }, "64 bytes"},
		{"HMAC without secret", func() (*latchkey.Key, error) { return latchkey.NewHMACKey("k", nil) }, "0 bytes"},
		{"HMAC of 31 bytes", func() (*latchkey.Key, error) { return latchkey.NewHMACKey("k", make([]byte, 31)) }, "31 bytes"},
		{"insecure HMAC without secret", func() (*latchkey.Key, error) { return latchkey.NewInsecureHMACKey("k", nil) }, "empty"},
	} {
		t.Run(c.name, func(t *testing.T) {
			k, err := c.make()
			if err == nil || k != nil {
				t.Fatalf("got the key %v and error %v, want a refusal", k, err)
			}
			if !strings.Contains(err.Error(), c.want) {
				t.Errorf("got error %q, want one that says %q", err, c.want)
			}
		})
	}
}

func TestKeyConstructorsAccept(t *testing.T) {
	for name, c := range map[string]struct {
		key *latchkey.Key
		alg latchkey.Algorithm
	}{
		"RSA of 2048 bits":           {must(latchkey.NewRSAKey("k", latchkey.RS256, &rsa.PublicKey{N: modulus(2048), E: 3})), latchkey.RS256},
		"RSA of 8192 bits":           {must(latchkey.NewRSAKey("k", latchkey.RS256, &rsa.PublicKey{N: modulus(8192), E: 1<<31 - 1})), latchkey.RS256},
		"RSA for PS512":              {must(latchkey.NewRSAKey("k", latchkey.PS512, &rsaKey.PublicKey)), latchkey.PS512},
		"ECDSA on P-384":             {must(latchkey.NewECDSAKey("k", &ec384Key.PublicKey)), latchkey.ES384},
		"ECDSA":                      {publicKey(latchkey.ES256, "k"), latchkey.ES256},
		"Ed25519":                    {publicKey(latchkey.EdDSA, "k"), latchkey.EdDSA},
		"HMAC of 32 bytes":           {must(latchkey.NewHMACKey("k", make([]byte, 32))), latchkey.HS256},
		"insecure HMAC of 13 bytes":  {must(latchkey.NewInsecureHMACKey("k", []byte("my-secret-key"))), latchkey.HS256},
		"insecure HMAC of one byte":  {must(latchkey.NewInsecureHMACKey("k", []byte("k"))), latchkey.HS256},
		"HMAC of more than the hash": {must(latchkey.NewHMACKey("k", make([]byte, 200))), latchkey.HS256},
	} {
		if c.key.Algorithm() != c.alg || c.key.ID() != "k" {
			t.Errorf("%s: got algorithm %s and id %q", name, c.key.Algorithm(), c.key.ID())
		}
	}
}

// TestKeysAreCopies: what the caller does with its key afterwards changes nothing.
func TestKeysAreCopies(t *testing.T) {
	ownSecret := append([]byte(nil), secret...)
	ownEd := append(ed25519.PublicKey(nil), edKey.Public().(ed25519.PublicKey)...)
	ownRSA := &rsa.PublicKey{N: new(big.Int).Set(rsaKey.N), E: rsaKey.E}
	ownEC := must(ecdsa.ParseUncompressedPublicKey(elliptic.P256(), must(ecKey.PublicKey.Bytes())))
	keys := []*latchkey.Key{
		must(latchkey.NewHMACKey("hs", ownSecret)),
		must(latchkey.NewEd25519Key("ed", ownEd)),
		must(latchkey.NewRSAKey("rs", latchkey.RS256, ownRSA)),
		must(latchkey.NewECDSAKey("ec", ownEC)),
	}
	v := newVerifier(t, func(cfg *latchkey.Config) { cfg.Keys = must(latchkey.NewKeySet(keys...)) })
	clear(ownSecret)
	clear(ownEd)
	ownRSA.N.SetInt64(1)
	*ownEC = *pointOn(elliptic.P256(), new(big.Int), new(big.Int))
	for _, alg := range []latchkey.Algorithm{latchkey.HS256, latchkey.RS256, latchkey.ES256, latchkey.EdDSA} {
		if _, err := verify(v, goodToken(alg)); err != nil {
			t.Errorf("%s: %v", alg, err)
		}
	}
}

func TestAppendJWKRoundTrip(t *testing.T) {
	const id = "k-1 \"quoted\" \\ \n é"
	for _, alg := range algorithms[1:] {
		t.Run(string(alg), func(t *testing.T) {
			key := publicKey(alg, id)
			doc := key.AppendJWK([]byte("before"))
			jwk, ok := strings.CutPrefix(string(doc), "before")
			if !ok {
				t.Fatalf("got %s, which does not start with what was there", doc)
			}
			var members map[string]string
			if err := json.Unmarshal([]byte(jwk), &members); err != nil {
				t.Fatal(err)
			}
			if members["kid"] != id || members["use"] != "sig" || members["alg"] != string(alg) {
				t.Errorf("got %s", jwk)
			}
			for _, private := range []string{"d", "p", "q", "dp", "dq", "qi", "oth", "k"} {
				if _, ok := members[private]; ok {
					t.Errorf("the member %q is private", private)
				}
			}
			set, err := latchkey.ParseJWKS([]byte(`{"keys":[` + jwk + `]}`))
			if err != nil {
				t.Fatal(err)
			}
			back, err := set.Key(context.Background(), id, alg)
			if err != nil {
				t.Fatal(err)
			}
			if string(back.AppendJWK(nil)) != jwk || latchkey.Thumbprint(back) != latchkey.Thumbprint(key) {
				t.Errorf("came back as %s, was %s", back.AppendJWK(nil), jwk)
			}
			input := []byte("text")
			if !back.VerifySignature(input, signature(alg, "text")) {
				t.Error("the key that came back refuses a good signature")
			}
		})
	}
}

// TestHMACKeysHaveNoPublicForm: neither the secret nor anything to guess it by.
func TestHMACKeysHaveNoPublicForm(t *testing.T) {
	key := publicKey(latchkey.HS256, "hs")
	if got := key.AppendJWK([]byte("x")); string(got) != "x" {
		t.Errorf("AppendJWK appended %q", got[1:])
	}
	if got := latchkey.Thumbprint(key); got != "" {
		t.Errorf("got the thumbprint %q", got)
	}
	if got := string(must(latchkey.NewKeySet(key)).JWKS()); got != `{"keys":[]}` {
		t.Errorf("got the key set %s", got)
	}
}

func TestThumbprintIgnoresTheID(t *testing.T) {
	for _, alg := range algorithms[1:] {
		a, b := latchkey.Thumbprint(publicKey(alg, "a")), latchkey.Thumbprint(publicKey(alg, "b"))
		if a != b || len(a) != 43 {
			t.Errorf("%s: got %q and %q", alg, a, b)
		}
	}
}
