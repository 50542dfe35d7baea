package main

import (
	"fmt"
	"net/http"
	"sync"
	"testing"
)

// racers is how many requests a race has.
const racers = 50

// TestTrialRaces has 50 clients ask for the same thing at the same moment, of one
// process, and of two that share a database: what can happen once happens once,
// and a refresh token has one successor for all that use it.
func TestTrialRaces(t *testing.T) {
	for _, processes := range []int{1, 2} {
		t.Run(fmt.Sprintf("processes=%d", processes), func(t *testing.T) {
			for _, race := range []struct {
				name  string
				flags []string
				// prepare returns the request that all of them make.
				prepare func(t *testing.T, c *course, i int) raceRequest
				judge   func(answers []reply) string // what is wrong with them
			}{
				{"register", []string{"--no-verify-email"}, prepareRegister, once(http.StatusCreated, http.StatusConflict, "email_taken")},
				{"verify", nil, prepareVerify, once(http.StatusNoContent, http.StatusBadRequest, "invalid_ticket")},
				{"reset", []string{"--no-verify-email"}, prepareReset, once(http.StatusNoContent, http.StatusBadRequest, "invalid_ticket")},
				{"change of address", []string{"--no-verify-email"}, prepareEmailChange, once(http.StatusNoContent, http.StatusBadRequest, "invalid_ticket")},
				{"refresh", []string{"--no-verify-email"}, prepareRefresh, oneSuccessor},
			} {
				t.Run(race.name, func(t *testing.T) {
					c := newCourse(t, processes, race.flags...)
					n := inForm(3, 200)
					for i := range n {
						answers := c.race(t, race.prepare(t, c, i))
						if fault := race.judge(answers); fault != "" {
							t.Fatalf("race %d of %d: %s", i+1, n, fault)
						}
					}
					t.Logf("%d races of %d requests", n, racers)
				})
			}
		})
	}
}

// course is where races are held: processes on one database.
type course struct {
	*caller
	urls []string
	sink *sink
}

func newCourse(t *testing.T, processes int, flags ...string) *course {
	t.Helper()
	c := &course{caller: newCaller(t), sink: startSink(t)}
	env := append([]string{"LATCHKEY_MAIL_URL=" + c.sink.url}, cheapHash...)
	dir := initialized(t, env)
	for range processes {
		c.urls = append(c.urls, startService(t, dir, env, append(flags, "--mail-from", "mail@example.com")...).url)
	}
	return c
}

// raceRequest is what all in a race ask for.
type raceRequest struct {
	route   string
	members []string
}

// race makes the request many times at once, of the processes by turns.
func (c *course) race(t *testing.T, r raceRequest) []reply {
	t.Helper()
	answers := make([]reply, racers)
	faults := make([]error, racers)
	var ready, done sync.WaitGroup
	start := make(chan struct{})
	for i := range racers {
		ready.Add(1)
		done.Go(func() {
			url := c.urls[i%len(c.urls)]
			// A connection each, before it begins.
			_, faults[i] = c.call(url, "", "GET /livez")
			ready.Done()
			<-start
			if faults[i] == nil {
				answers[i], faults[i] = c.call(url, "", r.route, r.members...)
			}
		})
	}
	ready.Wait()
	close(start)
	done.Wait()
	for _, err := range faults {
		if err != nil {
			t.Fatal(err)
		}
	}
	return answers
}

// once judges that one succeeds, and that all others are told why they do not.
func once(success, refusal int, code string) func([]reply) string {
	return func(answers []reply) string {
		n := 0
		for _, a := range answers {
			switch {
			case a.status == success:
				n++
			case a.status != refusal || a.text("code") != code:
				return fmt.Sprintf("an answer is %v, want %d or %d %s", a, success, refusal, code)
			}
		}
		if n != 1 {
			return fmt.Sprintf("%d succeed, want 1", n)
		}
		return ""
	}
}

func oneSuccessor(answers []reply) string {
	first := answers[0].text("refresh_token")
	for _, a := range answers {
		if a.status != http.StatusOK || first == "" || a.text("refresh_token") != first {
			return fmt.Sprintf("answers differ: %v, %v", answers[0], a)
		}
	}
	return ""
}

func prepareRegister(_ *testing.T, _ *course, i int) raceRequest {
	return raceRequest{"POST /register", []string{"email", fmt.Sprintf("user%d@example.com", i), "password", trialPassword}}
}

func prepareVerify(t *testing.T, c *course, i int) raceRequest {
	email := fmt.Sprintf("user%d@example.com", i)
	c.must(t, http.StatusAccepted, c.urls[0], "", "POST /register", "email", email, "password", trialPassword)
	return raceRequest{"POST /email/verify", []string{"token", c.sink.token(t, email)}}
}

func prepareReset(t *testing.T, c *course, i int) raceRequest {
	email := fmt.Sprintf("user%d@example.com", i)
	c.must(t, http.StatusCreated, c.urls[0], "", "POST /register", "email", email, "password", trialPassword)
	c.must(t, http.StatusAccepted, c.urls[0], "", "POST /password/forgot", "email", email)
	return raceRequest{"POST /password/reset", []string{"token", c.sink.token(t, email), "password", "another battery staple"}}
}

func prepareEmailChange(t *testing.T, c *course, i int) raceRequest {
	email, next := fmt.Sprintf("user%d@example.com", i), fmt.Sprintf("new%d@example.com", i)
	bearer := c.must(t, http.StatusCreated, c.urls[0], "", "POST /register", "email", email, "password", trialPassword).text("token")
	c.must(t, http.StatusAccepted, c.urls[0], bearer, "POST /email/change", "password", trialPassword, "email", next)
	return raceRequest{"POST /email/verify", []string{"token", c.sink.token(t, next)}}
}

func prepareRefresh(t *testing.T, c *course, i int) raceRequest {
	email := fmt.Sprintf("user%d@example.com", i)
	answer := c.must(t, http.StatusCreated, c.urls[0], "", "POST /register", "email", email, "password", trialPassword)
	return raceRequest{"POST /token/refresh", []string{"refresh_token", answer.text("refresh_token")}}
}
