package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestConfigIsFollowed looks at a file that changes, is broken, and goes.
func TestConfigIsFollowed(t *testing.T) {
	path := filepath.Join(t.TempDir(), "latchkey.yaml")
	var log bytes.Buffer
	var applied []string
	f := &configFollower{
		log: slog.New(slog.NewTextHandler(&log, nil)), settings: map[string]string{"addr": "127.0.0.1:4000"},
		apply: func(c fileConfig) error {
			if c.routes[0].To == "nowhere" {
				return errors.New("leads nowhere")
			}
			applied = append(applied, c.routes[0].String())
			return nil
		},
		current: fileConfig{named: path},
	}
	content := func(route, to string) string {
		return "addr: 127.0.0.1:4000\nroutes:\n  - route: " + route + "\n    to: " + to + "\n"
	}
	for _, step := range []struct {
		name, content string // empty: none
		looks         int
		applied       []string // so far
		logged        string
	}{
		{"there is none", "", 3, nil, ""},
		{"it may be half written", content("GET /a", "x"), 1, nil, ""},
		{"it has settled", content("GET /a", "x"), 1, []string{"GET /a"}, "routes are read again"},
		{"nothing changes", content("GET /a", "x"), 3, []string{"GET /a"}, ""},
		{"it is broken", "routes: [", 2, []string{"GET /a"}, "the routes stay as they are"},
		{"it says so once", "routes: [", 3, []string{"GET /a"}, ""},
		{"it cannot be used", content("GET /b", "nowhere"), 2, []string{"GET /a"}, "leads nowhere"},
		{"it is gone", "", 2, []string{"GET /a"}, "is gone; the routes stay"},
		{"it says that once", "", 3, []string{"GET /a"}, ""},
		{"it is back", content("GET /c", "x"), 2, []string{"GET /a", "GET /c"}, "routes are read again"},
		{"a setting changes", "limits: off\n" + content("GET /d", "x"), 2, []string{"GET /a", "GET /c", "GET /d"}, "take effect after a restart\" settings=limits"},
		{"a byte order mark", "\ufeff" + content("GET /e", "x"), 2, []string{"GET /a", "GET /c", "GET /d", "GET /e"}, "routes are read again"},
		{"another encoding", "\xff\xfea\x00", 2, []string{"GET /a", "GET /c", "GET /d", "GET /e"}, "latchkey.yaml is UTF-16; save it as UTF-8"},
		{"that is gone too", "", 2, []string{"GET /a", "GET /c", "GET /d", "GET /e"}, "is gone; the routes stay"},
	} {
		log.Reset()
		if step.content == "" {
			os.Remove(path)
		} else if old, _ := os.ReadFile(path); string(old) != step.content {
			if err := os.WriteFile(path, []byte(step.content), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		for range step.looks {
			f.look()
		}
		if !slices.Equal(applied, step.applied) {
			t.Errorf("%s: applied %q, want %q", step.name, applied, step.applied)
		}
		if got := log.String(); (got == "") != (step.logged == "") || !strings.Contains(got, step.logged) {
			t.Errorf("%s: logged %q, want %q", step.name, got, step.logged)
		}
	}
}

// TestTouchedConfigIsNotReadAgain saves a file with a byte order mark as it was.
func TestTouchedConfigIsNotReadAgain(t *testing.T) {
	path := filepath.Join(t.TempDir(), "latchkey.yaml")
	if err := os.WriteFile(path, []byte("\ufeffroutes:\n  - route: GET /a\n    to: x\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	started, err := readConfig(path)
	if err != nil {
		t.Fatal(err)
	}
	f := &configFollower{log: slog.New(slog.DiscardHandler), settings: started.settings, current: started, apply: func(fileConfig) error {
		t.Error("the same file is applied again")
		return nil
	}}
	f.read()
}

// TestOfflineFollowsItsFile changes the routes of the program while it runs.
func TestOfflineFollowsItsFile(t *testing.T) {
	t.Parallel()
	bin, err := buildBootstraps()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	write := func(content string) {
		if err := os.WriteFile(filepath.Join(dir, "latchkey.yaml"), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	const route = "routes:\n  - route: GET /orders/{id}\n    to: publicEndpoint\n"
	write(route + "    public: true\n")
	ctx, cancel := context.WithTimeout(t.Context(), startTimeout)
	cmd := exec.CommandContext(ctx, filepath.Join(bin, "latchkey"), "offline", "--addr", "127.0.0.1:0", "--data", ":memory:")
	cmd.Dir, cmd.Env = dir, cheapHash
	out, outErr := cmd.StdoutPipe()
	log, logErr := cmd.StderrPipe()
	if err := errors.Join(outErr, logErr, cmd.Start()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cancel(); cmd.Wait() })
	said, logged := bufio.NewScanner(out), bufio.NewScanner(log)
	base := ""
	for base == "" && said.Scan() {
		base, _ = strings.CutPrefix(said.Text(), "listening on ")
		if base == said.Text() {
			base = ""
		}
	}
	wait := func(text string) string {
		for logged.Scan() {
			if strings.Contains(logged.Text(), text) {
				return logged.Text()
			}
		}
		t.Fatalf("the log does not say %q", text)
		return ""
	}
	status := func() int {
		res, err := http.Get(base + "/orders/7")
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		return res.StatusCode
	}
	if got := status(); got != http.StatusOK {
		t.Fatalf("a public route: %d", got)
	}
	write(route)
	wait("routes are read again")
	if got := status(); got != http.StatusUnauthorized {
		t.Errorf("the route is not public any more: %d", got)
	}
	write(route + "    publik: true\n")
	var line struct{ Error string }
	if err := json.Unmarshal([]byte(wait("the routes stay as they are")), &line); err != nil || !strings.HasSuffix(line.Error, `unknown member "publik": did you mean "public"?`) {
		t.Errorf("%q, %v", line.Error, err)
	}
	if got := status(); got != http.StatusUnauthorized {
		t.Errorf("by a file that is refused: %d", got)
	}
}
