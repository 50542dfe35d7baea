package sqlstore

import (
	"context"
	"time"

	"github.com/latchkey-auth/latchkey/internal/outbox"
	"github.com/latchkey-auth/latchkey/internal/storage"
)

// Ticket returns the ticket with the id.
func (s *Store) Ticket(ctx context.Context, id storage.TicketID) (storage.Ticket, error) {
	t, err := scanTicket(s.stmts.ticket.row(context.WithoutCancel(ctx), string(id)))
	return t, unavailable(err)
}

func scanTicket(r row) (storage.Ticket, error) {
	var t storage.Ticket
	err := r.Scan(&t.ID, &t.Purpose, &t.Email, &t.SecretHash, &t.CodeMAC, &t.Tries, &t.UserID, &t.Name, &t.PasswordHash, &t.Bound,
		instant{&t.CreatedAt}, instant{&t.LinkUntil}, instant{&t.CodeUntil}, instant{&t.ExpiresAt})
	return t, err
}

// ticketArgs are $1 to $14 of putTicket and replaceTicket.
func ticketArgs(t storage.Ticket) []any {
	return []any{string(t.ID), string(t.Purpose), t.Email, blob(t.SecretHash), blob(t.CodeMAC), t.Tries, string(t.UserID),
		t.Name, t.PasswordHash, blob(t.Bound), micros(t.CreatedAt), micros(t.LinkUntil), micros(t.CodeUntil), micros(t.ExpiresAt)}
}

// Mark returns the mark with the id.
func (s *Store) Mark(ctx context.Context, id storage.MarkID) (storage.Mark, error) {
	m, err := scanMark(s.stmts.mark.row(context.WithoutCancel(ctx), string(id)))
	return m, unavailable(err)
}

func scanMark(r row) (storage.Mark, error) {
	var m storage.Mark
	err := r.Scan(&m.ID, instant{&m.ExpiresAt})
	return m, err
}

// DueMails returns queued mails, longest due first.
func (s *Store) DueMails(ctx context.Context, now time.Time, limit int) ([]outbox.Mail, error) {
	return collect(ctx, s.stmts.dueMails, scanMail, micros(now), limit)
}

func scanMail(r row) (outbox.Mail, error) {
	var m outbox.Mail
	err := r.Scan(&m.ID, &m.Sealed, instant{&m.CreatedAt}, instant{&m.DueAt}, instant{&m.GiveUpAt}, &m.Attempts)
	return m, err
}

func (a *application) queueMail(m outbox.Mail) error {
	return a.one(a.stmts.insertMail, storage.ErrTaken, mailArgs(m)...)
}

func mailArgs(m outbox.Mail) []any {
	return []any{m.ID, blob(m.Sealed), micros(m.CreatedAt), micros(m.DueAt), micros(m.GiveUpAt), m.Attempts}
}

func mailID(m outbox.Mail) string { return m.ID }
