package sqlstore

import (
	"context"
	"database/sql"
	"fmt"
)

// A statement is one SQL text on the database that runs it.
type statement struct {
	text string
	// lite is what SQLite has prepared, once: parsing costs more than running. Nil: it is
	// parsed each time, and db reads by it.
	lite *sql.Stmt
	db   *sql.DB
	// postgres prepares on each connection of its own; nil: SQLite.
	postgres *postgres
}

// row returns what Scan reads the first row from.
func (st *statement) row(ctx context.Context, args ...any) row {
	if st.postgres != nil {
		return postgresRow{st, args}
	}
	if st.lite == nil {
		return st.db.QueryRowContext(ctx, st.text, args...)
	}
	return st.lite.QueryRowContext(ctx, args...)
}

// each calls f for every row.
func (st *statement) each(ctx context.Context, f func(row) error, args ...any) error {
	if st.postgres != nil {
		return st.postgres.each(st.text, f, args...)
	}
	rows, err := st.rows(ctx, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := f(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}

func (st *statement) rows(ctx context.Context, args ...any) (*sql.Rows, error) {
	if st.lite == nil {
		return st.db.QueryContext(ctx, st.text, args...)
	}
	return st.lite.QueryContext(ctx, args...)
}

// rare is a statement that is not worth preparing.
func (s *Store) rare(text string) *statement {
	return &statement{text: text, db: s.read, postgres: s.postgres}
}

// statements are those that are prepared.
type statements struct {
	user, userByUsername, userByEmail, users, deletedUser       *statement
	sessionUser, userSessions, ticket, mark, dueMails           *statement
	events, revocations, counts, keys                           *statement
	epoch, insertUser, updateUser, deleteUser                   *statement
	refreshBound                                                *statement
	insertSignIn, insertManySignIns, updateSignIn, deleteSignIn *statement
	insertDeletedUser                                           *statement
	credential, userCredentials                                 *statement
	insertCredential, updateCredential, deleteCredential        *statement
	insertSession, refreshSession, keepSession, endSession      *statement
	takeTicket, countTry, putTicket, replaceTicket, putMark     *statement
	insertMail, deferMail, deleteMail                           *statement
	insertEvent, insertFourEvents, insertManyEvents             *statement
	insertRevocation                                            *statement
	takeCount, takeRoom, takeUnused, takeUnchanged              *statement
	giveBack, keepTaken                                         *statement
	insertKey, retireKey, ping                                  *statement
	countsPage, deleteOldCounts                                 *statement
	notDeleted                                                  *statement
	savepoint, rollbackTo, release                              *statement
}

// listed is one of them: where it goes, whether it is for the connection that writes, and
// its text.
type listed struct {
	to     **statement
	writes bool
	text   string
}

func (s *Store) statements() []listed {
	st := &s.stmts
	return []listed{
		{&st.user, false, selectUser},
		{&st.userByUsername, false, selectUserByUsername},
		{&st.userByEmail, false, selectUserByEmail},
		{&st.users, false, selectUsers},
		{&st.deletedUser, false, selectDeletedUser},
		{&st.sessionUser, false, selectSessionUser},
		{&st.userSessions, false, selectUserSessions},
		{&st.ticket, false, selectTicket},
		{&st.mark, false, selectMark},
		{&st.credential, false, selectCredential},
		{&st.userCredentials, false, selectUserCredentials},
		{&st.insertCredential, true, insertCredential},
		{&st.updateCredential, true, updateCredential},
		{&st.deleteCredential, true, deleteCredential},
		{&st.dueMails, false, selectDueMails},
		{&st.events, false, selectEvents},
		{&st.revocations, false, selectRevocations},
		{&st.counts, false, selectCounts},
		{&st.keys, false, selectKeys},
		{&st.epoch, true, s.either(selectEpoch, selectEpochPostgres)},
		{&st.insertUser, true, insertUser},
		{&st.updateUser, true, updateUser},
		{&st.deleteUser, true, deleteUser},
		{&st.insertSignIn, true, insertSignIns + placeholders(1, signInColumns)},
		{&st.insertManySignIns, true, insertSignIns + placeholders(many, signInColumns)},
		{&st.updateSignIn, true, updateSignIn},
		{&st.deleteSignIn, true, deleteSignIn},
		{&st.insertDeletedUser, true, insertDeletedUser},
		{&st.insertSession, true, insertSession},
		{&st.refreshSession, true, refreshSession},
		{&st.refreshBound, true, s.either(refreshBound, refreshBoundPostgres)},
		{&st.keepSession, true, keepSession},
		{&st.endSession, true, endSession},
		{&st.takeTicket, true, takeTicket},
		{&st.countTry, true, countTry},
		{&st.putTicket, true, putTicket},
		{&st.replaceTicket, true, replaceTicket},
		{&st.putMark, true, putMark},
		{&st.insertMail, true, insertMail},
		{&st.deferMail, true, deferMail},
		{&st.deleteMail, true, deleteMail},
		{&st.insertEvent, true, insertSomeEvents(1)},
		{&st.insertFourEvents, true, insertSomeEvents(4)},
		{&st.insertManyEvents, true, insertSomeEvents(many)},
		{&st.insertRevocation, true, insertRevocation},
		{&st.takeCount, true, takeCount},
		{&st.takeRoom, true, takeRoom},
		{&st.takeUnused, true, takeUnused},
		{&st.takeUnchanged, true, takeUnchanged},
		{&st.giveBack, true, giveBack},
		{&st.keepTaken, true, keepTaken},
		{&st.insertKey, true, insertKey},
		{&st.retireKey, true, retireKey},
		{&st.ping, true, ping},
		{&st.countsPage, false, selectCountsPage},
		{&st.deleteOldCounts, true, deleteOldCounts},
		{&st.notDeleted, true, selectNotDeleted},
		{&st.savepoint, true, `SAVEPOINT one`},
		{&st.rollbackTo, true, `ROLLBACK TO SAVEPOINT one`},
		{&st.release, true, `RELEASE SAVEPOINT one`},
	}
}

// either is the text for the database that the store is.
func (s *Store) either(sqlite, postgres string) string {
	if s.postgres != nil {
		return postgres
	}
	return sqlite
}

func (s *Store) prepare(ctx context.Context) error {
	for _, l := range s.statements() {
		*l.to = &statement{text: l.text, postgres: s.postgres}
		if s.postgres != nil {
			continue
		}
		db := s.read
		if l.writes {
			db = s.write
		}
		stmt, err := db.PrepareContext(ctx, l.text)
		if err != nil {
			return fmt.Errorf("preparing statement: %w", err)
		}
		(*l.to).lite = stmt
	}
	return nil
}

func (s *Store) closeStatements() {
	for _, l := range s.statements() {
		if *l.to != nil && (*l.to).lite != nil {
			(*l.to).lite.Close()
		}
	}
}
