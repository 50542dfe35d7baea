package main

import (
	"errors"
	"log/slog"
	"net"
	"testing"
	"time"
)

// TestNoConnectionsThroughAShutDoor: a connection that the kernel makes after the
// last one was accepted would be reset, with a request on it.
func TestNoConnectionsThroughAShutDoor(t *testing.T) {
	srv, err := listen(t.Context(), "127.0.0.1:0", slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer srv.listener.Close()
	if err := srv.shutDoor(); err != nil {
		t.Fatal(err)
	}
	conn, err := net.DialTimeout("tcp", srv.listener.Addr().String(), 200*time.Millisecond)
	if err == nil {
		conn.Close()
	}
	var dialing net.Error
	if !errors.As(err, &dialing) || !dialing.Timeout() {
		t.Errorf("a new connection: %v, want none", err)
	}
}
