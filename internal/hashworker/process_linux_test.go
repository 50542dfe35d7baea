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
	if err != nil || len(lists) == 0 {
		t.Skip("needs /proc/PID/task/*/children")
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
	for deadline := time.Now().Add(time.Minute); syscall.Kill(pid, 0) == nil; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("process %d is still there", pid)
		}
	}
}

// TestAnswersAreRightWhileWorkersAreKilled, at any moment of their work.
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
	deadline := time.Now().Add(30 * time.Second)
	for kills := 0; kills < 20 && time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		p.mu.Lock()
		for _, w := range p.idle {
			kept[w.cmd.Process.Pid] = true
		}
		p.mu.Unlock()
		for _, pid := range children(t) {
			process, err := os.FindProcess(pid)
			if kept[pid] && err == nil && process.Kill() == nil {
				delete(kept, pid)
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

// TestAStuckWorkerIsGivenUp: processes that were stopped hold nobody up for longer
// than patience, however many there are.
func TestAStuckWorkerIsGivenUp(t *testing.T) {
	p, log := newPool(t)
	var stuck []int
	var wg sync.WaitGroup
	release := make(chan struct{})
	for range 3 {
		w, err := p.start()
		if err != nil {
			t.Fatal(err)
		}
		stuck = append(stuck, w.cmd.Process.Pid)
		halt(t, w.cmd.Process.Pid)
		wg.Go(func() { <-release; p.put(w) })
	}
	close(release)
	wg.Wait()
	usual := p.patience
	p.patience = 500 * time.Millisecond
	began := time.Now()
	p.New(cheap, password)
	if took := time.Since(began); took >= time.Duration(len(stuck))*p.patience { // one after the other
		t.Errorf("a hash took %v", took)
	}
	for range 2 {
		if h := p.New(cheap, password); !h.Matches(password) {
			t.Error("a hash is wrong")
		}
	}
	if n := log.count(late); n != len(stuck) {
		t.Errorf("%d processes are said to have been ended, want %d:\n%s", n, len(stuck), log.text.String())
	}
	for _, pid := range stuck {
		gone(t, pid)
	}
	p.patience = usual // a new process takes a while on a busy machine
	check(t, p, password)
	pidOf(t, p)
}

// TestWorkersEndWhenIdle: a while after the last hash, not the first, and again.
func TestWorkersEndWhenIdle(t *testing.T) {
	p, _ := newPool(t)
	p.idleFor = time.Hour
	check(t, p, password)
	worker := pidOf(t, p)
	p.rest.Reset(time.Hour)
	check(t, p, password)
	if pidOf(t, p) != worker {
		t.Error("a worker ended that was used")
	}
	for range 2 {
		p.idleFor = 10 * time.Millisecond
		p.New(cheap, password)
		for _, pid := range children(t) {
			gone(t, pid)
		}
	}
}

// TestWorkersEndWithThePool, at any moment of their work.
func TestWorkersEndWithThePool(t *testing.T) {
	p, _ := newPool(t)
	check(t, p, password)
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
	// As one that this program was given, which Go knows nothing of.
	if _, _, err := syscall.Syscall(syscall.SYS_FCNTL, open.Fd(), syscall.F_SETFD, 0); err != 0 {
		t.Fatal(err)
	}
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
	if n := strings.Count(read("environ"), "\x00"); n > 0 {
		t.Errorf("it has %d variables", n)
	}
	if got := read("cmdline"); got != "latchkey\x00"+Command+"\x00" {
		t.Errorf("its arguments are %q", got)
	}
	if got := read("comm"); got != "latchkey-hash\n" {
		t.Errorf("its name is %q", got)
	}
	if got := read("oom_score_adj"); got != "1000\n" {
		t.Errorf("it is as likely to be killed for want of memory as the server: %q", got)
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
	own, err := nice()
	if err != nil {
		t.Fatal(err)
	}
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*", pid))
	if err != nil {
		t.Fatal(err)
	}
	for _, thread := range threads {
		id, _ := strconv.Atoi(filepath.Base(thread))
		raw, err := syscall.Getpriority(syscall.PRIO_PROCESS, id)
		if got, want := 20-raw, min(own+niceness, 19); err == nil && got != want {
			t.Errorf("one of its threads has niceness %d, want %d", got, want)
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
