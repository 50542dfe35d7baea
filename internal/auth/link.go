package auth

import (
	"context"
	"errors"
	"slices"

	"github.com/latchkey-auth/latchkey/internal/storage"
	"github.com/latchkey-auth/latchkey/internal/ticket"
)

// A LinkState says what a link of a mail is good for now.
type LinkState int

const (
	LinkDead LinkState = iota // made up, replaced or expired: nobody can tell which
	LinkGood
	LinkUsed // it has done what it is for
)

// A Link is what a page may show of the link that opened it.
type Link struct {
	State LinkState
	Email string // the address it was mailed to; of a good link alone
}

// LookAtLink says what the token of a link is good for, for one of the purposes.
// It changes nothing: programs that look into mails open links.
func (s *Service) LookAtLink(ctx context.Context, token string, purposes ...storage.Purpose) (Link, error) {
	presented, ok := ticket.ParseLink(token)
	if !ok {
		return Link{}, nil
	}
	for _, p := range purposes {
		used, err := s.marked(ctx, s.tickets.UsedBy(p, presented))
		if err != nil || used {
			return Link{State: LinkUsed}, err
		}
	}
	tickets, err := s.readTickets(ctx, []ticket.Presented{presented})
	if err != nil {
		return Link{}, err
	}
	t := tickets[0]
	if !slices.Contains(purposes, t.Purpose) || !s.tickets.Opens(t, presented, s.Now()) {
		return Link{}, nil
	}
	err = s.redeemable(ctx, t)
	if errors.Is(err, ErrInvalidTicket) {
		return Link{}, nil
	}
	return Link{State: LinkGood, Email: t.Email}, err
}

// redeemable reports whether the ticket still has a use. ErrInvalidTicket.
func (s *Service) redeemable(ctx context.Context, t storage.Ticket) error {
	if t.Purpose != storage.PurposeRegister {
		_, err := s.owner(ctx, t)
		return err
	}
	if s.Registration != RegistrationOpen { // closed since
		return ErrInvalidTicket
	}
	return nil
}

// marked reports whether there is a mark of the id that has not expired.
func (s *Service) marked(ctx context.Context, id storage.MarkID) (bool, error) {
	mark, err := s.Store.Mark(ctx, id)
	if errors.Is(err, storage.ErrNotFound) {
		return false, nil
	}
	return s.Now().Before(mark.ExpiresAt), wrap("reading mark", err)
}
