package sqlstore

import (
	"context"

	"github.com/latchkey-auth/latchkey/internal/auth"
)

// Credential returns the credential with the key.
func (s *Store) Credential(ctx context.Context, key auth.CredentialKey) (auth.Credential, error) {
	c, err := scanCredential(s.stmts.credential.row(context.WithoutCancel(ctx), string(key)))
	return c, unavailable(err)
}

// UserCredentials returns a user's credentials, by key.
func (s *Store) UserCredentials(ctx context.Context, id auth.UserID, limit int) ([]auth.Credential, error) {
	return collect(ctx, s.stmts.userCredentials, scanCredential, string(id), limit)
}

func scanCredential(r row) (auth.Credential, error) {
	var c auth.Credential
	err := r.Scan(&c.Key, &c.UserID, &c.Data, instant{&c.CreatedAt}, &c.Version)
	return c, err
}

func (a *application) createCredential(c auth.Credential) error {
	return a.one(a.stmts.insertCredential, auth.ErrTaken, string(c.Key), string(c.UserID), blob(c.Data), micros(c.CreatedAt))
}

func (a *application) updateCredential(c auth.Credential) error {
	return a.one(a.stmts.updateCredential, auth.ErrConflict, string(c.Key), string(c.UserID), blob(c.Data), micros(c.CreatedAt), c.Version)
}
