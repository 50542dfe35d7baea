package minidyn_test

import (
	"flag"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/latchkey-auth/latchkey/internal/servetest"
)

var update = flag.Bool("update", false, "write the tables of docs/operate.md")

// List prices in us-east-1, in dollars. docs/operate.md says where they are from.
const (
	readUnit       = 0.125e-6
	writeUnit      = 0.625e-6
	storedGB       = 0.25 // a month; the first 25 GB are free
	recoveryGB     = 0.20 // of point-in-time recovery, a month
	freeGB         = 25
	lambdaRequest  = 0.20e-6
	lambdaGBSecond = 0.0000133334 // arm64
	apiRequest     = 3.50e-6      // REST API
)

// cognito is the price of a month with so many active users, of its two cheaper plans.
func cognito(users float64) (lite, essentials float64) {
	const free = 10_000
	return 0.0055*(100_000-free) + 0.0046*(users-100_000), 0.015 * (users - free)
}

// What an operation takes on Lambda is assumed.
const (
	readMilliseconds        = 4.0
	writeMilliseconds       = 5.0
	transactionMilliseconds = 10.0
	hashMilliseconds        = 20.5 / 0.29 // 512 MB have 0.29 of a processor
)

// A function has the memory that deploy/ gives it, and takes some time of its own for each
// invocation.
type function struct{ gb, milliseconds float64 }

var (
	authFunction       = function{0.5, 3}
	authorizerFunction = function{0.125, 2}
	maintainFunction   = function{0.25, 3}
)

// A row is an operation of the table.
type row struct {
	name     string
	requests int // to the API
	lambdas  int // invocations
	hashes   int // of passwords
	by       function
}

var rows = []row{
	{servetest.OperationKnownNetwork, 1, 1, 1, authFunction},
	{servetest.OperationNewNetwork, 1, 1, 1, authFunction},
	{servetest.OperationNewNetwork6, 1, 1, 1, authFunction},
	{servetest.OperationWrong, 1, 1, 2, authFunction}, // and perhaps a registration's
	{servetest.OperationRefresh, 1, 1, 0, authFunction},
	{servetest.OperationMe, 1, 1, 0, authFunction},
	{servetest.OperationLogout, 1, 1, 0, authFunction},
	{servetest.OperationRegister, 2, 2, 1, authFunction},
	{operationAuthorize, 0, 1, 0, authorizerFunction}, // the request is the API's
	{operationLookUp, 0, 1, 0, authorizerFunction},
	{operationLook, 0, 0, 0, authorizerFunction}, // within an authorization
	{operationMaintain, 0, 1, 0, maintainFunction},
}

// A price is that of one, in dollars.
type price struct {
	milliseconds       float64
	table, lambda, api float64
	reads, writes      int // units
}

func (p price) all() float64 { return p.table + p.lambda + p.api }

func (r row) price(o operation) price {
	var p price
	p.reads, p.writes = o.units()
	p.table = float64(p.reads)*readUnit + float64(p.writes)*writeUnit
	p.milliseconds = o.waits() + float64(r.hashes)*hashMilliseconds + float64(r.lambdas)*r.by.milliseconds
	p.lambda = p.milliseconds/1000*r.by.gb*lambdaGBSecond + float64(r.lambdas)*lambdaRequest
	p.api = float64(r.requests) * apiRequest
	return p
}

// waits is how long the table takes. Requests of one kind that follow each other, each to
// another partition, are made at the same time.
func (o operation) waits() (milliseconds float64) {
	var kind string
	var seen []string
	for _, r := range o {
		at := r.charges[0].partition
		if r.operation == kind && (kind == "UpdateItem" || kind == "Query") && !slices.Contains(seen, at) {
			seen = append(seen, at)
			continue
		}
		kind, seen = r.operation, []string{at}
		switch kind {
		case "TransactWriteItems":
			milliseconds += transactionMilliseconds
		case "GetItem", "Query", "BatchGetItem":
			milliseconds += readMilliseconds
		default:
			milliseconds += writeMilliseconds
		}
	}
	return milliseconds
}

// calls are the requests of an operation that write, in words.
func (o operation) calls() string {
	var parts []string
	for _, kind := range []struct {
		n         int
		one, many string
	}{
		{o.count("TransactWriteItems"), "transaction", "transactions"},
		{o.count("UpdateItem", "PutItem", "DeleteItem"), "write", "writes"},
	} {
		switch {
		case kind.n == 1:
			parts = append(parts, "1 "+kind.one)
		case kind.n > 1:
			parts = append(parts, fmt.Sprint(kind.n, " ", kind.many))
		}
	}
	if parts == nil {
		return "–"
	}
	return strings.Join(parts, ", ")
}

// operationsTable is the one of docs/operate.md.
func operationsTable(all map[string]operation) string {
	var b strings.Builder
	b.WriteString("| operation | reads | RRU | writes | WRU | Lambda ms | DynamoDB, $ a thousand | Lambda | REST API | all |\n|---|---|---|---|---|---|---|---|---|---|\n")
	for _, r := range rows {
		o := all[r.name]
		p := r.price(o)
		fmt.Fprintf(&b, "| %s | %d | %d | %s | %d | %.0f | %.4f | %.4f | %.4f | %.4f |\n",
			r.name, o.reads(), p.reads, o.calls(), p.writes, p.milliseconds, 1000*p.table, 1000*p.lambda, 1000*p.api, 1000*p.all())
	}
	return b.String()
}

// A month of a million users who sign in ten times each, nine of them where they have
// signed in before. A session is refreshed four times, its user is asked for once, and it
// is logged out of. One in twenty passwords is mistyped once.
const (
	users   = 1_000_000
	signIns = 10 * users
)

var month = []struct {
	operation string
	times     float64
}{
	{servetest.OperationKnownNetwork, 0.9 * signIns},
	{servetest.OperationNewNetwork, 0.1 * signIns},
	{servetest.OperationWrong, 0.05 * signIns},
	{servetest.OperationRefresh, 4 * signIns},
	{servetest.OperationMe, signIns},
	{servetest.OperationLogout, signIns},
}

// Bytes that stay, with the 100 that DynamoDB adds to each item; docs/dynamodb.md has the
// items.
const (
	userBytes    = 250 + 220 + 40 + 2*80 + 5*100
	sessionBytes = 630 + 140 + 2*100 // for 30 days and one
	eventBytes   = 640 + 100         // for 90 days and one
)

func monthTable(all map[string]operation) string {
	var table, lambda, api, events float64
	for _, m := range month {
		for _, r := range rows {
			if r.name == m.operation {
				p := r.price(all[r.name])
				table, lambda, api = table+m.times*p.table, lambda+m.times*p.lambda, api+m.times*p.api
			}
		}
		if m.operation != servetest.OperationMe {
			events += m.times
		}
	}
	gb := (users*userBytes + signIns*sessionBytes + 3*events*eventBytes) / 1e9
	stored := (gb-freeGB)*storedGB + gb*recoveryGB
	lite, essentials := cognito(users)
	var b strings.Builder
	b.WriteString("| 1 million users, 10 sign-ins a month each | $ a month |\n|---|---|\n")
	for _, line := range []struct {
		name   string
		amount float64
	}{
		{"DynamoDB, reads and writes", table},
		{fmt.Sprintf("DynamoDB, %.0f GB stored, with point-in-time recovery", gb), stored},
		{"Lambda", lambda},
		{"REST API", api},
		{"**latchkey on AWS**", table + stored + lambda + api},
		{"Cognito, Lite", lite},
		{"Cognito, Essentials", essentials},
	} {
		fmt.Fprintf(&b, "| %s | %.0f |\n", line.name, line.amount)
	}
	return b.String()
}

// TestCosts holds the tables of docs/operate.md to what operations cost.
func TestCosts(t *testing.T) {
	all := costs(t)
	servetest.HoldTables(t, "../../../docs/operate.md", *update, operationsTable(all), monthTable(all))
}
