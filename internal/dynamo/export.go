package dynamo

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/latchkey-auth/latchkey/internal/storage"
	"github.com/latchkey-auth/latchkey/internal/transfer"
)

// An exportPlace is where an export goes on. It scans the table twice: a user may stand
// behind the sessions of that user, which another store takes after the user only.
type exportPlace struct {
	Sessions bool     // the second scan
	Key      []string `json:",omitempty"` // of the last item that was read
}

func (p exportPlace) cursor() storage.Cursor {
	text, err := json.Marshal(p)
	if err != nil {
		panic(err) // it has an encoding
	}
	return storage.Cursor(text)
}

func parseExportPlace(c storage.Cursor) (p exportPlace, err error) {
	if c == "" {
		return p, nil
	}
	if err := json.Unmarshal([]byte(c), &p); err != nil || len(p.Key) != 0 && len(p.Key) != 2 {
		return p, fmt.Errorf("%q is no place in an export", string(c))
	}
	return p, nil
}

// Export scans the table. It is the only method that does, beside Erase.
func (s *Store) Export(ctx context.Context, after storage.Cursor, limit int) ([]transfer.Record, storage.Cursor, error) {
	ctx, cancel := s.reading(ctx)
	defer cancel()
	at, err := parseExportPlace(after)
	if err != nil {
		return nil, "", unavailable(err)
	}
	items, last, err := s.scan(ctx, at.Key, limit)
	if err != nil {
		return nil, "", err
	}
	page, err := s.recordsOf(ctx, items, at.Sessions)
	switch {
	case err != nil:
		return nil, "", unavailable(err)
	case last == nil && at.Sessions:
		return page, "", nil
	case last == nil:
		return page, exportPlace{Sessions: true}.cursor(), nil
	}
	return page, exportPlace{at.Sessions, last}.cursor(), nil
}

// scan reads a page of the table, and returns the key of its last item, or nil when it is
// the last page.
func (s *Store) scan(ctx context.Context, after []string, limit int) (items []item, last []string, err error) {
	in := &dynamodb.ScanInput{TableName: &s.table, ConsistentRead: aws.Bool(true), Limit: aws.Int32(int32(min(max(limit, 1), 1000)))}
	if len(after) > 0 {
		in.ExclusiveStartKey = newItem(key{after[0], after[1]})
	}
	out, err := s.client.Scan(ctx, in)
	if err != nil {
		return nil, nil, unavailable(err)
	}
	for _, it := range out.Items {
		items = append(items, it)
	}
	if len(out.LastEvaluatedKey) > 0 {
		at := item(out.LastEvaluatedKey).key()
		last = []string{at.partition, at.sort}
	}
	return items, last, nil
}

// recordsOf are the records that items stand for: sessions, or all others. Places in
// lists and guards of names are none; they follow from the others.
func (s *Store) recordsOf(ctx context.Context, items []item, sessions bool) ([]transfer.Record, error) {
	if sessions {
		return s.sessionsOf(ctx, items)
	}
	profiles, err := s.profilesOf(ctx, items)
	if err != nil {
		return nil, err
	}
	var page []transfer.Record
	for _, it := range items {
		r, err := recordOf(it, profiles)
		if err != nil {
			return nil, err
		}
		if r != nil {
			page = append(page, r)
		}
	}
	return page, nil
}

// profilesOf reads the profiles of the sign-ins among items: a page may end between the
// two.
func (s *Store) profilesOf(ctx context.Context, items []item) (map[key]item, error) {
	var keys []key
	for _, it := range items {
		if at := it.key(); at.sort == signInKey("").sort {
			keys = append(keys, key{at.partition, profileKey("").sort})
		}
	}
	return s.getAll(ctx, keys)
}

// recordOf is the record that an item stands for, or nil.
func recordOf(it item, profiles map[key]item) (r transfer.Record, err error) {
	at := it.key()
	kind, rest, _ := strings.Cut(at.partition, "#")
	switch kind {
	case "user":
		if at.sort != signInKey("").sort {
			return nil, nil
		}
		if (&reader{it: it}).flag("Deleted") {
			return transfer.DeletedUser{ID: storage.UserID(rest)}, nil
		}
		return wholeUser(profiles[key{at.partition, profileKey("").sort}], it)
	case "credential":
		r, err = readCredential(it)
	case "ticket":
		r, err = readTicket(it)
	case "mark":
		r, err = readMark(it)
	case "mail":
		r, err = readMail(it)
	case "count":
		state, err := readCount(it)
		if err != nil || !state.stored {
			return nil, err
		}
		return transfer.Count{Key: rest, Count: state.Count}, nil
	case "events":
		if rest != "" { // otherwise it is a day
			return readLine[storage.Event](it)
		}
	case "revocations":
		if rest != "" {
			return readLine[storage.Revocation](it)
		}
	case signingKeys:
		r, err = readSigningKey(it)
	}
	return r, err
}

// wholeUser has a moment for each of the two items.
func wholeUser(profile, signIn item) (transfer.Record, error) {
	u, err := readUser(profile, signIn)
	if err != nil {
		return nil, fmt.Errorf("user of item %s: %w", signIn.key().partition, err)
	}
	whole := transfer.User{User: u, ProfileAt: (&reader{it: profile}).moment("UpdatedAt"), SignInAt: (&reader{it: signIn}).moment("UpdatedAt")}
	whole.UpdatedAt = time.Time{}
	return whole, nil
}

func readLine[T any](it item) (transfer.Record, error) {
	var line T
	r := &reader{it: it}
	if err := json.Unmarshal([]byte(r.text("Line")), &line); err != nil {
		return nil, fmt.Errorf("line %s: %w", it.key().sort, err)
	}
	return line, r.err
}

// sessionsOf are the sessions among items whose user is there: those of a deleted one stay
// until they expire.
func (s *Store) sessionsOf(ctx context.Context, items []item) ([]transfer.Record, error) {
	var all []storage.Session
	var keys []key
	for _, it := range items {
		if kind, _, _ := strings.Cut(it.key().partition, "#"); kind != "session" {
			continue
		}
		session, err := readSession(it)
		if err != nil {
			return nil, err
		}
		all, keys = append(all, session), append(keys, signInKey(session.UserID))
	}
	users, err := s.getAll(ctx, keys)
	if err != nil {
		return nil, err
	}
	var page []transfer.Record
	for i, session := range all {
		if signIn := users[keys[i]]; len(signIn) > 0 && !(&reader{it: signIn}).flag("Deleted") {
			page = append(page, session)
		}
	}
	return page, nil
}

// Size is not known: DynamoDB counts items, and every six hours.
func (s *Store) Size(context.Context) (int64, error) { return 0, nil }

// Erase deletes all items but those of the store itself, see holdKey.
func (s *Store) Erase(ctx context.Context) error {
	for after := []string(nil); ; {
		items, last, err := s.scanPatiently(ctx, after)
		if err != nil {
			return err
		}
		var requests []types.WriteRequest
		for _, it := range items {
			if at := it.key(); at.partition != storePartition {
				requests = append(requests, types.WriteRequest{DeleteRequest: &types.DeleteRequest{Key: newItem(at)}})
			}
		}
		if err := s.batch(ctx, requests); err != nil {
			return err
		}
		if after = last; after == nil {
			s.days.Clear()
			return nil
		}
	}
}

func (s *Store) scanPatiently(ctx context.Context, after []string) ([]item, []string, error) {
	ctx, cancel := s.reading(ctx)
	defer cancel()
	return s.scan(ctx, after, 500)
}

// maxBatchWrite is how many items DynamoDB writes by one request.
const maxBatchWrite = 25

// batch carries out writes without conditions, in any order.
func (s *Store) batch(ctx context.Context, requests []types.WriteRequest) error {
	chunks := slices.Collect(slices.Chunk(requests, maxBatchWrite))
	for some := range slices.Chunk(chunks, loaders) {
		err := atOnce(len(some), func(i int) error { return s.batchWrite(ctx, some[i]) })
		if err != nil {
			return unavailable(err)
		}
	}
	return nil
}

// batchWrite repeats what DynamoDB leaves undone.
func (s *Store) batchWrite(ctx context.Context, requests []types.WriteRequest) error {
	ctx, cancel := context.WithTimeout(ctx, s.patience)
	defer cancel()
	for attempt := 0; len(requests) > 0; attempt++ {
		if attempt > 0 {
			if err := backOff(ctx, attempt); err != nil {
				return fmt.Errorf("DynamoDB leaves %d items unwritten: %w", len(requests), err)
			}
		}
		err := alone(ctx, func() error {
			out, err := s.client.BatchWriteItem(ctx, &dynamodb.BatchWriteItemInput{RequestItems: map[string][]types.WriteRequest{s.table: requests}})
			if err == nil {
				requests = out.UnprocessedItems[s.table]
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}
