package auth

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/latchkey-auth/latchkey/internal/message"
	"github.com/latchkey-auth/latchkey/internal/password"
	"github.com/latchkey-auth/latchkey/internal/storage"
	"github.com/latchkey-auth/latchkey/internal/ticket"
)

// Registration says who may create an account.
type Registration string

const (
	RegistrationOpen   Registration = "open"   // anybody
	RegistrationInvite Registration = "invite" // whom an operator invites, by mail
	RegistrationClosed Registration = "closed" // operators, who may invite as well
)

// A RegisterRequest asks for an account.
type RegisterRequest struct {
	Email    string
	Password string
	Name     string
	Client   Client
}

// Register asks for an account. With VerifyEmail nothing is returned, and a mail
// goes out either way: to prove the address, or to tell its owner that there is
// an account already. The account begins when the address is proved; until then
// there is only a ticket with the hash of the password, and who registers the
// address anew replaces it.
//
// Without VerifyEmail the account and a session begin at once, and ErrTaken tells
// that the address has one.
//
// *InvalidError, *LimitError, ErrRegistrationClosed.
func (s *Service) Register(ctx context.Context, r RegisterRequest) (*Tokens, error) {
	if s.Registration != RegistrationOpen {
		return nil, s.refuseClosed(ctx, storage.EventRegister, storage.User{}, r.Client, ErrRegistrationClosed)
	}
	if r.Email == "" {
		return nil, invalid("email", "must not be empty")
	}
	u, err := s.newUser(NewUser{Email: r.Email, Name: r.Name, EmailUnverified: true})
	if err != nil {
		return nil, err
	}
	if err := password.CheckLength(r.Password); err != nil {
		return nil, invalidMember("password", err)
	}
	key, err := EmailKey(u.Email)
	if err != nil {
		return nil, err
	}
	reservation, err := s.reserve(ctx, s.attempts().Mail(key, r.Client.Address))
	if err != nil {
		return nil, s.recordLimited(ctx, r.Client, storage.EventRegister, storage.User{}, err)
	}
	defer reservation.Release()
	if u.PasswordHash, err = s.hashNew(ctx, r.Password, u); err != nil {
		return nil, s.recordRefused(ctx, r.Client.event(storage.EventRegister, storage.OutcomeOK, s.Now()), err)
	}
	if err := reservation.Failed(ctx); err != nil { // it counts, whatever becomes of it
		return nil, err
	}
	if !s.VerifyEmail {
		return s.registerNow(ctx, u, r.Client)
	}
	return nil, s.registerByMail(ctx, u, key, r.Client)
}

// refuseClosed records that somebody has asked for what is not to be had here, and
// returns why. *LimitError.
func (s *Service) refuseClosed(ctx context.Context, kind storage.EventKind, user storage.User, c Client, why error) error {
	if err := s.count(ctx, s.attempts().Closed(c.Address)); err != nil {
		return s.recordLimited(ctx, c, kind, user, err)
	}
	e := c.event(kind, storage.OutcomeClosed, s.Now())
	e.UserID = user.ID
	if err := s.Store.Commit(ctx, storage.AppendEvent{Event: e}); err != nil {
		return wrap("recording what is not to be had", err)
	}
	return why
}

// registerNow creates the account and opens its first session.
func (s *Service) registerNow(ctx context.Context, u storage.User, c Client) (*Tokens, error) {
	now := s.Now()
	proof := storage.Proof{AMR: []string{amrPassword}, ACR: acrOneProof, At: now}
	session, tokens, err := s.newSession(ctx, u, proof, directGrant(), c, now)
	if err != nil {
		return nil, err
	}
	err = s.Store.Commit(ctx, storage.CreateUser{User: u}, storage.CreateSession{Session: session}, storage.AppendEvent{Event: sessionEvent(c, storage.EventRegister, storage.OutcomeOK, session, now)})
	if errors.Is(err, storage.ErrTaken) {
		if err := s.Store.Commit(ctx, storage.AppendEvent{Event: c.event(storage.EventRegister, storage.OutcomeTaken, now)}); err != nil {
			return nil, fmt.Errorf("recording refused registration: %w", err)
		}
		return nil, storage.ErrTaken
	}
	if err != nil {
		return nil, fmt.Errorf("storing account: %w", err)
	}
	return &tokens, nil
}

// registerByMail does the same work whether the address has an account or not,
// but for the mail: whoever is disabled gets none.
func (s *Service) registerByMail(ctx context.Context, u storage.User, key string, c Client) error {
	owner, _, err := s.Store.UserByEmail(ctx, key)
	if err != nil && !errors.Is(err, storage.ErrNotFound) {
		return fmt.Errorf("looking up user: %w", err)
	}
	before, err := s.Store.Ticket(ctx, s.tickets.ID(storage.PurposeRegister, key))
	if err != nil && !errors.Is(err, storage.ErrNotFound) {
		return fmt.Errorf("reading ticket: %w", err)
	}
	now := s.Now()
	e := c.event(storage.EventRegister, storage.OutcomeOK, now)
	t := storage.Ticket{Purpose: storage.PurposeRegister, Email: u.Email, Name: u.Name, PasswordHash: u.PasswordHash}
	m := message.Message{Kind: message.Verify, Again: before.ID != "" && now.Before(before.LinkUntil)}
	var changes []storage.Change
	if holds(owner) || owner.Disabled {
		e.UserID, e.Outcome = owner.ID, storage.OutcomeTaken
		// The registration is kept all the same, with secrets that nobody learns:
		// see registering.
		changes = append(changes, storage.PutTicket{Ticket: s.lost(t, key, now)})
		t = storage.Ticket{Purpose: storage.PurposeReset, Email: owner.Email, UserID: owner.ID, Bound: ticket.Bound(owner)}
		m = message.Message{Kind: message.Taken, Name: greeting(owner, owner.Email)}
	}
	if !owner.Disabled { // whoever was locked out gets no link to a new password
		mailed, err := s.mailTicket(t, nil, key, m, c, now)
		if err != nil {
			return err
		}
		changes = append(changes, mailed...)
	}
	return wrap("storing registration", s.commit(ctx, append(changes, storage.AppendEvent{Event: e})))
}

// lost is the ticket with secrets that nobody has been told.
func (s *Service) lost(t storage.Ticket, key string, now time.Time) storage.Ticket {
	t, _, _ = s.tickets.Issue(t, key, now)
	return t
}

// holds reports whether the account keeps its address when somebody registers
// it: whoever has not proved it does not, except for accounts that an operator
// has made for somebody who is yet to choose a password.
func holds(u storage.User) bool { return u.ID != "" && (u.EmailVerified || u.PasswordHash == "") }

// VerifyAddress proves the address that a link or code was mailed to: of a
// registration, whose account begins by it, or of an account. ErrInvalidTicket.
func (s *Service) VerifyAddress(ctx context.Context, r TicketRequest) error {
	return s.redeem(ctx, r, storage.EventVerify, []storage.Purpose{storage.PurposeRegister, storage.PurposeVerify}, func(t storage.Ticket) ([]storage.Change, error) {
		if t.Purpose == storage.PurposeRegister {
			return s.beginAccount(ctx, t, r.Client)
		}
		return s.proveAddress(ctx, t, r.Client)
	})
}

// beginAccount creates the account of a registration. One that holds the address
// without having proved it goes, with its sessions: whoever registered somebody
// else's address before them gains nothing.
func (s *Service) beginAccount(ctx context.Context, t storage.Ticket, c Client) ([]storage.Change, error) {
	key, err := EmailKey(t.Email)
	if err != nil {
		return nil, err
	}
	if err := s.redeemable(ctx, t); err != nil {
		return nil, err
	}
	now := s.Now()
	u, err := s.newUser(NewUser{Email: t.Email, Name: t.Name})
	if err != nil {
		return nil, err
	}
	u.PasswordHash = t.PasswordHash
	e := c.event(storage.EventVerify, storage.OutcomeOK, now)
	e.UserID = u.ID
	holder, _, err := s.Store.UserByEmail(ctx, key)
	switch {
	case errors.Is(err, storage.ErrNotFound):
		return []storage.Change{storage.CreateUser{User: u}, storage.AppendEvent{Event: e}}, nil
	case err != nil:
		return nil, fmt.Errorf("looking up user: %w", err)
	case holds(holder) || holder.Disabled:
		return nil, ErrInvalidTicket
	}
	gone := c.event(storage.EventUserDeleted, storage.OutcomeReplaced, now)
	gone.UserID = holder.ID
	credentials, err := s.deletedCredentials(ctx, holder)
	return append(credentials, storage.ReplaceUser{Old: holder, New: u}, s.revokedUser(holder, now), storage.AppendEvent{Event: e}, storage.AppendEvent{Event: gone}), err
}

// proveAddress makes a pending address the user's own, or notes that the present
// one is proved.
func (s *Service) proveAddress(ctx context.Context, t storage.Ticket, c Client) ([]storage.Change, error) {
	u, err := s.owner(ctx, t)
	if err != nil {
		return nil, err
	}
	key, err := EmailKey(t.Email)
	if err != nil {
		return nil, err
	}
	switch holder, _, err := s.Store.UserByEmail(ctx, key); {
	case err != nil && !errors.Is(err, storage.ErrNotFound):
		return nil, fmt.Errorf("looking up user: %w", err)
	case err == nil && holder.ID != u.ID:
		return nil, ErrInvalidTicket
	}
	now := s.Now()
	proved := u
	switch t.Email {
	case u.PendingEmail:
		proved.Email, proved.PendingEmail = t.Email, ""
	case u.Email:
	default:
		return nil, ErrInvalidTicket
	}
	proved.EmailVerified = true
	e := c.event(storage.EventVerify, storage.OutcomeOK, now)
	e.UserID = u.ID
	changes := append(s.changed(u, proved, "", now), storage.AppendEvent{Event: e})
	if proved.Email == u.Email || u.Email == "" || !s.SendsMail {
		return changes, nil
	}
	m := message.Message{Kind: message.EmailChanged, To: u.Email, Name: greeting(u, u.Email), NewEmail: proved.Email}
	mail, err := s.mail(u.ID, m, c, now)
	return append(changes, mail), err
}

// ResendVerification mails a fresh link and code to an address that is yet to be
// proved, and nothing to any other. *InvalidError, *LimitError, ErrNoMail.
func (s *Service) ResendVerification(ctx context.Context, email string, c Client) error {
	return s.requestMail(ctx, email, storage.EventVerifyMail, c, func(key string) (storage.UserID, []storage.Change, error) {
		t, m, err := s.unproved(ctx, key)
		if err != nil || t.Purpose == "" {
			return "", nil, err
		}
		now := s.Now()
		m.Again = t.ID != "" && now.Before(t.LinkUntil)
		// A ticket that was replaced since it was read must not come back.
		changes, err := s.mailTicket(t, t.SecretHash, key, m, c, now)
		return t.UserID, changes, err
	})
}

// unproved finds what an address is yet to be proved for; a ticket without
// purpose is nothing.
func (s *Service) unproved(ctx context.Context, key string) (storage.Ticket, message.Message, error) {
	u, _, err := s.Store.UserByEmail(ctx, key)
	if err != nil && !errors.Is(err, storage.ErrNotFound) {
		return storage.Ticket{}, message.Message{}, fmt.Errorf("looking up user: %w", err)
	}
	t, err := s.Store.Ticket(ctx, s.tickets.ID(storage.PurposeRegister, key))
	if err != nil && !errors.Is(err, storage.ErrNotFound) {
		return storage.Ticket{}, message.Message{}, fmt.Errorf("reading ticket: %w", err)
	}
	registered := err == nil && !s.Now().Add(ticket.LinkLifetime).After(t.ExpiresAt) && s.Registration == RegistrationOpen
	switch {
	case u.EmailVerified || u.Disabled:
		return storage.Ticket{}, message.Message{}, nil
	case u.ID != "" && registered:
		// Which of the two passwords is the owner's of the mailbox, nobody knows: a new
		// one is, whoever asks.
		return storage.Ticket{Purpose: storage.PurposeReset, Email: u.Email, UserID: u.ID, Bound: ticket.Bound(u)}, message.Message{Kind: message.Reset}, nil
	case u.ID != "":
		return storage.Ticket{Purpose: storage.PurposeVerify, Email: u.Email, UserID: u.ID, Bound: ticket.Bound(u)}, message.Message{Kind: message.Confirm}, nil
	case registered:
		return t, message.Message{Kind: message.Verify}, nil
	}
	return s.pendingChange(ctx, key)
}

// pendingChange finds the change to an address that somebody has asked for.
func (s *Service) pendingChange(ctx context.Context, key string) (storage.Ticket, message.Message, error) {
	t, err := s.Store.Ticket(ctx, s.tickets.ID(storage.PurposeVerify, key))
	if errors.Is(err, storage.ErrNotFound) {
		return storage.Ticket{}, message.Message{}, nil
	}
	if err != nil {
		return storage.Ticket{}, message.Message{}, fmt.Errorf("reading ticket: %w", err)
	}
	u, err := s.owner(ctx, t)
	if errors.Is(err, ErrInvalidTicket) || err == nil && t.Email != u.PendingEmail {
		return storage.Ticket{}, message.Message{}, nil
	}
	return t, message.Message{Kind: message.Confirm}, err
}

// requestMail is what requests have in common that anybody may make and that may
// send a mail: they count, they are recorded, and they look alike. prepare returns
// whom it is about and what is particular.
func (s *Service) requestMail(ctx context.Context, email string, kind storage.EventKind, c Client, prepare func(key string) (storage.UserID, []storage.Change, error)) error {
	if !s.SendsMail {
		return s.refuseClosed(ctx, kind, storage.User{}, c, ErrNoMail)
	}
	key, err := EmailKey(email)
	if err != nil {
		return err
	}
	if err := s.count(ctx, s.attempts().Mail(key, c.Address)); err != nil {
		return s.recordLimited(ctx, c, kind, storage.User{}, err)
	}
	return retry("storing a request for mail", func() error {
		user, changes, err := prepare(key)
		if err != nil {
			return err
		}
		e := c.event(kind, storage.OutcomeOK, s.Now())
		e.UserID = user
		if !queuesMail(changes) {
			e.Outcome = storage.OutcomeUnknownUser
		}
		return s.commit(ctx, append(changes, storage.AppendEvent{Event: e}))
	})
}

// mailTicket gives a ticket fresh secrets, and queues the mail that tells them. It takes
// the place of the ticket with the hash; nil: of whatever is there.
func (s *Service) mailTicket(t storage.Ticket, replaces []byte, key string, m message.Message, c Client, now time.Time) ([]storage.Change, error) {
	t, m.Link, m.Code = s.tickets.Issue(t, key, now)
	m.To, m.LinkFor = t.Email, t.LinkUntil.Sub(now)
	if m.Code != "" {
		m.CodeFor = ticket.CodeLifetime
	}
	mail, err := s.mail(t.UserID, m, c, now)
	if len(replaces) > 0 {
		return []storage.Change{storage.ReplaceTicket{Old: replaces, Ticket: t}, mail}, err
	}
	return []storage.Change{storage.PutTicket{Ticket: t}, mail}, err
}
