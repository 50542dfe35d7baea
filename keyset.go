package latchkey

import (
	"context"
	"errors"
	"fmt"
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
