package keyring_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"maps"
	"math/big"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/latchkey-auth/latchkey"
	"github.com/latchkey-auth/latchkey/internal/keyring"
)

// The keys of these tests. RSA keys take a while to find.
var (
	rsaKey   = sync.OnceValue(func() *rsa.PrivateKey { return must(rsa.GenerateKey(rand.Reader, 2048)) })
	rsaShort = sync.OnceValue(func() *rsa.PrivateKey { return must(rsa.GenerateKey(rand.Reader, 1024)) })
	ecKey    = sync.OnceValue(func() *ecdsa.PrivateKey { return must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)) })
	edKey    = sync.OnceValue(func() ed25519.PrivateKey { _, k, err := ed25519.GenerateKey(rand.Reader); return must(k, err) })
)

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func inPEM(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

func pkcs8(k any) []byte { return inPEM("PRIVATE KEY", must(x509.MarshalPKCS8PrivateKey(k))) }
func pkix(k any) []byte  { return inPEM("PUBLIC KEY", must(x509.MarshalPKIXPublicKey(k))) }

// jwk writes members; a nil value leaves one out.
func jwk(members map[string]any, changes ...map[string]any) []byte {
	m := maps.Clone(members)
	for _, c := range changes {
		for name, v := range c {
			if m[name] = v; v == nil {
				delete(m, name)
			}
		}
	}
	return must(json.Marshal(m))
}

func text(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

func ecMembers(k *ecdsa.PrivateKey) map[string]any {
	point := must(k.PublicKey.Bytes())
	return map[string]any{"kty": "EC", "crv": "P-256", "x": text(point[1:33]), "y": text(point[33:]), "d": text(must(k.Bytes()))}
}

func edMembers(k ed25519.PrivateKey) map[string]any {
	return map[string]any{"kty": "OKP", "crv": "Ed25519", "x": text(k.Public().(ed25519.PublicKey)), "d": text(k.Seed())}
}

func rsaMembers(k *rsa.PrivateKey) map[string]any {
	return map[string]any{
		"kty": "RSA", "n": text(k.N.Bytes()), "e": text(big.NewInt(int64(k.E)).Bytes()), "d": text(k.D.Bytes()),
		"p": text(k.Primes[0].Bytes()), "q": text(k.Primes[1].Bytes()),
	}
}

func ed25519JWK(t *testing.T) (doc, seed []byte) {
	t.Helper()
	_, k, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return jwk(edMembers(k)), k.Seed()
}

// TestImportedPrivateKeysSign: the tokens verify with the public half that the
// test knows, not with what was stored.
func TestImportedPrivateKeysSign(t *testing.T) {
	type half struct {
		alg    latchkey.Algorithm
		public crypto.PublicKey
	}
	ec, rs, ed := half{latchkey.ES256, &ecKey().PublicKey}, half{latchkey.RS256, &rsaKey().PublicKey}, half{latchkey.EdDSA, edKey().Public()}
	for name, c := range map[string]struct {
		doc []byte
		half
	}{
		"EC in PKCS #8":         {pkcs8(ecKey()), ec},
		"RSA in PKCS #8":        {pkcs8(rsaKey()), rs},
		"Ed25519 in PKCS #8":    {pkcs8(edKey()), ed},
		"RSA in PKCS #1":        {inPEM("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(rsaKey())), rs},
		"EC in SEC 1":           {inPEM("EC PRIVATE KEY", must(x509.MarshalECPrivateKey(ecKey()))), ec},
		"EC as JWK":             {jwk(ecMembers(ecKey())), ec},
		"RSA as JWK":            {jwk(rsaMembers(rsaKey())), rs},
		"RSA of n, e and d":     {jwk(rsaMembers(rsaKey()), map[string]any{"p": nil, "q": nil}), rs},
		"Ed25519 as JWK":        {jwk(edMembers(edKey())), ed},
		"with lines around it":  {append([]byte("\n\n "), append(pkcs8(ecKey()), "\n \n"...)...), ec},
		"JWK with other things": {jwk(ecMembers(ecKey()), map[string]any{"kid": "theirs", "use": "sig", "key_ops": []string{"sign"}, "alg": "ES256"}), ec},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			k := f.open()
			r, err := k.Import(t.Context(), c.doc, keyring.AtOnce, time.Time{})
			if err != nil {
				t.Fatal(err)
			}
			if got := f.kid(k); got != r.ID || r.Algorithm != c.alg {
				t.Errorf("%s signs (%s), want the imported key %s", got, r.Algorithm, r.ID)
			}
			var public *latchkey.Key
			switch p := c.public.(type) {
			case *ecdsa.PublicKey:
				public, err = latchkey.NewECDSAKey(r.ID, p)
			case *rsa.PublicKey:
				public, err = latchkey.NewRSAKey(r.ID, latchkey.RS256, p)
			case ed25519.PublicKey:
				public, err = latchkey.NewEd25519Key(r.ID, p)
			}
			if err != nil {
				t.Fatal(err)
			}
			if want := latchkey.Thumbprint(public); r.ID != want {
				t.Errorf("kid is %s, want the thumbprint %s", r.ID, want)
			}
			if err := f.verify(must(latchkey.NewKeySet(public)), f.sign(k)); err != nil {
				t.Error(err)
			}
			if err := f.verify(f.open(), f.sign(k)); err != nil {
				t.Errorf("after reopening: %v", err)
			}
			if _, err := k.Import(t.Context(), c.doc, keyring.AtOnce, time.Time{}); !errors.Is(err, keyring.ErrExists) {
				t.Errorf("the same key again: got %v, want ErrExists", err)
			}
		})
	}
}

func TestImportedKeysWaitLikeNewOnes(t *testing.T) {
	f := newFixture(t)
	k := f.open()
	first := f.rotate(k, latchkey.ES256, keyring.Planned)
	r, err := k.Import(t.Context(), pkcs8(edKey()), keyring.Planned, time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	if got := f.kid(k); got != first.ID {
		t.Errorf("%s signs, want still %s", got, first.ID)
	}
	f.clock.Advance(untilActive)
	if got := f.kid(k); got != r.ID {
		t.Errorf("%s signs, want the imported %s", got, r.ID)
	}
}

// TestImportedPublicKeysVerify: the tokens of a system that is being replaced
// are good until the time that is given.
func TestImportedPublicKeysVerify(t *testing.T) {
	for name, c := range map[string]struct {
		doc []byte
		alg latchkey.Algorithm
		kid string // empty: the thumbprint
	}{
		"EC in PKIX":      {pkix(&ecKey().PublicKey), latchkey.ES256, ""},
		"RSA in PKCS #1":  {inPEM("RSA PUBLIC KEY", x509.MarshalPKCS1PublicKey(&rsaKey().PublicKey)), latchkey.RS256, ""},
		"RSA in PKIX":     {pkix(&rsaKey().PublicKey), latchkey.RS256, ""},
		"Ed25519 in PKIX": {pkix(edKey().Public()), latchkey.EdDSA, ""},
		"EC as JWK":       {jwk(ecMembers(ecKey()), map[string]any{"d": nil, "kid": "theirs"}), latchkey.ES256, "theirs"},
		"RSA as JWK":      {jwk(rsaMembers(rsaKey()), map[string]any{"d": nil, "p": nil, "q": nil, "kid": "2019"}), latchkey.RS256, "2019"},
		"Ed25519 as JWK":  {jwk(edMembers(edKey()), map[string]any{"d": nil, "kid": "theirs"}), latchkey.EdDSA, "theirs"},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			k := f.open()
			own := f.rotate(k, latchkey.ES256, keyring.AtOnce)
			for _, until := range []time.Time{{}, start, start.Add(-time.Hour)} {
				if _, err := k.Import(t.Context(), c.doc, keyring.Planned, until); err == nil {
					t.Fatalf("verifying until %v is taken", until)
				}
			}
			r, err := k.Import(t.Context(), c.doc, keyring.AtOnce, start.Add(time.Hour))
			if err != nil {
				t.Fatal(err)
			}
			if c.kid != "" && r.ID != c.kid || len(r.Sealed) > 0 {
				t.Errorf("got kid %s and %d sealed bytes, want %q and none", r.ID, len(r.Sealed), c.kid)
			}
			if k.State(r) != keyring.Retired || f.kid(k) != own.ID {
				t.Errorf("the key is %s and %s signs; want it retired and our own %s", k.State(r), f.kid(k), own.ID)
			}
			if _, err := k.Key(t.Context(), r.ID, c.alg); err != nil {
				t.Error(err)
			}
			f.wantPublished(k, own.ID, r.ID)
			f.clock.Advance(time.Hour)
			if _, err := k.Key(t.Context(), r.ID, c.alg); !errors.Is(err, latchkey.ErrKeyNotFound) {
				t.Errorf("after its time: got %v, want ErrKeyNotFound", err)
			}
			f.wantPublished(k, own.ID)
		})
	}
}

func TestKeysThatCannotBeUsed(t *testing.T) {
	p384 := must(ecdsa.GenerateKey(elliptic.P384(), rand.Reader))
	ec, rs, ed := ecMembers(ecKey()), rsaMembers(rsaKey()), edMembers(edKey())
	zeros := func(n int) string { return text(make([]byte, n)) }
	with := func(name string, v any) map[string]any { return map[string]any{name: v} }
	for name, doc := range map[string][]byte{
		"nothing":                      nil,
		"text":                         []byte("secret"),
		"a secret":                     []byte(`{"kty":"oct","k":"AAAA"}`),
		"a secret with d":              []byte(`{"kty":"oct","k":"AAAA","d":"AAAA"}`),
		"a key set":                    []byte(`{"keys":[` + string(jwk(ec)) + `]}`),
		"two PEM blocks":               append(pkcs8(ecKey()), pkcs8(edKey())...),
		"a certificate":                inPEM("CERTIFICATE", []byte{0x30, 0}),
		"an encrypted key":             inPEM("ENCRYPTED PRIVATE KEY", []byte{0x30, 0}),
		"broken PKCS #8":               inPEM("PRIVATE KEY", []byte{0x30, 0}),
		"broken PKIX":                  inPEM("PUBLIC KEY", []byte{0x30, 0}),
		"P-384 in PKCS #8":             pkcs8(p384),
		"P-384 in PKIX":                pkix(&p384.PublicKey),
		"RSA of 1,024 bits":            pkcs8(rsaShort()),
		"RSA of 1,024 bits in PKIX":    pkix(&rsaShort().PublicKey),
		"RSA of 1,024 bits as JWK":     jwk(rsaMembers(rsaShort())),
		"JWK without kty":              jwk(ec, with("kty", nil)),
		"JWK of another kty":           jwk(ec, with("kty", "OKP")),
		"JWK of another curve":         jwk(ec, with("crv", "P-384")),
		"JWK with a member twice":      []byte(`{"kty":"EC",` + string(jwk(ec))[1:]),
		"public JWK without kid":       jwk(ec, with("d", nil)),
		"RSA with p but without d":     jwk(rs, with("d", nil), with("kid", "x")),
		"JWK whose d is a number":      jwk(ec, with("d", 7), with("kid", "x")),
		"EC with another's d":          jwk(ec, with("d", zeros(31)+"E")),
		"EC with another's x":          jwk(ec, with("x", zeros(32))),
		"EC without y":                 jwk(ec, with("y", nil)),
		"EC with a d of zero":          jwk(ec, with("d", zeros(32))),
		"EC with a short d":            jwk(ec, with("d", zeros(3))),
		"Ed25519 with another's x":     jwk(ed, with("x", zeros(32))),
		"Ed25519 with a short d":       jwk(ed, with("d", zeros(31))),
		"Ed25519 with padded d":        jwk(ed, with("d", ed["d"].(string)+"=")),
		"RSA with p alone":             jwk(rs, with("q", nil)),
		"RSA of n, e and another d":    jwk(rs, with("p", nil), with("q", nil), with("d", text(big.NewInt(65539).Bytes()))),
		"RSA of n, e and an even d":    jwk(rs, with("p", nil), with("q", nil), with("d", text(big.NewInt(65538).Bytes()))),
		"RSA of n, e and a d of one":   jwk(rs, with("p", nil), with("q", nil), with("d", text(big.NewInt(1).Bytes()))),
		"RSA of n, d and another e":    jwk(rs, with("p", nil), with("q", nil), with("e", text([]byte{3}))),
		"RSA of e, d and a prime":      jwk(rs, with("p", nil), with("q", nil), with("n", text(new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), 2203), big.NewInt(1)).Bytes()))),
		"RSA with another d":           jwk(rs, with("d", text(big.NewInt(65539).Bytes()))),
		"RSA with another e":           jwk(rs, with("e", text([]byte{3}))),
		"RSA with an e of 2^40":        jwk(rs, with("e", text([]byte{1, 0, 0, 0, 0, 1}))),
		"RSA with an e of zero":        jwk(rs, with("e", text([]byte{0}))),
		"RSA with one prime twice":     jwk(rs, with("q", rs["p"])),
		"RSA with n of 65,536 bits":    jwk(rs, with("n", text(bytes.Repeat([]byte{0xff}, 8192)))),
		"RSA with primes of zero":      jwk(rs, with("p", text([]byte{0})), with("q", text([]byte{0}))),
		"EC with the alg of another":   jwk(ec, with("d", nil), with("kid", "x"), with("alg", "RS256")),
		"public RSA for PS256":         jwk(rs, with("d", nil), with("p", nil), with("q", nil), with("kid", "x"), with("alg", "PS256")),
		"public key for encryption":    jwk(ec, with("d", nil), with("kid", "x"), with("use", "enc")),
		"a point that is on no curve":  jwk(ec, with("d", nil), with("kid", "x"), with("x", zeros(32))),
		"Ed25519 public key too short": jwk(ed, with("d", nil), with("kid", "x"), with("x", zeros(31))),
	} {
		f := newFixture(t)
		k := f.open()
		r, err := k.Import(t.Context(), doc, keyring.AtOnce, start.Add(time.Hour))
		if err == nil {
			t.Errorf("%s is taken, as %s key %s", name, r.Algorithm, r.ID)
			continue
		}
		if d, ok := ec["d"].(string); ok && strings.Contains(err.Error(), d) {
			t.Errorf("%s: the error quotes the key: %v", name, err)
		}
		if n := len(k.Records(t.Context())); n != 0 {
			t.Errorf("%s: %d keys were stored", name, n)
		}
	}
}

// TestKeyFilesSayWhatToDo: files that are no plain key are named, with the command
// that makes one of them.
func TestKeyFilesSayWhatToDo(t *testing.T) {
	old := pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: []byte{1, 2, 3},
		Headers: map[string]string{"Proc-Type": "4,ENCRYPTED", "DEK-Info": "AES-256-CBC,00112233445566778899AABBCCDDEEFF"}})
	for want, docs := range map[string][][]byte{
		"the key is encrypted: decrypt it first (openssl pkey": {inPEM("ENCRYPTED PRIVATE KEY", []byte{0x30, 0}), old},
		"is a certificate: ":     {inPEM("CERTIFICATE", []byte{0x30, 0})},
		"in the form of OpenSSH": {inPEM("OPENSSH PRIVATE KEY", []byte{0x30, 0})},
	} {
		for _, doc := range docs {
			if _, _, err := keyring.ParseKey(doc); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%.40q: got error %v, want one that says %q", doc, err, want)
			}
		}
	}
}

// TestPublishedSetHoldsPublicMembersAlone, of every kind of key and however it
// came.
func TestPublishedSetHoldsPublicMembersAlone(t *testing.T) {
	f := newFixture(t)
	k := f.open()
	for _, alg := range []latchkey.Algorithm{latchkey.ES256, latchkey.RS256, latchkey.EdDSA} {
		f.rotate(k, alg, keyring.Planned)
	}
	for _, doc := range [][]byte{jwk(ecMembers(ecKey())), jwk(rsaMembers(rsaKey())), pkcs8(edKey())} {
		if _, err := k.Import(t.Context(), doc, keyring.Planned, time.Time{}); err != nil {
			t.Fatal(err)
		}
	}
	var set map[string][]map[string]string
	if err := json.Unmarshal(k.JWKS(t.Context()), &set); err != nil {
		t.Fatal(err)
	}
	if len(set) != 1 || len(set["keys"]) != 6 {
		t.Fatalf("got members %v, want six keys alone", set)
	}
	public := map[string][]string{
		"EC":  {"kid", "use", "alg", "crv", "kty", "x", "y"},
		"RSA": {"kid", "use", "alg", "kty", "e", "n"},
		"OKP": {"kid", "use", "alg", "crv", "kty", "x"},
	}
	for _, key := range set["keys"] {
		want := public[key["kty"]]
		for _, name := range want {
			if key[name] == "" {
				t.Errorf("%s key has no %s", key["kty"], name)
			}
		}
		if len(key) != len(want) {
			t.Errorf("%s key has the members %v, want %v", key["kty"], key, want)
		}
	}
	for _, private := range []string{text(must(ecKey().Bytes())), text(rsaKey().D.Bytes()), text(edKey().Seed())} {
		if bytes.Contains(k.JWKS(t.Context()), []byte(private)) {
			t.Error("the set holds a private key")
		}
	}
}

func TestSecretSignsCompatibilityTokens(t *testing.T) {
	secret := keyring.Secret("gQ7xk2VvZ9pTn4Lr8Yw3Hc6Jd1Sf5Bm0")
	claims := fmt.Sprintf(`{"sub":"u1","exp":%d}`, start.Add(time.Hour).Unix())
	token, err := secret.Sign(t.Context(), "JWT", []byte(claims))
	if err != nil {
		t.Fatal(err)
	}
	verify := func(secret string) error {
		set := must(latchkey.NewKeySet(must(latchkey.NewHMACKey("", []byte(secret)))))
		v := must(latchkey.New(latchkey.Config{Keys: set, Legacy: true, Now: func() time.Time { return start }}))
		_, err := v.Verify(t.Context(), token)
		return err
	}
	if err := verify(string(secret)); err != nil {
		t.Error(err)
	}
	if err := verify("Another secret, of 32 bytes also"); !errors.Is(err, latchkey.ErrInvalidToken) {
		t.Errorf("with another secret: got %v, want ErrInvalidToken", err)
	}
	for _, typ := range []string{"", "at+jwt", "jwt"} {
		if token, err := secret.Sign(t.Context(), typ, []byte(claims)); err == nil {
			t.Errorf("typ %q is signed: %s", typ, token)
		}
	}
}

func FuzzParseKey(f *testing.F) {
	for _, doc := range [][]byte{
		pkcs8(ecKey()), pkcs8(edKey()), pkix(&ecKey().PublicKey), pkix(edKey().Public()),
		inPEM("EC PRIVATE KEY", must(x509.MarshalECPrivateKey(ecKey()))), inPEM("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(rsaKey())),
		jwk(ecMembers(ecKey())), jwk(edMembers(edKey())), jwk(rsaMembers(rsaKey())),
		jwk(ecMembers(ecKey()), map[string]any{"d": nil, "kid": "x"}),
		[]byte(`{"kty":"RSA","n":"AQ","e":"AQAB","d":"AQ","p":"","q":""}`), []byte(`{}`), nil,
	} {
		f.Add(doc)
	}
	f.Fuzz(func(t *testing.T, doc []byte) {
		signer, public, err := keyring.ParseKey(doc)
		switch {
		case err != nil:
		case (signer == nil) == (public == nil):
			t.Errorf("got signer %v and public key %v, want one of them", signer != nil, public != nil)
		case public != nil && public.ID() == "":
			t.Error("a public key without id: no token could name it")
		case public != nil:
			if _, err := latchkey.ParseJWKS([]byte(`{"keys":[` + string(public.AppendJWK(nil)) + `]}`)); err != nil {
				t.Errorf("a key that cannot be published: %v", err)
			}
		}
	})
}
