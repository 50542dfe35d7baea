package main

import (
	"database/sql"
	"fmt"
	"maps"
	"math/rand/v2"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// TestTrialMailCrash kills serve again and again while four writers register and
// ask for new passwords, and the mail server hangs up, says nothing, or works.
// Each mail that was promised by a 202 arrives in the end, once at least.
func TestTrialMailCrash(t *testing.T) {
	g := newGate(t)
	mails, stop := newSinkOn(g)
	t.Cleanup(stop)
	env := append([]string{"LATCHKEY_MAIL_URL=" + mails.url}, cheapHash...)
	dir := initialized(t, env)
	cycles := inForm(9, 99)
	maxOwners := int64(cycles) * 200
	write(t, dir, "owners.jsonl", manyUsers("owner", int(maxOwners)))
	runLatchkey(t, dir, env, "", "users", "import", "--data", "data", "owners.jsonl")
	start := func() *program { return startService(t, dir, env, "--mail-from", "mail@example.com") }

	var registered, forgotten []string
	var owners atomic.Int64
	for cycle := range cycles {
		g.be(manners[cycle%len(manners)])
		before := mails.count()
		p := start()
		c := newCaller(t)
		first := fmt.Sprintf("user%d@example.com", cycle)
		c.must(t, http.StatusAccepted, p.url, "", "POST /register", "email", first, "password", trialPassword)
		registered = append(registered, first)
		g.await(t) // its delivery, or that of an earlier one, has begun
		latest := make([]promises, crashWriters)
		var writers sync.WaitGroup
		for i := range latest {
			writers.Go(func() {
				latest[i].write(t, c, p.url, fmt.Sprintf("user%d-%d", cycle, i), func() (string, bool) {
					n := owners.Add(1) - 1
					return fmt.Sprintf("owner%d@example.com", n), n < maxOwners
				})
			})
		}
		// The moment of the crash, where mails go out one between two of them or in one.
		time.Sleep(20*time.Millisecond + rand.N(60*time.Millisecond))
		if g.manner == working {
			if n := before + 1 + rand.N(20); !mails.have(n) {
				t.Fatalf("%d mails have come, want %d", mails.count(), n)
			}
		}
		p.stop()
		writers.Wait()
		c.CloseIdleConnections()
		for _, one := range latest {
			registered = append(registered, one.registered...)
			forgotten = append(forgotten, one.forgotten...)
		}
		if t.Failed() {
			t.Fatalf("in cycle %d", cycle)
		}
	}
	early := mails.count()
	if len(forgotten) == 0 {
		t.Fatal("nobody was promised a new password")
	}

	db, err := sql.Open("sqlite", filepath.Join(dir, "data", "latchkey.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	// What was tried in vain, or was under way at a crash, is due a minute later. The
	// full form waits for that, in the short one the minute is over at once.
	patience := 5 * time.Minute
	if !fullTrial() {
		patience = startTimeout
		if _, err := db.Exec(`UPDATE mails SET due_at = created_at`); err != nil {
			t.Fatal(err)
		}
	}
	g.be(working)
	p := start()
	missing := missingFrom(slices.Concat(registered, forgotten))
	if _, ok := mails.waitFor(patience, func(all []delivery) (string, bool) { return "", len(missing(all)) == 0 }); !ok {
		lost := missing(mails.all())
		t.Fatalf("%d of %d mails have not come, the first to %s", len(lost), len(registered)+len(forgotten), lost[0])
	}
	c := newCaller(t)
	c.must(t, http.StatusNoContent, p.url, "", "POST /email/verify", "token", mails.token(t, registered[0]))
	c.must(t, http.StatusOK, p.url, "", "POST /login", "username", registered[0], "password", trialPassword)
	c.must(t, http.StatusNoContent, p.url, "", "POST /password/reset", "token", mails.token(t, forgotten[0]), "password", trialPassword)
	c.must(t, http.StatusOK, p.url, "", "POST /login", "username", forgotten[0], "password", trialPassword)
	checkSound(t, db)
	t.Logf("%d crashes; %d mails for registrations and %d for new passwords were promised; %d had come before the end, %d in all",
		cycles, len(registered), len(forgotten), early, mails.count())
}

// promises are addresses to which a mail was promised.
type promises struct{ registered, forgotten []string }

// write asks for mails by turns, to new addresses and to those of owners, until
// a request gets no answer. Every answer is a promise, or the test fails.
func (p *promises) write(t *testing.T, c *caller, url, name string, owner func() (email string, ok bool)) {
	for i := 0; ; i++ {
		route, list, members := "POST /register", &p.registered, []string{"email", fmt.Sprintf("%s-%d@example.com", name, i), "password", trialPassword}
		if i%2 == 1 {
			if email, ok := owner(); ok {
				route, list, members = "POST /password/forgot", &p.forgotten, []string{"email", email}
			}
		}
		answer, err := c.call(url, "", route, members...)
		if err != nil {
			return
		}
		if answer.status != http.StatusAccepted {
			t.Errorf("%s of %s is answered %v, want 202", route, members[1], answer)
			return
		}
		*list = append(*list, members[1])
	}
}

// missingFrom returns a function that says to which of the addresses no mail with
// a link has come. It is asked about more and more mails, and looks at each once.
func missingFrom(addresses []string) func([]delivery) []string {
	open := make(map[string]bool)
	for _, a := range addresses {
		open[a] = true
	}
	seen := 0
	return func(all []delivery) []string {
		for _, d := range all[seen:] {
			if linkToken.MatchString(d.content) {
				delete(open, d.to)
			}
		}
		seen = len(all)
		return slices.Sorted(maps.Keys(open))
	}
}

// have waits until so many mails have come.
func (s *sink) have(n int) bool {
	_, ok := s.wait(func(all []delivery) (string, bool) { return "", len(all) >= n })
	return ok
}

func (s *sink) all() []delivery {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.received)
}

func (s *sink) count() int { return len(s.all()) }

// manner is how a mail server treats who comes.
type manner string

const (
	rude    manner = "hangs up"
	silent  manner = "says nothing"
	working manner = "works"
)

var manners = []manner{rude, silent, working}

// gate is a mail server's listener, behind which it works or not. The address is
// the same all the time.
type gate struct {
	net.Listener
	came chan struct{} // gets one after a client has connected, unless it has one

	mu     sync.Mutex // guards what follows
	manner manner
	held   []net.Conn
}

func newGate(t *testing.T) *gate {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	g := &gate{Listener: l, came: make(chan struct{}, 1), manner: working}
	t.Cleanup(func() { g.be(working) })
	return g
}

// be changes the manner, and forgets who came before.
func (g *gate) be(m manner) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.manner = m
	for _, conn := range g.held {
		conn.Close()
	}
	g.held = nil
	select {
	case <-g.came:
	default:
	}
}

// await waits until a client has connected.
func (g *gate) await(t *testing.T) {
	t.Helper()
	select {
	case <-g.came:
	case <-time.After(startTimeout):
		t.Fatal("no delivery has begun")
	}
}

// Accept returns connections while the server works.
func (g *gate) Accept() (net.Conn, error) {
	for {
		conn, err := g.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if g.admit(conn) {
			return conn, nil
		}
	}
}

func (g *gate) admit(conn net.Conn) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	select {
	case g.came <- struct{}{}:
	default:
	}
	switch g.manner {
	case rude:
		conn.Close()
	case silent:
		g.held = append(g.held, conn)
	}
	return g.manner == working
}
