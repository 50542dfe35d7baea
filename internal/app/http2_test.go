package app

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
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
	srv, err := Listen(t.Context(), "127.0.0.1:0", slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	srv.HTTP2 = on
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- srv.Serve(ctx, h) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return srv.URL()
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

// TestHTTP2Limits: headers have the same limit over both protocols, and one request
// over it is answered like any other.
func TestHTTP2Limits(t *testing.T) {
	url := serveHTTP2ForTest(t, true, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "ok") }))
	plain := &http.Transport{}
	t.Cleanup(plain.CloseIdleConnections)
	for _, transport := range []*http.Transport{overHTTP2(t), plain} {
		for name, c := range map[string]struct {
			path   string
			header http.Header
			want   int
		}{
			"a value below":      {"/", http.Header{"X-Large": {strings.Repeat("a", maxHeaderBytes-512)}}, http.StatusOK},
			"a value above":      {"/", http.Header{"X-Large": {strings.Repeat("a", maxHeaderBytes)}}, http.StatusRequestHeaderFieldsTooLarge},
			"a name above":       {"/", http.Header{"X" + strings.Repeat("a", maxHeaderBytes): {"1"}}, http.StatusRequestHeaderFieldsTooLarge},
			"a path above":       {"/" + strings.Repeat("a", maxHeaderBytes), nil, http.StatusRequestHeaderFieldsTooLarge},
			"many values":        {"/", http.Header{"X": slices.Repeat([]string{""}, 3500)}, http.StatusRequestHeaderFieldsTooLarge},
			"what proxies allow": {"/", http.Header{"X-Large": slices.Repeat([]string{strings.Repeat("~", 10_000)}, 12)}, http.StatusRequestHeaderFieldsTooLarge},
		} {
			res, err := sendGet(t, transport, url+c.path, c.header)
			if err != nil {
				t.Errorf("%s: %v", name, err)
			} else if res.StatusCode != c.want {
				t.Errorf("%s: %s over %s, want %d", name, res.Status, res.Proto, c.want)
			}
		}
	}
}

// sendGet asks for the URL and drops the body of the answer.
func sendGet(t *testing.T, transport http.RoundTripper, url string, header http.Header) (*http.Response, error) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), "GET", url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if header != nil {
		r.Header = header
	}
	res, err := transport.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	_, err = io.Copy(io.Discard, res.Body)
	return res, errors.Join(err, res.Body.Close())
}

// TestLongHeadersLeaveTheConnection: a proxy has the requests of many clients on one
// connection, and one of them must not end those of the others.
func TestLongHeadersLeaveTheConnection(t *testing.T) {
	const others = 5
	begun, finish := make(chan struct{}, others), make(chan struct{})
	url := serveHTTP2ForTest(t, true, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		begun <- struct{}{}
		<-finish
	}))
	transport := overHTTP2(t)
	var connections atomic.Int32
	transport.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
		connections.Add(1)
		return new(net.Dialer).DialContext(ctx, network, addr)
	}
	answers := make(chan error, others)
	for range others {
		go func() {
			res, err := sendGet(t, transport, url, nil)
			if err == nil && res.StatusCode != http.StatusOK {
				err = errors.New(res.Status)
			}
			answers <- err
		}()
		<-begun // the first one has made the connection
	}
	made := connections.Load() // net/http may make a second one before it knows the first
	res, err := sendGet(t, transport, url, http.Header{"X-Large": slices.Repeat([]string{strings.Repeat("~", 4000)}, 7)})
	if err != nil || res.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("28,000 bytes of headers: %v, %v; want 431", res, err)
	}
	close(finish)
	for range others {
		if err := <-answers; err != nil {
			t.Errorf("another request of the connection: %v", err)
		}
	}
	if n := connections.Load() - made; n != 0 {
		t.Errorf("%d connections were made after those of the others, want none", n)
	}
}
