package hashworker

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"runtime/debug"
	"syscall"
	"time"

	"github.com/latchkey-auth/latchkey/internal/password/passhash"
)

// A worker is a process that does one job at a time.
type worker struct {
	cmd  *exec.Cmd
	said *head // on its standard error
	jobs *json.Encoder
	out  *json.Decoder
}

// head keeps the beginning of what is written to it.
type head struct{ text []byte }

func (h *head) Write(p []byte) (int, error) {
	h.text = append(h.text, p[:min(len(p), 200-len(h.text))]...)
	return len(p), nil
}

func start(path string) (*worker, error) {
	said := new(head)
	cmd := &exec.Cmd{Path: path, Args: []string{"latchkey", Command}, Env: []string{}, Stderr: said} // variables hold secrets
	detach(cmd)
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		in.Close()
		return nil, err
	}
	if err := cmd.Start(); err != nil { // closes both
		return nil, err
	}
	yield(cmd.Process.Pid)
	return &worker{cmd, said, json.NewEncoder(in), json.NewDecoder(out)}, nil
}

func (w *worker) do(j job, patience time.Duration) (a answer, err error) {
	timer := time.AfterFunc(patience, func() { w.cmd.Process.Kill() })
	err = w.jobs.Encode(j)
	if err == nil {
		err = w.out.Decode(&a)
	}
	if inTime := timer.Stop(); err != nil && !inTime {
		err = errLate
	}
	return a, err
}

// end kills the process, and says how it ended.
func (w *worker) end() error {
	w.cmd.Process.Kill()
	err := w.cmd.Wait()
	if len(w.said.text) > 0 {
		err = fmt.Errorf("%w: %s", err, bytes.TrimSpace(w.said.text))
	}
	return err
}

// Work is what a worker does, and all that its process does: the jobs that it
// reads, until there are no more.
func Work(in io.Reader, out io.Writer) error {
	beWorker()
	// The end of its input ends it. A signal is for the server, which has
	// requests to finish first.
	signal.Ignore(os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	// One core, for any number of lanes of a hash.
	runtime.GOMAXPROCS(1)
	// The collector leaves small hashes alone until they have used 24 MiB (six
	// times its least), and does not begin in the middle of one that needs 19.
	debug.SetGCPercent(600)
	return work(in, out)
}

func work(in io.Reader, out io.Writer) error {
	jobs, answers := json.NewDecoder(in), json.NewEncoder(out)
	for {
		var j job
		if err := jobs.Decode(&j); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		began := time.Now()
		a, err := j.do()
		if err != nil {
			return err
		}
		if err := answers.Encode(a); err != nil {
			return err
		}
		if time.Since(began) > time.Millisecond {
			// It took memory too, and the next hash would take as much again.
			runtime.GC()
		}
	}
}

func (j job) do() (answer, error) {
	if j.Cost != "" {
		cost, err := passhash.ParseArgon2(j.Cost)
		if err != nil {
			return answer{}, err
		}
		return answer{Hash: passhash.New(cost, string(j.Password)).String()}, nil
	}
	h, err := passhash.Parse(string(j.Hash))
	if err != nil {
		return answer{}, err
	}
	return answer{Matches: h.Matches(string(j.Password))}, nil
}
