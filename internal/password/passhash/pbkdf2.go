package passhash

import (
	"crypto/pbkdf2"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"fmt"
	"hash"
	"strings"
)

// pbkdf2Hash is PBKDF2 with HMAC (RFC 8018).
type pbkdf2Hash struct {
	digest    string // of pbkdf2Digests
	rounds    int
	salt, key string
}

// pbkdf2Digests bounds the work: the rounds times the digests that make up the
// key. The most takes about a second.
var pbkdf2Digests = map[string]struct {
	prefix string
	new    func() hash.Hash
	size   int
	work   int
}{
	"sha1":   {"$pbkdf2$", sha1.New, sha1.Size, 6_000_000},
	"sha256": {"$pbkdf2-sha256$", sha256.New, sha256.Size, 6_000_000},
	"sha512": {"$pbkdf2-sha512$", sha512.New, sha512.Size, 2_000_000},
}

// readPBKDF2 reads ROUNDS / salt / key as passlib writes it, with a point for
// the plus sign of base64, and i=N,l=N / salt / key.
func readPBKDF2(digest string) func([]string) (form, error) {
	return func(parts []string) (form, error) {
		if len(parts) != 3 {
			return nil, errForm
		}
		if strings.HasPrefix(parts[0], "i=") {
			return readPBKDF2Params(digest, parts)
		}
		rounds, err := number(parts[0])
		if err != nil {
			return nil, err
		}
		salt, key, err := decodePair(strings.ReplaceAll(parts[1], ".", "+"), strings.ReplaceAll(parts[2], ".", "+"))
		if err != nil {
			return nil, err
		}
		return newPBKDF2(digest, rounds, salt, key)
	}
}

// readPBKDF2Params reads the fields i=4096,l=512 / salt / key. With SHA-512 they
// come from the system this one descends from. That system salted with the
// base64 text of its random bytes, as text. The field holds that text
// base64-encoded, but exports that hold the bare text are understood too:
// decoded, they are not base64 text. Random bytes as a salt for SHA-512 need
// the form with ROUNDS.
func readPBKDF2Params(digest string, parts []string) (form, error) {
	p, err := parseParams(parts[0], "i", "l")
	if err != nil {
		return nil, err
	}
	salt, key, err := decodePair(parts[1], parts[2])
	if err != nil {
		return nil, err
	}
	if len(key) != p[1] {
		return nil, fmt.Errorf("l=%d with a digest of %d bytes", p[1], len(key))
	}
	if digest == "sha512" {
		if len(salt) < minOldSalt {
			return nil, fmt.Errorf("a salt of %d bytes, want at least %d", len(salt), minOldSalt)
		}
		if !isBase64(salt) {
			salt = parts[1]
		}
	}
	return newPBKDF2(digest, p[0], salt, key)
}

// minOldSalt is the shortest salt text of the old system.
const minOldSalt = 8

func isBase64(s string) bool {
	_, err := decodeBase64(s)
	return err == nil
}

// readDjangoPBKDF2 reads ROUNDS / salt / key, where the salt is its own text.
func readDjangoPBKDF2(digest string) func([]string) (form, error) {
	return readPBKDF2Text(digest, decodeBase64)
}

// readWerkzeugPBKDF2 differs from Django's by a key in hex.
func readWerkzeugPBKDF2(digest string) func([]string) (form, error) {
	return readPBKDF2Text(digest, decodeHex)
}

func readPBKDF2Text(digest string, decode func(string) (string, error)) func([]string) (form, error) {
	return func(parts []string) (form, error) {
		if len(parts) != 3 {
			return nil, errForm
		}
		rounds, err := number(parts[0])
		if err != nil {
			return nil, err
		}
		key, err := decode(parts[2])
		if err != nil {
			return nil, err
		}
		return newPBKDF2(digest, rounds, parts[1], key)
	}
}

func newPBKDF2(digest string, rounds int, salt, key string) (form, error) {
	if err := checkLengths(salt, key); err != nil {
		return nil, err
	}
	d := pbkdf2Digests[digest]
	most := d.work / ((len(key) + d.size - 1) / d.size)
	if rounds < 1 || rounds > most {
		return nil, fmt.Errorf("PBKDF2 rounds %d: out of range (1 to %d for %s and a digest of %d bytes)", rounds, most, digest, len(key))
	}
	return pbkdf2Hash{digest, rounds, salt, key}, nil
}

// String writes i=N,l=N where the salt is one of the old system, because only
// there can that form be read in one way; else passlib's form.
func (h pbkdf2Hash) String() string {
	prefix, salt, key := pbkdf2Digests[h.digest].prefix, encodeBase64(h.salt), encodeBase64(h.key)
	if h.digest == "sha512" && len(h.salt) >= minOldSalt && isBase64(h.salt) {
		return fmt.Sprintf("%si=%d,l=%d$%s$%s", prefix, h.rounds, len(h.key), salt, key)
	}
	return strings.ReplaceAll(fmt.Sprintf("%s%d$%s$%s", prefix, h.rounds, salt, key), "+", ".")
}

func (h pbkdf2Hash) matches(password string) bool {
	key, err := pbkdf2.Key(pbkdf2Digests[h.digest].new, password, []byte(h.salt), h.rounds, len(h.key))
	return err == nil && equal(key, h.key) // an error is for lengths that Parse refuses
}
