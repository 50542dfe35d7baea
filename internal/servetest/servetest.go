// Package servetest runs the built program as a service on any store, for the tests of
// stores: see [Walk] and [Together].
package servetest

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// A Program is latchkey in a directory of its own, with the store that its variables name.
type Program struct {
	bin, dir string
	env      []string
	mailbox  *mailbox
}

// New returns the program with a directory that is empty, a mailbox that all mail goes to,
// and further variables, NAME=VALUE: LATCHKEY_STORE is among them.
func New(t testing.TB, env ...string) *Program {
	t.Helper()
	bin, err := Build()
	if err != nil {
		t.Fatal(err)
	}
	m := openMailbox(t)
	env = append(env, "PATH="+os.Getenv("PATH"), "HOME="+t.TempDir(), "GOCOVERDIR="+os.Getenv("GOCOVERDIR"), "LATCHKEY_ARGON2=m=64,t=1,p=1") // cheap hashes: what they cost is not what this is about
	return &Program{bin, t.TempDir(), env, m}
}

// Build makes the program once, whichever module the test is of, and returns its path. It
// is built as it is shipped: another way would compile SQLite and all else once more.
var Build = sync.OnceValues(func() (string, error) {
	root, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/latchkey-auth/latchkey").Output()
	if err != nil {
		return "", fmt.Errorf("looking for the module: %w", err)
	}
	dir, err := os.MkdirTemp("", "latchkey-servetest-")
	if err != nil {
		return "", err
	}
	built = dir
	cmd := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w", "-o", dir, "./cmd/latchkey")
	cmd.Dir, cmd.Env = strings.TrimSpace(string(root)), append(os.Environ(), "CGO_ENABLED=0")
	if said, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building latchkey: %w: %s", err, said)
	}
	return filepath.Join(dir, "latchkey"), nil
})

var built string

// Clean removes what was built. TestMain calls it at the end.
func Clean() {
	if built != "" {
		os.RemoveAll(built)
	}
}

func (p *Program) command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, p.bin, args...)
	cmd.Dir, cmd.Env = p.dir, slices.Clone(p.env)
	return cmd
}

// Try runs a command, and returns its exit status and all it says. One that does not end,
// as a server that should have refused to start, is killed after a while.
func (p *Program) Try(t testing.TB, stdin string, args ...string) (int, string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cmd := p.command(ctx, args...)
	cmd.Stdin = strings.NewReader(stdin)
	said, err := cmd.CombinedOutput()
	if cmd.ProcessState == nil {
		t.Fatalf("latchkey %v: %v", args, err)
	}
	return cmd.ProcessState.ExitCode(), string(said)
}

// Run runs a command that succeeds, and returns all it says.
func (p *Program) Run(t testing.TB, stdin string, args ...string) string {
	t.Helper()
	code, said := p.Try(t, stdin, args...)
	if code != 0 {
		t.Fatalf("latchkey %v: exit status %d: %s", args, code, said)
	}
	return said
}

// A Server is the program as it serves.
type Server struct {
	url  string
	peer string // whom requests are said to come from; empty: nothing is said
	cmd  *exec.Cmd
	log  *bytes.Buffer
	// stopped is closed when it has ended, and log may be read.
	stopped chan struct{}
}

// from is the server, asked by a client at an address. It takes the word of one proxy.
func (s *Server) from(address string) *Server {
	same := *s
	same.peer = address
	return &same
}

// patience is generous: a loaded machine is no failure.
const patience = 60 * time.Second

// Serve starts a server; it is killed when the test ends.
func (p *Program) Serve(t testing.TB, args ...string) *Server {
	t.Helper()
	args = append([]string{"serve", "--addr", "127.0.0.1:0", "--public-url", "https://auth.example.com", "--mail-from", "mail@example.com"}, args...)
	s := &Server{cmd: p.command(context.Background(), args...), log: new(bytes.Buffer), stopped: make(chan struct{})}
	s.cmd.Stderr = s.log
	s.cmd.Env = append(s.cmd.Env, "LATCHKEY_MAIL_URL=smtp://"+p.mailbox.address)
	out, err := s.cmd.StdoutPipe()
	if err == nil {
		err = s.cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	ready := make(chan string, 1)
	go func() {
		defer close(s.stopped)
		defer close(ready)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			if url, ok := strings.CutPrefix(lines.Text(), "listening on "); ok {
				ready <- url
			}
		}
		s.cmd.Wait() // which has copied the log then
	}()
	t.Cleanup(func() {
		s.cmd.Process.Kill()
		<-s.stopped
		if t.Failed() {
			t.Logf("latchkey %v says: %s", args, s.log)
		}
	})
	select {
	case url, ok := <-ready:
		if !ok {
			t.Fatalf("latchkey %v ended before it listened", args)
		}
		s.url = url
	case <-time.After(patience):
		t.Fatalf("latchkey %v did not listen within %s", args, patience)
	}
	return s
}

// Stop ends the server as an operator would, and returns its log.
func (s *Server) Stop(t testing.TB) string {
	t.Helper()
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	select {
	case <-s.stopped:
	case <-time.After(patience):
		t.Fatalf("the server has not ended within %s", patience)
	}
	return s.log.String()
}

// An Answer is what a server says.
type Answer struct {
	Status int
	Body   string
	// Members are those of the body, where that is an object.
	Members map[string]any
}

// text is a member of the body.
func (a Answer) text(name string) string {
	s, _ := a.Members[name].(string)
	return s
}

var client = &http.Client{Timeout: patience, Transport: &http.Transport{MaxIdleConnsPerHost: 64}}

// Call makes a request with a JSON body, and with a bearer token unless it is empty.
func (s *Server) Call(t testing.TB, method, path, bearer, body string) Answer {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, s.url+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	if s.peer != "" {
		r.Header.Set("X-Forwarded-For", s.peer)
	}
	if bearer != "" {
		r.Header.Set("Authorization", "Bearer "+bearer)
	}
	res, err := client.Do(r)
	if err != nil {
		t.Errorf("%s %s: %v", method, path, err)
		return Answer{}
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Errorf("%s %s: %v", method, path, err)
	}
	a := Answer{Status: res.StatusCode, Body: string(text)}
	_ = json.Unmarshal(text, &a.Members) // not every body is an object
	return a
}

// want is Call for a request that must be answered with the status.
func (s *Server) want(t testing.TB, status int, method, path, bearer, body string) Answer {
	t.Helper()
	a := s.Call(t, method, path, bearer, body)
	if a.Status != status {
		t.Fatalf("%s %s: status %d, want %d: %s", method, path, a.Status, status, a.Body)
	}
	return a
}

// login returns the tokens of a new session.
func (s *Server) login(t testing.TB, name, password string) (access, refresh string) {
	t.Helper()
	a := s.want(t, 200, "POST", "/login", "", object("username", name, "password", password))
	return a.text("access_token"), a.text("refresh_token")
}

// object is a JSON object of texts: name, value, name, value, …
func object(pairs ...string) string {
	m := make(map[string]string)
	for i := 0; i+1 < len(pairs); i += 2 {
		m[pairs[i]] = pairs[i+1]
	}
	text, err := json.Marshal(m)
	if err != nil {
		panic(err) // texts always are JSON
	}
	return string(text)
}
