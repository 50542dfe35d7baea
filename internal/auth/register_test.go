package auth_test

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/latchkey-auth/latchkey/internal/auth"
	"github.com/latchkey-auth/latchkey/internal/message"
	"github.com/latchkey-auth/latchkey/internal/storage"
	"github.com/latchkey-auth/latchkey/internal/ticket"
)

const otherPassword = "another battery staple"

func TestAccountsBeginWhenTheAddressIsProved(t *testing.T) {
	for _, way := range []string{"link", "code"} {
		f := newFixture(t, open(&mailbox{}))
		f.register("Ada@Example.com", password)
		m := f.mail(message.Verify, "Ada@example.com")
		if _, _, err := f.store.UserByEmail(t.Context(), "ada@example.com"); !errors.Is(err, storage.ErrNotFound) {
			t.Fatalf("before that: %v, want ErrNotFound", err)
		}
		if _, err := f.login("ada@example.com", password); !errors.Is(err, auth.ErrEmailNotVerified) {
			t.Errorf("login before that: %v, want ErrEmailNotVerified", err)
		}
		f.wantOutcome(storage.EventLogin, storage.OutcomeUnverified)
		if _, err := f.login("ada@example.com", otherPassword); !errors.Is(err, auth.ErrInvalidCredentials) {
			t.Errorf("login with another password: %v, want ErrInvalidCredentials", err)
		}
		r := auth.TicketRequest{Token: token(t, m)}
		if way == "code" {
			r = auth.TicketRequest{Email: "ADA@example.com", Code: strings.ToLower(strings.ReplaceAll(m.Code, "-", " "))}
		}
		if err := f.VerifyAddress(t.Context(), r); err != nil {
			t.Fatalf("%s: %v", way, err)
		}
		tokens := f.mustLogin("ada@example.com", password)
		who, err := f.me(tokens)
		if err != nil || who.Email != "Ada@example.com" || !who.EmailVerified || who.Name != "Ada L." || who.Username != string(who.ID) || who.Scope != "" {
			t.Errorf("who it is: %+v, %v", who, err)
		}
		if err := f.VerifyAddress(t.Context(), r); !errors.Is(err, auth.ErrInvalidTicket) {
			t.Errorf("%s again: %v, want ErrInvalidTicket", way, err)
		}
		f.wantOutcome(storage.EventVerify, storage.OutcomeWrongTicket)
	}
}

func TestRegistrationIsFor(t *testing.T) {
	box := &mailbox{}
	for _, mode := range []auth.Registration{"", auth.RegistrationClosed, auth.RegistrationInvite} {
		f := newFixture(t, open(box), func(c *auth.Config) { c.Registration = mode })
		_, err := f.Register(t.Context(), auth.RegisterRequest{Email: "ada@example.com", Password: password})
		if !errors.Is(err, auth.ErrRegistrationClosed) || len(f.mails()) != 0 {
			t.Errorf("%s: %v, want ErrRegistrationClosed", mode, err)
		}
		f.wantOutcome(storage.EventRegister, storage.OutcomeClosed)
	}
}

func TestRegistrationsAreChecked(t *testing.T) {
	f := newFixture(t, open(&mailbox{}))
	for name, c := range map[string]struct {
		r     auth.RegisterRequest
		field string
	}{
		"no address":        {auth.RegisterRequest{Password: password}, "email"},
		"no real address":   {auth.RegisterRequest{Email: "ada", Password: password}, "email"},
		"a look-alike":      {auth.RegisterRequest{Email: "mıke@example.com", Password: password}, "email"},
		"a short password":  {auth.RegisterRequest{Email: "ada@example.com", Password: "7 chars"}, "password"},
		"a huge password":   {auth.RegisterRequest{Email: "ada@example.com", Password: strings.Repeat("x", 1025)}, "password"},
		"a personal one":    {auth.RegisterRequest{Email: "lovelace@example.com", Password: "iamLoveLace!!"}, "password"},
		"a name with ESC":   {auth.RegisterRequest{Email: "ada@example.com", Password: password, Name: "\x1b[2J"}, "name"},
		"a very long name":  {auth.RegisterRequest{Email: "ada@example.com", Password: password, Name: strings.Repeat("x", 257)}, "name"},
		"the name as it is": {auth.RegisterRequest{Email: "ada@example.com", Password: "augustaking", Name: "Augusta King"}, "password"},
	} {
		_, err := f.Register(t.Context(), c.r)
		t.Run(name, func(t *testing.T) { wantInvalid(t, err, c.field) })
	}
	if mails := f.mails(); len(mails) != 0 {
		t.Errorf("mails %+v were sent", mails)
	}
}

// The owner of an address learns that somebody registers it; whoever does learns
// nothing, by logging in neither.
func TestTakenAddressesDoNotShow(t *testing.T) {
	f := newFixture(t, open(&mailbox{}))
	f.addAda()
	f.register("ADA@example.com", otherPassword)
	m := f.mail(message.Taken, "ada@example.com")
	f.wantOutcome(storage.EventRegister, storage.OutcomeTaken)
	f.register("free@example.com", otherPassword)
	f.mails()
	for _, email := range []string{"ada@example.com", "free@example.com"} {
		if _, err := f.login(email, otherPassword); !errors.Is(err, auth.ErrEmailNotVerified) {
			t.Errorf("login as %s: %v, want ErrEmailNotVerified", email, err)
		}
	}
	f.mustLogin("ada", password)
	// Another mail is asked for: nothing comes of it for the owner's address.
	if err := f.ResendVerification(t.Context(), "ada@example.com", auth.Client{}); err != nil || len(f.mails()) != 0 {
		t.Errorf("another mail: %v, or it was sent", err)
	}
	// The link in the mail recovers the account.
	if err := f.ResetPassword(t.Context(), auth.TicketRequest{Token: token(t, m)}, "a new battery"); err != nil {
		t.Fatal(err)
	}
	f.mustLogin("ada", "a new battery")
}

func TestTheSameWorkForTakenAddresses(t *testing.T) {
	f := newFixture(t, open(&mailbox{}), withCost(t, costly))
	f.addAda()
	taken := hashes(costly, func() { f.register("ada@example.com", otherPassword) })
	free := hashes(costly, func() { f.register("free@example.com", otherPassword) })
	if taken != 1 || free != 1 {
		t.Errorf("%d hashes for a taken address, %d for a free one; want 1 each", taken, free)
	}
	for _, email := range []string{"ada@example.com", "free@example.com"} {
		if n := hashes(costly, func() { f.login(email, "wrong battery") }); n != 2 {
			t.Errorf("login as %s after it: %d hashes, want 2", email, n)
		}
	}
	// Nor does the time tell who knows the password of a disabled account.
	if _, err := f.Disable(t.Context(), "ada", true); err != nil {
		t.Fatal(err)
	}
	for _, given := range []string{"wrong battery", password} {
		var err error
		if n := hashes(costly, func() { _, err = f.login("ada@example.com", given) }); n != 2 || !errors.Is(err, auth.ErrInvalidCredentials) {
			t.Errorf("login as a disabled user by %q: %d hashes, %v; want 2, ErrInvalidCredentials", given, n, err)
		}
	}
}

func TestDisabledOwnersGetNoLink(t *testing.T) {
	f := newFixture(t, open(&mailbox{}))
	f.addAda()
	if _, err := f.Disable(t.Context(), "ada", true); err != nil {
		t.Fatal(err)
	}
	f.register("ada@example.com", otherPassword)
	if err := f.ForgotPassword(t.Context(), "ada@example.com", auth.Client{}); err != nil {
		t.Fatal(err)
	}
	f.add(auth.NewUser{Username: "bob", Email: "bob@example.com", EmailUnverified: true, Password: password})
	if _, err := f.Disable(t.Context(), "bob", true); err != nil {
		t.Fatal(err)
	}
	if err := f.ResendVerification(t.Context(), "bob@example.com", auth.Client{}); err != nil {
		t.Fatal(err)
	}
	if mails := f.mails(); len(mails) != 0 {
		t.Errorf("got %+v", mails)
	}
	// Nor does logging in with what was registered tell that there is an account.
	f.register("free@example.com", otherPassword)
	for _, email := range []string{"ada@example.com", "free@example.com"} {
		if _, err := f.login(email, otherPassword); !errors.Is(err, auth.ErrEmailNotVerified) {
			t.Errorf("login as %s: %v, want ErrEmailNotVerified", email, err)
		}
	}
	if _, err := f.login("ada", password); !errors.Is(err, auth.ErrInvalidCredentials) {
		t.Errorf("the disabled owner: %v, want ErrInvalidCredentials", err)
	}
}

// Whoever holds the mailbox gets the account, and the earlier registrant nothing.
func TestRegisteringAgainStartsAfresh(t *testing.T) {
	f := newFixture(t, open(&mailbox{}))
	f.register("ada@example.com", "the strangers battery")
	first := f.mail(message.Verify, "ada@example.com")
	f.register("ada@example.com", password)
	second := f.mail(message.Verify, "ada@example.com")
	if !second.Again {
		t.Error("the mail does not say that it replaces another")
	}
	if err := f.verify(token(t, first)); !errors.Is(err, auth.ErrInvalidTicket) {
		t.Errorf("the first link: %v, want ErrInvalidTicket", err)
	}
	if err := f.VerifyAddress(t.Context(), auth.TicketRequest{Email: "ada@example.com", Code: first.Code}); !errors.Is(err, auth.ErrInvalidTicket) {
		t.Errorf("the first code: %v, want ErrInvalidTicket", err)
	}
	if err := f.verify(token(t, second)); err != nil {
		t.Fatal(err)
	}
	f.mustLogin("ada@example.com", password)
	if _, err := f.login("ada@example.com", "the strangers battery"); !errors.Is(err, auth.ErrInvalidCredentials) {
		t.Errorf("the stranger: %v, want ErrInvalidCredentials", err)
	}
}

// An account whose address nobody has proved goes, sessions and all, when the
// owner of the address comes.
func TestUnprovedAccountsMakeWay(t *testing.T) {
	path := tempDatabase(t)
	box := &mailbox{}
	f := fixtureOn(t, path, open(box))
	loose := reopen(t, f, path, func(c *auth.Config) { c.Registration = auth.RegistrationOpen })
	stranger, err := loose.Register(t.Context(), auth.RegisterRequest{Email: "ada@example.com", Password: "the strangers battery"})
	if err != nil || stranger == nil {
		t.Fatalf("without verification: %v, %v; want tokens", stranger, err)
	}
	if _, err := f.login("ada@example.com", "the strangers battery"); !errors.Is(err, auth.ErrEmailNotVerified) {
		t.Errorf("the stranger, once addresses are to be proved: %v", err)
	}
	f.register("ada@example.com", password)
	m := f.mail(message.Verify, "ada@example.com")
	if err := f.verify(token(t, m)); err != nil {
		t.Fatal(err)
	}
	f.mustLogin("ada@example.com", password)
	if _, err := f.me(*stranger); !errors.Is(err, auth.ErrInvalidToken) {
		t.Errorf("the stranger's session: %v, want ErrInvalidToken", err)
	}
	if _, err := f.login("ada@example.com", "the strangers battery"); !errors.Is(err, auth.ErrInvalidCredentials) {
		t.Errorf("the stranger's password: %v, want ErrInvalidCredentials", err)
	}
}

func TestRegisterWithoutVerification(t *testing.T) {
	f := newFixture(t, func(c *auth.Config) { c.Registration = auth.RegistrationOpen })
	r := auth.RegisterRequest{Email: "ada@example.com", Password: password, Name: "Ada"}
	tokens, err := f.Register(t.Context(), r)
	if err != nil || tokens == nil {
		t.Fatalf("got %v, %v; want tokens", tokens, err)
	}
	if who, err := f.me(*tokens); err != nil || who.Email != "ada@example.com" || who.EmailVerified {
		t.Errorf("who it is: %+v, %v", who, err)
	}
	if _, err := f.Register(t.Context(), r); !errors.Is(err, storage.ErrTaken) {
		t.Errorf("again: %v, want ErrTaken", err)
	}
	f.wantOutcome(storage.EventRegister, storage.OutcomeTaken)
	f.mustLogin("ada@example.com", password)
}

// TestWithoutMailNothingIsPromised, and who has asked is on record.
func TestWithoutMailNothingIsPromised(t *testing.T) {
	f := newFixture(t)
	f.addAda()
	claims := f.claimsOf(f.mustLogin("ada", password))
	for kind, ask := range map[storage.EventKind]func() error{
		storage.EventForgot:     func() error { return f.ForgotPassword(t.Context(), "ada@example.com", auth.Client{}) },
		storage.EventVerifyMail: func() error { return f.ResendVerification(t.Context(), "ada@example.com", auth.Client{}) },
		storage.EventEmailChange: func() error {
			return f.ChangeEmail(t.Context(), claims, password, "new@example.com", auth.Client{})
		},
	} {
		if err := ask(); !errors.Is(err, auth.ErrNoMail) {
			t.Errorf("%s: %v, want ErrNoMail", kind, err)
		}
		f.wantOutcome(kind, storage.OutcomeClosed)
	}
}

func TestAnotherMailForTheSameRegistration(t *testing.T) {
	f := newFixture(t, open(&mailbox{}))
	f.register("ada@example.com", password)
	first := f.mail(message.Verify, "ada@example.com")
	f.clock.Advance(2 * time.Hour)
	if err := f.verify(token(t, first)); !errors.Is(err, auth.ErrInvalidTicket) {
		t.Errorf("after two hours: %v, want ErrInvalidTicket", err)
	}
	for range ticket.MaxCodeTries { // they do not count against the next code
		f.VerifyAddress(t.Context(), auth.TicketRequest{Email: "ada@example.com", Code: "AAAA-AAAA"})
	}
	if err := f.ResendVerification(t.Context(), "Ada@example.com", auth.Client{}); err != nil {
		t.Fatal(err)
	}
	second := f.mail(message.Verify, "ada@example.com")
	if err := f.VerifyAddress(t.Context(), auth.TicketRequest{Email: "ada@example.com", Code: second.Code}); err != nil {
		t.Fatal(err)
	}
	f.mustLogin("ada@example.com", password)
	for _, email := range []string{"ada@example.com", "nobody@example.com"} {
		if err := f.ResendVerification(t.Context(), email, auth.Client{}); err != nil || len(f.mails()) != 0 {
			t.Errorf("%s: %v, or a mail was sent", email, err)
		}
	}
	wantInvalid(t, f.ResendVerification(t.Context(), "nonsense", auth.Client{}), "email")
}

func TestUnprovedAddressOfAnImportedUser(t *testing.T) {
	f := newFixture(t, open(&mailbox{}))
	f.add(auth.NewUser{Username: "ada", Email: "ada@example.com", EmailUnverified: true, Password: password})
	if _, err := f.login("ada", password); !errors.Is(err, auth.ErrEmailNotVerified) {
		t.Errorf("login: %v, want ErrEmailNotVerified", err)
	}
	if err := f.ResendVerification(t.Context(), "ada@example.com", auth.Client{}); err != nil {
		t.Fatal(err)
	}
	m := f.mail(message.Confirm, "ada@example.com")
	if err := f.VerifyAddress(t.Context(), auth.TicketRequest{Email: "ada@example.com", Code: m.Code}); err != nil {
		t.Fatal(err)
	}
	f.mustLogin("ada", password)
}

// Whoever asks for another mail for an account gets one for that account. If
// somebody has registered its address meanwhile, or had it before, that mail sets a
// new password: neither stranger's is confirmed by it.
func TestAnotherMailIsForTheAccount(t *testing.T) {
	for name, registered := range map[string]bool{"alone": false, "and somebody has registered": true} {
		t.Run(name, func(t *testing.T) {
			path := tempDatabase(t)
			f := fixtureOn(t, path, open(&mailbox{}))
			loose := reopen(t, f, path, func(c *auth.Config) { c.Registration = auth.RegistrationOpen })
			tokens, err := loose.Register(t.Context(), auth.RegisterRequest{Email: "ada@example.com", Password: password})
			if err != nil {
				t.Fatal(err)
			}
			if registered {
				f.register("ada@example.com", "another battery")
				f.mails()
			}
			if err := f.ResendVerification(t.Context(), "ada@example.com", auth.Client{}); err != nil {
				t.Fatal(err)
			}
			if !registered {
				if err := f.verify(token(t, f.mail(message.Confirm, "ada@example.com"))); err != nil {
					t.Fatal(err)
				}
				f.mustLogin("ada@example.com", password)
				return
			}
			m := f.mail(message.Reset, "ada@example.com")
			if err := f.verify(token(t, m)); !errors.Is(err, auth.ErrInvalidTicket) {
				t.Errorf("the link confirms: %v", err)
			}
			if err := f.ResetPassword(t.Context(), auth.TicketRequest{Token: token(t, m)}, "the owners battery"); err != nil {
				t.Fatal(err)
			}
			for _, given := range []string{password, "another battery"} {
				if _, err := f.login("ada@example.com", given); !errors.Is(err, auth.ErrInvalidCredentials) && !errors.Is(err, auth.ErrEmailNotVerified) {
					t.Errorf("login by %q: %v, want it refused", given, err)
				}
			}
			if _, err := f.me(*tokens); !errors.Is(err, auth.ErrInvalidToken) {
				t.Errorf("the session of before: %v, want ErrInvalidToken", err)
			}
			f.mustLogin("ada@example.com", "the owners battery")
		})
	}
}

func TestCodesTakeFiveTries(t *testing.T) {
	f := newFixture(t, open(&mailbox{}))
	f.register("ada@example.com", password)
	m := f.mail(message.Verify, "ada@example.com")
	for i := range ticket.MaxCodeTries {
		err := f.VerifyAddress(t.Context(), auth.TicketRequest{Email: "ada@example.com", Code: "AAAA-AAAA"})
		if !errors.Is(err, auth.ErrInvalidTicket) {
			t.Fatalf("try %d: %v", i, err)
		}
	}
	if err := f.VerifyAddress(t.Context(), auth.TicketRequest{Email: "ada@example.com", Code: m.Code}); !errors.Is(err, auth.ErrInvalidTicket) {
		t.Errorf("the right code as the sixth: %v, want ErrInvalidTicket", err)
	}
	if err := f.verify(token(t, m)); err != nil {
		t.Errorf("the link: %v", err)
	}
}

func TestCodesExpire(t *testing.T) {
	f := newFixture(t, open(&mailbox{}))
	f.register("ada@example.com", password)
	m := f.mail(message.Verify, "ada@example.com")
	f.clock.Advance(ticket.CodeLifetime)
	r := auth.TicketRequest{Email: "ada@example.com", Code: m.Code}
	if err := f.VerifyAddress(t.Context(), r); !errors.Is(err, auth.ErrInvalidTicket) {
		t.Errorf("after ten minutes: %v, want ErrInvalidTicket", err)
	}
	if err := f.verify(token(t, m)); err != nil {
		t.Errorf("the link: %v", err)
	}
}

// TestCodesHoldNoLookAlikes: nobody has to ask whether it is a zero.
func TestCodesHoldNoLookAlikes(t *testing.T) {
	f := newFixture(t, open(&mailbox{}))
	seen := make(map[string]bool)
	for i := range 30 {
		f.register(fmt.Sprintf("user%d@example.com", i), password)
		code := f.mail(message.Verify, fmt.Sprintf("user%d@example.com", i)).Code
		if len(code) != 9 || code[4] != '-' || strings.ContainsAny(code, "0O1ILB8S5Z2U") || strings.ToUpper(code) != code || seen[code] {
			t.Errorf("code %q", code)
		}
		seen[code] = true
	}
}

func TestBrokenTickets(t *testing.T) {
	f := newFixture(t, open(&mailbox{}))
	f.register("ada@example.com", password)
	m := f.mail(message.Verify, "ada@example.com")
	good := token(t, m)
	id, secret, _ := strings.Cut(good, ".")
	for name, token := range map[string]string{
		"nonsense": "nonsense", "no secret": id + ".", "no id": "." + secret, "padding": good + "=", "another id": "x" + good,
		"a byte less": good[:len(good)-1], "another last letter": good[:len(good)-2] + "AA", "a line break": good[:30] + "\n" + good[30:],
	} {
		if err := f.verify(token); !errors.Is(err, auth.ErrInvalidTicket) {
			t.Errorf("%s: %v, want ErrInvalidTicket", name, err)
		}
	}
	for name, c := range map[string]struct {
		r     auth.TicketRequest
		field string
	}{
		"nothing":         {auth.TicketRequest{}, "token"},
		"both":            {auth.TicketRequest{Token: good, Email: "ada@example.com", Code: m.Code}, "token"},
		"no code":         {auth.TicketRequest{Email: "ada@example.com"}, "code"},
		"no address":      {auth.TicketRequest{Code: m.Code}, "email"},
		"no real address": {auth.TicketRequest{Email: "ada", Code: m.Code}, "email"},
	} {
		t.Run(name, func(t *testing.T) { wantInvalid(t, f.VerifyAddress(t.Context(), c.r), c.field) })
	}
	// A registration's ticket sets nobody's password.
	if err := f.ResetPassword(t.Context(), auth.TicketRequest{Token: good}, otherPassword); !errors.Is(err, auth.ErrInvalidTicket) {
		t.Errorf("as a reset: %v, want ErrInvalidTicket", err)
	}
	if err := f.verify(good); err != nil {
		t.Errorf("the good one, after all of them: %v", err)
	}
}

// TestVerifyRace: of fifty who present a link or a code at once, half of them in
// another process, one succeeds.
func TestVerifyRace(t *testing.T) {
	path := tempDatabase(t)
	f := fixtureOn(t, path, open(&mailbox{}))
	other := reopen(t, f, path, open(&mailbox{}))
	for round := range 10 {
		email := fmt.Sprintf("user%d@example.com", round)
		f.register(email, password)
		m := f.mail(message.Verify, email)
		won := winners(t, f.Service, other, auth.ErrInvalidTicket, func(s *auth.Service, i int) error {
			if i%4 < 2 {
				return s.VerifyAddress(t.Context(), auth.TicketRequest{Token: token(t, m)})
			}
			return s.VerifyAddress(t.Context(), auth.TicketRequest{Email: email, Code: m.Code})
		})
		if won != 1 {
			t.Fatalf("round %d: %d succeeded, want 1", round, won)
		}
	}
}

// TestRegisterRace: of fifty who register one address at once, one gets it; with
// verification, one of the mails' links works.
func TestRegisterRace(t *testing.T) {
	path := tempDatabase(t)
	box := &mailbox{}
	f := fixtureOn(t, path, open(box))
	loose := func(c *auth.Config) { c.Registration = auth.RegistrationOpen }
	one, two := reopen(t, f, path, loose), reopen(t, f, path, loose)
	won := winners(t, one, two, storage.ErrTaken, func(s *auth.Service, _ int) error {
		_, err := s.Register(t.Context(), auth.RegisterRequest{Email: "ada@example.com", Password: password})
		return err
	})
	if won != 1 {
		t.Errorf("%d accounts of one address, want 1", won)
	}
	other := reopen(t, f, path, open(box))
	if all := winners(t, f.Service, other, nil, func(s *auth.Service, _ int) error {
		_, err := s.Register(t.Context(), auth.RegisterRequest{Email: "grace@example.com", Password: password})
		return err
	}); all != racers {
		t.Errorf("%d registrations were accepted, want all", all)
	}
	works := 0
	for _, m := range f.mails() {
		if err := f.verify(token(t, m)); err == nil {
			works++
		} else if !errors.Is(err, auth.ErrInvalidTicket) {
			t.Error(err)
		}
	}
	if works != 1 {
		t.Errorf("%d links work, want 1", works)
	}
}

const racers = 50

// winners has fifty do the same at once through two services, and counts who
// succeeds; the others get the error refused.
func winners(t *testing.T, one, two *auth.Service, refused error, do func(s *auth.Service, i int) error) int {
	t.Helper()
	var won atomic.Int32
	var wg sync.WaitGroup
	begin := make(chan struct{})
	for i := range racers {
		s := one
		if i%2 == 1 {
			s = two
		}
		wg.Go(func() {
			<-begin
			err := do(s, i)
			switch {
			case err == nil:
				won.Add(1)
			case refused == nil || !errors.Is(err, refused):
				t.Error(err)
			}
		})
	}
	close(begin)
	wg.Wait()
	return int(won.Load())
}

// TestPendingRegistrationsEnd: a day after they began, however many mails are asked
// for, and when registration is closed.
func TestPendingRegistrationsEnd(t *testing.T) {
	f := newFixture(t, open(&mailbox{}))
	f.register("ada@example.com", password)
	first := token(t, f.mail(message.Verify, "ada@example.com"))
	closed := f.service(open(f.Mailer.(*mailbox)), func(c *auth.Config) { c.Registration = auth.RegistrationClosed })
	if err := closed.VerifyAddress(t.Context(), auth.TicketRequest{Token: first}); !errors.Is(err, auth.ErrInvalidTicket) {
		t.Errorf("while registration is closed: %v, want ErrInvalidTicket", err)
	}
	if err := closed.ResendVerification(t.Context(), "ada@example.com", auth.Client{}); err != nil || len(f.mails()) != 0 {
		t.Errorf("another mail while registration is closed: %v", err)
	}
	f.clock.Advance(23 * time.Hour)
	for range 2 {
		if err := f.ResendVerification(t.Context(), "ada@example.com", auth.Client{}); err != nil {
			t.Fatal(err)
		}
		f.mail(message.Verify, "ada@example.com")
	}
	f.clock.Advance(time.Second) // its link would outlive the registration
	if err := f.ResendVerification(t.Context(), "ada@example.com", auth.Client{}); err != nil {
		t.Fatal(err)
	}
	if left := f.mails(); len(left) != 0 {
		t.Errorf("in the last hour: %+v", left)
	}
}
