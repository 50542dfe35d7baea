package sqlstore

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/latchkey-auth/latchkey/internal/keyring"
	"github.com/latchkey-auth/latchkey/internal/outbox"
	"github.com/latchkey-auth/latchkey/internal/storage"
	"github.com/latchkey-auth/latchkey/internal/transfer"
)

// rowsOf are rows to be stored in one table.
type rowsOf struct {
	table, key string // key: the columns of the primary key
	columns    string
	rows       [][]any
}

// upsertAtOnce is how many rows one statement stores. Of 19 columns it has far fewer values
// than a statement may have.
const upsertAtOnce = 64

// Import stores records in one transaction.
func (s *Store) Import(ctx context.Context, all []transfer.Record) error {
	into, err := rowsToStore(all)
	if err != nil || len(all) == 0 {
		return err
	}
	return s.apply(ctx, func(a *application) error {
		for _, t := range into {
			for chunk := range slices.Chunk(t.rows, upsertAtOnce) {
				if err := a.run(s.rare(t.upsert(len(chunk))), slices.Concat(chunk...)...); err != nil {
					return fmt.Errorf("storing %s: %w", t.table, err)
				}
			}
		}
		return nil
	})
}

// upsert is the statement that stores n rows in the place of those of their keys.
func (t rowsOf) upsert(n int) string {
	columns := strings.Split(t.columns, ", ")
	var set []string
	for _, c := range columns {
		if !slices.Contains(strings.Split(t.key, ", "), c) {
			set = append(set, c+" = excluded."+c)
		}
	}
	do := `NOTHING`
	if len(set) > 0 {
		do = `UPDATE SET ` + strings.Join(set, ", ")
	}
	return `INSERT INTO ` + t.table + ` (` + t.columns + `) VALUES ` + placeholders(n, len(columns)) +
		` ON CONFLICT (` + t.key + `) DO ` + do
}

// rowsToStore sorts records by table: users before what refers to them.
func rowsToStore(all []transfer.Record) ([]*rowsOf, error) {
	users := &rowsOf{table: "users", key: "id", columns: "id, username, username_key, email, email_key, name, scope, roles, attributes, created_at, updated_at, version"}
	signIns := &rowsOf{table: "sign_ins", key: "user_id", columns: "user_id, password_hash, disabled, email_verified, pending_email, epoch, epoch_at, rights, updated_at, version"}
	deleted := &rowsOf{table: "deleted_users", key: "id", columns: "id"}
	credentials := &rowsOf{table: "credentials", key: "key", columns: "key, user_id, data, created_at, version"}
	sessions := &rowsOf{table: "sessions", key: "id", columns: strings.Join(strings.Fields(strings.ReplaceAll(sessionColumns, "sessions.", "")), " ")}
	tickets := &rowsOf{table: "tickets", key: "id", columns: "id, purpose, email, secret_hash, code_mac, tries, user_id, name, password_hash, bound, created_at, link_until, code_until, expires_at"}
	marks := &rowsOf{table: "marks", key: "id", columns: "id, expires_at"}
	mails := &rowsOf{table: "mails", key: "id", columns: "id, sealed, created_at, due_at, give_up_at, attempts"}
	events := &rowsOf{table: "events", key: "time, id", columns: "time, id, kind, outcome, user_id, session_id, request_id, address, device, count"}
	revocations := &rowsOf{table: "revocations", key: "time, id", columns: "time, id, user_id, session_id, epoch, rights, survivor, expires_at"}
	counts := &rowsOf{table: "counts", key: "key", columns: "key, empty_at, last_at, reserved"}
	keys := &rowsOf{table: "signing_keys", key: "number", columns: "number, id, algorithm, public, sealed, created_at, active_at, retires_at, expires_at"}
	for _, r := range all {
		switch r := r.(type) {
		case transfer.User:
			profile, signIn, err := userRows(r)
			if err != nil {
				return nil, err
			}
			users.add(profile)
			signIns.add(signIn)
		case transfer.DeletedUser:
			deleted.add([]any{string(r.ID)})
		case storage.Credential:
			credentials.add([]any{string(r.Key), string(r.UserID), blob(r.Data), micros(r.CreatedAt), r.Version})
		case storage.Session:
			sessions.add(sessionArgs(r))
		case storage.Ticket:
			tickets.add(ticketArgs(r))
		case storage.Mark:
			marks.add([]any{string(r.ID), micros(r.ExpiresAt)})
		case outbox.Mail:
			mails.add(mailArgs(r))
		case storage.Event:
			events.add(eventArgs(r))
		case storage.Revocation:
			revocations.add(revocationArgs(r))
		case transfer.Count:
			counts.add([]any{r.Key, micros(r.Empty), micros(r.Last), r.Reserved})
		case keyring.Record:
			keys.add(keyArgs(r))
		default:
			return nil, fmt.Errorf("%w: %T is no record", storage.ErrChanges, r)
		}
	}
	return []*rowsOf{users, signIns, deleted, credentials, sessions, tickets, marks, mails, events, revocations, counts, keys}, nil
}

func (t *rowsOf) add(row []any) { t.rows = append(t.rows, row) }

// userRows are the rows of the two items.
func userRows(u transfer.User) (profile, signIn []any, err error) {
	u.UpdatedAt = u.ProfileAt
	if profile, err = profileArgs(u.User); err != nil {
		return nil, nil, fmt.Errorf("user %s: %w", u.ID, err)
	}
	u.UpdatedAt = u.SignInAt
	return append(profile, u.Version), append(signInArgs(u.User), u.SignInVersion), nil
}

// Erase deletes all rows, those of users last: others refer to them. In PostgreSQL that
// would take its time, and leave all of them on disk.
func (s *Store) Erase(ctx context.Context) error {
	return s.apply(ctx, func(a *application) error {
		if s.postgres != nil {
			names := "sign_ins"
			for _, t := range tables {
				names += ", " + t.name
			}
			return a.run(s.rare(`TRUNCATE ` + names))
		}
		for _, t := range slices.Backward(tables) {
			if err := a.run(s.rare(`DELETE FROM ` + t.name)); err != nil {
				return err
			}
		}
		return nil
	})
}
