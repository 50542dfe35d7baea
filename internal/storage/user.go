package storage

import (
	"encoding/json"
	"strings"
	"time"
)

// A UserID names one user for ever: it is the "sub" of tokens and is never
// given to anybody else.
type UserID string

// A User is one account. Stores keep it as two items, each with a version of its own:
// the profile, and the sign-in, which is what signing in depends on. So a change of the
// name and a login never meet on one item.
type User struct {
	// The profile.

	ID       UserID
	Username string // as written by its owner; unique by its [identifier.UsernameKey]
	Email    string // empty: none; unique by its [identifier.EmailKey]
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
