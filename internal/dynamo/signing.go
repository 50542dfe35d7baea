package dynamo

import (
	"context"

	"github.com/latchkey-auth/latchkey/internal/keyring"
)

// Keys returns all keys, by number.
func (s *Store) Keys(ctx context.Context) ([]keyring.Record, error) {
	ctx, cancel := s.reading(ctx)
	defer cancel()
	return s.keys(ctx)
}

func (s *Store) keys(ctx context.Context) ([]keyring.Record, error) {
	items, err := s.every(ctx, list{partition: signingKeys, first: "0", last: end("9")})
	if err != nil {
		return nil, err
	}
	var keys []keyring.Record
	for _, it := range items {
		k, err := readSigningKey(it)
		if err != nil {
			return nil, unavailable(err)
		}
		keys = append(keys, k)
	}
	return keys, nil
}

// AddKey stores a key and ends the time of those it replaces, of which DynamoDB may have
// deleted some.
func (s *Store) AddKey(ctx context.Context, r keyring.Record, replaced []keyring.Record) error {
	return s.transact(ctx, func(ctx context.Context) ([]write, error) {
		stored, err := s.keys(ctx)
		if err != nil {
			return nil, err
		}
		id := newItem(keyIDKey(r.ID))
		id.number("Number", r.Number)
		writes := []write{creating(signingItem(r), keyring.ErrExists), creating(id, keyring.ErrExists)}
		for _, k := range stored {
			if k.Number == r.Number || k.ID == r.ID {
				return nil, keyring.ErrExists
			}
			for _, old := range replaced {
				if old.ID == k.ID {
					writes = append(writes, retiring(k, old))
				}
			}
		}
		return writes, nil
	})
}

// retiring ends the time of a stored key. Nothing is written where the zero time stands
// for no end.
func retiring(k, old keyring.Record) write {
	update, values := "SET #RetiresAt = :retires, #ExpiresAt = :expires", item{
		":retires": momentOf(old.RetiresAt), ":expires": momentOf(old.ExpiresAt), ":id": textOf(k.ID),
	}
	if !old.ExpiresAt.IsZero() {
		update += ", #Expiry = :expiry"
		values[":expiry"] = numberOf(expirySeconds(old.ExpiresAt, margin))
	}
	return updating(signingKey(k.Number), update, "#ID = :id", values, errStale)
}
