package latchkey

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
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
	HS256 Algorithm = "HS256" // of systems that share a secret
	RS256 Algorithm = "RS256"
	RS384 Algorithm = "RS384"
	RS512 Algorithm = "RS512"
	PS256 Algorithm = "PS256"
	PS384 Algorithm = "PS384"
	PS512 Algorithm = "PS512"
	ES256 Algorithm = "ES256"
	ES384 Algorithm = "ES384"
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

// An algKind says what an algorithm needs: the type of its keys, and its hash.
type algKind struct {
	kty  string // of RFC 7518 section 6 and RFC 8037 section 2
	hash crypto.Hash
}

// kindOf returns the zero value for algorithms that are not ours.
func kindOf(alg Algorithm) algKind {
	switch alg {
	case HS256:
		return algKind{"oct", crypto.SHA256}
	case RS256, PS256:
		return algKind{"RSA", crypto.SHA256}
	case RS384, PS384:
		return algKind{"RSA", crypto.SHA384}
	case RS512, PS512:
		return algKind{"RSA", crypto.SHA512}
	case ES256:
		return algKind{"EC", crypto.SHA256}
	case ES384:
		return algKind{"EC", crypto.SHA384}
	case EdDSA:
		return algKind{"OKP", 0} // signs the text itself
	}
	return algKind{}
}

func isOurs(alg Algorithm) bool { return kindOf(alg).kty != "" }

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

// NewRSAKey returns a key for RS256, RS384, RS512, PS256, PS384 or PS512. The
// modulus must have 2048 to 8192 bits.
func NewRSAKey(id string, alg Algorithm, pub *rsa.PublicKey) (*Key, error) {
	if kindOf(alg).kty != "RSA" {
		return nil, fmt.Errorf("algorithm %q of an RSA key must be RS256, RS384, RS512, PS256, PS384 or PS512", alg)
	}
	if pub == nil || pub.N == nil {
		return nil, errors.New("RSA key is empty")
	}
	if bits := pub.N.BitLen(); bits < 2048 || bits > 8192 {
		return nil, fmt.Errorf("RSA modulus has %d bits: must have 2048 to 8192", bits)
	}
	if pub.E < 3 || pub.E%2 == 0 || pub.E > 1<<31-1 || pub.N.Bit(0) == 0 {
		return nil, errors.New("RSA exponent and modulus must be odd, the exponent 3 to 2^31-1")
	}
	return &Key{id: id, alg: alg, rsa: &rsa.PublicKey{N: new(big.Int).Set(pub.N), E: pub.E}}, nil
}

// NewECDSAKey returns a key for ES256 if its curve is P-256, for ES384 if it is
// P-384. Other curves are refused.
func NewECDSAKey(id string, pub *ecdsa.PublicKey) (*Key, error) {
	var alg Algorithm
	switch {
	case pub == nil:
		return nil, errors.New("ECDSA key is empty")
	case pub.Curve == elliptic.P256():
		alg = ES256
	case pub.Curve == elliptic.P384():
		alg = ES384
	default:
		return nil, errors.New("ECDSA key must be on the curve P-256 or P-384")
	}
	//lint:ignore SA1019 Bytes would panic without them
	if pub.X == nil || pub.Y == nil {
		return nil, errors.New("ECDSA key is empty")
	}
	point, err := pub.Bytes() // refuses points that are not on the curve
	if err != nil {
		return nil, fmt.Errorf("ECDSA key: %w", err)
	}
	own, err := ecdsa.ParseUncompressedPublicKey(pub.Curve, point)
	if err != nil {
		return nil, fmt.Errorf("ECDSA key: %w", err)
	}
	return &Key{id: id, alg: alg, ec: own}, nil
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
	case RS256, RS384, RS512:
		var buf [sha512.Size]byte
		return rsa.VerifyPKCS1v15(k.rsa, kindOf(k.alg).hash, digest(buf[:0], k.alg, input), sig) == nil
	case PS256, PS384, PS512:
		var buf [sha512.Size]byte
		return rsa.VerifyPSS(k.rsa, kindOf(k.alg).hash, digest(buf[:0], k.alg, input), sig, &saltAsHash) == nil
	case ES256, ES384:
		return k.verifyECDSA(input, sig)
	case EdDSA:
		return len(sig) == ed25519.SignatureSize && ed25519.Verify(k.ed, input, sig)
	}
	return false
}

// saltAsHash: the salt is as long as the hash and no other length (RFC 7518
// section 3.5).
var saltAsHash = rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash}

// digest appends the hash that the algorithm signs.
func digest(dst []byte, alg Algorithm, input []byte) []byte {
	switch kindOf(alg).hash {
	case crypto.SHA384:
		sum := sha512.Sum384(input)
		return append(dst, sum[:]...)
	case crypto.SHA512:
		sum := sha512.Sum512(input)
		return append(dst, sum[:]...)
	}
	sum := sha256.Sum256(input)
	return append(dst, sum[:]...)
}

func (k *Key) verifyMAC(input, sig []byte) bool {
	mac := k.mac.Get().(hash.Hash)
	defer k.mac.Put(mac)
	mac.Reset()
	mac.Write(input)
	var sum [sha256.Size]byte
	return hmac.Equal(mac.Sum(sum[:0]), sig)
}

// verifyECDSA takes r and s of equal length (RFC 7518 section 3.4) and hands them
// on in ASN.1, the form that the standard library checks without big.Int.
func (k *Key) verifyECDSA(input, sig []byte) bool {
	size := coordinateSize(k.alg)
	if len(sig) != 2*size {
		return false
	}
	var buf [104]byte // 2 for the sequence, 2 + 1 + 48 for each number of P-384
	der := append(buf[:0], 0x30, 0)
	der = appendInteger(der, sig[:size])
	der = appendInteger(der, sig[size:])
	der[1] = byte(len(der) - 2)
	var sum [sha512.Size]byte
	return ecdsa.VerifyASN1(k.ec, digest(sum[:0], k.alg, input), der) // refuses zero and values beyond the order
}

// coordinateSize is how many bytes a number of the algorithm's curve has.
func coordinateSize(alg Algorithm) int {
	if alg == ES384 {
		return 48
	}
	return 32
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
	case RS256, RS384, RS512, PS256, PS384, PS512:
		dst = b64.AppendEncode(append(dst, `"e":"`...), big.NewInt(int64(k.rsa.E)).Bytes())
		dst = b64.AppendEncode(append(dst, `","kty":"RSA","n":"`...), k.rsa.N.Bytes())
	case ES256, ES384:
		point, err := k.ec.Bytes()
		if err != nil { // NewECDSAKey has checked it
			panic(err)
		}
		size := coordinateSize(k.alg)
		dst = append(append(append(dst, `"crv":"`...), k.ec.Params().Name...), `","kty":"EC","x":"`...)
		dst = b64.AppendEncode(dst, point[1:1+size])
		dst = b64.AppendEncode(append(dst, `","y":"`...), point[1+size:])
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
