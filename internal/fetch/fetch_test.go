package fetch_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/latchkey-auth/latchkey/internal/fetch"
)

func get(url string) fetch.Request { return fetch.Request{Method: "GET", URL: url, MaxBody: 1 << 10} }

// secure is a server by TLS, a client that trusts it, and how many connections were made.
func secure(t *testing.T, h http.HandlerFunc) (*httptest.Server, *fetch.Client, *atomic.Int32) {
	t.Helper()
	made := new(atomic.Int32)
	s := httptest.NewUnstartedServer(h)
	s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			made.Add(1)
		}
	}
	s.EnableHTTP2 = true
	s.StartTLS()
	t.Cleanup(s.Close)
	roots := x509.NewCertPool()
	roots.AddCert(s.Certificate())
	return s, new(fetch.Client).WithRoots(roots), made
}

// TestARequest is what a server of net/http sees of it, and what comes back.
func TestARequest(t *testing.T) {
	s, client, _ := secure(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.Header().Set("Cache-Control", "no-store")
		w.WriteHeader(http.StatusTeapot)
		fmt.Fprintf(w, "%s %s %s close %v, %q %q %s", r.Proto, r.Method, r.RequestURI, r.Close, r.Header["X-A"], body, r.Host)
	})
	for _, c := range []struct {
		request fetch.Request
		want    string
	}{
		{fetch.Request{Method: "GET", URL: s.URL}, `GET / close true, [] ""`},
		{fetch.Request{Method: "GET", URL: s.URL + "/a b?c=d%20e#f", Header: map[string]string{"X-A": "1"}}, `GET /a%20b?c=d%20e close true, ["1"] ""`},
		{fetch.Request{Method: "POST", URL: s.URL + "/", Body: []byte("{}")}, `POST / close true, [] "{}"`},
	} {
		c.request.MaxBody = 1 << 10
		got, err := client.Fetch(t.Context(), c.request)
		want := "HTTP/1.1 " + c.want + " " + strings.TrimPrefix(s.URL, "https://")
		if err != nil || got.Status != http.StatusTeapot || string(got.Body) != want || got.Header.Get("cache-control") != "no-store" {
			t.Errorf("%d %s, error %v; want %s", got.Status, got.Body, err, want)
		}
	}
}

// TestWhatIsNotSent: nothing is dialled for it.
func TestWhatIsNotSent(t *testing.T) {
	client := fetch.Client{Control: func(context.Context, string, string, syscall.RawConn) error {
		t.Error("something is dialled")
		return errors.New("no")
	}}
	for _, url := range []string{"", "/a", "ftp://h/", "https:///a", "https://:443/", "file:///etc/passwd", "https://bücher.example/", "https://u:hunter2@h/%zz", "https://h\r\nX: y/"} {
		if _, err := client.Fetch(t.Context(), get(url)); err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%q: %v", url, err)
		}
	}
	for _, value := range []string{"a\r\nX-B: b", "a\nb", "a\x00"} {
		r := get("http://127.0.0.1:1/")
		r.Header = map[string]string{"X-A": value}
		if _, err := client.Fetch(t.Context(), r); err == nil || !strings.Contains(err.Error(), "end of a line") {
			t.Errorf("%q: %v", value, err)
		}
	}
}

// TestServersAreWhoTheySay: a certificate of nobody, of another host, and a server that
// speaks no TLS 1.2.
func TestServersAreWhoTheySay(t *testing.T) {
	s, trusting, _ := secure(t, func(http.ResponseWriter, *http.Request) { t.Error("a request has arrived") })
	_, port, _ := net.SplitHostPort(s.Listener.Addr().String())
	if _, err := new(fetch.Client).Fetch(t.Context(), get(s.URL)); err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("a certificate of nobody: %v", err)
	}
	if _, err := trusting.Fetch(t.Context(), get("https://localhost:"+port)); err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("a certificate of another host: %v", err)
	}
	old := httptest.NewUnstartedServer(nil)
	old.TLS = &tls.Config{MaxVersion: tls.VersionTLS11}
	old.StartTLS()
	defer old.Close()
	if _, err := trusting.Fetch(t.Context(), get(old.URL)); err == nil || !strings.Contains(err.Error(), "protocol version") {
		t.Errorf("TLS 1.1: %v", err)
	}
}

// TestConnectionsAreKept for the next request, where that is asked for, up to their number
// and for a minute.
func TestConnectionsAreKept(t *testing.T) {
	s, client, made := secure(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/last" {
			w.Header().Set("Connection", "close")
		}
		io.WriteString(w, "hi")
	})
	want := func(url string, n int32, idle int, when string) {
		t.Helper()
		if got, err := client.Fetch(t.Context(), get(s.URL+url)); err != nil || string(got.Body) != "hi" {
			t.Fatalf("%s: %+v, error %v", when, got, err)
		}
		if made.Load() != n || client.Idle() != idle {
			t.Errorf("%s: %d connections were made, %d are kept; want %d, %d", when, made.Load(), client.Idle(), n, idle)
		}
	}
	want("/", 1, 0, "none is kept")
	want("/", 2, 0, "none is kept")
	client.MaxIdle = 2
	want("/", 3, 1, "the first")
	want("/a", 3, 1, "the second over the first's")
	client.Age(time.Minute)
	want("/", 4, 1, "a minute later")
	client.Age(-time.Second)
	want("/", 5, 1, "the clock was set back")
	want("/last", 5, 0, "the server ends it")
	var wg sync.WaitGroup
	for range 10 {
		wg.Go(func() {
			if _, err := client.Fetch(t.Context(), get(s.URL)); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if n := client.Idle(); n < 1 || n > 2 {
		t.Errorf("after ten at once %d are kept, want 2 at most", n)
	}
}

// script answers each connection with one of the texts, by turns, to each request on it,
// and says how many requests came. An empty text ends the connection, "once …" does so at
// the second request; "…" says nothing.
func script(t *testing.T, texts ...string) (url string, requests *atomic.Int32) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	requests = new(atomic.Int32)
	var open sync.WaitGroup
	open.Go(func() {
		for i := 0; ; i++ {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			text := texts[min(i, len(texts)-1)]
			open.Go(func() {
				defer conn.Close()
				in := bufio.NewReader(conn)
				for first := true; ; first = false {
					if _, err := http.ReadRequest(in); err != nil {
						return
					}
					requests.Add(1)
					switch {
					case text == "" || strings.HasPrefix(text, "once ") && !first:
						return
					case text != "…":
						io.WriteString(conn, strings.TrimPrefix(text, "once "))
					}
				}
			})
		}
	})
	t.Cleanup(func() { l.Close() })
	return "http://" + l.Addr().String(), requests
}

const hi = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"

// TestAKeptConnectionMayHaveDied: the request is sent again, once, and never when an
// answer has begun.
func TestAKeptConnectionMayHaveDied(t *testing.T) {
	for name, c := range map[string]struct {
		texts    []string
		good     bool
		requests int32
	}{
		"the server has closed it": {[]string{"once " + hi, hi}, true, 3},
		"and the next at once":     {[]string{"once " + hi, ""}, false, 0},
		"what was not asked for":   {[]string{hi + hi, hi}, true, 2}, // is thrown away with its connection
		"what is no answer":        {[]string{"once " + hi, "SSH-2.0\r\n\r\n"}, false, 0},
	} {
		t.Run(name, func(t *testing.T) {
			url, requests := script(t, c.texts...)
			client := fetch.Client{MaxIdle: 1}
			if got, err := client.Fetch(t.Context(), get(url)); err != nil || string(got.Body) != "hi" {
				t.Fatalf("%+v, error %v", got, err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
			defer cancel()
			got, err := client.Fetch(ctx, get(url))
			if (err == nil) != c.good || err == nil && string(got.Body) != "hi" {
				t.Errorf("%+v, error %v", got, err)
			}
			if n := requests.Load(); c.good && n != c.requests {
				t.Errorf("%d requests, want %d", n, c.requests)
			}
		})
	}
}

// TestAnswersWithinBounds: more than that is an error, and so is silence.
func TestAnswersWithinBounds(t *testing.T) {
	for name, c := range map[string]struct {
		text string
		want error // nil: none
	}{
		"as much as may be":   {"HTTP/1.1 200 OK\r\nContent-Length: 1024\r\n\r\n" + strings.Repeat("a", 1024), nil},
		"without a length":    {"once HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + strings.Repeat("a", 1025), fetch.ErrTooLong},
		"a byte more":         {"HTTP/1.1 200 OK\r\nContent-Length: 1025\r\n\r\n", fetch.ErrTooLong},
		"chunks":              {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n401\r\n", fetch.ErrTooLong},
		"a long header":       {"HTTP/1.1 200 OK\r\nA: " + strings.Repeat("a", 20<<10), fetch.ErrTooLong},
		"silence":             {"…", context.DeadlineExceeded},
		"silence in the head": {"HTTP/1.1 200 OK\r\n", context.DeadlineExceeded},
		"silence in the body": {"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nh", context.DeadlineExceeded},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url, _ := script(t, c.text)
			ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
			defer cancel()
			client := fetch.Client{MaxIdle: 1}
			if got, err := client.Fetch(ctx, get(url)); !errors.Is(err, c.want) || c.want == nil && len(got.Body) != 1024 {
				t.Errorf("%d bytes, error %v; want %v", len(got.Body), err, c.want)
			}
			if n := client.Idle(); c.want != nil && n != 0 {
				t.Error("the connection is kept")
			}
		})
	}
	// A server that accepts and then says nothing, to a handshake either.
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := new(fetch.Client).Fetch(ctx, get("https://"+l.Addr().String())); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a handshake that is not answered: %v", err)
	}
}

// TestControlMayRefuse an address, by the name of this machine too.
func TestControlMayRefuse(t *testing.T) {
	s := httptest.NewServer(http.NotFoundHandler())
	defer s.Close()
	refused := errors.New("not there")
	client := fetch.Client{Control: func(context.Context, string, string, syscall.RawConn) error { return refused }}
	for _, url := range []string{s.URL, strings.Replace(s.URL, "127.0.0.1", "localhost", 1)} {
		if _, err := client.Fetch(t.Context(), get(url)); !errors.Is(err, refused) {
			t.Errorf("%s: %v", url, err)
		}
	}
}
