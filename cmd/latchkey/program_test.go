package main

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/latchkey-auth/latchkey/internal/app"
)

// program is a latchkey that runs as a process of its own.
type program struct {
	*exec.Cmd
	url   string
	said  string        // on standard output, before and when it listened
	ready time.Duration // from exec to listening
	log   bytes.Buffer  // standard error, to be read once the process has ended
}

// startProgram starts the built program in dir and waits until it listens. It
// ends with the test at the latest.
func startProgram(t testing.TB, dir string, env []string, args ...string) *program {
	t.Helper()
	bin, err := buildBootstraps()
	if err != nil {
		t.Fatal(err)
	}
	p := &program{Cmd: exec.Command(filepath.Join(bin, "latchkey"), args...)}
	p.Dir, p.Env = dir, env
	p.launch(t)
	t.Cleanup(p.stop)
	return p
}

// launch starts the command and waits until it listens.
func (p *program) launch(t testing.TB) {
	t.Helper()
	p.Stderr = &p.log
	out, err := p.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		p.said += lines.Text() + "\n"
		if url, ok := strings.CutPrefix(lines.Text(), "listening on "); ok {
			p.url, p.ready = url, time.Since(began)
			return
		}
	}
	p.Wait()
	t.Fatalf("%v ended before it listened: %s", p.Args, p.log.Bytes())
}

// stop ends the process at once, as kill -9 does.
func (p *program) stop() {
	p.Process.Kill()
	p.Wait()
}

// terminate tells the process to end and wants exit status 0 in time.
func (p *program) terminate(t testing.TB) {
	t.Helper()
	began := time.Now()
	if err := p.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := p.Wait(); err != nil {
		t.Errorf("the program ended with %v: %s", err, p.log.Bytes())
	}
	if took := time.Since(began); took > app.ShutdownTimeout {
		t.Errorf("the program took %v to end", took)
	}
}

// unread is how many bytes clients have sent to the program and it has not read yet,
// from the kernel's view (proc(5), /proc/net/tcp); 0 where there is none.
func (p *program) unread(t testing.TB) (n int) {
	t.Helper()
	_, text, ok := strings.Cut(strings.TrimPrefix(p.url, "http://"), ":")
	port, err := strconv.Atoi(text)
	if !ok || err != nil {
		t.Fatalf("the program listens on %s", p.url)
	}
	table, err := os.ReadFile("/proc/net/tcp")
	if err != nil {
		return 0
	}
	const established = "01"
	for line := range strings.Lines(string(table)) {
		fields := strings.Fields(line) // number, local address, remote one, state, tx_queue:rx_queue
		if len(fields) < 5 || fields[3] != established || !strings.HasSuffix(fields[1], fmt.Sprintf(":%04X", port)) {
			continue
		}
		_, queued, _ := strings.Cut(fields[4], ":")
		queue, err := strconv.ParseInt(queued, 16, 64)
		if err != nil {
			t.Fatalf("/proc/net/tcp: %q", line)
		}
		n += int(queue)
	}
	return n
}

// descriptors is how many files and connections the process has open.
func (p *program) descriptors(t testing.TB) int {
	t.Helper()
	names, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", p.Process.Pid))
	if err != nil {
		t.Skip("needs /proc: ", err)
	}
	return len(names)
}

// goroutines ends the process and counts what it was doing, but for the workers
// that the garbage collector starts as it needs them.
func (p *program) goroutines(t testing.TB) int {
	t.Helper()
	if err := p.Process.Signal(syscall.SIGQUIT); err != nil {
		t.Fatal(err)
	}
	p.Wait()
	return bytes.Count(p.log.Bytes(), []byte("\ngoroutine ")) - bytes.Count(p.log.Bytes(), []byte("[GC worker"))
}

// children are the processes that the process has started and that are there.
func (p *program) children(t testing.TB) (pids []int) {
	t.Helper()
	lists, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", p.Process.Pid))
	if err != nil || len(lists) == 0 {
		t.Skip("needs /proc/PID/task/*/children")
	}
	for _, list := range lists {
		text, err := os.ReadFile(list)
		if err != nil {
			continue // of a thread that has just ended
		}
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

// memory is a size in MB from the kernel's view of the process and its children,
// together. What they share counts for each.
func (p *program) memory(t testing.TB, field string) float64 {
	t.Helper()
	sum := status(t, p.Process.Pid, field)
	for _, pid := range p.children(t) {
		sum += status(t, pid, field)
	}
	return sum
}

// status reads a size in MB from the kernel's view of a process.
func status(t testing.TB, pid int, field string) float64 {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Skip("needs /proc: ", err)
	}
	for line := range strings.Lines(string(text)) {
		if value, ok := strings.CutPrefix(line, field+":"); ok {
			kb, err := strconv.ParseFloat(strings.Fields(value)[0], 64)
			if err != nil {
				t.Fatal(err)
			}
			return kb / 1000
		}
	}
	t.Fatalf("no %s in /proc/PID/status", field)
	return 0
}

// cpu is the processor time so far of the process and those of its children that
// are there, to the nanosecond.
func (p *program) cpu(t testing.TB) time.Duration {
	t.Helper()
	sum := cpu(t, p.Process.Pid)
	for _, pid := range p.children(t) {
		sum += cpu(t, pid)
	}
	return sum
}

func cpu(t testing.TB, pid int) time.Duration {
	t.Helper()
	var sum time.Duration
	tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", pid))
	if err != nil || len(tasks) == 0 {
		t.Skip("needs /proc/PID/task/*/schedstat")
	}
	for _, name := range tasks {
		text, err := os.ReadFile(name)
		if err != nil {
			continue // a thread that has just ended
		}
		ns, err := strconv.ParseInt(strings.Fields(string(text))[0], 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		sum += time.Duration(ns)
	}
	return sum
}

// initialized returns a directory with a database, keys and the user ada.
func initialized(t testing.TB, env []string) string {
	t.Helper()
	dir := t.TempDir()
	runLatchkey(t, dir, env, "", "init", "--data", "data")
	runLatchkey(t, dir, env, "correct horse battery\n", "users", "add", "--data", "data", "--username", "ada", "--password-stdin")
	return dir
}
