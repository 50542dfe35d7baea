package auth

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// MinPassword is the fewest characters a new password has, unless the
// configuration says otherwise.
const MinPassword = 8

// PasswordRules are what new passwords are held to. There are no rules of
// composition and no forced changes (NIST SP 800-63B section 3.1.1.2).
type PasswordRules struct {
	// Min is the fewest characters; 0 is MinPassword.
	Min int
	// Common reports whether everybody tries the password first; nil: nobody knows.
	Common func(password string) bool
	// Breached reports whether the password has been published; nil: nobody knows.
	Breached func(password string) (bool, error)
}

// checkPasswordLength is what needs no work and no look-up.
func checkPasswordLength(password string) error {
	if len(password) > MaxPassword {
		return invalid("password", "must have at most %d bytes", MaxPassword)
	}
	return nil
}

// checkPassword says which rule a new password of the user breaks, and how to do
// better.
func (s *Service) checkPassword(password string, u User) error {
	if err := checkPasswordLength(password); err != nil {
		return err
	}
	rules := s.Passwords
	// One character may stand for many, or many for one: the fewer count.
	if min(utf8.RuneCountInString(password), utf8.RuneCountInString(normalize(password))) < rules.Min {
		return invalid("password", "must have at least %d characters; a few random words make a good one", rules.Min)
	}
	if rules.Common != nil && rules.Common(password) {
		return invalid("password", "is one that is guessed first; a few random words make a better one")
	}
	if holdsOwn(password, u) {
		return invalid("password", "must not hold your own name or address; a few random words make a better one")
	}
	if rules.Breached == nil {
		return nil
	}
	breached, err := rules.Breached(password)
	if err != nil {
		return fmt.Errorf("%w: looking up breached passwords: %w", ErrUnavailable, err)
	}
	if breached {
		return invalid("password", "has been published in a leak of some other service; choose one that you use nowhere else")
	}
	return nil
}

// ownWord is the fewest characters of a word that is looked for: "Al" is part of
// too many passwords.
const ownWord = 4

// holdsOwn reports whether the password holds what everybody knows of the user.
func holdsOwn(password string, u User) bool {
	password = strings.ToLower(normalize(password))
	own := strings.FieldsFunc(u.Name, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) })
	local, _, _ := strings.Cut(u.Email, "@")
	own = append(own, u.Email, local, u.Name, u.Username)
	own = append(own, strings.FieldsFunc(local, func(r rune) bool { return strings.ContainsRune(".+-_", r) })...)
	for _, word := range own {
		word = strings.ToLower(normalize(word))
		if utf8.RuneCountInString(word) >= ownWord && strings.Contains(password, word) {
			return true
		}
	}
	return false
}

// hashNew checks a new password of the user and hashes it.
func (s *Service) hashNew(ctx context.Context, password string, u User) (string, error) {
	if err := s.checkPassword(password, u); err != nil {
		return "", err
	}
	return s.hash(ctx, password)
}

// recordRefused records that the rules refused a new password, and returns why.
func (s *Service) recordRefused(ctx context.Context, e Event, why error) error {
	var refused *InvalidError
	if !errors.As(why, &refused) {
		return why
	}
	e.Outcome = OutcomeWeakPassword
	if err := s.Store.Commit(ctx, Batch{Events: []Event{e}}); err != nil {
		return fmt.Errorf("recording refused password: %w", err)
	}
	return why
}
