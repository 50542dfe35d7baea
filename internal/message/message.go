// Package message is the mail of the auth service: what there is to tell, and its way from
// a commit to the [Mailer], by package outbox. In which words, package mailer says.
//
// Start at [Message] and [Queue].
package message

import (
	"context"
	"time"
)

// A Mailer delivers messages. It renders them: the domain says what is to be
// told, not in which words.
type Mailer interface {
	// Send delivers one message. It may be called again for a message that was
	// delivered, when the process has ended before that could be recorded; the ID is
	// then the same. outbox.ErrUndeliverable when no later attempt can succeed,
	// outbox.ErrServer when none of any message can now.
	Send(ctx context.Context, m Message) error
}

// A Kind says what a message is about. It is the name of its template.
type Kind string

const (
	// Verify asks for a proof of the address that was registered: link and code.
	Verify Kind = "verify"
	// Taken answers a registration of an address that has an account: it
	// says so, and gives a link and a code to set a new password.
	Taken Kind = "taken"
	// Confirm asks to prove a new or unproved address of an account: link
	// and code.
	Confirm Kind = "confirm"
	// Reset gives a link and a code to set a new password.
	Reset Kind = "reset"
	// Invite gives a link to choose a first password.
	Invite Kind = "invite"
	// The others tell the owner what has happened, and hold neither link nor code.
	PasswordChanged Kind = "password_changed"
	EmailChanging   Kind = "email_changing" // a change to NewEmail was asked for
	EmailChanged    Kind = "email_changed"  // NewEmail has taken this address's place
	AccountDeleted  Kind = "account_deleted"
)

// Kinds are all of them.
var Kinds = []Kind{
	Verify, Taken, Confirm, Reset, Invite,
	PasswordChanged, EmailChanging, EmailChanged, AccountDeleted,
}

// A Message is one mail to one person. Its members are what templates may use.
type Message struct {
	ID   string // the same for each attempt to deliver it
	Kind Kind
	To   string // the stored address, never one that was typed
	Name string // of the person; empty: none, or To is yet to be proved, see greeting of package auth

	Link     string        // opens a page with a button; empty: none
	Code     string        // as it is to be read, ABCD-EFGH; empty: none
	LinkFor  time.Duration // how long the link works
	CodeFor  time.Duration // how long the code works
	Again    bool          // of Verify and Confirm: this link replaces an earlier one
	NewEmail string        // of EmailChanging and EmailChanged

	// Who caused it, for the owner to judge.
	At      time.Time
	Device  string // User-Agent, as the client sent it: never shown as it is
	Address string // IP address
}
