package revocationsource

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"strconv"
	"sync"
	"time"

	"github.com/latchkey-auth/latchkey"
	"github.com/latchkey-auth/latchkey/internal/fetch"
	"github.com/latchkey-auth/latchkey/revocation"
)

const (
	// tokenLife is how long revocations are kept at least, and oldTokenLife those of
	// single tokens of the system before: with the margin of package auth.
	tokenLife    = 24*time.Hour + 2*time.Minute
	oldTokenLife = 14*24*time.Hour + 2*time.Minute
	// oldAhead: see revocation: tokens without epoch may be issued so far ahead.
	oldAhead = 10 * time.Second
)

var _ revocation.Source = (*table)(nil)

// A table is that of package dynamo. docs/dynamodb.md has what lies where.
type table struct {
	client *client
	name   string
	life   time.Duration // of what is listed
	most   int           // revocations that are read; more is ErrTooMany
}

// openTable checks the address, dynamodb://TABLE?region=…&endpoint=…. What it leaves out is
// in the variables of the SDK.
func openTable(cfg Config) (*table, error) {
	u, err := url.Parse(cfg.Address)
	if err != nil || u.Host == "" || u.User != nil || u.Path != "" || u.Fragment != "" {
		return nil, errors.New("the address of the table must be like dynamodb://latchkey?region=eu-central-1")
	}
	region, endpoint := cfg.Getenv("AWS_REGION"), ""
	for name, values := range u.Query() {
		switch {
		case len(values) != 1:
			return nil, fmt.Errorf("%s is there twice in the address of the table", name)
		case name == "region":
			region = values[0]
		case name == "endpoint":
			endpoint = values[0]
		default:
			return nil, fmt.Errorf("%q is not known in the address of the table: there are region and endpoint", name)
		}
	}
	for _, variable := range []string{"AWS_ENDPOINT_URL_DYNAMODB", "AWS_ENDPOINT_URL"} {
		endpoint = cmp.Or(endpoint, cfg.Getenv(variable))
	}
	if region == "" {
		return nil, errors.New("no AWS region: set AWS_REGION, or region=… in the address of the table")
	}
	if endpoint, err = endpointOf(endpoint, region); err != nil {
		return nil, err
	}
	t := &table{name: u.Host, life: tokenLife, most: revocation.DefaultMaxEntries, client: &client{
		endpoint: endpoint, region: region, fetch: (&fetch.Client{MaxIdle: maxIdle}).Fetch, now: cfg.Now,
		credentials: func() credentials {
			return credentials{cfg.Getenv("AWS_ACCESS_KEY_ID"), cfg.Getenv("AWS_SECRET_ACCESS_KEY"), cfg.Getenv("AWS_SESSION_TOKEN")}
		},
	}}
	if c := t.client.credentials(); c.accessKeyID == "" || c.secretAccessKey == "" {
		return nil, errors.New("no AWS credentials: Lambda sets AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY by the role of the function")
	}
	if cfg.OldTokens {
		t.life = oldTokenLife
	}
	if t.client.now == nil {
		t.client.now = time.Now
	}
	return t, nil
}

// endpointOf is where to send requests: https, or http on this machine.
func endpointOf(text, region string) (string, error) {
	if text == "" {
		text = "https://dynamodb." + region + ".amazonaws.com"
		if len(region) > 3 && region[:3] == "cn-" {
			text += ".cn"
		}
	}
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.User != nil || u.Path != "" && u.Path != "/" || u.RawQuery != "" {
		return "", errors.New("the endpoint of the table must be like https://dynamodb.eu-central-1.amazonaws.com")
	}
	a, err := netip.ParseAddr(u.Hostname())
	here := u.Hostname() == "localhost" || err == nil && a.Unmap().IsLoopback()
	if u.Scheme != "https" && (u.Scheme != "http" || !here) {
		return "", fmt.Errorf("the endpoint %s must be https, or http on this machine", u.Redacted())
	}
	return u.Scheme + "://" + u.Host, nil
}

// Revocations returns all that has ended since the look before, as one page. A place is
// when that look began.
func (t *table) Revocations(ctx context.Context, after string) (revocation.Page, error) {
	began := t.client.now()
	page := revocation.Page{Next: strconv.FormatInt(began.UnixMicro(), 10), Since: began.Add(-tokenLife)}
	from := began.Add(-t.life)
	if after != "" {
		us, err := strconv.ParseInt(after, 10, 64)
		if err != nil {
			return page, fmt.Errorf("%q is no place in the list", after)
		}
		if next := time.UnixMicro(us).Add(-revocation.Overlap); next.After(from) {
			from = next
		}
	}
	days, err := t.query(ctx, "revocations", from.UTC().Format(time.DateOnly), t.most)
	if err != nil {
		return page, err
	}
	for _, day := range days {
		lines, err := t.day(ctx, day, place(from), t.most-len(page.Revocations))
		if err != nil {
			return page, err
		}
		page.Revocations = append(page.Revocations, lines...)
	}
	return page, nil
}

// day reads the shards of a day, at the same time.
func (t *table) day(ctx context.Context, day item, first string, most int) ([]revocation.Revocation, error) {
	n, err := day.number("Shards")
	if err != nil || n < 1 || n > 1024 {
		return nil, fmt.Errorf("day %s has no number of shards", day.text("SK"))
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	shards, errs := make([][]item, n), make([]error, n)
	var wg sync.WaitGroup
	for i := range shards {
		wg.Go(func() {
			shards[i], errs[i] = t.query(ctx, fmt.Sprintf("revocations#%s#%d", day.text("SK"), i), first, most)
			if errs[i] != nil {
				cancel()
			}
		})
	}
	wg.Wait()
	if err := firstCause(errs); err != nil {
		return nil, err
	}
	var all []revocation.Revocation
	for _, lines := range shards {
		for _, it := range lines {
			r, err := parseLine(it.text("Line"))
			if err != nil {
				return nil, fmt.Errorf("revocation %s: %w", it.text("SK"), err)
			}
			all = append(all, r)
		}
	}
	if len(all) > most {
		return nil, revocation.ErrTooMany
	}
	return all, nil
}

// firstCause is the first error that is not of a query that was cancelled by another.
func firstCause(errs []error) error {
	var cancelled error
	for _, err := range errs {
		if err != nil && !errors.Is(err, context.Canceled) {
			return err
		}
		if err != nil {
			cancelled = err
		}
	}
	return cancelled
}

// query returns the items of a partition from a sort key on. ErrTooMany.
func (t *table) query(ctx context.Context, partition, first string, most int) (all []item, err error) {
	in := map[string]any{
		"TableName":                 t.name,
		"ConsistentRead":            true,
		"KeyConditionExpression":    "#PK = :pk AND #SK >= :first",
		"ExpressionAttributeNames":  map[string]string{"#PK": "PK", "#SK": "SK"},
		"ExpressionAttributeValues": item{":pk": text(partition), ":first": text(first)},
	}
	for {
		var out struct {
			Items            []item
			LastEvaluatedKey item
		}
		if err := t.client.call(ctx, "Query", in, &out); err != nil {
			return nil, err
		}
		if out.Items == nil {
			return nil, errors.New("the answer of Query has no list of items")
		}
		if all = append(all, out.Items...); len(all) > most {
			return nil, revocation.ErrTooMany
		}
		if len(out.LastEvaluatedKey) == 0 {
			return all, nil
		}
		in["ExclusiveStartKey"] = out.LastEvaluatedKey
	}
}

// Ended looks up whether a token has ended, by its session and the sign-in of its user.
func (t *table) Ended(ctx context.Context, c latchkey.Claims) (bool, error) {
	signInKey := item{"PK": text("user#" + c.Subject), "SK": text("user#sign-in")}
	keys := []item{signInKey}
	if c.SessionID != "" {
		keys = append(keys, item{"PK": text("session#" + c.SessionID), "SK": text("session")})
	}
	found, err := t.get(ctx, keys)
	if err != nil {
		return false, err
	}
	var signIn, session item
	for _, it := range found {
		if it.text("SK") == "session" {
			session = it
		} else {
			signIn = it
		}
	}
	return t.judge(&c, signIn, session)
}

// judge goes by the rules of package auth.
func (t *table) judge(c *latchkey.Claims, signIn, session item) (ended bool, err error) {
	if signIn.flag("Deleted") || signIn.flag("Disabled") {
		return true, nil
	}
	number := func(it item, name string) (n int64) {
		if err == nil {
			n, err = it.number(name)
		}
		return n
	}
	if c.SessionID == "" { // a token of the system before; its user may never have been imported
		at := number(signIn, "EpochAt")
		return at != 0 && !c.IssuedAt.After(time.UnixMicro(at).Add(oldAhead)), err
	}
	if signIn == nil || session == nil || session.text("UserID") != c.Subject {
		return true, nil
	}
	expires := number(session, "ExpiresAt")
	ended = number(session, "EndedAt") != 0 || expires <= t.client.now().UnixMicro() ||
		number(session, "Epoch") < number(signIn, "Epoch") || c.Epoch >= 0 && c.Rights < number(signIn, "Rights")
	return ended, err
}

// get reads items, with a few more tries for what DynamoDB leaves unread.
func (t *table) get(ctx context.Context, keys []item) (found []item, err error) {
	for try := 1; len(keys) > 0; try++ {
		var out struct {
			Responses       map[string][]item
			UnprocessedKeys map[string]struct{ Keys []item }
		}
		in := map[string]any{"RequestItems": map[string]any{t.name: map[string]any{"Keys": keys, "ConsistentRead": true}}}
		if err := t.client.call(ctx, "BatchGetItem", in, &out); err != nil {
			return nil, err
		}
		found = append(found, out.Responses[t.name]...)
		if keys = out.UnprocessedKeys[t.name].Keys; len(keys) > 0 && try == maxTries {
			return nil, errors.New("dynamodb:BatchGetItem leaves items unread")
		}
	}
	return found, nil
}
