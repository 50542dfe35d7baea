package dynamo

import (
	"fmt"
	"hash/fnv"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/latchkey-auth/latchkey/internal/outbox"
	"github.com/latchkey-auth/latchkey/internal/storage"
)

// The attributes that DynamoDB itself goes by.
const (
	partition = "PK"
	sort      = "SK"
	expiry    = "Expiry" // in seconds
)

// What DynamoDB takes at most.
const (
	maxPartition = 2048 // bytes of a partition key
	maxSort      = 1024
	maxItem      = 400 << 10 // bytes, names of attributes included
	maxTransact  = 4 << 20   // bytes of all items of a transaction
	maxBatchGet  = 100
)

// A key is where an item is.
type key struct{ partition, sort string }

// fits reports whether DynamoDB takes the key. What does not fit is not there.
func (k key) fits() bool { return len(k.partition) <= maxPartition && len(k.sort) <= maxSort }

// In a user's partition are the profile and the sign-in, which one query reads, and the
// lists of sessions and credentials. The sessions follow the user, those of the highest
// epoch first: a query that reads both has read the user before it comes to its limit.
const (
	userItems       = "user#"
	sessionItems    = "user-session#"
	credentialItems = "credential#"
)

func userPartition(id storage.UserID) string { return "user#" + string(id) }
func profileKey(id storage.UserID) key       { return key{userPartition(id), userItems + "profile"} }
func signInKey(id storage.UserID) key        { return key{userPartition(id), userItems + "sign-in"} }
func usernameKey(name string) key            { return key{"username#" + name, "name"} }
func emailKey(name string) key               { return key{"email#" + name, "name"} }
func sessionKey(id storage.SessionID) key    { return key{"session#" + string(id), "session"} }
func credentialKey(k storage.CredentialKey) key {
	return key{"credential#" + string(k), "credential"}
}
func ticketKey(id storage.TicketID) key { return key{"ticket#" + string(id), "ticket"} }
func markKey(id storage.MarkID) key     { return key{"mark#" + string(id), "mark"} }
func mailKey(id string) key             { return key{"mail#" + id, "mail"} }
func countKey(name string) key          { return key{"count#" + name, "count"} }
func keyIDKey(id string) key            { return key{"key#" + id, "key"} }
func signingKey(number int64) key       { return key{signingKeys, fmt.Sprintf("%019d", number)} }

// signingKeys is the partition of all of them: there are few, and each process reads
// them every ten seconds.
const signingKeys = "keys"

// listedKey is where a session stands in the list of its user: the highest epoch first,
// and of one epoch those that began last.
func listedKey(s storage.Session) key {
	return key{userPartition(s.UserID), fmt.Sprintf("%s%s%s#%s", sessionItems, falling(s.Epoch), falling(micros(s.CreatedAt)), s.ID)}
}

// heldKey is where a credential stands in the list of its user: by its key.
func heldKey(c storage.Credential) key {
	return key{userPartition(c.UserID), credentialItems + string(c.Key)}
}

// falling is a number in as many digits as any, the highest first.
func falling(n int64) string { return fmt.Sprintf("%016x", uint64(math.MaxInt64-n)) }

// rising is a moment in as many digits as any, the earliest first.
func rising(t time.Time) string { return fmt.Sprintf("%016d", max(0, micros(t))) }

// userShards and mailShards are over how many partitions the list of users and the queue
// of mail are spread: 2000 users may come a second, and 400 mails.
const (
	userShards = 4
	mailShards = 8
)

func userShard(n int) string { return "users#" + strconv.Itoa(n) }
func mailShard(n int) string { return "mails#" + strconv.Itoa(n) }

func memberKey(id storage.UserID) key {
	return key{userShard(shard(string(id), userShards)), string(id)}
}

// queuedKey is where a mail stands in the queue.
func queuedKey(m outbox.Mail) key {
	return key{mailShard(shard(m.ID, mailShards)), rising(m.DueAt) + "#" + m.ID}
}

// shard is the same for one id at all times.
func shard(id string, of int) int {
	h := fnv.New32a()
	h.Write([]byte(id))
	return int(h.Sum32() % uint32(of))
}

// A feed is a list by time that never ends: a day of it is spread over shards.
type feed struct {
	name   string
	shards int // of the days to come
}

// dayKey is where the number of shards of a day is kept.
func (f feed) dayKey(day string) key { return key{f.name, day} }

func (f feed) shard(day string, n int) string { return f.name + "#" + day + "#" + strconv.Itoa(n) }

// lineSort is the place of a line among the others.
func lineSort(t time.Time, id string) string { return rising(t) + "#" + id }

// dayOf is the day of a place.
func dayOf(place string) string {
	us, _ := strconv.ParseInt(place[:min(16, len(place))], 10, 64)
	return time.UnixMicro(us).UTC().Format(time.DateOnly)
}

// isPlace reports whether a cursor is of a feed.
func isPlace(c storage.Cursor) bool {
	digits, _, ok := strings.Cut(string(c), "#")
	_, err := strconv.ParseUint(digits, 10, 63)
	return ok && err == nil && len(digits) == 16
}
