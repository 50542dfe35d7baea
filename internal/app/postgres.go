package app

import (
	"context"
	"errors"
	"fmt"

	"github.com/latchkey-auth/latchkey/internal/sqlstore"
	"github.com/latchkey-auth/latchkey/internal/storage"
	"github.com/latchkey-auth/latchkey/internal/storecheck"
)

// openPostgres opens the database, of the kind and only if latchkey is in it unless Create
// says otherwise.
func (c Config) openPostgres(ctx context.Context, a StoreAddress) (Store, error) {
	store, err := sqlstore.OpenPostgres(ctx, sqlstore.PostgresConfig{URL: string(a.URL), Create: c.Create, Kind: c.Kind, Log: c.Log})
	if err != nil { // no Store that holds a nil one
		return nil, noStore(err)
	}
	return store, nil
}

// inspectPostgres looks at the database and changes nothing.
func inspectPostgres(ctx context.Context, a StoreAddress, look storage.UserID) (StoreInfo, error) {
	info, has, err := sqlstore.InspectPostgres(ctx, string(a.URL), look)
	return StoreInfo{Kind: info.Kind, Has: has}, noStore(err)
}

// checkPostgres looks at the database, and goes on with what every store has where that
// finds nothing wrong.
func (c Config) checkPostgres(ctx context.Context, a StoreAddress) ([]storecheck.Finding, error) {
	all := sqlstore.CheckPostgres(ctx, string(a.URL))
	if storecheck.Failed(all) {
		return all, nil
	}
	c.Kind, c.Create = "", false
	s, err := c.openPostgres(ctx, a)
	if err != nil {
		return nil, err
	}
	defer s.Close()
	return append(append(all, checkTrip(ctx, s)...), checkContent(ctx, s)...), nil
}

func noStore(err error) error {
	if errors.Is(err, sqlstore.ErrNoDatabase) {
		return fmt.Errorf("%w: %w", ErrNoStore, err)
	}
	return err
}
