package dynamo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/latchkey-auth/latchkey/internal/storage"
)

// Events returns events by time and id.
func (s *Store) Events(ctx context.Context, since time.Time, after storage.Cursor, limit int) ([]storage.Event, storage.Cursor, error) {
	return lines[storage.Event](ctx, s, s.events, since, after, limit)
}

// Revocations returns revocations by time and id.
func (s *Store) Revocations(ctx context.Context, since time.Time, after storage.Cursor, limit int) ([]storage.Revocation, storage.Cursor, error) {
	return lines[storage.Revocation](ctx, s, s.revocations, since, after, limit)
}

// beginDay returns over how many shards a day is spread. The first line of a day stores
// it, before anything else: who reads the list asks for the days that have begun. A
// process asks once a day.
func (s *Store) beginDay(ctx context.Context, f feed, day string) (int, error) {
	at := f.dayKey(day)
	if n, ok := s.days.Load(at); ok {
		return n.(int), nil
	}
	it := newItem(at)
	it.number("Shards", int64(f.shards))
	err := alone(ctx, func() error {
		_, err := s.client.PutItem(ctx, &dynamodb.PutItemInput{
			TableName: &s.table, Item: it, ConditionExpression: aws.String("attribute_not_exists(#PK)"),
			ExpressionAttributeNames: names("#PK"),
		})
		return err
	})
	shards := int64(f.shards)
	var begun *types.ConditionalCheckFailedException
	if errors.As(err, &begun) {
		if it, err = s.get(ctx, at); err == nil {
			shards = (&reader{it: it}).number("Shards")
		}
	}
	if err != nil {
		return 0, unavailable(err)
	}
	if shards < 1 {
		return 0, unavailable(fmt.Errorf("day %s of %s has no shards", day, f.name))
	}
	s.days.Store(at, int(shards))
	return int(shards), nil
}

// lines returns the lines of a feed that follow since or the cursor, and the place of the
// last one.
func lines[T any](ctx context.Context, s *Store, f feed, since time.Time, cursor storage.Cursor, limit int) ([]T, storage.Cursor, error) {
	ctx, cancel := s.reading(ctx)
	defer cancel()
	first := rising(since)
	if cursor != "" {
		if !isPlace(cursor) {
			return nil, "", unavailable(fmt.Errorf("%q is no place in the list of %s", string(cursor), f.name))
		}
		first = after(string(cursor))
	}
	begun, err := s.every(ctx, list{partition: f.name, first: dayOf(first), last: end("")})
	if err != nil {
		return nil, "", err
	}
	var all []T
	for _, day := range begun {
		if len(all) >= limit {
			break
		}
		some, err := s.linesOf(ctx, f, day, first, limit-len(all))
		if err != nil {
			return nil, "", err
		}
		for _, it := range some {
			var line T
			r := &reader{it: it}
			if err := json.Unmarshal([]byte(r.text("Line")), &line); err != nil {
				return nil, "", unavailable(fmt.Errorf("line %s of %s: %w", it.key().sort, f.name, err))
			}
			all, cursor = append(all, line), storage.Cursor(it.key().sort)
		}
	}
	return all, cursor, nil
}

// linesOf merges the shards of a day: it returns the first ones from a place on.
func (s *Store) linesOf(ctx context.Context, f feed, day item, first string, limit int) ([]item, error) {
	r := &reader{it: day}
	shards := make([]tail, max(1, r.number("Shards")))
	for n := range shards {
		shards[n].list = list{partition: f.shard(day.key().sort, n), first: first, last: end(""), limit: limit/len(shards)*2 + 8}
	}
	for {
		if err := s.readOn(ctx, shards); err != nil {
			return nil, err
		}
		merged, complete := merge(shards)
		if complete || len(merged) >= limit {
			return merged[:min(limit, len(merged))], nil
		}
	}
}

// A tail is what was read of a shard so far.
type tail struct {
	list  list
	lines []item
}

// last is the place up to which a shard is known.
func (t *tail) last() string {
	if len(t.lines) == 0 {
		return ""
	}
	return t.lines[len(t.lines)-1].key().sort
}

// readOn reads the next page of the shards that hold the merge up: those that are known
// least far.
func (s *Store) readOn(ctx context.Context, shards []tail) error {
	var open []*tail
	for i := range shards {
		if !shards[i].list.done {
			open = append(open, &shards[i])
		}
	}
	slices.SortFunc(open, func(a, b *tail) int { return strings.Compare(a.last(), b.last()) })
	if len(open) > 0 && open[0].last() != "" {
		open = open[:(len(open)+1)/2]
	}
	return atOnce(len(open), func(i int) error {
		page, err := s.more(ctx, &open[i].list)
		open[i].lines = append(open[i].lines, page...)
		return err
	})
}

// merge returns the lines up to where every shard is known, in their order.
func merge(shards []tail) (merged []item, complete bool) {
	complete, known := true, ""
	for i := range shards {
		t := &shards[i]
		merged = append(merged, t.lines...)
		if !t.list.done && (complete || t.last() < known) {
			complete, known = false, t.last()
		}
	}
	slices.SortFunc(merged, func(a, b item) int { return strings.Compare(a.key().sort, b.key().sort) })
	if complete {
		return merged, true
	}
	n, _ := slices.BinarySearchFunc(merged, after(known), func(it item, place string) int { return strings.Compare(it.key().sort, place) })
	return merged[:n], false
}
