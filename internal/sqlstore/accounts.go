package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/latchkey-auth/latchkey/internal/auth"
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

	selectUserSessions = `SELECT ` + sessionColumns + ` FROM sessions
		WHERE user_id = $1 AND ended_at = 0 AND since >= $2 AND expires_at > $3
		ORDER BY last_used_at DESC, id LIMIT $4`

	selectEvents = `SELECT number, time, kind, outcome, user_id, session_id, request_id, address, device
		FROM events WHERE number > $1 ORDER BY number LIMIT $2`

	selectUserVersion = `SELECT version FROM users WHERE id = $1`

	insertUser = `INSERT INTO users (id, username, username_key, email, email_key, name, scope,
			password_hash, disabled, created_at, updated_at, sessions_from, email_verified, pending_email, version)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, 1)
		ON CONFLICT DO NOTHING`

	updateUser = `UPDATE users SET username = $2, username_key = $3, email = $4, email_key = $5, name = $6,
			scope = $7, password_hash = $8, disabled = $9, created_at = $10, updated_at = $11,
			sessions_from = $12, email_verified = $13, pending_email = $14, version = version + 1
		WHERE id = $1 AND version = $15`

	deleteUser = `DELETE FROM users WHERE id = $1 AND version = $2`

	insertSession = `INSERT INTO sessions (id, user_id, refresh_hash, previous_hash, rotated_at, rotations, device, address,
			created_at, since, last_used_at, expires_at, ended_at, version)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, 1)
		ON CONFLICT DO NOTHING`

	// What never changes is not set: user_id and expires_at stand in indexes.
	updateSession = `UPDATE sessions SET refresh_hash = $2, previous_hash = $3, rotated_at = $4, rotations = $5,
			device = $6, address = $7, since = $8, last_used_at = $9, ended_at = $10, version = version + 1
		WHERE id = $1 AND version = $11`

	selectCounts = `SELECT key, level, last_hit FROM counts WHERE key IN ($1, $2, $3)`

	addHit = `INSERT INTO counts (key, level, last_hit) VALUES ($1, 1, $2)
		ON CONFLICT (key) DO UPDATE SET
			level = 1 + CASE WHEN counts.level * $3 > $2 - counts.last_hit
				THEN counts.level - ($2 - counts.last_hit) * 1.0 / $3 ELSE 0 END,
			last_hit = $2`

	insertEvent = `INSERT INTO events (number, time, kind, outcome, user_id, session_id, request_id, address, device)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)`

	insertFourEvents = insertEvent + `,
		($10, $11, $12, $13, $14, $15, $16, $17, $18),
		($19, $20, $21, $22, $23, $24, $25, $26, $27),
		($28, $29, $30, $31, $32, $33, $34, $35, $36)`

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
	insertSession, updateSession, insertEvent, insertFourEvents, countEvents          *sql.Stmt
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
		{&st.insertSession, s.write, insertSession},
		{&st.updateSession, s.write, updateSession},
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

// User returns the user with the id.
func (s *Store) User(ctx context.Context, id auth.UserID) (auth.User, error) {
	return s.oneUser(ctx, s.stmts.user, string(id))
}

// UserByUsername returns the user with the username key.
func (s *Store) UserByUsername(ctx context.Context, key string) (auth.User, error) {
	return s.oneUser(ctx, s.stmts.userByUsername, key)
}

// UserByEmail returns the user with the e-mail key.
func (s *Store) UserByEmail(ctx context.Context, key string) (auth.User, error) {
	return s.oneUser(ctx, s.stmts.userByEmail, key)
}

// Reads are not tied to ctx: they are short, and watching it costs the driver a
// goroutine each.
func (s *Store) oneUser(ctx context.Context, stmt *sql.Stmt, key string) (auth.User, error) {
	u, err := scanUser(stmt.QueryRowContext(context.WithoutCancel(ctx), key))
	return u, unavailable(err)
}

// Users returns users by id.
func (s *Store) Users(ctx context.Context, after auth.UserID, limit int) ([]auth.User, error) {
	return collect(ctx, s.stmts.users, scanUser, string(after), limit)
}

// UserSessions returns a user's sessions.
func (s *Store) UserSessions(ctx context.Context, id auth.UserID, from, now time.Time, limit int) ([]auth.Session, error) {
	return collect(ctx, s.stmts.userSessions, scanSession, string(id), micros(from), micros(now), limit)
}

// countsAtOnce is how many keys selectCounts takes: those of one attempt.
const countsAtOnce = 3

// Counts returns the counts of keys.
func (s *Store) Counts(ctx context.Context, keys []string) ([]auth.Count, error) {
	counts := make([]auth.Count, 0, len(keys))
	for chunk := range slices.Chunk(keys, countsAtOnce) {
		some, err := s.someCounts(ctx, chunk)
		if err != nil {
			return nil, unavailable(err)
		}
		counts = append(counts, some...)
	}
	return counts, nil
}

func (s *Store) someCounts(ctx context.Context, keys []string) ([]auth.Count, error) {
	var args [countsAtOnce]any
	for i := range args {
		args[i] = keys[min(i, len(keys)-1)]
	}
	rows, err := s.stmts.counts.QueryContext(context.WithoutCancel(ctx), args[:]...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	counts := make([]auth.Count, len(keys))
	for rows.Next() {
		var key string
		var count auth.Count
		fields := &fieldList{}
		fields.add(&key, &count.Level)
		fields.time(&count.Last)
		if err := fields.scan(rows); err != nil {
			return nil, err
		}
		for i := range keys {
			if keys[i] == key {
				counts[i] = count
			}
		}
	}
	return counts, rows.Err()
}

// Events returns events by number.
func (s *Store) Events(ctx context.Context, after int64, limit int) ([]auth.Event, error) {
	return collect(ctx, s.stmts.events, scanEvent, after, limit)
}

func collect[T any](ctx context.Context, stmt *sql.Stmt, scan func(row) (T, error), args ...any) ([]T, error) {
	rows, err := stmt.QueryContext(ctx, args...)
	if err != nil {
		return nil, unavailable(err)
	}
	defer rows.Close()
	var all []T
	for rows.Next() {
		one, err := scan(rows)
		if err != nil {
			return nil, unavailable(err)
		}
		all = append(all, one)
	}
	return all, unavailable(rows.Err())
}

func (s *Store) checkUser(ctx context.Context, tx *sql.Tx, u auth.User) error {
	var version int64
	err := tx.StmtContext(ctx, s.stmts.userVersion).QueryRowContext(ctx, string(u.ID)).Scan(&version)
	if errors.Is(err, sql.ErrNoRows) || err == nil && version != u.Version {
		return auth.ErrConflict
	}
	return unavailable(err)
}

func (s *Store) createUser(ctx context.Context, tx *sql.Tx, u auth.User) error {
	args, err := userArgs(u)
	if err != nil {
		return err
	}
	n, err := affected(tx.StmtContext(ctx, s.stmts.insertUser).ExecContext(ctx, args...))
	return one(n, err, auth.ErrTaken)
}

func (s *Store) updateUser(ctx context.Context, tx *sql.Tx, u auth.User) error {
	args, err := userArgs(u)
	if err != nil {
		return err
	}
	n, err := affected(tx.StmtContext(ctx, s.stmts.updateUser).ExecContext(ctx, append(args, u.Version)...))
	return one(n, err, auth.ErrConflict)
}

func (s *Store) createSession(ctx context.Context, tx *sql.Tx, e auth.Session) error {
	n, err := affected(tx.StmtContext(ctx, s.stmts.insertSession).ExecContext(ctx, string(e.ID), string(e.UserID),
		blob(e.RefreshHash), blob(e.PreviousHash), micros(e.RotatedAt), e.Rotations, e.Device, e.Address,
		micros(e.CreatedAt), micros(e.Since), micros(e.LastUsedAt), micros(e.ExpiresAt), micros(e.EndedAt)))
	return one(n, err, auth.ErrTaken)
}

func (s *Store) updateSession(ctx context.Context, tx *sql.Tx, e auth.Session) error {
	n, err := affected(tx.StmtContext(ctx, s.stmts.updateSession).ExecContext(ctx, string(e.ID),
		blob(e.RefreshHash), blob(e.PreviousHash), micros(e.RotatedAt), e.Rotations, e.Device, e.Address,
		micros(e.Since), micros(e.LastUsedAt), micros(e.EndedAt), e.Version))
	return one(n, err, auth.ErrConflict)
}

// blob is never NULL.
func blob(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}

func (s *Store) addHit(ctx context.Context, tx *sql.Tx, h auth.Hit) error {
	_, err := tx.StmtContext(ctx, s.stmts.addHit).ExecContext(ctx, h.Key, micros(h.At), float64(h.Fade.Microseconds()))
	return unavailable(err)
}

func (s *Store) deleteUser(ctx context.Context, tx *sql.Tx, u auth.User) error {
	n, err := affected(tx.StmtContext(ctx, s.stmts.deleteUser).ExecContext(ctx, string(u.ID), u.Version))
	return one(n, err, auth.ErrConflict)
}

func (s *Store) appendEvents(ctx context.Context, tx *sql.Tx, events []auth.Event) error {
	if len(events) == 0 {
		return nil
	}
	var last int64
	if err := tx.StmtContext(ctx, s.stmts.countEvents).QueryRowContext(ctx, len(events)).Scan(&last); err != nil {
		return unavailable(err)
	}
	first := last - int64(len(events)) + 1
	for len(events) > 0 {
		stmt, n := s.stmts.insertEvent, 1
		if len(events) >= 4 {
			stmt, n = s.stmts.insertFourEvents, 4
		}
		args := make([]any, 0, 9*4)
		for i, e := range events[:n] {
			args = append(args, first+int64(i), micros(e.Time), string(e.Kind), string(e.Outcome),
				string(e.UserID), string(e.SessionID), e.RequestID, e.Address, e.Device)
		}
		if _, err := tx.StmtContext(ctx, stmt).ExecContext(ctx, args...); err != nil {
			return unavailable(err)
		}
		first, events = first+int64(n), events[n:]
	}
	return nil
}

// one turns "no row was touched" into the error that it means.
func one(n int64, err, none error) error {
	if err == nil && n == 0 {
		return none
	}
	return unavailable(err)
}

// userArgs are $1 to $14 of insertUser and updateUser.
func userArgs(u auth.User) ([]any, error) {
	usernameKey, err := auth.UsernameKey(u.Username)
	if err != nil {
		return nil, err
	}
	var emailKey sql.NullString
	if u.Email != "" {
		if emailKey.String, err = auth.EmailKey(u.Email); err != nil {
			return nil, err
		}
		emailKey.Valid = true
	}
	return []any{string(u.ID), u.Username, usernameKey, u.Email, emailKey, u.Name, u.Scope, u.PasswordHash,
		u.Disabled, micros(u.CreatedAt), micros(u.UpdatedAt), micros(u.SessionsFrom), u.EmailVerified, u.PendingEmail}, nil
}

// Purge deletes what nobody has a use for any more.
func (s *Store) Purge(ctx context.Context, before auth.Moments) error {
	return s.transact(ctx, func(ctx context.Context, tx *sql.Tx) error {
		for _, d := range []struct {
			text   string
			before time.Time
		}{
			{`DELETE FROM sessions WHERE expires_at < $1`, before.Expired},
			{`DELETE FROM tickets WHERE expires_at < $1`, before.Expired},
			{`DELETE FROM mails WHERE give_up_at < $1`, before.Expired},
			{`DELETE FROM signing_keys WHERE expires_at > 0 AND expires_at < $1`, before.Expired},
			// Numbers grow with time, but for clocks that differ; this finds the first
			// one to keep without an index on time, which every event would pay for.
			{`DELETE FROM events WHERE number < COALESCE((SELECT MIN(number) FROM events WHERE time >= $1),
				(SELECT value + 1 FROM counters WHERE name = 'events'))`, before.Events},
			{`DELETE FROM counts WHERE last_hit < $1`, before.Hits},
		} {
			if _, err := tx.ExecContext(ctx, d.text, micros(d.before)); err != nil {
				return unavailable(err)
			}
		}
		return nil
	})
}

type row interface{ Scan(dest ...any) error }

func scanUser(r row) (auth.User, error) {
	var u auth.User
	fields := &fieldList{}
	fields.user(&u)
	err := fields.scan(r)
	return u, err
}

func scanSession(r row) (auth.Session, error) {
	var e auth.Session
	fields := &fieldList{}
	fields.session(&e)
	err := fields.scan(r)
	return e, err
}

func scanEvent(r row) (auth.Event, error) {
	var e auth.Event
	fields := &fieldList{}
	fields.add(&e.Number)
	fields.time(&e.Time)
	fields.add(&e.Kind, &e.Outcome, &e.UserID, &e.SessionID, &e.RequestID, &e.Address, &e.Device)
	err := fields.scan(r)
	return e, err
}

// fieldList collects where columns go, and the moments that need converting.
type fieldList struct {
	dest  []any
	times []*time.Time
	raw   [16]int64
}

func (f *fieldList) add(dest ...any) { f.dest = append(f.dest, dest...) }

func (f *fieldList) time(t *time.Time) {
	f.dest = append(f.dest, &f.raw[len(f.times)])
	f.times = append(f.times, t)
}

func (f *fieldList) scan(r row) error {
	if err := r.Scan(f.dest...); err != nil {
		return err
	}
	for i, t := range f.times {
		*t = moment(f.raw[i])
	}
	return nil
}

func (f *fieldList) user(u *auth.User) {
	f.add(&u.ID, &u.Username, &u.Email, &u.Name, &u.Scope, &u.PasswordHash, &u.Disabled)
	f.time(&u.CreatedAt)
	f.time(&u.UpdatedAt)
	f.time(&u.SessionsFrom)
	f.add(&u.EmailVerified, &u.PendingEmail, &u.Version)
}

func (f *fieldList) session(s *auth.Session) {
	f.add(&s.ID, &s.UserID, &s.RefreshHash, &s.PreviousHash)
	f.time(&s.RotatedAt)
	f.add(&s.Rotations, &s.Device, &s.Address)
	f.time(&s.CreatedAt)
	f.time(&s.Since)
	f.time(&s.LastUsedAt)
	f.time(&s.ExpiresAt)
	f.time(&s.EndedAt)
	f.add(&s.Version)
}

// micros and moment convert between time.Time and the database; the zero time
// is 0.
func micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

func moment(us int64) time.Time {
	if us == 0 {
		return time.Time{}
	}
	return time.UnixMicro(us).UTC()
}
