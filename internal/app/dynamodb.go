package app

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"github.com/latchkey-auth/latchkey/internal/awsaccess"
	"github.com/latchkey-auth/latchkey/internal/dynamo"
	"github.com/latchkey-auth/latchkey/internal/storage"
)

// connectDynamoDB says nothing of whether the table is there.
func (c Config) connectDynamoDB(ctx context.Context, a StoreAddress) (*dynamo.Store, *dynamodb.Client, error) {
	aws, err := awsaccess.Load(ctx)
	if err != nil {
		return nil, nil, err
	}
	client, err := dynamo.Connect(aws, a.Region, a.Endpoint)
	if err != nil {
		return nil, nil, err
	}
	s, err := dynamo.New(dynamo.Config{Client: client, Table: a.Table, KeepEvents: c.eventRetention()})
	return s, client, err
}

// openDynamoDB opens the table. A table that has no mark is none of latchkey's: Create
// marks an empty one, and makes one that is missing.
func (c Config) openDynamoDB(ctx context.Context, a StoreAddress) (Store, error) {
	s, client, err := c.connectDynamoDB(ctx, a)
	if err != nil {
		return nil, err
	}
	found, err := s.StoreKind(ctx)
	if errors.Is(err, dynamo.ErrNoTable) {
		if !c.Create {
			return nil, fmt.Errorf("%w: %w", ErrNoStore, err)
		}
		if err := dynamo.Create(ctx, client, a.Table); err != nil {
			return nil, err
		}
		found, err = s.StoreKind(ctx)
	}
	if err != nil {
		return nil, err
	}
	if found == "" {
		if !c.Create {
			return nil, ErrNoStore
		}
		if found, err = markNew(ctx, s, cmp.Or(c.Kind, storage.ProductionStore)); err != nil {
			return nil, err
		}
	}
	if !found.Serves(c.Kind) {
		return nil, &storage.KindError{Found: found, Want: c.Kind}
	}
	return s, nil
}

// completeTable has the table delete what has expired. Who has not the right to do so is
// told, and goes on: a template may have turned it on.
func (c Config) completeTable(ctx context.Context, s *dynamo.Store) error {
	err := s.Expire(ctx)
	var right *awsaccess.RightError
	if errors.As(err, &right) {
		c.Log.Warn("cannot see to it that the table deletes what has expired; latchkey store check says whether it does", slog.String("error", err.Error()))
		return nil
	}
	return err
}

// markNew marks a store that has nothing in it yet, unless another process has just done
// so, and returns the mark.
func markNew(ctx context.Context, s storage.Marked, kind storage.StoreKind) (storage.StoreKind, error) {
	err := s.MarkStore(ctx, "", kind)
	if errors.Is(err, storage.ErrConflict) {
		return s.StoreKind(ctx)
	}
	return kind, err
}
