package servetest

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/latchkey-auth/latchkey/internal/trial"
)

// Together holds processes on one store to what is promised across processes: races have
// one winner, what one ends has ended at all others, failures are counted together, and all
// publish a new key before one of them signs with it. The full form races more often, and
// waits until the new key signs.
func Together(t *testing.T, p *Program, processes int) {
	p.Run(t, "", "init")
	for _, name := range []string{"grace", "alan"} {
		p.Run(t, password+"\n", "users", "add", "--username", name, "--password-stdin")
	}
	all := make([]*Server, processes)
	for i := range all {
		all[i] = p.Serve(t, "--registration", "open", "--no-verify-email", "--trusted-proxies", "1")
	}
	for name, test := range map[string]func(*testing.T){
		"a key":     func(t *testing.T) { newKeyIsSeen(t, p, all) },
		"a session": func(t *testing.T) { sessionEndsAtAll(t, p, all) },
		"failures":  func(t *testing.T) { failuresCountTogether(t, all) },
		"races": func(t *testing.T) {
			for i := range trial.Of(2, 25) {
				oneWins(t, p, all, i)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t)
		})
	}
}

// racers is how many requests race, as many at each process.
const racers = 16

// race makes a request many times at once at all processes, and returns the answers.
func race(t *testing.T, all []*Server, method, path, body string) []Answer {
	answers := make([]Answer, racers)
	var done sync.WaitGroup
	start := make(chan struct{})
	for i := range answers {
		done.Go(func() {
			<-start
			answers[i] = all[i%len(all)].Call(t, method, path, "", body)
		})
	}
	close(start)
	done.Wait()
	return answers
}

// winner is the only answer of a race with the status. Others have one of those that say
// that another one has won, or 429: too many at one thing.
func winner(t *testing.T, what string, answers []Answer, status, lost int) (won Answer) {
	t.Helper()
	n := 0
	for _, a := range answers {
		switch a.Status {
		case status:
			won, n = a, n+1
		case lost, 429:
		default:
			t.Errorf("%s: status %d: %s", what, a.Status, a.Body)
		}
	}
	if n != 1 {
		t.Fatalf("%s: %d of %d have won, want 1", what, n, len(answers))
	}
	return won
}

// oneWins races for a name, for the successor of a refresh token and for a link. The one
// who has the link ends the sessions of before, at all processes.
func oneWins(t *testing.T, p *Program, all []*Server, round int) {
	here := make([]*Server, len(all)) // from a network without failures
	for i, s := range all {
		here[i] = s.from(fmt.Sprintf("198.51.%d.7", 100+round))
	}
	register := func(name string) string {
		return object("email", fmt.Sprintf("%s%d@example.com", name, round), "password", password)
	}
	winner(t, "register", race(t, here, "POST", "/register", register("racer")), 201, 409)

	// Each request to register counts as a mail to the address: another one.
	opened := here[0].want(t, 201, "POST", "/register", "", register("owner"))
	email, access, refresh := fmt.Sprintf("owner%d@example.com", round), opened.text("access_token"), opened.text("refresh_token")
	successors := make(map[string]bool)
	for _, a := range race(t, here, "POST", "/token/refresh", object("refresh_token", refresh)) {
		if a.Status != 200 {
			t.Errorf("refresh: status %d: %s", a.Status, a.Body)
			continue
		}
		successors[a.text("refresh_token")] = true
		refresh = a.text("refresh_token")
	}
	if len(successors) != 1 {
		t.Fatalf("one refresh token has %d successors, want 1", len(successors))
	}

	for _, s := range here {
		s.want(t, 200, "GET", "/me", access, "")
	}
	here[round%len(here)].want(t, 202, "POST", "/password/forgot", "", object("email", email))
	token := p.mailbox.token(t, email)
	winner(t, "reset", race(t, here, "POST", "/password/reset", object("token", token, "password", another)), 204, 400)
	ended(t, here, access, refresh)
	here[round%len(here)].login(t, email, another)
}

// ended wants tokens to be good at no process.
func ended(t *testing.T, all []*Server, access, refresh string) {
	t.Helper()
	for _, s := range all {
		s.want(t, 401, "GET", "/me", access, "")
		s.want(t, 401, "POST", "/token/refresh", "", object("refresh_token", refresh))
	}
}

// sessionEndsAtAll: by its owner at one process, and by an operator at none of them.
func sessionEndsAtAll(t *testing.T, p *Program, all []*Server) {
	for _, end := range []func(access string){
		func(access string) { all[0].want(t, 204, "POST", "/logout", access, "") },
		func(string) { p.Run(t, "", "users", "logout", "grace") },
	} {
		access, refresh := all[0].login(t, "grace", password)
		for _, s := range all {
			s.want(t, 200, "GET", "/me", access, "")
		}
		end(access)
		ended(t, all, access, refresh)
	}
}

// failuresCountTogether: an account has five free failures from one network, and another
// after five seconds, however many processes they are at and whether they come one after
// the other or at once. The account need not exist.
func failuresCountTogether(t *testing.T, all []*Server) {
	const free, wait = 5, 5 * time.Second
	for name, guess := range map[string]func(body string) []Answer{
		"one after the other": func(body string) (answers []Answer) {
			for i := range racers {
				answers = append(answers, all[i%len(all)].from("192.0.2.1").Call(t, "POST", "/login", "", body))
			}
			return answers
		},
		"at once": func(body string) []Answer {
			here := make([]*Server, len(all))
			for i, s := range all {
				here[i] = s.from("192.0.2.2")
			}
			return race(t, here, "POST", "/login", body)
		},
	} {
		began, checked := time.Now(), 0
		for _, a := range guess(object("username", "nobody "+name, "password", "wrong")) {
			switch a.Status {
			case 401:
				checked++
			case 429:
			default:
				t.Errorf("%s: status %d: %s", name, a.Status, a.Body)
			}
		}
		if most := free + int(time.Since(began)/wait); checked < free || checked > most {
			t.Errorf("%s: %d of %d guesses were checked, want %d to %d", name, checked, racers, free, most)
		}
	}
}

// newKeyIsSeen: a planned rotation is published by every process well before the key signs,
// five minutes later. Tokens that it has signed are good at all from the first one on.
func newKeyIsSeen(t *testing.T, p *Program, all []*Server) {
	said := p.Run(t, "", "keys", "rotate", "--json")
	_, rest, _ := strings.Cut(said, `"kid":"`)
	kid, _, ok := strings.Cut(rest, `"`)
	if !ok {
		t.Fatalf("keys rotate says %s", said)
	}
	const published, signs = time.Minute, 5 * time.Minute
	rotated := time.Now()
	for n := 0; n < len(all); {
		if strings.Contains(all[n].want(t, 200, "GET", "/.well-known/jwks.json", "", "").Body, kid) {
			n++
			continue
		}
		if time.Since(rotated) > published {
			t.Fatalf("process %d does not publish the new key within %s", n+1, published)
		}
		time.Sleep(100 * time.Millisecond) // until the next look; there is nothing to wait for
	}
	for i := 0; trial.Full(); i++ {
		access, _ := all[i%len(all)].login(t, "alan", password)
		if keyOf(t, access) == kid {
			for _, s := range all {
				s.want(t, 200, "GET", "/me", access, "")
			}
			return
		}
		if time.Since(rotated) > signs+published {
			t.Fatalf("the new key does not sign after %s", signs+published)
		}
		time.Sleep(time.Second)
	}
}

// keyOf is the id of the key that has signed a token.
func keyOf(t *testing.T, token string) string {
	t.Helper()
	head, _, _ := strings.Cut(token, ".")
	text, err := base64.RawURLEncoding.DecodeString(head)
	var header struct{ Kid string }
	if err == nil {
		err = json.Unmarshal(text, &header)
	}
	if err != nil {
		t.Fatalf("the header of a token: %v", err)
	}
	return header.Kid
}
