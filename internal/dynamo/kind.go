package dynamo

import (
	"context"

	"github.com/latchkey-auth/latchkey/internal/storage"
)

// kindKey is where the mark of the table is.
var kindKey = key{storePartition, "kind"}

// StoreKind returns the mark. Where there is none it looks for keys and users.
func (s *Store) StoreKind(ctx context.Context) (storage.StoreKind, error) {
	ctx, cancel := s.reading(ctx)
	defer cancel()
	it, err := s.get(ctx, kindKey)
	if err != nil {
		return "", err
	}
	if mark := (&reader{it: it}).text("Kind"); mark != "" {
		kind, err := storage.ParseStoreKind(mark)
		return kind, unavailable(err)
	}
	for n := range userShards + 1 {
		partition := signingKeys
		if n > 0 {
			partition = userShard(n - 1)
		}
		first, err := s.more(ctx, &list{partition: partition, first: after(""), last: end(""), limit: 1})
		if err != nil {
			return "", err
		}
		if len(first) > 0 {
			return storage.UnmarkedStore, nil
		}
	}
	return "", nil
}

// MarkStore stores the mark in the place of another. To mark an empty table, it looks
// first: no program writes to one before it is marked.
func (s *Store) MarkStore(ctx context.Context, was, kind storage.StoreKind) error {
	mark := newItem(kindKey)
	mark.text("Kind", string(kind))
	return s.transact(ctx, func(ctx context.Context) ([]write, error) {
		if was != "" && was != storage.UnmarkedStore {
			return []write{putting(mark, "#Kind = :was", item{":was": textOf(string(was))}, storage.ErrConflict)}, nil
		}
		found, err := s.StoreKind(ctx)
		if err == nil && found != was {
			err = storage.ErrConflict
		}
		return []write{creating(mark, storage.ErrConflict)}, err
	})
}
