package auth

import (
	"crypto/rand"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/latchkey-auth/latchkey/internal/storage"
)

// Client is what we know of whoever makes a request.
type Client struct {
	RequestID string
	Address   string // IP address, of the last hop that is not a trusted proxy; empty: unknown
	Device    string // User-Agent
}

func (c Client) event(kind storage.EventKind, outcome storage.Outcome, now time.Time) storage.Event {
	return storage.Event{ID: eventID(), Time: now, Kind: kind, Outcome: outcome, RequestID: c.RequestID, Address: c.Address, Device: shorten(c.Device, maxDevice)}
}

// shorten cuts s to at most n bytes and replaces what is not UTF-8 and NUL, so
// that every store can hold it.
func shorten(s string, n int) string {
	if len(s) > n {
		s = s[:n]
	}
	return strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "\uFFFD")
}

// eventID tells events of one moment apart, and puts those of one process in their order.
func eventID() string {
	return fmt.Sprintf("%08x%s", eventCounter.Add(1), strings.ToLower(rand.Text()[:8]))
}

var eventCounter atomic.Uint32
