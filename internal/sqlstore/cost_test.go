package sqlstore_test

import (
	"flag"
	"fmt"
	"strings"
	"testing"

	"github.com/latchkey-auth/latchkey/internal/app"
	"github.com/latchkey-auth/latchkey/internal/app/apptest"
	"github.com/latchkey-auth/latchkey/internal/gateway"
	"github.com/latchkey-auth/latchkey/internal/servetest"
)

var update = flag.Bool("update", false, "write the tables of docs/operate.md")

// What authorizers read and background work does, besides servetest's operations.
const (
	operationAuthorize = "authorization"
	operationLook      = "look for revocations"
	operationLookUp    = "authorization, each token looked up"
	operationMaintain  = "maintain, with nothing due"
)

var operations = []string{
	servetest.OperationKnownNetwork,
	servetest.OperationNewNetwork,
	servetest.OperationNewNetwork6,
	servetest.OperationWrong,
	servetest.OperationRefresh,
	servetest.OperationMe,
	servetest.OperationLogout,
	servetest.OperationRegister,
	operationAuthorize,
	operationLookUp,
	operationLook,
	operationMaintain,
}

// A cost is what an operation asks of a database.
type cost struct {
	reads        int // statements outside of transactions
	transactions int // that may have written, and were committed
	statements   int // in transactions, but what begins and ends them
	trips        int // how often the client waits for the server
	bytes        int // to the server and from it
}

// A tally counts what reaches a database.
type tally interface {
	// take returns what has come since it was asked last.
	take() cost
}

// costs measures each operation on the store at the address, which the tally counts.
func costs(t *testing.T, address string, counted tally) map[string]cost {
	t.Helper()
	sys, service := apptest.Service(t, address)
	all := make(map[string]cost)
	measure := func(name string, do func()) {
		counted.take()
		do()
		all[name] = counted.take()
	}
	service.Each(t, measure)
	again := func(name string, do func()) {
		do()
		measure(name, do)
	}
	measureAuthorizer(t, sys, again)
	again(operationMaintain, func() {
		if err := sys.Maintain(t.Context()); err != nil {
			t.Fatal(err)
		}
	})
	return all
}

// measureAuthorizer measures what authorizers do.
func measureAuthorizer(t *testing.T, sys *app.System, measure func(string, func())) {
	t.Helper()
	table, err := gateway.NewTable(app.DemoRoutes)
	if err != nil {
		t.Fatal(err)
	}
	functions, err := sys.Functions(table, nil)
	if err != nil {
		t.Fatal(err)
	}
	token, err := sys.DemoToken(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	authorize := func() {
		const arn = "arn:aws:execute-api:r:1:a/dev/GET/privateEndpoint"
		if _, err := functions["authorizer"](t.Context(), fmt.Appendf(nil, `{"type":"TOKEN","authorizationToken":"Bearer %s","methodArn":"%s"}`, token, arn)); err != nil {
			t.Fatal(err)
		}
	}
	claims, err := sys.Verifier.Verify(t.Context(), token)
	if err != nil {
		t.Fatal(err)
	}
	lookUp := func() {
		if ended, err := sys.Service.Ended(t.Context(), claims); ended || err != nil {
			t.Fatalf("the token has ended: %t, %v", ended, err)
		}
	}
	after := ""
	look := func() {
		page, err := sys.Service.Revocations(t.Context(), after)
		if err != nil {
			t.Fatal(err)
		}
		after = page.Next
	}
	measure(operationAuthorize, authorize)
	measure(operationLookUp, lookUp)
	measure(operationLook, look)
}

// A column of a table.
type column struct {
	name string
	of   func(cost) string
}

var (
	columnReads        = column{"reads", func(c cost) string { return number(c.reads) }}
	columnTransactions = column{"transactions", func(c cost) string { return number(c.transactions) }}
	columnStatements   = column{"statements in them", func(c cost) string { return number(c.statements) }}
	columnTrips        = column{"round trips", func(c cost) string { return number(c.trips) }}
)

func number(n int) string {
	if n == 0 {
		return "–"
	}
	return fmt.Sprint(n)
}

// costsTable is one of docs/operate.md.
func costsTable(engine string, all map[string]cost, columns ...column) string {
	var b strings.Builder
	line := func(first string, cell func(column) string) {
		b.WriteString("| " + first + " |")
		for _, c := range columns {
			b.WriteString(" " + cell(c) + " |")
		}
		b.WriteString("\n")
	}
	line(engine, func(c column) string { return c.name })
	b.WriteString("|" + strings.Repeat("---|", 1+len(columns)) + "\n")
	for _, name := range operations {
		line(name, func(c column) string { return c.of(all[name]) })
	}
	return b.String()
}

const operateDoc = "../../docs/operate.md"

// TestCostsOnSQLite holds the table of docs/operate.md to what operations cost.
func TestCostsOnSQLite(t *testing.T) {
	all := sqliteCosts(t)
	servetest.HoldTables(t, operateDoc, *update, costsTable("SQLite", all, columnReads, columnTransactions, columnStatements))
}

// TestCostsOnPostgres does the same.
func TestCostsOnPostgres(t *testing.T) {
	all := postgresCosts(t)
	servetest.HoldTables(t, operateDoc, *update, costsTable("PostgreSQL", all, columnTrips, columnReads, columnTransactions, columnStatements))
}

// TestGoals: the fewest statements with which the operations on a path of many have to do.
// Of bytes there are more or fewer by how many buckets have leaked.
func TestGoals(t *testing.T) {
	most := map[string]map[string]cost{
		"SQLite": {
			operationAuthorize:              {},
			operationLookUp:                 {},
			servetest.OperationMe:           {},
			servetest.OperationRefresh:      {reads: 1, transactions: 1, statements: 2},
			servetest.OperationKnownNetwork: {reads: 2, transactions: 3, statements: 5},
			servetest.OperationNewNetwork:   {reads: 2, transactions: 3, statements: 10},
		},
		"PostgreSQL": {
			operationAuthorize:              {},
			operationLookUp:                 {reads: 1, trips: 1, bytes: 1000},
			servetest.OperationMe:           {reads: 1, trips: 1, bytes: 1000},
			servetest.OperationRefresh:      {reads: 1, transactions: 1, statements: 2, trips: 3, bytes: 2000},
			servetest.OperationKnownNetwork: {reads: 2, transactions: 3, statements: 5, trips: 8, bytes: 4000},
			servetest.OperationNewNetwork:   {reads: 2, transactions: 3, statements: 10, trips: 8, bytes: 5000},
		},
	}
	for engine, measured := range map[string]func(*testing.T) map[string]cost{"SQLite": sqliteCosts, "PostgreSQL": postgresCosts} {
		t.Run(engine, func(t *testing.T) {
			all := measured(t)
			for operation, most := range most[engine] {
				if got := all[operation]; got.exceeds(most) {
					t.Errorf("%s: %+v, want no more than %+v", operation, got, most)
				}
			}
		})
	}
}

func (c cost) exceeds(most cost) bool {
	return c.reads > most.reads || c.transactions > most.transactions || c.statements > most.statements || c.trips > most.trips || c.bytes > most.bytes
}
