package auth

import (
	"context"
	"encoding/base64"
	"errors"
	"slices"
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
func (s *Service) LookAtLink(ctx context.Context, token string, purposes ...Purpose) (Link, error) {
	id, secret, ok := parseSecret(token)
	if !ok {
		return Link{}, nil
	}
	c := credential{id: TicketID(id), secret: secret}
	all := []credential{c}
	for _, p := range purposes {
		all = append(all, credential{id: s.usedID(p, c.id, hashSecret(secret))})
	}
	tickets, err := s.tickets(ctx, all)
	if err != nil {
		return Link{}, err
	}
	t, marks := tickets[0], tickets[1:]
	switch {
	case slices.ContainsFunc(marks, func(mark Ticket) bool { return mark.Purpose == purposeUsed && s.Now().Before(mark.ExpiresAt) }):
		return Link{State: LinkUsed}, nil
	case !slices.Contains(purposes, t.Purpose) || !s.opens(t, c, s.Now()):
		return Link{}, nil
	}
	err = s.redeemable(ctx, t)
	if errors.Is(err, ErrInvalidTicket) {
		return Link{}, nil
	}
	return Link{State: LinkGood, Email: t.Email}, err
}

// redeemable reports whether the ticket still has a use. ErrInvalidTicket.
func (s *Service) redeemable(ctx context.Context, t Ticket) error {
	if t.Purpose != PurposeRegister {
		_, err := s.owner(ctx, t)
		return err
	}
	if s.Registration != RegistrationOpen { // closed since
		return ErrInvalidTicket
	}
	return nil
}

// used remembers, until its link expires, that a ticket was redeemed. Its id is a
// MAC of the purpose and the hash of the secret, so that only the same link finds
// it, on the page that it was for.
func (s *Service) used(t Ticket) Ticket {
	return Ticket{ID: s.usedID(t.Purpose, t.ID, t.SecretHash), Purpose: purposeUsed, CreatedAt: s.Now(), ExpiresAt: t.LinkUntil}
}

func (s *Service) usedID(purpose Purpose, id TicketID, secretHash []byte) TicketID {
	return TicketID(base64.RawURLEncoding.EncodeToString(s.ticketMAC("used", string(purpose), string(id), string(secretHash))[:16]))
}
