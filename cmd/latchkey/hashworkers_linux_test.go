package main

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestPasswordsAreHashedBesideTheServer, in processes that hold nothing of it,
// may be killed and told to end as it is, and do not outlive it.
func TestPasswordsAreHashedBesideTheServer(t *testing.T) {
	client := newCaller(t)
	start := func(t *testing.T) (p *program, login func()) {
		p = startService(t, initialized(t, cheapHash), cheapHash, "--no-verify-email")
		login = func() {
			t.Helper()
			client.must(t, http.StatusOK, p.url, "", "POST /login", "username", "ada", "password", trialPassword)
		}
		return p, login
	}
	t.Run("they hold nothing", func(t *testing.T) {
		p, login := start(t)
		if n := len(p.children(t)); n > 0 {
			t.Errorf("%d before there was a password to hash", n)
		}
		login()
		workers := p.children(t)
		if len(workers) != 1 {
			t.Fatalf("%d workers, want one", len(workers))
		}
		files, err := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", workers[0]))
		if err != nil || len(files) < 3 {
			t.Fatalf("it has the files %v (%v)", files, err)
		}
		for _, file := range files {
			to, err := os.Readlink(file)
			if err == nil && (strings.HasPrefix(to, "socket:") || strings.HasPrefix(to, p.Dir)) {
				t.Errorf("it has %s open", to)
			}
		}
	})
	t.Run("killed", func(t *testing.T) {
		p, login := start(t)
		for range 5 {
			login()
			for _, pid := range p.children(t) {
				send(t, pid, syscall.SIGKILL)
			}
		}
		login()
	})
	t.Run("told to end with the server", func(t *testing.T) { // as systemd does
		p, login := start(t)
		login()
		workers := p.children(t)
		for _, pid := range workers {
			send(t, pid, syscall.SIGTERM)
		}
		login()
		if now := p.children(t); !slices.Equal(now, workers) {
			t.Errorf("the workers are %v, want %v as before", now, workers)
		}
		p.terminate(t)
		for _, pid := range workers {
			if err := syscall.Kill(pid, 0); !errors.Is(err, syscall.ESRCH) {
				t.Errorf("a worker is there when the server has ended (%v)", err)
			}
		}
	})
	t.Run("the server is killed", func(t *testing.T) {
		p, login := start(t)
		login()
		workers := p.children(t)
		p.Process.Kill()
		for _, pid := range workers {
			for deadline := time.Now().Add(startTimeout); syscall.Kill(pid, 0) == nil && !zombie(pid); time.Sleep(time.Millisecond) {
				if time.Now().After(deadline) {
					syscall.Kill(pid, syscall.SIGKILL)
					t.Fatal("a worker has outlived the server")
				}
			}
		}
		p.Wait()
	})
}

func send(t *testing.T, pid int, s syscall.Signal) {
	t.Helper()
	if err := syscall.Kill(pid, s); err != nil {
		t.Fatal(err)
	}
}

// zombie reports whether a process has ended and nobody has asked how: the first
// process of a container may not.
func zombie(pid int) bool {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err == nil && strings.Contains(string(text), ") Z ")
}
