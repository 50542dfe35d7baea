package textfile_test

import (
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/latchkey-auth/latchkey/internal/textfile"
)

// encode returns text in UTF-16.
func encode(order binary.AppendByteOrder, text string) string {
	var doc []byte
	for _, unit := range utf16.Encode([]rune(text)) {
		doc = order.AppendUint16(doc, unit)
	}
	return string(doc)
}

func TestDecode(t *testing.T) {
	for name, c := range map[string]struct {
		doc, want string
		err       error
	}{
		"empty":                         {"", "", nil},
		"one byte":                      {"{", "{", nil},
		"UTF-8":                         {"issuer: https://é.example\n", "issuer: https://é.example\n", nil},
		"UTF-8 with a mark":             {"\ufeff{}", "{}", nil},
		"a mark alone":                  {"\ufeff", "", nil},
		"a mark further in":             {"a\ufeff", "a\ufeff", nil},
		"UTF-16 of PowerShell":          {encode(binary.LittleEndian, "\ufeff{}\r\n"), "", textfile.ErrUTF16},
		"UTF-16, big end first":         {encode(binary.BigEndian, "\ufeff{}"), "", textfile.ErrUTF16},
		"UTF-16 without a mark":         {encode(binary.LittleEndian, "{}"), "", textfile.ErrUTF16},
		"UTF-16 without, big end first": {encode(binary.BigEndian, "{}"), "", textfile.ErrUTF16},
	} {
		got, err := textfile.Decode([]byte(c.doc))
		if string(got) != c.want || !errors.Is(err, c.err) {
			t.Errorf("%s: got %q, %v; want %q, %v", name, got, err, c.want, c.err)
		}
	}
}

func TestReadFileNamesTheFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "routes.json")
	if err := os.WriteFile(path, []byte("\xff\xfe{\x00"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := textfile.ReadFile(path); err == nil || !strings.Contains(err.Error(), "routes.json is UTF-16; save it as UTF-8") {
		t.Errorf("got %v", err)
	}
	if _, err := textfile.ReadFile(path + ".none"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v, want ErrNotExist", err)
	}
}
