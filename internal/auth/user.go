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

// A User is one account. Stores keep it as two items, each with a version of its own:
// the profile, and the sign-in, which is what signing in depends on. So a change of the
// name and a login never meet on one item.
type User struct {
	// The profile.

	ID       UserID
	Username string // as written by its owner; unique by its [UsernameKey]
	Email    string // empty: none; unique by its [EmailKey]
	Name     string // for people to read, free text
	Scope    string // what the user may do: RFC 6749 scope tokens, separated by one space
	// Roles and Attributes are what an operator says of the user.
	Roles      []string
	Attributes map[string]string
	CreatedAt  time.Time
	// Version counts the changes of the profile; an update is refused unless it is
	// based on the stored one.
	Version int64

	// The sign-in.

	PasswordHash string // PHC string; empty: no password, nobody can log in with one
	Disabled     bool
	// EmailVerified: the owner has proved the address, or an operator vouches for it.
	EmailVerified bool
	// PendingEmail is to take the place of Email once it is proved; empty: none.
	PendingEmail string
	// Epoch moves when something is taken away from whoever has signed in: by a new
	// password, a disabled account, ended sessions. Sessions and tokens of an earlier
	// one are dead. It is a number, so that no clock decides.
	Epoch int64
	// EpochAt is when it moved last. Tokens of the system this one descends from go by
	// it: they have no epoch.
	EpochAt time.Time
	// Rights moves when a scope, a role or an attribute is taken away, or an attribute
	// changes. It ends no session, only the tokens that were minted before.
	Rights int64
	// SignInVersion is the Version of the sign-in.
	SignInVersion int64

	// UpdatedAt is when either was changed last. Stores keep one for each.
	UpdatedAt time.Time
}

// profile is what is stored of a profile and can be changed.
type profile struct {
	username, email, name, scope string
	roles                        []string
	attributes                   map[string]string
	createdAt                    int64
}

func (u User) profile() profile {
	return profile{u.Username, u.Email, u.Name, u.Scope, u.Roles, u.Attributes, u.CreatedAt.UnixMicro()}
}

// signIn is what is stored of a sign-in and can be changed.
type signIn struct {
	passwordHash            string
	disabled, emailVerified bool
	pendingEmail            string
	epoch, epochAt, rights  int64
}

func (u User) signIn() signIn {
	return signIn{u.PasswordHash, u.Disabled, u.EmailVerified, u.PendingEmail, u.Epoch, u.EpochAt.UnixMicro(), u.Rights}
}

// A CredentialKey names a credential for ever: its kind, and by what that finds it, such
// as an issuer with the subject there, or the id of a passkey.
type CredentialKey string

// A Credential is something that proves a user besides the password: an identity at a
// provider, a passkey, the seed of one-time codes. No two users have one of the same key.
// Whoever deletes a user deletes its credentials in the same commit.
//
// The password is none: every login reads it, and it stays in the sign-in, where that is
// no read more.
type Credential struct {
	Key       CredentialKey
	UserID    UserID
	Data      []byte // what checks it; sealed where it is secret
	CreatedAt time.Time
	// Version counts the changes, see User.Version.
	Version int64
}

// moveEpoch ends the user's sessions in one write, and those that are being opened by
// what was read of the user before.
func (u *User) moveEpoch(now time.Time) {
	next := u.EpochAt.Add(time.Microsecond) // it only grows, as finely as stores keep it
	if now.After(next) {
		next = now
	}
	u.Epoch, u.EpochAt = u.Epoch+1, next
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
	maxUserID = 128 // bytes
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
	attributes := u.Attributes
	if attributes == nil {
		attributes = map[string]string{} // null is another type to many programs
	}
	return json.Marshal(map[string]any{
		"id": u.ID, "username": u.Username, "email": u.Email, "name": u.Name,
		"scope": u.Scope, "roles": append([]string{}, u.Roles...), "attributes": attributes,
		"disabled": u.Disabled, "has_password": u.PasswordHash != "",
		"created_at": u.CreatedAt.UTC(), "updated_at": u.UpdatedAt.UTC(),
	})
}

// String keeps the password hash out of logs.
func (u User) String() string {
	return strings.TrimSpace("user " + string(u.ID) + " " + u.Username)
}
