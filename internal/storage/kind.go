package storage

import (
	"context"
	"fmt"
)

// A StoreKind is what a store is for. The store is marked with it when it is made, so
// that what is harmless on a laptop is never done to other people's accounts.
type StoreKind string

const (
	// ProductionStore: a service works on it that others can reach.
	ProductionStore StoreKind = "production"
	// LocalStore: it is for this machine alone, with a user whose password everybody
	// knows.
	LocalStore StoreKind = "local"
	// UnmarkedStore: a program made it that knew no marks. It counts as production.
	UnmarkedStore StoreKind = "unmarked"
)

// ParseStoreKind reads a mark as it is stored.
func ParseStoreKind(mark string) (StoreKind, error) {
	k := StoreKind(mark)
	if k != ProductionStore && k != LocalStore {
		return k, fmt.Errorf("the store is marked %q: use the newer latchkey that did so", mark)
	}
	return k, nil
}

// Serves reports whether a program that wants the kind may work on the store. An empty
// kind is a store that has nothing in it yet; an empty want is a program that takes any.
func (k StoreKind) Serves(want StoreKind) bool {
	return k == "" || want == "" || k == want || k == UnmarkedStore && want == ProductionStore
}

// A KindError says that the store is not of the kind that was asked for.
type KindError struct{ Found, Want StoreKind }

func (e *KindError) Error() string { return fmt.Sprintf("store is %s, not %s", e.Found, e.Want) }

// A Marked store says what it is for.
type Marked interface {
	// StoreKind returns the mark: empty while nothing is in the store, UnmarkedStore
	// where there is something without a mark.
	StoreKind(ctx context.Context) (StoreKind, error)
	// MarkStore marks the store anew when its kind is was, and otherwise returns
	// ErrConflict. When the answer is lost, the caller reads which kind it is.
	MarkStore(ctx context.Context, was, kind StoreKind) error
}
