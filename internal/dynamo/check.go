package dynamo

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/smithy-go"

	"github.com/latchkey-auth/latchkey/internal/awsaccess"
	"github.com/latchkey-auth/latchkey/internal/storecheck"
)

// Check looks at the table, and tries each operation that the store uses on items of its
// own, which DynamoDB deletes if it is interrupted.
func (s *Store) Check(ctx context.Context) []storecheck.Finding {
	table := s.checkTable(ctx)
	if table.Result == storecheck.Wrong {
		return []storecheck.Finding{table}
	}
	all := append([]storecheck.Finding{table}, s.checkRights(ctx)...)
	all = append(all, s.checkTrip(ctx)...)
	return append(all, s.checkExpiry(ctx), s.checkRecovery(ctx))
}

// amiss is the finding of a call that failed. A right that only the check itself needs is
// worth a warning.
func amiss(check string, err error, needed bool) storecheck.Finding {
	f := storecheck.Finding{Check: check, Result: storecheck.Wrong, Found: firstLine(err)}
	var right *awsaccess.RightError
	var answer smithy.APIError
	switch {
	case errors.As(err, &right):
		f.Found, f.Advice = "refused", right.Right.String()
		if !needed {
			f.Result, f.Advice = storecheck.Warning, f.Advice+" to have it looked at"
		}
	case errors.Is(err, ErrNoTable):
		f.Found, f.Advice = "there is no such table in this region", "create it with latchkey init, or name the right one in the address, with its region"
	case !needed && errors.As(err, &answer): // an emulator does not know the operation
		f.Result = storecheck.Warning
	}
	return f
}

func firstLine(err error) string {
	line, _, _ := strings.Cut(err.Error(), "\n")
	return line
}

func (s *Store) checkTable(ctx context.Context) storecheck.Finding {
	const check = "table"
	d, err := s.client.DescribeTable(ctx, &dynamodb.DescribeTableInput{TableName: &s.table})
	if err != nil {
		return amiss(check, err, false)
	}
	if d.Table == nil {
		return storecheck.Fine(check, "is there")
	}
	f := storecheck.Fine(check, "active, keys %s and %s", partition, sort)
	switch {
	case !rightKeys(d.Table.KeySchema):
		f.Result, f.Found = storecheck.Wrong, "the keys are not "+partition+" and "+sort
		f.Advice = "the table belongs to another program; name one of latchkey's, or create one with latchkey init"
	case d.Table.TableStatus != "" && d.Table.TableStatus != types.TableStatusActive && d.Table.TableStatus != types.TableStatusUpdating:
		f.Result, f.Found, f.Advice = storecheck.Wrong, "its state is "+string(d.Table.TableStatus), "wait until it is ACTIVE"
	case d.Table.DeletionProtectionEnabled != nil && !*d.Table.DeletionProtectionEnabled:
		f.Result, f.Found = storecheck.Warning, f.Found+"; deletion protection is off"
		f.Advice = "aws dynamodb update-table --deletion-protection-enabled --table-name " + s.table
	}
	return f
}

func rightKeys(schema []types.KeySchemaElement) bool {
	is := func(e types.KeySchemaElement, name string, kind types.KeyType) bool {
		return e.AttributeName != nil && *e.AttributeName == name && e.KeyType == kind
	}
	return len(schema) == 2 && is(schema[0], partition, types.KeyTypeHash) && is(schema[1], sort, types.KeyTypeRange)
}

// checkRights tries what the methods of the store do. Deletions are tried in a
// transaction, where the store makes them.
func (s *Store) checkRights(ctx context.Context) []storecheck.Finding {
	own := "check#" + token()
	first, second := newItem(key{own, "first"}), newItem(key{own, "second"})
	for _, it := range []item{first, second} {
		it.expires(time.Now(), time.Hour)
	}
	at, other := newItem(first.key()), newItem(second.key())
	exists, isKey := "attribute_exists(#PK)", "#PK = :pk"
	transact := func(items ...types.TransactWriteItem) error {
		_, err := s.client.TransactWriteItems(ctx, &dynamodb.TransactWriteItemsInput{ClientRequestToken: aws.String(token()), TransactItems: items})
		return err
	}
	var all []storecheck.Finding
	for _, c := range []struct {
		action string
		try    func() error
	}{
		{"PutItem", func() error {
			_, err := s.client.PutItem(ctx, &dynamodb.PutItemInput{TableName: &s.table, Item: first})
			return err
		}},
		{"GetItem", func() error {
			_, err := s.client.GetItem(ctx, &dynamodb.GetItemInput{TableName: &s.table, Key: at, ConsistentRead: aws.Bool(true)})
			return err
		}},
		{"BatchGetItem", func() error {
			keys := types.KeysAndAttributes{Keys: []map[string]types.AttributeValue{at}, ConsistentRead: aws.Bool(true)}
			_, err := s.client.BatchGetItem(ctx, &dynamodb.BatchGetItemInput{RequestItems: map[string]types.KeysAndAttributes{s.table: keys}})
			return err
		}},
		{"Query", func() error {
			_, err := s.client.Query(ctx, &dynamodb.QueryInput{TableName: &s.table, ConsistentRead: aws.Bool(true), KeyConditionExpression: &isKey,
				ExpressionAttributeNames: names(isKey), ExpressionAttributeValues: item{":pk": textOf(own)}})
			return err
		}},
		{"UpdateItem", func() error {
			update := "SET #Token = :token"
			_, err := s.client.UpdateItem(ctx, &dynamodb.UpdateItemInput{TableName: &s.table, Key: at, UpdateExpression: &update,
				ExpressionAttributeNames: names(update), ExpressionAttributeValues: item{":token": textOf(token())}})
			return err
		}},
		{"ConditionCheckItem", func() error {
			return transact(
				types.TransactWriteItem{ConditionCheck: &types.ConditionCheck{TableName: &s.table, Key: at, ConditionExpression: &exists, ExpressionAttributeNames: names(exists)}},
				types.TransactWriteItem{Put: &types.Put{TableName: &s.table, Item: second}},
			)
		}},
		{"DeleteItem", func() error {
			return transact(
				types.TransactWriteItem{Delete: &types.Delete{TableName: &s.table, Key: at}},
				types.TransactWriteItem{Delete: &types.Delete{TableName: &s.table, Key: other}},
			)
		}},
	} {
		check := "right dynamodb:" + c.action
		if err := c.try(); err != nil {
			all = append(all, amiss(check, err, true))
			continue
		}
		all = append(all, storecheck.Fine(check, "granted"))
	}
	return all
}

// checkTrip reads a few times, and compares the clocks by the answers' Date, which has
// whole seconds.
func (s *Store) checkTrip(ctx context.Context) []storecheck.Finding {
	const trips = 5
	var took []time.Duration
	var clock []storecheck.Finding
	for range trips {
		begun := time.Now()
		out, err := s.client.GetItem(ctx, &dynamodb.GetItemInput{TableName: &s.table, Key: newItem(kindKey), ConsistentRead: aws.Bool(true)})
		if err != nil {
			return []storecheck.Finding{amiss("round trip", err, true)}
		}
		took = append(took, time.Since(begun))
		if said, ok := awsmiddleware.GetServerTime(out.ResultMetadata); ok {
			local := begun.Add(took[len(took)-1] / 2)
			clock = []storecheck.Finding{storecheck.Clock(local.Sub(said.Add(500*time.Millisecond)), 500*time.Millisecond)}
		}
	}
	slices.Sort(took)
	return append(clock, storecheck.RoundTrip(took[trips/2]))
}

func (s *Store) checkExpiry(ctx context.Context) storecheck.Finding {
	const check = "expiry (TTL)"
	d, err := s.client.DescribeTimeToLive(ctx, &dynamodb.DescribeTimeToLiveInput{TableName: &s.table})
	if err != nil {
		return amiss(check, err, false)
	}
	t := d.TimeToLiveDescription
	switch {
	case t == nil || t.TimeToLiveStatus != types.TimeToLiveStatusEnabled && t.TimeToLiveStatus != types.TimeToLiveStatusEnabling:
		return storecheck.Finding{Check: check, Result: storecheck.Wrong, Found: "off: what has expired is never deleted", Advice: "latchkey init turns it on; it needs dynamodb:UpdateTimeToLive on " + tableARN(s.client.region, s.table)}
	case t.AttributeName == nil || *t.AttributeName != expiry:
		return storecheck.Finding{Check: check, Result: storecheck.Wrong, Found: "by another attribute than " + expiry, Advice: "turn it off for that attribute, wait an hour, and run latchkey init"}
	}
	return storecheck.Fine(check, "on, by %s", expiry)
}

func (s *Store) checkRecovery(ctx context.Context) storecheck.Finding {
	const check = "point-in-time recovery"
	d, err := s.client.DescribeContinuousBackups(ctx, &dynamodb.DescribeContinuousBackupsInput{TableName: &s.table})
	if err != nil {
		return amiss(check, err, false)
	}
	if b := d.ContinuousBackupsDescription; b != nil && b.PointInTimeRecoveryDescription != nil && b.PointInTimeRecoveryDescription.PointInTimeRecoveryStatus == types.PointInTimeRecoveryStatusEnabled {
		return storecheck.Fine(check, "on")
	}
	return storecheck.Finding{Check: check, Result: storecheck.Warning, Found: "off: what is deleted or overwritten by mistake is gone",
		Advice: "aws dynamodb update-continuous-backups --point-in-time-recovery-specification PointInTimeRecoveryEnabled=true --table-name " + s.table}
}
