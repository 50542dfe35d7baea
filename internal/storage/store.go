package storage

import (
	"context"
	"time"

	"github.com/latchkey-auth/latchkey/internal/outbox"
)

// A Store keeps users, sessions, tickets, marks, queued mail, revocations and events.
// Stores are dumb and atomic: they know no rules beyond uniqueness and guards, and
// storetest.Run judges every one of them, whole. The port fits a key-value store first:
// look-ups by key, lists by owner, cursors, and one commit of a few guarded changes.
//
// An error that is none of ErrNotFound, ErrTaken, ErrConflict and ErrChanges means that
// the store could not be used and matches ErrUnavailable. What expires is checked by
// those who read it: a store deletes it some time later.
type Store interface {
	// User returns the user with the id, or ErrNotFound.
	User(ctx context.Context, id UserID) (User, error)
	// UserByUsername and UserByEmail look up by [identifier.UsernameKey] and [identifier.EmailKey];
	// ErrNotFound. A name that nobody has costs the same reads as another. Beside the user
	// they return how many sessions UserSessions has for the user's Epoch, up to
	// MaxCounted.
	UserByUsername(ctx context.Context, key string) (User, int, error)
	UserByEmail(ctx context.Context, key string) (User, int, error)
	// UserDeleted reports whether there was a user of that id.
	UserDeleted(ctx context.Context, id UserID) (bool, error)
	// Users returns up to limit users in an order of the store's own, and where the
	// next ones begin. The first page is after "". A page is the last one when it is
	// empty. Who is there all the while is returned once.
	Users(ctx context.Context, after Cursor, limit int) ([]User, Cursor, error)
	// Credential returns the credential with the key, or ErrNotFound.
	Credential(ctx context.Context, key CredentialKey) (Credential, error)
	// UserCredentials returns up to limit credentials of a user, by key.
	UserCredentials(ctx context.Context, id UserID, limit int) ([]Credential, error)
	// SessionUser returns a session and its user, or ErrNotFound when either is gone.
	SessionUser(ctx context.Context, id SessionID) (Session, User, error)
	// UserSessions returns sessions of a user that have not been ended and whose Epoch is
	// not below the given one: the highest Epoch first, and of one Epoch those that began
	// last. It leaves out the first skip of them, and returns up to limit.
	UserSessions(ctx context.Context, id UserID, epoch int64, skip, limit int) ([]Session, error)
	// Ticket returns the ticket with the id, expired or not, or ErrNotFound.
	Ticket(ctx context.Context, id TicketID) (Ticket, error)
	// Mark returns the mark with the id, expired or not, or ErrNotFound.
	Mark(ctx context.Context, id MarkID) (Mark, error)
	// DueMails returns up to limit queued mails whose DueAt is not after now,
	// longest due first. Fewer than limit: no others were due.
	DueMails(ctx context.Context, now time.Time, limit int) ([]outbox.Mail, error)
	// Events returns up to limit events by time, and where the next ones begin: those
	// that did not happen before since, or after the cursor unless it is "". A commit
	// may arrive late: whoever follows reads the last minute again.
	Events(ctx context.Context, since time.Time, after Cursor, limit int) ([]Event, Cursor, error)
	// Revocations are read as Events are.
	Revocations(ctx context.Context, since time.Time, after Cursor, limit int) ([]Revocation, Cursor, error)
	// Commit carries out the changes, in their order: all of them, or nothing and an
	// error. When it returns nil they are on disk. It goes on when ctx ends. After
	// ErrUnavailable they may have been carried out or not.
	Commit(ctx context.Context, changes ...Change) error
	// Purge deletes what has expired, as a favour: some of it, some time.
	Purge(ctx context.Context, before Moments) error
	// Ping says whether the store can be read and written now.
	Ping(ctx context.Context) error
}

// MaxCounted is up to how many sessions a look-up by name counts.
const MaxCounted = 100

// A Cursor is a place in a list, as its store writes it. It stays valid while others
// write; "" is the beginning.
type Cursor string

// Moments say what a purge deletes: what lies before them.
type Moments struct {
	Expired time.Time // sessions, tickets, marks, mails and revocations that expired
	Events  time.Time // events that happened
	Counts  time.Time // counts of which nobody has taken since
}

// A Loader takes in many users that are there already, elsewhere.
type Loader interface {
	// LoadUsers creates each user with its event, whole or not at all, and reports
	// which of them are stored: not those of whom the id or a name is in use, or the
	// id is that of a deleted user. After an error some of them may be stored.
	LoadUsers(ctx context.Context, users []LoadedUser) (stored []bool, err error)
}

// A LoadedUser is a user with the event that says where it came from.
type LoadedUser struct {
	User  User
	Event Event
}

// A MarkID names a mark: a MAC of what it is about.
type MarkID string

// A Mark says that something was, until it expires: that a network is known, that a link
// was used, that a token without session has ended.
type Mark struct {
	ID        MarkID
	ExpiresAt time.Time
}

// A Revocation says which access tokens end before they expire: those of a session, or
// those of a user below an epoch or a rights number.
type Revocation struct {
	ID        string // with Time its place among the others
	Time      time.Time
	UserID    UserID
	SessionID SessionID // its tokens, and nothing else; empty: tokens of the user
	// Epoch and Rights: tokens of the user with less of either end.
	Epoch, Rights int64
	// Survivor is the session of the user whose tokens go on; empty: none.
	Survivor SessionID
	// ExpiresAt is when the last of these tokens has expired.
	ExpiresAt time.Time
}
