package minidyn_test

import (
	"net/url"
	"testing"
	"time"

	"github.com/latchkey-auth/latchkey"
	"github.com/latchkey-auth/latchkey/internal/app"
	"github.com/latchkey-auth/latchkey/internal/app/apptest"
	"github.com/latchkey-auth/latchkey/internal/revocationsource"
	"github.com/latchkey-auth/latchkey/internal/servetest"
)

// service is the auth service in the process, on a table of an emulator of its own.
func service(t testing.TB) (*layer, *app.System, servetest.Service) {
	t.Helper()
	l, endpoint := emulator(t)
	sys, s := apptest.Service(t, "dynamodb://latchkey?endpoint="+url.QueryEscape(endpoint))
	return l, sys, s
}

// What authorizers read and the schedule does, besides servetest's operations.
const (
	operationAuthorize = "authorization"
	operationLook      = "authorizer's look for revocations"
	operationLookUp    = "authorization, each token looked up"
	operationMaintain  = "maintain, with nothing due"
)

// An operation is what it has sent to the table.
type operation []billed

// costs measures each operation.
func costs(t testing.TB) map[string]operation {
	t.Helper()
	l, sys, s := service(t)
	b := new(bill)
	l.set(func() { l.bill = b })
	all := make(map[string]operation)
	measure := func(name string, do func()) {
		b.take()
		do()
		for _, r := range b.take() {
			if r.charges[0].partition != "keys" { // which each process reads every 10 s
				all[name] = append(all[name], r)
			}
		}
	}
	s.Each(t, measure)
	measure(operationMaintain, func() {
		if err := sys.Maintain(t.Context()); err != nil {
			t.Fatal(err)
		}
	})

	source, err := revocationsource.Open(revocationsource.Config{
		Address: "dynamodb://latchkey?endpoint=" + l.url,
		Getenv: func(name string) string {
			return map[string]string{"AWS_REGION": "us-east-1", "AWS_ACCESS_KEY_ID": "id", "AWS_SECRET_ACCESS_KEY": "secret"}[name]
		},
		// At noon, so that a look is never over two days.
		Now: func() time.Time { return time.Now().UTC().Truncate(24 * time.Hour).Add(12 * time.Hour) },
	})
	if err != nil {
		t.Fatal(err)
	}
	page, err := source.Revocations(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	measure(operationLook, func() {
		if _, err := source.Revocations(t.Context(), page.Next); err != nil {
			t.Fatal(err)
		}
	})
	measure(operationLookUp, func() {
		claims := latchkey.Claims{Subject: "u", SessionID: "s", IssuedAt: time.Now(), ExpiresAt: time.Now().Add(time.Minute)}
		if _, err := source.Ended(t.Context(), claims); err != nil {
			t.Fatal(err)
		}
	})
	all[operationAuthorize] = nil
	return all
}

func (o operation) units() (read, write int) {
	for _, r := range o {
		more, also := r.units()
		read, write = read+more, write+also
	}
	return read, write
}

// count is how many requests of the kinds there are.
func (o operation) count(kinds ...string) (n int) {
	for _, r := range o {
		for _, kind := range kinds {
			if r.operation == kind {
				n++
			}
		}
	}
	return n
}

func (o operation) reads() int { return o.count("GetItem", "Query", "BatchGetItem") }

// TestGoals: the fewest requests with which the operations on a path of many have to do.
func TestGoals(t *testing.T) {
	all := costs(t)
	for _, goal := range []struct {
		operation           string
		reads, transactions int
		writes              int // of one item, under a condition
	}{
		{servetest.OperationMe, 2, 0, 0},
		{servetest.OperationRefresh, 2, 1, 0},
		// Name; user and sessions; known network and counts. Each bucket is taken and given back.
		{servetest.OperationKnownNetwork, 3, 1, 2}, // one bucket
		{servetest.OperationNewNetwork, 3, 1, 6},   // three buckets
		{servetest.OperationNewNetwork6, 3, 1, 10}, // five
	} {
		o := all[goal.operation]
		if n := o.reads(); n > goal.reads {
			t.Errorf("%s: %d reads, want %d", goal.operation, n, goal.reads)
		}
		if n := o.count("TransactWriteItems"); n != goal.transactions {
			t.Errorf("%s: %d transactions, want %d", goal.operation, n, goal.transactions)
		}
		if n := o.count("UpdateItem", "PutItem", "DeleteItem"); n != goal.writes {
			t.Errorf("%s: %d writes of one item, want %d", goal.operation, n, goal.writes)
		}
	}
}

// BenchmarkUnits prints what each operation reads and writes, in units. They are counted
// once: they are the same each time.
func BenchmarkUnits(b *testing.B) {
	all := costs(b)
	for _, r := range rows {
		b.Run(r.name, func(b *testing.B) {
			read, write := all[r.name].units()
			b.ReportMetric(float64(read), "RRU/op")
			b.ReportMetric(float64(write), "WRU/op")
			b.ReportMetric(0, "ns/op")
		})
	}
}
