package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/latchkey-auth/latchkey/internal/web/contract"
)

// TestTrialTermination ends serve by SIGTERM while clients ask, each request over
// a connection of its own.
//
// In flight is every request whose connection was made: the client has sent it
// and cannot know whether it was carried out, so it must be answered, whole. That
// holds also for connections that the kernel has made and the program has not
// accepted yet. A client whose connection is refused has sent nothing, and is
// free to ask elsewhere.
//
// Connections that are kept open are another matter. When both ends decide at the
// same time, the one to ask again and the other to close, the request meets a
// closed connection; HTTP has clients repeat it then (RFC 9112 section 9.6). They
// are held to whole answers only: what has begun to come must end.
func TestTrialTermination(t *testing.T) {
	for _, c := range []struct {
		name string
		kept bool // connections are
	}{{"fresh connections", false}, {"kept connections", true}} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			dir := initialized(t, cheapHash)
			var answered, refused int
			n := inForm(2, 100)
			for range n {
				p := startService(t, dir, cheapHash, "--no-verify-email")
				load := startLoad(t, p, c.kept)
				load.await(t, 200)
				p.terminate(t)
				load.wait()
				if err := load.fault(); err != nil {
					t.Fatal(err)
				}
				answered += int(load.answered.Load())
				refused += int(load.refused.Load())
			}
			t.Logf("ended %d times under load: %d requests answered, none failed; %d clients found the door closed", n, answered, refused)
		})
	}
}

// load is clients that send requests for as long as the server accepts connections.
type load struct {
	addr              string
	service           *contract.Contract // of requests and answers
	kept              bool
	answered, refused atomic.Int64
	clients           sync.WaitGroup
	enough            chan struct{} // gets one for every answer, while a test reads it
	faults            chan error
}

const loadClients = 16

func startLoad(t *testing.T, p *program, kept bool) *load {
	t.Helper()
	service, err := contract.Service()
	if err != nil {
		t.Fatal(err)
	}
	l := &load{addr: strings.TrimPrefix(p.url, "http://"), service: service, kept: kept, enough: make(chan struct{}), faults: make(chan error, loadClients)}
	for i := range loadClients {
		l.clients.Go(func() {
			if err := l.ask(i%2 == 0); err != nil {
				l.faults <- err
			}
		})
	}
	return l
}

// await waits for so many answers.
func (l *load) await(t *testing.T, n int) {
	t.Helper()
	patience := time.After(startTimeout)
	for range n {
		select {
		case <-l.enough:
		case err := <-l.faults:
			t.Fatal(err)
		case <-patience:
			t.Fatal("too few answers")
		}
	}
}

func (l *load) wait() { l.clients.Wait() }

func (l *load) fault() error {
	select {
	case err := <-l.faults:
		return err
	default:
		return nil
	}
}

// ask makes requests until connecting fails; writes are logins.
func (l *load) ask(writes bool) error {
	request := "GET /me HTTP/1.1\r\nHost: x\r\n"
	body := ""
	want := http.StatusUnauthorized
	if writes {
		body = `{"username":"ada","password":"` + trialPassword + `"}`
		request = fmt.Sprintf("POST /login HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n", len(body))
		want = http.StatusOK
	}
	if !l.kept {
		request += "Connection: close\r\n"
	}
	request += "\r\n" + body
	for {
		conn, err := net.Dial("tcp", l.addr)
		if errors.Is(err, syscall.ECONNREFUSED) {
			l.refused.Add(1)
			return nil
		}
		if err != nil {
			return err
		}
		err = l.converse(conn, request, want)
		conn.Close()
		if err != nil {
			return err
		}
	}
}

// converse makes requests over the connection: one, or where it is kept as many
// as it bears.
func (l *load) converse(conn net.Conn, request string, want int) error {
	in := bufio.NewReader(conn)
	asked, err := http.ReadRequest(bufio.NewReader(strings.NewReader(request)))
	if err != nil {
		return err
	}
	sent, err := io.ReadAll(asked.Body)
	if err != nil {
		return err
	}
	for first := true; first || l.kept; first = false {
		_, err := io.WriteString(conn, request)
		if err == nil {
			_, err = in.Peek(1)
		}
		if err != nil && !first {
			return nil // it was closed meanwhile
		}
		if err != nil {
			return fmt.Errorf("a request got no answer: %w", err)
		}
		res, err := http.ReadResponse(in, nil)
		if err != nil {
			return fmt.Errorf("an answer broke off: %w", err)
		}
		body, err := io.ReadAll(res.Body)
		if err != nil {
			return fmt.Errorf("an answer broke off: %w", err)
		}
		if res.StatusCode != want {
			return fmt.Errorf("a request was answered %s, want %d", res.Status, want)
		}
		if err := l.service.Check(contract.Exchange{Request: asked, Sent: sent, Status: res.StatusCode, Header: res.Header, Body: string(body)}); err != nil {
			return err
		}
		l.answered.Add(1)
		select {
		case l.enough <- struct{}{}:
		default:
		}
		if res.Close {
			return nil
		}
	}
	return nil
}
