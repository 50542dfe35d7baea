package hashworker

import (
	"bytes"
	"log/slog"
	"os"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/latchkey-auth/latchkey/internal/password/passhash"
)

// The test binary is the worker too, as the program is.
func TestMain(m *testing.M) {
	if len(os.Args) == 2 && os.Args[1] == Command {
		if err := Work(os.Stdin, os.Stdout); err != nil {
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

var cheap = passhash.Argon2{Memory: 8, Time: 1, Threads: 1}

const password = "correct horse battery"

// logged is a log that tests read.
type logged struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

// count is how many lines begin with a message.
func (l *logged) count(message string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.text.String(), `msg="`+message)
}

const (
	here      = "no process for password hashes"
	restarted = "a process for password hashes is gone"
	late      = "a process for password hashes was ended"
)

func newPool(t *testing.T) (*Pool, *logged) {
	log := new(logged)
	p := New(slog.New(slog.NewTextHandler(log, nil)))
	t.Cleanup(p.Close)
	return p, log
}

// check has the pool make a hash and check it, and passhash check the same.
func check(t *testing.T, p *Pool, password string) {
	t.Helper()
	h := p.New(cheap, password)
	if !h.Matches(password) || h.WeakerThan(cheap) {
		t.Errorf("the hash of %q is %v", password, h)
	}
	if !p.Matches(h, password) {
		t.Errorf("%q does not match its own hash", password)
	}
	if p.Matches(h, password+"x") {
		t.Errorf("%q matches the hash of %q", password+"x", password)
	}
}

// TestWorkersDoAsPasshashDoes, with every byte of a password and all kinds of
// hashes.
func TestWorkersDoAsPasshashDoes(t *testing.T) {
	p, log := newPool(t)
	for _, password := range []string{
		password, "", " ", "\x00\n\"", "\xff\xfe", "e\u0301", "\u00e9", "\ufb01", strings.Repeat("long", 256),
	} {
		check(t, p, password)
	}
	for text, password := range map[string]string{
		"$2b$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW": "U*U", // Openwall's test vector
		"$5$saltstring$5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc5":    "Hello world!",
	} {
		h, err := passhash.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		if !p.Matches(h, password) || p.Matches(h, "another") {
			t.Errorf("%s is not checked as passhash does", text)
		}
	}
	if p.Matches(passhash.Hash{}, "") {
		t.Error("no hash at all matches")
	}
	if a, b := p.New(cheap, password), p.New(cheap, password); a == b {
		t.Error("two hashes have one salt")
	}
	if n := log.count(here); n != 1 { // of no hash at all
		t.Errorf("%d jobs were done in this process, want 1: %s", n, log.text.String())
	}
}

// TestOneWorkerAtATimeIsOneWorker: a worker is used again.
func TestOneWorkerAtATimeIsOneWorker(t *testing.T) {
	p, _ := newPool(t)
	check(t, p, password)
	first := pidOf(t, p)
	check(t, p, password)
	if now := pidOf(t, p); now != first {
		t.Errorf("the worker is %d, want %d as before", now, first)
	}
}

// pidOf is the process of the only worker.
func pidOf(t *testing.T, p *Pool) int {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.idle) != 1 {
		t.Fatalf("%d workers, want one", len(p.idle))
	}
	return p.idle[0].cmd.Process.Pid
}

// TestKilledWorkersAreReplaced: nobody notices who asks.
func TestKilledWorkersAreReplaced(t *testing.T) {
	p, log := newPool(t)
	check(t, p, password)
	killed := pidOf(t, p)
	p.idle[0].cmd.Process.Kill()
	check(t, p, password)
	if pidOf(t, p) == killed {
		t.Error("the worker that was killed is still there")
	}
	if log.count(restarted) != 1 || log.count(here) != 0 {
		t.Errorf("the log is:\n%s", log.text.String())
	}
}

// TestWithoutProcesses: then this process makes the hashes, says so, and does not
// try again with every hash.
func TestWithoutProcesses(t *testing.T) {
	for name, c := range map[string]struct{ program, cause string }{ // a cause is a pattern
		"no program":                {"/nonexistent", "no such file"},
		"one that is none of ours":  {"/bin/true", "EOF|broken pipe"}, // before it is asked, or then
		"one that says what it has": {"/bin/sh", "hash-worker"},       // it finds no such script
	} {
		t.Run(name, func(t *testing.T) {
			p, log := newPool(t)
			p.program = func() (string, error) { return c.program, nil }
			for range 3 {
				check(t, p, password)
			}
			if n := log.count(here); n != 1 {
				t.Errorf("it is said %d times, want once:\n%s", n, log.text.String())
			}
			if !regexp.MustCompile(c.cause).MatchString(log.text.String()) {
				t.Errorf("the log does not say why:\n%s", log.text.String())
			}
			p.program, p.retry = executable, time.Now()
			check(t, p, password)
			pidOf(t, p)
		})
	}
}

// TestAsManyWorkersAsAreAskedAtATime, and one answer each.
func TestAsManyWorkersAsAreAskedAtATime(t *testing.T) {
	p, log := newPool(t)
	var wg sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for range 20 {
				check(t, p, password)
			}
		})
	}
	wg.Wait()
	if n := len(p.idle); n > runtime.GOMAXPROCS(0) {
		t.Errorf("%d workers", n)
	}
	if log.text.Len() > 0 {
		t.Errorf("the log is:\n%s", log.text.String())
	}
}

// TestWorkReadsJobsAlone: what is none ends it.
func TestWorkReadsJobsAlone(t *testing.T) {
	for _, input := range []string{"GET / HTTP/1.1\r\n\r\n", "\x03\x02\x01\x00", "{}"} {
		if err := work(strings.NewReader(input), new(bytes.Buffer)); err == nil {
			t.Errorf("%q is taken for a job", input)
		}
	}
	if err := work(strings.NewReader(""), new(bytes.Buffer)); err != nil {
		t.Errorf("no job is %v", err)
	}
}
