package storetest

import (
	"context"
	"testing"

	"github.com/latchkey-auth/latchkey/internal/storage"
)

// StoreKind returns the mark.
func (m *Memory) StoreKind(context.Context) (storage.StoreKind, error) {
	unlock, err := m.lock("StoreKind")
	if err != nil {
		return "", err
	}
	defer unlock()
	return m.kind(), nil
}

func (m *Memory) kind() storage.StoreKind {
	if m.mark == "" && (len(m.keys) > 0 || len(m.data.accounts) > 0) {
		return storage.UnmarkedStore
	}
	return m.mark
}

// MarkStore marks the store anew when its kind is was.
func (m *Memory) MarkStore(_ context.Context, was, kind storage.StoreKind) error {
	unlock, err := m.lock("MarkStore")
	if err != nil {
		return err
	}
	defer unlock()
	if m.kind() != was {
		return storage.ErrConflict
	}
	m.mark = kind
	return nil
}

func wantStoreKind(t *testing.T, doing string, s Store, want storage.StoreKind) {
	t.Helper()
	if got, err := s.StoreKind(t.Context()); err != nil || got != want {
		t.Errorf("%s: the store is %q, %v; want %q", doing, got, err, want)
	}
}

// storeIsMarked: opening a store may have marked it, or not.
func storeIsMarked(t *testing.T, s, other Store) {
	was, err := s.StoreKind(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	w := newWorld(t, s, other)
	if was == "" {
		wantError(t, "marking a store as an empty one, which it is no more", s.MarkStore(t.Context(), was, storage.LocalStore), storage.ErrConflict)
		was = storage.UnmarkedStore
	}
	wantStoreKind(t, "with something in it", other, was)
	for _, kind := range []storage.StoreKind{storage.LocalStore, storage.ProductionStore, storage.ProductionStore, storage.LocalStore} {
		for _, wrong := range []storage.StoreKind{"", storage.UnmarkedStore, storage.ProductionStore, storage.LocalStore} {
			if wrong != was {
				wantError(t, "marking in the place of a mark that is not there", s.MarkStore(t.Context(), wrong, kind), storage.ErrConflict)
			}
		}
		wantStoreKind(t, "refused", other, was)
		if err := s.MarkStore(t.Context(), was, kind); err != nil {
			t.Fatalf("marking %q in the place of %q: %v", kind, was, err)
		}
		was = kind
		wantStoreKind(t, "marked", s, kind)
		wantStoreKind(t, "marked by the other handle", other, kind)
	}
	w.check("a store that was marked")
}

func racingMarks(t *testing.T, s, other Store) {
	was, err := s.StoreKind(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	next := storage.LocalStore
	if was == next {
		next = storage.ProductionStore
	}
	won := race(t, s, other, storage.ErrConflict, func(ctx context.Context, s Store, _ int) error {
		return s.MarkStore(ctx, was, next)
	})
	if won != 1 {
		t.Errorf("%d of %d have marked the store, want 1", won, racers)
	}
	wantStoreKind(t, "after the race", other, next)
}
