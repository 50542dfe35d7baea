package auth

import (
	"context"
	"errors"
	"fmt"

	"github.com/latchkey-auth/latchkey"
)

// ForgotPassword mails a link and a code to set a new password to the owner of
// the address, and nothing where there is none. The account stays as it is.
// *InvalidError, *LimitError, ErrNoMail.
func (s *Service) ForgotPassword(ctx context.Context, email string, c Client) error {
	return s.requestMail(ctx, email, EventForgot, c, func(key string, b *Batch) error {
		u, err := s.Store.UserByEmail(ctx, key)
		if err != nil && !errors.Is(err, ErrNotFound) {
			return fmt.Errorf("looking up user: %w", err)
		}
		if err != nil || u.Disabled {
			// What is written tells nobody by its time that there is no account.
			b.PutTickets = []Ticket{s.lost(Ticket{Purpose: PurposeReset}, key, s.Now())}
			return nil
		}
		b.Events[0].UserID = u.ID
		t := Ticket{Purpose: PurposeReset, Email: u.Email, UserID: u.ID, Bound: bound(u)}
		return s.mailTicket(b, t, key, Message{Kind: MessageReset, Name: u.greeting(u.Email)}, c, s.Now())
	})
}

// ResetPassword sets a new password by a link or code that was mailed, also the
// first one of somebody who was invited. It ends all sessions and begins none. A
// password that is refused leaves the ticket good. ErrInvalidTicket.
func (s *Service) ResetPassword(ctx context.Context, r TicketRequest, password string) error {
	hash := "" // made once, whoever changes the user meanwhile
	return s.redeem(ctx, r, EventPasswordReset, []Purpose{PurposeReset, PurposeInvite}, func(t Ticket) (Batch, error) {
		u, err := s.owner(ctx, t)
		if err != nil {
			return Batch{}, err
		}
		now := s.Now()
		e := r.Client.event(EventPasswordReset, OutcomeOK, now)
		e.UserID = u.ID
		if err := s.checkPassword(password, u); err != nil {
			return Batch{}, s.recordRefused(ctx, e, err)
		}
		if hash == "" {
			if hash, err = s.hash(ctx, password); err != nil {
				return Batch{}, err
			}
		}
		u.PasswordHash, u.UpdatedAt, u.PendingEmail = hash, now, ""
		u.EmailVerified = true // whoever reads its mail has the link
		u.endSessions(now)
		b := Batch{UpdateUsers: []User{u}, Events: []Event{e}}
		if t.Purpose == PurposeReset {
			if err := s.notify(&b, u, MessagePasswordChanged, r.Client); err != nil {
				return Batch{}, err
			}
		}
		// Whoever guesses on uses up the new password's free failures at once.
		home, err := s.homeOf(ctx, u, r.Client)
		home.stay(&b, now)
		return b, err
	})
}

// notify tells the owner what has happened, where mail is sent and there is an
// address.
func (s *Service) notify(b *Batch, u User, kind MessageKind, c Client) error {
	if !s.SendsMail || u.Email == "" {
		return nil
	}
	return s.enqueue(b, u.ID, Message{Kind: kind, To: u.Email, Name: u.greeting(u.Email)}, c, s.Now())
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
		return s.refuseClosed(ctx, EventEmailChange, user, c, ErrNoMail)
	}
	wanted, err := s.newUser(NewUser{Email: email})
	if err != nil {
		return err
	}
	key, err := EmailKey(wanted.Email)
	if err != nil {
		return err
	}
	if err := s.confirm(ctx, user, password, EventEmailChange, c); err != nil {
		return err
	}
	attempt := s.notified(s.mailAttempt(key, c), user)
	done, err := s.allow(ctx, attempt)
	if err != nil {
		return s.recordLimited(ctx, c, EventEmailChange, user, err)
	}
	defer done()
	proved := user.PasswordHash
	return s.alone(ctx, user.ID, "", "storing change of address", func() error {
		_, user, err := s.bearerWith(ctx, claims, proved)
		if err != nil {
			return err
		}
		b, err := s.changeEmail(ctx, user, wanted.Email, key, c)
		if err != nil {
			return err
		}
		b.Hits = attempt.hits(s.Now())
		return s.commit(ctx, b)
	})
}

// changeEmail is what the store is to make of the wish.
func (s *Service) changeEmail(ctx context.Context, user User, email, key string, c Client) (Batch, error) {
	holder, err := s.Store.UserByEmail(ctx, key)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return Batch{}, fmt.Errorf("looking up user: %w", err)
	}
	before, err := s.Store.Ticket(ctx, s.ticketID(PurposeVerify, key))
	if err != nil && !errors.Is(err, ErrNotFound) {
		return Batch{}, fmt.Errorf("reading ticket: %w", err)
	}
	now := s.Now()
	e := c.event(EventEmailChange, OutcomeOK, now)
	e.UserID = user.ID
	t := Ticket{Purpose: PurposeVerify, Email: email, UserID: user.ID, Bound: bound(user)}
	m := Message{Kind: MessageConfirm, Again: before.ID != "" && now.Before(before.LinkUntil)}
	switch {
	case holder.ID == user.ID && (holder.EmailVerified || holder.Email != email):
		return Batch{}, invalid("email", "is your address already")
	case holder.ID != "" && holder.ID != user.ID:
		e.Outcome = OutcomeTaken
		t = Ticket{Purpose: PurposeReset, Email: holder.Email, UserID: holder.ID, Bound: bound(holder)}
		m = Message{Kind: MessageTaken, Name: holder.greeting(holder.Email)}
	}
	b := Batch{Events: []Event{e}}
	if !holder.Disabled {
		if err := s.mailTicket(&b, t, key, m, c, now); err != nil {
			return Batch{}, err
		}
	}
	if user.Email == email { // which is yet to be proved
		if user.PendingEmail != "" {
			user.PendingEmail, user.UpdatedAt = "", now
			b.UpdateUsers = []User{user}
		}
		return b, nil
	}
	user.PendingEmail, user.UpdatedAt = email, now
	b.UpdateUsers = []User{user}
	if user.Email == "" {
		return b, nil
	}
	m = Message{Kind: MessageEmailChanging, To: user.Email, Name: user.greeting(user.Email), NewEmail: email}
	err = s.enqueue(&b, user.ID, m, c, now)
	return b, err // after the mail is in it
}
