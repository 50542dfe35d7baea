package storage_test

import (
	"go/ast"
	"go/parser"
	gotoken "go/token"
	"slices"
	"strconv"
	"testing"

	"github.com/latchkey-auth/latchkey/internal/storage"
)

// TestEveryEventIsListed compares the lists, which operators filter by, with the
// constants.
func TestEveryEventIsListed(t *testing.T) {
	f, err := parser.ParseFile(gotoken.NewFileSet(), "event.go", nil, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	declared := make(map[string][]string)
	ast.Inspect(f, func(n ast.Node) bool {
		if spec, ok := n.(*ast.ValueSpec); ok && len(spec.Values) > 0 {
			text, err := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
			if err != nil {
				t.Fatal(err)
			}
			kind := spec.Type.(*ast.Ident).Name
			declared[kind] = append(declared[kind], text)
		}
		return true
	})
	var kinds, outcomes []string
	for _, k := range storage.EventKinds() {
		kinds = append(kinds, string(k))
	}
	for _, o := range storage.Outcomes() {
		outcomes = append(outcomes, string(o))
	}
	if want := declared["EventKind"]; len(want) == 0 || !slices.Equal(kinds, want) {
		t.Errorf("EventKinds are %q, the constants %q", kinds, want)
	}
	if want := declared["Outcome"]; len(want) == 0 || !slices.Equal(outcomes, want) {
		t.Errorf("Outcomes are %q, the constants %q", outcomes, want)
	}
}
