package main

import (
	"bytes"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

// TestTableFits: nothing wraps as long as what must stay fits, and a pipe gets it
// all.
func TestTableFits(t *testing.T) {
	columns := []column{{title: "ID", min: 4}, {title: "NAME", min: 3, yields: 1}, {title: "STATE"}, {title: "DEVICE", min: 6, yields: 2}}
	rows := [][]string{
		{"0123456789", "Ada Lovelace", "active", "curl/8.5.0"},
		{"9876543210", "Łukasz", "off", ""},
	}
	for _, c := range []struct {
		name  string
		width int
		want  string
	}{
		{"a pipe", 0, `
ID          NAME          STATE   DEVICE
0123456789  Ada Lovelace  active  curl/8.5.0
9876543210  Łukasz        off
`}, {"wide enough", 44, `
ID          NAME          STATE   DEVICE
0123456789  Ada Lovelace  active  curl/8.5.0
9876543210  Łukasz        off
`}, {"what yields first is shortened first", 41, `
ID          NAME          STATE   DEVICE
0123456789  Ada Lovelace  active  curl/8…
9876543210  Łukasz        off
`}, {"then the next", 35, `
ID          NAME     STATE   DEVICE
0123456789  Ada Lo…  active  curl/…
9876543210  Łukasz   off
`}, {"and left out", 22, `
ID         NA…  STATE
01234567…  Ad…  active
98765432…  Łu…  off
`}, {"down to what stays", 13, `
ID     STATE
0123…  active
9876…  off
`}} {
		t.Run(c.name, func(t *testing.T) {
			var out bytes.Buffer
			tb := &table{w: &out, width: c.width, columns: columns}
			for _, row := range rows {
				tb.add(row...)
			}
			if err := tb.flush(); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(strings.TrimPrefix(c.want, "\n"), out.String()); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			for line := range strings.Lines(out.String()) {
				if n := utf8.RuneCountInString(line) - 1; c.width > 0 && n > c.width {
					t.Errorf("%d characters in a terminal of %d: %s", n, c.width, line)
				}
			}
		})
	}
}
