package sqlstore

import (
	"context"
	"database/sql"
	"fmt"
)

const (
	userColumns = `users.id,
		users.username,
		users.email,
		users.name,
		users.scope,
		users.password_hash,
		users.disabled,
		users.created_at,
		users.updated_at,
		users.sessions_from,
		users.email_verified,
		users.pending_email,
		users.version`

	sessionColumns = `sessions.id,
		sessions.user_id,
		sessions.refresh_hash,
		sessions.previous_hash,
		sessions.rotated_at,
		sessions.rotations,
		sessions.device,
		sessions.address,
		sessions.created_at,
		sessions.since,
		sessions.last_used_at,
		sessions.expires_at,
		sessions.ended_at,
		sessions.version`

	selectUser           = `SELECT ` + userColumns + ` FROM users WHERE id = $1`
	selectUserByUsername = `SELECT ` + userColumns + ` FROM users WHERE username_key = $1`
	selectUserByEmail    = `SELECT ` + userColumns + ` FROM users WHERE email_key = $1`
	selectUsers          = `SELECT ` + userColumns + ` FROM users WHERE id > $1 ORDER BY id LIMIT $2`
	selectSessionUser    = `SELECT ` + sessionColumns + `, ` + userColumns + `
		FROM sessions JOIN users ON users.id = sessions.user_id
		WHERE sessions.id = $1`

	// The index sessions_listed has what is asked for in order. What it cannot know,
	// because every refresh would have to write it, is looked for in a thousand rows:
	// a user who has left more of them than that must not make others wait.
	selectUserSessions = `SELECT ` + sessionColumns + ` FROM sessions
		WHERE user_id = $1 AND since = $2 AND ended_at = 0 AND expires_at > $3 AND last_used_at > $4
			AND created_at >= COALESCE((SELECT created_at FROM sessions
				WHERE user_id = $1 AND since = $2 AND ended_at = 0 ORDER BY created_at DESC LIMIT 1 OFFSET 999), 0)
		ORDER BY created_at DESC, id LIMIT $5`

	selectEvents = `SELECT number, time, kind, outcome, user_id, session_id, request_id, address, device, count
		FROM events WHERE number > $1 ORDER BY number LIMIT $2`

	selectUserVersion = `SELECT version FROM users WHERE id = $1`

	insertUser = `INSERT INTO users (id, username, username_key, email, email_key, name, scope,
			password_hash, disabled, created_at, updated_at, sessions_from, email_verified, pending_email, version)
		SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, 1
		WHERE NOT EXISTS (SELECT 1 FROM deleted_users WHERE id = $1)
		ON CONFLICT DO NOTHING`

	updateUser = `UPDATE users SET username = $2, username_key = $3, email = $4, email_key = $5, name = $6,
			scope = $7, password_hash = $8, disabled = $9, created_at = $10, updated_at = $11,
			sessions_from = $12, email_verified = $13, pending_email = $14, version = version + 1
		WHERE id = $1 AND version = $15`

	deleteUser = `DELETE FROM users WHERE id = $1 AND version = $2`

	insertDeletedUser = `INSERT INTO deleted_users (id) VALUES ($1) ON CONFLICT DO NOTHING`

	selectDeletedUser = `SELECT COUNT(*) FROM deleted_users WHERE id = $1`

	insertSession = `INSERT INTO sessions (id, user_id, refresh_hash, previous_hash, rotated_at, rotations, device, address,
			created_at, since, last_used_at, expires_at, ended_at, version)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, 1)
		ON CONFLICT DO NOTHING`

	updateSession = `UPDATE sessions SET since = $2, ended_at = $3, version = version + 1
		WHERE id = $1 AND ended_at = 0`

	// The check of the user is in the statement: it is the one that runs most. It sets
	// nothing that stands in an index.
	rotateSession = `UPDATE sessions SET refresh_hash = $1, previous_hash = $2, rotated_at = $3, rotations = $4,
			device = $5, address = $6, last_used_at = $7, version = version + 1
		WHERE id = $8 AND version = $9 AND EXISTS (SELECT 1 FROM users WHERE id = $10 AND version = $11)`

	selectCounts = `SELECT key, level, last_hit FROM counts WHERE key IN ($1, $2, $3, $4, $5, $6, $7)`

	addHit = `INSERT INTO counts (key, level, last_hit) VALUES ($1, 1, $2)
		ON CONFLICT (key) DO UPDATE SET
			level = 1 + CASE WHEN $2 < counts.last_hit THEN counts.level WHEN counts.level * $3 > $2 - counts.last_hit
				THEN counts.level - ($2 - counts.last_hit) * 1.0 / $3 ELSE 0 END,
			last_hit = $2`

	insertEvent = `INSERT INTO events (number, time, kind, outcome, user_id, session_id, request_id, address, device, count)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)`

	insertFourEvents = insertEvent + `,
		($11, $12, $13, $14, $15, $16, $17, $18, $19, $20),
		($21, $22, $23, $24, $25, $26, $27, $28, $29, $30),
		($31, $32, $33, $34, $35, $36, $37, $38, $39, $40)`

	selectTicket = `SELECT id, purpose, email, secret_hash, code_mac, tries, user_id, name, password_hash, bound,
			created_at, link_until, code_until, expires_at
		FROM tickets WHERE id = $1`

	takeTicket = `DELETE FROM tickets WHERE id = $1 AND secret_hash = $2 AND tries = $3`

	countTry = `UPDATE tickets SET tries = tries + 1 WHERE id = $1 AND secret_hash = $2 AND tries = $3`

	putTicket = `INSERT INTO tickets (id, purpose, email, secret_hash, code_mac, tries, user_id, name, password_hash, bound,
			created_at, link_until, code_until, expires_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)
		ON CONFLICT (id) DO UPDATE SET purpose = $2, email = $3, secret_hash = $4, code_mac = $5, tries = $6, user_id = $7,
			name = $8, password_hash = $9, bound = $10, created_at = $11, link_until = $12, code_until = $13, expires_at = $14`

	replaceTicket = `UPDATE tickets SET purpose = $2, email = $3, secret_hash = $4, code_mac = $5, tries = $6, user_id = $7,
			name = $8, password_hash = $9, bound = $10, created_at = $11, link_until = $12, code_until = $13, expires_at = $14
		WHERE id = $1 AND secret_hash = $15`

	selectDueMails = `SELECT id, sealed, created_at, due_at, give_up_at, attempts
		FROM mails WHERE due_at <= $1 ORDER BY due_at, id LIMIT $2`

	insertMail = `INSERT INTO mails (id, sealed, created_at, due_at, give_up_at, attempts)
		VALUES ($1, $2, $3, $4, $5, $6)
		ON CONFLICT DO NOTHING`

	deferMail = `UPDATE mails SET due_at = $3, attempts = attempts + 1 WHERE id = $1 AND attempts = $2`

	deleteMail = `DELETE FROM mails WHERE id = $1`

	countEvents = `UPDATE counters SET value = value + $1 WHERE name = 'events' RETURNING value`
)

// statements are prepared once: parsing costs more than running them.
type statements struct {
	user, userByUsername, userByEmail, users, sessionUser, userSessions, events, keys *sql.Stmt
	userVersion, insertUser, updateUser, deleteUser                                   *sql.Stmt
	deletedUser, insertDeletedUser                                                    *sql.Stmt
	insertSession, updateSession, rotateSession                                       *sql.Stmt
	insertEvent, insertFourEvents, countEvents                                        *sql.Stmt
	counts, addHit                                                                    *sql.Stmt
	ticket, takeTicket, countTry, putTicket, replaceTicket                            *sql.Stmt
	dueMails, insertMail, deferMail, deleteMail                                       *sql.Stmt
	savepoint, rollbackTo, release                                                    *sql.Stmt
}

// prepared is one of them: where it goes, what it runs on, and its text.
type prepared struct {
	to   **sql.Stmt
	db   *sql.DB
	text string
}

func (s *Store) statements() []prepared {
	st := &s.stmts
	return []prepared{
		{&st.user, s.read, selectUser},
		{&st.userByUsername, s.read, selectUserByUsername},
		{&st.userByEmail, s.read, selectUserByEmail},
		{&st.users, s.read, selectUsers},
		{&st.sessionUser, s.read, selectSessionUser},
		{&st.userSessions, s.read, selectUserSessions},
		{&st.events, s.read, selectEvents},
		{&st.keys, s.read, selectKeys},
		{&st.userVersion, s.write, selectUserVersion},
		{&st.insertUser, s.write, insertUser},
		{&st.updateUser, s.write, updateUser},
		{&st.deleteUser, s.write, deleteUser},
		{&st.deletedUser, s.read, selectDeletedUser},
		{&st.insertDeletedUser, s.write, insertDeletedUser},
		{&st.insertSession, s.write, insertSession},
		{&st.updateSession, s.write, updateSession},
		{&st.rotateSession, s.write, rotateSession},
		{&st.counts, s.read, selectCounts},
		{&st.addHit, s.write, addHit},
		{&st.insertEvent, s.write, insertEvent},
		{&st.insertFourEvents, s.write, insertFourEvents},
		{&st.countEvents, s.write, countEvents},
		{&st.ticket, s.read, selectTicket},
		{&st.takeTicket, s.write, takeTicket},
		{&st.countTry, s.write, countTry},
		{&st.putTicket, s.write, putTicket},
		{&st.replaceTicket, s.write, replaceTicket},
		{&st.dueMails, s.read, selectDueMails},
		{&st.insertMail, s.write, insertMail},
		{&st.deferMail, s.write, deferMail},
		{&st.deleteMail, s.write, deleteMail},
		{&st.savepoint, s.write, `SAVEPOINT batch`},
		{&st.rollbackTo, s.write, `ROLLBACK TO SAVEPOINT batch`},
		{&st.release, s.write, `RELEASE SAVEPOINT batch`},
	}
}

func (s *Store) prepare(ctx context.Context) error {
	for _, p := range s.statements() {
		stmt, err := p.db.PrepareContext(ctx, p.text)
		if err != nil {
			return fmt.Errorf("preparing statement: %w", err)
		}
		*p.to = stmt
	}
	return nil
}

func (s *Store) closeStatements() {
	for _, p := range s.statements() {
		if *p.to != nil {
			(*p.to).Close()
		}
	}
}
