package main

import (
	"database/sql"
	"fmt"
	"math/rand/v2"
	"net/http"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"
)

const (
	crashWriters = 4
	// maxReady is how soon after a crash the program has to listen again.
	maxReady = time.Second
)

// TestTrialCrash kills serve again and again while four writers register, log
// in, change passwords, refresh and log out. What was acknowledged is still there
// when it is started again; what was under way is there whole, or not at all.
func TestTrialCrash(t *testing.T) {
	dir := initialized(t, cheapHash)
	start := func() *program { return startService(t, dir, cheapHash, "--no-verify-email") }
	var all []*account
	var slowest time.Duration
	cycles := inForm(15, 1000)
	p := start()
	for cycle := range cycles {
		var latest [crashWriters][]*account
		var writers sync.WaitGroup
		c := newCaller(t)
		for i := range latest {
			writers.Go(func() {
				w := &writer{caller: c, url: p.url, name: fmt.Sprintf("user%d-%d", cycle, i)}
				w.write(t)
				latest[i] = w.accounts
			})
		}
		time.Sleep(20*time.Millisecond + rand.N(60*time.Millisecond)) // the moment of the crash
		p.stop()
		writers.Wait()
		c.CloseIdleConnections()
		if t.Failed() {
			t.Fatalf("in cycle %d, before the crash", cycle)
		}
		p = start()
		slowest = max(slowest, p.ready)
		accounts := slices.Concat(latest[:]...)
		checkAccounts(t, p, accounts)
		if t.Failed() {
			t.Fatalf("in cycle %d, after the crash", cycle)
		}
		all = append(all, accounts...)
	}
	checkAccounts(t, p, all)
	p.stop()
	checkDatabase(t, filepath.Join(dir, "data", "latchkey.db"))
	var steps, doubts int
	for _, a := range all {
		steps += a.steps
		if a.doubted {
			doubts++
		}
	}
	t.Logf("%d crashes; %d accounts, %d acknowledged writes, %d in doubt at a crash; listening again after %v at most",
		cycles, len(all), steps, doubts, slowest.Round(time.Millisecond))
	if fullTrial() && slowest >= maxReady { // where the machine has nothing else to do
		t.Errorf("it took %v to listen again, want less than %v", slowest, maxReady)
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
	wanted   string // in doubt: the password to be
	of       int    // in doubt: which session
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
			a.doubt = s
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
		answer, err = w.call(w.url, "", "POST /register", "email", a.email, "password", a.password)
	case stepLogin:
		answer, err = w.call(w.url, "", "POST /login", "username", a.email, "password", a.password)
	case stepRefresh:
		answer, err = w.call(w.url, "", "POST /token/refresh", "refresh_token", e.refresh)
	case stepPassword:
		want, a.wanted = http.StatusNoContent, "another battery staple"
		answer, err = w.call(w.url, e.access, "POST /password/change", "current_password", a.password, "new_password", a.wanted)
	case stepLogout:
		want = http.StatusNoContent
		answer, err = w.call(w.url, "", "POST /logout", "refresh_token", e.refresh)
	}
	if err != nil {
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
		got, err := c.call(url, "", "POST /token/refresh", "refresh_token", e.refresh)
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
	got, err := c.call(url, "", "POST /login", "username", email, "password", password)
	if err == nil && got.status != want {
		err = fmt.Errorf("login with %q is answered %v, want %d", password, got, want)
	}
	return err
}

// settle finds out whether the step in doubt has been taken. A login or a refresh
// in doubt has nothing to show: the one's session is nobody's, and the other's
// old token is good for a moment either way.
func (a *account) settle(c *caller, url string) error {
	doubt := a.doubt
	a.doubt = stepNone
	switch doubt {
	case stepRegister:
		got, err := c.call(url, "", "POST /login", "username", a.email, "password", a.password)
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
		got, err = c.call(url, "", "POST /register", "email", a.email, "password", a.password)
		if err == nil && got.status != http.StatusCreated {
			err = fmt.Errorf("registering again is answered %v", got)
		}
		a.exists = true
		return err
	case stepPassword:
		got, err := c.call(url, "", "POST /login", "username", a.email, "password", a.wanted)
		switch {
		case err != nil:
			return err
		case got.status == http.StatusOK:
			a.passwordChanged()
		case got.status != http.StatusUnauthorized:
			return fmt.Errorf("login with the password to be is answered %v", got)
		}
	case stepLogout:
		e := a.sessions[a.of]
		got, err := c.call(url, "", "POST /token/refresh", "refresh_token", e.refresh)
		switch {
		case err != nil:
			return err
		case got.status == http.StatusOK:
			e.access, e.refresh = got.text("token"), got.text("refresh_token")
		case got.status == http.StatusUnauthorized:
			e.ended = true
		default:
			return fmt.Errorf("refresh is answered %v", got)
		}
	}
	return nil
}

// checkDatabase asks SQLite whether the file is sound, and the rows whether each
// write is there with all that it consists of.
func checkDatabase(t *testing.T, path string) {
	t.Helper()
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var sound string
	if err := db.QueryRow(`PRAGMA integrity_check`).Scan(&sound); err != nil || sound != "ok" {
		t.Fatalf("integrity check: %q, %v", sound, err)
	}
	// What follows would take long without it.
	if _, err := db.Exec(`CREATE INDEX trial_users ON events (user_id); CREATE INDEX trial_sessions ON events (session_id)`); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ query, want string }{
		{`SELECT count(*) FROM pragma_foreign_key_check`, "0"},
		{`SELECT count(*) FROM users WHERE username <> 'ada'
			AND 1 <> (SELECT count(*) FROM events WHERE events.user_id = users.id AND kind = 'register' AND outcome = 'ok')`, "0"},
		{`SELECT count(*) FROM events WHERE kind = 'register' AND outcome = 'ok' AND user_id NOT IN (SELECT id FROM users)`, "0"},
		{`SELECT count(*) FROM sessions
			WHERE 1 <> (SELECT count(*) FROM events WHERE events.session_id = sessions.id AND kind IN ('register', 'login') AND outcome = 'ok')`, "0"},
		{`SELECT count(*) FROM sessions
			WHERE refreshes <> (SELECT count(*) FROM events WHERE events.session_id = sessions.id AND kind = 'refresh' AND outcome = 'ok')`, "0"},
		{`SELECT count(*) FROM sessions
			WHERE (ended_at > 0) <> (SELECT count(*) FROM events WHERE events.session_id = sessions.id AND kind = 'logout')`, "0"},
	} {
		var got string
		if err := db.QueryRow(c.query).Scan(&got); err != nil || got != c.want {
			t.Errorf("%s: %q, %v; want %s", c.query, got, err, c.want)
		}
	}
}
