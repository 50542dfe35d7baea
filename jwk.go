package latchkey

import (
	"cmp"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"errors"
	"fmt"
	"math/big"

	"github.com/latchkey-auth/latchkey/internal/strictjson"
)

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
