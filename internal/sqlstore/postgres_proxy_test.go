package sqlstore_test

import (
	"bytes"
	"cmp"
	"io"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"testing"
)

// A fault is what a wire does once, at the next commit.
type fault int

const (
	none       fault = iota
	cutBefore        // the connection ends before the server gets it
	loseAnswer       // the connection ends when the server has carried it out
)

// A wire is between a store and PostgreSQL.
type wire struct {
	url string // by which a database is reached through it
	// watch returns what sees the bytes of a new connection, to the server and from it.
	watch func() (sent, answered func([]byte))

	mu     sync.Mutex
	next   fault
	silent bool // nothing goes through
	conns  map[net.Conn]bool
}

// newWire leads to the database.
func newWire(t *testing.T, database string) *wire {
	t.Helper()
	return newWatchedWire(t, database, func() (sent, answered func([]byte)) {
		return func([]byte) {}, func([]byte) {}
	})
}

func newWatchedWire(t *testing.T, database string, watch func() (sent, answered func([]byte))) *wire {
	t.Helper()
	u, err := url.Parse(database)
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("", "wire")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	server := socket(u.Query().Get("host"), cmp.Or(u.Query().Get("port"), "5432"))
	listener, err := net.Listen("unix", socket(dir, "5432"))
	if err != nil {
		t.Fatal(err)
	}
	u.RawQuery = url.Values{"host": {dir}}.Encode()
	w := &wire{url: u.String(), watch: watch, conns: make(map[net.Conn]bool)}
	t.Cleanup(func() {
		listener.Close()
		w.cut()
	})
	go func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			w.connect(client, server)
		}
	}()
	return w
}

// socket is where a server in the directory listens.
func socket(dir, port string) string { return filepath.Join(dir, ".s.PGSQL."+port) }

func (w *wire) connect(client net.Conn, address string) {
	server, err := net.Dial("unix", address)
	if err != nil {
		client.Close()
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.conns[client], w.conns[server] = true, true
	losing := make(chan struct{}) // closed: the next answer is lost
	seeSent, seeAnswered := w.watch()
	go w.relay(client, server, func(sent []byte) bool {
		seeSent(sent)
		if !bytes.Contains(sent, []byte("commit\x00")) {
			return true
		}
		w.mu.Lock()
		f := w.next
		w.next = none
		w.mu.Unlock()
		if f == loseAnswer {
			close(losing)
		}
		return f != cutBefore
	})
	go w.relay(server, client, func(answered []byte) bool {
		seeAnswered(answered)
		select {
		case <-losing:
			return false
		default:
			return true
		}
	})
}

// relay ends both connections when one has ended, or when pass says so.
func (w *wire) relay(from, to net.Conn, pass func([]byte) bool) {
	defer from.Close()
	defer to.Close()
	buffer := make([]byte, 1<<16)
	for {
		n, err := from.Read(buffer)
		if err != nil || !pass(buffer[:n]) {
			return
		}
		w.mu.Lock()
		silent := w.silent
		w.mu.Unlock()
		if silent {
			continue
		}
		if _, err := io.Copy(to, bytes.NewReader(buffer[:n])); err != nil {
			return
		}
	}
}

func (w *wire) atNextCommit(f fault) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.next = f
}

// hush has nothing go through any more, or again.
func (w *wire) hush(silent bool) {
	w.mu.Lock()
	w.silent = silent
	w.mu.Unlock()
	if !silent {
		w.cut() // what was swallowed does not come any more
	}
}

// cut ends every connection.
func (w *wire) cut() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for c := range w.conns {
		c.Close()
	}
	clear(w.conns)
}
