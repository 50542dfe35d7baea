// Package storetest judges stores. A store is finished when [Run] passes, whole:
// there are no optional parts. [Memory] is the smallest store that passes.
//
// Most cases hold the store against a model: world keeps what must be readable, and
// reads everything again after each commit, after each refused one, and after each that
// is repeated because its answer was lost.
package storetest

import (
	"context"
	"errors"
	"reflect"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/latchkey-auth/latchkey/internal/storage"
	"github.com/latchkey-auth/latchkey/internal/transfer"
)

// A Store is what every store implements.
//
// Two promises of its ports are about work, which nobody can count from outside without
// a method that only tests use. Each store tests them with means of its own: that a
// look-up by a name that nobody has costs the same reads as another, and that
// UserSessions does not take longer the more sessions of the user have ended.
type Store interface {
	transfer.Ports
	storage.Marked
}

// Run runs the suite. open is called once for each case and returns an empty store
// through two handles: where the store is shared between processes, each as a process of
// its own would have it, otherwise the same one twice.
func Run(t *testing.T, open func(t *testing.T) (first, second Store)) {
	for _, c := range []struct {
		name string
		test func(t *testing.T, s, other Store)
	}{
		{"an empty store has nothing, and commits nothing", emptyStore},
		{"every member comes back", membersComeBack},
		{"members without a value come back", zeroMembersComeBack},
		{"what is stored belongs to the store", storedIsOwn},
		{"ids are told apart by every letter", idsAreExact},

		{"CreateUser", createUser},
		{"UpdateUser writes what differs", updateUserMembers},
		{"UpdateUser needs the versions of what differs", updateUserVersions},
		{"UpdateUser keeps names unique and frees them", updateUserNames},
		{"DeleteUser", deleteUser},
		{"ReplaceUser", replaceUser},
		{"CheckEpoch", checkEpoch},
		{"CreateCredential, UpdateCredential and DeleteCredential", credentials},
		{"CreateSession", createSession},
		{"RefreshSession", refreshSession},
		{"KeepSession", keepSession},
		{"EndSession", endSession},
		{"a user's sessions are listed, latest first", userSessions},
		{"a look-up by name counts up to a hundred sessions", sessionsAreCounted},
		{"PutTicket and ReplaceTicket", putTicket},
		{"TakeTicket and CountTry", takeTicket},
		{"PutMark", putMark},
		{"QueueMail, DeferMail and DeleteMail", mails},
		{"AppendEvent and AppendRevocation", appendLines},

		{"commits as the service makes them", serviceCommits},
		{"what no store takes changes nothing", impossibleChanges},
		{"a commit goes on when its context has ended", commitOutlivesContext},
		{"one handle reads what the other has written", handlesAgree},

		{"racing updates: one wins for each item", racingUpdates},
		{"racing for a name: one gets it", racingNames},
		{"racing deletions: one wins", racingDeletions},
		{"a deletion and a new name: one wins", deletionAgainstRename},
		{"profile, sign-in and sessions never make each other lose", independentItems},
		{"no session begins by an epoch that has passed", epochAgainstSessions},
		{"racing for a session, ticket or mail: one wins", racingGuards},
		{"a session is ended and kept whatever refreshes it", endAgainstRefresh},
		{"racing lines are all there", racingLines},

		{"users are paged while others write", usersArePaged},
		{"events are paged while others write", eventsArePaged},
		{"revocations are paged while others write", revocationsArePaged},

		{"what has expired is whole or gone", expiredIsWholeOrGone},
		{"a purge deletes nothing that is not before its moments", purgeSparesTheRest},
		{"a purge disturbs nobody", purgeAmongWriters},

		{"a bucket is taken from as its guard says", takeGuards},
		{"a bucket is settled", settle},
		{"a mark is read with the counts", markWithCounts},
		{"from several buckets all is taken or nothing", takeAllOrNothing},
		{"racing for room: as many take as fit", racingForRoom},
		{"racing for several buckets: as many take as fit", racingForBuckets},
		{"racing for several buckets without room: who is refused leaves nothing", racingRefusals},
		{"racing for an unchanged bucket: one takes", racingForUnchanged},
		{"racing settlements all count", racingSettlements},

		{"a loader stores whom it can, and says whom", loaderReports},
		{"racing loaders: each user is stored once", racingLoaders},
		{"a loader takes hundreds of users", loaderTakesMany},

		{"keys come back by number", keysComeBack},
		{"a new key retires the old one in the same step", keyRetiresOld},
		{"racing rotations: one wins", racingKeys},

		{"a store is marked in the place of its mark", storeIsMarked},
		{"racing marks: one wins", racingMarks},
		{"what is exported can be imported, and is the same", recordsAreCopied},
		{"every member is copied", everyMemberIsCopied},
		{"sessions of nobody are not copied", sessionsNeedUsers},
		{"many records are copied", manyRecords},
		{"a place that is none is refused", badCursors},
		{"one hold at a time", holdsAreGuarded},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, other := open(t)
			c.test(t, s, other)
		})
	}
}

// at is when everything in the suite happens: now, so that a store that forgets by its
// own clock does not forget what the suite still asks for.
var at = time.Now().UTC().Truncate(time.Second).Add(589793 * time.Microsecond)

// dayBefore is before all events and revocations.
var dayBefore = at.Add(-24 * time.Hour)

// all is a limit that no list of the suite reaches.
const all = 100_000

// diff says in what want and got differ; an empty list is as good as none.
func diff(want, got any) string {
	if reflect.DeepEqual(want, got) {
		return "" // far cheaper than to look for a difference
	}
	return cmp.Diff(want, got, cmpopts.EquateEmpty())
}

func mustCommit(t *testing.T, s Store, changes ...storage.Change) {
	t.Helper()
	if err := s.Commit(t.Context(), changes...); err != nil {
		t.Fatalf("Commit: %v", err)
	}
}

// the errors that a caller tells apart.
var known = []error{storage.ErrNotFound, storage.ErrTaken, storage.ErrConflict, storage.ErrChanges, storage.ErrUnavailable}

// wantError checks that err is the wanted one and none of the others.
func wantError(t *testing.T, doing string, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("%s: got error %v, want %v", doing, err, want)
		return
	}
	for _, other := range known {
		if other != want && errors.Is(err, other) {
			t.Errorf("%s: error %v is %v, too", doing, err, other)
		}
	}
}

const racers = 50

// race runs f in racers goroutines, half of them on each handle, and counts
// those that got no error. Every other error must be the losers'.
func race(t *testing.T, s, other Store, loses error, f func(ctx context.Context, s Store, i int) error) int {
	t.Helper()
	var won atomic.Int64
	var wg sync.WaitGroup
	start := make(chan struct{})
	for i := range racers {
		wg.Go(func() {
			<-start
			store := s
			if i%2 == 1 {
				store = other
			}
			switch err := f(t.Context(), store, i); {
			case err == nil:
				won.Add(1)
			case loses == nil || !errors.Is(err, loses):
				t.Errorf("racer %d: got error %v, want none or %v", i, err, loses)
			}
		})
	}
	close(start)
	wg.Wait()
	return int(won.Load())
}

// walk reads a list page by page, at one handle after the other, up to the empty page
// that ends it, and returns where lines that come later begin. between is called after
// each page; nil: nothing happens.
func walk[T any](t *testing.T, s, other Store, limit int, page func(s Store, after storage.Cursor, limit int) ([]T, storage.Cursor, error), between func(n int, got []T)) ([]T, storage.Cursor) {
	t.Helper()
	const mostPages = 5000
	var got []T
	var after storage.Cursor
	for n := range mostPages {
		lines, next, err := page(s, after, limit)
		if err != nil {
			t.Fatalf("page %d: %v", n, err)
		}
		if len(lines) == 0 {
			return got, next
		}
		if len(lines) > limit {
			t.Fatalf("page %d has %d lines, want at most %d", n, len(lines), limit)
		}
		if next == "" {
			t.Fatalf("page %d has lines, but says that the next ones begin at the beginning", n)
		}
		got, after = append(got, lines...), next
		if between != nil {
			between(n, got)
		}
		s, other = other, s
	}
	t.Fatalf("no end after %d pages of %d", mostPages, limit)
	return nil, ""
}

func emptyStore(t *testing.T, s, other Store) {
	w := &world{t: t, s: s, other: other, want: newState()}
	w.check("an empty store")
	mustCommit(t, s)
	for range 2 {
		if err := s.Ping(t.Context()); err != nil {
			t.Errorf("Ping: %v", err)
		}
		if err := s.Purge(t.Context(), storage.Moments{Expired: at, Events: at, Counts: at}); err != nil {
			t.Errorf("Purge: %v", err)
		}
	}
	if counts, _, err := s.Counts(t.Context(), nil, ""); err != nil || len(counts) != 0 {
		t.Errorf("Counts of no keys: got %v, %v", counts, err)
	}
	if err := s.Settle(t.Context(), nil, nil, nil); err != nil {
		t.Errorf("Settle of nothing: %v", err)
	}
	if stored, err := s.LoadUsers(t.Context(), nil); err != nil || len(stored) != 0 {
		t.Errorf("LoadUsers of nobody: got %v, %v", stored, err)
	}
	if keys, err := s.Keys(t.Context()); err != nil || len(keys) != 0 {
		t.Errorf("Keys: got %v, %v", keys, err)
	}
	w.check("an empty store in which nothing was stored")
}
