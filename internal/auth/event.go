package auth

import (
	"context"
	"errors"
	"strings"
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
	return storage.Event{ID: storage.NewEventID(), Time: now, Kind: kind, Outcome: outcome, RequestID: c.RequestID, Address: c.Address, Device: shorten(c.Device, maxDevice)}
}

// shorten cuts s to at most n bytes and replaces what is not UTF-8 and NUL, so
// that every store can hold it.
func shorten(s string, n int) string {
	if len(s) > n {
		s = s[:n]
	}
	return strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "\uFFFD")
}

// RecordRepeats writes what was counted of refusals and is due, see [audit.Repeats.Write].
func (s *Service) RecordRepeats(ctx context.Context, all bool) error {
	return s.repeats.Write(ctx, all)
}

// recordLimited records an attempt that was turned away unchecked, and returns why. Those
// at one limit are coalesced.
func (s *Service) recordLimited(ctx context.Context, c Client, kind storage.EventKind, user storage.User, why error) error {
	var limit *LimitError
	if !errors.As(why, &limit) {
		return why
	}
	e := c.event(kind, storage.OutcomeLimited, s.Now())
	e.UserID = user.ID
	if err := s.repeats.Record(ctx, string(kind)+" "+limit.Key, e); err != nil {
		return err
	}
	return why
}
