package dynamo

import (
	"time"

	"github.com/latchkey-auth/latchkey/internal/keyring"
	"github.com/latchkey-auth/latchkey/internal/outbox"
	"github.com/latchkey-auth/latchkey/internal/storage"
)

// margin is how long what has expired stays at least: for clocks that are behind, and
// for reads that still report it.
const margin = 24 * time.Hour

func profileFields(f *fields, u *storage.User) {
	text(f, "ID", &u.ID)
	text(f, "Username", &u.Username)
	text(f, "Email", &u.Email)
	text(f, "Name", &u.Name)
	text(f, "Scope", &u.Scope)
	f.texts("Roles", &u.Roles)
	f.dictionary("Attributes", &u.Attributes)
	f.moment("CreatedAt", &u.CreatedAt)
	f.moment("UpdatedAt", &u.UpdatedAt)
	f.number("Version", &u.Version)
}

func signInFields(f *fields, u *storage.User) {
	text(f, "PasswordHash", &u.PasswordHash)
	f.flag("Disabled", &u.Disabled)
	f.flag("EmailVerified", &u.EmailVerified)
	text(f, "PendingEmail", &u.PendingEmail)
	f.number("Epoch", &u.Epoch)
	f.moment("EpochAt", &u.EpochAt)
	f.number("Rights", &u.Rights)
	f.moment("UpdatedAt", &u.UpdatedAt)
	f.number("Version", &u.SignInVersion)
}

func profileItem(u storage.User, version int64) item {
	u.Version = version
	return written(profileKey(u.ID), profileFields, u)
}

func signInItem(u storage.User, version int64) item {
	u.SignInVersion = version
	return written(signInKey(u.ID), signInFields, u)
}

// deletedItem takes the place of a sign-in: the id stays known.
func deletedItem(id storage.UserID) item {
	it := newItem(signInKey(id))
	it.flag("Deleted", true)
	return it
}

// readUser makes a user of the two items; ErrNotFound when one is missing, as of a
// deleted user.
func readUser(profile, signIn item) (storage.User, error) {
	if len(profile) == 0 || len(signIn) == 0 || (&reader{it: signIn}).flag("Deleted") {
		return storage.User{}, storage.ErrNotFound
	}
	u, err := readAs(profile, profileFields)
	if err != nil {
		return storage.User{}, err
	}
	updated := u.UpdatedAt // of the one item, and then of the other
	if err := readInto(signIn, signInFields, &u); err != nil {
		return storage.User{}, err
	}
	if updated.After(u.UpdatedAt) {
		u.UpdatedAt = updated
	}
	return u, nil
}

// nameItem is the guard by which a name is unique, and the way from it to the user.
func nameItem(at key, id storage.UserID) item {
	it := newItem(at)
	it.text("UserID", string(id))
	return it
}

func sessionFields(f *fields, s *storage.Session) {
	text(f, "ID", &s.ID)
	text(f, "UserID", &s.UserID)
	f.number("Epoch", &s.Epoch)
	f.texts("ProofAMR", &s.Proof.AMR)
	text(f, "ProofACR", &s.Proof.ACR)
	f.moment("ProofAt", &s.Proof.At)
	text(f, "ClientID", &s.ClientID)
	text(f, "Scope", &s.Scope)
	f.bytes("Seed", &s.Seed)
	f.number("Refreshes", &s.Refreshes)
	f.bytes("ChainHash", &s.Chain.Hash)
	f.bytes("ChainPrevious", &s.Chain.Previous)
	if f.from != nil || s.Chain.Rotations != 0 { // only sessions of the version before have a chain
		f.number("ChainRotations", &s.Chain.Rotations)
	}
	text(f, "Device", &s.Device)
	text(f, "Address", &s.Address)
	f.moment("CreatedAt", &s.CreatedAt)
	f.moment("LastUsedAt", &s.LastUsedAt)
	f.moment("ExpiresAt", &s.ExpiresAt)
	f.moment("EndedAt", &s.EndedAt)
}

func sessionItem(s storage.Session) item {
	it := written(sessionKey(s.ID), sessionFields, s)
	it.expires(s.ExpiresAt, margin)
	return it
}

func readSession(it item) (storage.Session, error) { return readAs(it, sessionFields) }

// listedItem is a session's place in the list of its user.
func listedItem(s storage.Session) item {
	it := newItem(listedKey(s))
	it.text("ID", string(s.ID))
	it.expires(s.ExpiresAt, margin)
	return it
}

func ticketFields(f *fields, t *storage.Ticket) {
	text(f, "ID", &t.ID)
	text(f, "Purpose", &t.Purpose)
	text(f, "Email", &t.Email)
	f.bytes("SecretHash", &t.SecretHash)
	f.bytes("CodeMAC", &t.CodeMAC)
	f.number("Tries", &t.Tries)
	text(f, "UserID", &t.UserID)
	text(f, "Name", &t.Name)
	text(f, "PasswordHash", &t.PasswordHash)
	f.bytes("Bound", &t.Bound)
	f.moment("CreatedAt", &t.CreatedAt)
	f.moment("LinkUntil", &t.LinkUntil)
	f.moment("CodeUntil", &t.CodeUntil)
	f.moment("ExpiresAt", &t.ExpiresAt)
}

func ticketItem(t storage.Ticket) item {
	it := written(ticketKey(t.ID), ticketFields, t)
	it.expires(t.ExpiresAt, margin)
	return it
}

func readTicket(it item) (storage.Ticket, error) { return readAs(it, ticketFields) }

func markFields(f *fields, m *storage.Mark) {
	text(f, "ID", &m.ID)
	f.moment("ExpiresAt", &m.ExpiresAt)
}

func markItem(m storage.Mark) item {
	it := written(markKey(m.ID), markFields, m)
	it.expires(m.ExpiresAt, margin)
	return it
}

func readMark(it item) (storage.Mark, error) { return readAs(it, markFields) }

// mailMargin is how long a mail stays that is of no use any more: the outbox tells of it
// before it erases it.
const mailMargin = 7 * 24 * time.Hour

func mailFields(f *fields, m *outbox.Mail) {
	text(f, "ID", &m.ID)
	f.bytes("Sealed", &m.Sealed)
	f.moment("CreatedAt", &m.CreatedAt)
	f.moment("DueAt", &m.DueAt)
	f.moment("GiveUpAt", &m.GiveUpAt)
	f.number("Attempts", &m.Attempts)
}

func mailItem(m outbox.Mail) item {
	it := written(mailKey(m.ID), mailFields, m)
	it.expires(m.GiveUpAt, mailMargin)
	return it
}

func readMail(it item) (outbox.Mail, error) { return readAs(it, mailFields) }

// queuedItem is a mail's place in the queue.
func queuedItem(m outbox.Mail) item {
	it := newItem(queuedKey(m))
	it.text("ID", m.ID)
	it.expires(m.GiveUpAt, mailMargin)
	return it
}

func signingFields(f *fields, r *keyring.Record) {
	text(f, "ID", &r.ID)
	f.number("Number", &r.Number)
	text(f, "Algorithm", &r.Algorithm)
	f.bytes("Public", &r.Public)
	f.bytes("Sealed", &r.Sealed)
	f.moment("CreatedAt", &r.CreatedAt)
	f.moment("ActiveAt", &r.ActiveAt)
	f.moment("RetiresAt", &r.RetiresAt)
	f.moment("ExpiresAt", &r.ExpiresAt)
}

func signingItem(r keyring.Record) item {
	it := written(signingKey(r.Number), signingFields, r)
	it.expires(r.ExpiresAt, margin)
	return it
}

func readSigningKey(it item) (keyring.Record, error) { return readAs(it, signingFields) }
