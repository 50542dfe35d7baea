package auth

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"unicode"

	"github.com/latchkey-auth/latchkey/internal/attempt"
	"github.com/latchkey-auth/latchkey/internal/password"
	"github.com/latchkey-auth/latchkey/internal/storage"
)

// checkPassword says which rule a new password of the user breaks, and how to do
// better. *InvalidError, ErrUnavailable.
func (s *Service) checkPassword(chosen string, u storage.User) error {
	err := s.Passwords.Check(chosen, ownWords(u))
	var broken password.RuleError
	if err == nil || errors.As(err, &broken) {
		return invalidMember("password", err)
	}
	return fmt.Errorf("%w: %w", storage.ErrUnavailable, err)
}

// ownWords are what everybody knows of the user: no password holds one of them.
func ownWords(u storage.User) []string {
	own := strings.FieldsFunc(u.Name, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) })
	local, _, _ := strings.Cut(u.Email, "@")
	own = append(own, u.Email, local, u.Name, u.Username)
	return append(own, strings.FieldsFunc(local, func(r rune) bool { return strings.ContainsRune(".+-_", r) })...)
}

// hashNew checks a new password of the user and hashes it.
func (s *Service) hashNew(ctx context.Context, password string, u storage.User) (string, error) {
	if err := s.checkPassword(password, u); err != nil {
		return "", err
	}
	return s.hash(ctx, password)
}

// recordRefused records that the rules refused a new password, and returns why. No limit
// stands against it: those of one network are coalesced.
func (s *Service) recordRefused(ctx context.Context, e storage.Event, why error) error {
	var refused *InvalidError
	if !errors.As(why, &refused) {
		return why
	}
	e.Outcome = storage.OutcomeWeakPassword
	if err := s.repeats.Record(ctx, "weak password "+string(e.Kind)+" "+string(e.UserID)+" "+attempt.Network(e.Address), e); err != nil {
		return err
	}
	return why
}

// hash is Hasher.Hash. ErrUnavailable when the store is not there meanwhile.
func (s *Service) hash(ctx context.Context, password string) (string, error) {
	ctx, done := s.outages.Watch(ctx)
	defer done()
	return s.Hasher.Hash(ctx, password)
}

// verify is Hasher.Verify. ErrUnavailable when the store is not there meanwhile.
func (s *Service) verify(ctx context.Context, hash, password string) (ok, weak bool, err error) {
	ctx, done := s.outages.Watch(ctx)
	defer done()
	return s.Hasher.Verify(ctx, hash, password)
}
