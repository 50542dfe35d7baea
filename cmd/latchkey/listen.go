package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"runtime"
	"time"
)

// Time limits and sizes of the server (HT-04): a client that dawdles loses its
// own connection and nobody else's.
const (
	readHeaderTimeout = 5 * time.Second
	readTimeout       = 10 * time.Second
	writeTimeout      = 15 * time.Second
	idleTimeout       = 60 * time.Second
	maxHeaderBytes    = 16 << 10
	// shutdownTimeout is for requests under way when the process is told to end.
	shutdownTimeout = 10 * time.Second
	// lastCall is how much of that is for requests that have been sent and are yet
	// to be read: net/http drops what it reads once it shuts down.
	lastCall = 200 * time.Millisecond
)

// server is an HTTP server that is bound but does not serve yet: its address is
// part of what it will serve.
type server struct {
	listener net.Listener
	write    time.Duration
	log      *slog.Logger
}

func listen(ctx context.Context, addr string, log *slog.Logger) (*server, error) {
	var c net.ListenConfig
	l, err := c.Listen(ctx, "tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("%w; choose another address with --addr, port 0 takes a free one", err)
	}
	return &server{listener: l, write: writeTimeout, log: log}, nil
}

// base is the URL of the address that is bound.
func (s *server) base() string { return "http://" + s.listener.Addr().String() }

// serve answers requests until ctx is done, and those under way after that.
func (s *server) serve(ctx context.Context, h http.Handler) error {
	srv := &http.Server{
		Handler:           closing(ctx, h),
		ReadHeaderTimeout: readHeaderTimeout, ReadTimeout: readTimeout, WriteTimeout: s.write, IdleTimeout: idleTimeout,
		// net/http adds 4 KiB to the limit it is given.
		MaxHeaderBytes: maxHeaderBytes - 4096,
		ErrorLog:       slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
		BaseContext:    func(net.Listener) context.Context { return context.WithoutCancel(ctx) },
	}
	// Hashes take as many threads as there are cores, for tens of milliseconds
	// each. With one more for everything else it is the kernel that shares
	// the cores, and nobody waits for a hash to end.
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1 + runtime.GOMAXPROCS(0)))
	done := make(chan error, 1)
	go func() { done <- srv.Serve(s.listener) }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
	}
	s.log.Info("shutting down")
	select {
	case err := <-done:
		return err
	case <-time.After(lastCall):
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTimeout-lastCall)
	defer cancel()
	if err := srv.Shutdown(ctx); err != nil {
		return fmt.Errorf("shutting down: %w", errors.Join(err, srv.Close()))
	}
	return nil
}

// closing says with every answer that its connection is the last, once ctx is
// done.
func closing(ctx context.Context, h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if ctx.Err() != nil {
			w.Header().Set("Connection", "close")
		}
		h.ServeHTTP(w, r)
	})
}

// checkLoopback refuses addresses that other machines can reach.
func checkLoopback(ctx context.Context, addr string) error {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return usagef("--addr %q must be HOST:PORT", addr)
	}
	ips, err := net.DefaultResolver.LookupIPAddr(ctx, host)
	if host == "" || err != nil || len(ips) == 0 {
		return usagef("--addr %q: offline listens on loopback only; use 127.0.0.1:PORT", addr)
	}
	for _, ip := range ips {
		if !ip.IP.IsLoopback() {
			return usagef("--addr %q: offline has a demo user with a known password and listens on loopback only; use 127.0.0.1:PORT, or latchkey serve", addr)
		}
	}
	return nil
}
