package auth

import (
	"context"
	"errors"
	"time"
)

// A Mailer delivers messages. It renders them: the domain says what is to be
// told, not in which words.
type Mailer interface {
	// Send delivers one message. It may be called again for a message that was
	// delivered, when the process has ended before that could be noted; the ID is
	// then the same. ErrUndeliverable when no later attempt can succeed, ErrMailServer when none of
	// any message can now.
	Send(ctx context.Context, m Message) error
}

// ErrUndeliverable: the recipient is refused for good. A refusal of the sender, of
// the login or of the message by a policy is another error: it can be mended.
var ErrUndeliverable = errors.New("mail cannot be delivered")

// ErrMailServer: the mail server takes nothing from us, whatever the message: it
// cannot be reached, or refuses our name or login.
var ErrMailServer = errors.New("mail server takes nothing")

// A MessageKind says what a message is about. It is the name of its template.
type MessageKind string

const (
	// MessageVerify asks whoever registered to prove the address: link and code.
	MessageVerify MessageKind = "verify"
	// MessageTaken answers a registration of an address that has an account: it
	// says so, and gives a link and a code to set a new password.
	MessageTaken MessageKind = "taken"
	// MessageConfirm asks to prove a new or unproved address of an account: link
	// and code.
	MessageConfirm MessageKind = "confirm"
	// MessageReset gives a link and a code to set a new password.
	MessageReset MessageKind = "reset"
	// MessageInvite gives a link to choose a first password.
	MessageInvite MessageKind = "invite"
	// The others tell the owner what has happened, and hold neither link nor code.
	MessagePasswordChanged MessageKind = "password_changed"
	MessageEmailChanging   MessageKind = "email_changing" // a change to NewEmail was asked for
	MessageEmailChanged    MessageKind = "email_changed"  // NewEmail has taken this address's place
	MessageAccountDeleted  MessageKind = "account_deleted"
)

// MessageKinds are all of them.
var MessageKinds = []MessageKind{
	MessageVerify, MessageTaken, MessageConfirm, MessageReset, MessageInvite,
	MessagePasswordChanged, MessageEmailChanging, MessageEmailChanged, MessageAccountDeleted,
}

// A Message is one mail to one person. Its members are what templates may use.
type Message struct {
	ID   string // the same for each attempt to deliver it
	Kind MessageKind
	To   string // the stored address, never one that was typed
	Name string // of the person; empty: none, or To is yet to be proved, see User.greeting

	Link     string        // opens a page with a button; empty: none
	Code     string        // as it is to be read, ABCD-EFGH; empty: none
	LinkFor  time.Duration // how long the link works
	CodeFor  time.Duration // how long the code works
	Again    bool          // of MessageVerify and MessageConfirm: an earlier link has lost its force by this one
	NewEmail string        // of MessageEmailChanging and MessageEmailChanged

	// Who caused it, for the owner to judge.
	At      time.Time
	Device  string // User-Agent, as the client sent it: never shown as it is
	Address string // IP address
}
