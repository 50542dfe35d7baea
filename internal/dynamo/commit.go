package dynamo

import (
	"context"
	"errors"
	"fmt"
	"regexp"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/latchkey-auth/latchkey/internal/storage"
)

// A write is one guarded write of a transaction, or a check. In its expressions #Name is
// the attribute Name and :name a value; so no name can be a reserved word.
type write struct {
	at        key
	put       item   // the item to store; nil: see below
	update    string // the expression by which it changes; empty: see below
	remove    bool   // delete it; otherwise nothing is written
	condition string
	values    item
	// refusal is what it means that the condition does not hold.
	refusal error
}

func putting(it item, condition string, values item, refusal error) write {
	return write{at: it.key(), put: it, condition: condition, values: values, refusal: refusal}
}

// creating stores what must not be there.
func creating(it item, refusal error) write {
	return putting(it, "attribute_not_exists(#PK)", nil, refusal)
}

func updating(at key, update, condition string, values item, refusal error) write {
	return write{at: at, update: update, condition: condition, values: values, refusal: refusal}
}

func removing(at key, condition string, values item, refusal error) write {
	return write{at: at, remove: true, condition: condition, values: values, refusal: refusal}
}

func checking(at key, condition string, values item, refusal error) write {
	return write{at: at, condition: condition, values: values, refusal: refusal}
}

// errStale: what the writes were made from has changed since it was read. They are made
// anew.
var errStale = errors.New("changed since it was read")

// names are those of all #Name in the expressions.
func names(expressions ...string) map[string]string {
	var all map[string]string
	for _, expression := range expressions {
		for _, name := range nameInExpression.FindAllString(expression, -1) {
			if all == nil {
				all = make(map[string]string)
			}
			all[name] = name[1:]
		}
	}
	return all
}

var nameInExpression = regexp.MustCompile(`#[A-Za-z]+`)

// item is the write as DynamoDB takes it.
func (w write) item(table *string) types.TransactWriteItem {
	var condition *string
	if w.condition != "" {
		condition = &w.condition
	}
	named, values := names(w.update, w.condition), w.values
	if len(values) == 0 {
		values = nil // DynamoDB refuses an empty map
	}
	switch {
	case w.put != nil:
		return types.TransactWriteItem{Put: &types.Put{
			TableName: table, Item: w.put, ConditionExpression: condition,
			ExpressionAttributeNames: named, ExpressionAttributeValues: values,
		}}
	case w.update != "":
		return types.TransactWriteItem{Update: &types.Update{
			TableName: table, Key: newItem(w.at), UpdateExpression: &w.update, ConditionExpression: condition,
			ExpressionAttributeNames: named, ExpressionAttributeValues: values,
		}}
	case w.remove:
		return types.TransactWriteItem{Delete: &types.Delete{
			TableName: table, Key: newItem(w.at), ConditionExpression: condition,
			ExpressionAttributeNames: named, ExpressionAttributeValues: values,
		}}
	}
	return types.TransactWriteItem{ConditionCheck: &types.ConditionCheck{
		TableName: table, Key: newItem(w.at), ConditionExpression: condition,
		ExpressionAttributeNames: named, ExpressionAttributeValues: values,
	}}
}

// checkSizes refuses what DynamoDB would, by an error that says what is too large. Of an
// update it counts what it writes.
func checkSizes(writes []write) error {
	total := 0
	for _, w := range writes {
		switch {
		case len(w.at.partition) > maxPartition:
			return tooLarge("a partition key", len(w.at.partition), maxPartition)
		case len(w.at.sort) > maxSort:
			return tooLarge("a sort key", len(w.at.sort), maxSort)
		}
		n := w.put.size() + w.values.size()
		if n > maxItem {
			return tooLarge("an item", n, maxItem)
		}
		total += n
	}
	if total > maxTransact {
		return tooLarge("a commit", total, maxTransact)
	}
	return nil
}

// Commit carries out the changes by one TransactWriteItems.
func (s *Store) Commit(ctx context.Context, changes ...storage.Change) error {
	if err := storage.CheckChanges(changes); err != nil || len(changes) == 0 {
		return err
	}
	return s.transact(ctx, func(ctx context.Context) ([]write, error) { return s.plan(ctx, changes) })
}

// transact writes what plan returns, which is asked again when it was made from what has
// changed since.
func (s *Store) transact(ctx context.Context, plan func(context.Context) ([]write, error)) error {
	ctx, cancel := s.writing(ctx)
	defer cancel()
	for attempt := 0; ; attempt++ {
		writes, err := plan(ctx)
		if err != nil || len(writes) == 0 {
			return unavailable(err)
		}
		err = s.write(ctx, writes)
		if !errors.Is(err, errStale) {
			return unavailable(err)
		}
		if err := backOff(ctx, attempt); err != nil {
			return unavailable(fmt.Errorf("committing %d times to what others change: %w", attempt+1, err))
		}
	}
}

// write carries out all of the writes or none. It goes under one token, by the SDK's
// retries and by its own: whichever of them arrives, the others are no second change.
func (s *Store) write(ctx context.Context, writes []write) error {
	if err := checkSizes(writes); err != nil {
		return err
	}
	token := token()
	in := &dynamodb.TransactWriteItemsInput{ClientRequestToken: &token}
	for _, w := range writes {
		in.TransactItems = append(in.TransactItems, w.item(&s.table))
	}
	for attempt := 0; ; attempt++ {
		_, err := s.client.TransactWriteItems(ctx, in)
		refusal, again := outcome(err, writes)
		if !again {
			return refusal
		}
		if waited := backOff(ctx, attempt); waited != nil {
			return fmt.Errorf("committing %d times among others: %w", attempt+1, err)
		}
	}
}

// outcome says what an answer means: nothing, the refusal of the first write whose
// condition does not hold, that it is worth another attempt, or any other error. A
// condition is judged by what is stored, also where another write has met a transaction.
func outcome(err error, writes []write) (refusal error, again bool) {
	var canceled *types.TransactionCanceledException
	var underWay *types.TransactionInProgressException
	switch {
	case errors.As(err, &underWay): // an attempt of our own, whose answer was lost
		return err, true
	case !errors.As(err, &canceled):
		return err, false
	}
	for i, reason := range canceled.CancellationReasons {
		switch {
		case reason.Code == nil || i >= len(writes):
		case *reason.Code == "ConditionalCheckFailed" && writes[i].refusal != nil:
			return writes[i].refusal, false
		case *reason.Code == "TransactionConflict", *reason.Code == "ThrottlingError", *reason.Code == "ProvisionedThroughputExceeded":
			again = true
		}
	}
	return err, again
}
