package sqlstore

import (
	"context"

	"github.com/latchkey-auth/latchkey/internal/keyring"
)

const (
	selectKeys = `SELECT number, id, algorithm, public, sealed, created_at, active_at, retires_at, expires_at
		FROM signing_keys ORDER BY number`

	insertKey = `INSERT INTO signing_keys (number, id, algorithm, public, sealed, created_at, active_at,
			retires_at, expires_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
		ON CONFLICT DO NOTHING`

	retireKey = `UPDATE signing_keys SET retires_at = $2, expires_at = $3 WHERE id = $1`
)

// Keys returns all keys.
func (s *Store) Keys(ctx context.Context) ([]keyring.Record, error) {
	return collect(context.WithoutCancel(ctx), s.stmts.keys, scanKey)
}

func scanKey(r row) (keyring.Record, error) {
	var k keyring.Record
	err := r.Scan(&k.Number, &k.ID, &k.Algorithm, &k.Public, &k.Sealed,
		instant{&k.CreatedAt}, instant{&k.ActiveAt}, instant{&k.RetiresAt}, instant{&k.ExpiresAt})
	return k, err
}

// AddKey stores a key and retires those it replaces.
func (s *Store) AddKey(ctx context.Context, r keyring.Record, replaced []keyring.Record) error {
	return s.apply(ctx, func(a *application) error {
		if err := a.one(a.stmts.insertKey, keyring.ErrExists, keyArgs(r)...); err != nil {
			return err
		}
		for _, old := range replaced {
			if err := a.run(a.stmts.retireKey, old.ID, micros(old.RetiresAt), micros(old.ExpiresAt)); err != nil {
				return err
			}
		}
		return nil
	})
}

func keyArgs(r keyring.Record) []any {
	return []any{r.Number, r.ID, string(r.Algorithm), blob(r.Public), blob(r.Sealed),
		micros(r.CreatedAt), micros(r.ActiveAt), micros(r.RetiresAt), micros(r.ExpiresAt)}
}
