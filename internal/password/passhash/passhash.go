// Package passhash reads, checks and writes password hashes: the argon2id that
// this program makes, and what the systems made from which people come.
//
// A hash is imported as it is and replaced when its owner logs in, so that
// nobody needs a new password. Parse reads every spelling and is the only way
// to a foreign Hash; it refuses what would cost a core of its own more than two
// seconds, or 256 MiB, to check, because a planted hash must not stop the service:
// BenchmarkDearest. Every Hash has one canonical spelling, which is
// the one to store.
//
// Start at Parse; spellings.go lists what it reads.
package passhash

import (
	"crypto/subtle"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/text/unicode/norm"
)

// A Hash is a password hash that this program can check. Hashes are comparable
// with ==. The zero Hash matches no password.
type Hash struct{ form form }

// A form is one family of hashes with its salt and key. Forms are comparable.
type form interface {
	// matches reports whether the hash is that of these very bytes. It
	// compares in constant time.
	matches(password string) bool
	// String returns the canonical spelling, which Parse reads as this form.
	String() string
}

// maxText bounds what Parse looks at. The longest hash has a salt of maxSalt
// and a key of maxKey bytes, both in base64.
const (
	maxText = 8 << 10
	maxSalt = 3 << 10
	minKey  = 16
	maxKey  = 1 << 10
)

// Parse reads a hash in any of the spellings that this program knows. The error
// says what is wrong with s without quoting its salt or key.
func Parse(s string) (Hash, error) {
	f, err := parse(s)
	if err != nil {
		return Hash{}, fmt.Errorf("not a hash this program can check: %w", err)
	}
	return Hash{f}, nil
}

func parse(s string) (form, error) {
	if len(s) > maxText {
		return nil, fmt.Errorf("it has %d bytes, at most %d are read", len(s), maxText)
	}
	s = unwrap(s)
	for _, spelling := range spellings {
		rest, ok := strings.CutPrefix(s, spelling.prefix)
		if !ok {
			continue
		}
		f, err := spelling.read(strings.Split(rest, "$"))
		if errors.Is(err, errForm) {
			return nil, fmt.Errorf("want the form %s%s", spelling.prefix, spelling.rest)
		}
		return f, err
	}
	for _, read := range bare {
		if f, ok, err := read(s); ok {
			return f, err
		}
	}
	return nil, refusal(s)
}

// bare are the spellings without a prefix. Each is told by its length and form.
var bare = []func(string) (f form, ok bool, err error){readASPNet, readNodeScrypt}

// errForm says that the parts are not those of the spelling.
var errForm = errors.New("another form")

// Matches reports whether the password is the one that was hashed. The caller
// bounds its length.
//
// Our own hashes are of the normalized password. The systems that made the
// others did not normalize, so that these are tried on the bytes as they came
// first. Each falls back to the other reading: argon2id may come from
// elsewhere, and a keyboard may compose what the old one did not.
func (h Hash) Matches(password string) bool {
	if h.form == nil {
		return false
	}
	first, second := password, Normalize(password)
	if first == second {
		return h.form.matches(first)
	}
	if h.argon2id() {
		first, second = second, first
	}
	return h.form.matches(first) || h.form.matches(second)
}

// String returns the canonical spelling: Parse(h.String()) equals h. It is as
// secret as the hash itself, so keep it out of logs.
func (h Hash) String() string {
	if h.form == nil {
		return ""
	}
	return h.form.String()
}

// Normalize maps a password to NFKC, so that an é typed as one character or as
// two logs in alike on every keyboard (NIST SP 800-63B section 3.1.1.2).
func Normalize(password string) string { return norm.NFKC.String(password) }

// equal compares in constant time. An empty key equals nothing.
func equal(derived []byte, key string) bool {
	return len(key) > 0 && subtle.ConstantTimeCompare(derived, []byte(key)) == 1
}

// checkLengths bounds salt and key. A hash without salt is refused: one table
// would break all of them.
func checkLengths(salt, key string) error {
	switch {
	case salt == "":
		return errors.New("it has no salt; have its owner set a new password")
	case len(salt) > maxSalt:
		return fmt.Errorf("a salt of %d bytes, at most %d are read", len(salt), maxSalt)
	case len(key) < minKey || len(key) > maxKey:
		return fmt.Errorf("a digest of %d bytes, want %d to %d", len(key), minKey, maxKey)
	}
	return nil
}
