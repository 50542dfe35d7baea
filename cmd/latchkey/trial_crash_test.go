package main

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"
)

const crashWriters = 4

// TestTrialCrash kills serve, or the database server, or both, again and again while four
// writers register, log in, change passwords, refresh and log out. What was acknowledged is
// still there when all is started again; what was under way is there whole, or not at all.
func TestTrialCrash(t *testing.T) {
	t.Run("SQLite", func(t *testing.T) { crashTrial(t, sqliteSite(t), inForm(15, 1000)) })
	t.Run("PostgreSQL", func(t *testing.T) { crashTrial(t, postgresSite(t), inForm(3, 300)) })
}

func crashTrial(t *testing.T, site *crashSite, cycles int) {
	var all []*account
	var slowest time.Duration
	p := site.start()
	for cycle := range cycles {
		var latest [crashWriters][]*account
		var writers sync.WaitGroup
		c := newCaller(t)
		for i := range latest {
			writers.Go(func() {
				w := &writer{caller: c, url: p.url, name: fmt.Sprintf("user%d-%d", cycle, i), outage: site.killsServer(cycle)}
				w.write(t)
				latest[i] = w.accounts
			})
		}
		time.Sleep(20*time.Millisecond + rand.N(60*time.Millisecond)) // the moment of the crash
		site.crash(t, cycle, p)
		writers.Wait()
		c.CloseIdleConnections()
		if t.Failed() {
			t.Fatalf("in cycle %d, before the crash", cycle)
		}
		var took time.Duration
		p, took = site.revive(t, cycle, p)
		slowest = max(slowest, took)
		accounts := slices.Concat(latest[:]...)
		checkAccounts(t, p, accounts)
		if t.Failed() {
			t.Fatalf("in cycle %d, after the crash", cycle)
		}
		all = append(all, accounts...)
	}
	checkAccounts(t, p, all)
	p.stop()
	site.check(t)
	var steps, doubts int
	for _, a := range all {
		steps += a.steps
		if a.doubted {
			doubts++
		}
	}
	t.Logf("%d crashes; %d accounts, %d acknowledged writes, %d in doubt at a crash; serving again after %v at most",
		cycles, len(all), steps, doubts, slowest.Round(time.Millisecond))
	if fullTrial() && slowest >= site.maxReady { // where the machine has nothing else to do
		t.Errorf("it took %v to serve again, want less than %v", slowest, site.maxReady)
	}
}

// account is what a writer knows of an account by the answers it has had.
type account struct {
	email    string
	exists   bool
	password string
	former   string      // the password before that; empty: none
	sessions [2]*session // of register, and of login; nil: not begun
	steps    int         // acknowledged
	doubt    step        // what was under way at the crash
	doubted  bool
	since    time.Time // when that began
	wanted   string    // in doubt: the password to be
	of       int       // in doubt: which session
}

type session struct {
	access, refresh string
	ended           bool
}

// step is a kind of write.
type step string

const (
	stepNone     step = ""
	stepRegister step = "register"
	stepLogin    step = "login"
	stepRefresh  step = "refresh"
	stepPassword step = "password change"
	stepLogout   step = "logout"
)

// writer changes one account after the other until the program is gone.
type writer struct {
	*caller
	url, name string
	outage    bool // the database server is killed, and latchkey says so
	accounts  []*account
}

// write goes on until a request gets no answer. Every answer is a success, or
// the test fails.
func (w *writer) write(t *testing.T) {
	for i := 0; ; i++ {
		a := &account{email: fmt.Sprintf("%s-%d@example.com", w.name, i), password: trialPassword}
		w.accounts = append(w.accounts, a)
		plan := []step{stepRegister, stepLogin, stepRefresh, stepPassword, stepRefresh, stepLogout}
		if rand.N(2) == 0 {
			plan[3], plan[5] = plan[5], plan[3]
		}
		for _, s := range plan {
			a.doubt, a.since = s, time.Now()
			if !w.take(t, a, s) {
				a.doubted = true
				return
			}
			a.doubt = stepNone
			a.steps++
		}
	}
}

// take takes a step and notes it once it is acknowledged. It reports false when
// no answer has come.
func (w *writer) take(t *testing.T, a *account, s step) bool {
	var answer reply
	var err error
	want := http.StatusOK
	a.of = 1
	if a.sessions[1] == nil || a.sessions[1].ended {
		a.of = 0
	}
	e := a.sessions[a.of]
	switch s {
	case stepRegister:
		want = http.StatusCreated
		answer, err = w.patiently(w.url, "", "POST /register", "email", a.email, "password", a.password)
	case stepLogin:
		answer, err = w.patiently(w.url, "", "POST /login", "username", a.email, "password", a.password)
	case stepRefresh:
		answer, err = w.patiently(w.url, "", "POST /token/refresh", "refresh_token", e.refresh)
	case stepPassword:
		want, a.wanted = http.StatusNoContent, "another battery staple"
		answer, err = w.patiently(w.url, e.access, "POST /password/change", "current_password", a.password, "new_password", a.wanted)
	case stepLogout:
		want = http.StatusNoContent
		answer, err = w.patiently(w.url, "", "POST /logout", "refresh_token", e.refresh)
	}
	if err != nil || w.outage && answer.status == http.StatusServiceUnavailable {
		return false
	}
	if answer.status != want {
		t.Errorf("%s of %s is answered %v, want %d", s, a.email, answer, want)
		return false
	}
	opened := &session{access: answer.text("token"), refresh: answer.text("refresh_token")}
	switch s {
	case stepRegister:
		a.exists, a.sessions[0] = true, opened
	case stepLogin:
		a.sessions[1] = opened
	case stepRefresh:
		a.sessions[a.of] = opened
	case stepPassword:
		a.passwordChanged()
	case stepLogout:
		e.ended = true
	}
	return true
}

// passwordChanged notes the new password, and that the other session has ended.
func (a *account) passwordChanged() {
	a.former, a.password = a.password, a.wanted
	if other := a.sessions[1-a.of]; other != nil {
		other.ended = true
	}
}

// checkAccounts compares the program with what was acknowledged, and finds out
// what became of the steps in doubt.
func checkAccounts(t *testing.T, p *program, accounts []*account) {
	t.Helper()
	c := newCaller(t)
	defer c.CloseIdleConnections()
	next := make(chan *account)
	var done sync.WaitGroup
	for range crashWriters {
		done.Go(func() {
			for a := range next {
				if err := a.check(c, p.url); err != nil {
					t.Errorf("%s, %d steps, in doubt %q: %v", a.email, a.steps, a.doubt, err)
				}
			}
		})
	}
	for _, a := range accounts {
		next <- a
	}
	close(next)
	done.Wait()
}

func (a *account) check(c *caller, url string) error {
	if err := a.settle(c, url); err != nil {
		return err
	}
	if !a.exists {
		return nil
	}
	if err := login(c, url, a.email, a.password, http.StatusOK); err != nil {
		return err
	}
	if a.former != "" {
		if err := login(c, url, a.email, a.former, http.StatusUnauthorized); err != nil {
			return err
		}
	}
	for i, e := range a.sessions {
		if e == nil {
			continue
		}
		want := http.StatusOK
		if e.ended {
			want = http.StatusUnauthorized
		}
		got, err := c.patiently(url, "", "POST /token/refresh", "refresh_token", e.refresh)
		if err != nil {
			return err
		}
		if got.status != want {
			return fmt.Errorf("refresh of session %d is answered %v, want %d", i, got, want)
		}
		if !e.ended {
			e.access, e.refresh = got.text("token"), got.text("refresh_token")
		}
	}
	return nil
}

func login(c *caller, url, email, password string, want int) error {
	got, err := c.patiently(url, "", "POST /login", "username", email, "password", password)
	if err == nil && got.status != want {
		err = fmt.Errorf("login with %q is answered %v, want %d", password, got, want)
	}
	return err
}

// graceAtLeast is for how long a spent refresh token is good, less what clocks lose.
const graceAtLeast = 8 * time.Second

// settle finds out whether the step in doubt has been taken. A login in doubt has nothing
// to show, for its session is nobody's. The old token of a refresh in doubt is good for a
// moment either way; used later it may be a spent one, and ends the session.
func (a *account) settle(c *caller, url string) error {
	doubt := a.doubt
	a.doubt = stepNone
	switch doubt {
	case stepRegister:
		got, err := c.patiently(url, "", "POST /login", "username", a.email, "password", a.password)
		switch {
		case err != nil:
			return err
		case got.status == http.StatusOK:
			a.exists = true
			return nil
		case got.status != http.StatusUnauthorized:
			return fmt.Errorf("login is answered %v", got)
		}
		// Nobody can log in, so there is no account, and no half of one either.
		got, err = c.patiently(url, "", "POST /register", "email", a.email, "password", a.password)
		if err == nil && got.status != http.StatusCreated {
			err = fmt.Errorf("registering again is answered %v", got)
		}
		a.exists = true
		return err
	case stepPassword:
		got, err := c.patiently(url, "", "POST /login", "username", a.email, "password", a.wanted)
		switch {
		case err != nil:
			return err
		case got.status == http.StatusOK:
			a.passwordChanged()
		case got.status != http.StatusUnauthorized:
			return fmt.Errorf("login with the password to be is answered %v", got)
		}
	case stepRefresh, stepLogout:
		e := a.sessions[a.of]
		got, err := c.patiently(url, "", "POST /token/refresh", "refresh_token", e.refresh)
		switch {
		case err != nil:
			return err
		case got.status == http.StatusOK:
			e.access, e.refresh = got.text("token"), got.text("refresh_token")
		case got.status == http.StatusUnauthorized && (doubt == stepLogout || time.Since(a.since) > graceAtLeast):
			e.ended = true
		default:
			return fmt.Errorf("refresh is answered %v", got)
		}
	}
	return nil
}
