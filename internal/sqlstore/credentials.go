package sqlstore

import (
	"context"

	"github.com/latchkey-auth/latchkey/internal/storage"
)

// Credential returns the credential with the key.
func (s *Store) Credential(ctx context.Context, key storage.CredentialKey) (storage.Credential, error) {
	c, err := scanCredential(s.stmts.credential.row(context.WithoutCancel(ctx), string(key)))
	return c, unavailable(err)
}

// UserCredentials returns a user's credentials, by key.
func (s *Store) UserCredentials(ctx context.Context, id storage.UserID, limit int) ([]storage.Credential, error) {
	return collect(ctx, s.stmts.userCredentials, scanCredential, string(id), limit)
}

func scanCredential(r row) (storage.Credential, error) {
	var c storage.Credential
	err := r.Scan(&c.Key, &c.UserID, &c.Data, instant{&c.CreatedAt}, &c.Version)
	return c, err
}

func (a *application) createCredential(c storage.Credential) error {
	return a.one(a.stmts.insertCredential, storage.ErrTaken, string(c.Key), string(c.UserID), blob(c.Data), micros(c.CreatedAt))
}

func (a *application) updateCredential(c storage.Credential) error {
	return a.one(a.stmts.updateCredential, storage.ErrConflict, string(c.Key), string(c.UserID), blob(c.Data), micros(c.CreatedAt), c.Version)
}
