// Package hashworker makes password hashes in processes beside the server: the
// same program, as its command hash-worker.
//
// A hash keeps a core and 19 MiB busy for tens of milliseconds. In the server's
// own process the scheduler and the garbage collector make every request wait
// for that. Beside it the kernel shares the cores, and lets the server go first.
//
// Workers are started as hashes are asked for, get what they need by a pipe, and
// end when nothing has been asked for a while. Where none can be started, or they
// end at work, this process makes the hashes, one at a time.
//
// Start at Pool.
package hashworker

import (
	"errors"
	"log/slog"
	"runtime"
	"sync"
	"time"

	"github.com/latchkey-auth/latchkey/internal/password/passhash"
)

// Command is the argument by which the program is a worker.
const Command = "hash-worker"

const (
	// idleFor is how long workers stay after a hash. To start one takes about as
	// long as a third of a hash.
	idleFor = 10 * time.Second
	// patience is how long a worker may take: four times what the most expensive hash does
	// on a quiet machine (passhash's BenchmarkDearest), because a password that can be
	// read in two ways may need two, and others may keep the cores busy; with the wait
	// for it shorter than the server takes to answer.
	patience = 8 * time.Second
	// retryAfter is how long no worker is started after one has failed.
	retryAfter = 10 * time.Second
)

// job is what a worker is asked: to make a hash of the password at a cost, or to
// check the password against a hash. Both may hold what is no text.
type job struct {
	Cost     string // empty: to check
	Hash     []byte
	Password []byte
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
	idleFor  time.Duration

	here   sync.Mutex // held while this process makes a hash
	mu     sync.Mutex
	idle   []*worker
	rest   *time.Timer // ends the idle ones
	retry  time.Time   // none is started before
	closed bool
}

// New returns a pool without workers. The caller closes it.
func New(log *slog.Logger) *Pool {
	keepFiles()
	p := &Pool{log: log, program: executable, patience: patience, idleFor: idleFor}
	p.rest = time.AfterFunc(idleFor, p.endIdle)
	return p
}

// New is passhash.New.
func (p *Pool) New(cost passhash.Argon2, password string) (h passhash.Hash) {
	if a, ok := p.do(job{Cost: cost.String(), Password: []byte(password)}); ok {
		if h, err := passhash.Parse(a.Hash); err == nil {
			return h
		}
	}
	p.doHere(func() { h = passhash.New(cost, password) })
	return h
}

// Matches is h.Matches.
func (p *Pool) Matches(h passhash.Hash, password string) (ok bool) {
	if a, done := p.do(job{Hash: []byte(h.String()), Password: []byte(password)}); done {
		return a.Matches
	}
	p.doHere(func() { ok = h.Matches(password) })
	return ok
}

// doHere makes a hash in this process. What keeps workers from it may be want of
// memory, which several at a time would make worse.
func (p *Pool) doHere(hash func()) {
	p.here.Lock()
	defer p.here.Unlock()
	hash()
	runtime.GC()
}

// do has a worker do the job. It is not done when no process can be started, or
// one fails that is new or late; others that were kept may have been killed since.
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
		switch {
		case errors.Is(err, errPause):
			return answer{}, false
		case errors.Is(err, errLate):
			p.log.Warn("a process for password hashes was ended; the server makes the hash", slog.Any("error", err))
			return answer{}, false
		case !kept:
			p.pause()
			p.log.Warn("no process for password hashes; the server makes them itself, one at a time, and answers more slowly meanwhile", slog.Any("error", err))
			return answer{}, false
		}
		p.log.Warn("a process for password hashes is gone; another takes its place", slog.Any("error", err))
	}
}

var (
	errPause = errors.New("a start has failed a moment ago")
	errLate  = errors.New("it took too long")
)

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
		p.rest.Reset(p.idleFor)
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
