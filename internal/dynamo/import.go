package dynamo

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/latchkey-auth/latchkey/internal/keyring"
	"github.com/latchkey-auth/latchkey/internal/outbox"
	"github.com/latchkey-auth/latchkey/internal/storage"
	"github.com/latchkey-auth/latchkey/internal/transfer"
)

// Import stores records by BatchWriteItem, each with its places in lists and the guards of
// its names.
func (s *Store) Import(ctx context.Context, all []transfer.Record) error {
	var requests []types.WriteRequest
	for _, r := range all {
		items, err := s.itemsOf(ctx, r)
		if err != nil {
			return err
		}
		for _, it := range items {
			if err := checkSizes([]write{putting(it, "", nil, nil)}); err != nil {
				return fmt.Errorf("one of the %s: %w", transfer.KindOf(r), err)
			}
			requests = append(requests, types.WriteRequest{PutRequest: &types.PutRequest{Item: it}})
		}
	}
	return s.batch(ctx, requests)
}

// itemsOf are the items that stand for a record.
func (s *Store) itemsOf(ctx context.Context, r transfer.Record) ([]item, error) {
	switch r := r.(type) {
	case transfer.User:
		return itemsOfUser(r), nil
	case transfer.DeletedUser:
		return []item{deletedItem(r.ID)}, nil
	case storage.Credential:
		return []item{credentialItem(r), heldItem(r)}, nil
	case storage.Session:
		items := []item{sessionItem(r)}
		if r.EndedAt.IsZero() {
			items = append(items, listedItem(r))
		}
		return items, nil
	case storage.Ticket:
		return []item{ticketItem(r)}, nil
	case storage.Mark:
		return []item{markItem(r)}, nil
	case outbox.Mail:
		return []item{mailItem(r), queuedItem(r)}, nil
	case storage.Event:
		return s.lineItem(ctx, s.events, eventLine(r), s.eventExpires(r))
	case storage.Revocation:
		return s.lineItem(ctx, s.revocations, revocationLine(r), r.ExpiresAt)
	case transfer.Count:
		return []item{countItem(r)}, nil
	case keyring.Record:
		id := newItem(keyIDKey(r.ID))
		id.number("Number", r.Number)
		return []item{signingItem(r), id}, nil
	}
	return nil, fmt.Errorf("%w: %T is no record", storage.ErrChanges, r)
}

func itemsOfUser(u transfer.User) []item {
	profile, signIn := u.User, u.User
	profile.UpdatedAt, signIn.UpdatedAt = u.ProfileAt, u.SignInAt
	items := []item{profileItem(profile, u.Version), signInItem(signIn, u.SignInVersion), newItem(memberKey(u.ID))}
	for _, n := range namesOf(u.User) {
		items = append(items, nameItem(n, u.ID))
	}
	return items
}

func (s *Store) lineItem(ctx context.Context, f feed, l line, expires time.Time) ([]item, error) {
	at, text, err := s.placeLine(ctx, f, l)
	if err != nil {
		return nil, err
	}
	it := newItem(at)
	it.text("Line", text)
	it.expires(expires, margin)
	return []item{it}, nil
}

func countItem(c transfer.Count) item {
	it := newItem(countKey(c.Key))
	it.number("Empty", micros(c.Empty))
	it.number("Last", micros(c.Last))
	it.number("Reserved", c.Reserved)
	it.expires(c.Empty, countMargin)
	return it
}

// storePartition has what is about the table itself and is not copied: the hold, and the mark
// of the kind.
const storePartition = "store"

var holdKey = key{storePartition, "hold"}

// Hold returns the hold on the store.
func (s *Store) Hold(ctx context.Context) (transfer.Hold, error) {
	ctx, cancel := s.reading(ctx)
	defer cancel()
	it, err := s.get(ctx, holdKey)
	if err != nil {
		return transfer.Hold{}, err
	}
	r := &reader{it: it}
	h, err := transfer.ParseHold(r.text("Hold"))
	return h, unavailable(errors.Join(err, r.err))
}

// PutHold is one guarded write, and no transaction: a copy stores its place after every
// page.
func (s *Store) PutHold(ctx context.Context, was string, h transfer.Hold) error {
	if was == "" && h.ID == "" {
		return nil
	}
	condition, values := "attribute_not_exists(#PK)", item(nil)
	if was != "" {
		condition, values = "#ID = :was", item{":was": textOf(was)}
	}
	ctx, cancel := s.writing(ctx)
	defer cancel()
	err := alone(ctx, func() error { return s.writeHold(ctx, h, condition, values) })
	var refused *types.ConditionalCheckFailedException
	if !errors.As(err, &refused) {
		return unavailable(err)
	}
	it, err := s.get(ctx, holdKey)
	if err == nil && (&reader{it: it}).text("Hold") != holdText(h) { // otherwise an attempt whose answer was lost has done it
		err = storage.ErrConflict
	}
	return err
}

func (s *Store) writeHold(ctx context.Context, h transfer.Hold, condition string, values item) error {
	if h.ID == "" {
		_, err := s.client.DeleteItem(ctx, &dynamodb.DeleteItemInput{
			TableName: &s.table, Key: newItem(holdKey), ConditionExpression: &condition,
			ExpressionAttributeNames: names(condition), ExpressionAttributeValues: values,
		})
		return err
	}
	it := newItem(holdKey)
	it.text("ID", h.ID)
	it.text("Hold", holdText(h))
	_, err := s.client.PutItem(ctx, &dynamodb.PutItemInput{
		TableName: &s.table, Item: it, ConditionExpression: &condition,
		ExpressionAttributeNames: names(condition), ExpressionAttributeValues: values,
	})
	return err
}

// holdText is what is stored of a hold; of none nothing is.
func holdText(h transfer.Hold) string {
	if h.ID == "" {
		return ""
	}
	return h.Encode()
}

// Bounds: to look costs a read, and a commit is tried for as long as patience.
func (s *Store) Bounds() transfer.Bounds {
	return transfer.Bounds{Look: 10 * time.Second, Write: s.patience + attemptTimeout}
}
