package auth

import (
	"cmp"
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"slices"

	"github.com/latchkey-auth/latchkey/internal/attempt"
	"github.com/latchkey-auth/latchkey/internal/limit"
	"github.com/latchkey-auth/latchkey/internal/storage"
	"github.com/latchkey-auth/latchkey/internal/ticket"
)

// ErrInvalidTicket covers a link or code that is wrong, used, replaced or expired.
var ErrInvalidTicket = errors.New("link or code is not valid")

// presented reads what a request holds: a token, or an address with a code, for
// each of the purposes. A malformed address is an *InvalidError.
func (s *Service) presented(r TicketRequest, purposes []storage.Purpose) ([]ticket.Presented, error) {
	switch {
	case r.Token != "" && (r.Email != "" || r.Code != ""):
		return nil, invalid("token", "goes without an address and a code")
	case r.Token != "":
		link, ok := ticket.ParseLink(r.Token)
		if !ok {
			return nil, ErrInvalidTicket
		}
		return []ticket.Presented{link}, nil
	case r.Email == "" && r.Code == "":
		return nil, invalid("token", "is missing; give it, or the address and the code")
	case r.Code == "":
		return nil, invalid("code", "is missing")
	}
	key, err := EmailKey(r.Email)
	if err != nil {
		return nil, err
	}
	code, ok := ticket.ParseCode(r.Code)
	if !ok {
		return nil, ErrInvalidTicket
	}
	var all []ticket.Presented
	for _, p := range purposes {
		all = append(all, ticket.Presented{ID: s.tickets.ID(p, key), Code: code})
	}
	return all, nil
}

// A TicketRequest presents a ticket: Token alone, or Email and Code.
type TicketRequest struct {
	Token  string
	Email  string
	Code   string
	Client Client
}

// redeem finds the ticket that is presented and that may be used now for one of
// the purposes, and carries out what use makes of it, in one step with the end of
// the ticket: of any number who present it, one succeeds. Whatever use refuses
// leaves the ticket as it was. ErrInvalidTicket when there is none, or when use
// says so; that is recorded, and the try counted. *LimitError.
func (s *Service) redeem(ctx context.Context, r TicketRequest, kind storage.EventKind, purposes []storage.Purpose, use func(storage.Ticket) ([]storage.Change, error)) error {
	presented, err := s.presented(r, purposes)
	if err != nil && !errors.Is(err, ErrInvalidTicket) {
		return err
	}
	a, good, err := s.ticketAttempt(ctx, r, presented, purposes)
	if err != nil {
		return err
	}
	reservation, err := s.reserve(ctx, a)
	if err != nil {
		return s.recordLimited(ctx, r.Client, kind, storage.User{}, err)
	}
	defer reservation.Release()
	refuse := func(tickets []storage.Ticket) error {
		if good { // nobody guesses a link that was good when we looked
			return s.refuseGoodLink(ctx, r.Client, kind, tickets)
		}
		if err := reservation.Failed(ctx); err != nil {
			return err
		}
		return s.refuseTicket(ctx, r.Client, kind, tickets, presented)
	}
	err = retry("using a ticket", func() error {
		tickets, err := s.readTickets(ctx, presented)
		if err != nil {
			return err
		}
		t, ok := s.redeemed(tickets, presented, purposes)
		if !ok {
			return refuse(tickets)
		}
		changes, err := use(t)
		if errors.Is(err, ErrInvalidTicket) {
			return refuse(tickets)
		}
		if err != nil {
			return err
		}
		err = s.commit(ctx, append(changes, storage.TakeTicket{Ticket: t}, storage.PutMark{Mark: s.tickets.Used(t)}))
		if errors.Is(err, storage.ErrTaken) { // somebody has the address since it was looked up
			return storage.ErrConflict
		}
		return err
	})
	if err != nil {
		return err
	}
	_ = reservation.GiveBack(ctx) // it is done: what is not given back leaks out
	return nil
}

// redeemed is the ticket that is presented and good.
func (s *Service) redeemed(tickets []storage.Ticket, presented []ticket.Presented, purposes []storage.Purpose) (storage.Ticket, bool) {
	for i, t := range tickets {
		if slices.Contains(purposes, t.Purpose) && s.tickets.Opens(t, presented[i], s.Now()) {
			return t, true
		}
	}
	return storage.Ticket{}, false
}

// ticketAttempt is what the request is held to, and whether it is a good link for one of
// the purposes.
func (s *Service) ticketAttempt(ctx context.Context, r TicketRequest, presented []ticket.Presented, purposes []storage.Purpose) (a limit.Attempt, good bool, err error) {
	if r.Code != "" {
		key, err := EmailKey(r.Email)
		return s.attempts().Code(key, r.Client.Address), false, err
	}
	tickets, err := s.readTickets(ctx, presented)
	if err != nil {
		return limit.Attempt{}, false, err
	}
	if t, ok := s.redeemed(tickets, presented, purposes); ok {
		return s.attempts().GoodLink(t.ID, r.Client.Address), true, nil
	}
	return s.attempts().Unissued(r.Client.Address), false, nil
}

// refuseGoodLink records a link that was good and is void, or used by now. No limit stands
// against it. ErrInvalidTicket.
func (s *Service) refuseGoodLink(ctx context.Context, c Client, kind storage.EventKind, tickets []storage.Ticket) error {
	e := c.event(kind, storage.OutcomeWrongTicket, s.Now())
	e.UserID = tickets[0].UserID
	if err := s.repeats.Record(ctx, "void link "+string(tickets[0].ID)+" "+attempt.Network(c.Address), e); err != nil {
		return err
	}
	return ErrInvalidTicket
}

// refuseTicket counts a wrong code against the tickets it was tried on, records
// the refusal, and returns ErrInvalidTicket.
func (s *Service) refuseTicket(ctx context.Context, c Client, kind storage.EventKind, tickets []storage.Ticket, presented []ticket.Presented) error {
	e := c.event(kind, storage.OutcomeWrongTicket, s.Now())
	var changes []storage.Change
	for i, t := range tickets {
		if presented[i].Code != "" && ticket.TakesCode(t) {
			changes = append(changes, storage.CountTry{Ticket: t})
		}
		e.UserID = cmp.Or(e.UserID, t.UserID)
	}
	if err := s.Store.Commit(ctx, append(changes, storage.AppendEvent{Event: e})...); err != nil {
		return wrap("recording wrong link or code", err)
	}
	return ErrInvalidTicket
}

// readTickets reads what is presented, in its order; zero where there is none.
func (s *Service) readTickets(ctx context.Context, presented []ticket.Presented) ([]storage.Ticket, error) {
	all := make([]storage.Ticket, len(presented))
	for i, c := range presented {
		t, err := s.Store.Ticket(ctx, c.ID)
		if err != nil && !errors.Is(err, storage.ErrNotFound) {
			return nil, fmt.Errorf("reading ticket: %w", err)
		}
		all[i] = t
	}
	return all, nil
}

// owner reads the user of a ticket; ErrInvalidTicket when that is not the user
// to whom it was given any more.
func (s *Service) owner(ctx context.Context, t storage.Ticket) (storage.User, error) {
	u, err := s.Store.User(ctx, t.UserID)
	switch {
	case errors.Is(err, storage.ErrNotFound):
		return storage.User{}, ErrInvalidTicket
	case err != nil:
		return storage.User{}, fmt.Errorf("reading user: %w", err)
	case u.Disabled || subtle.ConstantTimeCompare(ticket.Bound(u), t.Bound) == 0:
		return storage.User{}, ErrInvalidTicket
	}
	return u, nil
}
