// Package dynamo keeps users, sessions, events, counts and signing keys in one DynamoDB
// table, for functions and servers in any number.
//
// Every read is by key and consistent, and every list is a query of known partitions:
// nothing scans but a copy of the whole, and there is no index that lags behind. A commit is one
// TransactWriteItems under a token, so that a repeated one is no second change. What
// expires carries a moment at which DynamoDB deletes it, some time later; reads
// go by the exact moment that is stored beside it. docs/dynamodb.md has the items and
// what each method costs.
//
// Start at [Store.Commit], and at plan.go for what each change is.
package dynamo

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/smithy-go"

	"github.com/latchkey-auth/latchkey/internal/awsaccess"
	"github.com/latchkey-auth/latchkey/internal/keyring"
	"github.com/latchkey-auth/latchkey/internal/limit"
	"github.com/latchkey-auth/latchkey/internal/storage"
	"github.com/latchkey-auth/latchkey/internal/transfer"
)

var (
	_ storage.Store  = (*Store)(nil)
	_ storage.Loader = (*Store)(nil)
	_ storage.Marked = (*Store)(nil)
	_ limit.Counters = (*Store)(nil)
	_ keyring.Store  = (*Store)(nil)
	_ transfer.Store = (*Store)(nil)
)

// Config is what a Store needs.
type Config struct {
	// Client is from [Connect]. It retries as the SDK is told to.
	Client *dynamodb.Client
	Table  string
	// KeepEvents is how long events are kept, from when they happened. Zero: for ever.
	KeepEvents time.Duration
	// Patience is how long a method tries before it returns ErrUnavailable. Zero: 5 s.
	Patience time.Duration
	// EventShards and RevocationShards are over how many partitions those of a day are
	// spread. A day keeps the number that it began with. Zero: 32 and 8.
	EventShards, RevocationShards int
}

// A Store is a table. It is safe for concurrent use.
type Store struct {
	client     operations
	table      string
	patience   time.Duration
	keepEvents time.Duration

	events, revocations feed
	days                sync.Map // by key of its item: over how many shards a day is spread
}

// New returns a Store. It does not look whether the table is there: Ping does.
func New(cfg Config) (*Store, error) {
	if cfg.Client == nil || cfg.Table == "" {
		return nil, errors.New("dynamo: Client and Table must be set")
	}
	return &Store{
		client:      operationsOf(cfg.Client),
		table:       cfg.Table,
		patience:    cmp.Or(cfg.Patience, 5*time.Second),
		keepEvents:  cfg.KeepEvents,
		events:      feed{"events", cmp.Or(cfg.EventShards, 32)},
		revocations: feed{"revocations", cmp.Or(cfg.RevocationShards, 8)},
	}, nil
}

// attemptTimeout is how long one request may take, so that a lost one leaves time for
// others.
const attemptTimeout = 1500 * time.Millisecond

// emulatorRegion is that of an endpoint without one: emulators take any. It is one that the
// SDK knows by name. For any other, such as "local", it compiles its patterns of regions at
// each request, which makes a request of 90 µs one of 260.
const emulatorRegion = "us-east-1"

// Connect returns a client by the configuration, which is from awsaccess.Load. Region and
// endpoint take the place of what that says unless they are empty.
func Connect(cfg aws.Config, region, endpoint string) (*dynamodb.Client, error) {
	region = cmp.Or(region, cfg.Region)
	if region == "" {
		if endpoint == "" {
			return nil, errors.New("no AWS region: set AWS_REGION, or region=… in the address of the store")
		}
		region = emulatorRegion
	}
	cfg, err := awsaccess.In(cfg, region, attemptTimeout)
	if err != nil {
		return nil, err
	}
	return dynamodb.NewFromConfig(cfg, func(o *dynamodb.Options) {
		o.APIOptions = append(o.APIOptions, explaining)
		if cfg.Retryer == nil {
			o.Retryer = retryer(cfg.RetryMode)
		}
		if endpoint != "" {
			o.BaseEndpoint = &endpoint
		}
	}), nil
}

// retryer is what the SDK has for DynamoDB since its version 1.74: four attempts unless
// AWS_MAX_ATTEMPTS says otherwise, the first wait 25 ms. The version in go.mod is older, see
// docs/design.md.
func retryer(mode aws.RetryMode) aws.Retryer {
	standard := func(o *retry.StandardOptions) { o.MaxAttempts, o.BaseDelay = 4, 25*time.Millisecond }
	if mode == aws.RetryModeAdaptive {
		return retry.NewAdaptiveMode(func(o *retry.AdaptiveModeOptions) { o.StandardOptions = append(o.StandardOptions, standard) })
	}
	return retry.NewStandard(standard)
}

// Create makes the table, on-demand, and has DynamoDB delete what has expired. One that
// is there already stays as it is.
func Create(ctx context.Context, client *dynamodb.Client, table string) error {
	_, err := client.CreateTable(ctx, &dynamodb.CreateTableInput{
		TableName:   &table,
		BillingMode: types.BillingModePayPerRequest,
		AttributeDefinitions: []types.AttributeDefinition{
			{AttributeName: aws.String(partition), AttributeType: types.ScalarAttributeTypeS},
			{AttributeName: aws.String(sort), AttributeType: types.ScalarAttributeTypeS},
		},
		KeySchema: []types.KeySchemaElement{
			{AttributeName: aws.String(partition), KeyType: types.KeyTypeHash},
			{AttributeName: aws.String(sort), KeyType: types.KeyTypeRange},
		},
	})
	var inUse *types.ResourceInUseException
	if err != nil && !errors.As(err, &inUse) {
		return fmt.Errorf("creating table %s: %w", table, err)
	}
	operations := operationsOf(client)
	if err := awaitTable(ctx, operations, table); err != nil {
		return err
	}
	return expire(ctx, operations, table)
}

// awaitTable waits until the table can be used. An emulator may say nothing of its state.
func awaitTable(ctx context.Context, client operations, table string) error {
	for {
		d, err := client.DescribeTable(ctx, &dynamodb.DescribeTableInput{TableName: &table})
		if err != nil {
			return fmt.Errorf("waiting for table %s: %w", table, err)
		}
		if d.Table == nil || d.Table.TableStatus == "" || d.Table.TableStatus == types.TableStatusActive {
			return nil
		}
		if err := sleep(ctx, 500*time.Millisecond); err != nil {
			return fmt.Errorf("waiting for table %s: %w", table, err)
		}
	}
}

// Expire turns on that DynamoDB deletes what has expired, where it is off.
func (s *Store) Expire(ctx context.Context) error { return expire(ctx, s.client, s.table) }

// expire turns on that DynamoDB deletes by the attribute of expiry.
func expire(ctx context.Context, client operations, table string) error {
	if on, err := expires(ctx, client, table); on || err != nil {
		return err
	}
	_, err := client.UpdateTimeToLive(ctx, &dynamodb.UpdateTimeToLiveInput{
		TableName:               &table,
		TimeToLiveSpecification: &types.TimeToLiveSpecification{AttributeName: aws.String(expiry), Enabled: aws.Bool(true)},
	})
	if err != nil {
		if on, _ := expires(ctx, client, table); on { // by another process, just now
			return nil
		}
		return fmt.Errorf("having table %s expire items: %w", table, err)
	}
	return nil
}

// expires reports whether DynamoDB deletes what has expired.
func expires(ctx context.Context, client operations, table string) (bool, error) {
	d, err := client.DescribeTimeToLive(ctx, &dynamodb.DescribeTimeToLiveInput{TableName: &table})
	if err != nil {
		return false, fmt.Errorf("asking whether table %s expires items: %w", table, err)
	}
	t := d.TimeToLiveDescription
	return t != nil && (t.TimeToLiveStatus == types.TimeToLiveStatusEnabled || t.TimeToLiveStatus == types.TimeToLiveStatusEnabling), nil
}

// unavailable marks every error that is not one of the ports' own. A table that is
// missing ([ErrNoTable]), a right ([awsaccess.RightError]) and a mistake in a request are among them.
func unavailable(err error) error {
	for _, own := range []error{storage.ErrNotFound, storage.ErrTaken, storage.ErrConflict, storage.ErrUnavailable, storage.ErrChanges, keyring.ErrExists} {
		if err == nil || errors.Is(err, own) {
			return err
		}
	}
	return fmt.Errorf("%w: %w", storage.ErrUnavailable, err)
}

// reading bounds what a read takes.
func (s *Store) reading(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, s.patience)
}

// writing bounds what a write takes, which goes on when ctx ends: a client must not take
// back a wrong guess by hanging up.
func (s *Store) writing(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), s.patience)
}

// backOff waits before the next attempt: longer each time, and never as long as others
// who have met here.
func backOff(ctx context.Context, attempt int) error {
	longest := min(10*time.Millisecond<<min(attempt, 6), 400*time.Millisecond)
	return sleep(ctx, time.Millisecond+mathrand.N(longest))
}

// alone carries out a single write, which waits for transactions under way at its item. It
// goes by the code: BatchWriteItem has no type for this error in every version of the SDK.
func alone(ctx context.Context, write func() error) error {
	for attempt := 0; ; attempt++ {
		err := write()
		var answer smithy.APIError
		if !errors.As(err, &answer) || answer.ErrorCode() != "TransactionConflictException" {
			return err
		}
		if waited := backOff(ctx, attempt); waited != nil {
			return fmt.Errorf("writing %d times among transactions: %w", attempt+1, err)
		}
	}
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// token names one attempt to change something.
func token() string { return rand.Text() }

// atOnce runs f for 0 to n-1 at the same time.
func atOnce(n int, f func(i int) error) error {
	errs := make([]error, n)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { errs[i] = f(i) })
	}
	wg.Wait()
	return errors.Join(errs...)
}

// Ping writes, because a table may let itself be read alone. The item is one of many, so
// that no partition has them all.
func (s *Store) Ping(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, s.patience)
	defer cancel()
	at := key{"ping#" + fmt.Sprint(mathrand.N(16)), "ping"}
	ping := newItem(at)
	ping.text("Token", token())
	ping.expires(time.Now(), time.Hour)
	err := alone(ctx, func() error {
		_, err := s.client.PutItem(ctx, &dynamodb.PutItemInput{TableName: &s.table, Item: ping})
		return err
	})
	if err != nil {
		return unavailable(fmt.Errorf("writing to table %s: %w", s.table, err))
	}
	_, err = s.get(ctx, at)
	return err
}

// Close is for stores that hold something open: here connections are the SDK's, which ends
// those that are idle.
func (s *Store) Close() error { return nil }

// Purge leaves it to DynamoDB to delete what has expired.
func (s *Store) Purge(context.Context, storage.Moments) error { return nil }
