package sqlstore

import (
	"fmt"
	"strings"
)

const (
	// A user is a profile and a sign-in. Where there is the one there is the other.
	userColumns = `users.id,
		users.username,
		users.email,
		users.name,
		users.scope,
		users.roles,
		users.attributes,
		users.created_at,
		users.updated_at,
		users.version,
		sign_ins.password_hash,
		sign_ins.disabled,
		sign_ins.email_verified,
		sign_ins.pending_email,
		sign_ins.epoch,
		sign_ins.epoch_at,
		sign_ins.rights,
		sign_ins.updated_at,
		sign_ins.version`

	fromUsers = ` FROM users JOIN sign_ins ON sign_ins.user_id = users.id`

	// Up to storage.MaxCounted of those that selectUserSessions selects.
	countSessions = `, (SELECT COUNT(*) FROM (SELECT 1 FROM sessions
		WHERE sessions.user_id = users.id AND sessions.ended_at = 0 AND sessions.epoch >= sign_ins.epoch LIMIT 100) AS counted)`

	sessionColumns = `sessions.id,
		sessions.user_id,
		sessions.epoch,
		sessions.amr,
		sessions.acr,
		sessions.proved_at,
		sessions.client_id,
		sessions.scope,
		sessions.seed,
		sessions.refreshes,
		sessions.chain_hash,
		sessions.chain_previous,
		sessions.chain_rotations,
		sessions.device,
		sessions.address,
		sessions.created_at,
		sessions.last_used_at,
		sessions.expires_at,
		sessions.ended_at`

	selectUser           = `SELECT ` + userColumns + fromUsers + ` WHERE users.id = $1`
	selectUserByUsername = `SELECT ` + userColumns + countSessions + fromUsers + ` WHERE users.username_key = $1`
	selectUserByEmail    = `SELECT ` + userColumns + countSessions + fromUsers + ` WHERE users.email_key = $1`
	selectUsers          = `SELECT ` + userColumns + fromUsers + ` WHERE users.id > $1 ORDER BY users.id LIMIT $2`
	selectDeletedUser    = `SELECT COUNT(*) FROM deleted_users WHERE id = $1`
	selectSessionUser    = `SELECT ` + sessionColumns + `, ` + userColumns + `
		FROM sessions JOIN users ON users.id = sessions.user_id JOIN sign_ins ON sign_ins.user_id = users.id
		WHERE sessions.id = $1`

	// The index sessions_listed has what is asked for, in order.
	selectUserSessions = `SELECT ` + sessionColumns + ` FROM sessions
		WHERE user_id = $1 AND ended_at = 0 AND epoch >= $2
		ORDER BY epoch DESC, created_at DESC, id LIMIT $3 OFFSET $4`

	selectEpoch = `SELECT 1 FROM sign_ins WHERE user_id = $1 AND epoch = $2`
	// PostgreSQL has others write meanwhile: the row is held until the commit ends.
	selectEpochPostgres = selectEpoch + ` FOR SHARE`

	insertUser = `INSERT INTO users (id, username, username_key, email, email_key, name, scope, roles, attributes,
			created_at, updated_at, version)
		SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, 1
		WHERE NOT EXISTS (SELECT 1 FROM deleted_users WHERE id = $1)
		ON CONFLICT DO NOTHING`

	updateUser = `UPDATE users SET username = $2, username_key = $3, email = $4, email_key = $5, name = $6,
			scope = $7, roles = $8, attributes = $9, created_at = $10, updated_at = $11, version = version + 1
		WHERE id = $1 AND version = $12`

	signInColumns = 10

	insertSignIns = `INSERT INTO sign_ins (user_id, password_hash, disabled, email_verified, pending_email, epoch, epoch_at,
			rights, updated_at, version) VALUES `

	updateSignIn = `UPDATE sign_ins SET password_hash = $2, disabled = $3, email_verified = $4, pending_email = $5,
			epoch = $6, epoch_at = $7, rights = $8, updated_at = $9, version = version + 1
		WHERE user_id = $1 AND version = $10`

	deleteSignIn = `DELETE FROM sign_ins WHERE user_id = $1 AND version = $2`

	// The sessions go with it.
	deleteUser = `DELETE FROM users WHERE id = $1`

	selectNotDeleted = `SELECT 1 WHERE NOT EXISTS (SELECT 1 FROM deleted_users WHERE id = $1)`

	insertDeletedUser = `INSERT INTO deleted_users (id) VALUES ($1) ON CONFLICT DO NOTHING`

	insertSession = `INSERT INTO sessions (id, user_id, epoch, amr, acr, proved_at, client_id, scope, seed, refreshes,
			chain_hash, chain_previous, chain_rotations, device, address, created_at, last_used_at, expires_at, ended_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19)
		ON CONFLICT DO NOTHING`

	// It sets nothing that stands in an index: no statement runs more often.
	refreshSession = `UPDATE sessions SET refreshes = $2, seed = $3, last_used_at = $4, device = $5, address = $6
		WHERE id = $1 AND refreshes = $7 AND ended_at = 0`

	// The check of the epoch is in the statement: it is the one that runs most.
	refreshBound = refreshSession + ` AND EXISTS (SELECT 1 FROM sign_ins WHERE user_id = $8 AND epoch = $9)`
	// The sign-in is locked before the session, as in every commit that changes both.
	refreshBoundPostgres = `WITH bound AS (SELECT 1 FROM sign_ins WHERE user_id = $8 AND epoch = $9 FOR SHARE) ` +
		refreshSession + ` AND EXISTS (SELECT 1 FROM bound)`

	keepSession = `UPDATE sessions SET epoch = $2 WHERE id = $1 AND ended_at = 0`

	endSession = `UPDATE sessions SET ended_at = $2 WHERE id = $1 AND ended_at = 0`

	selectTickets = `SELECT id, purpose, email, secret_hash, code_mac, tries, user_id, name, password_hash, bound,
			created_at, link_until, code_until, expires_at
		FROM tickets`

	selectTicket = selectTickets + ` WHERE id = $1`

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

	selectCredential = `SELECT key, user_id, data, created_at, version FROM credentials WHERE key = $1`

	selectUserCredentials = `SELECT key, user_id, data, created_at, version
		FROM credentials WHERE user_id = $1 ORDER BY key LIMIT $2`

	insertCredential = `INSERT INTO credentials (key, user_id, data, created_at, version)
		VALUES ($1, $2, $3, $4, 1) ON CONFLICT DO NOTHING`

	updateCredential = `UPDATE credentials SET user_id = $2, data = $3, created_at = $4, version = version + 1
		WHERE key = $1 AND version = $5`

	deleteCredential = `DELETE FROM credentials WHERE key = $1 AND version = $2`

	selectMark = `SELECT id, expires_at FROM marks WHERE id = $1`

	putMark = `INSERT INTO marks (id, expires_at) VALUES ($1, $2) ON CONFLICT (id) DO UPDATE SET expires_at = $2`

	selectDueMails = `SELECT id, sealed, created_at, due_at, give_up_at, attempts
		FROM mails WHERE due_at <= $1 ORDER BY due_at, id LIMIT $2`

	insertMail = `INSERT INTO mails (id, sealed, created_at, due_at, give_up_at, attempts)
		VALUES ($1, $2, $3, $4, $5, $6)
		ON CONFLICT DO NOTHING`

	deferMail = `UPDATE mails SET due_at = $3, attempts = attempts + 1 WHERE id = $1 AND attempts = $2`

	deleteMail = `DELETE FROM mails WHERE id = $1`

	// What follows a place in a list: at $1 or later, and behind $2 and $3.
	selectEvents = `SELECT time, id, kind, outcome, user_id, session_id, request_id, address, device, count
		FROM events WHERE time >= $1 AND (time, id) > ($2, $3) ORDER BY time, id LIMIT $4`

	selectRevocations = `SELECT time, id, user_id, session_id, epoch, rights, survivor, expires_at
		FROM revocations WHERE time >= $1 AND (time, id) > ($2, $3) ORDER BY time, id LIMIT $4`

	eventColumns = 10

	insertEvents = `INSERT INTO events (time, id, kind, outcome, user_id, session_id, request_id, address, device, count) VALUES `

	insertRevocation = `INSERT INTO revocations (time, id, user_id, session_id, epoch, rights, survivor, expires_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
		ON CONFLICT DO NOTHING`

	// And the mark that goes with them.
	selectCounts = `SELECT 0, key, empty_at, last_at, reserved FROM counts WHERE key IN ($1, $2, $3, $4, $5, $6, $7, $8)
		UNION ALL SELECT 1, id, expires_at, 0, 0 FROM marks WHERE id = $9`

	// The first take from a bucket, and a further one: it fills by $5 from when it is
	// empty, or from now.
	takeCount = `INSERT INTO counts (key, empty_at, last_at, reserved) VALUES ($1, $2, $3, $4)
		ON CONFLICT (key) DO UPDATE SET
			empty_at = CASE WHEN counts.empty_at > excluded.last_at THEN counts.empty_at + $5 ELSE excluded.empty_at END,
			last_at = excluded.last_at,
			reserved = counts.reserved + excluded.reserved`

	takeRoom = takeCount + ` WHERE counts.empty_at <= $6`

	takeUnused = takeCount + ` WHERE counts.empty_at = 0 AND counts.last_at = 0`

	takeUnchanged = `UPDATE counts SET
			empty_at = CASE WHEN empty_at > $3 THEN empty_at + $4 ELSE $2 END,
			last_at = $3,
			reserved = reserved + 1
		WHERE key = $1 AND empty_at = $5 AND last_at = $6`

	giveBack = `UPDATE counts SET
			empty_at = empty_at - $2,
			last_at = CASE WHEN last_at = $3 AND empty_at = $5 THEN $4 ELSE last_at END,
			reserved = CASE WHEN reserved > 0 THEN reserved - 1 ELSE 0 END
		WHERE key = $1`

	keepTaken = `UPDATE counts SET reserved = reserved - 1 WHERE key = $1 AND reserved > 0`

	// The last key of a page of counts, and when the oldest of them was taken from.
	selectCountsPage = `SELECT MAX(key), COALESCE(MIN(last_at), 0) FROM
		(SELECT key, last_at FROM counts WHERE key > $1 ORDER BY key LIMIT $2) AS page`

	deleteOldCounts = `DELETE FROM counts WHERE key > $1 AND key <= $2 AND last_at < $3`

	ping = `INSERT INTO pings (id, number) VALUES ($1, 1) ON CONFLICT (id) DO UPDATE SET number = pings.number + 1`
)

// many is how many rows those statements insert that are for very many.
const many = 32

// placeholders is the text of so many rows of so many values.
func placeholders(n, values int) string {
	var text strings.Builder
	for i := range n * values {
		switch {
		case i == 0:
			text.WriteString("(")
		case i%values == 0:
			text.WriteString("), (")
		default:
			text.WriteString(", ")
		}
		fmt.Fprintf(&text, "$%d", i+1)
	}
	return text.String() + ")"
}

func insertSomeEvents(n int) string {
	return insertEvents + placeholders(n, eventColumns) + ` ON CONFLICT DO NOTHING`
}
