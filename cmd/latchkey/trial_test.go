package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/latchkey-auth/latchkey/internal/trial"
	"github.com/latchkey-auth/latchkey/internal/web/contract"
)

// The trials put the built program under what it must withstand: racing
// clients, kill -9, a full disk, a flood. Each has a short form for `make test`
// and a full one, `go test ./cmd/latchkey -run TestTrial -trial=full`, which
// also logs its figures. What depends on the speed of the machine is asked in
// the full form only.
func fullTrial() bool { return trial.Full() }

// inForm returns how many of something the form takes.
func inForm(short, full int) int { return trial.Of(short, full) }

// cheapHash is the environment in which hashes cost next to nothing.
var cheapHash = []string{"LATCHKEY_ARGON2=m=8,t=1,p=1"}

const trialPassword = "correct horse battery"

// startService starts serve on dir/data, for anybody to register, without limits.
func startService(t testing.TB, dir string, env []string, args ...string) *program {
	t.Helper()
	return startProgram(t, dir, env, append([]string{"serve", "--addr", "127.0.0.1:0", "--data", "data",
		"--public-url", "http://auth.example.com", "--registration", "open", "--limits", "off", "--log-level", "error"}, args...)...)
}

// caller makes requests over connections of its own. Each takes a request at a
// time and is kept open, as many as there are goroutines that call.
type caller struct {
	http.Client
	t testing.TB
}

// newCaller returns one that finds fault with answers that are not as the OpenAPI
// document says.
func newCaller(t testing.TB) *caller {
	t.Helper()
	service, err := contract.Service()
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{MaxIdleConnsPerHost: 256}
	t.Cleanup(transport.CloseIdleConnections)
	return &caller{http.Client{Transport: service.Client(transport), Timeout: startTimeout}, t}
}

// reply is an answer that has arrived whole.
type reply struct {
	status int
	header http.Header
	body   []byte
}

func (r reply) String() string { return fmt.Sprintf("%d %s", r.status, r.body) }

// text is a member of the body, or empty.
func (r reply) text(name string) string {
	var m map[string]any
	if json.Unmarshal(r.body, &m) != nil {
		return ""
	}
	text, _ := m[name].(string)
	return text
}

// call makes a request; members are names and values of its JSON body.
func (c *caller) call(url, bearer, route string, members ...string) (reply, error) {
	method, path, _ := strings.Cut(route, " ")
	var body io.Reader
	if len(members) > 0 {
		m := make(map[string]string)
		for i := 0; i < len(members); i += 2 {
			m[members[i]] = members[i+1]
		}
		doc, err := json.Marshal(m)
		if err != nil {
			return reply{}, err
		}
		body = bytes.NewReader(doc)
	}
	r, err := http.NewRequest(method, url+path, body)
	if err != nil {
		return reply{}, err
	}
	if bearer != "" {
		r.Header.Set("Authorization", "Bearer "+bearer)
	}
	return c.send(r)
}

// patiently is call, again for as long as the answer is that too many passwords are being
// checked: that is of a machine with much else to do, and says nothing of what is asked for.
func (c *caller) patiently(url, bearer, route string, members ...string) (reply, error) {
	for began := time.Now(); ; time.Sleep(50 * time.Millisecond) {
		got, err := c.call(url, bearer, route, members...)
		if err != nil || got.text("code") != "busy" || time.Since(began) > startTimeout {
			return got, err
		}
	}
}

// send returns the answer to a request.
func (c *caller) send(r *http.Request) (reply, error) {
	res, err := c.Do(r)
	if fault := (*contract.Fault)(nil); errors.As(err, &fault) { // also where the trial expects errors
		c.t.Error(fault)
	}
	if err != nil {
		return reply{}, err
	}
	defer res.Body.Close()
	content, err := io.ReadAll(res.Body)
	return reply{res.StatusCode, res.Header, content}, err
}

// must makes a request that has to be answered with the status.
func (c *caller) must(t testing.TB, status int, url, bearer, route string, members ...string) reply {
	t.Helper()
	got, err := c.call(url, bearer, route, members...)
	if err != nil {
		t.Fatal(err)
	}
	if got.status != status {
		t.Fatalf("%s is answered %v, want %d", route, got, status)
	}
	return got
}
