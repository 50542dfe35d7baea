package storage

import (
	"fmt"
	"reflect"

	"github.com/latchkey-auth/latchkey/internal/identifier"
	"github.com/latchkey-auth/latchkey/internal/outbox"
)

// MaxChanges is how many items one commit may write or check.
const MaxChanges = 25

// A Change is one guarded change of a commit. Each kind is either guarded by what it
// changes itself or idempotent, so that a commit whose answer was lost does no harm when
// it is repeated.
type Change interface {
	// Items are the keys of the items that it writes or checks.
	Items() []Item
}

// An Item is the key of one item of a store: what a store locks, and what a commit
// holds once at most.
type Item string

// The guard that CheckEpoch adds to a commit binds it to what was read of a user's
// sign-in.
type CheckEpoch struct {
	UserID UserID
	// Epoch: ErrConflict unless it is the stored one.
	Epoch int64
}

// CreateUser stores a user with the Versions 1. ErrTaken when the id, username or e-mail
// address is in use, or the id is that of a deleted user.
type CreateUser struct{ User User }

// UpdateUser replaces what differs between Old, as it was read, and New: the profile, the
// sign-in, or both. ErrConflict unless the stored versions of what differs are those of
// Old, which go up by one; ErrTaken when a name of New belongs to another user.
type UpdateUser struct{ Old, New User }

// DeleteUser deletes a user. ErrConflict unless the stored SignInVersion is the given
// one. Sessions of the user are not found any more; the id stays known, see
// Store.UserDeleted.
type DeleteUser struct{ User User }

// ReplaceUser deletes Old, as DeleteUser does, and creates New, which may have the e-mail
// address of Old.
type ReplaceUser struct{ Old, New User }

// CreateCredential stores a credential with the Version 1. ErrTaken when its key is in use.
// What binds it to its user is CheckEpoch in the same commit.
type CreateCredential struct{ Credential Credential }

// UpdateCredential replaces a credential. ErrConflict unless the stored Version is the
// given one, which goes up by one.
type UpdateCredential struct{ Credential Credential }

// DeleteCredential deletes a credential. ErrConflict unless the stored Version is the
// given one.
type DeleteCredential struct{ Credential Credential }

// CreateSession stores a session. ErrTaken when the id is in use. What binds it to its
// user is CheckEpoch or CreateUser in the same commit.
type CreateSession struct{ Session Session }

// RefreshSession stores what a refresh changes: Refreshes, Seed, LastUsedAt, Device and
// Address. ErrConflict unless the stored Refreshes is one less than the given one and the
// session has not ended.
type RefreshSession struct{ Session Session }

// KeepSession has a session outlive a move of its user's epoch: it sets the Epoch.
// ErrConflict when there is no such session, or it has ended.
type KeepSession struct{ Session Session }

// EndSession sets the EndedAt of a session, whatever a refresh has made of it meanwhile.
// ErrConflict when there is no such session, or it has ended.
type EndSession struct{ Session Session }

// PutTicket stores a ticket in the place of whatever has its id.
type PutTicket struct{ Ticket Ticket }

// ReplaceTicket stores a ticket in the place of the one of the same id whose SecretHash
// is Old; ErrConflict when that is not there any more.
type ReplaceTicket struct {
	Old    []byte
	Ticket Ticket
}

// TakeTicket deletes a ticket. ErrConflict unless the stored one has the given SecretHash
// and Tries.
type TakeTicket struct{ Ticket Ticket }

// CountTry adds one to the Tries of a ticket. ErrConflict unless the stored one has the
// given SecretHash and Tries.
type CountTry struct{ Ticket Ticket }

// PutMark stores a mark in the place of whatever has its id.
type PutMark struct{ Mark Mark }

// QueueMail stores a mail. ErrTaken when its id is in use.
type QueueMail struct{ Mail outbox.Mail }

// DeferMail stores the new DueAt of a queued mail and adds one to its Attempts.
// ErrConflict unless the stored Attempts is the given one.
type DeferMail struct{ Mail outbox.Mail }

// DeleteMail deletes a queued mail; one that is not there is no error.
type DeleteMail struct{ Mail outbox.Mail }

// AppendEvent adds a line to the audit trail. One with the same time and ID stays as it
// is.
type AppendEvent struct{ Event Event }

// AppendRevocation adds to what has ended. One with the same time and ID stays as it is.
type AppendRevocation struct{ Revocation Revocation }

func (c CheckEpoch) Items() []Item { return []Item{signInItem(c.UserID)} }

func (c CreateUser) Items() []Item { return append(userItems(c.User.ID), nameItems(c.User)...) }

func (c UpdateUser) Items() []Item {
	var items []Item
	if c.Profile() {
		items = append(items, profileItem(c.Old.ID))
	}
	if c.SignIn() {
		items = append(items, signInItem(c.Old.ID))
	}
	for _, name := range nameItems(c.Old) {
		items = appendOnce(items, name, !contains(nameItems(c.New), name))
	}
	for _, name := range nameItems(c.New) {
		items = appendOnce(items, name, !contains(nameItems(c.Old), name))
	}
	return items
}

func (c DeleteUser) Items() []Item { return append(userItems(c.User.ID), nameItems(c.User)...) }

func (c ReplaceUser) Items() []Item {
	items := append(DeleteUser{c.Old}.Items(), userItems(c.New.ID)...)
	for _, name := range nameItems(c.New) {
		items = appendOnce(items, name, true)
	}
	return items
}

func (c CreateCredential) Items() []Item { return []Item{credentialItem(c.Credential.Key)} }
func (c UpdateCredential) Items() []Item { return []Item{credentialItem(c.Credential.Key)} }
func (c DeleteCredential) Items() []Item { return []Item{credentialItem(c.Credential.Key)} }

func (c CreateSession) Items() []Item  { return []Item{sessionItem(c.Session.ID)} }
func (c RefreshSession) Items() []Item { return []Item{sessionItem(c.Session.ID)} }
func (c KeepSession) Items() []Item    { return []Item{sessionItem(c.Session.ID)} }
func (c EndSession) Items() []Item     { return []Item{sessionItem(c.Session.ID)} }
func (c PutTicket) Items() []Item      { return []Item{ticketItem(c.Ticket.ID)} }
func (c ReplaceTicket) Items() []Item  { return []Item{ticketItem(c.Ticket.ID)} }
func (c TakeTicket) Items() []Item     { return []Item{ticketItem(c.Ticket.ID)} }
func (c CountTry) Items() []Item       { return []Item{ticketItem(c.Ticket.ID)} }
func (c PutMark) Items() []Item        { return []Item{Item("mark " + string(c.Mark.ID))} }
func (c QueueMail) Items() []Item      { return []Item{mailItem(c.Mail)} }
func (c DeferMail) Items() []Item      { return []Item{mailItem(c.Mail)} }
func (c DeleteMail) Items() []Item     { return []Item{mailItem(c.Mail)} }
func (c AppendEvent) Items() []Item    { return []Item{Item("event " + c.Event.ID)} }
func (c AppendRevocation) Items() []Item {
	return []Item{Item("revocation " + c.Revocation.ID)}
}

// Profile reports whether what differs is in the profile.
func (c UpdateUser) Profile() bool {
	return !reflect.DeepEqual(c.Old.profile(), c.New.profile())
}

// SignIn reports whether what differs is in the sign-in. A new name is, too: what was
// bound to the old one goes by the SignInVersion.
func (c UpdateUser) SignIn() bool {
	return c.Old.signIn() != c.New.signIn() || c.Old.Email != c.New.Email || c.Old.Username != c.New.Username
}

func profileItem(id UserID) Item          { return Item("profile " + string(id)) }
func signInItem(id UserID) Item           { return Item("sign-in " + string(id)) }
func userItems(id UserID) []Item          { return []Item{profileItem(id), signInItem(id)} }
func credentialItem(k CredentialKey) Item { return Item("credential " + string(k)) }
func sessionItem(id SessionID) Item       { return Item("session " + string(id)) }
func ticketItem(id TicketID) Item         { return Item("ticket " + string(id)) }
func mailItem(m outbox.Mail) Item         { return Item("mail " + m.ID) }

// nameItems are the guard items by which names are unique.
func nameItems(u User) []Item {
	var items []Item
	if key, err := identifier.UsernameKey(u.Username); err == nil {
		items = append(items, Item("username "+key))
	}
	if key, err := identifier.EmailKey(u.Email); err == nil {
		items = append(items, Item("email "+key))
	}
	return items
}

func contains(items []Item, one Item) bool {
	for _, item := range items {
		if item == one {
			return true
		}
	}
	return false
}

func appendOnce(items []Item, one Item, wanted bool) []Item {
	if !wanted || contains(items, one) {
		return items
	}
	return append(items, one)
}

// CheckChanges refuses what no store takes: more than MaxChanges items, or one of them
// twice. Every store calls it. ErrChanges.
func CheckChanges(changes []Change) error {
	seen := make([]Item, 0, MaxChanges)
	for _, c := range changes {
		for _, item := range c.Items() {
			if contains(seen, item) {
				return fmt.Errorf("%w: one item twice", ErrChanges)
			}
			seen = append(seen, item)
		}
	}
	if len(seen) > MaxChanges {
		return fmt.Errorf("%w: %d items, at most %d", ErrChanges, len(seen), MaxChanges)
	}
	return nil
}
