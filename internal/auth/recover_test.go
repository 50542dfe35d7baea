package auth_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/latchkey-auth/latchkey"
	"github.com/latchkey-auth/latchkey/internal/auth"
	"github.com/latchkey-auth/latchkey/internal/message"
	"github.com/latchkey-auth/latchkey/internal/storage"
	"github.com/latchkey-auth/latchkey/internal/ticket"
)

func (f *fixture) forgot(email string) message.Message {
	f.t.Helper()
	if err := f.ForgotPassword(f.t.Context(), email, auth.Client{}); err != nil {
		f.t.Fatal(err)
	}
	return f.mail(message.Reset, email)
}

func (f *fixture) reset(token, password string) error {
	return f.ResetPassword(f.t.Context(), auth.TicketRequest{Token: token}, password)
}

func TestRecovery(t *testing.T) {
	for _, way := range []string{"link", "code"} {
		f := newFixture(t, open(&mailbox{}))
		f.addAda()
		tokens := f.mustLogin("ada", password)
		m := f.forgot("ada@example.com")
		f.wantAlive("after asking", tokens, true)
		f.mustLogin("ada", password)
		r := auth.TicketRequest{Token: token(t, m)}
		if way == "code" {
			r = auth.TicketRequest{Email: "Ada@Example.com", Code: m.Code}
		}
		// A password that is refused leaves the ticket good.
		wantInvalid(t, f.ResetPassword(t.Context(), r, "short"), "password")
		wantInvalid(t, f.ResetPassword(t.Context(), r, "ada@example.com"), "password")
		if err := f.ResetPassword(t.Context(), r, otherPassword); err != nil {
			t.Fatalf("%s: %v", way, err)
		}
		f.wantAlive("after the reset", tokens, false)
		if _, err := f.Refresh(t.Context(), tokens.RefreshToken, auth.Client{}); !errors.Is(err, auth.ErrInvalidToken) {
			t.Errorf("refresh after it: %v, want ErrInvalidToken", err)
		}
		if _, err := f.login("ada", password); !errors.Is(err, auth.ErrInvalidCredentials) {
			t.Errorf("the old password: %v, want ErrInvalidCredentials", err)
		}
		f.mustLogin("ada", otherPassword)
		notice := f.mail(message.PasswordChanged, "ada@example.com")
		if notice.Link != "" || notice.Code != "" {
			t.Errorf("the notice holds %+v", notice)
		}
		if err := f.ResetPassword(t.Context(), r, password); !errors.Is(err, auth.ErrInvalidTicket) {
			t.Errorf("%s again: %v, want ErrInvalidTicket", way, err)
		}
		f.wantOutcome(storage.EventPasswordReset, storage.OutcomeWrongTicket)
	}
}

func TestForgottenByNobody(t *testing.T) {
	f := newFixture(t, open(&mailbox{}))
	f.addAda()
	if err := f.ForgotPassword(t.Context(), "nobody@example.com", auth.Client{}); err != nil || len(f.mails()) != 0 {
		t.Errorf("got %v, or a mail was sent", err)
	}
	f.wantOutcome(storage.EventForgot, storage.OutcomeUnknownUser)
	wantInvalid(t, f.ForgotPassword(t.Context(), "ada", auth.Client{}), "email")
}

// Mail goes to the address that is stored, and links lead to the URL that is
// configured.
func TestMailGoesToTheStoredAddress(t *testing.T) {
	f := newFixture(t, open(&mailbox{}))
	f.add(auth.NewUser{Username: "mike", Email: "Mike@Example.com", Password: password})
	if err := f.ForgotPassword(t.Context(), "MIKE@example.COM", auth.Client{}); err != nil {
		t.Fatal(err)
	}
	m := f.mail(message.Reset, "Mike@example.com")
	if !strings.HasPrefix(m.Link, publicURL+"/reset?token=") {
		t.Errorf("the link is %s", m.Link)
	}
}

func TestWhatVoidsAReset(t *testing.T) {
	for name, change := range map[string]func(*fixture, auth.Tokens){
		"another request":        func(f *fixture, _ auth.Tokens) { f.forgot("ada@example.com") },
		"an hour":                func(f *fixture, _ auth.Tokens) { f.clock.Advance(ticket.LinkLifetime) },
		"a password change":      func(f *fixture, tokens auth.Tokens) { f.mustChange(tokens, password, otherPassword) },
		"an operator's password": func(f *fixture, _ auth.Tokens) { f.SetPassword(f.t.Context(), "ada", otherPassword) },
		"another address": func(f *fixture, _ auth.Tokens) {
			f.UpdateUser(f.t.Context(), "ada", func(u *storage.User) { u.Email = "new@example.com" })
		},
		"being disabled": func(f *fixture, _ auth.Tokens) { f.Disable(f.t.Context(), "ada", true) },
		"deletion": func(f *fixture, tokens auth.Tokens) {
			if err := f.DeleteAccount(f.t.Context(), f.claimsOf(tokens), password, auth.Client{}); err != nil {
				f.t.Fatal(err)
			}
		},
	} {
		f := newFixture(t, open(&mailbox{}))
		f.addAda()
		tokens := f.mustLogin("ada", password)
		m := f.forgot("ada@example.com")
		change(f, tokens)
		if err := f.reset(token(t, m), "a third battery"); !errors.Is(err, auth.ErrInvalidTicket) {
			t.Errorf("%s: %v, want ErrInvalidTicket", name, err)
		}
	}
}

func (f *fixture) mustChange(tokens auth.Tokens, current, password string) {
	f.t.Helper()
	if err := f.ChangePassword(f.t.Context(), f.claimsOf(tokens), current, password, auth.Client{}); err != nil {
		f.t.Fatal(err)
	}
}

func TestOfThreeRequestsTheThirdCounts(t *testing.T) {
	f := newFixture(t, open(&mailbox{}))
	f.addAda()
	var tokens []string
	for range 3 {
		tokens = append(tokens, token(t, f.forgot("ada@example.com")))
	}
	if err := f.reset(tokens[2], otherPassword); err != nil {
		t.Fatal(err)
	}
	for i, token := range tokens {
		if err := f.reset(token, "a third battery"); !errors.Is(err, auth.ErrInvalidTicket) {
			t.Errorf("link %d: %v, want ErrInvalidTicket", i+1, err)
		}
	}
}

// Somebody who has locked an account by guessing keeps its owner out no longer
// than it takes to read a mail.
func TestAResetGetsThrough(t *testing.T) {
	f := newFixture(t, open(&mailbox{}), limits)
	f.addAda()
	for i := range 30 {
		f.try("ada", "wrong password", fmt.Sprint("198.51.100.", i))
	}
	if wait, _ := f.try("ada", password, "192.0.2.2"); wait == 0 {
		t.Fatal("the account is not locked")
	}
	m := f.forgot("ada@example.com")
	if err := f.reset(token(t, m), otherPassword); err != nil {
		t.Fatal(err)
	}
	if wait, err := f.try("ada", otherPassword, "192.0.2.2"); wait != 0 || err != nil {
		t.Errorf("the owner after the reset: %v, %v", wait, err)
	}
}

// Asking for mail is limited for each address that gets it and for each client,
// whether there is an account or not.
func TestMailIsLimited(t *testing.T) {
	for name, ask := range map[string]func(f *fixture, email string, c auth.Client) error{
		"forgot": func(f *fixture, email string, c auth.Client) error { return f.ForgotPassword(f.t.Context(), email, c) },
		"resend": func(f *fixture, email string, c auth.Client) error {
			return f.ResendVerification(f.t.Context(), email, c)
		},
		"register": func(f *fixture, email string, c auth.Client) error {
			_, err := f.Register(f.t.Context(), auth.RegisterRequest{Email: email, Password: password, Client: c})
			return err
		},
	} {
		f := newFixture(t, open(&mailbox{}), limits)
		f.addAda()
		for _, email := range []string{"ada@example.com", "nobody@example.com"} {
			limited := 0
			for i := range 100 {
				if i%2 == 1 {
					email = strings.ToUpper(email)
				}
				if err := ask(f, email, auth.Client{Address: fmt.Sprint("192.0.2.", i)}); isLimit(err) {
					limited++
				} else if err != nil {
					t.Fatal(err)
				}
			}
			if limited != 95 {
				t.Errorf("%s of %s: %d of 100 were limited, want 95", name, email, limited)
			}
		}
		if n := len(f.mails()); n > 10 {
			t.Errorf("%s: %d mails were sent", name, n)
		}
		limited := 0
		for i := range 40 {
			if isLimit(ask(f, fmt.Sprintf("user%d@example.com", i), auth.Client{Address: "198.51.100.7"})) {
				limited++
			}
		}
		if limited != 10 {
			t.Errorf("%s of many from one address: %d of 40 were limited, want 10", name, limited)
		}
	}
}

func isLimit(err error) bool {
	var limit *auth.LimitError
	return errors.As(err, &limit)
}

func TestCodesAreLimited(t *testing.T) {
	f := newFixture(t, open(&mailbox{}), limits)
	f.addAda()
	limited := 0
	for i := range 20 {
		r := auth.TicketRequest{Email: "ada@example.com", Code: "AAAA-AAAA", Client: auth.Client{Address: fmt.Sprint("192.0.2.", i)}}
		if isLimit(f.ResetPassword(t.Context(), r, otherPassword)) {
			limited++
		}
	}
	if limited != 15 {
		t.Errorf("%d of 20 guesses at a code were limited, want 15", limited)
	}
	limited = 0
	for i := range 40 {
		r := auth.TicketRequest{Token: fmt.Sprint("garbage", i), Client: auth.Client{Address: "198.51.100.7"}}
		if isLimit(f.VerifyAddress(t.Context(), r)) {
			limited++
		}
	}
	if limited != 32 {
		t.Errorf("%d of 40 guesses at a link were limited, want 32", limited)
	}
}

// While somebody tries many accounts from many addresses, each has a quarter of
// its free failures.
func TestTheAlarmTightensLimits(t *testing.T) {
	f := newFixture(t, limits)
	f.addAda()
	for i := range 2 * 310 { // twice what is free: each part of the alarm has its share
		f.try(fmt.Sprint("user", i), "wrong password", fmt.Sprintf("2001:db8:%x::1", i))
	}
	if _, err := f.try("ada", "wrong password", "192.0.2.1"); !errors.Is(err, auth.ErrInvalidCredentials) {
		t.Fatalf("the first failure: %v", err)
	}
	if wait, _ := f.try("ada", "wrong password", "192.0.2.1"); wait == 0 {
		t.Error("a second failure is free under the alarm")
	}
	if wait, err := f.try("ada@example.com", password, "192.0.2.1"); wait == 0 {
		t.Errorf("the account does not wait: %v", err)
	}
	f.clock.Advance(15 * time.Minute) // the alarm has faded
	for range 3 {
		if wait, err := f.try("ada", "wrong password", "192.0.2.4"); wait != 0 {
			t.Errorf("after the alarm: wait %v, %v", wait, err)
		}
	}
}

// TestMailHasAnAlarmOfItsOwn: requests for mail tighten each other's limits, and
// nobody's logins.
func TestMailHasAnAlarmOfItsOwn(t *testing.T) {
	f := newFixture(t, limits, open(&mailbox{}))
	f.addAda()
	forgot := func(email, address string) error {
		return f.ForgotPassword(t.Context(), email, auth.Client{Address: address})
	}
	for i := range 2 * 310 { // see TestTheAlarmTightensLimits
		if err := forgot(fmt.Sprintf("user%d@example.com", i), fmt.Sprintf("2001:db8:%x::1", i)); err != nil {
			t.Fatal(err)
		}
	}
	if err := forgot("ada@example.com", "192.0.2.1"); err != nil {
		t.Errorf("the first request for a mailbox: %v", err)
	}
	if err := forgot("ada@example.com", "192.0.2.2"); !isLimit(err) {
		t.Errorf("a second one under the alarm: %v, want a LimitError", err)
	}
	for range 3 {
		if wait, err := f.try("ada", "wrong password", "192.0.2.4"); wait != 0 {
			t.Errorf("a login: wait %v, %v", wait, err)
		}
	}
	f.clock.Advance(15 * time.Minute) // the alarm has faded
	if err := forgot("ada@example.com", "192.0.2.2"); err != nil {
		t.Errorf("after the alarm: %v", err)
	}
}

func TestResetRace(t *testing.T) {
	path := tempDatabase(t)
	f := fixtureOn(t, path, open(&mailbox{}))
	f.addAda()
	other := reopen(t, f, path, open(&mailbox{}))
	for round := range 10 {
		m := f.forgot("ada@example.com")
		link := token(t, m)
		won := winners(t, f.Service, other, auth.ErrInvalidTicket, func(s *auth.Service, i int) error {
			return s.ResetPassword(t.Context(), auth.TicketRequest{Token: link}, fmt.Sprintf("battery number %d", i))
		})
		if won != 1 {
			t.Fatalf("round %d: %d succeeded, want 1", round, won)
		}
		f.mail(message.PasswordChanged, "ada@example.com")
	}
}

func TestChangeOfAddress(t *testing.T) {
	for _, way := range []string{"link", "code"} {
		f := newFixture(t, open(&mailbox{}))
		f.addAda()
		tokens := f.mustLogin("ada", password)
		claims := f.claimsOf(tokens)
		if err := f.ChangeEmail(t.Context(), claims, "wrong password", "new@example.com", auth.Client{}); !errors.Is(err, auth.ErrInvalidCredentials) {
			t.Errorf("a wrong password: %v, want ErrInvalidCredentials", err)
		}
		wantInvalid(t, f.ChangeEmail(t.Context(), claims, password, "nonsense", auth.Client{}), "email")
		wantInvalid(t, f.ChangeEmail(t.Context(), claims, password, "ADA@example.com", auth.Client{}), "email")
		if mails := f.mails(); len(mails) != 0 {
			t.Fatalf("got mails %+v", mails)
		}
		confirm := f.change(claims, "new@example.com")
		if who, err := f.me(tokens); err != nil || who.Email != "ada@example.com" || who.PendingEmail != "new@example.com" {
			t.Errorf("before it is proved: %+v, %v", who, err)
		}
		f.mustLogin("ada@example.com", password)
		r := auth.TicketRequest{Token: token(t, confirm)}
		if way == "code" {
			r = auth.TicketRequest{Email: "new@example.com", Code: confirm.Code}
		}
		if err := f.VerifyAddress(t.Context(), r); err != nil {
			t.Fatalf("%s: %v", way, err)
		}
		if who, err := f.me(tokens); err != nil || who.Email != "new@example.com" || !who.EmailVerified || who.PendingEmail != "" {
			t.Errorf("after it: %+v, %v", who, err)
		}
		if told := f.mail(message.EmailChanged, "ada@example.com"); told.NewEmail != "new@example.com" {
			t.Errorf("the old address is told %+v", told)
		}
		f.mustLogin("new@example.com", password)
		if _, err := f.login("ada@example.com", password); !errors.Is(err, auth.ErrInvalidCredentials) {
			t.Errorf("the old address: %v, want ErrInvalidCredentials", err)
		}
	}
}

// change asks for another address and returns the mail to it.
func (f *fixture) change(claims latchkey.Claims, email string) message.Message {
	f.t.Helper()
	if err := f.ChangeEmail(f.t.Context(), claims, password, email, auth.Client{}); err != nil {
		f.t.Fatal(err)
	}
	var confirm message.Message
	for _, m := range f.mails() {
		switch {
		case m.Kind == message.Confirm && m.To == email && m.Name == "": // which a stranger may have chosen
			confirm = m
		case m.Kind == message.EmailChanging && m.To == "ada@example.com" && m.NewEmail == email && m.Link == "":
		default:
			f.t.Errorf("unexpected mail %+v", m)
		}
	}
	return confirm
}

// TestAnotherLinkSaysSo: whoever asks twice is told which of the mails counts.
func TestAnotherLinkSaysSo(t *testing.T) {
	f := newFixture(t, open(&mailbox{}))
	f.addAda()
	claims := f.claimsOf(f.mustLogin("ada", password))
	for i, want := range []bool{false, true} {
		if m := f.change(claims, "new@example.com"); m.Again != want {
			t.Errorf("mail %d: Again is %t, want %t", i+1, m.Again, want)
		}
	}
	f.clock.Advance(ticket.LinkLifetime)
	claims = f.claimsOf(f.mustLogin("ada", password))
	if m := f.change(claims, "new@example.com"); m.Again {
		t.Error("the mail says that it replaces one that has expired")
	}
}

func TestWhatVoidsAChangeOfAddress(t *testing.T) {
	for name, change := range map[string]func(*fixture, auth.Tokens){
		"another change":    func(f *fixture, tokens auth.Tokens) { f.change(f.claimsOf(tokens), "other@example.com") },
		"an hour":           func(f *fixture, _ auth.Tokens) { f.clock.Advance(ticket.LinkLifetime) },
		"a password change": func(f *fixture, tokens auth.Tokens) { f.mustChange(tokens, password, otherPassword) },
		"a reset": func(f *fixture, _ auth.Tokens) {
			if err := f.reset(token(f.t, f.forgot("ada@example.com")), otherPassword); err != nil {
				f.t.Fatal(err)
			}
		},
		"an account with it": func(f *fixture, _ auth.Tokens) {
			f.add(auth.NewUser{Username: "bob", Email: "new@example.com", Password: password})
		},
	} {
		f := newFixture(t, open(&mailbox{}))
		f.addAda()
		tokens := f.mustLogin("ada", password)
		confirm := f.change(f.claimsOf(tokens), "new@example.com")
		change(f, tokens)
		if err := f.verify(token(t, confirm)); !errors.Is(err, auth.ErrInvalidTicket) {
			t.Errorf("%s: %v, want ErrInvalidTicket", name, err)
		}
		if u := f.user("u1"); u.Email != "ada@example.com" {
			t.Errorf("%s: the address is %s", name, u.Email)
		}
	}
}

// That somebody else has the address does not show to whoever asks for it.
func TestChangeToATakenAddress(t *testing.T) {
	f := newFixture(t, open(&mailbox{}))
	f.addAda()
	f.add(auth.NewUser{Username: "bob", Email: "bob@example.com", Password: password})
	claims := f.claimsOf(f.mustLogin("ada", password))
	if err := f.ChangeEmail(t.Context(), claims, password, "bob@example.com", auth.Client{}); err != nil {
		t.Fatal(err)
	}
	kinds := map[string]message.Kind{}
	for _, m := range f.mails() {
		kinds[m.To] = m.Kind
	}
	if len(kinds) != 2 || kinds["bob@example.com"] != message.Taken || kinds["ada@example.com"] != message.EmailChanging {
		t.Errorf("got mails %v", kinds)
	}
	if u := f.user("u1"); u.Email != "ada@example.com" || u.PendingEmail != "bob@example.com" {
		t.Errorf("got %+v", u)
	}
}

func TestChangeOfAddressRace(t *testing.T) {
	path := tempDatabase(t)
	f := fixtureOn(t, path, open(&mailbox{}))
	f.addAda()
	other := reopen(t, f, path, open(&mailbox{}))
	claims := f.claimsOf(f.mustLogin("ada", password))
	for round := range 5 {
		email := fmt.Sprintf("ada%d@example.com", round)
		if err := f.ChangeEmail(t.Context(), claims, password, email, auth.Client{}); err != nil {
			t.Fatal(err)
		}
		var link string
		for _, m := range f.mails() {
			if m.Kind == message.Confirm {
				link = token(t, m)
			}
		}
		won := winners(t, f.Service, other, auth.ErrInvalidTicket, func(s *auth.Service, _ int) error {
			return s.VerifyAddress(t.Context(), auth.TicketRequest{Token: link})
		})
		if won != 1 || f.user("u1").Email != email {
			t.Fatalf("round %d: %d succeeded, the address is %s", round, won, f.user("u1").Email)
		}
		f.mails()
	}
}

func TestInvitation(t *testing.T) {
	f := newFixture(t, open(&mailbox{}), func(c *auth.Config) { c.Registration = auth.RegistrationInvite })
	invited, err := f.Invite(t.Context(), auth.NewUser{Email: "ada@example.com", Name: "Ada", Scope: "read"})
	if err != nil {
		t.Fatal(err)
	}
	first := f.mail(message.Invite, "ada@example.com")
	if first.LinkFor != ticket.InviteLifetime || first.Code != "" || !strings.Contains(first.Link, "/accept?token=") {
		t.Errorf("got %+v", first)
	}
	if _, err := f.login("ada@example.com", ""); err == nil {
		t.Error("an invited user can log in without a password")
	}
	f.clock.Advance(24 * time.Hour)
	again, err := f.Invite(t.Context(), auth.NewUser{Email: "Ada@example.com", Name: "Ada L."})
	if err != nil || again.ID != invited.ID {
		t.Fatalf("again: %v, %v; want the same user", again.ID, err)
	}
	second := f.mail(message.Invite, "ada@example.com")
	if err := f.reset(token(t, first), password); !errors.Is(err, auth.ErrInvalidTicket) {
		t.Errorf("the first link: %v, want ErrInvalidTicket", err)
	}
	f.clock.Advance(6 * 24 * time.Hour)
	if err := f.reset(token(t, second), password); err != nil {
		t.Fatal(err)
	}
	if who, err := f.me(f.mustLogin("ada@example.com", password)); err != nil || who.ID != invited.ID || who.Scope != "read" || who.Name != "Ada L." || !who.EmailVerified {
		t.Errorf("got %+v, %v", who, err)
	}
	if mails := f.mails(); len(mails) != 0 {
		t.Errorf("a notice for a first password: %+v", mails)
	}
	if _, err := f.Invite(t.Context(), auth.NewUser{Email: "ada@example.com"}); !errors.Is(err, storage.ErrTaken) {
		t.Errorf("inviting a user: %v, want ErrTaken", err)
	}
	_, err = f.Invite(t.Context(), auth.NewUser{Username: "bob"})
	wantInvalid(t, err, "email")
}

// Registering the address of somebody who was invited makes no second account.
func TestInvitedAddressesAreTaken(t *testing.T) {
	f := newFixture(t, open(&mailbox{}))
	if _, err := f.Invite(t.Context(), auth.NewUser{Email: "ada@example.com", Scope: "read"}); err != nil {
		t.Fatal(err)
	}
	f.mail(message.Invite, "ada@example.com")
	f.register("ada@example.com", password)
	m := f.mail(message.Taken, "ada@example.com")
	if err := f.reset(token(t, m), otherPassword); err != nil {
		t.Fatal(err)
	}
	if who, err := f.me(f.mustLogin("ada@example.com", otherPassword)); err != nil || who.Scope != "read" {
		t.Errorf("got %+v, %v", who, err)
	}
}

// What was not stored is not told as done, and can be done again.
func TestRecoveryOutages(t *testing.T) {
	broken := &faulty{}
	f := newFixture(t, open(&mailbox{}), withStore(broken))
	f.addAda()
	claims := f.claimsOf(f.mustLogin("ada", password))
	m := f.forgot("ada@example.com")
	f.register("new@example.com", password)
	v := f.mail(message.Verify, "new@example.com")
	for _, operation := range []string{"Commit", "Ticket", "UserByEmail"} {
		broken.fault = func(op string) error {
			if op == operation {
				return fmt.Errorf("%w: disk full", storage.ErrUnavailable)
			}
			return nil
		}
		_, err := f.Register(t.Context(), auth.RegisterRequest{Email: "grace@example.com", Password: password})
		errs := map[string]error{"register": err, "resend": f.ResendVerification(t.Context(), "grace@example.com", auth.Client{})}
		if operation != "Ticket" {
			errs["forgot"] = f.ForgotPassword(t.Context(), "ada@example.com", auth.Client{})
			errs["change"] = f.ChangeEmail(t.Context(), claims, password, "other@example.com", auth.Client{})
		}
		if operation != "UserByEmail" {
			errs["reset"] = f.reset(token(t, m), otherPassword)
		}
		errs["verify"] = f.verify(token(t, v))
		for name, err := range errs {
			if !errors.Is(err, storage.ErrUnavailable) {
				t.Errorf("%s fails: %s says %v, want ErrUnavailable", operation, name, err)
			}
		}
	}
	broken.fault = nil
	if mails := f.mails(); len(mails) != 0 {
		t.Errorf("mails of what was not stored: %+v", mails)
	}
	if err := errors.Join(f.reset(token(t, m), otherPassword), f.verify(token(t, v))); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}

// TestForgottenPasswordsWriteAlike: what is stored for an address without account is
// as much, but for the mail, or time would tell.
func TestForgottenPasswordsWriteAlike(t *testing.T) {
	f := newFixture(t, open(&mailbox{}))
	f.addAda()
	if err := f.ForgotPassword(t.Context(), "nobody@example.com", auth.Client{}); err != nil {
		t.Fatal(err)
	}
	known := f.forgot("ada@example.com")
	if err := f.reset(token(t, known), otherPassword); err != nil {
		t.Errorf("the known address: %v", err)
	}
	for range ticket.MaxCodeTries {
		err := f.ResetPassword(t.Context(), auth.TicketRequest{Email: "nobody@example.com", Code: "AAAA-AAAA"}, otherPassword)
		if !errors.Is(err, auth.ErrInvalidTicket) {
			t.Errorf("a code for nobody: %v, want ErrInvalidTicket", err)
		}
	}
	if left := f.mails(); len(left) != 1 || left[0].Kind != message.PasswordChanged {
		t.Errorf("unexpected mails %+v", left)
	}
}

// The name of an account may be a stranger's who wants our mail to say something
// at an address that is not the stranger's: until the address is proved, mail
// greets nobody.
func TestMailGreetsAtProvedAddressesAlone(t *testing.T) {
	const name = "Account locked"
	wantNone := func(t *testing.T, m message.Message) {
		t.Helper()
		if m.Name != "" {
			t.Errorf("%s to an address that nobody has proved greets %q", m.Kind, m.Name)
		}
	}
	t.Run("a registration", func(t *testing.T) {
		f := newFixture(t, open(&mailbox{}))
		for range 2 {
			if _, err := f.Register(t.Context(), auth.RegisterRequest{Email: "ada@example.com", Password: password, Name: name}); err != nil {
				t.Fatal(err)
			}
			wantNone(t, f.mail(message.Verify, "ada@example.com"))
		}
		if err := f.ResendVerification(t.Context(), "ada@example.com", auth.Client{}); err != nil {
			t.Fatal(err)
		}
		m := f.mail(message.Verify, "ada@example.com")
		wantNone(t, m)
		if err := f.verify(token(t, m)); err != nil {
			t.Fatal(err)
		}
		if m := f.forgot("ada@example.com"); m.Name != name {
			t.Errorf("%s to a proved address greets %q, want %q", m.Kind, m.Name, name)
		}
	})
	t.Run("an invitation", func(t *testing.T) {
		f := newFixture(t, open(&mailbox{}))
		if _, err := f.Invite(t.Context(), auth.NewUser{Email: "ada@example.com", Name: name}); err != nil {
			t.Fatal(err)
		}
		wantNone(t, f.mail(message.Invite, "ada@example.com"))
		wantNone(t, f.forgot("ada@example.com"))
		f.register("ada@example.com", password)
		wantNone(t, f.mail(message.Taken, "ada@example.com"))
	})
	t.Run("an account without a proof", func(t *testing.T) {
		f := newFixture(t, open(&mailbox{}), func(c *auth.Config) { c.VerifyEmail = false })
		tokens, err := f.Register(t.Context(), auth.RegisterRequest{Email: "ada@example.com", Password: password, Name: "Ada"})
		if err != nil {
			t.Fatal(err)
		}
		claims := f.claimsOf(*tokens)
		if _, err := f.Rename(t.Context(), claims, name, auth.Client{}); err != nil {
			t.Fatal(err)
		}
		wantNone(t, f.forgot("ada@example.com"))
		if err := f.ResendVerification(t.Context(), "ada@example.com", auth.Client{}); err != nil {
			t.Fatal(err)
		}
		wantNone(t, f.mail(message.Confirm, "ada@example.com"))
		if err := f.ChangePassword(t.Context(), claims, password, "another battery", auth.Client{}); err != nil {
			t.Fatal(err)
		}
		wantNone(t, f.mail(message.PasswordChanged, "ada@example.com"))
		if err := f.ChangeEmail(t.Context(), claims, "another battery", "eve@example.com", auth.Client{}); err != nil {
			t.Fatal(err)
		}
		for _, m := range f.mails() {
			wantNone(t, m)
			if m.Kind == message.Confirm {
				if err := f.verify(token(t, m)); err != nil {
					t.Fatal(err)
				}
			}
		}
		wantNone(t, f.mail(message.EmailChanged, "ada@example.com"))
		if err := f.DeleteAccount(t.Context(), claims, "another battery", auth.Client{}); err != nil {
			t.Fatal(err)
		}
		if m := f.mail(message.AccountDeleted, "eve@example.com"); m.Name != name {
			t.Errorf("%s to a proved address greets %q, want %q", m.Kind, m.Name, name)
		}
	})
	t.Run("a change to somebody's address", func(t *testing.T) {
		f := newFixture(t, open(&mailbox{}))
		f.add(auth.NewUser{Username: "eve", Email: "eve@example.com", Name: name, Password: password})
		if _, err := f.Invite(t.Context(), auth.NewUser{Email: "ada@example.com", Name: name}); err != nil {
			t.Fatal(err)
		}
		f.mails()
		if err := f.ChangeEmail(t.Context(), f.claimsOf(f.mustLogin("eve", password)), password, "ada@example.com", auth.Client{}); err != nil {
			t.Fatal(err)
		}
		for _, m := range f.mails() {
			if m.To == "ada@example.com" {
				wantNone(t, m)
			}
		}
	})
}
