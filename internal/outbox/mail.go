// Package outbox delivers mail that was stored with what it tells of: sealed, tried again
// with back-off, and never lost. It knows no messages: what is queued is bytes, and a Sender
// reads and sends them.
//
// A process claims a mail before it sends it, by a guarded write that also says when the
// next attempt is due. So no two processes send it at once, and one that dies in between
// loses nothing: the mail is due again. A mail is erased when its end is recorded.
//
// Start at [Outbox.Deliver].
package outbox

import (
	"context"
	"errors"
	"time"
)

// A Mail is a queued message, sealed: its link and code are worth an account.
type Mail struct {
	ID        string
	Sealed    []byte
	CreatedAt time.Time
	DueAt     time.Time // when it is to be tried next
	GiveUpAt  time.Time // it is of no use after that
	Attempts  int64     // deliveries begun so far
}

// A Queue keeps mail. Any number of processes deliver from one.
type Queue interface {
	// DueMails returns up to limit mails whose DueAt is not after now, longest due
	// first. What was claimed or erased before is not among them. Fewer than limit:
	// there are no others, and Deliver does not ask again.
	DueMails(ctx context.Context, now time.Time, limit int) ([]Mail, error)
	// ClaimMail stores the DueAt of the mail and counts the attempt. ErrClaimed unless
	// the stored Attempts is the given one: another process has the mail, or has erased
	// it.
	ClaimMail(ctx context.Context, mail Mail) error
	// MailTried records how an attempt ended. Mail that needs no further one, because
	// it is not Delayed, is erased in the same step. doc is what was queued; nil: it
	// cannot be opened.
	MailTried(ctx context.Context, mail Mail, doc []byte, outcome Outcome) error
}

// ErrClaimed: another process delivers the mail.
var ErrClaimed = errors.New("another process delivers the mail")

// An Outcome says how an attempt to deliver has ended.
type Outcome int

const (
	Delivered     Outcome = iota
	Delayed               // will be tried again
	Undeliverable         // refused for good, or cannot be opened
	GivenUp               // of no use any more
)

// A Sender sends what was queued.
type Sender interface {
	// Send sends one message. It may be called again for a message that was sent, when
	// the process has ended before that could be recorded. ErrUndeliverable when no
	// later attempt can succeed, also when doc cannot be read; ErrServer when no attempt
	// of any message can succeed now. Other errors delay the one message.
	Send(ctx context.Context, doc []byte) error
}

var (
	// ErrUndeliverable: the recipient is refused for good. A refusal of the sender, of
	// the login or of the message by a policy is another error: it can be mended.
	ErrUndeliverable = errors.New("mail cannot be delivered")
	// ErrServer: the mail server takes no message from us: it cannot
	// be reached, or refuses our name or login.
	ErrServer = errors.New("mail server takes nothing")
)
