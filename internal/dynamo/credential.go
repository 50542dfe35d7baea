package dynamo

import (
	"context"

	"github.com/latchkey-auth/latchkey/internal/storage"
)

func credentialFields(f *fields, c *storage.Credential) {
	text(f, "ID", &c.Key)
	text(f, "UserID", &c.UserID)
	f.bytes("Data", &c.Data)
	f.moment("CreatedAt", &c.CreatedAt)
	f.number("Version", &c.Version)
}

func credentialItem(c storage.Credential) item {
	return written(credentialKey(c.Key), credentialFields, c)
}

func readCredential(it item) (storage.Credential, error) { return readAs(it, credentialFields) }

// heldItem is a credential's place in the list of its user.
func heldItem(c storage.Credential) item {
	it := newItem(heldKey(c))
	it.text("ID", string(c.Key))
	return it
}

// Credential returns the credential with the key.
func (s *Store) Credential(ctx context.Context, key storage.CredentialKey) (storage.Credential, error) {
	ctx, cancel := s.reading(ctx)
	defer cancel()
	return one(ctx, s, credentialKey(key), readCredential)
}

// UserCredentials returns a user's credentials: those that the list names, as they are.
func (s *Store) UserCredentials(ctx context.Context, id storage.UserID, limit int) ([]storage.Credential, error) {
	ctx, cancel := s.reading(ctx)
	defer cancel()
	if !profileKey(id).fits() {
		return nil, nil
	}
	l := list{partition: userPartition(id), first: credentialItems, last: end(credentialItems), limit: limit}
	var all []storage.Credential
	for !l.done && len(all) < limit {
		places, err := s.more(ctx, &l)
		if err != nil {
			return nil, err
		}
		page, err := s.held(ctx, id, places)
		if err != nil {
			return nil, err
		}
		all = append(all, page...)
	}
	return all[:min(limit, len(all))], nil
}

// held reads the credentials of some places. One that has gone since is left out.
func (s *Store) held(ctx context.Context, id storage.UserID, places []item) (all []storage.Credential, err error) {
	var keys []key
	for _, it := range places {
		keys = append(keys, credentialKey(storage.CredentialKey((&reader{it: it}).text("ID"))))
	}
	found, err := s.getAll(ctx, keys)
	if err != nil {
		return nil, err
	}
	for _, at := range keys {
		c, err := readCredential(found[at])
		if err != nil {
			return nil, unavailable(err)
		}
		if len(found[at]) > 0 && c.UserID == id {
			all = append(all, c)
		}
	}
	return all, nil
}

func (p *plan) createCredential(c storage.Credential) error {
	c.Version = 1
	return p.add(creating(credentialItem(c), storage.ErrTaken), putting(heldItem(c), "", nil, nil))
}

// credential is one as it was read, of the version that is given, which guards what was
// read.
func (p *plan) credential(given storage.Credential) (storage.Credential, error) {
	it := p.read[credentialKey(given.Key)]
	c, err := readCredential(it)
	if err == nil && (len(it) == 0 || c.Version != given.Version) {
		err = storage.ErrConflict
	}
	return c, err
}

func (p *plan) updateCredential(next storage.Credential) error {
	stored, err := p.credential(next)
	if err != nil {
		return err
	}
	version := item{":version": numberOf(next.Version)}
	next.Version++
	p.add(putting(credentialItem(next), "#Version = :version", version, storage.ErrConflict))
	if next.UserID != stored.UserID {
		p.add(removing(heldKey(stored), "", nil, nil), putting(heldItem(next), "", nil, nil))
	}
	return nil
}

func (p *plan) deleteCredential(given storage.Credential) error {
	stored, err := p.credential(given)
	if err != nil {
		return err
	}
	return p.add(
		removing(credentialKey(given.Key), "#Version = :version", item{":version": numberOf(given.Version)}, storage.ErrConflict),
		removing(heldKey(stored), "", nil, nil))
}
