package keyring

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
	"encoding/base64"
	"errors"
	"fmt"
	"io"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"

	"github.com/latchkey-auth/latchkey"
	"github.com/latchkey-auth/latchkey/internal/strictjson"
)

var b64url = base64.RawURLEncoding

// A signer is a private key of one algorithm.
type signer interface {
	sign(input []byte) ([]byte, error)
	key() (*latchkey.Key, error) // the public key under its thumbprint
	crypto() crypto.PrivateKey   // for x509
}

type ecdsaSigner struct{ *ecdsa.PrivateKey }
type rsaSigner struct{ *rsa.PrivateKey }
type ed25519Signer struct{ ed25519.PrivateKey }

// rsaBits: RFC 7518 section 3.3 asks for 2048 at least.
const rsaBits = 2048

func generate(alg latchkey.Algorithm) (signer, error) {
	switch alg {
	case latchkey.ES256:
		k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		return ecdsaSigner{k}, err
	case latchkey.RS256:
		k, err := rsa.GenerateKey(rand.Reader, rsaBits)
		return rsaSigner{k}, err
	case latchkey.EdDSA:
		_, k, err := ed25519.GenerateKey(rand.Reader)
		return ed25519Signer{k}, err
	}
	return nil, fmt.Errorf("signing algorithm %q: must be ES256, RS256 or EdDSA", alg)
}

// signerOf wraps a private key as the standard library's parsers return it.
func signerOf(k any) (signer, error) {
	switch k := k.(type) {
	case *ecdsa.PrivateKey:
		if k.Curve != elliptic.P256() {
			return nil, fmt.Errorf("elliptic curve %s: only P-256 (ES256) can be used", k.Curve.Params().Name)
		}
		return ecdsaSigner{k}, nil
	case *rsa.PrivateKey:
		return rsaSigner{k}, k.Validate()
	case ed25519.PrivateKey:
		return ed25519Signer{k}, nil
	}
	return nil, fmt.Errorf("private key of type %T: must be EC P-256, RSA or Ed25519", k)
}

// sign returns the raw r and s, 32 bytes each (RFC 7518 section 3.4). The nonce
// follows from key and input (RFC 6979, as RFC 8725 section 3.2 asks for): a bad
// source of randomness cannot give the key away, and none is asked.
func (s ecdsaSigner) sign(input []byte) ([]byte, error) {
	digest := sha256.Sum256(input)
	der, err := s.Sign(nil, digest[:], crypto.SHA256)
	if err != nil {
		return nil, err
	}
	sig := make([]byte, 64)
	if err := rawSignature(sig, der); err != nil {
		return nil, err
	}
	return sig, nil
}

// rawSignature fills raw with the two numbers of an ASN.1 signature.
func rawSignature(raw, der []byte) error {
	var r, s []byte
	var inner cryptobyte.String
	outer := cryptobyte.String(der)
	if !outer.ReadASN1(&inner, asn1.SEQUENCE) || !inner.ReadASN1Integer(&r) || !inner.ReadASN1Integer(&s) ||
		len(r) > 32 || len(s) > 32 {
		return errors.New("malformed ASN.1 signature")
	}
	copy(raw[32-len(r):], r)
	copy(raw[64-len(s):], s)
	return nil
}

func (s rsaSigner) sign(input []byte) ([]byte, error) {
	digest := sha256.Sum256(input)
	return rsa.SignPKCS1v15(nil, s.PrivateKey, crypto.SHA256, digest[:])
}

func (s ed25519Signer) sign(input []byte) ([]byte, error) {
	return ed25519.Sign(s.PrivateKey, input), nil
}

func (s ecdsaSigner) crypto() crypto.PrivateKey   { return s.PrivateKey }
func (s rsaSigner) crypto() crypto.PrivateKey     { return s.PrivateKey }
func (s ed25519Signer) crypto() crypto.PrivateKey { return s.PrivateKey }

func (s ecdsaSigner) key() (*latchkey.Key, error)   { return publicKey("", &s.PublicKey) }
func (s rsaSigner) key() (*latchkey.Key, error)     { return publicKey("", &s.PublicKey) }
func (s ed25519Signer) key() (*latchkey.Key, error) { return publicKey("", s.Public()) }

// publicKey makes a verification key; an empty id becomes the RFC 7638 thumbprint.
func publicKey(id string, k any) (*latchkey.Key, error) {
	var new func(id string) (*latchkey.Key, error)
	switch k := k.(type) {
	case *ecdsa.PublicKey:
		if k.Curve != elliptic.P256() {
			return nil, errors.New("EC key must be on the curve P-256")
		}
		new = func(id string) (*latchkey.Key, error) { return latchkey.NewECDSAKey(id, k) }
	case *rsa.PublicKey:
		new = func(id string) (*latchkey.Key, error) { return latchkey.NewRSAKey(id, latchkey.RS256, k) }
	case ed25519.PublicKey:
		new = func(id string) (*latchkey.Key, error) { return latchkey.NewEd25519Key(id, k) }
	default:
		return nil, fmt.Errorf("public key of type %T: must be EC P-256, RSA or Ed25519", k)
	}
	key, err := new(id)
	if err != nil || id != "" {
		return key, err
	}
	return new(latchkey.Thumbprint(key))
}

// sign builds the compact serialisation (RFC 7515 section 7.1).
func sign(s signer, alg, kid, typ string, claims []byte) (string, error) {
	header := append([]byte(`{"alg":"`), alg...)
	header = append(header, `","typ":"`...)
	header = append(header, typ...)
	header = append(header, `","kid":`...)
	header = append(strictjson.AppendString(header, kid), '}')
	return serialize(header, claims, s.sign)
}

func serialize(header, claims []byte, sign func([]byte) ([]byte, error)) (string, error) {
	token := b64url.AppendEncode(make([]byte, 0, 1024), header)
	token = append(token, '.')
	token = b64url.AppendEncode(token, claims)
	sig, err := sign(token)
	if err != nil {
		return "", fmt.Errorf("signing token: %w", err)
	}
	token = append(token, '.')
	return string(b64url.AppendEncode(token, sig)), nil
}

// A Secret signs by HS256 with TOKEN_SECRET: the compatibility mode.
type Secret []byte

// Sign signs under the header of the system this one descends from. typ is
// part of that header and must be JWT.
func (s Secret) Sign(_ context.Context, typ string, claims []byte) (string, error) {
	header := []byte(`{"typ":"JWT","alg":"HS256"}`)
	if typ != "JWT" {
		return "", fmt.Errorf("type %q: a shared secret signs compatibility tokens only", typ)
	}
	return serialize(header, claims, func(input []byte) ([]byte, error) {
		mac := hmac.New(sha256.New, s)
		mac.Write(input)
		return mac.Sum(nil), nil
	})
}

// String, Format and MarshalText keep the secret out of logs, for every verb
// and handler: slog writes a []byte as it is.
func (s Secret) String() string               { return "[secret]" }
func (s Secret) Format(f fmt.State, _ rune)   { io.WriteString(f, s.String()) }
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }
