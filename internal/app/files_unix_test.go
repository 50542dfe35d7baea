//go:build unix

package app

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// TestSecretFilesAreTheirOwnersAlone: a secret that others can read, or replace, is
// refused with the command that mends it.
func TestSecretFilesAreTheirOwnersAlone(t *testing.T) {
	for _, c := range []struct {
		name      string
		file, dir os.FileMode
		wantChmod string // %: the directory; empty: taken
	}{
		{"as it is made", 0o600, 0o700, ""},
		{"read-only", 0o400, 0o500, ""},
		{"others can look into the directory", 0o600, 0o755, ""},
		{"others can read it", 0o604, 0o700, "chmod 600 %/secret"},
		{"the group can replace it", 0o600, 0o770, "chmod 700 %"},
		{"others can replace it, but not what is theirs", 0o600, os.ModeSticky | 0o777, "chmod 700 %"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "data")
			if err := os.Mkdir(dir, 0o700); err != nil {
				t.Fatal(err)
			}
			secret := filepath.Join(dir, "secret")
			if err := os.WriteFile(secret, nil, 0o600); err != nil {
				t.Fatal(err)
			}
			if err := errors.Join(os.Chmod(secret, c.file), os.Chmod(dir, c.dir)); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { os.Chmod(dir, 0o700) })
			err := checkSecretFile(secret)
			want := strings.ReplaceAll(c.wantChmod, "%", dir)
			if (err == nil) != (want == "") || err != nil && !strings.HasSuffix(err.Error(), want) {
				t.Errorf("got %v, want %q", err, want)
			}
		})
	}
}

// TestAccessIsExplained: of errors about files that are out of reach, and of no other.
func TestAccessIsExplained(t *testing.T) {
	dir := t.TempDir()
	if got := advise(dir, "write", unix.EROFS); !strings.Contains(got, dir+" is on a file system that is mounted read-only") {
		t.Errorf("a read-only mount: %s", got)
	}
	if plain := errors.New("x"); ExplainAccess(plain) != plain || ExplainAccess(nil) != nil {
		t.Error("other errors are changed")
	}
}
