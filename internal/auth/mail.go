package auth

import (
	"context"
	"slices"
	"time"

	"github.com/latchkey-auth/latchkey/internal/message"
	"github.com/latchkey-auth/latchkey/internal/storage"
)

// mail is the change that queues a message which the client has caused.
func (s *Service) mail(user storage.UserID, m message.Message, c Client, now time.Time) (storage.Change, error) {
	m.Device, m.Address = shorten(c.Device, maxDevice), c.Address
	return s.outbox.Add(user, m, now)
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
