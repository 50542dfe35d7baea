package auth

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// home is a network from which a user has logged in since all sessions ended last
// (by a new password, say: whoever had the old one is at home no more). Failures
// there count apart from those elsewhere, so that strangers who guess do not keep
// the owner out at home; and there they count as a stranger's name would.
type home struct {
	mark  Ticket // what says so; without ID: nothing is marked
	known bool
	where string
}

const (
	// homeLifetime is how long a network stays known without a login.
	homeLifetime = 30 * 24 * time.Hour
	// homeGrain spares a login the mark of another one shortly before.
	homeGrain = 24 * time.Hour
)

// homeOf looks up whether the client's network is one of the user's. For nobody
// it does the same.
func (s *Service) homeOf(ctx context.Context, user User, c Client) (home, error) {
	if s.Limits == nil || c.Address == "" {
		return home{}, nil
	}
	h := home{where: network(c.Address)}
	id := s.ticketID(purposeHome, fmt.Sprintf("%s %d %s", user.ID, user.SessionsFrom.UnixMicro(), h.where))
	mark, err := s.Store.Ticket(ctx, id)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return home{}, fmt.Errorf("reading known network: %w", err)
	}
	h.known = err == nil && s.Now().Before(mark.ExpiresAt)
	if !h.known {
		mark = Ticket{ID: id, Purpose: purposeHome}
	}
	h.mark = mark
	return h, nil
}

// account is what failures of the account count under in a network that it knows.
func (h home) account(account string) string { return "home " + h.where + " " + account }

// stay marks the network as known from now on.
func (h home) stay(b *Batch, now time.Time) {
	if h.mark.ID == "" || h.known && h.mark.ExpiresAt.Sub(now) > homeLifetime-homeGrain {
		return
	}
	mark := h.mark
	mark.CreatedAt, mark.ExpiresAt = now, now.Add(homeLifetime)
	b.PutTickets = append(b.PutTickets, mark)
}
