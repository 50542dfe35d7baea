package minidyn_test

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/smithy-go"
	"github.com/google/go-cmp/cmp"

	"github.com/latchkey-auth/latchkey/internal/dynamo"
	"github.com/latchkey-auth/latchkey/internal/limit"
	"github.com/latchkey-auth/latchkey/internal/outbox"
	"github.com/latchkey-auth/latchkey/internal/storage"
)

// TestTooLarge: what no table takes is refused before it is sent, with a size that says
// why; what is read by a key that no table takes is not there.
func TestTooLarge(t *testing.T) {
	l, s := hot(t, 0)
	l.have(nil)
	long := strings.Repeat("x", 2100)
	large := mail()
	large.ID, large.Sealed = "large", bytes.Repeat([]byte{1}, 400<<10)
	wide := phone()
	wide.ID = storage.SessionID(long[:1000])
	for name, c := range map[string]storage.Change{
		"a mail":    storage.QueueMail{Mail: large},
		"a mark":    storage.PutMark{Mark: storage.Mark{ID: storage.MarkID(long)}},
		"a session": storage.CreateSession{Session: wide},
	} {
		err := s.Commit(t.Context(), c)
		if !errors.Is(err, storage.ErrChanges) || !strings.Contains(err.Error(), "bytes") || errors.Is(err, storage.ErrUnavailable) {
			t.Errorf("%s: got error %v, want ErrChanges", name, err)
		}
	}
	var many []storage.Change
	for i := range 12 {
		m := mail()
		m.ID, m.Sealed = fmt.Sprint("large ", i), large.Sealed[:390<<10]
		many = append(many, storage.QueueMail{Mail: m})
	}
	if err := s.Commit(t.Context(), many...); !errors.Is(err, storage.ErrChanges) {
		t.Errorf("more than 4 MB: got error %v, want ErrChanges", err)
	}
	for name, err := range map[string]error{
		"User":           only(s.User(t.Context(), storage.UserID(long))),
		"UserByUsername": only2(s.UserByUsername(t.Context(), long)),
		"SessionUser":    only2(s.SessionUser(t.Context(), storage.SessionID(long))),
		"Ticket":         only(s.Ticket(t.Context(), storage.TicketID(long))),
		"Mark":           only(s.Mark(t.Context(), storage.MarkID(long))),
	} {
		if !errors.Is(err, storage.ErrNotFound) {
			t.Errorf("%s: got error %v, want ErrNotFound", name, err)
		}
	}
	if deleted, err := s.UserDeleted(t.Context(), storage.UserID(long)); deleted || err != nil {
		t.Errorf("UserDeleted: %v, %v", deleted, err)
	}
	if sessions, err := s.UserSessions(t.Context(), storage.UserID(long), 0, 0, 1); len(sessions) > 0 || err != nil {
		t.Errorf("UserSessions: %v, %v", sessions, err)
	}
	if counts, _, err := s.Counts(t.Context(), []string{long}, long); err != nil || counts[0] != (limit.Count{}) {
		t.Errorf("Counts: %v, %v", counts, err)
	}
	if _, err := s.Take(t.Context(), []limit.Take{take(long)}); !errors.Is(err, storage.ErrChanges) {
		t.Errorf("Take: got error %v, want ErrChanges", err)
	}
	just := mail()
	just.ID, just.Sealed = "just", large.Sealed[:399<<10]
	if err := s.Commit(t.Context(), storage.QueueMail{Mail: just}); err != nil {
		t.Errorf("399 KB: %v", err)
	}
}

// TestLayerRefuses: the layer refuses what DynamoDB refuses and minidyn takes.
func TestLayerRefuses(t *testing.T) {
	_, url := emulator(t)
	openAt(t, url, "latchkey")
	client := connect(t, url)
	item := func(pk, sk, value string) map[string]types.AttributeValue {
		return map[string]types.AttributeValue{
			"PK": &types.AttributeValueMemberS{Value: pk}, "SK": &types.AttributeValueMemberS{Value: sk}, "V": &types.AttributeValueMemberS{Value: value},
		}
	}
	put := func(it map[string]types.AttributeValue) types.TransactWriteItem {
		return types.TransactWriteItem{Put: &types.Put{TableName: aws.String("latchkey"), Item: it}}
	}
	transact := func(token string, items ...types.TransactWriteItem) error {
		_, err := client.TransactWriteItems(t.Context(), &dynamodb.TransactWriteItemsInput{ClientRequestToken: &token, TransactItems: items})
		return err
	}
	var many, heavy []types.TransactWriteItem
	for i := range 101 {
		many = append(many, put(item("pk", fmt.Sprint(i), "")))
		heavy = append(heavy, put(item("pk", fmt.Sprint(i), strings.Repeat("x", 390<<10))))
	}
	if err := transact("first", many[:100]...); err != nil {
		t.Errorf("100 items: %v", err)
	}
	if err := transact("first", many[:100]...); err != nil {
		t.Errorf("the same again: %v", err)
	}
	condition := put(item("pk", "c", ""))
	condition.Put.ConditionExpression = aws.String("attribute_not_exists(name)")
	for name, c := range map[string]struct {
		got  error
		want string
	}{
		"101 items":            {transact("a", many...), "ValidationException"},
		"more than 4 MB":       {transact("b", heavy[:12]...), "ValidationException"},
		"more than 400 KB":     {transact("c", put(item("pk", "sk", strings.Repeat("x", 400<<10)))), "ValidationException"},
		"two writes of one":    {transact("d", many[0], many[0]), "ValidationException"},
		"an empty key":         {transact("e", put(item("", "sk", ""))), "ValidationException"},
		"an empty sort key":    {transact("f", put(item("pk", "", ""))), "ValidationException"},
		"a long key":           {transact("g", put(item(strings.Repeat("x", 2049), "sk", ""))), "ValidationException"},
		"a long sort key":      {transact("h", put(item("pk", strings.Repeat("x", 1025), ""))), "ValidationException"},
		"a reserved word":      {transact("i", condition), "ValidationException"},
		"a token of another":   {transact("first", many[0]), "IdempotentParameterMismatchException"},
		"an inconsistent read": {only(client.GetItem(t.Context(), &dynamodb.GetItemInput{TableName: aws.String("latchkey"), Key: map[string]types.AttributeValue{"PK": item("pk", "sk", "")["PK"], "SK": item("pk", "sk", "")["SK"]}})), "ValidationException"},
		"a scan":               {only(client.Scan(t.Context(), &dynamodb.ScanInput{TableName: aws.String("latchkey")})), "ValidationException"},
	} {
		var got smithy.APIError
		if !errors.As(c.got, &got) || got.ErrorCode() != c.want {
			t.Errorf("%s: got error %v, want %s", name, c.got, c.want)
		}
	}
}

// TestManyShards pages through days of few and of many shards, with pages that end within
// them.
func TestManyShards(t *testing.T) {
	const lines = 300
	for _, shards := range []int{1, 3, 32} {
		_, url := emulator(t)
		openAt(t, url, "latchkey")
		s := open(t, dynamo.Config{Client: connect(t, url), Table: "latchkey", EventShards: shards})
		for i := 0; i < lines; i += 25 {
			var changes []storage.Change
			for n := i; n < i+25; n++ {
				changes = append(changes, storage.AppendEvent{Event: storage.Event{ID: fmt.Sprint(n), Time: now.Add(time.Duration(n*7919%lines) * 6 * time.Minute)}})
			}
			if err := s.Commit(t.Context(), changes...); err != nil {
				t.Fatal(err)
			}
		}
		for _, limit := range []int{40, 200, 1000} {
			if got := pagesThrough(t, s, limit); got != lines {
				t.Errorf("%d shards, limit %d: got %d lines, want %d", shards, limit, got, lines)
			}
		}
	}
}

// pagesThrough counts all events, which come in their order, page by page.
func pagesThrough(t *testing.T, s *dynamo.Store, limit int) (n int) {
	t.Helper()
	var cursor storage.Cursor
	for last := (time.Time{}); ; {
		page, next, err := s.Events(t.Context(), time.Time{}, cursor, limit)
		if err != nil {
			t.Fatal(err)
		}
		if len(page) == 0 {
			return n
		}
		for _, e := range page {
			if !e.Time.After(last) {
				t.Fatalf("limit %d: %v comes after %v", limit, e.Time, last)
			}
			last, n = e.Time, n+1
		}
		cursor = next
	}
}

// TestManyMails: the queue is read past its pages, longest due first.
func TestManyMails(t *testing.T) {
	_, url := emulator(t)
	s := openAt(t, url, "latchkey")
	const mails = 600
	for i := 0; i < mails; i += 25 {
		var changes []storage.Change
		for n := i; n < i+25; n++ {
			changes = append(changes, storage.QueueMail{Mail: outbox.Mail{ID: fmt.Sprint(n), Sealed: []byte{1}, DueAt: now.Add(-time.Duration(n*7919%mails) * time.Second)}})
		}
		if err := s.Commit(t.Context(), changes...); err != nil {
			t.Fatal(err)
		}
	}
	for _, limit := range []int{1, 50, 599, 1000} {
		due, err := s.DueMails(t.Context(), now, limit)
		if err != nil || len(due) != min(limit, mails) {
			t.Fatalf("limit %d: got %d mails, %v", limit, len(due), err)
		}
		for i, m := range due {
			if want := now.Add(-time.Duration(mails-1-i) * time.Second); !m.DueAt.Equal(want) {
				t.Fatalf("limit %d: mail %d is due at %v, want %v", limit, i, m.DueAt, want)
			}
		}
	}
}

// TestMailsClaimedMeanwhile: those of a full page that another process claims between the
// look at the queue and the reading of the mails are left out, and later ones take their
// place. Only a page that is not full says that there are no others.
func TestMailsClaimedMeanwhile(t *testing.T) {
	const mails, limit = 12, 8
	for _, claimed := range []int{1, limit} {
		l, url := emulator(t)
		s, other := openAt(t, url, "latchkey"), openAt(t, url, "latchkey")
		var queued []storage.Change
		for n := range mails {
			queued = append(queued, storage.QueueMail{Mail: outbox.Mail{ID: fmt.Sprint(n), Sealed: []byte{1}, DueAt: now.Add(time.Duration(n-mails) * time.Second)}})
		}
		if err := s.Commit(t.Context(), queued...); err != nil {
			t.Fatal(err)
		}
		var begun atomic.Bool
		claim := func(operation string) {
			if operation != "BatchGetItem" || begun.Swap(true) { // which claiming does too
				return
			}
			for _, c := range queued[:claimed] {
				m := c.(storage.QueueMail).Mail
				m.DueAt = now.Add(time.Minute)
				if err := other.Commit(t.Context(), storage.DeferMail{Mail: m}); err != nil {
					t.Error(err)
				}
			}
		}
		l.set(func() { l.before = claim })
		due, err := s.DueMails(t.Context(), now, limit)
		var got []string
		for _, m := range due {
			got = append(got, m.ID)
		}
		var want []string
		for n := claimed; n < min(mails, claimed+limit); n++ {
			want = append(want, fmt.Sprint(n))
		}
		if d := cmp.Diff(want, got); err != nil || d != "" {
			t.Errorf("%d of a page of %d claimed: %v (-want +got):\n%s", claimed, limit, err, d)
		}
	}
}

// TestBatches: the layer refuses the batches that DynamoDB refuses.
func TestBatches(t *testing.T) {
	l, _ := emulator(t)
	put := func(sort string) string { return `{"PutRequest":{"Item":{"PK":{"S":"p"},"SK":{"S":"` + sort + `"}}}}` }
	many := make([]string, 26)
	for i := range many {
		many[i] = put(fmt.Sprint(i))
	}
	for name, requests := range map[string]string{
		"26 writes": strings.Join(many, ","), "one item twice": put("a") + "," + put("a"), "an empty key": put(""),
		"neither": `{}`, "nothing": "",
	} {
		if _, err := l.batchWrite([]byte(`{"RequestItems":{"latchkey":[`+requests+`]}}`), none); err == nil || !strings.Contains(err.Error(), "ValidationException") {
			t.Errorf("%s: got %v, want a refusal", name, err)
		}
	}
}
