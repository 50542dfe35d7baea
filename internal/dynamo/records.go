package dynamo

import (
	"time"

	"github.com/latchkey-auth/latchkey"
	"github.com/latchkey-auth/latchkey/internal/auth"
	"github.com/latchkey-auth/latchkey/internal/keyring"
	"github.com/latchkey-auth/latchkey/internal/outbox"
)

// margin is how long what has expired stays at least: for clocks that are behind, and
// for whoever still reports it.
const margin = 24 * time.Hour

func profileItem(u auth.User, version int64) item {
	it := newItem(profileKey(u.ID))
	it.text("ID", string(u.ID))
	it.text("Username", u.Username)
	it.text("Email", u.Email)
	it.text("Name", u.Name)
	it.text("Scope", u.Scope)
	it.texts("Roles", u.Roles)
	it.dictionary("Attributes", u.Attributes)
	it.moment("CreatedAt", u.CreatedAt)
	it.moment("UpdatedAt", u.UpdatedAt)
	it.number("Version", version)
	return it
}

func signInItem(u auth.User, version int64) item {
	it := newItem(signInKey(u.ID))
	it.text("PasswordHash", u.PasswordHash)
	it.flag("Disabled", u.Disabled)
	it.flag("EmailVerified", u.EmailVerified)
	it.text("PendingEmail", u.PendingEmail)
	it.number("Epoch", u.Epoch)
	it.moment("EpochAt", u.EpochAt)
	it.number("Rights", u.Rights)
	it.moment("UpdatedAt", u.UpdatedAt)
	it.number("Version", version)
	return it
}

// deletedItem takes the place of a sign-in: the id stays known.
func deletedItem(id auth.UserID) item {
	it := newItem(signInKey(id))
	it.flag("Deleted", true)
	return it
}

// readUser makes a user of the two items; ErrNotFound when one is missing, as of a
// deleted user.
func readUser(profile, signIn item) (auth.User, error) {
	p, s := &reader{it: profile}, &reader{it: signIn}
	if len(profile) == 0 || len(signIn) == 0 || s.flag("Deleted") {
		return auth.User{}, auth.ErrNotFound
	}
	u := auth.User{
		ID: auth.UserID(p.text("ID")), Username: p.text("Username"), Email: p.text("Email"), Name: p.text("Name"), Scope: p.text("Scope"),
		Roles: p.texts("Roles"), Attributes: p.dictionary("Attributes"), CreatedAt: p.moment("CreatedAt"), Version: p.number("Version"),
		PasswordHash: s.text("PasswordHash"), Disabled: s.flag("Disabled"), EmailVerified: s.flag("EmailVerified"),
		PendingEmail: s.text("PendingEmail"), Epoch: s.number("Epoch"), EpochAt: s.moment("EpochAt"), Rights: s.number("Rights"),
		SignInVersion: s.number("Version"), UpdatedAt: p.moment("UpdatedAt"),
	}
	if t := s.moment("UpdatedAt"); t.After(u.UpdatedAt) {
		u.UpdatedAt = t
	}
	return u, firstError(p, s)
}

func firstError(readers ...*reader) error {
	for _, r := range readers {
		if r.err != nil {
			return r.err
		}
	}
	return nil
}

// nameItem is the guard by which a name is unique, and the way from it to the user.
func nameItem(at key, id auth.UserID) item {
	it := newItem(at)
	it.text("UserID", string(id))
	return it
}

func sessionItem(s auth.Session) item {
	it := newItem(sessionKey(s.ID))
	it.text("ID", string(s.ID))
	it.text("UserID", string(s.UserID))
	it.number("Epoch", s.Epoch)
	it.texts("ProofAMR", s.Proof.AMR)
	it.text("ProofACR", s.Proof.ACR)
	it.moment("ProofAt", s.Proof.At)
	it.text("ClientID", s.ClientID)
	it.text("Scope", s.Scope)
	it.bytes("Seed", s.Seed)
	it.number("Refreshes", s.Refreshes)
	it.bytes("ChainHash", s.Chain.Hash)
	it.bytes("ChainPrevious", s.Chain.Previous)
	if s.Chain.Rotations != 0 {
		it.number("ChainRotations", s.Chain.Rotations)
	}
	it.text("Device", s.Device)
	it.text("Address", s.Address)
	it.moment("CreatedAt", s.CreatedAt)
	it.moment("LastUsedAt", s.LastUsedAt)
	it.moment("ExpiresAt", s.ExpiresAt)
	it.moment("EndedAt", s.EndedAt)
	it.expires(s.ExpiresAt, margin)
	return it
}

func readSession(it item) (auth.Session, error) {
	r := &reader{it: it}
	s := auth.Session{
		ID: auth.SessionID(r.text("ID")), UserID: auth.UserID(r.text("UserID")), Epoch: r.number("Epoch"),
		Proof:    auth.Proof{AMR: r.texts("ProofAMR"), ACR: r.text("ProofACR"), At: r.moment("ProofAt")},
		ClientID: r.text("ClientID"), Scope: r.text("Scope"), Seed: r.bytes("Seed"), Refreshes: r.number("Refreshes"),
		Chain:  auth.Chain{Hash: r.bytes("ChainHash"), Previous: r.bytes("ChainPrevious"), Rotations: r.number("ChainRotations")},
		Device: r.text("Device"), Address: r.text("Address"), CreatedAt: r.moment("CreatedAt"), LastUsedAt: r.moment("LastUsedAt"),
		ExpiresAt: r.moment("ExpiresAt"), EndedAt: r.moment("EndedAt"),
	}
	return s, r.err
}

// listedItem is a session's place in the list of its user.
func listedItem(s auth.Session) item {
	it := newItem(listedKey(s))
	it.text("ID", string(s.ID))
	it.expires(s.ExpiresAt, margin)
	return it
}

func ticketItem(t auth.Ticket) item {
	it := newItem(ticketKey(t.ID))
	it.text("ID", string(t.ID))
	it.text("Purpose", string(t.Purpose))
	it.text("Email", t.Email)
	it.bytes("SecretHash", t.SecretHash)
	it.bytes("CodeMAC", t.CodeMAC)
	it.number("Tries", t.Tries)
	it.text("UserID", string(t.UserID))
	it.text("Name", t.Name)
	it.text("PasswordHash", t.PasswordHash)
	it.bytes("Bound", t.Bound)
	it.moment("CreatedAt", t.CreatedAt)
	it.moment("LinkUntil", t.LinkUntil)
	it.moment("CodeUntil", t.CodeUntil)
	it.moment("ExpiresAt", t.ExpiresAt)
	it.expires(t.ExpiresAt, margin)
	return it
}

func readTicket(it item) (auth.Ticket, error) {
	r := &reader{it: it}
	t := auth.Ticket{
		ID: auth.TicketID(r.text("ID")), Purpose: auth.Purpose(r.text("Purpose")), Email: r.text("Email"), SecretHash: r.bytes("SecretHash"),
		CodeMAC: r.bytes("CodeMAC"), Tries: r.number("Tries"), UserID: auth.UserID(r.text("UserID")), Name: r.text("Name"),
		PasswordHash: r.text("PasswordHash"), Bound: r.bytes("Bound"), CreatedAt: r.moment("CreatedAt"), LinkUntil: r.moment("LinkUntil"),
		CodeUntil: r.moment("CodeUntil"), ExpiresAt: r.moment("ExpiresAt"),
	}
	return t, r.err
}

func markItem(m auth.Mark) item {
	it := newItem(markKey(m.ID))
	it.text("ID", string(m.ID))
	it.moment("ExpiresAt", m.ExpiresAt)
	it.expires(m.ExpiresAt, margin)
	return it
}

func readMark(it item) (auth.Mark, error) {
	r := &reader{it: it}
	return auth.Mark{ID: auth.MarkID(r.text("ID")), ExpiresAt: r.moment("ExpiresAt")}, r.err
}

// mailMargin is how long a mail stays that is of no use any more: the outbox tells of it
// before it erases it.
const mailMargin = 7 * 24 * time.Hour

func mailItem(m outbox.Mail) item {
	it := newItem(mailKey(m.ID))
	it.text("ID", m.ID)
	it.bytes("Sealed", m.Sealed)
	it.moment("CreatedAt", m.CreatedAt)
	it.moment("DueAt", m.DueAt)
	it.moment("GiveUpAt", m.GiveUpAt)
	it.number("Attempts", m.Attempts)
	it.expires(m.GiveUpAt, mailMargin)
	return it
}

func readMail(it item) (outbox.Mail, error) {
	r := &reader{it: it}
	m := outbox.Mail{
		ID: r.text("ID"), Sealed: r.bytes("Sealed"), CreatedAt: r.moment("CreatedAt"), DueAt: r.moment("DueAt"),
		GiveUpAt: r.moment("GiveUpAt"), Attempts: r.number("Attempts"),
	}
	return m, r.err
}

// queuedItem is a mail's place in the queue.
func queuedItem(m outbox.Mail) item {
	it := newItem(queuedKey(m))
	it.text("ID", m.ID)
	it.expires(m.GiveUpAt, mailMargin)
	return it
}

func signingItem(r keyring.Record) item {
	it := newItem(signingKey(r.Number))
	it.text("ID", r.ID)
	it.number("Number", r.Number)
	it.text("Algorithm", string(r.Algorithm))
	it.bytes("Public", r.Public)
	it.bytes("Sealed", r.Sealed)
	it.moment("CreatedAt", r.CreatedAt)
	it.moment("ActiveAt", r.ActiveAt)
	it.moment("RetiresAt", r.RetiresAt)
	it.moment("ExpiresAt", r.ExpiresAt)
	it.expires(r.ExpiresAt, margin)
	return it
}

func readSigningKey(it item) (keyring.Record, error) {
	r := &reader{it: it}
	k := keyring.Record{
		ID: r.text("ID"), Number: r.number("Number"), Public: r.bytes("Public"), Sealed: r.bytes("Sealed"),
		CreatedAt: r.moment("CreatedAt"), ActiveAt: r.moment("ActiveAt"), RetiresAt: r.moment("RetiresAt"), ExpiresAt: r.moment("ExpiresAt"),
	}
	k.Algorithm = latchkey.Algorithm(r.text("Algorithm"))
	return k, r.err
}
