package auth_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/latchkey-auth/latchkey/internal/auth"
	"github.com/latchkey-auth/latchkey/internal/message"
	passwords "github.com/latchkey-auth/latchkey/internal/password"
	"github.com/latchkey-auth/latchkey/internal/storage"
)

func TestPasswordRulesAreTheOperators(t *testing.T) {
	broken := false
	rules := func(c *auth.Config) {
		c.Passwords = passwords.Rules{
			Min:    15,
			Common: func(p string) bool { return p == "passwordpassword" },
			Breached: func(p string) (bool, error) {
				if broken {
					return false, errors.New("disk gone")
				}
				return p == "a breached battery", nil
			},
		}
	}
	f := newFixture(t, rules)
	for password, reason := range map[string]string{
		"fourteen chars":              "at least 15 characters",
		"\ufdfa":                      "at least 15 characters", // one that stands for 18
		strings.Repeat("e\u0301", 10): "at least 15 characters", // twenty that are ten
		"passwordpassword":            "guessed first",
		"a breached battery":          "published in a leak",
		"LOVELACE's battery.":         "your own name",
	} {
		_, err := f.AddUser(t.Context(), auth.NewUser{Username: "ada", Email: "lovelace@example.com", Password: password})
		wantInvalid(t, err, "password")
		if err == nil || !strings.Contains(err.Error(), reason) {
			t.Errorf("%s: %v; want a reason with %q", password, err, reason)
		}
	}
	// What cannot be looked up is not taken.
	broken = true
	if _, err := f.AddUser(t.Context(), auth.NewUser{Username: "ada", Password: password}); !errors.Is(err, storage.ErrUnavailable) {
		t.Errorf("without the breach folder: %v, want ErrUnavailable", err)
	}
	broken = false
	f.add(auth.NewUser{Username: "ada", Password: password})
}

func TestPersonalPasswords(t *testing.T) {
	u := auth.NewUser{Username: "countess", Email: "augusta.lovelace@example.com", Name: "Ada Byron King"}
	for password, own := range map[string]bool{
		"augusta.lovelace1":            true,
		"Augusta.Lovelace@Example.com": true,
		"my LoveLace battery":          true,
		"the countess of code":         true,
		"ｂｙｒｏｎ battery":                true, // full width
		"king of batteries":            true,
		"canada is a battery":          false, // "Ada" is too short to be looked for
		"example battery horse":        false, // the domain is many people's
		password:                       false,
	} {
		u.Password = password
		_, err := newFixture(t).AddUser(t.Context(), u)
		var invalid *auth.InvalidError
		if errors.As(err, &invalid) != own || !own && err != nil {
			t.Errorf("%s: got %v; is it personal? %v", password, err, own)
		}
	}
}

// TestRefusedPasswordsAreRecorded: with whose it would have been, once there is
// somebody.
func TestRefusedPasswordsAreRecorded(t *testing.T) {
	f := newFixture(t, open(&mailbox{}))
	f.addAda()
	tokens := f.mustLogin("ada", password)
	if err := f.ForgotPassword(t.Context(), "ada@example.com", auth.Client{}); err != nil {
		t.Fatal(err)
	}
	_, ticket, _ := strings.Cut(f.mail(message.Reset, "ada@example.com").Link, "token=")
	client := auth.Client{Address: "192.0.2.7", Device: "laptop/1.0", RequestID: "r1"}
	for kind, attempt := range map[storage.EventKind]func() error{
		storage.EventRegister: func() error {
			_, err := f.Register(t.Context(), auth.RegisterRequest{Email: "new@example.com", Password: "short", Client: client})
			return err
		},
		storage.EventPasswordReset: func() error {
			return f.ResetPassword(t.Context(), auth.TicketRequest{Token: ticket, Client: client}, "short")
		},
		storage.EventPasswordSet: func() error {
			return f.ChangePassword(t.Context(), f.claimsOf(tokens), password, "short", client)
		},
	} {
		err := attempt()
		if refused := (*auth.InvalidError)(nil); !errors.As(err, &refused) {
			t.Errorf("%s: got %v, want a refusal", kind, err)
		}
		f.wantOutcome(kind, storage.OutcomeWeakPassword)
		e := f.events()[len(f.events())-1]
		if known := kind != storage.EventRegister; e.Address != client.Address || e.Device != client.Device || e.RequestID != "r1" || (e.UserID == "u1") != known {
			t.Errorf("%s: got %+v", kind, e)
		}
	}
}

// What changes an account is told to its owner, where mail is sent.
func TestChangesAreTold(t *testing.T) {
	f := newFixture(t, open(&mailbox{}))
	f.addAda()
	tokens := f.mustLogin("ada", password)
	client := auth.Client{Address: "192.0.2.7", Device: "laptop/1.0"}
	if err := f.ChangePassword(t.Context(), f.claimsOf(tokens), password, otherPassword, client); err != nil {
		t.Fatal(err)
	}
	m := f.mail(message.PasswordChanged, "ada@example.com")
	if m.Address != "192.0.2.7" || m.Device != "laptop/1.0" || !m.At.Equal(start) {
		t.Errorf("got %+v", m)
	}
	if err := f.DeleteAccount(t.Context(), f.claimsOf(tokens), otherPassword, client); err != nil {
		t.Fatal(err)
	}
	f.mail(message.AccountDeleted, "ada@example.com")
}

func TestSessionLifetimesAreTheOperators(t *testing.T) {
	f := newFixture(t, func(c *auth.Config) {
		c.SessionIdle, c.SessionLifetime, c.EventRetention = time.Hour, 3*time.Hour, 24*time.Hour
	})
	f.addAda()
	idle, busy := f.mustLogin("ada", password), f.mustLogin("ada", password)
	for range 3 {
		f.clock.Advance(59 * time.Minute)
		busy = f.mustRefresh(busy.RefreshToken)
	}
	f.wantRefused("idle for an hour", idle.RefreshToken, storage.OutcomeDeadSession)
	f.wantAlive("before its end", busy, true)
	f.clock.Advance(4 * time.Minute)
	f.wantRefused("three hours old", busy.RefreshToken, storage.OutcomeDeadSession)
	f.clock.Advance(25 * time.Hour)
	if err := f.Purge(t.Context()); err != nil {
		t.Fatal(err)
	}
	if left := f.events(); len(left) != 0 {
		t.Errorf("events %v are older than a day", left)
	}
}

// TestContradictions: what cannot work is refused at start.
func TestContradictions(t *testing.T) {
	f := newFixture(t)
	for want, change := range map[string]func(*auth.Config){
		"public URL must be set":             func(c *auth.Config) { c.SendsMail = true },
		"addresses cannot be verified":       func(c *auth.Config) { c.Registration, c.VerifyEmail = auth.RegistrationOpen, true },
		"must not be above the session life": func(c *auth.Config) { c.SessionIdle, c.SessionLifetime = time.Hour, time.Minute },
		"32 bytes each":                      func(c *auth.Config) { c.TicketKey = nil },
	} {
		cfg := f.Config
		change(&cfg)
		if _, err := auth.New(cfg); err == nil || !strings.Contains(fmt.Sprint(err), want) {
			t.Errorf("got %v, want an error with %q", err, want)
		}
	}
}
