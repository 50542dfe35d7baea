package hashworker

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// children are this process's.
func children(t *testing.T) []int {
	t.Helper()
	var pids []int
	lists, err := filepath.Glob("/proc/self/task/*/children")
	if err != nil {
		t.Fatal(err)
	}
	for _, list := range lists {
		text, _ := os.ReadFile(list) // of a thread that may have ended
		for _, field := range strings.Fields(string(text)) {
			pid, err := strconv.Atoi(field)
			if err != nil {
				t.Fatal(err)
			}
			pids = append(pids, pid)
		}
	}
	return pids
}

// halt stops a process as ^Z does.
func halt(t *testing.T, pid int) {
	t.Helper()
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
}

// gone waits until there is no such process.
func gone(t *testing.T, pid int) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); syscall.Kill(pid, 0) == nil; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("process %d is still there", pid)
		}
	}
}

// TestAnswersAreRightWhileWorkersAreKilled, at whatever they are.
func TestAnswersAreRightWhileWorkersAreKilled(t *testing.T) {
	p, log := newPool(t)
	stop := make(chan struct{})
	var askers sync.WaitGroup
	for range 4 {
		askers.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					check(t, p, password)
				}
			}
		})
	}
	kept := make(map[int]bool) // a new one that ends is another matter
	for kills := 0; kills < 20; time.Sleep(10 * time.Millisecond) {
		p.mu.Lock()
		for _, w := range p.idle {
			kept[w.cmd.Process.Pid] = true
		}
		p.mu.Unlock()
		for _, pid := range children(t) {
			process, err := os.FindProcess(pid)
			if kept[pid] && err == nil && process.Kill() == nil {
				kills++
				break
			}
		}
	}
	close(stop)
	askers.Wait()
	if log.count(restarted) == 0 || log.count(here) > 0 {
		t.Errorf("the log is:\n%s", log.text.String())
	}
}

// TestAStuckWorkerIsGivenUp: a process that was stopped holds a permit for
// patience at most.
func TestAStuckWorkerIsGivenUp(t *testing.T) {
	p, log := newPool(t)
	check(t, p, password)
	stuck := pidOf(t, p)
	p.patience = 200 * time.Millisecond
	halt(t, stuck)
	check(t, p, password)
	if log.count(restarted) != 1 {
		t.Errorf("the log is:\n%s", log.text.String())
	}
	gone(t, stuck)
}

// TestWorkersEnd: when there was nothing to do for a while, and with the pool,
// whatever it is at.
func TestWorkersEnd(t *testing.T) {
	p, _ := newPool(t)
	check(t, p, password)
	idle := pidOf(t, p)
	p.rest.Reset(0)
	gone(t, idle)
	check(t, p, password) // another one

	began := make(chan struct{})
	var asked sync.WaitGroup
	asked.Go(func() {
		close(began)
		for range 5 {
			check(t, p, password)
		}
	})
	<-began
	p.Close()
	asked.Wait()
	if left := children(t); len(left) > 0 {
		t.Errorf("%d workers are left", len(left))
	}
}

// TestWorkersHaveNothingThatTheyDoNotNeed: no variables, no open files and no
// arguments that hold secrets, and no signals that are the server's.
func TestWorkersHaveNothingThatTheyDoNotNeed(t *testing.T) {
	t.Setenv("TOKEN_SECRET", "a secret of the server")
	open, err := os.Open("/dev/zero")
	if err != nil {
		t.Fatal(err)
	}
	defer open.Close()
	p, _ := newPool(t)
	check(t, p, password)
	pid := pidOf(t, p)
	read := func(name string) string {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", pid, name))
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	if got := read("environ"); got != "" {
		t.Errorf("it has variables: %q", got)
	}
	if got := read("cmdline"); got != "latchkey\x00"+Command+"\x00" {
		t.Errorf("its arguments are %q", got)
	}
	if got := read("comm"); got != "latchkey-hash\n" {
		t.Errorf("its name is %q", got)
	}
	files, err := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if to, err := os.Readlink(file); err == nil && to == open.Name() {
			t.Errorf("it has %s open", to)
		}
	}
	if group, err := syscall.Getpgid(pid); err != nil || group != pid {
		t.Errorf("its process group is %d (%v), want its own", group, err)
	}
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*", pid))
	if err != nil {
		t.Fatal(err)
	}
	for _, thread := range threads {
		id, _ := strconv.Atoi(filepath.Base(thread))
		raw, err := syscall.Getpriority(syscall.PRIO_PROCESS, id)
		if nice := 20 - raw; err == nil && nice != niceness { // the system call's values are 1 to 40
			t.Errorf("one of its threads has niceness %d, want %d", nice, niceness)
		}
	}
	for _, signal := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP} {
		if err := syscall.Kill(pid, signal); err != nil {
			t.Fatal(err)
		}
	}
	check(t, p, password)
	if pidOf(t, p) != pid {
		t.Error("a signal to it ended it, though there may be requests to finish")
	}
}
