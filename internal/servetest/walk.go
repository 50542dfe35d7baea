package servetest

import (
	"strings"
	"sync"
	"testing"
	"time"
)

const (
	address  = "ada@example.com"
	password = "correct horse battery"
	another  = "another horse battery"
)

// Walk makes a store by init and walks a person through the program on it, from
// registration to deletion.
func Walk(t *testing.T, p *Program) {
	if code, said := p.Try(t, "", "serve", "--addr", "127.0.0.1:0"); code != 1 || !strings.Contains(said, "latchkey init") {
		t.Errorf("serve on a store that is not there: exit status %d: %s\nwant latchkey init", code, said)
	}
	p.Run(t, "", "init")
	s := p.Serve(t, "--registration", "open")

	s.want(t, 202, "POST", "/register", "", object("email", address, "password", password, "name", "Ada L."))
	s.want(t, 403, "POST", "/login", "", object("username", address, "password", password))
	s.want(t, 204, "POST", "/email/verify", "", object("token", p.mailbox.token(t, address)))
	s.want(t, 401, "POST", "/login", "", object("username", address, "password", "wrong"))
	access, refresh := s.login(t, address, password)
	if me := s.want(t, 200, "GET", "/me", access, ""); me.text("email") != address || me.Members["email_verified"] != true {
		t.Errorf("/me says %s", me.Body)
	}
	next := s.want(t, 200, "POST", "/token/refresh", "", object("refresh_token", refresh))
	access, refresh = next.text("access_token"), next.text("refresh_token")
	s.want(t, 200, "GET", "/me", access, "")
	s.want(t, 204, "POST", "/logout", access, "")
	s.want(t, 401, "GET", "/me", access, "")
	s.want(t, 401, "POST", "/token/refresh", "", object("refresh_token", refresh))

	access, _ = s.login(t, address, password)
	s.want(t, 202, "POST", "/password/forgot", "", object("email", address))
	s.want(t, 204, "POST", "/password/reset", "", object("token", p.mailbox.token(t, address), "password", another))
	s.want(t, 401, "GET", "/me", access, "")
	s.want(t, 401, "POST", "/login", "", object("username", address, "password", password))

	// A restart changes nothing, and commands work beside the service.
	if log := s.Stop(t); strings.Contains(log, "horse battery") {
		t.Errorf("the log shows a password: %s", log)
	}
	s = p.Serve(t)
	access, _ = s.login(t, address, another)
	if said := p.Run(t, "", "users", "list", "--json"); !strings.Contains(said, `"email":"`+address+`"`) {
		t.Errorf("users list: %s", said)
	}
	if said := p.Run(t, "", "events", "--kind", "password.reset"); !strings.Contains(said, "ok") {
		t.Errorf("events: %s", said)
	}
	s.want(t, 204, "DELETE", "/me", access, object("password", another))
	s.want(t, 401, "GET", "/me", access, "")
	s.want(t, 401, "POST", "/login", "", object("username", address, "password", another))
	if said := p.Run(t, "", "users", "list", "--json"); strings.Contains(said, address) {
		t.Errorf("users list after the deletion: %s", said)
	}
}

// racers is how many requests race, half of them at each process.
const racers = 16

// Together holds two processes on one store to what is promised across processes: races
// have one winner, what one ends has ended at the other, limits are counted together, and
// a new key is published by both before it signs.
func Together(t *testing.T, p *Program) {
	p.Run(t, "", "init")
	p.Run(t, password+"\n", "users", "add", "--email", address, "--username", "ada", "--password-stdin")
	p.Run(t, password+"\n", "users", "add", "--username", "grace", "--password-stdin")
	both := []*Server{p.Serve(t), p.Serve(t)}

	t.Run("a key", func(t *testing.T) {
		t.Parallel()
		newKeyIsSeen(t, p, both)
	})
	t.Run("a session", func(t *testing.T) {
		t.Parallel()
		sessionEndsAtBoth(t, both)
	})
	t.Run("failures", func(t *testing.T) {
		t.Parallel()
		failuresCountTogether(t, both)
	})
	t.Run("a ticket", func(t *testing.T) {
		t.Parallel()
		oneTakesTheTicket(t, p, both)
	})
}

// race makes a request many times at once at both processes, and returns the answers.
func race(t *testing.T, both []*Server, method, path, bearer, body string) []Answer {
	answers := make([]Answer, racers)
	var all sync.WaitGroup
	start := make(chan struct{})
	for i := range answers {
		all.Go(func() {
			<-start
			answers[i] = both[i%2].Call(t, method, path, bearer, body)
		})
	}
	close(start)
	all.Wait()
	return answers
}

func oneTakesTheTicket(t *testing.T, p *Program, both []*Server) {
	both[0].want(t, 202, "POST", "/password/forgot", "", object("email", address))
	token := p.mailbox.token(t, address)
	won := 0
	for _, a := range race(t, both, "POST", "/password/reset", "", object("token", token, "password", another)) {
		switch a.Status {
		case 204:
			won++
		case 400, 429: // used; or too many at one link
		default:
			t.Errorf("status %d: %s", a.Status, a.Body)
		}
	}
	if won != 1 {
		t.Errorf("%d of %d have taken the ticket, want 1", won, racers)
	}
}

func sessionEndsAtBoth(t *testing.T, both []*Server) {
	access, refresh := both[0].login(t, "grace", password)
	both[1].want(t, 200, "GET", "/me", access, "")
	successors := make(map[string]bool)
	for _, a := range race(t, both, "POST", "/token/refresh", "", object("refresh_token", refresh)) {
		if a.Status != 200 {
			t.Errorf("refresh: status %d: %s", a.Status, a.Body)
			continue
		}
		successors[a.text("refresh_token")] = true
	}
	if len(successors) != 1 {
		t.Errorf("one refresh token has %d successors, want 1", len(successors))
	}
	both[0].want(t, 204, "POST", "/logout", access, "")
	both[1].want(t, 401, "GET", "/me", access, "")
	both[1].want(t, 401, "POST", "/token/refresh", "", object("refresh_token", refresh))
}

// failuresCountTogether: an account has five free failures from one network, however many
// processes they are at. The account need not exist.
func failuresCountTogether(t *testing.T, both []*Server) {
	const free, most = 5, 12
	refused := 0
	for i := range most {
		a := both[i%2].Call(t, "POST", "/login", "", object("username", "nobody", "password", "wrong "+strings.Repeat("x", i)))
		if a.Status == 429 {
			break
		}
		if a.Status != 401 {
			t.Fatalf("status %d: %s", a.Status, a.Body)
		}
		refused++
	}
	if refused != free {
		t.Errorf("%d failures before the limit, want %d", refused, free)
	}
	if a := both[refused%2].Call(t, "POST", "/login", "", object("username", "nobody", "password", "wrong")); a.Status != 429 {
		t.Errorf("the other process answers %d, want 429", a.Status)
	}
}

// newKeyIsSeen: a planned rotation is published by running processes well before the key
// signs, five minutes later.
func newKeyIsSeen(t *testing.T, p *Program, both []*Server) {
	said := p.Run(t, "", "keys", "rotate", "--json")
	_, rest, _ := strings.Cut(said, `"kid":"`)
	kid, _, ok := strings.Cut(rest, `"`)
	if !ok {
		t.Fatalf("keys rotate says %s", said)
	}
	const published = time.Minute // of the five
	for deadline, n := time.Now().Add(published), 0; n < 2; {
		if strings.Contains(both[n].want(t, 200, "GET", "/.well-known/jwks.json", "", "").Body, kid) {
			n++
			continue
		}
		if time.Now().After(deadline) {
			t.Fatalf("process %d does not publish the new key within %s", n+1, published)
		}
		time.Sleep(100 * time.Millisecond) // until the next look; there is nothing to wait for
	}
}
