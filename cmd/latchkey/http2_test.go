package main

import (
	"context"
	"errors"
	"io"
	"log/slog"
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

// serveHTTP2ForTest runs a handler as serve does and returns its URL.
func serveHTTP2ForTest(t *testing.T, on bool, h http.Handler) string {
	t.Helper()
	srv, err := listen(t.Context(), "127.0.0.1:0", slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	srv.http2 = on
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- srv.serve(ctx, h) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return srv.base()
}

// TestHTTP2ByPriorKnowledge: only where it is set, never by Upgrade, and beside
// HTTP/1.1.
func TestHTTP2ByPriorKnowledge(t *testing.T) {
	protocol := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, r.Proto) })
	for _, on := range []bool{false, true} {
		url := serveHTTP2ForTest(t, on, protocol)
		res, err := (&http.Client{Transport: overHTTP2(t)}).Get(url)
		if (err == nil) != on {
			t.Errorf("setting %v: %v", on, err)
		}
		if err == nil {
			body, err := io.ReadAll(res.Body)
			res.Body.Close()
			if err != nil || string(body) != "HTTP/2.0" {
				t.Errorf("got %q, %v", body, err)
			}
		}
		req, err := http.NewRequestWithContext(t.Context(), "GET", url, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header = http.Header{"Connection": {"Upgrade, HTTP2-Settings"}, "Upgrade": {"h2c"}, "Http2-Settings": {"AAMAAABkAAQAAP__"}}
		plain := &http.Transport{}
		t.Cleanup(plain.CloseIdleConnections)
		if res, err = plain.RoundTrip(req); err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(res.Body)
		res.Body.Close()
		if err != nil || res.StatusCode != http.StatusOK || string(body) != "HTTP/1.1" {
			t.Errorf("an upgrade, setting %v: got %s %q, %v; want an answer over HTTP/1.1", on, res.Status, body, err)
		}
	}
}

// TestHTTP2Limits: a header over the limit gets no answer of the handler.
func TestHTTP2Limits(t *testing.T) {
	url := serveHTTP2ForTest(t, true, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "ok") }))
	client := &http.Client{Transport: overHTTP2(t)}
	for size, want := range map[int]bool{maxHeaderBytes - 4096 - 1024: true, maxHeaderBytes - 4096 + 1024: false, maxHeaderBytes + 1024: false} {
		req, err := http.NewRequestWithContext(t.Context(), "GET", url, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("X-Large", strings.Repeat("a", size))
		res, err := client.Do(req)
		if err == nil {
			res.Body.Close()
		}
		if good := err == nil && res.StatusCode == http.StatusOK; good != want {
			t.Errorf("a header of %d bytes: %v, %v", size, res, err)
		}
	}
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

// askOver makes requests until no connection is to be had; writes are logins.
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
