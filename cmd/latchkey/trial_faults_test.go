package main

import (
	"database/sql"
	"fmt"
	"net/http"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"
)

// patient is a service with a user who is signed in, to watch through an outage.
type patient struct {
	*caller
	*program
	mails           *sink
	access, refresh string
	proof           string   // of grace's address, from her mail
	reset           string   // of francesco's password, from his
	kept            []string // addresses whose registration was acknowledged
	refused         []string // addresses whose registration was not
}

const (
	graceEmail     = "grace@example.com"     // is yet to be proved
	francescoEmail = "francesco@example.com" // has an account
)

func newPatient(t *testing.T, p *program, mails *sink) *patient {
	t.Helper()
	s := &patient{caller: newCaller(t), program: p, mails: mails}
	answer := s.must(t, http.StatusOK, p.url, "", "POST /login", "username", "ada", "password", trialPassword)
	s.access, s.refresh = answer.text("token"), answer.text("refresh_token")
	for _, email := range []string{francescoEmail, graceEmail} {
		s.must(t, http.StatusAccepted, p.url, "", "POST /register", "email", email, "password", trialPassword)
	}
	s.begin(t, francescoEmail)
	s.must(t, http.StatusAccepted, p.url, "", "POST /password/forgot", "email", francescoEmail)
	s.proof, s.reset = mails.token(t, graceEmail), mails.token(t, francescoEmail)
	return s
}

// begin proves an address that was registered, by the mail that has come, and
// logs in.
func (s *patient) begin(t *testing.T, email string) {
	t.Helper()
	s.must(t, http.StatusNoContent, s.url, "", "POST /email/verify", "token", s.mails.token(t, email))
	s.must(t, http.StatusOK, s.url, "", "POST /login", "username", email, "password", trialPassword)
}

// register tries to register the next address, and notes what came of it.
func (s *patient) register(t *testing.T) int {
	t.Helper()
	email := fmt.Sprintf("user%d@example.com", len(s.kept)+len(s.refused))
	answer, err := s.call(s.url, "", "POST /register", "email", email, "password", trialPassword)
	if err != nil {
		t.Fatal(err)
	}
	if answer.status == http.StatusAccepted {
		s.kept = append(s.kept, email)
	} else {
		wantUnavailable(t, "POST /register", answer)
		s.refused = append(s.refused, email)
	}
	return answer.status
}

// wantUnavailable wants an answer that says when to come again.
func wantUnavailable(t *testing.T, route string, answer reply) {
	t.Helper()
	if answer.status != http.StatusServiceUnavailable || answer.header.Get("Retry-After") == "" || answer.text("code") != "unavailable" {
		t.Fatalf("%s is answered %v, Retry-After %q; want 503 with Retry-After", route, answer, answer.header.Get("Retry-After"))
	}
}

// suffer checks the answers of a service that cannot write: it says so, and goes
// on with what it can do.
func (s *patient) suffer(t *testing.T) {
	t.Helper()
	requests := []struct {
		bearer, route string
		members       []string
	}{
		{"", "POST /register", []string{"email", "nobody@example.com", "password", trialPassword}},
		{"", "POST /login", []string{"username", "ada", "password", trialPassword}},
		{"", "POST /login", []string{"username", "ada", "password", "wrong battery"}},
		{"", "POST /token/refresh", []string{"refresh_token", s.refresh}},
		{"", "POST /token/refresh", []string{"refresh_token", "garbage"}},
		{"", "POST /logout", []string{"refresh_token", s.refresh}},
		{"", "POST /email/verify", []string{"token", "garbage"}},
		{"", "POST /email/verify", []string{"token", s.proof}},
		{"", "POST /email/verify/resend", []string{"email", graceEmail}},
		{"", "POST /password/forgot", []string{"email", francescoEmail}},
		{"", "POST /password/forgot", []string{"email", "nobody@example.com"}},
		{"", "POST /password/reset", []string{"token", s.reset, "password", "another battery staple"}},
		{s.access, "POST /logout", []string{"scope", "all"}},
		{s.access, "POST /password/change", []string{"current_password", trialPassword, "new_password", "another battery staple"}},
		{s.access, "POST /email/change", []string{"password", trialPassword, "email", "nobody@example.com"}},
		{s.access, "PATCH /me", []string{"name", "Ada"}},
		{s.access, "DELETE /me", []string{"password", trialPassword}},
	}
	answers := make([]reply, len(requests))
	faults := make([]error, len(requests))
	var done sync.WaitGroup
	for i, r := range requests {
		done.Go(func() { answers[i], faults[i] = s.call(s.url, r.bearer, r.route, r.members...) })
	}
	done.Wait()
	for i, r := range requests {
		if faults[i] != nil {
			t.Fatal(faults[i])
		}
		wantUnavailable(t, r.route, answers[i])
	}
	s.must(t, http.StatusOK, s.url, "", "GET /livez")
	s.must(t, http.StatusOK, s.url, s.access, "GET /me")
	s.must(t, http.StatusOK, s.url, s.access, "GET /me/sessions")
}

// awaitReadiness asks /readyz until it answers with the status.
func (c *caller) awaitReadiness(t *testing.T, url string, status int) {
	t.Helper()
	var last reply
	for began := time.Now(); time.Since(began) < startTimeout; time.Sleep(50 * time.Millisecond) {
		var err error
		if last, err = c.call(url, "", "GET /readyz"); err != nil {
			t.Fatal(err)
		}
		if last.status == status {
			return
		}
	}
	t.Fatalf("/readyz is answered %v for %v, want %d", last, startTimeout, status)
}

// recovered checks that the outage has left nothing behind: what was acknowledged
// is kept, its mail too, and of what was refused there is nothing.
func (s *patient) recovered(t *testing.T) {
	t.Helper()
	if got := s.register(t); got != http.StatusAccepted {
		t.Fatalf("registering is answered %d", got)
	}
	for _, email := range s.kept {
		s.begin(t, email)
	}
	for _, d := range s.mails.all() {
		if d.to == "nobody@example.com" || slices.Contains(s.refused, d.to) {
			t.Errorf("%s has got a mail %q by a request that was refused", d.to, d.subject)
		}
	}
	for _, email := range s.refused {
		s.must(t, http.StatusAccepted, s.url, "", "POST /register", "email", email, "password", trialPassword)
		s.begin(t, email)
	}
	s.must(t, http.StatusOK, s.url, s.access, "GET /me")
	s.must(t, http.StatusOK, s.url, "", "POST /token/refresh", "refresh_token", s.refresh)
	s.must(t, http.StatusOK, s.url, "", "POST /login", "username", "ada", "password", trialPassword)
	s.must(t, http.StatusNoContent, s.url, "", "POST /email/verify", "token", s.proof)
	s.must(t, http.StatusOK, s.url, "", "POST /login", "username", francescoEmail, "password", trialPassword)
	s.must(t, http.StatusNoContent, s.url, "", "POST /password/reset", "token", s.reset, "password", "another battery staple")
}

// TestTrialDatabaseLocked takes the write lock, as a stuck program would, for
// longer than the service waits.
func TestTrialDatabaseLocked(t *testing.T) {
	t.Parallel()
	mails := startSink(t)
	env := append([]string{"LATCHKEY_MAIL_URL=" + mails.url}, cheapHash...)
	dir := initialized(t, env)
	s := newPatient(t, startService(t, dir, env, "--mail-from", "mail@example.com"), mails)
	db, err := sql.Open("sqlite", filepath.Join(dir, "data", "latchkey.db")+"?_pragma=busy_timeout(10000)") // mail may be going out
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	lock, err := db.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Close()
	for range inForm(1, 5) {
		s.must(t, http.StatusOK, s.url, "", "GET /readyz")
		s.register(t) // its mail is yet to go out
		if _, err := lock.ExecContext(t.Context(), `BEGIN IMMEDIATE`); err != nil {
			t.Fatal(err)
		}
		s.register(t)
		s.suffer(t)
		s.awaitReadiness(t, s.url, http.StatusServiceUnavailable)
		if _, err := lock.ExecContext(t.Context(), `ROLLBACK`); err != nil {
			t.Fatal(err)
		}
		released := time.Now()
		s.awaitReadiness(t, s.url, http.StatusOK)
		t.Logf("ready %v after the lock was released", time.Since(released).Round(time.Millisecond))
	}
	s.recovered(t)
	checkSound(t, db)
}

// TestTrialLockedLogins has a hundred log in at once, from one address, while another
// connection holds the write lock: all of them are told, not some of them after the
// others.
func TestTrialLockedLogins(t *testing.T) {
	const clients, bound = 100, 2 * time.Second
	t.Parallel()
	dir := initialized(t, cheapHash)
	// Without limits, which send some of so many from one address away with 429.
	p := startProgram(t, dir, cheapHash, "serve", "--addr", "127.0.0.1:0", "--data", "data", "--public-url", "http://auth.example.com", "--log-level", "error", "--limits", "off")
	c := newCaller(t)
	db, err := sql.Open("sqlite", filepath.Join(dir, "data", "latchkey.db")+"?_pragma=busy_timeout(10000)")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	lock, err := db.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Close()
	for range inForm(1, 5) {
		if _, err := lock.ExecContext(t.Context(), `BEGIN IMMEDIATE`); err != nil {
			t.Fatal(err)
		}
		answers, faults, took := make([]reply, clients+1), make([]error, clients+1), make([]time.Duration, clients+1)
		var done sync.WaitGroup
		for i := range clients {
			done.Go(func() {
				began := time.Now()
				answers[i], faults[i] = c.call(p.url, "", "POST /login", "username", "ada", "password", trialPassword)
				took[i] = time.Since(began)
			})
		}
		done.Go(func() {
			began := time.Now()
			answers[clients], faults[clients] = c.call(p.url, "", "GET /readyz")
			took[clients] = time.Since(began)
		})
		done.Wait()
		for i, answer := range answers {
			if faults[i] != nil {
				t.Fatal(faults[i])
			}
			wantUnavailable(t, "under a lock", answer)
		}
		t.Logf("the last of %d logins is told after %v", clients, slices.Max(took).Round(time.Millisecond))
		if fullTrial() && slices.Max(took) > bound { // where the machine has nothing else to do
			t.Errorf("the last of %d logins is told after %v, want %v at most", clients, slices.Max(took), bound)
		}
		if _, err := lock.ExecContext(t.Context(), `ROLLBACK`); err != nil {
			t.Fatal(err)
		}
		c.must(t, http.StatusOK, p.url, "", "POST /login", "username", "ada", "password", trialPassword)
	}
}

func checkSound(t *testing.T, db *sql.DB) {
	t.Helper()
	var sound string
	if err := db.QueryRow(`PRAGMA integrity_check`).Scan(&sound); err != nil || sound != "ok" {
		t.Errorf("integrity check: %q, %v", sound, err)
	}
}
