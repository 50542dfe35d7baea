package servetest

import (
	"os"
	"strings"
	"testing"
)

// HoldTables holds the tables of a document to what they have to say, and with update
// writes them. A table is found by its first line.
func HoldTables(t testing.TB, path string, update bool, tables ...string) {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	doc := string(content)
	for _, table := range tables {
		header, _, _ := strings.Cut(table, "\n")
		before, rest, ok := strings.Cut(doc, header+"\n")
		if !ok {
			t.Fatalf("%s has no table %s", path, header)
		}
		old, after, _ := strings.Cut(rest, "\n\n")
		if header+"\n"+old+"\n" == table {
			continue
		}
		if !update {
			t.Errorf("%s has\n%s\nwant\n%s\nwrite it by: go test -run '^%s$' -update .", path, old, table, t.Name())
		}
		doc = before + table + "\n" + after
	}
	if update {
		if err := os.WriteFile(path, []byte(doc), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}
