package passhash

import (
	"bytes"
	"crypto/sha256"
	"crypto/sha512"
	"errors"
	"fmt"
	"hash"
	"strings"
)

// shaCryptHash is SHA-crypt, the $5$ and $6$ of /etc/shadow (Ulrich Drepper,
// "Unix crypt using SHA-256 and SHA-512", version 0.6).
type shaCryptHash struct {
	id        string // "5" (SHA-256) or "6" (SHA-512)
	rounds    int
	salt, key string // as they are written
}

// The specification's bounds are 1,000 and 999,999,999 rounds; a million takes
// half a second with a password of usual length.
const (
	minSHACrypt     = 1000
	defaultSHACrypt = 5000
	maxSHACrypt     = 1_000_000
	maxSHACryptSalt = 16
)

// Every round hashes the password up to three times. So a longer one than
// maxSHACryptPassword matches nothing, nor one that takes the rounds times its
// bytes over maxSHACryptWork, which is 1 to 1.5 s: with a million rounds it may
// have 268 bytes.
const (
	maxSHACryptPassword = 1024
	maxSHACryptWork     = 256 << 20
)

// shaCrypt64 is crypt's own base64.
const shaCrypt64 = "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

func readSHACrypt(id string) func([]string) (form, error) {
	return func(parts []string) (form, error) {
		h := shaCryptHash{id: id, rounds: defaultSHACrypt}
		if len(parts) == 3 {
			digits, ok := strings.CutPrefix(parts[0], "rounds=")
			n, err := number(digits)
			if !ok || err != nil {
				return nil, errForm
			}
			h.rounds, parts = n, parts[1:]
		}
		if len(parts) != 2 {
			return nil, errForm
		}
		h.salt, h.key = parts[0], parts[1]
		return h, h.check()
	}
}

func (h shaCryptHash) check() error {
	switch {
	case h.rounds < minSHACrypt || h.rounds > maxSHACrypt:
		return fmt.Errorf("SHA-crypt rounds %d: out of range (%d to %d)", h.rounds, minSHACrypt, maxSHACrypt)
	case h.salt == "":
		return errors.New("it has no salt; have its owner set a new password")
	case len(h.salt) > maxSHACryptSalt:
		return fmt.Errorf("a salt of %d characters, want at most %d", len(h.salt), maxSHACryptSalt)
	case strings.ContainsFunc(h.salt, func(r rune) bool { return r <= ' ' || r > '~' }):
		return errors.New("a salt that is not visible ASCII")
	case len(h.key) != len(h.encode(make([]byte, h.digest().Size()))) || strings.Trim(h.key, shaCrypt64) != "":
		return errForm
	}
	return nil
}

func (h shaCryptHash) String() string {
	if h.rounds == defaultSHACrypt {
		return "$" + h.id + "$" + h.salt + "$" + h.key
	}
	return fmt.Sprintf("$%s$rounds=%d$%s$%s", h.id, h.rounds, h.salt, h.key)
}

func (h shaCryptHash) digest() hash.Hash {
	if h.id == "5" {
		return sha256.New()
	}
	return sha512.New()
}

// sum hashes the parts one after the other.
func (h shaCryptHash) sum(parts ...[]byte) []byte {
	d := h.digest()
	for _, part := range parts {
		d.Write(part)
	}
	return d.Sum(nil)
}

func (h shaCryptHash) takes(password string) bool {
	return len(password) <= min(maxSHACryptPassword, maxSHACryptWork/h.rounds)
}

// matches follows the steps of the specification, whose numbers it gives.
func (h shaCryptHash) matches(password string) bool {
	if !h.takes(password) {
		return false
	}
	key, salt := []byte(password), []byte(h.salt)
	b := h.sum(key, salt, key)                         // 4 to 8
	parts := [][]byte{key, salt, stretch(b, len(key))} // 1 to 3, 9, 10
	for bits := len(key); bits > 0; bits >>= 1 {       // 11
		if bits&1 == 1 {
			parts = append(parts, b)
		} else {
			parts = append(parts, key)
		}
	}
	a := h.sum(parts...)                                             // 12
	p := stretch(h.sum(bytes.Repeat(key, len(key))), len(key))       // 13 to 16
	s := stretch(h.sum(bytes.Repeat(salt, 16+int(a[0]))), len(salt)) // 17 to 20
	return equal([]byte(h.encode(h.mix(a, p, s))), h.key)            // 22
}

// mix is step 21, the rounds.
func (h shaCryptHash) mix(sum, p, s []byte) []byte {
	d := h.digest()
	for i := range h.rounds {
		d.Reset()
		first, last := sum, p
		if i%2 == 1 {
			first, last = p, sum
		}
		d.Write(first)
		if i%3 != 0 {
			d.Write(s)
		}
		if i%7 != 0 {
			d.Write(p)
		}
		d.Write(last)
		sum = d.Sum(sum[:0])
	}
	return sum
}

// stretch repeats b to length n.
func stretch(b []byte, n int) []byte { return bytes.Repeat(b, n/len(b)+1)[:n] }

// encode writes the digest in groups of three bytes from its three thirds,
// which change places from group to group, in crypt's base64 with the low bits
// first; then what is left over.
func (h shaCryptHash) encode(sum []byte) string {
	third := len(sum) / 3
	a, b, c := 0, third, 2*third
	var text []byte
	group := func(high, middle, low byte, n int) {
		for w := uint(high)<<16 | uint(middle)<<8 | uint(low); n > 0; n-- {
			text = append(text, shaCrypt64[w&63])
			w >>= 6
		}
	}
	for range third {
		group(sum[a], sum[b], sum[c], 4)
		if h.id == "5" {
			a, b, c = c+1, a+1, b+1
		} else {
			a, b, c = b+1, c+1, a+1
		}
	}
	if h.id == "5" {
		group(0, sum[31], sum[30], 3)
	} else {
		group(0, 0, sum[63], 2)
	}
	return string(text)
}
