package latchkey

import (
	"cmp"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strings"

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
	keys    []*Key
	skipped []SkippedKey // by ParseJWKS
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
	return &StaticKeySet{keys: append([]*Key(nil), keys...)}, nil
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

// A SkippedKey is a key of a set that verifies nothing.
type SkippedKey struct {
	Index  int    // where it stands in the set, from 1
	ID     string // its kid, if it has one that can be read
	Reason string
}

// String says which key it is, and why, in a form for logs: what comes from the
// set is bounded and quoted.
func (s SkippedKey) String() string {
	if s.ID == "" {
		return fmt.Sprintf("key %d: %s", s.Index, s.Reason)
	}
	return fmt.Sprintf("key %d (kid %s): %s", s.Index, shown(s.ID), s.Reason)
}

// Skipped returns the keys that [ParseJWKS] left out, in the order of the set.
// Log them once: a token that names one is refused, as if it were not there.
func (s *StaticKeySet) Skipped() []SkippedKey { return append([]SkippedKey(nil), s.skipped...) }

// ParseJWKS reads a JWK set. Keys that cannot be used are skipped, each for
// itself, and the others serve (RFC 7517 section 5): those of types, curves,
// algorithms and uses that are not ours, those whose members are missing,
// malformed or out of range, and those that share a kid and algorithm with
// another key, because such a kid names neither. Skipped lists them.
//
// A set is refused whole when it is not one strict JSON document, when it holds
// a private or secret member, and when no key is left.
func ParseJWKS(doc []byte) (*StaticKeySet, error) {
	if len(doc) > maxJWKS {
		return nil, fmt.Errorf("key set has %d bytes: must have %d at most", len(doc), maxJWKS)
	}
	var r setReader
	found := false
	err := strictjson.Object(string(doc), func(name string, v strictjson.Value) error {
		if name != "keys" {
			return nil
		}
		found = true
		return v.Elements(r.add)
	})
	switch {
	case err != nil:
		return nil, fmt.Errorf("parsing key set: %w", err)
	case !found:
		return nil, errors.New(`parsing key set: it has no member "keys"`)
	}
	return r.set()
}

// A setReader collects the keys of a set.
type setReader struct {
	n       int // keys seen
	read    []readKey
	skipped []SkippedKey
}

// A readKey is a good key and where it stands.
type readKey struct {
	*Key
	index int
}

// add reads one key. An error is about the whole set.
func (r *setReader) add(v strictjson.Value) error {
	if r.n++; r.n > maxKeys {
		return fmt.Errorf("more than %d keys", maxKeys)
	}
	j, fault, err := parseJWK(v)
	if err != nil {
		return fmt.Errorf("key %d: %w", r.n, err)
	}
	if fault == nil {
		var k *Key
		if k, fault = j.key(); fault == nil {
			r.read = append(r.read, readKey{k, r.n})
			return nil
		}
	}
	r.skip(r.n, j.kid, fault.Error())
	return nil
}

func (r *setReader) skip(index int, id, reason string) {
	r.skipped = append(r.skipped, SkippedKey{index, id, reason})
}

// set returns the set of the keys that are left.
func (r *setReader) set() (*StaticKeySet, error) {
	s := &StaticKeySet{}
	for i, k := range r.read {
		switch r.twin(i) {
		case another:
			r.skip(k.index, k.id, fmt.Sprintf("another %s key has the same kid, which names neither", k.alg))
		case same:
			r.skip(k.index, k.id, "stands in the set already")
		default:
			s.keys = append(s.keys, k.Key)
		}
	}
	slices.SortFunc(r.skipped, func(a, b SkippedKey) int { return a.Index - b.Index })
	s.skipped = r.skipped
	if len(s.keys) > 0 {
		return s, nil
	}
	const none = "parsing key set: it holds no public key for RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384 or EdDSA"
	if len(s.skipped) == 0 {
		return nil, errors.New(none)
	}
	reasons := make([]string, 0, maxReasons)
	for _, skipped := range s.skipped[:min(len(s.skipped), maxReasons)] {
		reasons = append(reasons, skipped.String())
	}
	return nil, errors.New(none + ": " + strings.Join(reasons, "; "))
}

// maxReasons bounds the error of a set in which no key is left.
const maxReasons = 5

// How a key relates to others of its kid and algorithm.
const (
	alone   = iota
	same    // it stands before
	another // there is another key
)

func (r *setReader) twin(i int) int {
	k, relation := r.read[i], alone
	for j, other := range r.read {
		switch {
		case other.id != k.id || other.alg != k.alg:
		case Thumbprint(other.Key) != Thumbprint(k.Key):
			return another
		case j < i:
			relation = same
		}
	}
	return relation
}

// jwk holds the members of a key that matter here (RFC 7517 section 4, RFC 7518
// section 6, RFC 8037 section 2).
type jwk struct {
	kid, kty, alg, use, crv, n, e, x, y string
}

// parseJWK reads the members. The fault is why this key is skipped; the error,
// why the set is refused. A fault does not end the search for private members.
func parseJWK(v strictjson.Value) (j jwk, fault, err error) {
	if v.Kind() != strictjson.Members {
		return j, errors.New("not a JSON object"), nil
	}
	members := map[string]*string{"kid": &j.kid, "kty": &j.kty, "alg": &j.alg, "use": &j.use, "crv": &j.crv, "n": &j.n, "e": &j.e, "x": &j.x, "y": &j.y}
	err = strictjson.Object(v.Raw(), func(name string, v strictjson.Value) error {
		switch name {
		case "d", "p", "q", "dp", "dq", "qi", "oth", "k":
			return fmt.Errorf("member %q belongs to a private or secret key; publish public keys only", name)
		case "key_ops":
			fault = cmp.Or(fault, checkOperations(v))
			return nil
		}
		to := members[name]
		if to == nil {
			return nil
		}
		text, ok := v.Text()
		if !ok {
			fault = cmp.Or(fault, fmt.Errorf("member %q is not a string", name))
		}
		*to = text
		return nil
	})
	if fault == nil && j.use != "" && j.use != "sig" {
		fault = fmt.Errorf("use is %s, not sig", shown(j.use))
	}
	return j, fault, err
}

// checkOperations wants "verify" among key_ops (RFC 7517 section 4.3).
func checkOperations(v strictjson.Value) error {
	verify := false
	err := v.Elements(func(v strictjson.Value) error {
		text, ok := v.Text()
		if !ok {
			return errors.New("not a string")
		}
		verify = verify || text == "verify"
		return nil
	})
	switch {
	case err != nil:
		return errors.New(`member "key_ops" is not an array of strings`)
	case !verify:
		return errors.New("key_ops does not hold verify")
	}
	return nil
}

// key makes the key, for the algorithm that the key names. Without one it is the
// usual one of its type: RS256 for RSA.
func (j jwk) key() (*Key, error) {
	usual, err := j.usualAlgorithm()
	if err != nil {
		return nil, err
	}
	alg := cmp.Or(canonical(Algorithm(j.alg)), usual)
	switch kind := kindOf(alg); {
	case kind.kty == "":
		return nil, fmt.Errorf("alg %s is not supported", shown(j.alg))
	case kind.kty != j.kty: // a mistake, or an attempt at confusion
		return nil, fmt.Errorf("alg %q does not go with kty %q", j.alg, j.kty)
	case j.kty == "EC" && alg != usual:
		return nil, fmt.Errorf("alg %q does not go with crv %q", j.alg, j.crv)
	}
	switch j.kty {
	case "RSA":
		return j.rsaKey(alg)
	case "EC":
		return j.ecKey(alg)
	}
	x, err := decodeMember("x", j.x)
	if err != nil {
		return nil, err
	}
	return NewEd25519Key(j.kid, x)
}

// usualAlgorithm is that of keys that name none: many issuers leave alg out.
func (j jwk) usualAlgorithm() (Algorithm, error) {
	switch {
	case j.kty == "RSA":
		return RS256, nil
	case j.kty == "EC" && j.crv == "P-256":
		return ES256, nil
	case j.kty == "EC" && j.crv == "P-384":
		return ES384, nil
	case j.kty == "OKP" && j.crv == "Ed25519":
		return EdDSA, nil
	case j.kty == "EC" || j.kty == "OKP":
		return "", fmt.Errorf("kty %s with crv %s is not supported", shown(j.kty), shown(j.crv))
	}
	return "", fmt.Errorf("kty %s is not supported", shown(j.kty))
}

func (j jwk) rsaKey(alg Algorithm) (*Key, error) {
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
	return NewRSAKey(j.kid, alg, &rsa.PublicKey{N: new(big.Int).SetBytes(n), E: int(new(big.Int).SetBytes(e).Int64())})
}

func (j jwk) ecKey(alg Algorithm) (*Key, error) {
	x, err := decodeMember("x", j.x)
	if err != nil {
		return nil, err
	}
	y, err := decodeMember("y", j.y)
	if err != nil {
		return nil, err
	}
	size, curve := coordinateSize(alg), elliptic.P256()
	if alg == ES384 {
		curve = elliptic.P384()
	}
	if len(x) != size || len(y) != size {
		return nil, fmt.Errorf("x and y must have %d bytes each", size)
	}
	pub, err := ecdsa.ParseUncompressedPublicKey(curve, append(append([]byte{4}, x...), y...))
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
