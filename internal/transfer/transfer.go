// Package transfer copies everything from one store into another: users with their
// versions and epochs, sessions with their refresh numbers, tickets, marks, queued mail,
// events, revocations, counts and signing keys, each exactly as it is. No rule of package
// auth runs on the way, and nothing is unsealed: both stores need the same master key.
//
// A [Hold] in each of the two stores says that a copy is under way. While the source is
// held, no process writes to it: each looks at the hold before it writes, see [Guard].
// The target's hold has the place that the copy has reached, so that an interrupted one
// goes on there.
//
// [Copy] is where to start. Afterwards it reads both stores again and compares them by
// [Totals].
package transfer

import (
	"context"
	"time"

	"github.com/latchkey-auth/latchkey/internal/keyring"
	"github.com/latchkey-auth/latchkey/internal/limit"
	"github.com/latchkey-auth/latchkey/internal/outbox"
	"github.com/latchkey-auth/latchkey/internal/storage"
)

// A Store can be copied from and to. Every store is one, and storetest judges it.
type Store interface {
	// Export returns about limit records, as they are stored, and where the next ones
	// begin: at first after "", and "" when there are no more. A page may be empty
	// before the last one. A user comes before the sessions of that user. Sessions
	// whose user is gone are left out. What others write meanwhile may be missing.
	Export(ctx context.Context, after storage.Cursor, limit int) ([]Record, storage.Cursor, error)
	// Import stores records as they are, in the place of what has their keys. After an
	// error some of them may be stored. It checks nothing: two users of one name are
	// the caller's mistake.
	Import(ctx context.Context, records []Record) error
	// Erase deletes all records, and leaves the hold and the mark of the kind. After an
	// error some of them may be there.
	Erase(ctx context.Context) error
	// Size is about how many records there are; 0: not known without reading them.
	Size(ctx context.Context) (int64, error)
	// Hold returns the hold on the store; zero: there is none.
	Hold(ctx context.Context) (Hold, error)
	// PutHold stores the hold in the place of the one whose ID is was; "": of none. The
	// zero Hold deletes it. storage.ErrConflict when another one is stored.
	PutHold(ctx context.Context, was string, h Hold) error
	// Bounds are how long a process may take to notice a hold.
	Bounds() Bounds
}

// Bounds say for how long a process may still write after a hold was stored.
type Bounds struct {
	// Look is the most that what a process knows of the hold is old when it begins to
	// write. A store where reading it costs a request has a longer one.
	Look time.Duration
	// Write is how long a write takes at most, once begun.
	Write time.Duration
}

// A Record is one thing that a store keeps: a [User], [DeletedUser], [Count],
// storage.Credential, storage.Session, storage.Ticket, storage.Mark, outbox.Mail, storage.Event,
// storage.Revocation or keyring.Record.
type Record any

// A User is a user with a moment of change for each of the two items. The UpdatedAt of
// storage.User follows from them, and is zero here.
type User struct {
	storage.User
	ProfileAt, SignInAt time.Time
}

// A DeletedUser is the id that nobody else is given.
type DeletedUser struct{ ID storage.UserID }

// A Count is a leaky bucket with its key.
type Count struct {
	Key string
	limit.Count
}

// A Kind is what a record is.
type Kind string

const (
	Users        Kind = "users"
	DeletedUsers Kind = "deleted users"
	Credentials  Kind = "credentials"
	Sessions     Kind = "sessions"
	Tickets      Kind = "tickets"
	Marks        Kind = "marks"
	Mails        Kind = "mails"
	Events       Kind = "events"
	Revocations  Kind = "revocations"
	Counts       Kind = "counts"
	SigningKeys  Kind = "signing keys"
)

// Kinds are all of them, in the order in which people are told of them.
func Kinds() []Kind {
	return []Kind{Users, DeletedUsers, Credentials, Sessions, Tickets, Marks, Mails, Events, Revocations, Counts, SigningKeys}
}

// KindOf is the kind of a record; "": it is none.
func KindOf(r Record) Kind {
	switch r.(type) {
	case User:
		return Users
	case DeletedUser:
		return DeletedUsers
	case storage.Credential:
		return Credentials
	case storage.Session:
		return Sessions
	case storage.Ticket:
		return Tickets
	case storage.Mark:
		return Marks
	case outbox.Mail:
		return Mails
	case storage.Event:
		return Events
	case storage.Revocation:
		return Revocations
	case Count:
		return Counts
	case keyring.Record:
		return SigningKeys
	}
	return ""
}

// Expired reports whether nobody has a use for the record any more. Some stores have
// deleted it then and others have not, so that it is neither copied nor counted. Of the
// moments it takes Expired and Events.
func Expired(r Record, m storage.Moments) bool {
	switch r := r.(type) {
	case storage.Session:
		return r.ExpiresAt.Before(m.Expired)
	case storage.Ticket:
		return r.ExpiresAt.Before(m.Expired)
	case storage.Mark:
		return r.ExpiresAt.Before(m.Expired)
	case outbox.Mail:
		return r.GiveUpAt.Before(m.Expired)
	case storage.Event:
		return r.Time.Before(m.Events)
	case storage.Revocation:
		return r.ExpiresAt.Before(m.Expired)
	case Count: // it has leaked out, and is as one that nobody has taken from
		return r.Empty.Before(m.Expired)
	case keyring.Record:
		return !r.ExpiresAt.IsZero() && r.ExpiresAt.Before(m.Expired)
	}
	return false
}
