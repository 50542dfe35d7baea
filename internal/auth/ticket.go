package auth

import (
	"cmp"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/latchkey-auth/latchkey/internal/attempt"
	"github.com/latchkey-auth/latchkey/internal/limit"
	"github.com/latchkey-auth/latchkey/internal/storage"
)

// How long links and codes work.
const (
	LinkLifetime   = time.Hour
	CodeLifetime   = 10 * time.Minute
	InviteLifetime = 7 * 24 * time.Hour
	// MaxCodeTries is how many wrong codes a ticket takes; its link goes on working.
	MaxCodeTries = 5
	// registrationKept is how long a registration can be taken up again by asking
	// for another mail, whose link works within it.
	registrationKept = 24 * time.Hour
)

// ErrInvalidTicket covers a link or code that is wrong, used, replaced or expired.
var ErrInvalidTicket = errors.New("link or code is not valid")

// A credential is what somebody presents: the token of a link, or a code with
// the address that it was mailed to.
type credential struct {
	id     storage.TicketID
	secret []byte // of a link
	code   string // canonical; empty: it is a link
}

// codeLetters has nothing that looks like something else on paper or in a bad
// font: no 0 O, 1 I L, 2 Z, 5 S, 8 B, U beside V. 24 of them in 8 places are 36 bits.
const (
	codeLetters = "ACDEFGHJKMNPQRTVWXY34679"
	codeLength  = 8
)

// newCode returns a code in canonical form.
func newCode() string {
	var code [codeLength]byte
	const even = 256 / len(codeLetters) * len(codeLetters) // above it some letters would come more often
	for i := 0; i < len(code); {
		var b [1]byte
		rand.Read(b[:]) // never fails, crypto/rand
		if int(b[0]) < even {
			code[i] = codeLetters[int(b[0])%len(codeLetters)]
			i++
		}
	}
	return string(code[:])
}

// showCode is how people read it.
func showCode(code string) string { return code[:codeLength/2] + "-" + code[codeLength/2:] }

// parseCode takes a code as people type it: in any case, with or without
// separators.
func parseCode(typed string) (string, bool) {
	if len(typed) > maxCode {
		return "", false
	}
	var code []byte
	for _, c := range []byte(strings.ToUpper(typed)) {
		switch {
		case c == ' ' || c == '-':
		case strings.IndexByte(codeLetters, c) < 0 || len(code) == codeLength:
			return "", false
		default:
			code = append(code, c)
		}
	}
	return string(code), len(code) == codeLength
}

// ticketID finds the ticket of an address, given by its [EmailKey].
func (s *Service) ticketID(purpose storage.Purpose, emailKey string) storage.TicketID {
	return storage.TicketID(base64.RawURLEncoding.EncodeToString(s.ticketMAC("ticket", string(purpose), emailKey)[:16]))
}

// ticketMAC is a MAC over the parts, none of which can hold the separator.
func (s *Service) ticketMAC(parts ...string) []byte {
	mac := hmac.New(sha256.New, s.TicketKey)
	mac.Write([]byte(strings.Join(parts, "\x00")))
	return mac.Sum(nil)
}

// issue completes a ticket with fresh secrets and returns what goes into the
// mail.
func (s *Service) issue(t storage.Ticket, emailKey string, now time.Time) (_ storage.Ticket, link, code string) {
	secret := make([]byte, 32)
	rand.Read(secret) // never fails, crypto/rand
	t.ID = s.ticketID(t.Purpose, emailKey)
	t.SecretHash, t.CreatedAt, t.Tries = hashSecret(secret), now, 0
	kept := t.ExpiresAt
	t.LinkUntil, t.ExpiresAt = now.Add(LinkLifetime), now.Add(LinkLifetime)
	switch t.Purpose {
	case storage.PurposeRegister:
		t.ExpiresAt = cmp.Or(kept, now.Add(registrationKept)) // another mail does not prolong it
	case storage.PurposeInvite:
		t.LinkUntil, t.ExpiresAt = now.Add(InviteLifetime), now.Add(InviteLifetime)
		return t, s.link(t, secret), ""
	}
	code = newCode()
	t.CodeMAC, t.CodeUntil = s.codeMAC(t, code), now.Add(CodeLifetime)
	return t, s.link(t, secret), showCode(code)
}

// codeMAC binds a code to its ticket. A bare hash of 8 letters would fall
// offline.
func (s *Service) codeMAC(t storage.Ticket, code string) []byte {
	return s.ticketMAC("code", string(t.ID), string(t.SecretHash), code)
}

// pages are the paths of the pages that links open.
var pages = map[storage.Purpose]string{
	storage.PurposeRegister: "/verify",
	storage.PurposeVerify:   "/verify",
	storage.PurposeReset:    "/reset",
	storage.PurposeInvite:   "/accept",
}

// link is built from the configured public URL only, whatever a request says.
func (s *Service) link(t storage.Ticket, secret []byte) string {
	return strings.TrimSuffix(s.PublicURL, "/") + pages[t.Purpose] + "?token=" + formatSecret(string(t.ID), secret)
}

// presented reads what a request holds: a token, or an address with a code, for
// each of the purposes. A malformed address is an *InvalidError.
func (s *Service) presented(r TicketRequest, purposes []storage.Purpose) ([]credential, error) {
	switch {
	case r.Token != "" && (r.Email != "" || r.Code != ""):
		return nil, invalid("token", "goes without an address and a code")
	case r.Token != "":
		id, secret, ok := parseSecret(r.Token)
		if !ok {
			return nil, ErrInvalidTicket
		}
		return []credential{{id: storage.TicketID(id), secret: secret}}, nil
	case r.Email == "" && r.Code == "":
		return nil, invalid("token", "is missing; give it, or the address and the code")
	case r.Code == "":
		return nil, invalid("code", "is missing")
	}
	key, err := EmailKey(r.Email)
	if err != nil {
		return nil, err
	}
	code, ok := parseCode(r.Code)
	if !ok {
		return nil, ErrInvalidTicket
	}
	var all []credential
	for _, p := range purposes {
		all = append(all, credential{id: s.ticketID(p, key), code: code})
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
	credentials, err := s.presented(r, purposes)
	if err != nil && !errors.Is(err, ErrInvalidTicket) {
		return err
	}
	a, good, err := s.ticketAttempt(ctx, r, credentials, purposes)
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
		return s.refuseTicket(ctx, r.Client, kind, tickets, credentials)
	}
	err = retry("using a ticket", func() error {
		tickets, err := s.tickets(ctx, credentials)
		if err != nil {
			return err
		}
		t, ok := s.redeemed(tickets, credentials, purposes)
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
		err = s.commit(ctx, append(changes, storage.TakeTicket{Ticket: t}, storage.PutMark{Mark: s.used(t)}))
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
func (s *Service) redeemed(tickets []storage.Ticket, credentials []credential, purposes []storage.Purpose) (storage.Ticket, bool) {
	for i, t := range tickets {
		if slices.Contains(purposes, t.Purpose) && s.opens(t, credentials[i], s.Now()) {
			return t, true
		}
	}
	return storage.Ticket{}, false
}

// ticketAttempt is what the request is held to, and whether it is a good link for one of
// the purposes.
func (s *Service) ticketAttempt(ctx context.Context, r TicketRequest, credentials []credential, purposes []storage.Purpose) (a limit.Attempt, good bool, err error) {
	if r.Code != "" {
		key, err := EmailKey(r.Email)
		return s.attempts().Code(key, r.Client.Address), false, err
	}
	tickets, err := s.tickets(ctx, credentials)
	if err != nil {
		return limit.Attempt{}, false, err
	}
	if t, ok := s.redeemed(tickets, credentials, purposes); ok {
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
func (s *Service) refuseTicket(ctx context.Context, c Client, kind storage.EventKind, tickets []storage.Ticket, credentials []credential) error {
	e := c.event(kind, storage.OutcomeWrongTicket, s.Now())
	var changes []storage.Change
	for i, t := range tickets {
		if credentials[i].code != "" && len(t.CodeMAC) > 0 && t.Tries < MaxCodeTries {
			changes = append(changes, storage.CountTry{Ticket: t})
		}
		e.UserID = cmp.Or(e.UserID, t.UserID)
	}
	if err := s.Store.Commit(ctx, append(changes, storage.AppendEvent{Event: e})...); err != nil {
		return wrap("recording wrong link or code", err)
	}
	return ErrInvalidTicket
}

// tickets reads what is presented, in its order; zero where there is none.
func (s *Service) tickets(ctx context.Context, credentials []credential) ([]storage.Ticket, error) {
	all := make([]storage.Ticket, len(credentials))
	for i, c := range credentials {
		t, err := s.Store.Ticket(ctx, c.id)
		if err != nil && !errors.Is(err, storage.ErrNotFound) {
			return nil, fmt.Errorf("reading ticket: %w", err)
		}
		all[i] = t
	}
	return all, nil
}

// opens reports whether the credential is the ticket's and still good.
func (s *Service) opens(t storage.Ticket, c credential, now time.Time) bool {
	if c.code != "" {
		return len(t.CodeMAC) > 0 && t.Tries < MaxCodeTries && now.Before(t.CodeUntil) &&
			subtle.ConstantTimeCompare(s.codeMAC(t, c.code), t.CodeMAC) == 1
	}
	return now.Before(t.LinkUntil) && subtle.ConstantTimeCompare(hashSecret(c.secret), t.SecretHash) == 1
}

// bound is what of a user a ticket depends on.
func bound(u storage.User) []byte { return hashSecret([]byte(u.PasswordHash + "\x00" + u.Email)) }

// owner reads the user of a ticket; ErrInvalidTicket when that is not the user
// to whom it was given any more.
func (s *Service) owner(ctx context.Context, t storage.Ticket) (storage.User, error) {
	u, err := s.Store.User(ctx, t.UserID)
	switch {
	case errors.Is(err, storage.ErrNotFound):
		return storage.User{}, ErrInvalidTicket
	case err != nil:
		return storage.User{}, fmt.Errorf("reading user: %w", err)
	case u.Disabled || subtle.ConstantTimeCompare(bound(u), t.Bound) == 0:
		return storage.User{}, ErrInvalidTicket
	}
	return u, nil
}
