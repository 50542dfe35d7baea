package auth

import (
	"context"
	"time"
)

// A Store keeps users, sessions, tickets, queued mail, counts and events. Stores are dumb and atomic: they
// know no rules beyond uniqueness and versions, and storetest.Run judges every
// one of them, whole. An error that is none of ErrNotFound, ErrTaken and
// ErrConflict means that the store could not be used and matches ErrUnavailable.
type Store interface {
	// User returns the user with the id, or ErrNotFound.
	User(ctx context.Context, id UserID) (User, error)
	// UserByUsername and UserByEmail look up by [UsernameKey] and [EmailKey];
	// ErrNotFound.
	UserByUsername(ctx context.Context, key string) (User, error)
	UserByEmail(ctx context.Context, key string) (User, error)
	// UserDeleted reports whether there was a user of that id.
	UserDeleted(ctx context.Context, id UserID) (bool, error)
	// Users returns up to limit users with ids after the given one, by id.
	Users(ctx context.Context, after UserID, limit int) ([]User, error)
	// SessionUser returns a session and the user it belongs to in one read, or
	// ErrNotFound when either is gone.
	SessionUser(ctx context.Context, id SessionID) (Session, User, error)
	// RecentSessionUser is SessionUser, but what it returns may be out of date. It
	// is for changes that are bound to the versions of both.
	RecentSessionUser(ctx context.Context, id SessionID) (Session, User, error)
	// UserSessions returns up to limit sessions of a user that have not ended,
	// expire after now, were used less than idle before now and whose Since is the
	// given one, latest begun first. It must not take longer for a user who has very
	// many: behind a thousand that have not ended it need not look for more.
	UserSessions(ctx context.Context, id UserID, since, now time.Time, idle time.Duration, limit int) ([]Session, error)
	// Events returns up to limit events after the one numbered after, oldest
	// first. Numbers grow in the order in which the events were committed.
	Events(ctx context.Context, after int64, limit int) ([]Event, error)
	// Ticket returns the ticket with the id, expired or not, or ErrNotFound.
	Ticket(ctx context.Context, id TicketID) (Ticket, error)
	// DueMails returns up to limit queued mails whose DueAt is not after now,
	// longest due first.
	DueMails(ctx context.Context, now time.Time, limit int) ([]Mail, error)
	// Counts returns the count of each key, zero for those without hits.
	Counts(ctx context.Context, keys []string) ([]Count, error)
	// Commit carries out the batch: all of it, or nothing and an error.
	// When it returns nil the changes are on disk. It goes on when ctx ends:
	// failures count for those who hang up, too.
	Commit(ctx context.Context, b Batch) error
	// Purge deletes what its owner has no use for any more.
	Purge(ctx context.Context, before Moments) error
	// Ping says whether the store can be read and written now.
	Ping(ctx context.Context) error
}

// Moments say what a purge deletes: what lies before them.
type Moments struct {
	Expired time.Time // sessions, tickets and mails that expired
	Events  time.Time // events that happened
	Hits    time.Time // counts whose last hit happened
}

// A Batch is a few changes that belong together. The zero value changes nothing.
// They are carried out in the order of the members: names that one user gives
// up by its deletion are free for another one of the same batch.
type Batch struct {
	// CheckUsers changes nothing: ErrConflict unless the stored Version of each
	// user is the given one. It binds other changes to what was read.
	CheckUsers []User
	// DeleteUsers deletes users with their sessions, by compare-and-swap:
	// ErrConflict unless the stored Version is the given one. Their ids stay known
	// for ever, see UserDeleted.
	DeleteUsers []User
	// CreateUsers: ErrTaken when an id, username or e-mail address is in use, or the
	// id is that of a deleted user.
	// They are stored with Version 1.
	CreateUsers []User
	// UpdateUsers replaces users by compare-and-swap: ErrConflict unless the
	// stored Version is the given one, which then goes up by one; ErrTaken when
	// the new username or e-mail address belongs to another user.
	UpdateUsers []User
	// CreateSessions: ErrTaken when an id is in use, ErrConflict when there is
	// no such user. They are stored with Version 1.
	CreateSessions []Session
	// UpdateSessions sets Since and EndedAt of sessions and leaves alone what a
	// refresh changes: whoever refreshes over and over must not keep a session from
	// being ended. Its stored Version goes up by one, whatever it was. ErrConflict
	// when there is no such session, or it has ended.
	UpdateSessions []Session
	// RotateSessions replaces what a refresh changes of sessions: ErrConflict
	// unless the stored Versions of session and user are the given ones.
	RotateSessions []Rotation
	// TakeTickets deletes tickets: ErrConflict unless the stored one has the given
	// SecretHash and Tries.
	TakeTickets []Ticket
	// CountTries adds one to the Tries of tickets, by compare-and-swap:
	// ErrConflict unless the stored one has the given SecretHash and Tries.
	CountTries []Ticket
	// PutTickets stores tickets in the place of whatever has their ids;
	// ErrConflict when one Replaces a ticket that is not there any more.
	PutTickets []Ticket
	// QueueMails stores mails; ErrTaken when an id is in use.
	QueueMails []Mail
	// DeferMails stores a new DueAt and adds one to the Attempts of queued mails,
	// by compare-and-swap: ErrConflict unless the stored Attempts is the given one.
	DeferMails []Mail
	// DeleteMails deletes queued mails; one that is not there is no error.
	DeleteMails []Mail
	// Hits are counted: the level of each key falls by one for every Fade since
	// its last hit, not below zero, and then rises by one.
	Hits []Hit
	// Events are appended in their order; their Number is given by the store.
	Events []Event
}

// A Rotation is a session with its next secrets (RefreshHash, PreviousHash,
// RotatedAt, Rotations, Device, Address and LastUsedAt; the rest stays), and its
// user as it was read.
type Rotation struct {
	Session Session
	User    User
}

// A Signer turns claims into a signed compact JWS.
type Signer interface {
	// Sign signs the claims, a JSON object, under the given "typ" header.
	Sign(ctx context.Context, typ string, claims []byte) (string, error)
}
