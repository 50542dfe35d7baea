package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"

	"github.com/latchkey-auth/latchkey/internal/storage"
	"github.com/latchkey-auth/latchkey/internal/transfer"
)

// guarded is a store that is not written to while it is held, and how the rest of it goes
// on.
type guarded struct {
	*transfer.Guard
	storage.Marked
	io.Closer
}

// guard guards the store, and looks at its hold at once. What holds part of a copy is
// refused: nothing may be served from it. What can be read but not written to is told.
func (c Config) guard(ctx context.Context, s Store) (Store, error) {
	g := transfer.NewGuard(s, nil)
	h, err := g.Look(ctx)
	switch {
	case err != nil:
		return nil, fmt.Errorf("looking whether %s may be written to: %w", c.Place(), err)
	case h.Role == transfer.Target:
		return nil, fmt.Errorf("%s cannot be used: %s", c.Place(), h)
	case h.ID != "":
		c.Log.Warn(fmt.Sprintf("the store is read-only: %s", h), slog.String("store", c.Place()))
	}
	return guarded{g, s, s}, nil
}

// CopyOptions say how a store is copied.
type CopyOptions struct {
	// KeepReadOnly and Progress are those of [transfer.Config].
	KeepReadOnly bool
	Progress     func(doing string, done, of int64)
}

// CopyStore copies everything from one store into another, which it makes if it is not
// there, of the same kind. No master key is needed; the other store needs the same one.
func CopyStore(ctx context.Context, from, to Config, o CopyOptions) (transfer.Report, error) {
	switch {
	case from.InMemory() || to.InMemory():
		return transfer.Report{}, settingsErrorf("%s keeps nothing to copy, and nothing that is copied into it", Memory)
	case from.address().String() == to.address().String():
		return transfer.Report{}, settingsErrorf("--from and --to name the same store")
	}
	from.Kind, from.Create = "", false
	source, err := from.openEngine(ctx)
	if err != nil {
		return transfer.Report{}, err
	}
	defer source.Close()
	if to.Kind, err = source.StoreKind(ctx); err != nil {
		return transfer.Report{}, fmt.Errorf("reading which kind %s is: %w", from.Place(), err)
	}
	if to.Kind == storage.UnmarkedStore {
		to.Kind = storage.ProductionStore
	}
	to.Create = true
	target, err := to.openEngine(ctx)
	var other *storage.KindError
	if errors.As(err, &other) {
		return transfer.Report{}, fmt.Errorf("%s is a %s store, and %s is %s: name an empty one, which becomes what the source is", from.Place(), to.Kind, to.Place(), other.Found)
	}
	if errors.Is(err, ErrNoStore) { // which callers take for the source's
		return transfer.Report{}, fmt.Errorf("the target %s is not there: make an empty one, without latchkey init, and run this again (%v)", to.Place(), err)
	}
	if err != nil {
		return transfer.Report{}, err
	}
	defer target.Close()
	return transfer.Copy(ctx, transfer.Config{
		From: source, To: target, FromName: from.address().String(), ToName: to.address().String(), KeepEvents: from.eventRetention(),
		KeepReadOnly: o.KeepReadOnly, Progress: o.Progress,
	})
}

// StoreHold returns the hold on the store.
func StoreHold(ctx context.Context, cfg Config) (transfer.Hold, error) {
	return withEngine(ctx, cfg, transfer.Store.Hold)
}

// ReopenStore has a store be written to again that was copied from, and returns the hold
// that was on it.
func ReopenStore(ctx context.Context, cfg Config) (transfer.Hold, error) {
	return withEngine(ctx, cfg, func(s transfer.Store, ctx context.Context) (transfer.Hold, error) { return transfer.Open(ctx, s) })
}

func withEngine(ctx context.Context, cfg Config, f func(transfer.Store, context.Context) (transfer.Hold, error)) (transfer.Hold, error) {
	cfg.Kind, cfg.Create = "", false
	s, err := cfg.openEngine(ctx)
	if err != nil {
		return transfer.Hold{}, err
	}
	defer s.Close()
	return f(s, ctx)
}
