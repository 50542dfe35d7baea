package main

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// attacked is two processes on one database behind a proxy, with limits, and one account
// that is attacked.
type attacked struct {
	*caller
	urls  []string
	calls atomic.Int64
}

// login asks one of the processes, by turns, from an address.
func (a *attacked) login(address, username, password string) (reply, error) {
	url := a.urls[int(a.calls.Add(1))%len(a.urls)]
	body := fmt.Sprintf(`{"username":%q,"password":%q}`, username, password)
	r, err := http.NewRequest("POST", url+"/login", strings.NewReader(body))
	if err != nil {
		return reply{}, err
	}
	r.Header.Set("X-Forwarded-For", address)
	r.Header.Set("Content-Type", "application/json")
	return a.send(r)
}

// TestTrialAttack has strangers attack an account through two processes while its owner
// goes on: from 15 networks with wrong passwords, from everywhere with wrong names, and
// with a stolen token that renames the owner and ends other sessions over and over.
//
// The owner gets in, from a network that the account knows and from new ones, and
// afterwards fifty at once; and no more guesses are looked at than the limits say, by both
// processes together.
func TestTrialAttack(t *testing.T) {
	env := []string{"LATCHKEY_ARGON2=m=1024,t=1,p=1"}
	dir := initialized(t, env)
	a := &attacked{caller: newCaller(t)}
	for range 2 {
		a.urls = append(a.urls, startService(t, dir, env, "--no-verify-email", "--limits", "on", "--trusted-proxies", "1").url)
	}
	const known = "192.0.2.1"
	if got, err := a.login(known, "ada", trialPassword); err != nil || got.status != http.StatusOK {
		t.Fatal(got, err)
	}
	stolen, err := a.login("192.0.2.2", "ada", trialPassword)
	if err != nil || stolen.status != http.StatusOK {
		t.Fatal(stolen, err)
	}
	quiet := a.measure(t, stolen.text("token"), inForm(50, 500))

	others := startStrangers(t, stolen.text("token"), a.urls)

	logins, slowest := 0, time.Duration(0)
	lasts := time.Duration(inForm(2, 60)) * time.Second
	for began := time.Now(); time.Since(began) < lasts; logins++ {
		address := known
		if logins%10 == 9 {
			address = fmt.Sprint("192.0.2.", 10+logins/10%200) // a new network
		}
		asked := time.Now()
		got, err := a.login(address, "ada", trialPassword)
		took := time.Since(asked)
		slowest = max(slowest, took)
		if err != nil || got.status != http.StatusOK || fullTrial() && took > 2*time.Second {
			t.Fatalf("login %d from %s: %v, %v after %v", logins, address, got, err, took)
		}
	}
	loud := a.measure(t, stolen.text("token"), inForm(50, 500))
	guessed := others.end(t)
	a.together(t, known, inForm(10, 50))
	t.Logf("%d logins of the owner, the slowest %v; %d guesses looked at; p99 of /livez %v quiet, %v attacked; of /me %v, %v",
		logins, slowest, guessed, quiet[0], loud[0], quiet[1], loud[1])
	// What is free in all, the reserve, what fades in a minute, and one for each process.
	if guessed == 0 {
		t.Error("the strangers have not attacked")
	}
	if guessed > 5+20+5+2 {
		t.Errorf("%d guesses were looked at", guessed)
	}
	for i, route := range []string{"/livez", "/me"} {
		if fullTrial() && loud[i] > max(10*quiet[i], 20*time.Millisecond) {
			t.Errorf("p99 of %s is %v under attack, %v before", route, loud[i], quiet[i])
		}
	}
}

// measure returns the p99 of /livez and of /me.
func (a *attacked) measure(t *testing.T, token string, n int) (p99 [2]time.Duration) {
	t.Helper()
	for i, route := range []string{"GET /livez", "GET /me"} {
		var took []time.Duration
		for range n {
			began := time.Now()
			a.must(t, http.StatusOK, a.urls[0], token, route)
			took = append(took, time.Since(began))
		}
		slices.Sort(took)
		p99[i] = took[n*99/100].Round(10 * time.Microsecond)
	}
	return p99
}

// together has the owner log in so many times at once.
func (a *attacked) together(t *testing.T, address string, n int) {
	t.Helper()
	began := time.Now()
	var all sync.WaitGroup
	for range n {
		all.Go(func() {
			if got, err := a.login(address, "ada", trialPassword); err != nil || got.status != http.StatusOK {
				t.Errorf("one of %d at once: %v, %v", n, got, err)
			}
		})
	}
	all.Wait()
	took := time.Since(began)
	t.Logf("%d logins at once took %v", n, took.Round(time.Millisecond))
	if fullTrial() && took > 5*time.Second {
		t.Errorf("%d logins at once took %v", n, took)
	}
}
