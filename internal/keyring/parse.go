package keyring

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"strings"

	"github.com/latchkey-auth/latchkey"
	"github.com/latchkey-auth/latchkey/internal/strictjson"
)

// ParseKey reads one key from PEM (PKCS #8, PKCS #1, SEC 1, PKIX) or a JWK. A
// private key is returned as signer, a public one as key.
func ParseKey(doc []byte) (signer, *latchkey.Key, error) {
	doc = bytes.TrimSpace(doc)
	if bytes.HasPrefix(doc, []byte("{")) {
		return parseJWK(string(doc))
	}
	block, rest := pem.Decode(doc)
	if block != nil && block.Type == "EC PARAMETERS" { // openssl ecparam -genkey puts them first
		block, rest = pem.Decode(rest)
	}
	switch {
	case block == nil:
		return nil, nil, errors.New("neither PEM nor a JWK")
	case len(bytes.TrimSpace(rest)) > 0:
		return nil, nil, errors.New("holds more than one PEM block; give one key")
	}
	return parsePEM(block)
}

func parsePEM(block *pem.Block) (signer, *latchkey.Key, error) {
	var k any
	var err error
	if block.Headers["DEK-Info"] != "" || strings.Contains(block.Headers["Proc-Type"], "ENCRYPTED") { // RFC 1421
		return nil, nil, errEncrypted
	}
	switch block.Type {
	case "PRIVATE KEY":
		k, err = x509.ParsePKCS8PrivateKey(block.Bytes)
	case "RSA PRIVATE KEY":
		k, err = x509.ParsePKCS1PrivateKey(block.Bytes)
	case "EC PRIVATE KEY":
		k, err = x509.ParseECPrivateKey(block.Bytes)
	case "PUBLIC KEY":
		if k, err = x509.ParsePKIXPublicKey(block.Bytes); err == nil {
			public, err := publicKey("", k)
			return nil, public, err
		}
	case "ENCRYPTED PRIVATE KEY":
		return nil, nil, errEncrypted
	case "CERTIFICATE":
		return nil, nil, errors.New("the file is a certificate: take the public key out of it first (openssl x509 -in FILE -pubkey -noout)")
	case "OPENSSH PRIVATE KEY":
		return nil, nil, errors.New("the key is in the form of OpenSSH: write a copy of it as PKCS #8 first (ssh-keygen -p -m PKCS8 -f COPY)")
	case "RSA PUBLIC KEY":
		if k, err = x509.ParsePKCS1PublicKey(block.Bytes); err == nil {
			public, err := publicKey("", k)
			return nil, public, err
		}
	default:
		return nil, nil, fmt.Errorf("PEM block %q: want PRIVATE KEY or PUBLIC KEY", block.Type)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("parsing %s: %w", block.Type, err)
	}
	private, err := signerOf(k)
	if err != nil {
		return nil, nil, err
	}
	_, err = private.key() // too short an RSA key, say
	return private, nil, err
}

var errEncrypted = errors.New("the key is encrypted: decrypt it first (openssl pkey -in FILE)")

// parseJWK reads RFC 7518 section 6 and RFC 8037 section 2 keys. The kid of a
// public key is kept, because its tokens name it; private keys get ours.
func parseJWK(doc string) (signer, *latchkey.Key, error) {
	m, err := jwkMembers(doc)
	if err != nil {
		return nil, nil, err
	}
	if m["d"] == "" {
		set, err := latchkey.ParseJWKS([]byte(`{"keys":[` + doc + `]}`))
		if err != nil {
			return nil, nil, err
		}
		for _, alg := range []latchkey.Algorithm{latchkey.ES256, latchkey.RS256, latchkey.EdDSA} {
			k, err := set.Key(context.Background(), m["kid"], alg)
			if err == nil && k.ID() == "" {
				return nil, nil, errors.New("a public JWK needs a kid: its tokens name it")
			}
			if err == nil {
				return nil, k, nil
			}
		}
		return nil, nil, errors.New("a public JWK must be for ES256, RS256 or EdDSA")
	}
	private, err := privateJWK(m)
	if err != nil {
		return nil, nil, fmt.Errorf("reading private JWK: %w", err)
	}
	_, err = private.key()
	return private, nil, err
}

func jwkMembers(doc string) (map[string]string, error) {
	m := make(map[string]string)
	err := strictjson.Object(doc, func(name string, v strictjson.Value) error {
		if text, ok := v.Text(); ok {
			m[name] = text
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("reading JWK: %w", err)
	}
	if m["kty"] == "" {
		return nil, errors.New("JWK has no kty; of a key set, give one key")
	}
	return m, nil
}

func privateJWK(m map[string]string) (signer, error) {
	bin := func(name string) []byte {
		b, err := b64url.Strict().DecodeString(m[name])
		if err != nil {
			return nil // each key type refuses what is missing
		}
		return b
	}
	switch {
	case m["kty"] == "EC" && m["crv"] == "P-256":
		k, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), bin("d"))
		if err != nil {
			return nil, err
		}
		point := append(append([]byte{4}, bin("x")...), bin("y")...)
		if public, err := k.PublicKey.Bytes(); err != nil || !bytes.Equal(public, point) {
			return nil, errors.New("x and y do not belong to d")
		}
		return ecdsaSigner{k}, nil
	case m["kty"] == "OKP" && m["crv"] == "Ed25519":
		if len(bin("d")) != ed25519.SeedSize {
			return nil, errors.New("d must hold 32 bytes")
		}
		k := ed25519.NewKeyFromSeed(bin("d"))
		if !bytes.Equal(k.Public().(ed25519.PublicKey), bin("x")) {
			return nil, errors.New("x does not belong to d")
		}
		return ed25519Signer{k}, nil
	case m["kty"] == "RSA" && (m["p"] == "") != (m["q"] == ""):
		return nil, errors.New("p or q is missing: give both or none")
	case m["kty"] == "RSA":
		return rsaJWK(bin, m["p"] == "")
	}
	return nil, fmt.Errorf("kty %q crv %q: must be EC P-256, RSA or OKP Ed25519", m["kty"], m["crv"])
}

// rsaJWK finds the primes where the key is bare: n, e and d alone.
func rsaJWK(bin func(string) []byte, bare bool) (signer, error) {
	num := func(name string) *big.Int { return new(big.Int).SetBytes(bin(name)) }
	e := num("e")
	if !e.IsInt64() || e.Int64() > 1<<31-1 {
		return nil, errors.New("e is out of range")
	}
	k := &rsa.PrivateKey{
		PublicKey: rsa.PublicKey{N: num("n"), E: int(e.Int64())},
		D:         num("d"),
		Primes:    []*big.Int{num("p"), num("q")},
	}
	if n := k.N.BitLen(); n < rsaBits || n > 8192 {
		return nil, fmt.Errorf("n has %d bits: must be %d to 8192", n, rsaBits)
	}
	if bare {
		var err error
		if k.Primes[0], k.Primes[1], err = factor(k.N, e, k.D); err != nil {
			return nil, err
		}
	}
	if err := k.Validate(); err != nil {
		return nil, err
	}
	k.Precompute()
	return rsaSigner{k}, nil
}
