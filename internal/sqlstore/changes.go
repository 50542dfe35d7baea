package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/latchkey-auth/latchkey/internal/storage"
)

// Commit carries out the changes: all of them, or nothing. It is not tied to ctx:
// a client must not take back a wrong guess by hanging up.
func (s *Store) Commit(ctx context.Context, changes ...storage.Change) error {
	if err := storage.CheckChanges(changes); err != nil || len(changes) == 0 {
		return err
	}
	c := newCommit(nil)
	others := make([]storage.Change, 0, len(changes))
	for _, change := range changes {
		if e, ok := change.(storage.AppendEvent); ok {
			c.events = append(c.events, e.Event)
		} else {
			others = append(others, change)
		}
	}
	c.changes = others
	c.apply = func(a *application) error { return a.changes(others) }
	return s.enqueue(ctx, c)
}

// apply carries out f in a transaction of its own.
func (s *Store) apply(ctx context.Context, f func(*application) error) error {
	if s.postgres != nil {
		return s.postgres.apply(&s.stmts, f)
	}
	return s.transact(ctx, func(ctx context.Context, tx *sql.Tx) error {
		return f(&application{ctx: ctx, stmts: &s.stmts, tx: tx})
	})
}

// application is a transaction under way, and what changes need to be applied in it.
// SQLite carries out each statement when it comes. PostgreSQL is sent all of them in one
// round trip afterwards: there a method that returns nil says only that it may go on.
type application struct {
	ctx   context.Context
	stmts *statements
	tx    *sql.Tx // SQLite
	batch *batch  // PostgreSQL
}

func (a *application) changes(changes []storage.Change) error {
	if refreshed, check, rest, ok := boundRefresh(changes); ok {
		if err := a.refreshBound(refreshed, check); err != nil {
			return err
		}
		changes = rest
	}
	if a.batch != nil {
		changes = inOneOrder(changes)
	}
	for _, change := range changes {
		if err := a.change(change); err != nil {
			return err
		}
	}
	return nil
}

// change carries out one change. The table in docs/design.md says what each one is.
func (a *application) change(change storage.Change) error {
	switch c := change.(type) {
	case storage.CheckEpoch:
		return a.checkEpoch(c)
	case storage.CreateUser:
		return a.createUser(c.User)
	case storage.UpdateUser:
		return a.updateUser(c)
	case storage.DeleteUser:
		return a.deleteUser(c.User)
	case storage.ReplaceUser:
		return a.replaceUser(c)
	case storage.CreateCredential:
		return a.createCredential(c.Credential)
	case storage.UpdateCredential:
		return a.updateCredential(c.Credential)
	case storage.DeleteCredential:
		return a.one(a.stmts.deleteCredential, storage.ErrConflict, string(c.Credential.Key), c.Credential.Version)
	case storage.CreateSession:
		return a.createSession(c.Session)
	case storage.RefreshSession:
		return a.refreshSession(c.Session)
	case storage.KeepSession:
		return a.one(a.stmts.keepSession, storage.ErrConflict, string(c.Session.ID), c.Session.Epoch)
	case storage.EndSession:
		return a.one(a.stmts.endSession, storage.ErrConflict, string(c.Session.ID), micros(c.Session.EndedAt))
	case storage.PutTicket:
		return a.run(a.stmts.putTicket, ticketArgs(c.Ticket)...)
	case storage.ReplaceTicket:
		return a.one(a.stmts.replaceTicket, storage.ErrConflict, append(ticketArgs(c.Ticket), blob(c.Old))...)
	case storage.TakeTicket:
		return a.one(a.stmts.takeTicket, storage.ErrConflict, string(c.Ticket.ID), blob(c.Ticket.SecretHash), c.Ticket.Tries)
	case storage.CountTry:
		return a.one(a.stmts.countTry, storage.ErrConflict, string(c.Ticket.ID), blob(c.Ticket.SecretHash), c.Ticket.Tries)
	case storage.PutMark:
		return a.run(a.stmts.putMark, string(c.Mark.ID), micros(c.Mark.ExpiresAt))
	case storage.QueueMail:
		return a.queueMail(c.Mail)
	case storage.DeferMail:
		return a.one(a.stmts.deferMail, storage.ErrConflict, c.Mail.ID, c.Mail.Attempts, micros(c.Mail.DueAt))
	case storage.DeleteMail:
		return a.run(a.stmts.deleteMail, c.Mail.ID)
	case storage.AppendRevocation:
		return a.appendRevocation(c.Revocation)
	}
	return fmt.Errorf("%w: %T is not known to the store", storage.ErrChanges, change)
}

// stmt is a prepared statement in the transaction.
func (a *application) stmt(stmt *statement) *sql.Stmt { return a.tx.StmtContext(a.ctx, stmt.lite) }

func (a *application) exec(stmt *statement, args ...any) (sql.Result, error) {
	if stmt.lite == nil {
		return a.tx.ExecContext(a.ctx, stmt.text, args...)
	}
	return a.stmt(stmt).ExecContext(a.ctx, args...)
}

// run carries out a statement that may touch any number of rows.
func (a *application) run(stmt *statement, args ...any) error {
	if a.batch != nil {
		return a.batch.add(stmt, nil, args)
	}
	_, err := a.exec(stmt, args...)
	return unavailable(err)
}

// one carries out a statement that has to touch a row; none is the error when it does not.
func (a *application) one(stmt *statement, none error, args ...any) error {
	if a.batch != nil {
		return a.batch.add(stmt, none, args)
	}
	n, err := affected(a.exec(stmt, args...))
	return one(n, err, none)
}

// found is one for a statement that reads, and returns the number 1.
func (a *application) found(stmt *statement, none error, args ...any) error {
	if a.batch != nil {
		return a.batch.add(stmt, none, args)
	}
	var n int
	err := a.stmt(stmt).QueryRowContext(a.ctx, args...).Scan(&n)
	if errors.Is(err, sql.ErrNoRows) {
		return none
	}
	return unavailable(err)
}

// one turns "no row was touched" into the error that it means.
func one(n int64, err, none error) error {
	if err == nil && n == 0 {
		return none
	}
	return unavailable(err)
}
