// Package password says which new passwords are taken, and hashes and checks
// passwords with bounded work. It knows no users: whose words a password must not
// hold is for the caller to say.
//
// Its subpackages know what a password hash is (passhash) and which passwords
// everybody tries first (leaked).
//
// Start at [Hasher] and [Rules].
package password

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/latchkey-auth/latchkey/internal/password/passhash"
)

const (
	// MinLength is the fewest characters a new password has, unless the operator
	// says otherwise.
	MinLength = 8
	// MaxLength is the longest password in bytes. Every byte of it counts; a longer
	// one is refused before any hashing.
	MaxLength = 1024
)

// Rules are what new passwords are held to. There are no rules of composition and
// no forced changes (NIST SP 800-63B section 3.1.1.2).
type Rules struct {
	// Min is the fewest characters; 0 is MinLength.
	Min int
	// Common reports whether everybody tries the password first; nil: nobody knows.
	Common func(password string) bool
	// Breached reports whether the password has been published; nil: nobody knows.
	Breached func(password string) (bool, error)
}

// A RuleError says which rule a password breaks, and how to do better: a sentence
// to stand behind the name of the member ("must have at least 8 characters").
type RuleError string

func (e RuleError) Error() string { return string(e) }

// CheckLength is the rule that needs no work and no look-up. RuleError.
func CheckLength(password string) error {
	if len(password) > MaxLength {
		return RuleError(fmt.Sprintf("must have at most %d bytes", MaxLength))
	}
	return nil
}

// Check says which rule a new password breaks, a RuleError. The owner's words are
// those that everybody knows of its owner, in any case. Any other error means that
// Breached has failed.
func (r Rules) Check(password string, ownersWords []string) error {
	if err := CheckLength(password); err != nil {
		return err
	}
	least := cmp.Or(r.Min, MinLength)
	switch {
	// One character may stand for many, or many for one: the fewer count.
	case min(utf8.RuneCountInString(password), utf8.RuneCountInString(passhash.Normalize(password))) < least:
		return RuleError(fmt.Sprintf("must have at least %d characters; a few random words make a good one", least))
	case r.Common != nil && r.Common(password):
		return RuleError("is one that is guessed first; a few random words make a better one")
	case holdsAny(password, ownersWords):
		return RuleError("must not hold your own name or address; a few random words make a better one")
	case r.Breached == nil:
		return nil
	}
	breached, err := r.Breached(password)
	if err != nil {
		return fmt.Errorf("looking up breached passwords: %w", err)
	}
	if breached {
		return RuleError("has been published in a leak of some other service; choose one that you use nowhere else")
	}
	return nil
}

// minWord is the fewest characters of a word that is looked for: "Al" is part of
// too many passwords.
const minWord = 4

// holdsAny reports whether the password holds one of the words, in any case and
// width.
func holdsAny(password string, words []string) bool {
	password = strings.ToLower(passhash.Normalize(password))
	return slices.ContainsFunc(words, func(word string) bool {
		word = strings.ToLower(passhash.Normalize(word))
		return utf8.RuneCountInString(word) >= minWord && strings.Contains(password, word)
	})
}
