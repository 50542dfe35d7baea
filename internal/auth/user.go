package auth

import (
	"encoding/json"
	"strings"
	"time"
)

// A UserID names one user for ever: it is the "sub" of tokens and is never
// given to anybody else.
type UserID string

// A SessionID names one session; access tokens carry it as "sid".
type SessionID string

// User is one account.
type User struct {
	ID       UserID
	Username string // as written by its owner; unique by its [UsernameKey]
	Email    string // empty: none; unique by its [EmailKey]
	// EmailVerified: the owner has proved the address, or an operator vouches for it.
	EmailVerified bool
	// PendingEmail is to take the place of Email once it is proved; empty: none.
	PendingEmail string
	Name         string // for people to read, free text
	Scope        string // what the user may do: RFC 6749 scope tokens, separated by one space
	PasswordHash string // PHC string; empty: no password, nobody can log in with one
	Disabled     bool
	CreatedAt    time.Time
	UpdatedAt    time.Time
	// SessionsFrom ends sessions in one write: those whose Since is before it
	// are dead. It only ever grows, whatever becomes of the clock.
	SessionsFrom time.Time
	// Version counts the changes; an update is refused unless it is based on
	// the stored one.
	Version int64
}

// Session is one sign-in on one device: the family of its refresh tokens.
type Session struct {
	ID          SessionID
	UserID      UserID
	RefreshHash []byte // SHA-256 of the live refresh token's secret
	// PreviousHash is that of the token before, which was spent at RotatedAt,
	// and Rotations counts the spent ones.
	PreviousHash []byte
	RotatedAt    time.Time
	Rotations    int64
	Device       string // the User-Agent, shortened
	Address      string // the client's address
	CreatedAt    time.Time
	// Since is User.SessionsFrom as it was when the session began, or when its
	// user ended all the others from it.
	Since      time.Time
	LastUsedAt time.Time
	ExpiresAt  time.Time
	EndedAt    time.Time // zero: not ended
	// Version counts the changes, see User.Version.
	Version int64
}

// endSessions ends the user's sessions, those that begin by what was read of the
// user before, too.
func (u *User) endSessions(now time.Time) {
	next := u.SessionsFrom.Add(time.Microsecond) // as finely as stores keep it
	if now.After(next) {
		next = now
	}
	u.SessionsFrom = next
}

// alive reports whether the session may still be used by its user at now, when
// it ends after so long without use.
func (s Session) alive(u User, now time.Time, idle time.Duration) bool {
	return s.UserID == u.ID && !u.Disabled && s.EndedAt.IsZero() &&
		now.Before(s.ExpiresAt) && now.Sub(s.LastUsedAt) < idle && !s.Since.Before(u.SessionsFrom)
}

// greeting is the name for mail to an address of the user: none before that
// address is proved, because until then a stranger may have chosen the name to
// have our mail say something.
func (u User) greeting(to string) string {
	if !u.EmailVerified || to != u.Email {
		return ""
	}
	return u.Name
}

const (
	maxScope  = 2048
	maxDevice = 256 // bytes
	maxID     = 64  // bytes, of a session or ticket
	maxCode   = 64  // bytes, of a code as people type it
)

// The most bytes that members of requests have, for callers that refuse longer
// ones before they do anything with them. The domain checks them all the same,
// each before any other work. Package identifier has those of names and addresses.
const (
	MaxCode = maxCode
	// MaxToken is of refresh tokens and the tokens of links.
	MaxToken = maxID + 1 + secretText
)

// CleanScope checks scope tokens (RFC 6749 section 3.3) and joins them by one space.
func CleanScope(scope string) (string, error) {
	if len(scope) > maxScope {
		return "", invalid("scope", "must have at most %d bytes", maxScope)
	}
	scope = strings.Join(strings.Fields(scope), " ")
	for _, c := range []byte(scope) {
		if c != ' ' && (c < '!' || c > '~' || c == '"' || c == '\\') {
			return "", invalid("scope", `must be words of visible ASCII without " and \, separated by spaces`)
		}
	}
	return scope, nil
}

// MarshalJSON shows a user to operators, without the password hash.
func (u User) MarshalJSON() ([]byte, error) {
	return json.Marshal(map[string]any{
		"id": u.ID, "username": u.Username, "email": u.Email, "name": u.Name,
		"scope": u.Scope, "disabled": u.Disabled, "has_password": u.PasswordHash != "",
		"created_at": u.CreatedAt.UTC(), "updated_at": u.UpdatedAt.UTC(),
	})
}

// String keeps the password hash out of logs.
func (u User) String() string {
	return strings.TrimSpace("user " + string(u.ID) + " " + u.Username)
}
