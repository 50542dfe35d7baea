//go:build unix

package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestMasterKeyIsItsOwnersAlone: a key that others can read, or replace, is refused
// with the command that mends it. One that is named may be an orchestrator's.
func TestMasterKeyIsItsOwnersAlone(t *testing.T) {
	for _, c := range []struct {
		name      string
		key, dir  os.FileMode
		wantChmod string // %: the directory; empty: taken
	}{
		{"as it is made", 0o600, 0o700, ""},
		{"read-only", 0o400, 0o500, ""},
		{"others can look into the directory", 0o600, 0o755, ""},
		{"the group can read it", 0o640, 0o700, "chmod 600 %/master.key"},
		{"others can read it", 0o604, 0o700, "chmod 600 %/master.key"},
		{"others can write it", 0o602, 0o700, "chmod 600 %/master.key"},
		{"the group can replace it", 0o600, 0o770, "chmod 700 %"},
		{"others can replace it", 0o600, 0o703, "chmod 700 %"},
		{"others can replace it, but not what is theirs", 0o600, os.ModeSticky | 0o777, "chmod 700 %"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "data")
			must(t, dir, "", "init")
			key := filepath.Join(dir, "master.key")
			if err := os.Chmod(key, c.key); err != nil {
				t.Fatal(err)
			}
			if err := os.Chmod(dir, c.dir); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { os.Chmod(dir, 0o700) })
			want := strings.ReplaceAll(c.wantChmod, "%", dir)
			err := checkSecretFile(key)
			if c.wantChmod == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Fatalf("got %v, want %q", err, want)
			}
			for _, args := range [][]string{{"serve", "--addr", "127.0.0.1:0"}, {"init"}, {"users", "list"}, {"keys", "list"}, {"events"}} {
				if code, said := command(t, dir, "", args...); code != 1 || !strings.Contains(said, want) {
					t.Errorf("%v: status %d: %s\nwant %q", args, code, said, want)
				}
			}
			mounted := filepath.Join(t.TempDir(), "key")
			text, err := os.ReadFile(key)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(mounted, text, 0o444); err != nil {
				t.Fatal(err)
			}
			must(t, dir, "", "users", "list", "--master-key-file", mounted)
		})
	}
}
