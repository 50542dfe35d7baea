package main

import (
	"flag"
	"fmt"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/alecthomas/kong"

	"github.com/latchkey-auth/latchkey/internal/storage"
)

var update = flag.Bool("update", false, "write docs/configuration.md")

const (
	tableStart = "<!-- settings -->\n"
	tableEnd   = "<!-- end -->\n"
)

// TestConfigurationReference holds the table in docs/configuration.md to the
// flags that the program has.
func TestConfigurationReference(t *testing.T) {
	const file = "../../docs/configuration.md"
	doc, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok1 := strings.Cut(string(doc), tableStart)
	_, after, ok2 := strings.Cut(rest, tableEnd)
	if !ok1 || !ok2 {
		t.Fatalf("%s has lost its marks", file)
	}
	want := before + tableStart + settingsTable(t) + tableEnd + after
	if *update {
		if err := os.WriteFile(file, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if string(doc) != want {
		t.Errorf("%s is not what the program says; run go test ./cmd/latchkey -run TestConfigurationReference -update", file)
	}
}

// settingsTable lists every flag that has a variable.
func settingsTable(t *testing.T) string {
	t.Helper()
	parser, err := kong.New(new(cli))
	if err != nil {
		t.Fatal(err)
	}
	type setting struct {
		flag     *kong.Flag
		defaults []string // commands differ in some
	}
	var names []string
	settings := make(map[string]*setting)
	var walk func(n *kong.Node)
	walk = func(n *kong.Node) {
		for _, f := range n.Flags {
			if len(f.Envs) == 0 || n.Hidden {
				continue
			}
			s := settings[f.Name]
			if s == nil {
				s = &setting{flag: f}
				settings[f.Name] = s
				names = append(names, f.Name)
			}
			if !slices.Contains(s.defaults, f.Default) {
				s.defaults = append(s.defaults, f.Default)
			}
		}
		for _, child := range n.Children {
			walk(child)
		}
	}
	walk(parser.Model.Node)
	slices.Sort(names)
	var b strings.Builder
	b.WriteString("| flag | variable | in the file | default | meaning |\n|---|---|---|---|---|\n")
	for _, name := range names {
		s := settings[name]
		inFile := ""
		if slices.Contains(fileSettings, name) || slices.Contains(fileTables, name) {
			inFile = "yes"
		}
		fmt.Fprintf(&b, "| `--%s` | `%s` | %s | %s | %s |\n", name, s.flag.Envs[0], inFile, defaultsText(s.defaults), meaning(s.flag))
	}
	return b.String()
}

func defaultsText(defaults []string) string {
	var texts []string
	for _, d := range defaults {
		if d != "" {
			texts = append(texts, "`"+d+"`")
		}
	}
	return strings.Join(texts, " or ")
}

// meaning is the help without the default, which has a column of its own.
func meaning(f *kong.Flag) string {
	return strings.ReplaceAll(strings.ReplaceAll(f.Help, " ("+f.Default+")", ""), "|", "\\|")
}

// TestEventsAreDocumented: operators read there what they can filter by.
func TestEventsAreDocumented(t *testing.T) {
	doc, err := os.ReadFile("../../docs/operate.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range append(texts(storage.EventKinds()), texts(storage.Outcomes())...) {
		if !strings.Contains(string(doc), "`"+name+"`") {
			t.Errorf("docs/operate.md does not say what %s is", name)
		}
	}
}

// users invite names the address where offline serves; a tag cannot hold a constant.
func TestDefaultAddressOfOffline(t *testing.T) {
	field, _ := reflect.TypeFor[offlineCmd]().FieldByName("Addr")
	if got := field.Tag.Get("default"); got != defaultOfflineAddr {
		t.Errorf("offline serves at %s, users invite says %s", got, defaultOfflineAddr)
	}
}
