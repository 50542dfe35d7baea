// Package hashworker makes password hashes in processes beside the server: the
// same program, as its command hash-worker.
//
// A hash keeps a core and 19 MiB busy for tens of milliseconds. In the server's
// own process the scheduler and the garbage collector make every request wait
// for that. Beside it the kernel shares the cores, and lets the server go first.
//
// Workers are started as hashes are asked for, get what they need by a pipe, and
// end when nothing has been asked for a while. Where none can be started, hashes
// are made in this process.
//
// Start at Pool.
package hashworker

import (
	"encoding/gob"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"runtime/debug"
	"sync"
	"syscall"
	"time"

	"github.com/latchkey-auth/latchkey/internal/passhash"
)

// Command is the argument by which the program is a worker.
const Command = "hash-worker"

const (
	// idleFor is how long workers stay after a hash. To start one takes about as
	// long as a third of a hash.
	idleFor = 10 * time.Second
	// patience is how long one hash may take: many times what the dearest does,
	// on a machine whose cores others keep busy.
	patience = time.Minute
	// retryAfter is how long no worker is started after one has failed.
	retryAfter = 10 * time.Second
)

// job is what a worker is asked: to make a hash of the password at a cost, or to
// check the password against a hash.
type job struct {
	Make     bool
	Cost     passhash.Argon2
	Hash     string
	Password string
}

type answer struct {
	Hash    string
	Matches bool
}

// A Pool makes and checks hashes in workers. It has as many as were ever asked
// for at the same time; its caller bounds that.
type Pool struct {
	log      *slog.Logger
	program  func() (string, error)
	patience time.Duration

	mu     sync.Mutex
	idle   []*worker
	rest   *time.Timer // ends the idle ones
	retry  time.Time   // none is started before
	closed bool
}

// New returns a pool without workers. Whoever has one closes it.
func New(log *slog.Logger) *Pool {
	p := &Pool{log: log, program: executable, patience: patience}
	p.rest = time.AfterFunc(idleFor, p.endIdle)
	return p
}

// New is passhash.New.
func (p *Pool) New(cost passhash.Argon2, password string) passhash.Hash {
	if a, ok := p.do(job{Make: true, Cost: cost, Password: password}); ok {
		if h, err := passhash.Parse(a.Hash); err == nil {
			return h
		}
	}
	return passhash.New(cost, password)
}

// Matches is h.Matches.
func (p *Pool) Matches(h passhash.Hash, password string) bool {
	if a, ok := p.do(job{Hash: h.String(), Password: password}); ok {
		return a.Matches
	}
	return h.Matches(password)
}

// do has a worker do the job. It is not done when no process can be started, or
// a new one fails; those that were kept may have been killed since.
func (p *Pool) do(j job) (a answer, done bool) {
	for {
		w, kept := p.take()
		var err error
		if !kept {
			w, err = p.start()
		}
		if err == nil {
			if a, err = w.do(j, p.patience); err == nil {
				p.put(w)
				return a, true
			}
			err = errors.Join(err, w.end())
		}
		if kept {
			p.log.Warn("a process for password hashes is gone; there are others", slog.Any("error", err))
			continue
		}
		if !errors.Is(err, errPause) {
			p.pause()
			p.log.Warn("no process for password hashes; they are made in the server itself, which answers more slowly meanwhile", slog.Any("error", err))
		}
		return answer{}, false
	}
}

var errPause = errors.New("a start has failed a moment ago")

// start starts a worker, unless that has failed a moment ago: each attempt takes
// as long as some hashes.
func (p *Pool) start() (*worker, error) {
	p.mu.Lock()
	early := time.Now().Before(p.retry)
	p.mu.Unlock()
	if early {
		return nil, errPause
	}
	path, err := p.program()
	if err != nil {
		return nil, err
	}
	return start(path)
}

func (p *Pool) pause() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.retry = time.Now().Add(retryAfter)
}

func (p *Pool) take() (w *worker, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.idle) == 0 {
		return nil, false
	}
	w = p.idle[len(p.idle)-1]
	p.idle = p.idle[:len(p.idle)-1]
	return w, true
}

func (p *Pool) put(w *worker) {
	p.mu.Lock()
	closed := p.closed
	if !closed {
		p.idle = append(p.idle, w)
		p.rest.Reset(idleFor)
	}
	p.mu.Unlock()
	if closed {
		w.end()
	}
}

func (p *Pool) endIdle() {
	p.mu.Lock()
	idle := p.idle
	p.idle = nil
	p.mu.Unlock()
	for _, w := range idle {
		w.end()
	}
}

// Close ends the workers, those at work when they are done.
func (p *Pool) Close() {
	p.mu.Lock()
	p.closed = true
	p.rest.Stop()
	p.mu.Unlock()
	p.endIdle()
}

// A worker is a process that does one job at a time.
type worker struct {
	cmd  *exec.Cmd
	jobs *gob.Encoder
	out  *gob.Decoder
}

func start(path string) (*worker, error) {
	cmd := &exec.Cmd{Path: path, Args: []string{"latchkey", Command}, Env: []string{}, Stderr: os.Stderr} // variables hold secrets
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
	return &worker{cmd, gob.NewEncoder(in), gob.NewDecoder(out)}, nil
}

func (w *worker) do(j job, patience time.Duration) (a answer, err error) {
	late := time.AfterFunc(patience, func() { w.cmd.Process.Kill() })
	defer late.Stop()
	if err := w.jobs.Encode(j); err != nil {
		return a, fmt.Errorf("asking a worker: %w", err)
	}
	if err := w.out.Decode(&a); err != nil {
		return a, fmt.Errorf("hearing from a worker: %w", err)
	}
	return a, nil
}

// end ends the process, whatever it is at, and says how it ended.
func (w *worker) end() error {
	w.cmd.Process.Kill()
	return w.cmd.Wait()
}

// Work is what a worker does, and all that its process does: the jobs that it
// reads, until there are no more.
func Work(in io.Reader, out io.Writer) error {
	rename()
	// The end of its input ends it. A signal is for the server, which has
	// requests to finish first.
	signal.Ignore(os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	// It is to keep one core busy, whatever a hash's lanes.
	runtime.GOMAXPROCS(1)
	// The collector leaves small hashes alone until they have used 24 MiB (six
	// times its least), and does not begin in the middle of one that needs 19.
	debug.SetGCPercent(600)
	return work(in, out)
}

func work(in io.Reader, out io.Writer) error {
	jobs, answers := gob.NewDecoder(in), gob.NewEncoder(out)
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
	if j.Make {
		return answer{Hash: passhash.New(j.Cost, j.Password).String()}, nil
	}
	h, err := passhash.Parse(j.Hash)
	if err != nil {
		return answer{}, err
	}
	return answer{Matches: h.Matches(j.Password)}, nil
}
