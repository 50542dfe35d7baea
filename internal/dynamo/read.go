package dynamo

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/latchkey-auth/latchkey/internal/identifier"
	"github.com/latchkey-auth/latchkey/internal/storage"
)

// get reads one item; nil when it is not there.
func (s *Store) get(ctx context.Context, at key) (item, error) {
	if !at.fits() {
		return nil, nil
	}
	out, err := s.client.GetItem(ctx, &dynamodb.GetItemInput{TableName: &s.table, Key: newItem(at), ConsistentRead: aws.Bool(true)})
	if err != nil {
		return nil, unavailable(err)
	}
	return out.Item, nil
}

// getAll reads many items, each once; those that are not there are missing.
func (s *Store) getAll(ctx context.Context, keys []key) (map[key]item, error) {
	found := make(map[key]item, len(keys))
	var asked []map[string]types.AttributeValue
	for i, at := range keys {
		if at.fits() && slices.Index(keys, at) == i {
			asked = append(asked, newItem(at))
		}
	}
	for chunk := range slices.Chunk(asked, maxBatchGet) {
		if err := s.getSome(ctx, chunk, found); err != nil {
			return nil, unavailable(err)
		}
	}
	return found, nil
}

func (s *Store) getSome(ctx context.Context, keys []map[string]types.AttributeValue, found map[key]item) error {
	for attempt := 0; len(keys) > 0; attempt++ {
		if attempt > 0 {
			if err := backOff(ctx, attempt); err != nil {
				return fmt.Errorf("DynamoDB leaves %d items unread: %w", len(keys), err)
			}
		}
		out, err := s.client.BatchGetItem(ctx, &dynamodb.BatchGetItemInput{RequestItems: map[string]types.KeysAndAttributes{
			s.table: {Keys: keys, ConsistentRead: aws.Bool(true)},
		}})
		if err != nil {
			return err
		}
		for _, it := range out.Responses[s.table] {
			found[item(it).key()] = it
		}
		keys = out.UnprocessedKeys[s.table].Keys
	}
	return nil
}

// A list is the items of one partition whose sort keys are from first to last, in their
// order.
type list struct {
	partition   string
	first, last string // inclusive
	limit       int    // of one page; zero: as many as DynamoDB gives
	next        map[string]types.AttributeValue
	done        bool // there are no further pages
}

// more reads the next page.
func (s *Store) more(ctx context.Context, l *list) ([]item, error) {
	in := &dynamodb.QueryInput{
		TableName:                 &s.table,
		ConsistentRead:            aws.Bool(true),
		KeyConditionExpression:    aws.String("#PK = :pk AND #SK BETWEEN :first AND :last"),
		ExpressionAttributeNames:  map[string]string{"#PK": partition, "#SK": sort},
		ExpressionAttributeValues: item{":pk": textOf(l.partition), ":first": textOf(l.first), ":last": textOf(l.last)},
		ExclusiveStartKey:         l.next,
	}
	if l.limit > 0 {
		in.Limit = aws.Int32(int32(min(l.limit, 1000)))
	}
	out, err := s.client.Query(ctx, in)
	if err != nil {
		return nil, unavailable(err)
	}
	l.next, l.done = out.LastEvaluatedKey, len(out.LastEvaluatedKey) == 0
	items := make([]item, len(out.Items))
	for i := range out.Items {
		items[i] = out.Items[i]
	}
	return items, nil
}

// every reads all pages.
func (s *Store) every(ctx context.Context, l list) (all []item, err error) {
	for !l.done {
		page, err := s.more(ctx, &l)
		if err != nil {
			return nil, err
		}
		all = append(all, page...)
	}
	return all, nil
}

// after is the sort key that follows s at once, and end one that follows all that begin
// with s: no UTF-8 has bytes above it.
func after(s string) string { return s + "\x00" }
func end(s string) string   { return s + "\U0010ffff" }

// User returns the user with the id.
func (s *Store) User(ctx context.Context, id storage.UserID) (storage.User, error) {
	ctx, cancel := s.reading(ctx)
	defer cancel()
	return s.user(ctx, id)
}

// user reads both items by one query: they stand side by side.
func (s *Store) user(ctx context.Context, id storage.UserID) (storage.User, error) {
	u, _, err := s.userAnd(ctx, list{partition: userPartition(id), first: userItems, last: end(userItems)}, id)
	return u, err
}

// userAndSessions is user, and counts sessions by the same query.
func (s *Store) userAndSessions(ctx context.Context, id storage.UserID) (storage.User, int, error) {
	const userItself = 2 // profile and sign-in
	u, listed, err := s.userAnd(ctx, list{
		partition: userPartition(id), first: userItems, last: end(sessionItems), limit: userItself + storage.MaxCounted,
	}, id)
	if err != nil {
		return storage.User{}, 0, err
	}
	sessions := 0
	for _, it := range listed {
		if it.key().sort <= end(sessionItems+falling(u.Epoch)) {
			sessions++
		}
	}
	return u, min(sessions, storage.MaxCounted), nil
}

// userAnd reads a user, with whom the list begins, and what follows, up to its limit.
func (s *Store) userAnd(ctx context.Context, l list, id storage.UserID) (u storage.User, rest []item, err error) {
	if !profileKey(id).fits() {
		return storage.User{}, nil, storage.ErrNotFound
	}
	var items []item
	for !l.done && (l.limit == 0 || len(items) < l.limit) {
		page, err := s.more(ctx, &l)
		if err != nil {
			return storage.User{}, nil, err
		}
		items = append(items, page...)
	}
	var profile, signIn item
	for _, it := range items {
		switch it.key() {
		case profileKey(id):
			profile = it
		case signInKey(id):
			signIn = it
		default:
			rest = append(rest, it)
		}
	}
	u, err = readUser(profile, signIn)
	return u, rest, unavailable(err)
}

// UserByUsername returns the user with the username key.
func (s *Store) UserByUsername(ctx context.Context, name string) (storage.User, int, error) {
	return s.userByName(ctx, usernameKey(name), func(u storage.User) bool {
		key, err := identifier.UsernameKey(u.Username)
		return err == nil && key == name
	})
}

// UserByEmail returns the user with the e-mail key.
func (s *Store) UserByEmail(ctx context.Context, name string) (storage.User, int, error) {
	return s.userByName(ctx, emailKey(name), func(u storage.User) bool {
		key, err := identifier.EmailKey(u.Email)
		return err == nil && key == name
	})
}

// userByName reads the guard item of a name, and then a user: nobody's when nobody has
// the name, so that it costs the same reads. A name that changes hands in between is read
// again.
func (s *Store) userByName(ctx context.Context, at key, has func(storage.User) bool) (storage.User, int, error) {
	ctx, cancel := s.reading(ctx)
	defer cancel()
	for range 3 {
		guard, err := s.get(ctx, at)
		if err != nil {
			return storage.User{}, 0, err
		}
		id := storage.UserID((&reader{it: guard}).text("UserID"))
		if id == "" {
			return s.userAndSessions(ctx, storage.UserID("nobody "+at.partition))
		}
		u, sessions, err := s.userAndSessions(ctx, id)
		if err != nil && !errors.Is(err, storage.ErrNotFound) || err == nil && has(u) {
			return u, sessions, err
		}
	}
	return storage.User{}, 0, storage.ErrNotFound
}

// UserDeleted reports whether there was a user of that id.
func (s *Store) UserDeleted(ctx context.Context, id storage.UserID) (bool, error) {
	ctx, cancel := s.reading(ctx)
	defer cancel()
	it, err := s.get(ctx, signInKey(id))
	return (&reader{it: it}).flag("Deleted"), err
}

// SessionUser returns a session and its user.
func (s *Store) SessionUser(ctx context.Context, id storage.SessionID) (storage.Session, storage.User, error) {
	ctx, cancel := s.reading(ctx)
	defer cancel()
	session, err := one(ctx, s, sessionKey(id), readSession)
	if err != nil {
		return storage.Session{}, storage.User{}, err
	}
	u, err := s.user(ctx, session.UserID)
	if err != nil {
		return storage.Session{}, storage.User{}, err
	}
	return session, u, nil
}

// one reads what is stored at a key; ErrNotFound.
func one[T any](ctx context.Context, s *Store, at key, read func(item) (T, error)) (T, error) {
	var none T
	it, err := s.get(ctx, at)
	switch {
	case err != nil:
		return none, err
	case len(it) == 0:
		return none, storage.ErrNotFound
	}
	v, err := read(it)
	return v, unavailable(err)
}

// Ticket returns the ticket with the id.
func (s *Store) Ticket(ctx context.Context, id storage.TicketID) (storage.Ticket, error) {
	ctx, cancel := s.reading(ctx)
	defer cancel()
	return one(ctx, s, ticketKey(id), readTicket)
}

// Mark returns the mark with the id.
func (s *Store) Mark(ctx context.Context, id storage.MarkID) (storage.Mark, error) {
	ctx, cancel := s.reading(ctx)
	defer cancel()
	return one(ctx, s, markKey(id), readMark)
}

// UserSessions returns a user's sessions: those that the list names, as they are. Of those
// that it leaves out it reads the places alone.
func (s *Store) UserSessions(ctx context.Context, id storage.UserID, epoch int64, skip, limit int) ([]storage.Session, error) {
	ctx, cancel := s.reading(ctx)
	defer cancel()
	if !profileKey(id).fits() {
		return nil, nil
	}
	l := list{partition: userPartition(id), first: sessionItems, last: end(sessionItems + falling(epoch)), limit: skip + limit}
	var sessions []storage.Session
	for !l.done && len(sessions) < limit {
		places, err := s.more(ctx, &l)
		if err != nil {
			return nil, err
		}
		skipped := min(skip, len(places))
		skip -= skipped
		page, err := s.listed(ctx, id, epoch, places[skipped:])
		if err != nil {
			return nil, err
		}
		sessions = append(sessions, page...)
	}
	slices.SortFunc(sessions, latestFirst)
	return sessions[:min(limit, len(sessions))], nil
}

// listed reads the sessions of some places, and whether their user is there: who is
// deleted leaves them behind.
func (s *Store) listed(ctx context.Context, id storage.UserID, epoch int64, places []item) ([]storage.Session, error) {
	if len(places) == 0 {
		return nil, nil
	}
	keys := []key{signInKey(id)}
	for _, it := range places {
		keys = append(keys, sessionKey(storage.SessionID((&reader{it: it}).text("ID"))))
	}
	found, err := s.getAll(ctx, keys)
	if err != nil {
		return nil, err
	}
	signIn := &reader{it: found[keys[0]]}
	if len(signIn.it) == 0 || signIn.flag("Deleted") {
		return nil, nil
	}
	var sessions []storage.Session
	for _, at := range keys[1:] {
		if len(found[at]) == 0 {
			continue
		}
		session, err := readSession(found[at])
		if err != nil {
			return nil, unavailable(err)
		}
		if session.EndedAt.IsZero() && session.Epoch >= epoch {
			sessions = append(sessions, session)
		}
	}
	return sessions, nil
}

// latestFirst is the order of UserSessions, of sessions that were kept meanwhile, too.
func latestFirst(a, b storage.Session) int {
	return cmp.Or(cmp.Compare(b.Epoch, a.Epoch), b.CreatedAt.Compare(a.CreatedAt), cmp.Compare(a.ID, b.ID))
}

// Users returns users shard by shard, and by id there.
func (s *Store) Users(ctx context.Context, cursor storage.Cursor, limit int) ([]storage.User, storage.Cursor, error) {
	ctx, cancel := s.reading(ctx)
	defer cancel()
	n, id, err := parseMember(cursor)
	if err != nil {
		return nil, "", unavailable(err)
	}
	var users []storage.User
	for ; n < userShards && len(users) < limit; n, id = n+1, "" {
		l := list{partition: userShard(n), first: after(id), last: end(""), limit: limit - len(users)}
		for !l.done && len(users) < limit {
			l.limit = limit - len(users)
			members, err := s.more(ctx, &l)
			if err != nil {
				return nil, "", err
			}
			page, err := s.members(ctx, members)
			if err != nil {
				return nil, "", err
			}
			if users = append(users, page...); len(members) > 0 {
				cursor = memberCursor(n, members[len(members)-1].key().sort)
			}
		}
	}
	return users, cursor, nil
}

// members reads the users of some places of the list.
func (s *Store) members(ctx context.Context, members []item) ([]storage.User, error) {
	var keys []key
	for _, it := range members {
		id := storage.UserID(it.key().sort)
		keys = append(keys, profileKey(id), signInKey(id))
	}
	found, err := s.getAll(ctx, keys)
	if err != nil {
		return nil, err
	}
	var users []storage.User
	for i := 0; i < len(keys); i += 2 {
		u, err := readUser(found[keys[i]], found[keys[i+1]])
		if errors.Is(err, storage.ErrNotFound) {
			continue // deleted since
		}
		if err != nil {
			return nil, unavailable(err)
		}
		users = append(users, u)
	}
	return users, nil
}

func memberCursor(shard int, id string) storage.Cursor {
	return storage.Cursor(fmt.Sprintf("%d %s", shard, id))
}

func parseMember(c storage.Cursor) (shard int, id string, err error) {
	if c == "" {
		return 0, "", nil
	}
	digits, id, ok := strings.Cut(string(c), " ")
	shard, err = strconv.Atoi(digits)
	if !ok || err != nil || shard < 0 {
		return 0, "", fmt.Errorf("%q is no place in the list of users", string(c))
	}
	return shard, id, nil
}
