package dynamo

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/google/go-cmp/cmp"

	"github.com/latchkey-auth/latchkey/internal/outbox"
	"github.com/latchkey-auth/latchkey/internal/storage"
)

// TestOutcome: what the reasons of a cancelled transaction mean.
func TestOutcome(t *testing.T) {
	writes := []write{{refusal: storage.ErrTaken}, {}, {refusal: storage.ErrConflict}, {refusal: errStale}}
	fault := errors.New("fault")
	canceled := func(codes ...string) error {
		err := &types.TransactionCanceledException{}
		for _, code := range codes {
			err.CancellationReasons = append(err.CancellationReasons, types.CancellationReason{Code: aws.String(code)})
		}
		return fmt.Errorf("calling: %w", err)
	}
	const no, failed, conflict = "None", "ConditionalCheckFailed", "TransactionConflict"
	for name, c := range map[string]struct {
		err   error
		want  error // nil: that itself
		again bool
	}{
		"the first change":               {canceled(failed, no, no, no), storage.ErrTaken, false},
		"a later one":                    {canceled(no, no, failed, no), storage.ErrConflict, false},
		"several: the first one decides": {canceled(failed, no, failed, failed), storage.ErrTaken, false},
		"what was read":                  {canceled(no, no, no, failed), errStale, false},
		"others":                         {canceled(no, conflict, no, no), nil, true},
		"others, and a refusal":          {canceled(conflict, no, failed, no), storage.ErrConflict, false},
		"throttling":                     {canceled(no, no, "ThrottlingError", no), nil, true},
		"throughput":                     {canceled("ProvisionedThroughputExceeded", no, no, no), nil, true},
		"a mistake":                      {canceled(no, "ValidationError", no, no), nil, false},
		"no reasons":                     {canceled(), nil, false},
		"more reasons than writes":       {canceled(no, no, no, no, failed), nil, false},
		"one of our own under way":       {&types.TransactionInProgressException{}, nil, true},
		"a fault":                        {fault, nil, false},
		"success":                        {nil, nil, false},
	} {
		got, again := outcome(c.err, writes)
		if c.want == nil {
			c.want = c.err
		}
		if got != c.want || again != c.again {
			t.Errorf("%s: got %v, again %v; want %v, %v", name, got, again, c.want, c.again)
		}
	}
}

// TestPlaces: sort keys have the order of what they stand for.
func TestPlaces(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 6000, time.UTC)
	session := func(epoch int64, after time.Duration, id storage.SessionID) string {
		return listedKey(storage.Session{ID: id, UserID: "u", Epoch: epoch, CreatedAt: at.Add(after)}).sort
	}
	for name, places := range map[string][]string{
		"sessions": {
			session(1<<53+1, 0, "z"), session(1<<53, 0, "z"), session(10, 0, "z"), session(9, time.Microsecond, "z"),
			session(9, 0, "A"), session(9, 0, "a"), session(9, -time.Hour, "a"), session(0, time.Hour, "a"),
		},
		"lines": {
			lineSort(time.Time{}, "z"), lineSort(time.UnixMicro(9), "z"), lineSort(time.UnixMicro(10), "a"),
			lineSort(at, "B"), lineSort(at, "a"), lineSort(at, "a-"), lineSort(at, "aa"), lineSort(at.Add(time.Microsecond), "0"),
		},
	} {
		if !slices.IsSorted(places) {
			t.Errorf("%s: not in order: %q", name, places)
		}
	}
	if got := dayOf(lineSort(at, "x")); got != "2026-01-02" {
		t.Errorf("day %q", got)
	}
}

// FuzzCursors: any text is refused or is a place, and nothing breaks.
func FuzzCursors(f *testing.F) {
	for _, text := range []string{"", "0 ", "3 id", "-1 x", "1767323045000006#id", "1767323045000006#", "+767323045000006#x", "#", "99999999999999999999#"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		shard, id, err := parseMember(storage.Cursor(text))
		if err == nil && text != "" && (shard < 0 || !strings.HasSuffix(text, " "+id)) {
			t.Errorf("%q is shard %d, id %q", text, shard, id)
		}
		if isPlace(storage.Cursor(text)) {
			if _, err := time.Parse(time.DateOnly, dayOf(text)); err != nil {
				t.Errorf("%q: %v", text, err)
			}
		}
	})
}

// TestNames finds what stands in expressions.
func TestNames(t *testing.T) {
	got := names("SET #A = :a, #Long = #Long + :b", "", "attribute_exists(#PK)")
	if d := cmp.Diff(map[string]string{"#A": "A", "#Long": "Long", "#PK": "PK"}, got); d != "" {
		t.Errorf("names (-want +got):\n%s", d)
	}
	if got := names("", ""); got != nil {
		t.Errorf("of nothing: got %v, want nil: DynamoDB refuses an empty map", got)
	}
}

// TestOneUnit: items as they are mostly cost one write unit, one KB.
func TestOneUnit(t *testing.T) {
	const id = "01JD3ZQ8N0V5R5M3C4T6W8XY2A"
	at := time.Now()
	device := strings.Repeat("x", 256)
	u := storage.User{
		ID: id, Username: "ada.lovelace", Email: "ada.lovelace@mail.example.com", Name: "Ada Lovelace", Scope: "orders:read orders:write profile",
		Roles: []string{"clerk", "chief"}, CreatedAt: at, UpdatedAt: at, EpochAt: at,
		PasswordHash: "$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
	}
	session := storage.Session{
		ID: id, UserID: id, Epoch: 3, Proof: storage.Proof{AMR: []string{"pwd"}, ACR: "1", At: at}, ClientID: "latchkey", Scope: u.Scope,
		Seed: make([]byte, 32), Device: device, Address: "2001:db8:1234:5678:9abc:def0:1234:5678",
		CreatedAt: at, LastUsedAt: at, ExpiresAt: at,
	}
	line := func(v any) item {
		text, _ := json.Marshal(v)
		it := newItem(key{"events#2026-01-02#31", lineSort(at, id)})
		it.text("Line", string(text))
		it.expires(at, 0)
		return it
	}
	mac := strings.Repeat("m", 43)
	for name, it := range map[string]item{
		"profile": profileItem(u, 1), "sign-in": signInItem(u, 1), "deleted id": deletedItem(id), "name": nameItem(emailKey(u.Email), id),
		"member": newItem(memberKey(id)), "session": sessionItem(session), "session's place": listedItem(session),
		"ticket": ticketItem(storage.Ticket{ID: storage.TicketID(mac), Purpose: storage.PurposeRegister, Email: u.Email, SecretHash: make([]byte, 32), CodeMAC: make([]byte, 32), Name: u.Name, PasswordHash: u.PasswordHash, Bound: make([]byte, 32), CreatedAt: at, LinkUntil: at, CodeUntil: at, ExpiresAt: at}),
		"mark":   markItem(storage.Mark{ID: storage.MarkID(mac), ExpiresAt: at}), "mail's place": queuedItem(outbox.Mail{ID: id, DueAt: at, GiveUpAt: at}),
		"event":      line(storage.Event{ID: id, Time: at, Kind: storage.EventLogin, Outcome: storage.OutcomeOK, UserID: id, SessionID: id, RequestID: id, Address: session.Address, Device: device, Count: 1}),
		"revocation": line(storage.Revocation{ID: id, Time: at, UserID: id, SessionID: id, ExpiresAt: at}),
	} {
		t.Logf("%s: %d bytes", name, it.size())
		if n := it.size(); n > 1024 {
			t.Errorf("%s has %d bytes, more than one write unit", name, n)
		}
	}
}
