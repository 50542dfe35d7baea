package storage

import "time"

// A TicketID names the one ticket that an address can have for a purpose. It is
// a MAC of both: whoever knows an address can find its ticket, and a new ticket
// takes the place of the one before.
type TicketID string

// A Purpose says what a ticket is good for.
type Purpose string

const (
	// PurposeRegister creates the account that the ticket describes.
	PurposeRegister Purpose = "register"
	// PurposeVerify proves an address of an existing account.
	PurposeVerify Purpose = "verify"
	// PurposeReset and PurposeInvite set a new or first password.
	PurposeReset  Purpose = "reset"
	PurposeInvite Purpose = "invite"
)

// A Ticket is a one-time secret that was mailed to somebody: a link with 256
// bits, and mostly a short code as well. It is told apart by its SecretHash, and
// all of it that changes is Tries.
type Ticket struct {
	ID         TicketID
	Purpose    Purpose
	Email      string // the address it was mailed to, and so proves
	SecretHash []byte // SHA-256 of the link's secret
	CodeMAC    []byte // of the code, under a key of the service; empty: no code
	Tries      int64  // wrong codes so far

	// UserID is the account; empty for PurposeRegister, which has Name and
	// PasswordHash of the account to come.
	UserID       UserID
	Name         string
	PasswordHash string
	// Bound is what the user was when the ticket was given: with another password
	// or address it is void.
	Bound []byte

	CreatedAt time.Time
	LinkUntil time.Time
	CodeUntil time.Time
	ExpiresAt time.Time // nobody has a use for it after that
}
