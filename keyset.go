package latchkey

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"errors"
	"fmt"
	"math/big"

	"github.com/latchkey-auth/latchkey/internal/strictjson"
)

// A KeySet finds the key that a token names. Key returns [ErrKeyNotFound] when
// there is no such key: the token is refused. Any other error is an outage of
// the set itself, and [Verifier.Verify] passes it on as that. It must be safe
// for concurrent use, and return the same *Key for as long as the key is the same.
type KeySet interface {
	Key(ctx context.Context, id string, alg Algorithm) (*Key, error)
}

// A StaticKeySet is a fixed set of keys.
type StaticKeySet struct {
	keys []*Key
}

// NewKeySet returns a set of the keys. No two may share id and algorithm.
func NewKeySet(keys ...*Key) (*StaticKeySet, error) {
	if len(keys) == 0 {
		return nil, errors.New("key set is empty")
	}
	for i, k := range keys {
		if k == nil {
			return nil, fmt.Errorf("key %d of the set is nil", i+1)
		}
		for _, other := range keys[:i] {
			if k.id == other.id && k.alg == other.alg {
				return nil, fmt.Errorf("two %s keys have the id %q", k.alg, k.id)
			}
		}
	}
	return &StaticKeySet{append([]*Key(nil), keys...)}, nil
}

// Key returns the key with the id and algorithm. A token without kid is served
// by the set's only key of its algorithm, if it has just one.
func (s *StaticKeySet) Key(_ context.Context, id string, alg Algorithm) (*Key, error) {
	var only *Key
	n := 0
	for _, k := range s.keys {
		if k.alg != alg {
			continue
		}
		if k.id == id {
			return k, nil
		}
		only = k
		n++
	}
	if id == "" && n == 1 {
		return only, nil
	}
	return nil, ErrKeyNotFound
}

// Len returns the number of keys.
func (s *StaticKeySet) Len() int { return len(s.keys) }

// JWKS returns the public keys as a JWK set (RFC 7517 section 5). HMAC keys are
// left out.
func (s *StaticKeySet) JWKS() []byte {
	doc := []byte(`{"keys":[`)
	for _, k := range s.keys {
		if k.alg == HS256 {
			continue
		}
		if doc[len(doc)-1] == '}' {
			doc = append(doc, ',')
		}
		doc = k.AppendJWK(doc)
	}
	return append(doc, `]}`...)
}

const (
	maxJWKS = 64 << 10 // bytes
	maxKeys = 100
)

// ParseJWKS reads a JWK set (RFC 7517 section 5). Keys of types, curves or uses
// that are not ours are skipped, as the RFC asks; a set that holds private or
// secret members is refused, and so is one in which no key is left.
func ParseJWKS(doc []byte) (*StaticKeySet, error) {
	if len(doc) > maxJWKS {
		return nil, fmt.Errorf("key set has %d bytes: must have %d at most", len(doc), maxJWKS)
	}
	var keys []*Key
	found, n := false, 0
	err := strictjson.Object(string(doc), func(name string, v strictjson.Value) error {
		if name != "keys" {
			return nil
		}
		found = true
		return v.Elements(func(v strictjson.Value) error {
			if n++; n > maxKeys {
				return fmt.Errorf("more than %d keys", maxKeys)
			}
			k, err := parseJWK(v)
			if err != nil {
				return fmt.Errorf("key %d: %w", n, err)
			}
			if k != nil {
				keys = append(keys, k)
			}
			return nil
		})
	})
	switch {
	case err != nil:
		return nil, fmt.Errorf("parsing key set: %w", err)
	case !found:
		return nil, errors.New(`parsing key set: it has no member "keys"`)
	case len(keys) == 0:
		return nil, errors.New("parsing key set: it holds no public key for RS256, ES256 or EdDSA")
	}
	set, err := NewKeySet(keys...)
	if err != nil {
		return nil, fmt.Errorf("parsing key set: %w", err)
	}
	return set, nil
}

// jwk holds the members of a key that matter here (RFC 7517 section 4, RFC 7518
// section 6, RFC 8037 section 2).
type jwk struct {
	kid, kty, alg, use, crv, n, e, x, y string
}

// parseJWK returns nil for a key that is not for us.
func parseJWK(v strictjson.Value) (*Key, error) {
	if v.Kind() != strictjson.Members {
		return nil, errors.New("not a JSON object")
	}
	var j jwk
	members := map[string]*string{"kid": &j.kid, "kty": &j.kty, "alg": &j.alg, "use": &j.use, "crv": &j.crv, "n": &j.n, "e": &j.e, "x": &j.x, "y": &j.y}
	err := strictjson.Object(v.Raw(), func(name string, v strictjson.Value) error {
		switch name {
		case "d", "p", "q", "dp", "dq", "qi", "oth", "k":
			return fmt.Errorf("member %q belongs to a private or secret key; publish public keys only", name)
		}
		to := members[name]
		if to == nil {
			return nil
		}
		text, ok := v.Text()
		if !ok {
			return fmt.Errorf("member %q is not a string", name)
		}
		*to = text
		return nil
	})
	if err != nil || j.use != "" && j.use != "sig" {
		return nil, err
	}
	return j.key()
}

func (j jwk) key() (*Key, error) {
	var alg Algorithm
	switch {
	case j.kty == "RSA":
		alg = RS256
	case j.kty == "EC" && j.crv == "P-256":
		alg = ES256
	case j.kty == "OKP" && j.crv == "Ed25519":
		alg = EdDSA
	}
	if alg == "" || j.alg != "" && j.alg != string(alg) && !(alg == EdDSA && j.alg == "Ed25519") { // RFC 9864 names it so
		if alg != "" && contradicts(j.alg, alg) {
			return nil, fmt.Errorf("alg %q does not go with kty %q", j.alg, j.kty)
		}
		return nil, nil
	}
	switch alg {
	case RS256:
		return j.rsaKey()
	case ES256:
		return j.ecKey()
	}
	x, err := decodeMember("x", j.x)
	if err != nil {
		return nil, err
	}
	return NewEd25519Key(j.kid, x)
}

// contradicts reports an alg of ours on a key of another type: not a key for
// somebody else, but a mistake or an attempt at confusion.
func contradicts(alg string, want Algorithm) bool {
	switch Algorithm(alg) {
	case HS256, RS256, ES256, EdDSA:
		return Algorithm(alg) != want
	}
	return false
}

func (j jwk) rsaKey() (*Key, error) {
	n, err := decodeMember("n", j.n)
	if err != nil {
		return nil, err
	}
	e, err := decodeMember("e", j.e)
	if err != nil {
		return nil, err
	}
	if len(e) > 4 {
		return nil, errors.New("RSA exponent has more than 4 bytes")
	}
	return NewRSAKey(j.kid, &rsa.PublicKey{N: new(big.Int).SetBytes(n), E: int(new(big.Int).SetBytes(e).Int64())})
}

func (j jwk) ecKey() (*Key, error) {
	x, err := decodeMember("x", j.x)
	if err != nil {
		return nil, err
	}
	y, err := decodeMember("y", j.y)
	if err != nil {
		return nil, err
	}
	if len(x) != 32 || len(y) != 32 {
		return nil, errors.New("x and y must have 32 bytes each")
	}
	pub, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), append(append([]byte{4}, x...), y...))
	if err != nil {
		return nil, fmt.Errorf("point (x, y): %w", err)
	}
	return NewECDSAKey(j.kid, pub)
}

func decodeMember(name, text string) ([]byte, error) {
	b, err := decode(nil, text)
	if err != nil || len(b) == 0 {
		return nil, fmt.Errorf("member %q is not base64url", name)
	}
	return b, nil
}
