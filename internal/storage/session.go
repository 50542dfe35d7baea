package storage

import "time"

// A Proof says that somebody has shown to be a user: by what, and when.
type Proof struct {
	AMR []string // how, RFC 8176: "pwd"
	ACR string   // how sure that is
	At  time.Time
}

// A SessionID names one session; access tokens carry it as "sid".
type SessionID string

// A Session is one sign-in on one device: the family of its refresh tokens.
type Session struct {
	ID     SessionID
	UserID UserID
	// Epoch is that of the user when the session began, or when its user ended all the
	// others from it.
	Epoch int64
	Proof Proof
	// ClientID and Scope are those of the grant.
	ClientID string
	Scope    string
	// Seed makes the refresh tokens, together with a key that the store does not know.
	Seed []byte
	// Refreshes is the number of the live refresh token: how many were spent before.
	Refreshes int64
	// Chain is what is left of a session of the version before, see chain.go of package auth.
	Chain Chain

	Device     string // the User-Agent, shortened
	Address    string // the client's address
	CreatedAt  time.Time
	LastUsedAt time.Time // when it began or was refreshed last
	ExpiresAt  time.Time
	EndedAt    time.Time // zero: not ended
}

// A Chain is what the version before stored of a session: each of its refresh tokens was
// a MAC of the one before.
type Chain struct {
	Hash      []byte // SHA-256 of the secret of the last token; empty: there was none
	Previous  []byte // of the token before
	Rotations int64  // how many were spent before the last
}
