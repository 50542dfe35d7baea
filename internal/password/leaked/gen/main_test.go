package main

import (
	"bytes"
	"compress/gzip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/latchkey-auth/latchkey/internal/password/leaked/wordset"
)

func TestListsBecomeOneSet(t *testing.T) {
	dir := t.TempDir()
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	if _, err := z.Write([]byte("FootBall\r\nｓｕｎｓｈｉｎｅ\n\nshort\nabc123\n")); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	lists := map[string]string{"a.json": `["password","dragon","12345678"]`, "b.txt.gz": packed.String(), "c.txt": "dragon\nтрамвай"}
	for name, content := range lists {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	a, b, c, out := filepath.Join(dir, "a.json"), filepath.Join(dir, "b.txt.gz"), filepath.Join(dir, "c.txt"), filepath.Join(dir, "out")
	var written [][]byte
	for _, order := range [][]string{{a, b, c}, {c, b, a}} {
		var said strings.Builder
		if err := run(append([]string{"-o", out}, order...), &said); err != nil {
			t.Fatal(err)
		}
		if want := "out: 4 passwords of 8 characters and more, 2 words of 6 and 7 letters"; !strings.Contains(said.String(), want) {
			t.Errorf("it says\n%s\nwithout %q", said.String(), want)
		}
		data, err := os.ReadFile(out)
		if err != nil {
			t.Fatal(err)
		}
		written = append(written, data)
	}
	if !bytes.Equal(written[0], written[1]) {
		t.Error("the order of lists makes a difference")
	}
	set := wordset.Set(written[0])
	for word, want := range map[string]bool{
		"password": true, "football": true, "sunshine": true, "12345678": true, // long enough
		"dragon": true, "трамвай": true, // stems
		"short": false, "abc123": false, // neither
	} {
		if got := set.Has([]byte(word)); got != want {
			t.Errorf("%q: got %v, want %v", word, got, want)
		}
	}
}

func TestWhatCannotBeReadIsNamed(t *testing.T) {
	dir := t.TempDir()
	bad := filepath.Join(dir, "bad.json")
	if err := os.WriteFile(bad, []byte("password\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for want, args := range map[string][]string{
		"nothing to do":            {},
		"hint: gen -o":             {"list"},
		"reading " + bad:           {"-o", filepath.Join(dir, "out"), bad},
		"reading " + dir + "/none": {"-o", filepath.Join(dir, "out"), dir + "/none"},
	} {
		if err := run(args, &strings.Builder{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("run(%q) says %v, want %q", args, err, want)
		}
	}
}
