// Package pgtest runs PostgreSQL for tests: a real server, one for each test binary, and
// an empty database for each test. LATCHKEY_TEST_POSTGRES_DSN names a server that runs
// already, as a user who may create databases.
//
// A server ends with the process that has started it, however that ends.
package pgtest

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// User owns every database of a server that is started here.
const User = "latchkey"

// shared is the server of the test binary.
var shared = sync.OnceValues(func() (*Server, error) {
	if dsn := os.Getenv("LATCHKEY_TEST_POSTGRES_DSN"); dsn != "" {
		return &Server{url: dsn}, nil
	}
	return start("fsync=off", "full_page_writes=off", "autovacuum=off", "checkpoint_timeout=1h", "max_wal_size=4GB")
})

// Database makes an empty database for a test, and returns its URL.
func Database(t testing.TB) string {
	t.Helper()
	s, err := shared()
	if err != nil {
		missing(t, err)
	}
	return s.Database(t)
}

// errAbsent: PostgreSQL is not installed.
var errAbsent = errors.New("PostgreSQL is not installed")

// missing skips the test on a machine without PostgreSQL, and fails it in CI, which can
// install it.
func missing(t testing.TB, err error) {
	t.Helper()
	if errors.Is(err, errAbsent) && os.Getenv("CI") != "true" {
		t.Skipf("NOT TESTED: %v (apt-get install postgresql pgbouncer; or LATCHKEY_TEST_POSTGRES_DSN)", err)
	}
	t.Fatal(err)
}

// Program returns the path of a program that a test needs, and skips or fails it as
// Database does where it is absent.
func Program(t testing.TB, name string) string {
	t.Helper()
	path, err := program(name)
	if err != nil {
		missing(t, fmt.Errorf("%w: no %s", errAbsent, name))
	}
	return path
}

func program(name string) (string, error) {
	if path, err := exec.LookPath(name); err == nil {
		return path, nil
	}
	if path := "/usr/sbin/" + name; exec.Command(path, "--version").Run() == nil {
		return path, nil
	}
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/" + name) // Debian's place
	if err != nil || len(found) == 0 {
		return "", exec.ErrNotFound
	}
	slices.Sort(found)
	return found[len(found)-1], nil
}

// A Server is a PostgreSQL of its own.
type Server struct {
	// Dir is where it lives; its socket is in there. Empty: it was running already.
	Dir   string
	url   string // of the database postgres
	args  []string
	mu    sync.Mutex
	guard *guard
	free  []string // databases that nobody uses
}

// Start starts a server for one test, with settings like "fsync=off". Without any it
// keeps what it has acknowledged as in production.
func Start(t testing.TB, settings ...string) *Server {
	t.Helper()
	s, err := start(settings...)
	if err != nil {
		missing(t, err)
	}
	t.Cleanup(s.Stop)
	return s
}

func start(settings ...string) (*Server, error) {
	initdb, err := program("initdb")
	if err != nil {
		return nil, errAbsent
	}
	dir, err := os.MkdirTemp("", "pg") // short: the path of a socket may have 107 bytes
	if err != nil {
		return nil, err
	}
	data := filepath.Join(dir, "data")
	init := exec.Command(initdb, "--pgdata", data, "--username", User, "--auth", "trust", "--no-sync", "--encoding", "UTF8", "--locale", "C.UTF-8")
	if err := unprivileged(init, dir); err != nil {
		return nil, err
	}
	if out, err := init.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("initdb: %w\n%s", err, out)
	}
	s := &Server{Dir: dir, url: fmt.Sprintf("postgres://%s@/postgres?host=%s", User, dir)}
	s.args = []string{"-D", data, "-k", dir, "-c", "listen_addresses=", "-c", "max_connections=200", "-c", "shared_buffers=32MB", "-c", "jit=off"}
	for _, setting := range settings {
		s.args = append(s.args, "-c", setting)
	}
	return s, s.Run()
}

// Run starts the server, again after Crash.
func (s *Server) Run() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	postgres, err := program("postgres")
	if err != nil {
		return errAbsent
	}
	if s.guard, err = guarded(s.Dir, postgres, s.args...); err != nil {
		return err
	}
	return s.wait()
}

const startTimeout = 30 * time.Second

// logEnd is the last of what a program has logged.
func logEnd(dir string) []byte {
	log, _ := os.ReadFile(filepath.Join(dir, "log"))
	return log[max(0, len(log)-2000):]
}

// wait returns when the server answers.
func (s *Server) wait() error {
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	for {
		conn, err := pgx.Connect(ctx, s.url)
		if err == nil {
			return conn.Close(ctx)
		}
		if ctx.Err() != nil {
			return fmt.Errorf("PostgreSQL does not start: %w\n%s", err, logEnd(s.Dir))
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// Crash kills every process of the server, as if the machine had failed; Run starts it
// again.
func (s *Server) Crash(t testing.TB) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(s.Dir, "data", "postmaster.pid"))
	if err != nil {
		t.Fatal(err)
	}
	pid, _, _ := strings.Cut(string(text), "\n")
	if err := exec.Command("/bin/sh", "-c", "kill -STOP "+pid).Run(); err != nil { // so that it starts no more
		t.Fatalf("stopping the server: %v", err)
	}
	children, err := exec.Command("pgrep", "-P", pid).Output()
	if err != nil {
		t.Fatalf("looking for the server's processes: %v", err)
	}
	for _, p := range append([]string{pid}, strings.Fields(string(children))...) {
		n, err := strconv.Atoi(p)
		if err != nil {
			t.Fatal(err)
		}
		if process, err := os.FindProcess(n); err == nil {
			_ = process.Kill() // one may have ended by itself
		}
	}
	s.end(true)
}

// Stop ends the server and removes what it has.
func (s *Server) Stop() { s.end(false) }

func (s *Server) end(keep bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.guard != nil {
		s.guard.end(keep)
		s.guard = nil
	}
}

var databases atomic.Int64

// Database returns the URL of an empty database, which is the test's alone. Those of a
// server of our own are emptied and used again: to make one takes longer than most tests.
func (s *Server) Database(t testing.TB) string {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if n := len(s.free); n > 0 {
		name := s.free[n-1]
		s.free = s.free[:n-1]
		t.Cleanup(func() { s.empty(t, name) })
		return s.URL(t, name)
	}
	name := fmt.Sprintf("latchkey_test_%d_%d", os.Getpid(), databases.Add(1))
	s.Exec(t, "CREATE DATABASE "+name+" ENCODING 'UTF8' TEMPLATE template0")
	t.Cleanup(func() {
		if s.Dir == "" {
			s.Exec(t, "DROP DATABASE "+name+" WITH (FORCE)")
		} else {
			s.empty(t, name)
		}
	})
	return s.URL(t, name)
}

// empty takes a database back, from programs that are still at it, too.
func (s *Server) empty(t testing.TB, name string) {
	Exec(t, s.URL(t, name),
		"SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()",
		"DROP SCHEMA public CASCADE", "CREATE SCHEMA public")
	s.mu.Lock()
	defer s.mu.Unlock()
	s.free = append(s.free, name)
}

// URL is that of a database.
func (s *Server) URL(t testing.TB, database string) string {
	t.Helper()
	u, err := url.Parse(s.url)
	if err != nil {
		t.Fatal(err)
	}
	u.Path = "/" + database
	return u.String()
}

// Exec runs statements on the server's own database.
func (s *Server) Exec(t testing.TB, statements ...string) {
	t.Helper()
	Exec(t, s.url, statements...)
}

// Exec runs statements on a database as another program would.
func Exec(t testing.TB, database string, statements ...string) {
	t.Helper()
	ctx := context.Background() // also when the test has ended
	conn, err := pgx.Connect(ctx, database)
	if err != nil {
		t.Errorf("connecting to PostgreSQL: %v", err)
		return
	}
	defer conn.Close(ctx)
	for _, text := range statements {
		if _, err := conn.Exec(ctx, text); err != nil {
			t.Errorf("%.60s: %v", strings.TrimSpace(text), err)
		}
	}
}
