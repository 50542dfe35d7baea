package auth

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/latchkey-auth/latchkey/internal/password"
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
		return nil, s.refuseClosed(ctx, EventRegister, User{}, r.Client, ErrRegistrationClosed)
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
	attempt := s.mailAttempt(key, r.Client)
	done, err := s.allow(ctx, attempt)
	if err != nil {
		return nil, s.recordLimited(ctx, r.Client, EventRegister, User{}, err)
	}
	defer done()
	if u.PasswordHash, err = s.hashNew(ctx, r.Password, u); err != nil {
		return nil, s.recordRefused(ctx, r.Client.event(EventRegister, OutcomeOK, s.Now()), err)
	}
	if !s.VerifyEmail {
		return s.registerNow(ctx, u, r.Client, attempt)
	}
	return nil, s.registerByMail(ctx, u, key, r.Client, attempt)
}

// refuseClosed records that somebody has asked for what is not to be had here, and
// returns why. *LimitError.
func (s *Service) refuseClosed(ctx context.Context, kind EventKind, user User, c Client, why error) error {
	attempt := s.uncounted("strangers", c) // it is no failure: many may not know
	s.addStray(&attempt, c)
	done, err := s.allow(ctx, attempt)
	if err != nil {
		return s.recordLimited(ctx, c, kind, user, err)
	}
	defer done()
	now := s.Now()
	e := c.event(kind, OutcomeClosed, now)
	e.UserID = user.ID
	if err := s.Store.Commit(ctx, Batch{Events: []Event{e}, Hits: attempt.hits(now)}); err != nil {
		return wrap("recording what is not to be had", err)
	}
	return why
}

// registerNow creates the account and opens its first session.
func (s *Service) registerNow(ctx context.Context, u User, c Client, attempt limited) (*Tokens, error) {
	now := s.Now()
	session, tokens, err := s.newSession(ctx, u, c, now)
	if err != nil {
		return nil, err
	}
	b := Batch{
		CreateUsers: []User{u}, CreateSessions: []Session{session}, Hits: attempt.hits(now),
		Events: []Event{sessionEvent(c, EventRegister, OutcomeOK, session, now)},
	}
	err = s.commit(ctx, b)
	if errors.Is(err, ErrTaken) {
		refused := Batch{Hits: attempt.hits(now), Events: []Event{c.event(EventRegister, OutcomeTaken, now)}}
		if err := s.Store.Commit(ctx, refused); err != nil {
			return nil, fmt.Errorf("recording refused registration: %w", err)
		}
		return nil, ErrTaken
	}
	return &tokens, wrap("storing account", err)
}

// registerByMail does the same work whether the address has an account or not,
// but for the mail: whoever is disabled gets none.
func (s *Service) registerByMail(ctx context.Context, u User, key string, c Client, attempt limited) error {
	owner, err := s.Store.UserByEmail(ctx, key)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return fmt.Errorf("looking up user: %w", err)
	}
	before, err := s.Store.Ticket(ctx, s.ticketID(PurposeRegister, key))
	if err != nil && !errors.Is(err, ErrNotFound) {
		return fmt.Errorf("reading ticket: %w", err)
	}
	now := s.Now()
	b := Batch{Hits: attempt.hits(now), Events: []Event{c.event(EventRegister, OutcomeOK, now)}}
	t := Ticket{Purpose: PurposeRegister, Email: u.Email, Name: u.Name, PasswordHash: u.PasswordHash}
	m := Message{Kind: MessageVerify, Again: before.ID != "" && now.Before(before.LinkUntil)}
	if owner.holds() || owner.Disabled {
		b.Events[0].UserID, b.Events[0].Outcome = owner.ID, OutcomeTaken
		// The registration is kept all the same, with secrets that nobody learns:
		// see registering.
		b.PutTickets = []Ticket{s.lost(t, key, now)}
		t = Ticket{Purpose: PurposeReset, Email: owner.Email, UserID: owner.ID, Bound: bound(owner)}
		m = Message{Kind: MessageTaken, Name: owner.greeting(owner.Email)}
	}
	if owner.Disabled { // whoever was locked out gets no link to a new password
		return wrap("recording registration", s.commit(ctx, b))
	}
	if err := s.mailTicket(&b, t, key, m, c, now); err != nil {
		return err
	}
	return wrap("storing registration", s.commit(ctx, b))
}

// lost is the ticket with secrets that nobody has been told.
func (s *Service) lost(t Ticket, key string, now time.Time) Ticket {
	t, _, _ = s.issue(t, key, now)
	return t
}

// holds reports whether the account keeps its address when somebody registers
// it: whoever has not proved it does not, except for accounts that an operator
// has made for somebody who is yet to choose a password.
func (u User) holds() bool { return u.ID != "" && (u.EmailVerified || u.PasswordHash == "") }

// VerifyAddress proves the address that a link or code was mailed to: of a
// registration, whose account begins by it, or of an account. ErrInvalidTicket.
func (s *Service) VerifyAddress(ctx context.Context, r TicketRequest) error {
	return s.redeem(ctx, r, EventVerify, []Purpose{PurposeRegister, PurposeVerify}, func(t Ticket) (Batch, error) {
		if t.Purpose == PurposeRegister {
			return s.beginAccount(ctx, t, r.Client)
		}
		return s.proveAddress(ctx, t, r.Client)
	})
}

// beginAccount creates the account of a registration. One that holds the address
// without having proved it goes, with its sessions: whoever registered somebody
// else's address before them gains nothing.
func (s *Service) beginAccount(ctx context.Context, t Ticket, c Client) (Batch, error) {
	key, err := EmailKey(t.Email)
	if err != nil {
		return Batch{}, err
	}
	if err := s.redeemable(ctx, t); err != nil {
		return Batch{}, err
	}
	now := s.Now()
	u, err := s.newUser(NewUser{Email: t.Email, Name: t.Name})
	if err != nil {
		return Batch{}, err
	}
	u.PasswordHash = t.PasswordHash
	e := c.event(EventVerify, OutcomeOK, now)
	e.UserID = u.ID
	b := Batch{CreateUsers: []User{u}, Events: []Event{e}}
	holder, err := s.Store.UserByEmail(ctx, key)
	switch {
	case errors.Is(err, ErrNotFound):
		return b, nil
	case err != nil:
		return Batch{}, fmt.Errorf("looking up user: %w", err)
	case holder.holds() || holder.Disabled:
		return Batch{}, ErrInvalidTicket
	}
	gone := c.event(EventUserDeleted, OutcomeReplaced, now)
	gone.UserID = holder.ID
	b.Events = append(b.Events, gone)
	b.DeleteUsers = []User{holder}
	return b, nil
}

// proveAddress makes a pending address the user's own, or notes that the present
// one is proved.
func (s *Service) proveAddress(ctx context.Context, t Ticket, c Client) (Batch, error) {
	u, err := s.owner(ctx, t)
	if err != nil {
		return Batch{}, err
	}
	key, err := EmailKey(t.Email)
	if err != nil {
		return Batch{}, err
	}
	switch holder, err := s.Store.UserByEmail(ctx, key); {
	case err != nil && !errors.Is(err, ErrNotFound):
		return Batch{}, fmt.Errorf("looking up user: %w", err)
	case err == nil && holder.ID != u.ID:
		return Batch{}, ErrInvalidTicket
	}
	now := s.Now()
	e := c.event(EventVerify, OutcomeOK, now)
	e.UserID = u.ID
	b := Batch{Events: []Event{e}}
	old, greeting := u.Email, u.greeting(u.Email)
	switch t.Email {
	case u.PendingEmail:
		u.Email, u.PendingEmail = t.Email, ""
	case u.Email:
		old = ""
	default:
		return Batch{}, ErrInvalidTicket
	}
	u.EmailVerified, u.UpdatedAt = true, now
	b.UpdateUsers = []User{u}
	if old != "" && s.SendsMail {
		m := Message{Kind: MessageEmailChanged, To: old, Name: greeting, NewEmail: u.Email}
		err = s.enqueue(&b, u.ID, m, c, now)
	}
	return b, err
}

// ResendVerification mails a fresh link and code to an address that is yet to be
// proved, and nothing to any other. *InvalidError, *LimitError, ErrNoMail.
func (s *Service) ResendVerification(ctx context.Context, email string, c Client) error {
	return s.requestMail(ctx, email, EventVerifyMail, c, func(key string, b *Batch) error {
		t, m, err := s.unproved(ctx, key)
		if err != nil || t.Purpose == "" {
			return err
		}
		now := s.Now()
		// A ticket that was replaced since it was read must not come back.
		t.Replaces = t.SecretHash
		b.Events[0].UserID = t.UserID
		m.Again = t.ID != "" && now.Before(t.LinkUntil)
		return s.mailTicket(b, t, key, m, c, now)
	})
}

// unproved finds what an address is yet to be proved for; a ticket without
// purpose is nothing.
func (s *Service) unproved(ctx context.Context, key string) (Ticket, Message, error) {
	u, err := s.Store.UserByEmail(ctx, key)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return Ticket{}, Message{}, fmt.Errorf("looking up user: %w", err)
	}
	t, err := s.Store.Ticket(ctx, s.ticketID(PurposeRegister, key))
	if err != nil && !errors.Is(err, ErrNotFound) {
		return Ticket{}, Message{}, fmt.Errorf("reading ticket: %w", err)
	}
	registered := err == nil && !s.Now().Add(LinkLifetime).After(t.ExpiresAt) && s.Registration == RegistrationOpen
	switch {
	case u.EmailVerified || u.Disabled:
		return Ticket{}, Message{}, nil
	case u.ID != "" && registered:
		// Which of the two passwords is the owner's of the mailbox, nobody knows: a new
		// one is, whoever asks.
		return Ticket{Purpose: PurposeReset, Email: u.Email, UserID: u.ID, Bound: bound(u)}, Message{Kind: MessageReset}, nil
	case u.ID != "":
		return Ticket{Purpose: PurposeVerify, Email: u.Email, UserID: u.ID, Bound: bound(u)}, Message{Kind: MessageConfirm}, nil
	case registered:
		return t, Message{Kind: MessageVerify}, nil
	}
	return s.pendingChange(ctx, key)
}

// pendingChange finds the change to an address that somebody has asked for.
func (s *Service) pendingChange(ctx context.Context, key string) (Ticket, Message, error) {
	t, err := s.Store.Ticket(ctx, s.ticketID(PurposeVerify, key))
	if errors.Is(err, ErrNotFound) {
		return Ticket{}, Message{}, nil
	}
	if err != nil {
		return Ticket{}, Message{}, fmt.Errorf("reading ticket: %w", err)
	}
	u, err := s.owner(ctx, t)
	if errors.Is(err, ErrInvalidTicket) || err == nil && t.Email != u.PendingEmail {
		return Ticket{}, Message{}, nil
	}
	return t, Message{Kind: MessageConfirm}, err
}

// requestMail is what requests have in common that anybody may make and that may
// send a mail: they count, they are recorded, and they look alike. prepare adds
// what is particular to the batch.
func (s *Service) requestMail(ctx context.Context, email string, kind EventKind, c Client, prepare func(key string, b *Batch) error) error {
	if !s.SendsMail {
		return s.refuseClosed(ctx, kind, User{}, c, ErrNoMail)
	}
	key, err := EmailKey(email)
	if err != nil {
		return err
	}
	attempt := s.mailAttempt(key, c)
	done, err := s.allow(ctx, attempt)
	if err != nil {
		return s.recordLimited(ctx, c, kind, User{}, err)
	}
	defer done()
	return retry("storing a request for mail", func() error {
		now := s.Now()
		b := Batch{Hits: attempt.hits(now), Events: []Event{c.event(kind, OutcomeOK, now)}}
		if err := prepare(key, &b); err != nil {
			return err
		}
		if len(b.QueueMails) == 0 {
			b.Events[0].Outcome = OutcomeUnknownUser
		}
		return s.commit(ctx, b)
	})
}

// mailTicket puts a ticket with fresh secrets into the batch, and the mail that
// tells them.
func (s *Service) mailTicket(b *Batch, t Ticket, key string, m Message, c Client, now time.Time) error {
	t, m.Link, m.Code = s.issue(t, key, now)
	m.To, m.LinkFor = t.Email, t.LinkUntil.Sub(now)
	if m.Code != "" {
		m.CodeFor = CodeLifetime
	}
	b.PutTickets = append(b.PutTickets, t)
	return s.enqueue(b, t.UserID, m, c, now)
}
