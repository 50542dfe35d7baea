package main

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// strangers is a process that attacks, so that its work is not measured as the server's.
// It runs under nice(1), as in life it has cores of its own.
type strangers struct {
	cmd *exec.Cmd
	in  io.Closer
	out *strings.Builder
}

// startStrangers has them attack the account "ada" at the services, with a stolen token.
func startStrangers(t *testing.T, stolen string, urls []string) *strangers {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	s := &strangers{cmd: exec.Command("nice", "-n", "19", self), out: &strings.Builder{}}
	// nice runs a path: what it is called is told by the environment.
	s.cmd.Env = append(os.Environ(), strangersVariable+"="+strings.Join(append([]string{stolen}, urls...), " "))
	s.cmd.Stdout, s.cmd.Stderr = s.out, os.Stderr
	if s.in, err = s.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.cmd.Process.Kill(); s.cmd.Wait() })
	return s
}

// end returns how many passwords of the account were looked at and wrong.
func (s *strangers) end(t *testing.T) int {
	t.Helper()
	s.in.Close()
	if err := s.cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	n, err := strconv.Atoi(strings.TrimSpace(s.out.String()))
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// strangersVariable makes the test binary the strangers: the stolen token and the URLs.
const strangersVariable = "LATCHKEY_TEST_STRANGERS"

// runStrangers attacks until standard input ends: from 15 networks with wrong passwords,
// from everywhere with wrong names, and with a stolen token that renames the owner and
// ends other sessions over and over.
func runStrangers(args string) {
	stolen, rest, _ := strings.Cut(args, " ")
	a := &attacked{caller: &caller{http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 256}, Timeout: startTimeout}, nil}, urls: strings.Fields(rest)}
	done := make(chan struct{})
	var all sync.WaitGroup
	endlessly := func(attack func(i int)) {
		all.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-done:
					return
				default:
					attack(i)
				}
			}
		})
	}
	var guessed atomic.Int64
	for n := range 15 {
		endlessly(func(int) {
			if got, err := a.login(fmt.Sprint("198.51.100.", n), "ada", "wrong battery"); err == nil && got.status == http.StatusUnauthorized {
				guessed.Add(1)
			}
		})
	}
	for n := range 5 {
		endlessly(func(i int) { a.login(fmt.Sprintf("203.0.%d.%d", n, i%250), fmt.Sprint("name", i), "wrong battery") })
		endlessly(func(i int) {
			a.call(a.urls[i%2], stolen, "PATCH /me", "name", fmt.Sprint("Mallory ", i))
		})
		endlessly(func(i int) { a.call(a.urls[i%2], stolen, "POST /logout", "scope", "others") })
	}
	io.Copy(io.Discard, os.Stdin)
	close(done)
	all.Wait()
	fmt.Println(guessed.Load())
}
