package passhash

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"strings"

	"golang.org/x/crypto/bcrypt"
)

// bcryptHash is bcrypt of the password, or of a text made of it, so that more than
// 72 bytes count.
type bcryptHash struct {
	letter string // of $2a$, $2b$ or $2y$: three names of one algorithm
	cost   int
	tail   string // salt and key in bcrypt's base64
	over   digested
}

// digested is what bcrypt is made of in place of the password.
type digested string

const (
	plain     digested = ""
	django    digested = "bcrypt_sha256$" // the hex text of its SHA-256
	wordPress digested = "$wp"            // the base64 of its HMAC-SHA-384, without outer blanks (WordPress 6.8)
)

func (d digested) of(password string) string {
	switch d {
	case django:
		sum := sha256.Sum256([]byte(password))
		return hex.EncodeToString(sum[:])
	case wordPress:
		mac := hmac.New(sha512.New384, []byte("wp-sha384"))
		mac.Write([]byte(strings.Trim(password, " \t\n\r\x00\x0B"))) // PHP's trim
		return base64.StdEncoding.EncodeToString(mac.Sum(nil))
	}
	return password
}

// maxBcrypt bounds the cost: 14 takes about a second, each more doubles it.
const (
	minBcrypt = 4
	maxBcrypt = 14
)

// The text of a salt of 16 bytes, followed by that of a key of 23.
const (
	bcryptSalt = 22
	bcryptTail = 53
)

var bcrypt64 = base64.NewEncoding("./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789").WithPadding(base64.NoPadding)

// readBcrypt reads letter / cost / salt and key. $2x$ is not read: it marks
// hashes of a faulty program.
func readBcrypt(over digested) func([]string) (form, error) {
	return func(parts []string) (form, error) {
		if len(parts) != 3 || !strings.Contains("aby", parts[0]) || len(parts[0]) != 1 || len(parts[1]) != 2 {
			return nil, errForm
		}
		cost, err := number(strings.TrimPrefix(parts[1], "0"))
		if err != nil {
			return nil, err
		}
		if cost < minBcrypt || cost > maxBcrypt {
			return nil, fmt.Errorf("bcrypt cost %d: out of range (%d to %d)", cost, minBcrypt, maxBcrypt)
		}
		tail, err := canonicalBcrypt(parts[2])
		if err != nil {
			return nil, err
		}
		return bcryptHash{parts[0], cost, tail, over}, nil
	}
}

// canonicalBcrypt clears the bits after the last byte of salt and key, which
// some programs fill at random.
func canonicalBcrypt(tail string) (string, error) {
	if len(tail) != bcryptTail || strings.ContainsAny(tail, "\r\n") {
		return "", errForm
	}
	salt, err1 := bcrypt64.DecodeString(tail[:bcryptSalt])
	key, err2 := bcrypt64.DecodeString(tail[bcryptSalt:])
	if err1 != nil || err2 != nil {
		return "", errForm
	}
	return bcrypt64.EncodeToString(salt) + bcrypt64.EncodeToString(key), nil
}

func (h bcryptHash) String() string {
	return string(h.over) + h.bare()
}

func (h bcryptHash) bare() string { return fmt.Sprintf("$2%s$%02d$%s", h.letter, h.cost, h.tail) }

// matches considers the first 72 bytes, as bcrypt does everywhere.
func (h bcryptHash) matches(password string) bool {
	return bcrypt.CompareHashAndPassword([]byte(h.bare()), []byte(h.over.of(password))) == nil
}
