package latchkey_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

func read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestDependenciesHaveReasons compares go.mod with the table in docs/design.md.
func TestDependenciesHaveReasons(t *testing.T) {
	direct := regexp.MustCompile(`(?m)^\t(\S+) v\S+$`)
	tools := regexp.MustCompile(`(?m)^\t(\S+?)(?:/cmd/\S+)$`)
	var want []string
	for _, expr := range []*regexp.Regexp{direct, tools} {
		for _, m := range expr.FindAllStringSubmatch(read(t, "go.mod"), -1) {
			want = append(want, m[1])
		}
	}
	var got []string
	for _, m := range regexp.MustCompile("(?m)^\\| `([a-z0-9]+\\.[a-z0-9.]+/\\S+)` \\|").FindAllStringSubmatch(read(t, "docs/design.md"), -1) {
		got = append(got, m[1])
	}
	slices.Sort(want)
	slices.Sort(got)
	if len(want) == 0 || !slices.Equal(got, want) {
		t.Errorf("docs/design.md gives reasons for\n%s\ngo.mod requires\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// testFunctions returns the names of all tests, fuzz targets and scripts.
func testFunctions(t *testing.T) map[string]bool {
	t.Helper()
	names := make(map[string]bool)
	err := filepath.WalkDir(".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case strings.HasSuffix(name, ".txtar"):
			names[filepath.Base(name)] = true
		case strings.HasSuffix(name, "_test.go"):
			f, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
			if err != nil {
				return err
			}
			for _, d := range f.Decls {
				if fn, ok := d.(*ast.FuncDecl); ok {
					names[fn.Name.Name] = true
				}
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

// TestSecurityRequirementsNameTheirTests holds docs/security.md to tests that
// exist.
func TestSecurityRequirementsNameTheirTests(t *testing.T) {
	known := testFunctions(t)
	rows := regexp.MustCompile(`(?m)^\| ([A-Z]{2}-[0-9]{2}) \|.*\| ([^|]*) \|$`).FindAllStringSubmatch(read(t, "docs/security.md"), -1)
	if len(rows) < 40 {
		t.Fatalf("docs/security.md has %d requirements", len(rows))
	}
	named := regexp.MustCompile("`((?:Test|Fuzz)[A-Za-z0-9_]*|[a-z_]+\\.txtar)`")
	seen := make(map[string]bool)
	for _, row := range rows {
		if seen[row[1]] {
			t.Errorf("%s stands twice", row[1])
		}
		seen[row[1]] = true
		tests := named.FindAllStringSubmatch(row[2], -1)
		if len(tests) == 0 && !strings.HasPrefix(row[2], "later:") {
			t.Errorf("%s names no test: %q", row[1], row[2])
		}
		for _, m := range tests {
			if !known[m[1]] {
				t.Errorf("%s names %s, which does not exist", row[1], m[1])
			}
		}
	}
}

// TestLives looks for the functions that docs/design.md leads through.
func TestLives(t *testing.T) {
	for heading, least := range map[string]int{
		"The life of a login":            12,
		"The life of a refresh":          6,
		"The life of an authorizer call": 8,
	} {
		rows := regexp.MustCompile("(?m)^\\| `([a-z/]+\\.go)`( of the root)? \\| (`[^|]*`) \\|").FindAllStringSubmatch(section(t, "## "+heading), -1)
		if len(rows) < least {
			t.Errorf("%s has %d rows", heading, len(rows))
		}
		for _, row := range rows {
			file := row[1]
			if row[2] == "" {
				file = "internal/" + file
			}
			wantFunctions(t, file, row[3])
		}
	}
}

// section is a part of docs/design.md, without its heading.
func section(t *testing.T, heading string) string {
	t.Helper()
	_, text, found := strings.Cut(read(t, "docs/design.md"), "\n"+heading+"\n")
	if !found {
		t.Fatalf("docs/design.md has no heading %q", heading)
	}
	text, _, _ = strings.Cut(text, "\n## ")
	return text
}

// wantFunctions looks in the file for the functions that stand in backquotes.
func wantFunctions(t *testing.T, file, text string) {
	t.Helper()
	for _, m := range regexp.MustCompile("`(?:([A-Za-z]+)\\.)?([A-Za-z]+)`").FindAllStringSubmatch(text, -1) {
		receiver := `(?:\([a-z]+ \*?[A-Za-z]+\) )?`
		if m[1] != "" {
			receiver = `\([a-z]+ \*?` + m[1] + `\) `
		}
		if !regexp.MustCompile(`(?m)^func ` + receiver + m[2] + `\(`).MatchString(read(t, file)) {
			t.Errorf("%s has no function %s", file, m[0])
		}
	}
}

// TestEveryOperationOfAStoreIsInTheTable compares the ports of stores, and the kinds of
// changes, with the tables in docs/design.md and docs/dynamodb.md.
func TestEveryOperationOfAStoreIsInTheTable(t *testing.T) {
	var want []string
	for file, ports := range map[string][]string{
		"internal/storage/store.go":     {"Store", "Loader"},
		"internal/storage/change.go":    nil,
		"internal/storage/kind.go":      {"Marked"},
		"internal/limit/counters.go":    {"Counters"},
		"internal/keyring/keyring.go":   {"Store"},
		"internal/transfer/transfer.go": {"Store"},
	} {
		f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(f, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.TypeSpec:
				if port, ok := n.Type.(*ast.InterfaceType); ok && slices.Contains(ports, n.Name.Name) {
					for _, m := range port.Methods.List {
						if f := m.Type.(*ast.FuncType); f.Params.NumFields() > 0 { // the others ask no database
							want = append(want, m.Names[0].Name)
						}
					}
				}
			case *ast.FuncDecl:
				if n.Name.Name == "Items" {
					want = append(want, n.Recv.List[0].Type.(*ast.Ident).Name)
				}
			}
			return true
		})
	}
	slices.Sort(want)
	want = slices.Compact(want)
	for name, text := range map[string]string{
		"docs/design.md":   section(t, "## The store port in SQL"),
		"docs/dynamodb.md": read(t, "docs/dynamodb.md"),
	} {
		var got []string
		for _, row := range regexp.MustCompile("(?m)^\\| ([^|]*`[A-Z][A-Za-z]*`[^|]*) \\| .* \\|$").FindAllStringSubmatch(text, -1) {
			for _, m := range regexp.MustCompile("`([A-Z][A-Za-z]*)`").FindAllStringSubmatch(row[1], -1) {
				got = append(got, m[1])
			}
		}
		slices.Sort(got)
		got = slices.Compact(got) // some take two rows
		if len(want) < 35 || !slices.Equal(got, want) {
			t.Errorf("the table of %s has\n%s\nthe ports have\n%s", name, strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	}
}

// TestLinksLeadSomewhere follows the relative links of the documentation.
func TestLinksLeadSomewhere(t *testing.T) {
	docs, err := filepath.Glob("docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range append(docs, "README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md") {
		for _, m := range regexp.MustCompile(`\]\(([^)#]+)`).FindAllStringSubmatch(read(t, name), -1) {
			if strings.Contains(m[1], "://") || strings.HasPrefix(m[1], "mailto:") {
				continue
			}
			if _, err := os.Stat(filepath.Join(filepath.Dir(name), m[1])); err != nil {
				t.Errorf("%s links to %s: %v", name, m[1], err)
			}
		}
	}
}
