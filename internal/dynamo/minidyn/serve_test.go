package minidyn_test

import (
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/latchkey-auth/latchkey/internal/servetest"
	"github.com/latchkey-auth/latchkey/internal/storecheck"
)

// program is latchkey on a table of an emulator of its own.
func program(t *testing.T) (*layer, *servetest.Program) {
	t.Helper()
	l, endpoint := emulator(t)
	return l, servetest.New(t, "LATCHKEY_STORE=dynamodb://latchkey?endpoint="+url.QueryEscape(endpoint),
		"AWS_ACCESS_KEY_ID=test", "AWS_SECRET_ACCESS_KEY=test", "AWS_EC2_METADATA_DISABLED=true")
}

// TestWalk: a person's account on DynamoDB, from registration to deletion, by the program.
func TestWalk(t *testing.T) {
	t.Parallel()
	_, p := program(t)
	servetest.Walk(t, p)
}

// TestTrialTogether: what is promised across processes.
func TestTrialTogether(t *testing.T) {
	for _, processes := range []int{2, 8} {
		t.Run(fmt.Sprintf("processes=%d", processes), func(t *testing.T) {
			t.Parallel()
			_, p := program(t)
			servetest.Together(t, p, processes)
		})
	}
}

// TestMarkOfTables: offline and invoke refuse a table that is not marked local, and the
// service one that is, before anything is written.
func TestMarkOfTables(t *testing.T) {
	t.Parallel()
	l, p := program(t)
	refused := func(want string, args ...string) {
		t.Helper()
		l.have(nil)
		code, said := p.Try(t, "{}", args...)
		if code != 1 || !strings.Contains(said, want) {
			t.Errorf("%v: exit status %d: %s\nwant %q", args, code, said, want)
		}
		for _, call := range l.arrivals() {
			if call != "GetItem" && call != "Query" && call != "DescribeTable" {
				t.Errorf("%v is refused, and has called %s", args, call)
			}
		}
	}
	refused("is not there, or is not initialised; create what is missing with `latchkey init", "users", "list")
	if said := p.Run(t, "", "init"); !strings.Contains(said, "every machine on this store needs that key") {
		t.Errorf("init says %s", said)
	}
	refused("is a production store", "invoke", "publicEndpoint")
	refused("is a production store", "offline", "--addr", "127.0.0.1:0")
	refused("is a production store and stays one", "store", "mark", "--local", "--yes")
	if said := p.Run(t, "", "store", "mark", "--production"); !strings.Contains(said, "is marked production already") {
		t.Errorf("store mark says %s", said)
	}
	p.Run(t, "", "init") // which leaves what is there

	l, p = program(t)
	p.Run(t, "{}", "invoke", "publicEndpoint")
	refused("belongs to offline", "serve", "--addr", "127.0.0.1:0")
	refused("belongs to offline", "init")
	p.Run(t, "", "users", "disable", "francesco")
	if said := p.Run(t, "", "store", "mark", "--production", "--yes"); !strings.Contains(said, "is marked production") {
		t.Errorf("store mark says %s", said)
	}
	p.Run(t, "", "init")
}

// TestUnmarkedTable: a table with users and without a mark counts as production.
func TestUnmarkedTable(t *testing.T) {
	t.Parallel()
	l, endpoint := emulator(t)
	seed(t, openAt(t, endpoint, "latchkey"))
	l.have(nil)
	p := servetest.New(t, "LATCHKEY_STORE=dynamodb://latchkey?endpoint="+url.QueryEscape(endpoint),
		"AWS_ACCESS_KEY_ID=test", "AWS_SECRET_ACCESS_KEY=test", "AWS_EC2_METADATA_DISABLED=true")
	if code, said := p.Try(t, "{}", "invoke", "publicEndpoint"); code != 1 || !strings.Contains(said, "has no mark, so it counts as a production store") {
		t.Errorf("exit status %d: %s", code, said)
	}
	for _, call := range l.arrivals() {
		if call != "GetItem" && call != "Query" {
			t.Errorf("the refusal has called %s", call)
		}
	}
}

// TestManyInits: processes that begin at once on a table that is not there yet all
// succeed, and there is one signing key.
func TestManyInits(t *testing.T) {
	t.Parallel()
	_, p := program(t)
	var all sync.WaitGroup
	for range 6 {
		all.Go(func() {
			if code, said := p.Try(t, "", "init"); code != 0 {
				t.Errorf("init: exit status %d: %s", code, said)
			}
		})
	}
	all.Wait()
	keys := p.Run(t, "", "keys", "list", "--json")
	if n := strings.Count(keys, "\n"); n != 1 || !strings.Contains(keys, `"state":"active"`) {
		t.Errorf("%d keys, want one that is active: %s", n, keys)
	}
}

// TestEventsAreKeptAsLongAsIsSet: the setting of the process that writes an event decides.
func TestEventsAreKeptAsLongAsIsSet(t *testing.T) {
	t.Parallel()
	l, p := program(t)
	p.Run(t, "", "init")
	p.Run(t, "correct horse battery\n", "users", "add", "ada", "--password-stdin", "--event-retention", "24h")
	p.Run(t, "correct horse battery\n", "users", "add", "bob", "--password-stdin")
	answer, err := l.engine.carryOut("Scan", []byte(`{"TableName": "latchkey"}`))
	if err != nil {
		t.Fatal(err)
	}
	var table struct{ Items []map[string]attribute }
	if err := json.Unmarshal([]byte(answer), &table); err != nil {
		t.Fatal(err)
	}
	var kept []int64 // days
	for _, it := range table.Items {
		if strings.HasPrefix(*it["PK"].S, "events#") {
			if it["Expiry"].N == nil {
				t.Fatalf("an event is kept for ever: %s", *it["SK"].S)
			}
			expiry, err := strconv.ParseInt(*it["Expiry"].N, 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			kept = append(kept, int64(time.Until(time.Unix(expiry, 0)).Hours()+12)/24)
		}
	}
	slices.Sort(kept)
	if !slices.Equal(kept, []int64{2, 91}) { // and a day
		t.Errorf("events expire after %d days, want 2 and 91", kept)
	}
}

// findings are what store check says, by check.
func findings(t *testing.T, said string) map[string]storecheck.Finding {
	t.Helper()
	all := make(map[string]storecheck.Finding)
	for line := range strings.Lines(said) {
		var f storecheck.Finding
		if err := json.Unmarshal([]byte(line), &f); err != nil {
			t.Fatalf("%v: %s", err, said)
		}
		all[f.Check] = f
	}
	return all
}

// TestStoreCheck: each right that is missing is named with its action and table.
func TestStoreCheck(t *testing.T) {
	t.Parallel()
	l, p := program(t)
	if code, said := p.Try(t, "", "store", "check"); code != 1 || !strings.Contains(said, "create it with latchkey init") {
		t.Errorf("without a table: exit status %d: %s", code, said)
	}
	p.Run(t, "", "init")
	said := p.Run(t, "", "store", "check")
	for _, want := range []string{"CHECK ", "right dynamodb:PutItem ", "granted", "round trip", "clock", "signing keys"} {
		if !strings.Contains(said, want) {
			t.Errorf("store check says nothing of %q: %s", want, said)
		}
	}
	all := findings(t, p.Run(t, "", "store", "check", "--json"))
	for check, want := range map[string]storecheck.Result{
		"table": storecheck.OK, "right dynamodb:ConditionCheckItem": storecheck.OK, "right dynamodb:DeleteItem": storecheck.OK, "clock": storecheck.OK,
		"expiry (TTL)": storecheck.OK, "mark": storecheck.OK, "signing keys": storecheck.OK, "point-in-time recovery": storecheck.Warning,
	} {
		if all[check].Result != want {
			t.Errorf("%s: %+v, want %s", check, all[check], want)
		}
	}
	for _, action := range []string{"PutItem", "GetItem", "BatchGetItem", "Query", "UpdateItem"} {
		l.have(func(operation string, _ int) fault {
			if operation == action {
				return denied
			}
			return none
		})
		code, said := p.Try(t, "", "store", "check", "--json")
		f := findings(t, said)["right dynamodb:"+action]
		if code != 1 || f.Result != storecheck.Wrong || !strings.Contains(f.Advice, "grant dynamodb:"+action+" on arn:aws:dynamodb:us-east-1:*:table/latchkey") {
			t.Errorf("without %s: exit status %d, %+v", action, code, f)
		}
	}
	l.have(func(operation string, _ int) fault {
		if strings.HasPrefix(operation, "Describe") {
			return denied
		}
		return none
	})
	code, said := p.Try(t, "", "store", "check", "--json")
	if f := findings(t, said)["table"]; code != 0 || f.Result != storecheck.Warning || !strings.Contains(f.Advice, "dynamodb:DescribeTable") {
		t.Errorf("rights of the check alone: exit status %d, %+v", code, f)
	}
	l.have(nil)
	l.set(func() { l.expire = false })
	if code, said := p.Try(t, "", "store", "check", "--json"); code != 1 || findings(t, said)["expiry (TTL)"].Result != storecheck.Wrong {
		t.Errorf("without expiry: exit status %d: %s", code, said)
	}
	p.Run(t, "", "init") // turns it on
	l.set(func() { l.recovery = true; l.ahead = -20 * time.Second })
	code, said = p.Try(t, "", "store", "check", "--json")
	all = findings(t, said)
	if f := all["clock"]; code != 1 || f.Result != storecheck.Wrong || !strings.Contains(f.Found, "20s ahead of the store's") && !strings.Contains(f.Found, "19s ahead") && !strings.Contains(f.Found, "21s ahead") {
		t.Errorf("a clock that is 20 s ahead: exit status %d, %+v", code, f)
	}
	if all["expiry (TTL)"].Result != storecheck.OK || all["point-in-time recovery"].Result != storecheck.OK {
		t.Errorf("turned on: %+v", all)
	}
}

// TestInitWithoutRights: what has to be granted is named.
func TestInitWithoutRights(t *testing.T) {
	t.Parallel()
	l, p := program(t)
	l.have(func(operation string, _ int) fault {
		if operation == "CreateTable" {
			return denied
		}
		return none
	})
	if code, said := p.Try(t, "", "init"); code != 1 || !strings.Contains(said, "grant dynamodb:CreateTable on arn:aws:dynamodb:us-east-1:*:table/latchkey") {
		t.Errorf("exit status %d: %s", code, said)
	}

	l.have(nil)
	// A table that a template has made needs none of the rights to make one.
	openAt(t, l.url, "latchkey")
	l.have(func(operation string, _ int) fault {
		if strings.HasSuffix(operation, "Table") || strings.HasSuffix(operation, "TimeToLive") {
			return denied
		}
		return none
	})
	if said := p.Run(t, "", "init"); !strings.Contains(said, "is ready: table") || !strings.Contains(said, "grant dynamodb:DescribeTimeToLive on") {
		t.Errorf("init on a table that is there says %s", said)
	}
}
