package app

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"
)

// serveForTest runs a handler as serve does and returns its address.
func serveForTest(t *testing.T, h http.Handler) string {
	t.Helper()
	srv, err := Listen(t.Context(), "127.0.0.1:0", slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- srv.Serve(ctx, h) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return srv.Addr()
}

func dial(t *testing.T, addr string) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

// TestSlowClientsHurtThemselvesOnly opens 500 connections that never finish
// their headers; others are answered, and the slow ones lose theirs.
func TestSlowClientsHurtThemselvesOnly(t *testing.T) {
	if testing.Short() {
		t.Skip("waits for the server's time limit")
	}
	t.Parallel()
	addr := serveForTest(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "ok") }))
	slow := make([]net.Conn, 500)
	for i := range slow {
		slow[i] = dial(t, addr)
		fmt.Fprint(slow[i], "POST /login HTTP/1.1\r\nHost: x\r\nX-Slow: ")
	}
	for range 100 {
		res, err := http.Get("http://" + addr)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode != http.StatusOK {
			t.Fatalf("others get %s", res.Status)
		}
	}
	for _, conn := range slow {
		conn.SetReadDeadline(time.Now().Add(readHeaderTimeout + 20*time.Second))
		answer, err := io.ReadAll(conn)
		if err != nil {
			t.Fatalf("a slow connection is not ended: %v", err)
		}
		if strings.Contains(string(answer), "ok") {
			t.Fatalf("a slow connection got %q", answer)
		}
	}
}

// TestRequestsInTheQueueAreAnswered sends requests before anybody accepts their
// connections, and has the server told to end before it begins.
func TestRequestsInTheQueueAreAnswered(t *testing.T) {
	srv, err := Listen(t.Context(), "localhost:0", slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	var queued []net.Conn
	for _, l := range srv.listeners {
		for range 50 {
			conn := dial(t, l.Addr().String())
			fmt.Fprint(conn, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
			queued = append(queued, conn)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := srv.Serve(ctx, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "ok") })); err != nil {
		t.Fatal(err)
	}
	for i, conn := range queued {
		answer, err := io.ReadAll(conn)
		if err != nil || !strings.HasSuffix(string(answer), "\r\n\r\nok") || !strings.Contains(string(answer), "\r\nConnection: close\r\n") {
			t.Fatalf("request %d is answered %q, %v", i, answer, err)
		}
	}
	for _, l := range srv.listeners {
		if conn, err := net.Dial("tcp", l.Addr().String()); err == nil {
			conn.Close()
			t.Errorf("it listens still on %s", l.Addr())
		}
	}
}

// TestLocalhostIsBothLoopbacks: a client that resolves localhost to either address
// is answered, at the same port.
func TestLocalhostIsBothLoopbacks(t *testing.T) {
	probe, err := net.Listen("tcp", "[::1]:0")
	hosts := []string{"127.0.0.1"}
	if err == nil {
		probe.Close()
		hosts = append(hosts, "::1")
	}
	for _, name := range []string{"localhost", "LOCALHOST"} {
		srv, err := Listen(t.Context(), name+":0", slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		_, port, err := net.SplitHostPort(srv.Addr())
		if err != nil {
			t.Fatal(err)
		}
		if want := "http://127.0.0.1:" + port; srv.URL() != want {
			t.Errorf("%s: the URL is %s, want %s", name, srv.URL(), want)
		}
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan error, 1)
		go func() {
			done <- srv.Serve(ctx, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "ok") }))
		}()
		for _, host := range hosts {
			res, err := http.Get("http://" + net.JoinHostPort(host, port))
			if err != nil {
				t.Errorf("%s at %s: %v", name, host, err)
				continue
			}
			res.Body.Close()
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

// TestBindTakesAllOrNone: a port that is taken at one host is not taken at the
// other, and a host that the machine does not have is left out.
func TestBindTakesAllOrNone(t *testing.T) {
	bound, err := bind(t.Context(), []string{"127.0.0.1", "2001:db8::1"}, "0") // RFC 3849: no machine has it
	if err != nil || len(bound) != 1 {
		t.Fatalf("without the second host: %v, %v; want the first alone", bound, err)
	}
	defer bound[0].Close()
	_, port, err := net.SplitHostPort(bound[0].Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	if more, err := bind(t.Context(), []string{"127.0.0.2", "127.0.0.1"}, port); !errors.Is(err, syscall.EADDRINUSE) {
		closeAll(more)
		t.Fatalf("got %v, want EADDRINUSE", err)
	}
	again, err := bind(t.Context(), []string{"127.0.0.2"}, port)
	if err != nil {
		t.Fatalf("the first host is still bound: %v", err)
	}
	closeAll(again)
}

// TestServerLimits sends headers just below and above the limit.
func TestServerLimits(t *testing.T) {
	addr := serveForTest(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "ok") }))
	for size, want := range map[int]int{maxHeaderBytes - 512: http.StatusOK, maxHeaderBytes + 512: http.StatusRequestHeaderFieldsTooLarge} {
		conn := dial(t, addr)
		fmt.Fprintf(conn, "GET / HTTP/1.1\r\nHost: x\r\nX-Large: %s\r\n\r\n", strings.Repeat("a", size))
		res, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode != want {
			t.Errorf("a header of %d bytes gets %s, want %d", size, res.Status, want)
		}
		if server := res.Header.Get("Server"); server != "" {
			t.Errorf("the server tells that it is %q", server)
		}
	}
}

// TestOptionsAboutTheServerReachTheHandler: net/http would answer "OPTIONS *" by
// itself, without any header of ours.
func TestOptionsAboutTheServerReachTheHandler(t *testing.T) {
	addr := serveForTest(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprintf(w, "%s %s", r.Method, r.URL.Path) }))
	conn := dial(t, addr)
	fmt.Fprint(conn, "OPTIONS * HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
	if answer, err := io.ReadAll(conn); err != nil || !strings.HasSuffix(string(answer), "\r\n\r\nOPTIONS *") {
		t.Errorf("got %q, %v; want what the handler says", answer, err)
	}
}
