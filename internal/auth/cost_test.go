package auth_test

import (
	"math"
	"strings"
	"testing"

	"github.com/latchkey-auth/latchkey/internal/auth"
	"github.com/latchkey-auth/latchkey/internal/rights"
	"github.com/latchkey-auth/latchkey/internal/storage"
)

// hostileText is so many different letters: what IDNA and normalization take longest
// for.
func hostileText(letters int) string {
	var b strings.Builder
	for i := range letters {
		b.WriteRune(rune(0x4e00 + i%20900))
	}
	return b.String()
}

// leastAllocated is what f allocates at the least: what runs beside it cannot make it
// less.
func leastAllocated(f func()) uint64 {
	least := uint64(math.MaxUint64)
	for range 5 {
		least = min(least, allocated(f))
	}
	return least
}

// TestLongValuesAreRefusedBeforeAnyWork: a value over its bound takes no time. Work
// on it would show in what is allocated, which a refusal does not make depend on
// the length.
func TestLongValuesAreRefusedBeforeAnyWork(t *testing.T) {
	f := newFixture(t, func(c *auth.Config) {
		c.Registration, c.SendsMail, c.VerifyEmail, c.PublicURL = auth.RegistrationOpen, true, true, "https://login.example.com"
	})
	f.addAda()
	claims := f.claimsOf(f.mustLogin("ada", password))
	ctx, long := t.Context(), hostileText(20_900)
	address := "a@" + long + ".com"
	for name, refuse := range map[string]func() error{
		"EmailKey":                func() error { _, err := auth.EmailKey(address); return err },
		"UsernameKey":             func() error { _, err := auth.UsernameKey(long); return err },
		"CleanScope":              func() error { _, err := rights.CleanScope(long); return err },
		"FindUser by address":     func() error { _, err := storage.FindUser(ctx, f.store, address); return err },
		"FindUser by name":        func() error { _, err := storage.FindUser(ctx, f.store, long); return err },
		"AddUser with an address": func() error { _, err := f.AddUser(ctx, auth.NewUser{Email: address}); return err },
		"AddUser with a name":     func() error { _, err := f.AddUser(ctx, auth.NewUser{Username: "x", Name: long}); return err },
		"AddUser with an id": func() error {
			_, err := f.AddUser(ctx, auth.NewUser{ID: storage.UserID(long), Username: "x"})
			return err
		},
		"Login by address":      func() error { _, err := f.login(address, password); return err },
		"Login by name":         func() error { _, err := f.login(long, password); return err },
		"Login with a password": func() error { _, err := f.login("ada", long); return err },
		"Register an address": func() error {
			_, err := f.Register(ctx, auth.RegisterRequest{Email: address, Password: password})
			return err
		},
		"Register a name": func() error {
			_, err := f.Register(ctx, auth.RegisterRequest{Email: "grace@example.com", Name: long, Password: password})
			return err
		},
		"Register a password": func() error {
			_, err := f.Register(ctx, auth.RegisterRequest{Email: "grace@example.com", Password: long})
			return err
		},
		"VerifyAddress":      func() error { return f.VerifyAddress(ctx, auth.TicketRequest{Email: address, Code: "ACDEFGHJ"}) },
		"ResendVerification": func() error { return f.ResendVerification(ctx, address, auth.Client{}) },
		"ForgotPassword":     func() error { return f.ForgotPassword(ctx, address, auth.Client{}) },
		"ResetPassword": func() error {
			return f.ResetPassword(ctx, auth.TicketRequest{Email: address, Code: "ACDEFGHJ"}, password)
		},
		"ChangeEmail": func() error { return f.ChangeEmail(ctx, claims, password, address, auth.Client{}) },
	} {
		if err := refuse(); err == nil {
			t.Errorf("%s: taken", name)
		}
		if n := leastAllocated(func() { refuse() }); n > 16<<10 {
			t.Errorf("%s: %d bytes are allocated to refuse %d", name, n, len(long))
		}
	}
}

// TestLongTokensAndCodesAreWrong: they are refused as any wrong one is, and what
// that takes does not depend on their length.
func TestLongTokensAndCodesAreWrong(t *testing.T) {
	f := newFixture(t)
	f.addAda()
	claims, ctx := f.claimsOf(f.mustLogin("ada", password)), t.Context()
	const short, length = "AAAA", 60_000
	long := strings.Repeat("A", length)
	for name, c := range map[string]struct {
		form   string // with the text in the place of the star
		refuse func(string) error
	}{
		"secret of a refresh token": {"x.*", func(text string) error { _, err := f.Refresh(ctx, text, auth.Client{}); return err }},
		"id of a refresh token":     {"*.x", func(text string) error { _, err := f.Refresh(ctx, text, auth.Client{}); return err }},
		"secret of a link":          {"x.*", func(text string) error { return f.VerifyAddress(ctx, auth.TicketRequest{Token: text}) }},
		"id of a link":              {"*.x", func(text string) error { return f.VerifyAddress(ctx, auth.TicketRequest{Token: text}) }},
		"code": {"*", func(text string) error {
			return f.VerifyAddress(ctx, auth.TicketRequest{Email: "ada@example.com", Code: text})
		}},
		"session id": {"*", func(text string) error { return f.EndSession(ctx, claims, storage.SessionID(text), auth.Client{}) }},
	} {
		some, many := strings.ReplaceAll(c.form, "*", short), strings.ReplaceAll(c.form, "*", long)
		few := leastAllocated(func() { c.refuse(some) })
		if n := leastAllocated(func() { c.refuse(many) }); n > few+16<<10 {
			t.Errorf("%s: %d bytes are allocated to refuse %d, %d to refuse a short one", name, n, length, few)
		}
		if a, b := c.refuse(some), c.refuse(many); a == nil || b == nil || a.Error() != b.Error() {
			t.Errorf("%s: a short one is refused by %v, a long one by %v", name, a, b)
		}
	}
}
