package storetest

import (
	"context"
	"testing"

	"github.com/latchkey-auth/latchkey/internal/auth"
)

// StoreKind returns the mark.
func (m *Memory) StoreKind(context.Context) (auth.StoreKind, error) {
	unlock, err := m.lock("StoreKind")
	if err != nil {
		return "", err
	}
	defer unlock()
	return m.kind(), nil
}

func (m *Memory) kind() auth.StoreKind {
	if m.mark == "" && (len(m.keys) > 0 || len(m.data.accounts) > 0) {
		return auth.UnmarkedStore
	}
	return m.mark
}

// MarkStore marks the store anew when its kind is was.
func (m *Memory) MarkStore(_ context.Context, was, kind auth.StoreKind) error {
	unlock, err := m.lock("MarkStore")
	if err != nil {
		return err
	}
	defer unlock()
	if m.kind() != was {
		return auth.ErrConflict
	}
	m.mark = kind
	return nil
}

func wantStoreKind(t *testing.T, doing string, s Store, want auth.StoreKind) {
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
		wantError(t, "marking a store as an empty one, which it is no more", s.MarkStore(t.Context(), was, auth.LocalStore), auth.ErrConflict)
		was = auth.UnmarkedStore
	}
	wantStoreKind(t, "with something in it", other, was)
	for _, kind := range []auth.StoreKind{auth.LocalStore, auth.ProductionStore, auth.ProductionStore, auth.LocalStore} {
		for _, wrong := range []auth.StoreKind{"", auth.UnmarkedStore, auth.ProductionStore, auth.LocalStore} {
			if wrong != was {
				wantError(t, "marking in the place of a mark that is not there", s.MarkStore(t.Context(), wrong, kind), auth.ErrConflict)
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
	next := auth.LocalStore
	if was == next {
		next = auth.ProductionStore
	}
	won := race(t, s, other, auth.ErrConflict, func(ctx context.Context, s Store, _ int) error {
		return s.MarkStore(ctx, was, next)
	})
	if won != 1 {
		t.Errorf("%d of %d have marked the store, want 1", won, racers)
	}
	wantStoreKind(t, "after the race", other, next)
}
