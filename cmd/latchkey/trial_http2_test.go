package main

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"syscall"
	"testing"

	"github.com/latchkey-auth/latchkey/internal/web/contract"
)

// overHTTP2 speaks HTTP/2 without TLS and nothing else.
func overHTTP2(t *testing.T) *http.Transport {
	t.Helper()
	transport := &http.Transport{Protocols: new(http.Protocols)}
	transport.Protocols.SetUnencryptedHTTP2(true)
	t.Cleanup(transport.CloseIdleConnections)
	return transport
}

// TestTrialTerminationHTTP2 ends serve by SIGTERM while clients ask over one
// connection of HTTP/2. A request that the server does not carry out is named by
// GOAWAY, and the transport asks elsewhere, where the door is closed: no request
// fails in any other way.
func TestTrialTerminationHTTP2(t *testing.T) {
	t.Parallel()
	dir := initialized(t, cheapHash)
	service, err := contract.Service()
	if err != nil {
		t.Fatal(err)
	}
	for range inForm(2, 100) {
		p := startService(t, dir, cheapHash, "--no-verify-email", "--http2")
		l := &load{enough: make(chan struct{}), faults: make(chan error, loadClients)}
		client := &http.Client{Transport: service.Client(overHTTP2(t))}
		for i := range loadClients {
			l.clients.Go(func() {
				if err := l.askOver(client, p.url, i%2 == 0); err != nil {
					l.faults <- err
				}
			})
		}
		l.await(t, 200)
		p.terminate(t)
		l.wait()
		if err := l.fault(); err != nil {
			t.Fatal(err)
		}
	}
}

// askOver makes requests until connecting fails; writes are logins.
func (l *load) askOver(client *http.Client, url string, writes bool) error {
	for {
		res, err := func() (*http.Response, error) {
			if writes {
				return client.Post(url+"/login", "application/json", strings.NewReader(`{"username":"ada","password":"`+trialPassword+`"}`))
			}
			return client.Get(url + "/me")
		}()
		if errors.Is(err, syscall.ECONNREFUSED) {
			l.refused.Add(1)
			return nil
		}
		if err != nil {
			return err
		}
		_, err = io.Copy(io.Discard, res.Body)
		res.Body.Close()
		if err != nil {
			return err
		}
		if want := map[bool]int{true: http.StatusOK, false: http.StatusUnauthorized}[writes]; res.StatusCode != want {
			return errors.New("a request was answered " + res.Status)
		}
		l.answered.Add(1)
		select {
		case l.enough <- struct{}{}:
		default:
		}
	}
}
