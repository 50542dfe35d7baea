//go:build unix

package main

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// TestMasterKeyIsItsOwnersAlone: a key that others can read, or replace, is refused
// with the command that mends it. One that is named may be an orchestrator's.
func TestMasterKeyIsItsOwnersAlone(t *testing.T) {
	for _, c := range []struct {
		name      string
		key, dir  os.FileMode
		wantChmod string // %: the directory
	}{
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

// TestMasterKeyIsCheckedFirst: a directory that is refused for its master key is as
// it was, without a database, a newer schema or a log of one.
func TestMasterKeyIsCheckedFirst(t *testing.T) {
	names := func(dir string) (names []string) {
		entries, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			names = append(names, e.Name())
		}
		return names
	}
	for _, c := range []struct {
		name string
		mode os.FileMode // of the directory
		key  string      // content of a key that others can read; empty: none
	}{
		{"others can read the key", 0o700, "x"},
		{"others can write to the directory", 0o777, ""},
	} {
		for _, args := range [][]string{{"init"}, {"offline", "--addr", "127.0.0.1:0"}} {
			dir := t.TempDir()
			if err := os.Chmod(dir, c.mode); err != nil {
				t.Fatal(err)
			}
			if c.key != "" {
				if err := os.WriteFile(filepath.Join(dir, "master.key"), []byte(c.key), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			before := names(dir)
			if code, said := command(t, dir, "", args...); code != 1 || !strings.Contains(said, "the master key: ") {
				t.Errorf("%s, %v: status %d: %s", c.name, args, code, said)
			}
			if after := names(dir); !slices.Equal(before, after) {
				t.Errorf("%s, %v: the directory holds %v, want %v", c.name, args, after, before)
			}
		}
	}
}

// nobody is the user as whom tests run the program that are run as root, for whom no
// file is out of reach.
const nobody = 65534

// runUnprivileged runs the built program as a user who is not root.
func runUnprivileged(t *testing.T, args ...string) string {
	t.Helper()
	bin, err := buildBootstraps()
	if err != nil {
		t.Fatal(err)
	}
	dir := openTempDir(t)
	program := filepath.Join(dir, "latchkey")
	content, err := os.ReadFile(filepath.Join(bin, "latchkey"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(program, content, 0o755); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), startTimeout) // if it starts to serve all the same
	defer cancel()
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Dir, cmd.Env = dir, []string{}
	if os.Geteuid() == 0 {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	}
	said, err := cmd.CombinedOutput()
	if err == nil {
		t.Fatalf("%v succeeded: %s", args, said)
	}
	return string(said)
}

// openTempDir is a directory that everybody can look into.
func openTempDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "latchkey-test-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

// TestFilesOutOfReachAreNamed: an error about a file that the operating system does
// not let us at names the file, whose it is, who we are, and what to do.
func TestFilesOutOfReachAreNamed(t *testing.T) {
	uid := strconv.Itoa(os.Geteuid())
	if os.Geteuid() == 0 {
		uid = strconv.Itoa(nobody)
	}
	us := "user " + uid
	if u, err := user.LookupId(uid); err == nil {
		us = u.Username + " (user " + uid + ")"
	}
	// / belongs to root, also when another user runs the test.
	said := runUnprivileged(t, "init", "--data", "/")
	for _, want := range []string{"/ belongs to root (user 0) and has mode 0", "runs as " + us, "cannot write to it", "chown "} {
		if !strings.Contains(said, want) {
			t.Errorf("a directory of root: %s\nwant %q", said, want)
		}
	}
	// A directory of our own that its mode keeps us from.
	dir := filepath.Join(openTempDir(t), "data")
	must(t, dir, "", "init")
	ours(t, dir)
	if err := os.Chmod(dir, 0o600); err != nil {
		t.Fatal(err)
	}
	said = runUnprivileged(t, "users", "list", "--data", dir)
	if want := dir + " has mode 0600, which does not let its owner, " + us + ", enter it: chmod u+rwX " + dir; !strings.Contains(said, want) {
		t.Errorf("a directory that cannot be entered: %s\nwant %q", said, want)
	}
	if err := os.Chmod(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	// Files of our own that cannot be written or read.
	for _, c := range []struct {
		name string
		mode os.FileMode
	}{{"master.key", 0o200}, {"latchkey.db", 0o400}} {
		path, mode := filepath.Join(dir, c.name), c.mode
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		said = runUnprivileged(t, "serve", "--addr", "127.0.0.1:0", "--data", dir)
		if want := path + " has mode 0" + strconv.FormatUint(uint64(mode), 8); !strings.Contains(said, want) || !strings.Contains(said, "chmod u+rwX "+path) {
			t.Errorf("%s: %s\nwant %q", c.name, said, want)
		}
		if err := os.Chmod(path, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// ours gives the files to the user as whom the program runs.
func ours(t *testing.T, dir string) {
	t.Helper()
	if os.Geteuid() != 0 {
		return
	}
	err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		return errors.Join(err, os.Chown(path, nobody, nobody))
	})
	if err != nil {
		t.Fatal(err)
	}
}
