package auth

import (
	"errors"
	"fmt"

	"github.com/latchkey-auth/latchkey/internal/limit"
	"github.com/latchkey-auth/latchkey/internal/password"
)

// The errors a caller can tell apart with errors.Is. Everything else is a
// fault of our own.
var (
	// ErrInvalidCredentials covers an unknown name, a wrong password and a
	// disabled user alike, so that a stranger learns nothing.
	ErrInvalidCredentials = errors.New("invalid credentials")
	// ErrInvalidToken: the bearer token is good but its session or user is not.
	ErrInvalidToken = errors.New("session or user is gone")
	// ErrEmailNotVerified: the password is right, but the address is not proved.
	ErrEmailNotVerified = errors.New("e-mail address is not verified")
	// ErrRegistrationClosed: strangers may not create accounts here.
	ErrRegistrationClosed = errors.New("registration is closed")
	// ErrNoMail: this service sends no mail, and so cannot do what needs it.
	ErrNoMail = errors.New("no mail is sent")
	// ErrBusy: too many passwords are being checked. Try later.
	ErrBusy = password.ErrBusy
)

// A LimitError says that an attempt comes too soon, and when to try again.
type LimitError = limit.Error

// An InvalidError says which member of a request breaks which rule.
type InvalidError struct {
	Field  string // the member's name as callers write it, "username"
	Reason string // a sentence that says how to do better
}

func (e *InvalidError) Error() string { return e.Field + ": " + e.Reason }

func invalid(field, format string, args ...any) error {
	return &InvalidError{Field: field, Reason: fmt.Sprintf(format, args...)}
}

// invalidMember names the member of a request whose text another package refuses,
// in a sentence; nil when err is.
func invalidMember(field string, err error) error {
	if err == nil {
		return nil
	}
	return &InvalidError{Field: field, Reason: err.Error()}
}
