package app

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
	srv, err := Listen(t.Context(), "localhost:0", slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer srv.Close()
	if err := srv.shutDoor(); err != nil {
		t.Fatal(err)
	}
	for _, l := range srv.listeners {
		conn, err := net.DialTimeout("tcp", l.Addr().String(), 200*time.Millisecond)
		if err == nil {
			conn.Close()
		}
		var dialing net.Error
		if !errors.As(err, &dialing) || !dialing.Timeout() {
			t.Errorf("a new connection to %s: %v, want none", l.Addr(), err)
		}
	}
}
