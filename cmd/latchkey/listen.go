package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
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
	// maxStreams is how many requests one connection of HTTP/2 may have under way.
	maxStreams = 100
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
	http2    bool // also without TLS, for clients that know beforehand
	log      *slog.Logger
}

func listen(ctx context.Context, addr string, log *slog.Logger) (*server, error) {
	var c net.ListenConfig
	c.SetMultipathTCP(false) // its sockets take no filter, see refuseConnections
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
		// "OPTIONS *" is answered like any other request; net/http's own answer has no
		// header of ours and no line in the log.
		DisableGeneralOptionsHandler: true,
		BaseContext:                  func(net.Listener) context.Context { return context.WithoutCancel(ctx) },
	}
	if s.http2 {
		speakHTTP2(srv)
	}
	done := make(chan error, 1)
	go func() { done <- srv.Serve(untilDeadline{s.listener}) }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
	}
	s.log.Info("shutting down")
	if err := s.shutDoor(); err != nil {
		s.log.Debug("new connections are still made", slog.String("error", err.Error()))
	}
	<-done
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTimeout-lastCall)
	defer cancel()
	if err := srv.Shutdown(ctx); err != nil {
		return fmt.Errorf("shutting down: %w", errors.Join(err, srv.Close()))
	}
	return nil
}

// speakHTTP2 takes HTTP/2 without TLS from clients that begin with its preface (RFC
// 9113 section 3.3), beside HTTP/1.1. There is no Upgrade. The time limits are those
// of HTTP/1.1: reading and writing count for each request, idle time for the
// connection. net/http adds nothing to the limit of headers here: they may have 12
// KiB.
func speakHTTP2(srv *http.Server) {
	srv.Protocols = new(http.Protocols)
	srv.Protocols.SetHTTP1(true)
	srv.Protocols.SetUnencryptedHTTP2(true)
	srv.HTTP2 = &http.HTTP2Config{MaxConcurrentStreams: maxStreams, WriteByteTimeout: srv.WriteTimeout}
}

// shutDoor has no further connections made, and those that are made accepted for
// as long as lastCall. To close the listener at once would reset those that wait
// in the kernel's queue, with requests that have been sent.
func (s *server) shutDoor() error {
	l := s.listener.(*net.TCPListener)
	return errors.Join(refuseConnections(l), l.SetDeadline(time.Now().Add(lastCall)))
}

// untilDeadline accepts connections until the deadline of the listener. The HTTP
// server would wait for more.
type untilDeadline struct{ net.Listener }

func (l untilDeadline) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if errors.Is(err, os.ErrDeadlineExceeded) {
		err = net.ErrClosed
	}
	return conn, err
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
