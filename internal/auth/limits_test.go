package auth_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/latchkey-auth/latchkey/internal/auth"
)

func limits(c *auth.Config) { l := auth.DefaultLimits; c.Limits = &l }

// try logs in from an address and says how long to wait, if that is the answer.
func (f *fixture) try(name, password, address string) (wait time.Duration, err error) {
	f.t.Helper()
	_, err = f.Login(f.t.Context(), auth.LoginRequest{Username: name, Password: password, Client: auth.Client{Address: address}})
	var limit *auth.LimitError
	if errors.As(err, &limit) {
		return limit.RetryAfter, nil
	}
	return 0, err
}

// Whoever guesses at once is stopped before the tenth time, for an account that
// exists as for one that does not, and however its name is spelled.
func TestGuessingIsSlowedDown(t *testing.T) {
	for name, spellings := range map[string][]string{
		"a user":     {"ada", "ADA", "Ada@Example.com", "ada@example.com", "\uff41da"},
		"a stranger": {"nobody", "NOBODY", "\uff4eobody"},
		"no name":    {"not a name at all", "not a name at all"},
	} {
		f := newFixture(t, limits)
		f.addAda()
		refused, limited := 0, 0
		for i := range 20 {
			// Every try from another address: it is the account that counts.
			wait, err := f.try(spellings[i%len(spellings)], "wrong password", fmt.Sprint("192.0.2.", i))
			switch {
			case wait > 0:
				limited++
			case errors.Is(err, auth.ErrInvalidCredentials) && limited == 0:
				refused++
			default:
				t.Fatalf("%s: try %d: %v, %v", name, i, wait, err)
			}
		}
		if refused != 5 {
			t.Errorf("%s: %d tries were checked, want 5", name, refused)
		}
	}
}

// The wait doubles with each further failure, up to a quarter of an hour, and is
// forgotten again.
func TestTheWaitGrowsAndDecays(t *testing.T) {
	f := newFixture(t, limits)
	f.addAda()
	for range 5 {
		f.try("ada", "wrong password", "")
	}
	for want := 5 * time.Second; want < 15*time.Minute; want *= 2 {
		wait, err := f.try("ada", "wrong password", "")
		if err != nil || wait != want {
			t.Fatalf("wait %v, %v; want %v", wait, err, want)
		}
		// Too soon, even with the right password: nothing is checked.
		f.clock.Advance(wait - time.Millisecond)
		if wait, err := f.try("ada", password, ""); err != nil || wait != time.Millisecond {
			t.Fatalf("a moment too soon: %v, %v", wait, err)
		}
		f.clock.Advance(time.Millisecond)
		if _, err := f.try("ada", "wrong password", ""); !errors.Is(err, auth.ErrInvalidCredentials) {
			t.Fatalf("in time: %v", err)
		}
		if want >= 80*time.Second {
			break // from here on what fades meanwhile counts too
		}
	}
	f.clock.Advance(15 * time.Minute)
	if wait, err := f.try("ada", password, ""); wait != 0 || err != nil {
		t.Errorf("the owner, after the longest wait: %v, %v", wait, err)
	}
	f.clock.Advance(4 * time.Hour)
	for range 5 {
		if _, err := f.try("ada", "wrong password", ""); !errors.Is(err, auth.ErrInvalidCredentials) {
			t.Errorf("when all is forgotten: %v", err)
		}
	}
}

// A day of guessing gets about a hundred tries.
func TestADayOfGuessing(t *testing.T) {
	f := newFixture(t, limits)
	f.addAda()
	end := f.clock.Now().Add(24 * time.Hour)
	tries := 0
	for f.clock.Now().Before(end) {
		wait, err := f.try("ada", "wrong password", "")
		if wait > 0 {
			f.clock.Advance(wait)
			continue
		}
		if !errors.Is(err, auth.ErrInvalidCredentials) {
			t.Fatal(err)
		}
		tries++
	}
	if tries > 130 {
		t.Errorf("%d tries in a day, want about 100", tries)
	}
}

// One address that tries many accounts is stopped; others are not.
func TestOneAddressManyAccounts(t *testing.T) {
	f := newFixture(t, limits)
	f.addAda()
	limited := false
	for i := range 40 {
		wait, _ := f.try(fmt.Sprint("user", i), "wrong password", "192.0.2.1")
		limited = limited || wait > 0
		if limited && i < 30 {
			t.Fatalf("limited at try %d", i)
		}
	}
	if !limited {
		t.Error("40 accounts from one address")
	}
	if wait, err := f.try("ada", password, "192.0.2.2"); wait != 0 || err != nil {
		t.Errorf("somebody else: %v, %v", wait, err)
	}
}

// A client of IPv6 has a network of addresses.
func TestOneNetworkManyAddresses(t *testing.T) {
	for addresses, want := range map[string]int{"2001:db8:1:2::%x": 10, "2001:db8:1:%x::1": 0, "::ffff:192.0.2.%d": 0} {
		f := newFixture(t, limits)
		limited := 0
		for i := range 40 {
			if wait, _ := f.try(fmt.Sprint("user", i), "wrong password", fmt.Sprintf(addresses, i)); wait > 0 {
				limited++
			}
		}
		if limited != want {
			t.Errorf("%s: %d of 40 were limited, want %d", addresses, limited, want)
		}
	}
}

// Guessing must not be a way to lock the owner out: who is signed in goes on.
func TestOwnersGetThrough(t *testing.T) {
	f := newFixture(t, limits)
	f.addAda()
	tokens := f.mustLogin("ada", password)
	claims := f.claimsOf(tokens)
	for range 50 {
		f.try("ada", "wrong password", "192.0.2.1")
	}
	if _, err := f.Me(t.Context(), claims); err != nil {
		t.Errorf("Me: %v", err)
	}
	f.mustRefresh(tokens.RefreshToken)
	if err := f.ChangePassword(t.Context(), claims, password, "another battery", auth.Client{Address: "192.0.2.2"}); err != nil {
		t.Errorf("ChangePassword: %v", err)
	}
	// Whoever has found an open laptop cannot guess at the password there.
	limited := 0
	for range 10 {
		err := f.ChangePassword(t.Context(), claims, "wrong password", "yet another battery", auth.Client{})
		var limit *auth.LimitError
		if errors.As(err, &limit) {
			limited++
		} else if !errors.Is(err, auth.ErrInvalidCredentials) {
			t.Fatal(err)
		}
	}
	if limited != 5 {
		t.Errorf("%d of 10 guesses were limited, want 5", limited)
	}
}

func TestMadeUpRefreshTokensAreLimited(t *testing.T) {
	f := newFixture(t, limits)
	f.addAda()
	tokens := f.mustLogin("ada", password)
	limited := 0
	for i := range 40 {
		_, err := f.Refresh(t.Context(), fmt.Sprint("garbage", i), auth.Client{Address: "192.0.2.1"})
		var limit *auth.LimitError
		if errors.As(err, &limit) {
			limited++
		}
	}
	if limited != 10 {
		t.Errorf("%d of 40 were limited, want 10", limited)
	}
	if _, err := f.Refresh(t.Context(), tokens.RefreshToken, auth.Client{Address: "192.0.2.2"}); err != nil {
		t.Errorf("somebody else: %v", err)
	}
}

// What people type must not be found in the store, and limits survive a restart.
func TestLimitsSurviveAndTellNothing(t *testing.T) {
	path := tempDatabase(t)
	f := fixtureOn(t, path, limits)
	f.addAda()
	for range 6 {
		f.try("my secret password", "x", "203.0.113.77")
	}
	other := reopen(t, f, path)
	l := auth.DefaultLimits
	other.Limits = &l
	_, err := other.Login(t.Context(), auth.LoginRequest{Username: "my secret password", Password: "x", Client: auth.Client{}})
	var limit *auth.LimitError
	if !errors.As(err, &limit) {
		t.Errorf("another process: %v, want a LimitError", err)
	}
	for _, canary := range []string{"secret password"} {
		wantAbsent(t, path, canary)
	}
}

func TestLimitsFaultIsNoPass(t *testing.T) {
	broken := &faulty{}
	f := newFixture(t, limits, withStore(broken))
	f.addAda()
	broken.fault = func(op string) error {
		if op == "Counts" {
			return fmt.Errorf("%w: locked", auth.ErrUnavailable)
		}
		return nil
	}
	if _, err := f.login("ada", password); !errors.Is(err, auth.ErrUnavailable) {
		t.Errorf("got %v, want ErrUnavailable", err)
	}
}

// TestGuessesAtOnce sends a hundred guesses in the same moment, through two
// processes, to an account whose free failures are used up: each process checks
// one, and the right password is found by none of the others.
func TestGuessesAtOnce(t *testing.T) {
	path := tempDatabase(t)
	f := fixtureOn(t, path, limits)
	f.addAda()
	other := reopen(t, f, path)
	l := auth.DefaultLimits
	other.Limits = &l
	for range 5 {
		f.try("ada", "wrong password", "")
	}
	for round := range 5 { // by the first, one failure has faded: that burst is free
		f.clock.Advance(16 * time.Minute)
		var checked atomic.Int32
		var wg sync.WaitGroup
		for i := range 100 {
			service := f.Service
			if i%2 == 1 {
				service = other
			}
			wg.Go(func() {
				_, err := service.Login(t.Context(), auth.LoginRequest{Username: "ada", Password: "wrong password"})
				var limit *auth.LimitError
				switch {
				case errors.Is(err, auth.ErrInvalidCredentials):
					checked.Add(1)
				case !errors.As(err, &limit):
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if n := checked.Load(); round > 0 && (n < 1 || n > 2) {
			t.Errorf("round %d: %d guesses were checked, want one for each process at most", round, n)
		}
	}
}

// TestBurstsStayWithinTheLimits sends a hundred attempts in the same moment at
// what nobody has tried yet: no more are looked at than if they came one by one.
func TestBurstsStayWithinTheLimits(t *testing.T) {
	for name, c := range map[string]struct {
		attempt func(f *fixture, i int) error
		want    int // looked at
	}{
		"guesses at an account": {func(f *fixture, _ int) error {
			_, err := f.login("ada", "wrong password")
			return err
		}, 5},
		"guesses from an address": {func(f *fixture, i int) error {
			_, err := f.Login(f.t.Context(), auth.LoginRequest{Username: fmt.Sprint("ada", i), Password: "wrong password", Client: auth.Client{Address: "192.0.2.1"}})
			return err
		}, 30},
		"codes": {func(f *fixture, _ int) error {
			return f.VerifyAddress(f.t.Context(), auth.TicketRequest{Email: "new@example.com", Code: "AAAA-AAAA"})
		}, 5},
		"recovery": {func(f *fixture, _ int) error {
			return f.ForgotPassword(f.t.Context(), "ada@example.com", auth.Client{})
		}, 5},
		"registration": {func(f *fixture, _ int) error {
			_, err := f.Register(f.t.Context(), auth.RegisterRequest{Email: "crowd@example.com", Password: password})
			return err
		}, 5},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, limits, open(&mailbox{}))
			f.addAda()
			f.register("new@example.com", otherPassword)
			var looked atomic.Int32
			var wg sync.WaitGroup
			for i := range 100 {
				wg.Go(func() {
					err := c.attempt(f, i)
					if limit := (*auth.LimitError)(nil); !errors.As(err, &limit) {
						looked.Add(1)
					}
				})
			}
			wg.Wait()
			if got := int(looked.Load()); got != c.want {
				t.Errorf("%d were looked at, want %d", got, c.want)
			}
		})
	}
}

// TestOneAccountAtOnce: many who log in to the same account at once, with the
// right password, all get in, though no more than the limit are looked at at a time.
func TestOneAccountAtOnce(t *testing.T) {
	f := newFixture(t, limits)
	f.addAda()
	for range 4 { // one more failure, and one has to wait
		f.try("ada", "wrong password", "")
	}
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			if _, err := f.login("ada", password); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}

// TestStandingByIsBounded: whoever cannot be looked at yet waits, but not for
// long, and not in any number.
func TestStandingByIsBounded(t *testing.T) {
	f := newFixture(t, limits)
	f.addAda()
	held := make(chan struct{})
	f.Hasher.Run = func(hash func()) { <-held; hash() }
	var turnedAway, inside atomic.Int32
	var wg, turned sync.WaitGroup
	turned.Add(100 - 5 - 64)
	for range 100 {
		wg.Go(func() {
			_, err := f.login("ada", password)
			var limit *auth.LimitError
			switch {
			case errors.As(err, &limit):
				turnedAway.Add(1)
				turned.Done()
			case err == nil:
				inside.Add(1)
			default:
				t.Error(err)
			}
		})
	}
	turned.Wait() // while nobody gets any further
	close(held)
	wg.Wait()
	if turnedAway.Load() != 31 || inside.Load() != 69 {
		t.Errorf("%d were turned away and %d let in, want 31 and 69", turnedAway.Load(), inside.Load())
	}
}

// TestWhoStandsByMayLeave: a client that is gone does not hold a place.
func TestWhoStandsByMayLeave(t *testing.T) {
	f := newFixture(t, limits)
	f.addAda()
	for range 4 {
		f.try("ada", "wrong password", "")
	}
	held, entered := make(chan struct{}), make(chan struct{})
	f.Hasher.Run = func(hash func()) { close(entered); <-held; hash() }
	var wg sync.WaitGroup
	wg.Go(func() {
		if _, err := f.login("ada", password); err != nil {
			t.Error(err)
		}
	})
	<-entered
	ctx, hangUp := context.WithCancel(t.Context())
	hangUp()
	_, err := f.Login(ctx, auth.LoginRequest{Username: "ada", Password: password})
	if limit := (*auth.LimitError)(nil); !errors.As(err, &limit) {
		t.Errorf("got %v, want a limit", err)
	}
	close(held)
	wg.Wait()
}

// TestOthersGuessesDoNotKeepTheOwnerAtHomeOut: where the user is signed in, others'
// failures do not count; whoever guesses there has a count of their own.
func TestOthersGuessesDoNotKeepTheOwnerAtHomeOut(t *testing.T) {
	for name, c := range map[string]struct{ home, owner string }{
		"the same address":   {"192.0.2.1", "192.0.2.1"},
		"the same network":   {"2001:db8:1:2::1", "2001:db8:1:2:ffff::9"},
		"somewhere else":     {"192.0.2.1", "192.0.2.2"},
		"no address, no way": {"", ""},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, limits)
			f.addAda()
			if wait, err := f.try("ada", password, c.home); wait > 0 || err != nil {
				t.Fatal(wait, err)
			}
			for i := range 10 {
				f.try("ada", "wrong password", fmt.Sprint("198.51.100.", i))
			}
			wait, err := f.try("ada", password, c.owner)
			if atHome := strings.HasPrefix(name, "the same"); err != nil || (wait == 0) != atHome {
				t.Fatalf("got %v, %v", wait, err)
			} else if !atHome {
				return
			}
			checked := 0
			for range 10 {
				if _, err := f.try("ada", "wrong password", c.owner); err != nil {
					checked++
				}
			}
			if checked != 5 {
				t.Errorf("%d guesses were checked at home, want 5", checked)
			}
		})
	}
}

// TestHomeEndsWithTheSession: neither an ended session nor an expired one keeps a
// network known.
func TestHomeEndsWithTheSession(t *testing.T) {
	for name, end := range map[string]func(*fixture, auth.Tokens) error{
		"logout": func(f *fixture, tokens auth.Tokens) error {
			return f.Logout(f.t.Context(), f.claimsOf(tokens), auth.LogoutAll, auth.Client{})
		},
		"this session alone": func(f *fixture, tokens auth.Tokens) error {
			return f.Logout(f.t.Context(), f.claimsOf(tokens), auth.LogoutThis, auth.Client{})
		},
		"idle": func(f *fixture, _ auth.Tokens) error { f.clock.Advance(31 * 24 * time.Hour); return nil },
	} {
		f := newFixture(t, limits)
		f.addAda()
		tokens, err := f.Login(t.Context(), auth.LoginRequest{Username: "ada", Password: password, Client: auth.Client{Address: "192.0.2.1"}})
		if err == nil {
			err = end(f, tokens)
		}
		if err != nil {
			t.Fatal(err)
		}
		for range 10 {
			f.try("ada", "wrong password", "198.51.100.1")
		}
		if wait, err := f.try("ada", password, "192.0.2.1"); wait == 0 {
			t.Errorf("%s: the network is known still (%v)", name, err)
		}
	}
}

// TestHangingUpCounts: a client that is gone when its guess has been checked is
// counted, and recorded, like others.
func TestHangingUpCounts(t *testing.T) {
	f := newFixture(t, limits, open(&mailbox{}))
	f.addAda()
	f.register("ada@example.com", otherPassword) // a wrong guess costs a second hash now
	before, checked := len(f.events()), 0
	for range 20 {
		ctx, hangUp := context.WithCancel(t.Context())
		f.Hasher.Run = func(hash func()) { hash(); hangUp() }
		_, err := f.Login(ctx, auth.LoginRequest{Username: "ada@example.com", Password: "a wrong guess", Client: auth.Client{Address: "192.0.2.1"}})
		var limit *auth.LimitError
		if !errors.As(err, &limit) {
			checked++
		}
		hangUp()
	}
	if free := auth.DefaultLimits.Account.Free; checked > free {
		t.Errorf("%d guesses were checked, want %d at most", checked, free)
	}
	if recorded := len(f.events()) - before; recorded != 20 {
		t.Errorf("%d of 20 guesses were recorded", recorded)
	}
}

// TestClockSetBack: nobody waits longer for it than the longest wait.
func TestClockSetBack(t *testing.T) {
	f := newFixture(t, limits)
	f.addAda()
	f.clock.Advance(365 * 24 * time.Hour)
	for range 5 {
		f.try("ada", "wrong password", "192.0.2.1")
	}
	f.clock.Advance(-365 * 24 * time.Hour)
	if wait, _ := f.try("ada", password, "192.0.2.9"); wait > auth.DefaultLimits.Account.Longest {
		t.Errorf("the owner waits %v", wait)
	}
	g := newFixture(t, limits)
	g.addAda()
	g.try("ada", "wrong password", "192.0.2.1")
	g.clock.Advance(-24 * time.Hour)
	g.try("ada", "wrong password", "192.0.2.1")
	if wait, _ := g.try("ada", "wrong password", "192.0.2.9"); wait > 0 {
		t.Errorf("after two failures the owner waits %v", wait)
	}
}

// TestMadeUpTokensCountAtTheLogout, too, which is never refused for it.
func TestMadeUpTokensCountAtTheLogout(t *testing.T) {
	f := newFixture(t, limits)
	f.addAda()
	c := auth.Client{Address: "192.0.2.1"}
	tokens := f.mustLogin("ada", password)
	id, _, _ := strings.Cut(tokens.RefreshToken, ".")
	madeUp := id + "." + strings.Repeat("A", 43)
	var limit *auth.LimitError
	for range auth.DefaultLimits.Address.Free {
		if err := f.LogoutByRefreshToken(t.Context(), madeUp, c); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := f.Refresh(t.Context(), madeUp, c); !errors.As(err, &limit) {
		t.Errorf("a made-up token to refresh by: %v, want a LimitError", err)
	}
	if err := f.LogoutByRefreshToken(t.Context(), tokens.RefreshToken, c); err != nil {
		t.Errorf("the good one: %v", err)
	}
	if _, err := f.Refresh(t.Context(), tokens.RefreshToken, auth.Client{}); !errors.Is(err, auth.ErrInvalidToken) {
		t.Errorf("after the logout: %v, want ErrInvalidToken", err)
	}
}

// TestOthersFailuresAtTheAddressBlockNoOwner: who is signed in, and who holds a link,
// gets through all the same.
func TestOthersFailuresAtTheAddressBlockNoOwner(t *testing.T) {
	f := newFixture(t, limits, open(&mailbox{}))
	f.addAda()
	office := auth.Client{Address: "192.0.2.1"}
	claims := f.claimsOf(f.mustLogin("ada", password))
	for i := range 40 {
		f.try(fmt.Sprint("user", i), "wrong password", office.Address)
	}
	if wait, _ := f.try("bob", password, office.Address); wait == 0 {
		t.Fatal("the address is not limited; the test shows nothing")
	}
	if err := f.ChangePassword(t.Context(), claims, password, otherPassword, office); err != nil {
		t.Errorf("who is signed in: %v", err)
	}
	f.mails()
	link := token(t, f.forgot("ada@example.com"))
	if err := f.ResetPassword(t.Context(), auth.TicketRequest{Token: link, Client: office}, password); err != nil {
		t.Errorf("who holds a link: %v", err)
	}
}

// TestRegistrationsDoNotShowByTheWorkOfLogins: a wrong password for an address costs
// the same whatever there is of it.
func TestRegistrationsDoNotShowByTheWorkOfLogins(t *testing.T) {
	f := newFixture(t, open(&mailbox{}))
	f.addAda()
	f.register("pending@example.com", otherPassword)
	f.add(auth.NewUser{Username: "bob", Email: "bob@example.com", Password: password})
	f.register("bob@example.com", otherPassword)
	for _, email := range []string{"ada@example.com", "bob@example.com", "pending@example.com", "nobody@example.com"} {
		hashes := 0
		f.Hasher.Run = func(hash func()) { hashes++; hash() }
		if _, err := f.login(email, "a wrong password"); !errors.Is(err, auth.ErrInvalidCredentials) {
			t.Errorf("%s: %v", email, err)
		}
		if hashes != 2 {
			t.Errorf("%s: %d hashes, want 2", email, hashes)
		}
	}
}
