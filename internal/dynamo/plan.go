package dynamo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/latchkey-auth/latchkey/internal/identifier"
	"github.com/latchkey-auth/latchkey/internal/outbox"
	"github.com/latchkey-auth/latchkey/internal/storage"
)

// A plan makes the writes of a commit, in the order of its changes: of several that are
// refused the first one decides.
type plan struct {
	store  *Store
	ctx    context.Context // of the one commit
	read   map[key]item    // what some changes have to know
	writes []write
}

// plan returns the writes of the changes.
func (s *Store) plan(ctx context.Context, changes []storage.Change) ([]write, error) {
	p := &plan{store: s, ctx: ctx}
	if keys := toRead(changes); len(keys) > 0 {
		var err error
		if p.read, err = s.getAll(ctx, keys); err != nil {
			return nil, err
		}
	}
	for _, change := range changes {
		if err := p.change(change); err != nil {
			return nil, err
		}
	}
	return p.writes, nil
}

// toRead are the items whose place in a list has to be known to move them there.
func toRead(changes []storage.Change) (keys []key) {
	for _, change := range changes {
		switch c := change.(type) {
		case storage.UpdateCredential:
			keys = append(keys, credentialKey(c.Credential.Key))
		case storage.DeleteCredential:
			keys = append(keys, credentialKey(c.Credential.Key))
		case storage.KeepSession:
			keys = append(keys, sessionKey(c.Session.ID))
		case storage.EndSession:
			keys = append(keys, sessionKey(c.Session.ID))
		case storage.DeferMail:
			keys = append(keys, mailKey(c.Mail.ID))
		case storage.DeleteMail:
			keys = append(keys, mailKey(c.Mail.ID))
		}
	}
	return keys
}

func (p *plan) add(writes ...write) error {
	p.writes = append(p.writes, writes...)
	return nil
}

func (p *plan) change(change storage.Change) error {
	switch c := change.(type) {
	case storage.CheckEpoch:
		return p.add(checking(signInKey(c.UserID), "#Epoch = :epoch", item{":epoch": numberOf(c.Epoch)}, storage.ErrConflict))
	case storage.CreateUser:
		return p.add(createUser(c.User, nil)...)
	case storage.UpdateUser:
		return p.add(updateUser(c)...)
	case storage.DeleteUser:
		return p.add(deleteUser(c.User, namesOf(c.User))...)
	case storage.ReplaceUser:
		return p.add(replaceUser(c)...)
	case storage.CreateCredential:
		return p.createCredential(c.Credential)
	case storage.UpdateCredential:
		return p.updateCredential(c.Credential)
	case storage.DeleteCredential:
		return p.deleteCredential(c.Credential)
	case storage.CreateSession:
		return p.createSession(c.Session)
	case storage.RefreshSession:
		return p.add(refreshSession(c.Session))
	case storage.KeepSession:
		return p.keepSession(c.Session)
	case storage.EndSession:
		return p.endSession(c.Session)
	case storage.PutTicket:
		return p.add(putting(ticketItem(c.Ticket), "", nil, nil))
	case storage.ReplaceTicket:
		condition, values := hasSecret(c.Old)
		return p.add(putting(ticketItem(c.Ticket), condition, values, storage.ErrConflict))
	case storage.TakeTicket:
		condition, values := isTicket(c.Ticket)
		return p.add(removing(ticketKey(c.Ticket.ID), condition, values, storage.ErrConflict))
	case storage.CountTry:
		condition, values := isTicket(c.Ticket)
		values[":next"] = numberOf(c.Ticket.Tries + 1)
		return p.add(updating(ticketKey(c.Ticket.ID), "SET #Tries = :next", condition, values, storage.ErrConflict))
	case storage.PutMark:
		return p.add(putting(markItem(c.Mark), "", nil, nil))
	case storage.QueueMail:
		return p.add(creating(mailItem(c.Mail), storage.ErrTaken), putting(queuedItem(c.Mail), "", nil, nil))
	case storage.DeferMail:
		return p.deferMail(c.Mail)
	case storage.DeleteMail:
		return p.deleteMail(c.Mail)
	case storage.AppendEvent:
		return p.appendEvent(c.Event)
	case storage.AppendRevocation:
		return p.appendRevocation(c.Revocation)
	}
	return fmt.Errorf("%w: %T is not known to the store", storage.ErrChanges, change)
}

// A name is the guard item of a username or an e-mail address.
type name = key

// namesOf are the names of a user.
func namesOf(u storage.User) (all []name) {
	if text, err := identifier.UsernameKey(u.Username); err == nil {
		all = append(all, usernameKey(text))
	}
	if text, err := identifier.EmailKey(u.Email); err == nil {
		all = append(all, emailKey(text))
	}
	return all
}

// createUser stores a user who may take over the names of passedOn.
func createUser(u storage.User, passedOn []name) []write {
	member := newItem(memberKey(u.ID))
	writes := []write{
		creating(signInItem(u, 1), storage.ErrTaken), // or it is the item of a deleted user
		putting(profileItem(u, 1), "", nil, nil),
		putting(member, "", nil, nil),
	}
	for _, n := range namesOf(u) {
		if !slices.Contains(passedOn, n) {
			writes = append(writes, creating(nameItem(n, u.ID), storage.ErrTaken))
		}
	}
	return writes
}

func isUsers(id storage.UserID) (condition string, values item) {
	return "#UserID = :user", item{":user": textOf(string(id))}
}

// deleteUser deletes a user and those of the names that are given.
func deleteUser(u storage.User, names []name) []write {
	writes := []write{
		putting(deletedItem(u.ID), "#Version = :version", item{":version": numberOf(u.SignInVersion)}, storage.ErrConflict),
		removing(profileKey(u.ID), "", nil, nil),
		removing(memberKey(u.ID), "", nil, nil),
	}
	for _, n := range names {
		condition, values := isUsers(u.ID)
		writes = append(writes, removing(n, condition, values, storage.ErrConflict))
	}
	return writes
}

// replaceUser passes on the names that both have.
func replaceUser(c storage.ReplaceUser) []write {
	old, next := namesOf(c.Old), namesOf(c.New)
	var freed, passedOn []name
	for _, n := range old {
		if slices.Contains(next, n) {
			passedOn = append(passedOn, n)
		} else {
			freed = append(freed, n)
		}
	}
	writes := append(deleteUser(c.Old, freed), createUser(c.New, passedOn)...)
	for _, n := range passedOn {
		condition, values := isUsers(c.Old.ID)
		writes = append(writes, putting(nameItem(n, c.New.ID), condition, values, storage.ErrConflict))
	}
	return writes
}

// updateUser replaces the items that differ, each by its version.
func updateUser(c storage.UpdateUser) []write {
	var writes []write
	version := func(n int64) item { return item{":version": numberOf(n)} }
	c.New.ID = c.Old.ID
	if c.Profile() {
		writes = append(writes, putting(profileItem(c.New, c.Old.Version+1), "#Version = :version", version(c.Old.Version), storage.ErrConflict))
	}
	if c.SignIn() {
		writes = append(writes, putting(signInItem(c.New, c.Old.SignInVersion+1), "#Version = :version", version(c.Old.SignInVersion), storage.ErrConflict))
	}
	old, next := namesOf(c.Old), namesOf(c.New)
	for _, n := range old {
		if !slices.Contains(next, n) {
			condition, values := isUsers(c.Old.ID)
			writes = append(writes, removing(n, condition, values, storage.ErrConflict))
		}
	}
	for _, n := range next {
		if !slices.Contains(old, n) {
			writes = append(writes, creating(nameItem(n, c.Old.ID), storage.ErrTaken))
		}
	}
	return writes
}

func (p *plan) createSession(s storage.Session) error {
	p.add(creating(sessionItem(s), storage.ErrTaken))
	if s.EndedAt.IsZero() {
		p.add(putting(listedItem(s), "", nil, nil))
	}
	return nil
}

// refreshSession touches the one item, whose place in the list stays what it is.
func refreshSession(s storage.Session) write {
	return updating(sessionKey(s.ID),
		"SET #Refreshes = :refreshes, #Seed = :seed, #LastUsedAt = :used, #Device = :device, #Address = :address",
		"#Refreshes = :before AND attribute_not_exists(#EndedAt)",
		item{
			":refreshes": numberOf(s.Refreshes), ":before": numberOf(s.Refreshes - 1), ":seed": bytesOf(s.Seed),
			":used": momentOf(s.LastUsedAt), ":device": textOf(s.Device), ":address": textOf(s.Address),
		}, storage.ErrConflict)
}

// living is a session as it was read, which has not ended.
func (p *plan) living(id storage.SessionID) (storage.Session, error) {
	it := p.read[sessionKey(id)]
	s, err := readSession(it)
	if err == nil && (len(it) == 0 || !s.EndedAt.IsZero()) {
		err = storage.ErrConflict
	}
	return s, err
}

// asListed holds while a session stands where it was read to stand.
const asListed = "#Epoch = :listed AND attribute_not_exists(#EndedAt)"

// keepSession moves a session in the list of its user.
func (p *plan) keepSession(given storage.Session) error {
	s, err := p.living(given.ID)
	if err != nil {
		return err
	}
	before := s.Epoch
	place := listedKey(s)
	s.Epoch = given.Epoch
	p.add(updating(sessionKey(s.ID), "SET #Epoch = :epoch", asListed,
		item{":epoch": numberOf(s.Epoch), ":listed": numberOf(before)}, errStale))
	if s.Epoch != before {
		p.add(removing(place, "", nil, nil), putting(listedItem(s), "", nil, nil))
	}
	return nil
}

// endSession takes a session off the list: those that have ended must not be in the way.
func (p *plan) endSession(given storage.Session) error {
	s, err := p.living(given.ID)
	if err != nil {
		return err
	}
	return p.add(
		updating(sessionKey(s.ID), "SET #EndedAt = :ended", asListed,
			item{":ended": momentOf(given.EndedAt), ":listed": numberOf(s.Epoch)}, errStale),
		removing(listedKey(s), "", nil, nil))
}

// hasSecret holds for a ticket of the hash.
func hasSecret(hash []byte) (condition string, values item) {
	if len(hash) == 0 {
		return "attribute_exists(#PK) AND attribute_not_exists(#SecretHash)", item{}
	}
	return "#SecretHash = :secret", item{":secret": bytesOf(hash)}
}

// isTicket holds for the ticket as it was read.
func isTicket(t storage.Ticket) (condition string, values item) {
	condition, values = hasSecret(t.SecretHash)
	values[":tries"] = numberOf(t.Tries)
	return condition + " AND #Tries = :tries", values
}

// deferMail moves a mail in the queue. Its place changes with Attempts only, which guards
// what was read of it.
func (p *plan) deferMail(given outbox.Mail) error {
	it := p.read[mailKey(given.ID)]
	m, err := readMail(it)
	if err != nil {
		return err
	}
	if len(it) == 0 || m.Attempts != given.Attempts {
		return storage.ErrConflict
	}
	place := queuedKey(m)
	m.DueAt = given.DueAt
	p.add(updating(mailKey(m.ID), "SET #DueAt = :due, #Attempts = :next", "#Attempts = :attempts",
		item{":due": momentOf(m.DueAt), ":next": numberOf(m.Attempts + 1), ":attempts": numberOf(m.Attempts)}, storage.ErrConflict))
	if queuedKey(m) != place {
		p.add(removing(place, "", nil, nil), putting(queuedItem(m), "", nil, nil))
	}
	return nil
}

// deleteMail deletes a mail from where it is now.
func (p *plan) deleteMail(given outbox.Mail) error {
	it := p.read[mailKey(given.ID)]
	m, err := readMail(it)
	if err != nil || len(it) == 0 {
		return err
	}
	return p.add(
		removing(mailKey(m.ID), "#Attempts = :attempts", item{":attempts": numberOf(m.Attempts)}, errStale),
		removing(queuedKey(m), "", nil, nil))
}

func (p *plan) appendEvent(e storage.Event) error {
	return p.appendLine(p.store.events, eventLine(e), p.store.eventExpires(e))
}

func (p *plan) appendRevocation(r storage.Revocation) error {
	return p.appendLine(p.store.revocations, revocationLine(r), r.ExpiresAt)
}

// A line is an event or a revocation with its place among the others.
type line struct {
	time  time.Time
	id    string
	value any
}

func eventLine(e storage.Event) line {
	e.Time, e.Count = moment(micros(e.Time)), max(1, e.Count)
	return line{e.Time, e.ID, e}
}

func revocationLine(r storage.Revocation) line {
	r.Time, r.ExpiresAt = moment(micros(r.Time)), moment(micros(r.ExpiresAt))
	return line{r.Time, r.ID, r}
}

// eventExpires is when an event is to be deleted; zero: never.
func (s *Store) eventExpires(e storage.Event) time.Time {
	if s.keepEvents <= 0 {
		return time.Time{}
	}
	return e.Time.Add(s.keepEvents)
}

// appendLine stores a line in its shard of the day, as one attribute: it never changes,
// and one that is there stays as it is.
func (p *plan) appendLine(f feed, l line, expires time.Time) error {
	at, text, err := p.store.placeLine(p.ctx, f, l)
	if err != nil {
		return err
	}
	update, values := "SET #Line = if_not_exists(#Line, :line)", item{":line": textOf(text)}
	if !expires.IsZero() {
		update += ", #Expiry = if_not_exists(#Expiry, :expiry)"
		values[":expiry"] = numberOf(expirySeconds(expires, margin))
	}
	return p.add(updating(at, update, "", values, nil))
}

// placeLine returns where a line stands, and its text.
func (s *Store) placeLine(ctx context.Context, f feed, l line) (at key, text string, err error) {
	content, err := json.Marshal(l.value)
	if err != nil {
		return at, "", errors.Join(storage.ErrChanges, err)
	}
	place := lineSort(l.time, l.id)
	day := dayOf(place)
	shards, err := s.beginDay(ctx, f, day)
	if err != nil {
		return at, "", err
	}
	return key{f.shard(day, shard(l.id, shards)), place}, string(content), nil
}
