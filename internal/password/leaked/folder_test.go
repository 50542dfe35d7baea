package leaked_test

import (
	"crypto/sha1"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/latchkey-auth/latchkey/internal/password/leaked"
)

const breached = "seven green bicycles"

// split returns the name and the suffix under which a folder has a password.
func split(password string) (prefix, suffix string) {
	sum := sha1.Sum([]byte(password))
	digits := strings.ToUpper(hex.EncodeToString(sum[:]))
	return digits[:5], digits[5:]
}

// folder returns a folder with one file that a password would be looked up in.
func folder(t *testing.T, password, content string) string {
	t.Helper()
	dir := t.TempDir()
	prefix, _ := split(password)
	write(t, filepath.Join(dir, prefix+".txt"), content)
	return dir
}

func write(t *testing.T, name, content string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func open(t *testing.T, dir string) *leaked.Folder {
	t.Helper()
	f, err := leaked.OpenFolder(dir)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

var (
	first = strings.Repeat("0", 35) + ":3"
	last  = strings.Repeat("F", 35) + ":1"
)

func TestFolderKnowsWhatItHolds(t *testing.T) {
	prefix, suffix := split(breached)
	for name, c := range map[string]struct {
		content string
		want    bool
	}{
		"between others":               {first + "\r\n" + suffix + ":12\r\n" + last + "\r\n", true},
		"lines end in LF":              {first + "\n" + suffix + ":12\n" + last + "\n", true},
		"the last line has no end":     {first + "\r\n" + suffix + ":12", true},
		"lower case":                   {first + "\n" + strings.ToLower(suffix) + ":1\n", true},
		"not sorted":                   {last + "\n" + suffix + ":1\n" + first + "\n", true},
		"a count beyond 32 bits":       {suffix + ":18446744073709551615\n", true},
		"after 10,000 others":          {strings.Repeat(first+"\r\n", 10_000) + suffix + ":1\r\n", true},
		"others only":                  {first + "\r\n" + last + "\r\n", false},
		"as padding":                   {first + "\r\n" + suffix + ":0\r\n", false},
		"as padding with more noughts": {suffix + ":000\r\n", false},
		"as padding, then for good":    {suffix + ":0\r\n" + suffix + ":7\r\n", true},
	} {
		for _, file := range []string{prefix, prefix + ".txt", strings.ToLower(prefix), strings.ToLower(prefix) + ".txt"} {
			dir := t.TempDir()
			write(t, filepath.Join(dir, file), c.content)
			got, err := open(t, dir).Has(breached)
			if err != nil || got != c.want {
				t.Errorf("%s, in %s: got %v and %v, want %v", name, file, got, err, c.want)
			}
		}
	}
}

func TestFolderMayHoldAPart(t *testing.T) {
	f := open(t, folder(t, "something else", first+"\n"))
	if got, err := f.Has(breached); err != nil || got {
		t.Errorf("a password without a file: got %v and %v", got, err)
	}
}

func TestFolderKnowsAPasswordAsTypedAndNormalized(t *testing.T) {
	const typed, normal = "pile\u0301 ou face", "pil\u00e9 ou face"
	for _, stored := range []string{typed, normal} {
		_, suffix := split(stored)
		f := open(t, folder(t, stored, suffix+":1\n"))
		if got, err := f.Has(typed); err != nil || !got {
			t.Errorf("with the hash of %+q: got %v and %v", stored, got, err)
		}
	}
	_, suffix := split(typed)
	f := open(t, folder(t, typed, suffix+":1\n"))
	if got, err := f.Has(normal); err != nil || got {
		t.Errorf("the normal form alone: got %v and %v", got, err)
	}
}

func TestDamagedFileIsAnError(t *testing.T) {
	prefix, suffix := split(breached)
	for name, c := range map[string]struct {
		content string
		line    string
	}{
		"empty":               {"", "line 1"},
		"empty line":          {first + "\n\n" + suffix + ":1\n", "line 2"},
		"cut in the suffix":   {first + "\r\n" + last + "\r\n" + suffix[:20], "line 3"},
		"cut at the colon":    {first + "\r\n" + suffix + ":", "line 2"},
		"no colon":            {suffix + "\n", "line 1"},
		"a whole hash":        {prefix + suffix + ":1\n", "line 1"},
		"not hexadecimal":     {strings.Repeat("G", 35) + ":1\n", "line 1"},
		"negative count":      {suffix + ":-1\n", "line 1"},
		"count with a sign":   {suffix + ":+1\n", "line 1"},
		"count with a space":  {suffix + ": 1\n", "line 1"},
		"count of 66 bits":    {suffix + ":73786976294838206464\n", "line 1"},
		"no lines at all":     {strings.Repeat("0", 1<<20), "line 1"},
		"a page of HTML":      {"<!doctype html>\n<title>429</title>\n", "line 1"},
		"compressed":          {"\x1f\x8b\x08\x00\x00\x00\x00\x00", "line 1"},
		"UTF-16":              {"\xff\xfe0\x000\x00", "line 1"},
		"a stray byte at end": {first + "\n\x1a", "line 2"},
	} {
		got, err := open(t, folder(t, breached, c.content)).Has(breached)
		if got || !errors.Is(err, leaked.ErrFolder) {
			t.Errorf("%s: got %v and %v", name, got, err)
			continue
		}
		for _, want := range []string{prefix + ".txt: " + c.line + ":", "hint: "} {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %q does not say %q", name, err, want)
			}
		}
		if text := strings.ToUpper(err.Error()); strings.Contains(text, suffix[:8]) || strings.Contains(text, strings.ToUpper(breached)) {
			t.Errorf("%s: %q tells the hash or the password", name, err)
		}
	}
}

func TestUnreadableFileIsAnError(t *testing.T) {
	dir := folder(t, "something else", first+"\n")
	prefix, _ := split(breached)
	if err := os.Mkdir(filepath.Join(dir, prefix), 0o700); err != nil {
		t.Fatal(err)
	}
	if got, err := open(t, dir).Has(breached); got || !errors.Is(err, leaked.ErrFolder) {
		t.Errorf("a directory in the place of a file: got %v and %v", got, err)
	}
}

// An unmounted disk must not pass for a folder that knows no such password.
func TestFolderThatWasEmptiedIsAnError(t *testing.T) {
	dir := folder(t, "something else", first+"\n")
	f := open(t, dir)
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	if got, err := f.Has(breached); got || !errors.Is(err, leaked.ErrFolder) {
		t.Errorf("gone: got %v and %v", got, err)
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if got, err := f.Has(breached); got || !errors.Is(err, leaked.ErrFolder) {
		t.Errorf("empty: got %v and %v", got, err)
	}
}

func TestOpenFolderRefusesWhatIsNone(t *testing.T) {
	file := filepath.Join(t.TempDir(), "pwned.txt")
	write(t, file, first+"\n")
	other := t.TempDir()
	for _, name := range []string{"README.md", "0000", "000000.txt", "0000G.txt", "00000.gz", "00000.txt.txt"} {
		write(t, filepath.Join(other, name), "")
	}
	if err := os.Mkdir(filepath.Join(other, "00000"), 0o700); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct{ dir, says string }{
		"nothing there": {filepath.Join(other, "missing"), "opening breach folder"},
		"a file":        {file, "hint: name the directory"},
		"empty":         {t.TempDir(), "hint: let the Pwned Passwords downloader"},
		"other files":   {other, "hint: let the Pwned Passwords downloader"},
	} {
		if _, err := leaked.OpenFolder(c.dir); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: got %v, want an error that says %q", name, err, c.says)
		}
	}
}

func FuzzHasSuffix(f *testing.F) {
	_, suffix := split(breached)
	f.Add(first + "\r\n" + suffix + ":12\r\n" + last)
	f.Add(suffix + ":0")
	f.Add("")
	f.Add(suffix)
	f.Fuzz(func(t *testing.T, content string) {
		got, err := leaked.HasSuffix(strings.NewReader(content), suffix)
		if got && err != nil {
			t.Errorf("a verdict and the error %v", err)
		}
		// The plain reading of the same format.
		lines := strings.Split(content, "\n")
		named := slices.ContainsFunc(lines, func(line string) bool {
			digits, count, _ := strings.Cut(strings.TrimSuffix(line, "\r"), ":")
			return strings.EqualFold(digits, suffix) && strings.Trim(count, "0") != ""
		})
		if err == nil && got != named {
			t.Errorf("got %v, want %v", got, named)
		}
	})
}

func BenchmarkFolder(b *testing.B) {
	dir := b.TempDir()
	prefix, _ := split(breached)
	if err := os.WriteFile(filepath.Join(dir, prefix), []byte(strings.Repeat(first+"\r\n", 2_000)), 0o600); err != nil {
		b.Fatal(err)
	}
	f, err := leaked.OpenFolder(dir)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := f.Has(breached); err != nil {
			b.Fatal(err)
		}
	}
}
