package message

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/latchkey-auth/latchkey/internal/outbox"
	"github.com/latchkey-auth/latchkey/internal/storage"
)

// A Queue is the outbox of messages in a store.
type Queue struct{ *outbox.Outbox }

// NewQueue returns the queue in the store, sealed by a key of 32 bytes. Without a mailer
// it delivers nothing.
func NewQueue(store storage.Store, mailer Mailer, key []byte, now func() time.Time) (Queue, error) {
	s := stored{store, mailer, now}
	var sender outbox.Sender
	if mailer != nil {
		sender = s
	}
	o, err := outbox.New(outbox.Config{Queue: s, Sender: sender, Key: key, Now: now})
	return Queue{o}, err
}

// noticeFor is how long a notice is tried; other mail is tried for as long as its link
// works.
const noticeFor = 3 * 24 * time.Hour

// A queuedMail is what the outbox seals.
type queuedMail struct {
	UserID  storage.UserID
	Message Message
}

// Add is the change that queues a message to a user, so that it is stored with what it
// tells of or not at all. It gives the message its ID and time.
func (q Queue) Add(user storage.UserID, m Message, now time.Time) (storage.Change, error) {
	m.ID, m.At = strings.ToLower(rand.Text()), now
	doc, err := json.Marshal(queuedMail{user, m})
	if err != nil {
		return nil, err
	}
	useful := noticeFor
	if m.LinkFor > 0 {
		useful = m.LinkFor
	}
	sealed, err := q.Seal(m.ID, doc, now.Add(useful), now)
	return storage.QueueMail{Mail: sealed}, err
}

// stored is the outbox's queue in the store, and its sender.
type stored struct {
	store  storage.Store
	mailer Mailer
	now    func() time.Time
}

// DueMails returns the mails that are due.
func (q stored) DueMails(ctx context.Context, now time.Time, limit int) ([]outbox.Mail, error) {
	return q.store.DueMails(ctx, now, limit)
}

// ClaimMail claims a mail for this process.
func (q stored) ClaimMail(ctx context.Context, mail outbox.Mail) error {
	err := q.store.Commit(ctx, storage.DeferMail{Mail: mail})
	if errors.Is(err, storage.ErrConflict) {
		return outbox.ErrClaimed
	}
	return err
}

// MailTried records how an attempt has ended.
func (q stored) MailTried(ctx context.Context, mail outbox.Mail, doc []byte, outcome outbox.Outcome) error {
	var queued queuedMail
	_ = json.Unmarshal(doc, &queued) // a mail that cannot be read has no user
	e := storage.Event{ID: storage.NewEventID(), Time: q.now(), Kind: storage.EventMail, Outcome: mailOutcomes[outcome], UserID: queued.UserID, RequestID: mail.ID}
	if outcome == outbox.Delayed {
		return q.store.Commit(ctx, storage.AppendEvent{Event: e})
	}
	return q.store.Commit(ctx, storage.DeleteMail{Mail: mail}, storage.AppendEvent{Event: e})
}

var mailOutcomes = map[outbox.Outcome]storage.Outcome{
	outbox.Delivered: storage.OutcomeOK, outbox.Delayed: storage.OutcomeFailed, outbox.Undeliverable: storage.OutcomeUndeliverable, outbox.GivenUp: storage.OutcomeGivenUp,
}

// Send sends a queued message.
func (q stored) Send(ctx context.Context, doc []byte) error {
	var queued queuedMail
	if err := json.Unmarshal(doc, &queued); err != nil {
		return fmt.Errorf("%w: reading queued mail: %w", outbox.ErrUndeliverable, err)
	}
	return q.mailer.Send(ctx, queued.Message)
}
