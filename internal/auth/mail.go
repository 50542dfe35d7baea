package auth

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/latchkey-auth/latchkey/internal/outbox"
	"github.com/latchkey-auth/latchkey/internal/storage"
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
	Again    bool          // of MessageVerify and MessageConfirm: this link replaces an earlier one
	NewEmail string        // of MessageEmailChanging and MessageEmailChanged

	// Who caused it, for the owner to judge.
	At      time.Time
	Device  string // User-Agent, as the client sent it: never shown as it is
	Address string // IP address
}

// noticeFor is how long a notice is tried; other mail is tried for as long as its link
// works.
const noticeFor = 3 * 24 * time.Hour

// A queuedMail is what the outbox seals.
type queuedMail struct {
	UserID  storage.UserID
	Message Message
}

// mail is the change that queues a message, so that it is stored with what it tells of or
// not at all.
func (s *Service) mail(user storage.UserID, m Message, c Client, now time.Time) (storage.Change, error) {
	m.ID, m.At = newID(), now
	m.Device, m.Address = shorten(c.Device, maxDevice), c.Address
	doc, err := json.Marshal(queuedMail{user, m})
	if err != nil {
		return nil, err
	}
	useful := noticeFor
	if m.LinkFor > 0 {
		useful = m.LinkFor
	}
	sealed, err := s.outbox.Seal(m.ID, doc, now.Add(useful), now)
	return storage.QueueMail{Mail: sealed}, err
}

// commit stores changes and says so to whoever delivers mail.
func (s *Service) commit(ctx context.Context, changes []storage.Change) error {
	err := s.Store.Commit(ctx, changes...)
	if err == nil && queuesMail(changes) {
		s.outbox.Queued()
	}
	return err
}

func queuesMail(changes []storage.Change) bool {
	return slices.ContainsFunc(changes, func(c storage.Change) bool { _, ok := c.(storage.QueueMail); return ok })
}

// Deliver delivers the mail that is due, see [outbox.Outbox.Deliver].
func (s *Service) Deliver(ctx context.Context) error { return s.outbox.Deliver(ctx) }

// MailQueued tells when this process has queued mail. Other processes queue too.
func (s *Service) MailQueued() <-chan struct{} { return s.outbox.MailQueued() }

// mailQueue is the outbox's queue in the store, and its sender.
type mailQueue struct{ *Service }

// DueMails returns the mails that are due.
func (q mailQueue) DueMails(ctx context.Context, now time.Time, limit int) ([]outbox.Mail, error) {
	return q.Store.DueMails(ctx, now, limit)
}

// ClaimMail claims a mail for this process.
func (q mailQueue) ClaimMail(ctx context.Context, mail outbox.Mail) error {
	err := q.Store.Commit(ctx, storage.DeferMail{Mail: mail})
	if errors.Is(err, storage.ErrConflict) {
		return outbox.ErrClaimed
	}
	return err
}

// MailTried records how an attempt has ended.
func (q mailQueue) MailTried(ctx context.Context, mail outbox.Mail, doc []byte, outcome outbox.Outcome) error {
	var queued queuedMail
	_ = json.Unmarshal(doc, &queued) // or else nobody knows whose it was
	e := storage.Event{ID: eventID(), Time: q.Now(), Kind: storage.EventMail, Outcome: mailOutcomes[outcome], UserID: queued.UserID, RequestID: mail.ID}
	if outcome == outbox.Delayed {
		return q.Store.Commit(ctx, storage.AppendEvent{Event: e})
	}
	return q.Store.Commit(ctx, storage.DeleteMail{Mail: mail}, storage.AppendEvent{Event: e})
}

var mailOutcomes = map[outbox.Outcome]storage.Outcome{
	outbox.Delivered: storage.OutcomeOK, outbox.Delayed: storage.OutcomeFailed, outbox.Undeliverable: storage.OutcomeUndeliverable, outbox.GivenUp: storage.OutcomeGivenUp,
}

// Send sends a queued message.
func (q mailQueue) Send(ctx context.Context, doc []byte) error {
	var queued queuedMail
	if err := json.Unmarshal(doc, &queued); err != nil {
		return fmt.Errorf("%w: reading queued mail: %w", outbox.ErrUndeliverable, err)
	}
	return q.Mailer.Send(ctx, queued.Message)
}
