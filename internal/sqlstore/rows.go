package sqlstore

import (
	"database/sql"
	"encoding/json"
	"fmt"
	"time"

	"github.com/latchkey-auth/latchkey/internal/storage"
)

type row interface{ Scan(dest ...any) error }

func scanUser(r row) (storage.User, error) {
	var u storage.User
	err := r.Scan(userFields(&u)...)
	return u, err
}

// userFields is where userColumns go.
func userFields(u *storage.User) []any {
	return userFieldsAt(u, later{&u.UpdatedAt}, later{&u.UpdatedAt})
}

// userFieldsAt is userFields with a place for the moment of change of each item.
func userFieldsAt(u *storage.User, profileAt, signInAt sql.Scanner) []any {
	return []any{
		&u.ID, &u.Username, &u.Email, &u.Name, &u.Scope, decoded{&u.Roles}, decoded{&u.Attributes},
		instant{&u.CreatedAt}, profileAt, &u.Version,
		&u.PasswordHash, &u.Disabled, &u.EmailVerified, &u.PendingEmail, &u.Epoch, instant{&u.EpochAt}, &u.Rights,
		signInAt, &u.SignInVersion,
	}
}

func scanSession(r row) (storage.Session, error) {
	var s storage.Session
	err := r.Scan(sessionFields(&s)...)
	return s, err
}

// sessionFields is where sessionColumns go.
func sessionFields(s *storage.Session) []any {
	return []any{
		&s.ID, &s.UserID, &s.Epoch, decoded{&s.Proof.AMR}, &s.Proof.ACR, instant{&s.Proof.At}, &s.ClientID, &s.Scope,
		&s.Seed, &s.Refreshes, &s.Chain.Hash, &s.Chain.Previous, &s.Chain.Rotations, &s.Device, &s.Address,
		instant{&s.CreatedAt}, instant{&s.LastUsedAt}, instant{&s.ExpiresAt}, instant{&s.EndedAt},
	}
}

// instant takes a moment from its column.
type instant struct{ to *time.Time }

func (i instant) Scan(column any) error {
	us, ok := column.(int64)
	if !ok {
		return fmt.Errorf("%T is no moment", column)
	}
	*i.to = moment(us)
	return nil
}

// later takes the latest of several moments.
type later struct{ to *time.Time }

func (l later) Scan(column any) error {
	var t time.Time
	err := instant{&t}.Scan(column)
	if t.After(*l.to) {
		*l.to = t
	}
	return err
}

// decoded takes what was encoded.
type decoded struct{ to any }

func (d decoded) Scan(column any) error {
	switch text := column.(type) {
	case string:
		if text == "" {
			return nil
		}
		return json.Unmarshal([]byte(text), d.to)
	default:
		return fmt.Errorf("%T is no text", column)
	}
}

// list and object encode what has no column of its own. What is empty is the empty text.
func list(texts []string) string {
	if len(texts) == 0 {
		return ""
	}
	return encoded(texts)
}

func object(texts map[string]string) string {
	if len(texts) == 0 {
		return ""
	}
	return encoded(texts)
}

func encoded(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err) // texts have an encoding
	}
	return string(text)
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

// blob is never NULL.
func blob(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}
