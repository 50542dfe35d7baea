package latchkey

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"hash"
	"math/big"
	"sync"

	"github.com/latchkey-auth/latchkey/internal/strictjson"
)

// An Algorithm is a signature algorithm of RFC 7518 or RFC 8037.
type Algorithm string

// The algorithms that tokens may be signed with.
const (
	HS256 Algorithm = "HS256"
	RS256 Algorithm = "RS256"
	ES256 Algorithm = "ES256"
	EdDSA Algorithm = "EdDSA" // with Ed25519; tokens and keys that say "Ed25519" (RFC 9864) count as it
)

// ed25519Name is how RFC 9864 section 2.2 calls EdDSA with the curve Ed25519. It
// is the same algorithm: a key verifies tokens of both spellings.
const ed25519Name Algorithm = "Ed25519"

// canonical returns the one name under which keys are kept.
func canonical(alg Algorithm) Algorithm {
	if alg == ed25519Name {
		return EdDSA
	}
	return alg
}

func isOurs(alg Algorithm) bool { return alg == HS256 || alg == RS256 || alg == ES256 || alg == EdDSA }

// minSecret is the shortest HMAC secret: as long as its hash (RFC 7518 section 3.2).
const minSecret = 32

// A Key verifies signatures of exactly one algorithm, so that no token can
// choose how a key is used (RFC 8725 section 3.1).
type Key struct {
	id  string
	alg Algorithm
	rsa *rsa.PublicKey
	ec  *ecdsa.PublicKey
	ed  ed25519.PublicKey
	mac *sync.Pool // of hash.Hash keyed with the secret
}

// ID returns the key's id, the "kid" of its tokens. It may be empty.
func (k *Key) ID() string { return k.id }

// Algorithm returns the one algorithm that the key verifies.
func (k *Key) Algorithm() Algorithm { return k.alg }

// NewHMACKey returns a key for HS256. The secret must have 32 bytes at least.
func NewHMACKey(id string, secret []byte) (*Key, error) {
	if len(secret) < minSecret {
		return nil, fmt.Errorf("HMAC secret has %d bytes: must have %d at least", len(secret), minSecret)
	}
	return NewInsecureHMACKey(id, secret)
}

// NewInsecureHMACKey returns a key for HS256 with a secret of any length but
// zero. Short secrets can be guessed offline from one token: use it to try out
// a system that has one, never to guard anything.
func NewInsecureHMACKey(id string, secret []byte) (*Key, error) {
	if len(secret) == 0 {
		return nil, errors.New("HMAC secret is empty")
	}
	secret = append([]byte(nil), secret...)
	return &Key{id: id, alg: HS256, mac: &sync.Pool{New: func() any { return hmac.New(sha256.New, secret) }}}, nil
}

// NewRSAKey returns a key for RS256. The modulus must have 2048 to 8192 bits.
func NewRSAKey(id string, pub *rsa.PublicKey) (*Key, error) {
	if pub == nil || pub.N == nil {
		return nil, errors.New("RSA key is empty")
	}
	if bits := pub.N.BitLen(); bits < 2048 || bits > 8192 {
		return nil, fmt.Errorf("RSA modulus has %d bits: must have 2048 to 8192", bits)
	}
	if pub.E < 3 || pub.E%2 == 0 || pub.E > 1<<31-1 || pub.N.Bit(0) == 0 {
		return nil, errors.New("RSA exponent and modulus must be odd, the exponent 3 to 2^31-1")
	}
	return &Key{id: id, alg: RS256, rsa: &rsa.PublicKey{N: new(big.Int).Set(pub.N), E: pub.E}}, nil
}

// NewECDSAKey returns a key for ES256. The curve must be P-256.
func NewECDSAKey(id string, pub *ecdsa.PublicKey) (*Key, error) {
	if pub == nil || pub.Curve != elliptic.P256() {
		return nil, errors.New("ECDSA key must be on the curve P-256")
	}
	//lint:ignore SA1019 Bytes would panic without them
	if pub.X == nil || pub.Y == nil {
		return nil, errors.New("ECDSA key is empty")
	}
	point, err := pub.Bytes() // refuses points that are not on the curve
	if err != nil {
		return nil, fmt.Errorf("ECDSA key: %w", err)
	}
	own, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), point)
	if err != nil {
		return nil, fmt.Errorf("ECDSA key: %w", err)
	}
	return &Key{id: id, alg: ES256, ec: own}, nil
}

// NewEd25519Key returns a key for EdDSA.
func NewEd25519Key(id string, pub ed25519.PublicKey) (*Key, error) {
	if len(pub) != ed25519.PublicKeySize {
		return nil, fmt.Errorf("Ed25519 key has %d bytes: must have %d", len(pub), ed25519.PublicKeySize)
	}
	return &Key{id: id, alg: EdDSA, ed: append(ed25519.PublicKey(nil), pub...)}, nil
}

// verify checks the signature of input by the key's own algorithm.
func (k *Key) verify(input, sig []byte) bool {
	switch k.alg {
	case HS256:
		return k.verifyMAC(input, sig)
	case RS256:
		digest := sha256.Sum256(input)
		return rsa.VerifyPKCS1v15(k.rsa, crypto.SHA256, digest[:], sig) == nil
	case ES256:
		return k.verifyECDSA(input, sig)
	case EdDSA:
		return len(sig) == ed25519.SignatureSize && ed25519.Verify(k.ed, input, sig)
	}
	return false
}

func (k *Key) verifyMAC(input, sig []byte) bool {
	mac := k.mac.Get().(hash.Hash)
	defer k.mac.Put(mac)
	mac.Reset()
	mac.Write(input)
	var sum [sha256.Size]byte
	return hmac.Equal(mac.Sum(sum[:0]), sig)
}

// verifyECDSA takes r and s of 32 bytes each (RFC 7518 section 3.4) and hands
// them on in ASN.1, the form that the standard library checks without big.Int.
func (k *Key) verifyECDSA(input, sig []byte) bool {
	if len(sig) != 64 {
		return false
	}
	var buf [72]byte
	der := append(buf[:0], 0x30, 0)
	der = appendInteger(der, sig[:32])
	der = appendInteger(der, sig[32:])
	der[1] = byte(len(der) - 2)
	digest := sha256.Sum256(input)
	return ecdsa.VerifyASN1(k.ec, digest[:], der) // refuses zero and values beyond the order
}

// appendInteger appends a big-endian number as ASN.1 INTEGER: minimal, with a
// zero byte before a set top bit.
func appendInteger(der, n []byte) []byte {
	for len(n) > 1 && n[0] == 0 {
		n = n[1:]
	}
	if n[0]&0x80 != 0 {
		return append(append(der, 0x02, byte(len(n)+1), 0), n...)
	}
	return append(append(der, 0x02, byte(len(n))), n...)
}

// AppendJWK appends the public key as JWK (RFC 7517) with kid, use and alg. An
// HMAC key is a secret and has no public form: nothing is appended.
func (k *Key) AppendJWK(dst []byte) []byte {
	if k.alg == HS256 {
		return dst
	}
	dst = append(dst, `{"kid":`...)
	dst = strictjson.AppendString(dst, k.id)
	dst = append(append(append(dst, `,"use":"sig","alg":"`...), k.alg...), `",`...)
	return append(k.appendMembers(dst), '}')
}

// appendMembers appends the required members of the key's type in the order of
// their names, which is the form that RFC 7638 section 3.2 hashes.
func (k *Key) appendMembers(dst []byte) []byte {
	b64 := base64.RawURLEncoding
	switch k.alg {
	case RS256:
		dst = b64.AppendEncode(append(dst, `"e":"`...), big.NewInt(int64(k.rsa.E)).Bytes())
		dst = b64.AppendEncode(append(dst, `","kty":"RSA","n":"`...), k.rsa.N.Bytes())
	case ES256:
		point, err := k.ec.Bytes()
		if err != nil { // NewECDSAKey has checked it
			panic(err)
		}
		dst = b64.AppendEncode(append(dst, `"crv":"P-256","kty":"EC","x":"`...), point[1:33])
		dst = b64.AppendEncode(append(dst, `","y":"`...), point[33:])
	case EdDSA:
		dst = b64.AppendEncode(append(dst, `"crv":"Ed25519","kty":"OKP","x":"`...), k.ed)
	}
	return append(dst, '"')
}

// Thumbprint returns the key's RFC 7638 SHA-256 thumbprint in base64url, a good
// id for it. An HMAC key has none: it would let its secret be guessed.
func Thumbprint(k *Key) string {
	if k.alg == HS256 {
		return ""
	}
	sum := sha256.Sum256(append(k.appendMembers([]byte("{")), '}'))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}
