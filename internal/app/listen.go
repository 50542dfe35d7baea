package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"syscall"
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
	// maxHeaderBytesRead is how much net/http reads where it speaks HTTP/2. Beyond it
	// ends the connection, with the requests of all clients behind the same proxy:
	// it is well above what proxies let through.
	maxHeaderBytesRead = 128 << 10
	// maxStreams is how many requests one connection of HTTP/2 may have under way.
	maxStreams = 100
	// ShutdownTimeout is for requests under way when the process is told to end.
	ShutdownTimeout = 10 * time.Second
	// lastCall is how much of that is for requests that have been sent and are yet
	// to be read: net/http drops what it reads once it shuts down.
	lastCall = 200 * time.Millisecond
)

// A Server is an HTTP server that is bound but does not serve yet: its address is
// part of what it will serve. Its fields may be set until Serve is called.
type Server struct {
	// WriteTimeout is for an answer, and the body of the request before it. Listen
	// sets 15 s.
	WriteTimeout time.Duration
	// HTTP2 has HTTP/2 without TLS taken too, from clients that begin with it.
	HTTP2 bool

	listeners []*net.TCPListener // of the same port; the first one has the name
	log       *slog.Logger
}

// Listen binds the address, HOST:PORT; port 0 is a free one. The name localhost is
// both loopbacks: clients ask for it at ::1 or at 127.0.0.1, and many try one of them
// alone.
func Listen(ctx context.Context, addr string, log *slog.Logger) (*Server, error) {
	host, port, err := net.SplitHostPort(addr)
	hosts := []string{host}
	if strings.EqualFold(host, "localhost") {
		hosts = loopbacks
	}
	var bound []*net.TCPListener
	if err == nil {
		bound, err = bind(ctx, hosts, port)
	}
	if err != nil {
		return nil, err
	}
	return &Server{WriteTimeout: writeTimeout, listeners: bound, log: log}, nil
}

// loopbacks are the addresses of localhost (RFC 6761 section 6.3).
var loopbacks = []string{"127.0.0.1", "::1"}

// bindTries is how often a free port is looked for that is free at every host.
const bindTries = 20

// bind binds the same port at every host. Of a machine without IPv6 it binds the
// first host alone.
func bind(ctx context.Context, hosts []string, port string) ([]*net.TCPListener, error) {
	for try := 1; ; try++ {
		bound, err := bindOnce(ctx, hosts, port)
		again := (port == "0" || port == "") && try < bindTries && errors.Is(err, syscall.EADDRINUSE)
		if !again {
			return bound, err
		}
	}
}

func bindOnce(ctx context.Context, hosts []string, port string) ([]*net.TCPListener, error) {
	var bound []*net.TCPListener
	var c net.ListenConfig
	c.SetMultipathTCP(false) // its sockets take no filter, see refuseConnections
	for i, host := range hosts {
		l, err := c.Listen(ctx, "tcp", net.JoinHostPort(host, port))
		if i > 0 && (errors.Is(err, syscall.EADDRNOTAVAIL) || errors.Is(err, syscall.EAFNOSUPPORT)) {
			continue
		}
		if err != nil {
			return nil, errors.Join(err, closeAll(bound))
		}
		bound = append(bound, l.(*net.TCPListener))
		_, port, _ = net.SplitHostPort(l.Addr().String())
	}
	return bound, nil
}

func closeAll(listeners []*net.TCPListener) (err error) {
	for _, l := range listeners {
		err = errors.Join(err, l.Close())
	}
	return err
}

// Close ends listening where Serve was not called.
func (s *Server) Close() error { return closeAll(s.listeners) }

// Addr is the address that is bound, of two the first.
func (s *Server) Addr() string { return s.listeners[0].Addr().String() }

// URL is that of the address.
func (s *Server) URL() string { return "http://" + s.Addr() }

// Serve answers requests until ctx is done, and those under way after that.
func (s *Server) Serve(ctx context.Context, h http.Handler) error {
	srv := &http.Server{
		Handler:           closing(ctx, h),
		ReadHeaderTimeout: readHeaderTimeout, ReadTimeout: readTimeout, WriteTimeout: s.WriteTimeout, IdleTimeout: idleTimeout,
		// net/http adds 4 KiB to the limit it is given.
		MaxHeaderBytes: maxHeaderBytes - 4096,
		ErrorLog:       slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
		// "OPTIONS *" is answered like any other request; net/http's own answer has no
		// header of ours and no line in the log.
		DisableGeneralOptionsHandler: true,
		BaseContext:                  func(net.Listener) context.Context { return context.WithoutCancel(ctx) },
	}
	if s.HTTP2 {
		speakHTTP2(srv)
	}
	done := make(chan error, len(s.listeners))
	for _, l := range s.listeners {
		go func() { done <- srv.Serve(untilDeadline{l}) }()
	}
	select {
	case err := <-done:
		return errors.Join(err, srv.Close())
	case <-ctx.Done():
	}
	s.log.Info("shutting down")
	if err := s.shutDoor(); err != nil {
		s.log.Debug("new connections are still made", slog.String("error", err.Error()))
	}
	for range s.listeners {
		<-done
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), ShutdownTimeout-lastCall)
	defer cancel()
	if err := srv.Shutdown(ctx); err != nil {
		return fmt.Errorf("shutting down: %w", errors.Join(err, srv.Close()))
	}
	return nil
}

// speakHTTP2 takes HTTP/2 without TLS from clients that begin with its preface (RFC
// 9113 section 3.3), beside HTTP/1.1. There is no Upgrade. The time limits are those
// of HTTP/1.1: reading and writing count for each request, idle time for the
// connection. The limit of headers is that of limitHeaders, for both protocols:
// net/http has one number for them, and over HTTP/2 ends the connection by it.
func speakHTTP2(srv *http.Server) {
	srv.Handler = limitHeaders(srv.Handler)
	srv.MaxHeaderBytes = maxHeaderBytesRead
	srv.Protocols = new(http.Protocols)
	srv.Protocols.SetHTTP1(true)
	srv.Protocols.SetUnencryptedHTTP2(true)
	srv.HTTP2 = &http.HTTP2Config{MaxConcurrentStreams: maxStreams, WriteByteTimeout: srv.WriteTimeout}
}

// limitHeaders answers 431 to a request whose headers are too long, and leaves the
// connection of HTTP/2 to its other requests. The answer has no body, which flow
// control could hold back and the headers with it.
func limitHeaders(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if headerBytes(r) <= maxHeaderBytes {
			h.ServeHTTP(w, r)
			return
		}
		if r.ProtoMajor == 1 {
			w.Header().Set("Connection", "close") // as net/http does with its own 431
		}
		w.WriteHeader(http.StatusRequestHeaderFieldsTooLarge)
	})
}

// headerBytes is about what the request line and the headers take in HTTP/1.1,
// whichever way they came.
func headerBytes(r *http.Request) int {
	n := len(r.Method) + len(r.RequestURI) + len(r.Proto) + len(r.Host)
	for name, values := range r.Header {
		for _, value := range values {
			n += len(name) + len(value) + len(": \r\n")
		}
	}
	return n
}

// shutDoor has no further connections made, and those that are made accepted for
// as long as lastCall. To close the listener at once would reset those that wait
// in the kernel's queue, with requests that have been sent.
func (s *Server) shutDoor() (err error) {
	for _, l := range s.listeners {
		err = errors.Join(err, refuseConnections(l))
	}
	end := time.Now().Add(lastCall)
	for _, l := range s.listeners {
		err = errors.Join(err, l.SetDeadline(end))
	}
	return err
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
