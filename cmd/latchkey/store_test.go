package main

import (
	"bytes"
	"database/sql"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// command runs the program in this process, with the data directory and cheap
// hashes, and returns its exit status and what it says.
func command(t *testing.T, dir, stdin string, args ...string) (int, string) {
	t.Helper()
	t.Setenv("LATCHKEY_ARGON2", "m=64,t=1,p=1")
	var said bytes.Buffer
	code := run(t.Context(), append(args, "--data", dir), strings.NewReader(stdin), &said, &said)
	return code, said.String()
}

// must runs a command that succeeds.
func must(t *testing.T, dir, stdin string, args ...string) string {
	t.Helper()
	code, said := command(t, dir, stdin, args...)
	if code != 0 {
		t.Fatalf("%v: %d %s", args, code, said)
	}
	return said
}

// files is every file below a directory with its mode and content.
func files(t *testing.T, dir string) string {
	t.Helper()
	var all strings.Builder
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		content, err := os.ReadFile(path)
		fmt.Fprintf(&all, "%s %v %x\n", path, info.Mode(), content)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all.String()
}

// TestProductionAndLocalStayApart: offline and invoke refuse what init has made, and
// init, serve and Lambda what offline has made, by name and before anything changes.
func TestProductionAndLocalStayApart(t *testing.T) {
	production, local := filepath.Join(t.TempDir(), "production"), filepath.Join(t.TempDir(), "local")
	must(t, production, "", "init")
	must(t, local, "{}", "invoke", "publicEndpoint")
	unmarked := filepath.Join(t.TempDir(), "unmarked")
	must(t, unmarked, "", "init")
	unmark(t, unmarked)

	for _, c := range []struct {
		dir  string
		args []string
		want string
	}{
		{production, []string{"offline", "--addr", "127.0.0.1:0"}, production + " is a production directory: "},
		{production, []string{"invoke", "login"}, production + " is a production directory: "},
		{unmarked, []string{"offline", "--addr", "127.0.0.1:0"}, "latchkey store mark --local --data " + unmarked},
		{unmarked, []string{"invoke", "login"}, "latchkey store mark --local --data " + unmarked},
		{local, []string{"serve", "--addr", "127.0.0.1:0"}, local + " belongs to offline"},
		{local, []string{"init"}, local + " belongs to offline"},
	} {
		t.Run(c.args[0]+" on "+filepath.Base(c.dir), func(t *testing.T) {
			before := files(t, c.dir)
			if code, said := command(t, c.dir, "{}", c.args...); code != 1 || !strings.Contains(said, c.want) {
				t.Errorf("status %d: %s\nwant %q", code, said, c.want)
			}
			if files(t, c.dir) != before {
				t.Error("the refusal has changed something")
			}
		})
	}
	t.Run("Lambda on local", func(t *testing.T) {
		before := files(t, local)
		api := startBootstrap(t, "latchkey", t.TempDir(), "_HANDLER=auth", "LATCHKEY_DATA="+local, "LATCHKEY_PUBLIC_URL=https://auth.example.com")
		if got := api.initError(t); !strings.Contains(got, "belongs to offline") {
			t.Errorf("the bootstrap says %s", got)
		}
		if files(t, local) != before {
			t.Error("the refusal has changed something")
		}
	})
	for _, dir := range []string{production, local, unmarked} { // what works on both
		must(t, dir, "", "users", "list")
		must(t, dir, "", "keys", "list")
		must(t, dir, "", "events")
	}
}

// TestFunctionNeedsTheMasterKey: one that a function made would be gone with its execution
// environment, and what is in the shared store could be read by nobody.
func TestFunctionNeedsTheMasterKey(t *testing.T) {
	for env, want := range map[string]string{
		"LATCHKEY_STORE=dynamodb://latchkey?region=eu-west-1": "LATCHKEY_MASTER_KEY is not set: what is in dynamodb://latchkey?region=eu-west-1 is sealed",
		"LATCHKEY_STORE=dynamodb://latchkey?regoin=eu-west-1": "unknown parameter",
		"APP_NAME=x": "LATCHKEY_STORE is not set",
	} {
		api := startBootstrap(t, "latchkey", t.TempDir(), "_HANDLER=auth", env, "LATCHKEY_PUBLIC_URL=https://auth.example.com")
		if got := api.initError(t); !strings.Contains(got, want) {
			t.Errorf("%s: the bootstrap says %s\nwant %q", env, got, want)
		}
	}
}

// unmark makes the database one of a program that knew no marks.
func unmark(t *testing.T, dir string) {
	t.Helper()
	db, err := sql.Open("sqlite", filepath.Join(dir, "latchkey.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Exec(`DROP TABLE store_kind`); err != nil {
		t.Fatal(err)
	}
}

// TestStoreMark: a directory that offline of an earlier version made can be marked,
// one that a service has cannot.
func TestStoreMark(t *testing.T) {
	refused := func(dir, want string, args ...string) {
		t.Helper()
		if code, said := command(t, dir, "", append([]string{"store", "mark"}, args...)...); code == 0 || !strings.Contains(said, want) {
			t.Errorf("mark %v: status %d: %s\nwant %q", args, code, said, want)
		}
	}
	earlier := filepath.Join(t.TempDir(), "earlier")
	must(t, earlier, "{}", "invoke", "publicEndpoint")
	unmark(t, earlier)
	refused(earlier, "--local", "--yes")
	refused(earlier, "confirm with --yes", "--local")
	refused(earlier, "its demo user francesco can log in", "--production", "--yes")
	if said := must(t, earlier, "", "store", "mark", "--local", "--yes"); !strings.Contains(said, "is marked local") {
		t.Errorf("got %s", said)
	}
	must(t, earlier, "{}", "invoke", "publicEndpoint")

	service := filepath.Join(t.TempDir(), "service")
	must(t, service, "", "init")
	refused(service, "is a production directory and stays one", "--local", "--yes")
	unmark(t, service)
	refused(service, "the demo user is not in", "--local", "--yes")
	must(t, service, "", "store", "mark", "--production", "--yes")

	missing := filepath.Join(t.TempDir(), "missing")
	refused(missing, "there is no database", "--local", "--yes")
	if _, err := os.Stat(missing); err == nil {
		t.Error("the refusal has made the directory")
	}
}

// TestDataDirectoryIsNotCommitted: in a directory that the program makes git finds
// nothing; in one that was there it changes nothing.
func TestDataDirectoryIsNotCommitted(t *testing.T) {
	for name, make := range map[string][]string{"init": {"init"}, "invoke": {"invoke", "publicEndpoint"}} {
		dir := filepath.Join(t.TempDir(), "new")
		must(t, dir, "{}", make...)
		if text, err := os.ReadFile(filepath.Join(dir, ".gitignore")); err != nil || string(text) != "*\n" {
			t.Errorf("%s: .gitignore is %q, %v", name, text, err)
		}
		there := t.TempDir()
		must(t, there, "{}", make...)
		if _, err := os.Stat(filepath.Join(there, ".gitignore")); err == nil {
			t.Errorf("%s has put a .gitignore into a directory that it has not made", name)
		}
	}
}
