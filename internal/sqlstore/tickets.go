package sqlstore

import (
	"context"
	"database/sql"
	"time"

	"github.com/latchkey-auth/latchkey/internal/auth"
)

// Ticket returns the ticket with the id.
func (s *Store) Ticket(ctx context.Context, id auth.TicketID) (auth.Ticket, error) {
	var t auth.Ticket
	fields := &fieldList{}
	fields.add(&t.ID, &t.Purpose, &t.Email, &t.SecretHash, &t.CodeMAC, &t.Tries, &t.UserID, &t.Name, &t.PasswordHash, &t.Bound)
	fields.time(&t.CreatedAt)
	fields.time(&t.LinkUntil)
	fields.time(&t.CodeUntil)
	fields.time(&t.ExpiresAt)
	err := fields.scan(s.stmts.ticket.QueryRowContext(context.WithoutCancel(ctx), string(id)))
	return t, unavailable(err)
}

func (s *Store) takeTicket(ctx context.Context, tx *sql.Tx, t auth.Ticket) error {
	n, err := affected(tx.StmtContext(ctx, s.stmts.takeTicket).ExecContext(ctx, string(t.ID), blob(t.SecretHash), t.Tries))
	return one(n, err, auth.ErrConflict)
}

func (s *Store) countTry(ctx context.Context, tx *sql.Tx, t auth.Ticket) error {
	n, err := affected(tx.StmtContext(ctx, s.stmts.countTry).ExecContext(ctx, string(t.ID), blob(t.SecretHash), t.Tries))
	return one(n, err, auth.ErrConflict)
}

func (s *Store) putTicket(ctx context.Context, tx *sql.Tx, t auth.Ticket) error {
	args := []any{string(t.ID), string(t.Purpose), t.Email, blob(t.SecretHash), blob(t.CodeMAC), t.Tries, string(t.UserID),
		t.Name, t.PasswordHash, blob(t.Bound), micros(t.CreatedAt), micros(t.LinkUntil), micros(t.CodeUntil), micros(t.ExpiresAt)}
	if len(t.Replaces) > 0 {
		n, err := affected(tx.StmtContext(ctx, s.stmts.replaceTicket).ExecContext(ctx, append(args, t.Replaces)...))
		return one(n, err, auth.ErrConflict)
	}
	_, err := tx.StmtContext(ctx, s.stmts.putTicket).ExecContext(ctx, args...)
	return unavailable(err)
}

// DueMails returns queued mails, longest due first.
func (s *Store) DueMails(ctx context.Context, now time.Time, limit int) ([]auth.Mail, error) {
	return collect(ctx, s.stmts.dueMails, scanMail, micros(now), limit)
}

func scanMail(r row) (auth.Mail, error) {
	var m auth.Mail
	fields := &fieldList{}
	fields.add(&m.ID, &m.Sealed)
	fields.time(&m.CreatedAt)
	fields.time(&m.DueAt)
	fields.time(&m.GiveUpAt)
	fields.add(&m.Attempts)
	err := fields.scan(r)
	return m, err
}

func (s *Store) queueMail(ctx context.Context, tx *sql.Tx, m auth.Mail) error {
	n, err := affected(tx.StmtContext(ctx, s.stmts.insertMail).ExecContext(ctx, m.ID, blob(m.Sealed),
		micros(m.CreatedAt), micros(m.DueAt), micros(m.GiveUpAt), m.Attempts))
	return one(n, err, auth.ErrTaken)
}

func (s *Store) deferMail(ctx context.Context, tx *sql.Tx, m auth.Mail) error {
	n, err := affected(tx.StmtContext(ctx, s.stmts.deferMail).ExecContext(ctx, m.ID, m.Attempts, micros(m.DueAt)))
	return one(n, err, auth.ErrConflict)
}

func (s *Store) deleteMail(ctx context.Context, tx *sql.Tx, m auth.Mail) error {
	_, err := tx.StmtContext(ctx, s.stmts.deleteMail).ExecContext(ctx, m.ID)
	return unavailable(err)
}
