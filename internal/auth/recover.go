package auth

import (
	"context"
	"errors"
	"fmt"

	"github.com/latchkey-auth/latchkey"
	"github.com/latchkey-auth/latchkey/internal/message"
	"github.com/latchkey-auth/latchkey/internal/storage"
	"github.com/latchkey-auth/latchkey/internal/ticket"
)

// ForgotPassword mails a link and a code to set a new password to the owner of
// the address, and nothing where there is none. The account stays as it is.
// *InvalidError, *LimitError, ErrNoMail.
func (s *Service) ForgotPassword(ctx context.Context, email string, c Client) error {
	return s.requestMail(ctx, email, storage.EventForgot, c, func(key string) (storage.UserID, []storage.Change, error) {
		u, _, err := s.Store.UserByEmail(ctx, key)
		if err != nil && !errors.Is(err, storage.ErrNotFound) {
			return "", nil, fmt.Errorf("looking up user: %w", err)
		}
		if err != nil || u.Disabled {
			// What is written tells nobody by its time that there is no account.
			return "", []storage.Change{storage.PutTicket{Ticket: s.lost(storage.Ticket{Purpose: storage.PurposeReset}, key, s.Now())}}, nil
		}
		t := storage.Ticket{Purpose: storage.PurposeReset, Email: u.Email, UserID: u.ID, Bound: ticket.Bound(u)}
		changes, err := s.mailTicket(t, nil, key, message.Message{Kind: message.Reset, Name: greeting(u, u.Email)}, c, s.Now())
		return u.ID, changes, err
	})
}

// ResetPassword sets a new password by a link or code that was mailed, also the
// first one of somebody who was invited. It ends all sessions and begins none. A
// password that is refused leaves the ticket good. ErrInvalidTicket.
func (s *Service) ResetPassword(ctx context.Context, r TicketRequest, password string) error {
	hash := "" // made once, whoever changes the user meanwhile
	return s.redeem(ctx, r, storage.EventPasswordReset, []storage.Purpose{storage.PurposeReset, storage.PurposeInvite}, func(t storage.Ticket) ([]storage.Change, error) {
		u, err := s.owner(ctx, t)
		if err != nil {
			return nil, err
		}
		e := r.Client.event(storage.EventPasswordReset, storage.OutcomeOK, s.Now())
		e.UserID = u.ID
		if err := s.checkPassword(password, u); err != nil {
			return nil, s.recordRefused(ctx, e, err)
		}
		if hash == "" {
			if hash, err = s.hash(ctx, password); err != nil {
				return nil, err
			}
		}
		return s.resetTo(ctx, u, t, hash, e, r.Client)
	})
}

// resetTo is what a reset by the ticket makes of the user.
func (s *Service) resetTo(ctx context.Context, u storage.User, t storage.Ticket, hash string, e storage.Event, c Client) ([]storage.Change, error) {
	reset := u
	reset.PasswordHash, reset.PendingEmail = hash, ""
	reset.EmailVerified = true // whoever reads its mail has the link
	moveEpoch(&reset, e.Time)
	changes := append(s.changed(u, reset, "", e.Time), storage.AppendEvent{Event: e})
	if t.Purpose == storage.PurposeReset {
		notice, err := s.notice(reset, message.PasswordChanged, c)
		if err != nil {
			return nil, err
		}
		changes = append(changes, notice...)
	}
	// Whoever guesses on uses up the new password's free failures at once.
	known, err := s.becomeKnown(ctx, reset, c)
	return append(changes, known...), err
}

// notice tells the owner what has happened, where mail is sent and there is an
// address.
func (s *Service) notice(u storage.User, kind message.Kind, c Client) ([]storage.Change, error) {
	if !s.SendsMail || u.Email == "" {
		return nil, nil
	}
	mail, err := s.mail(u.ID, message.Message{Kind: kind, To: u.Email, Name: greeting(u, u.Email)}, c, s.Now())
	return []storage.Change{mail}, err
}

// ChangeEmail asks for another address of the bearer, who proves the password
// again. The present one stays until the new one is proved, and is told. Whether
// somebody else has the new one does not show: then its owner is told.
// *InvalidError, *LimitError, ErrInvalidCredentials, ErrNoMail.
func (s *Service) ChangeEmail(ctx context.Context, claims latchkey.Claims, password, email string, c Client) error {
	_, user, err := s.bearer(ctx, claims)
	if err != nil {
		return err
	}
	if !s.SendsMail {
		return s.refuseClosed(ctx, storage.EventEmailChange, user, c, ErrNoMail)
	}
	wanted, err := s.newUser(NewUser{Email: email})
	if err != nil {
		return err
	}
	key, err := EmailKey(wanted.Email)
	if err != nil {
		return err
	}
	place, err := s.confirm(ctx, user, password, storage.EventEmailChange, c)
	if err != nil {
		return err
	}
	defer place.Release()
	if err := s.count(ctx, s.notified(s.attempts().Mail(key, c.Address), user)); err != nil {
		return s.recordLimited(ctx, c, storage.EventEmailChange, user, err)
	}
	proved := user
	return retry("storing change of address", func() error {
		_, user, err := s.bearerWith(ctx, claims, proved)
		if err != nil {
			return err
		}
		changes, err := s.changeEmail(ctx, user, wanted.Email, key, c)
		if err != nil {
			return err
		}
		return s.commit(ctx, changes)
	})
}

// changeEmail is what the store is to make of the wish.
func (s *Service) changeEmail(ctx context.Context, user storage.User, email, key string, c Client) ([]storage.Change, error) {
	holder, _, err := s.Store.UserByEmail(ctx, key)
	if err != nil && !errors.Is(err, storage.ErrNotFound) {
		return nil, fmt.Errorf("looking up user: %w", err)
	}
	before, err := s.Store.Ticket(ctx, s.tickets.ID(storage.PurposeVerify, key))
	if err != nil && !errors.Is(err, storage.ErrNotFound) {
		return nil, fmt.Errorf("reading ticket: %w", err)
	}
	now := s.Now()
	e := c.event(storage.EventEmailChange, storage.OutcomeOK, now)
	e.UserID = user.ID
	t := storage.Ticket{Purpose: storage.PurposeVerify, Email: email, UserID: user.ID, Bound: ticket.Bound(user)}
	m := message.Message{Kind: message.Confirm, Again: before.ID != "" && now.Before(before.LinkUntil)}
	switch {
	case holder.ID == user.ID && (holder.EmailVerified || holder.Email != email):
		return nil, invalid("email", "is your address already")
	case holder.ID != "" && holder.ID != user.ID:
		e.Outcome = storage.OutcomeTaken
		t = storage.Ticket{Purpose: storage.PurposeReset, Email: holder.Email, UserID: holder.ID, Bound: ticket.Bound(holder)}
		m = message.Message{Kind: message.Taken, Name: greeting(holder, holder.Email)}
	}
	changes := []storage.Change{storage.AppendEvent{Event: e}}
	if !holder.Disabled {
		mailed, err := s.mailTicket(t, nil, key, m, c, now)
		if err != nil {
			return nil, err
		}
		changes = append(changes, mailed...)
	}
	waiting := user
	waiting.PendingEmail = email
	if user.Email == email { // which is yet to be proved
		waiting.PendingEmail = ""
	}
	if waiting.PendingEmail != user.PendingEmail {
		changes = append(changes, s.changed(user, waiting, "", now)...)
	}
	if user.Email == email || user.Email == "" {
		return changes, nil
	}
	m = message.Message{Kind: message.EmailChanging, To: user.Email, Name: greeting(user, user.Email), NewEmail: email}
	notice, err := s.mail(user.ID, m, c, now)
	return append(changes, notice), err
}
