package auth_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/latchkey-auth/latchkey/internal/attempt"
	"github.com/latchkey-auth/latchkey/internal/auth"
	"github.com/latchkey-auth/latchkey/internal/limit"
	"github.com/latchkey-auth/latchkey/internal/message"
	"github.com/latchkey-auth/latchkey/internal/storage"
)

func limits(c *auth.Config) { l := attempt.DefaultLimits; c.Limits = &l }

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

// exhaust has strangers use up what is free at an account, and its reserve.
func (f *fixture) exhaust(name string) {
	f.t.Helper()
	tries := 0
	for i := range 40 {
		if wait, _ := f.try(name, "wrong password", fmt.Sprint("203.0.113.", i)); wait == 0 {
			tries++
		}
	}
	if want := attempt.DefaultLimits.Total.Free + attempt.DefaultLimits.Reserve.Free; tries != want {
		f.t.Fatalf("%d tries were looked at, want %d", tries, want)
	}
}

// Whoever guesses at once is stopped before the tenth time, for an account that
// exists as for one that does not, and however its name is spelled. Many networks get the
// reserve on top, and no more.
func TestGuessingIsSlowedDown(t *testing.T) {
	for name, spellings := range map[string][]string{
		"a user":     {"ada", "ADA", "Ada@Example.com", "ada@example.com", "\uff41da"},
		"a stranger": {"nobody", "NOBODY", "\uff4eobody"},
		"no name":    {"not a name at all", "not a name at all"},
	} {
		for addresses, want := range map[string]int{"192.0.2.1": 5, "2001:db8:1:%x::1": 5, "192.0.2.%d": 25, "2001:db8:%x::1": 25} {
			f := newFixture(t, limits)
			f.addAda()
			refused, limited := 0, 0
			for i := range 40 {
				address := addresses
				if strings.Contains(address, "%") {
					address = fmt.Sprintf(address, i)
				}
				wait, err := f.try(spellings[i%len(spellings)], "wrong password", address)
				switch {
				case wait > 0:
					limited++
				case errors.Is(err, auth.ErrInvalidCredentials) && limited == 0:
					refused++
				default:
					t.Fatalf("%s: try %d: %v, %v", name, i, wait, err)
				}
			}
			if refused != want {
				t.Errorf("%s from %s: %d tries were checked, want %d", name, addresses, refused, want)
			}
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
		if err != nil || (wait-want).Abs() > time.Millisecond { // moments of one service differ by a microsecond
			t.Fatalf("wait %v, %v; want %v", wait, err, want)
		}
		// Too soon, even with the right password: nothing is checked.
		f.clock.Advance(wait - time.Second)
		if wait, err := f.try("ada", password, ""); err != nil || wait < time.Second/2 || wait > 3*time.Second/2 {
			t.Fatalf("a moment too soon: %v, %v", wait, err)
		}
		f.clock.Advance(time.Second + time.Millisecond)
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
	f.clock.Advance(8 * time.Hour)
	for range 5 {
		if _, err := f.try("ada", "wrong password", ""); !errors.Is(err, auth.ErrInvalidCredentials) {
			t.Errorf("when all is forgotten: %v", err)
		}
	}
}

// TestADayOfGuessing: a day of guessing at one account gets about a hundred tries, from
// one network as from any number of them.
func TestADayOfGuessing(t *testing.T) {
	for networks, most := range map[int]int{1: 65, 1000: 110} {
		f := newFixture(t, limits)
		f.addAda()
		tries := 0
		for minute := range 24 * 60 {
			for tried := true; tried; {
				tried = false
				wait, err := f.try("ada", "wrong password", fmt.Sprintf("2001:db8:%x::1", (minute+tries)%networks))
				if errors.Is(err, auth.ErrInvalidCredentials) {
					tries, tried = tries+1, true
				} else if wait == 0 {
					t.Fatal(err)
				}
			}
			f.clock.Advance(time.Minute)
		}
		if tries > most || tries < most/2 {
			t.Errorf("%d networks get %d tries in a day, want about %d", networks, tries, most)
		}
	}
}

// TestStrangersDoNotSpendTheOwnersTries: while strangers from fewer networks than the
// reserve poll for days, the owner gets in at once, from a network that is new each time.
func TestStrangersDoNotSpendTheOwnersTries(t *testing.T) {
	f := newFixture(t, limits)
	f.addAda()
	for hour := range 30 {
		f.clock.Advance(time.Hour)
		for n := range 19 {
			f.try("ada", "wrong password", fmt.Sprint("198.51.100.", n))
		}
		if wait, err := f.try("ada", password, fmt.Sprint("192.0.2.", hour)); wait > 0 || err != nil {
			t.Fatalf("hour %d: the owner waits %v, %v", hour, wait, err)
		}
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

// Clients whose address is unknown share the limits of one client: not to know it
// must not be a way past them. What they do is no other's.
func TestUnknownAddressesAreOneClient(t *testing.T) {
	f := newFixture(t, limits)
	f.addAda()
	limited := 0
	for i := range 40 {
		if wait, _ := f.try(fmt.Sprint("user", i), "wrong password", ""); wait > 0 {
			limited++
		}
	}
	if limited != 10 {
		t.Errorf("%d of 40 tries at as many accounts were limited, want 10", limited)
	}
	if wait, err := f.try("ada", password, "192.0.2.2"); wait != 0 || err != nil {
		t.Errorf("a client with an address: %v, %v", wait, err)
	}
}

// Made-up tokens count for the unknown client, too.
func TestMadeUpTokensFromUnknownAddressesAreLimited(t *testing.T) {
	f := newFixture(t, limits)
	limited := 0
	for range 20 {
		_, err := f.Refresh(t.Context(), "made.up", auth.Client{})
		var limit *auth.LimitError
		if errors.As(err, &limit) {
			limited++
		}
	}
	if limited < 10 {
		t.Errorf("%d of 20 were limited", limited)
	}
}

// An unknown address is no network from which anybody is known: a login there
// spares nobody who comes after it the failures of others.
func TestUnknownAddressIsNoKnownNetwork(t *testing.T) {
	f := newFixture(t, limits)
	f.addAda()
	if _, err := f.try("ada", password, ""); err != nil {
		t.Fatal(err)
	}
	f.exhaust("ada")
	if wait, err := f.try("ada", password, ""); wait == 0 {
		t.Errorf("a login from the unknown address goes past the limit: %v", err)
	}
}

// A client of IPv6 has a network of addresses.
func TestOneNetworkManyAddresses(t *testing.T) {
	for addresses, want := range map[string]int{"2001:db8:1:2::%x": 10, "2001:db8:1:%x::1": 3, "2001:db8:%x::1": 0, "::ffff:192.0.2.%d": 0} {
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

// TestWiderNetworksCount: of IPv6 a site has a /56 or a /48, and every /64 of it is one
// client. Failures, made-up tokens and requests for mail count for the wider networks,
// with wider limits.
func TestWiderNetworksCount(t *testing.T) {
	const inEach = 1 // of each /64
	for addresses, percent := range map[string]int{
		"2001:db8:1:2%02x::1": 125, // of one /56
		"2001:db8:1:%x00::1":  150, // of one /48, each in a /56 of its own
		"2001:db8:%x::1":      0,   // each in a /48 of its own
	} {
		for kind, c := range map[string]struct {
			free    int
			attempt func(f *fixture, i int, c auth.Client) error
		}{
			"logins": {30, func(f *fixture, i int, c auth.Client) error {
				_, err := f.Login(t.Context(), auth.LoginRequest{Username: fmt.Sprint("user", i), Password: "wrong password", Client: c})
				return err
			}},
			"tokens": {8, func(f *fixture, i int, c auth.Client) error {
				_, err := f.Refresh(t.Context(), "made.up", c)
				return err
			}},
			"mail": {30, func(f *fixture, i int, c auth.Client) error {
				return f.ForgotPassword(t.Context(), fmt.Sprint("user", i, "@example.com"), c)
			}},
		} {
			f := newFixture(t, limits, open(&mailbox{}), func(c *auth.Config) { c.Limits.Alarm = limit.Limit{} })
			const attempts = 60
			looked := 0
			for i := range attempts {
				if !isLimit(c.attempt(f, i, auth.Client{Address: fmt.Sprintf(addresses, i/inEach)})) {
					looked++
				}
			}
			want := attempts
			if percent > 0 {
				want = c.free * percent / 100
			}
			if looked != want {
				t.Errorf("%s from %s: %d of %d were looked at, want %d", kind, addresses, looked, attempts, want)
			}
			if err := c.attempt(f, attempts, auth.Client{Address: "2001:db8:ffff::1"}); isLimit(err) {
				t.Errorf("%s from another network than %s: %v", kind, addresses, err)
			}
		}
	}
}

// TestWiderNetworksForget faster than a /64: one of a /48 that goes on failing, held to
// its own limit, does not use it up.
func TestWiderNetworksForget(t *testing.T) {
	f := newFixture(t, limits)
	f.addAda()
	for i := range 360 { // three hours
		f.try(fmt.Sprint("user", i), "wrong password", "2001:db8:1:1000::1")
		f.clock.Advance(30 * time.Second)
	}
	if wait, err := f.try("ada", password, "2001:db8:1:3::1"); wait > 0 || err != nil {
		t.Errorf("a neighbour: %v, %v", wait, err)
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

// What nobody was given is refused before the tenth time in a row. What was given
// gets through from the same address.
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
	if limited != 32 {
		t.Errorf("%d of 40 were limited, want 32", limited)
	}
	for _, address := range []string{"192.0.2.1", "192.0.2.2"} {
		var err error
		if tokens, err = f.Refresh(t.Context(), tokens.RefreshToken, auth.Client{Address: address}); err != nil {
			t.Errorf("a good one from %s: %v", address, err)
		}
	}
	if wait, err := f.try("ada", password, "192.0.2.1"); wait > 0 || err != nil {
		t.Errorf("a login from there: %v, %v", wait, err)
	}
}

// Nor can anybody ask for ever where there are no registrations.
func TestRefusedRegistrationsAreLimited(t *testing.T) {
	f := newFixture(t, limits)
	for i := range 10 {
		_, err := f.Register(t.Context(), auth.RegisterRequest{Email: "ada@example.com", Password: password, Client: auth.Client{Address: "192.0.2.1"}})
		if isLimit(err) != (i >= 8) || i < 8 && !errors.Is(err, auth.ErrRegistrationClosed) {
			t.Fatalf("request %d: %v", i, err)
		}
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
	other := reopen(t, f, path, limits)
	_, err := other.Login(t.Context(), auth.LoginRequest{Username: "my secret password", Password: "x", Client: auth.Client{Address: "203.0.113.77"}})
	var limit *auth.LimitError
	if !errors.As(err, &limit) {
		t.Errorf("another process: %v, want a LimitError", err)
	}
	for _, canary := range []string{"secret password"} {
		wantAbsent(t, path, canary)
	}
}

// TestLimitsFaultIsNoPass: a reservation that cannot be read or stored is an outage, before
// any hash is made: guesses that count nowhere are not answered.
func TestLimitsFaultIsNoPass(t *testing.T) {
	for _, operation := range []string{"Counts", "Take"} {
		broken := &faulty{}
		f := newFixture(t, limits, withStore(broken))
		f.addAda()
		hashes := 0
		hashBy(f.Hasher, func(hash func()) { hashes++; hash() })
		broken.fault = func(op string) error {
			if op == operation {
				return fmt.Errorf("%w: locked", storage.ErrUnavailable)
			}
			return nil
		}
		for _, guess := range []string{password, "wrong password"} {
			if _, err := f.login("ada", guess); !errors.Is(err, storage.ErrUnavailable) || hashes != 0 {
				t.Errorf("%s fails: got %v after %d hashes, want ErrUnavailable after none", operation, err, hashes)
			}
		}
	}
}

// TestGuessesAtOnce sends a hundred guesses in the same moment, through two
// processes, to an account whose free failures are used up: each process checks
// one, and the right password is found by none of the others.
func TestGuessesAtOnce(t *testing.T) {
	path := tempDatabase(t)
	f := fixtureOn(t, path, limits)
	f.addAda()
	other := reopen(t, f, path, limits)
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
			_, err := f.Register(f.t.Context(), auth.RegisterRequest{Email: "ada@example.org", Password: password})
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

// TestOneAccountAtOnce: fifty who log in to the same account at once, with the right
// password, all get in within 5 s, through one process or two, though no more are looked at
// at a time than could fail.
func TestOneAccountAtOnce(t *testing.T) {
	for _, c := range []struct {
		addresses string
		processes int
		most      int32
	}{
		{"192.0.2.1", 1, 5}, {"192.0.2.1", 2, 5}, {"192.0.2.%d", 1, 25}, {"192.0.2.%d", 2, 25},
	} {
		addresses, most := c.addresses, c.most
		path := tempDatabase(t)
		realTime := func(c *auth.Config) { c.Now = time.Now } // on a clock that stands still, takes of two processes are of one moment
		f := fixtureOn(t, path, limits, realTime)
		f.addAda()
		services := []*auth.Service{f.Service, reopen(t, f, path, limits, realTime)}[:c.processes]
		var looking, max atomic.Int32
		count := func(hash func()) {
			if n := looking.Add(1); n > max.Load() {
				max.Store(n)
			}
			hash()
			looking.Add(-1)
		}
		for _, s := range services {
			hashBy(s.Hasher, count)
		}
		began := time.Now()
		var wg sync.WaitGroup
		for i := range 50 {
			address := addresses
			if strings.Contains(address, "%") {
				address = fmt.Sprintf(address, i)
			}
			service := services[i%len(services)]
			wg.Go(func() {
				r := auth.LoginRequest{Username: "ada", Password: password, Client: auth.Client{Address: address}}
				if _, err := service.Login(t.Context(), r); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if took := time.Since(began); took > 5*time.Second {
			t.Errorf("from %s it took %v", addresses, took)
		}
		if max.Load() > most {
			t.Errorf("from %s %d were looked at at a time, want %d at most", addresses, max.Load(), most)
		}
	}
}

// TestWaitingIsBounded: an attempt that has no place yet waits, but not for long, and
// not in any number.
func TestWaitingIsBounded(t *testing.T) {
	const attempts = 700
	for name, c := range map[string]struct {
		address        string // of the nth
		looked, waited int
	}{
		"of one network": {"192.0.2.1", 5, 64},
		"unknown":        {"", 5, 64},
		"of anywhere":    {"2001:db8:%x::1", 25, 512},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFixture(t, limits)
				f.addAda()
				held := make(chan struct{})
				f.Hasher = newHasherOn(t, cheap, attempts) // the queue for a hash is another matter
				hashBy(f.Hasher, func(func()) { <-held })
				began := time.Now()
				var at, late atomic.Int32
				for i := range attempts {
					address := c.address
					if strings.Contains(address, "%") {
						address = fmt.Sprintf(address, i)
					}
					go func() {
						_, err := f.try("ada", password, address)
						switch {
						case err != nil:
						case time.Since(began) < time.Second: // to record it takes a while
							at.Add(1)
						case time.Since(began) >= 5*time.Second:
							late.Add(1)
						}
					}()
				}
				time.Sleep(2 * time.Second)
				if want := attempts - c.looked - c.waited; int(at.Load()) != want {
					t.Errorf("%d were turned away at once, want %d", at.Load(), want)
				}
				time.Sleep(10 * time.Second)
				if int(late.Load()) != c.waited {
					t.Errorf("%d had waited long enough, want %d", late.Load(), c.waited)
				}
				close(held)
				time.Sleep(time.Second)
			})
		})
	}
}

// TestWhoWaitsMayLeave: a client that is gone does not hold a place.
func TestWhoWaitsMayLeave(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, limits)
		f.addAda()
		held := make(chan struct{})
		hashBy(f.Hasher, func(func()) { <-held })
		for range 5 {
			go f.login("ada", password)
		}
		synctest.Wait()
		began := time.Now()
		ctx, hangUp := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, hangUp)
		_, err := f.Login(ctx, auth.LoginRequest{Username: "ada", Password: password})
		if !errors.Is(err, context.Canceled) || time.Since(began) < time.Second || time.Since(began) > 2*time.Second {
			t.Errorf("got %v after %v, want that it was cancelled after a second", err, time.Since(began))
		}
		close(held)
		time.Sleep(time.Second)
	})
}

// TestOneNetworkDoesNotFillTheQueue: whatever its clients do that costs a hash, and
// though nothing of it fails.
func TestOneNetworkDoesNotFillTheQueue(t *testing.T) {
	const atOnce = 16
	client := auth.Client{Address: "2001:db8::1"}
	for name, attempt := range map[string]func(f *fixture, name string) error{
		"login": func(f *fixture, name string) error {
			_, err := f.Login(f.t.Context(), auth.LoginRequest{Username: name, Password: password, Client: client})
			return err
		},
		"registration": func(f *fixture, name string) error {
			_, err := f.Register(f.t.Context(), auth.RegisterRequest{Email: name + "@example.com", Password: password, Client: client})
			return err
		},
		"change of password": func(f *fixture, name string) error {
			claims := f.claimsOf(f.tokens[name])
			return f.ChangePassword(f.t.Context(), claims, password, otherPassword, client)
		},
		"deletion": func(f *fixture, name string) error {
			return f.DeleteAccount(f.t.Context(), f.claimsOf(f.tokens[name]), password, client)
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFixture(t, limits, open(&mailbox{}), func(c *auth.Config) { c.Limits.Address.Free = 1000 })
				f.tokens = make(map[string]auth.Tokens)
				for i := range 40 {
					name := fmt.Sprint("user", i)
					f.add(auth.NewUser{Username: name, Password: password})
					f.tokens[name] = f.mustLogin(name, password)
				}
				f.Hasher = newHasher(t, cheap)
				var looking atomic.Int32
				held := make(chan struct{})
				hashBy(f.Hasher, func(hash func()) { <-held; hash() })
				for i := range 40 {
					looking.Add(1)
					go func() {
						defer looking.Add(-1)
						if err := attempt(f, fmt.Sprint("user", i)); err != nil {
							t.Error(err)
						}
					}()
				}
				time.Sleep(time.Second)
				if n := f.Hasher.Waiting(); n != atOnce {
					t.Errorf("%d are in the queue, want %d", n, atOnce)
				}
				close(held)
				time.Sleep(time.Second)
				if looking.Load() != 0 {
					t.Errorf("%d did not come to an end", looking.Load())
				}
			})
		})
	}
}

// TestOneLinkIsTriedOnceAtATime: a good link with good passwords costs a hash each.
func TestOneLinkIsTriedOnceAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, limits, open(&mailbox{}))
		f.addAda()
		if err := f.ForgotPassword(t.Context(), "ada@example.com", auth.Client{}); err != nil {
			t.Fatal(err)
		}
		_, ticket, _ := strings.Cut(f.mail(message.Reset, "ada@example.com").Link, "token=")
		held := make(chan struct{})
		hashBy(f.Hasher, func(hash func()) { <-held; hash() })
		var good, bad atomic.Int32
		for range 20 {
			go func() {
				switch err := f.ResetPassword(t.Context(), auth.TicketRequest{Token: ticket}, otherPassword); {
				case err == nil:
					good.Add(1)
				case errors.Is(err, auth.ErrInvalidTicket):
					bad.Add(1)
				}
			}()
		}
		time.Sleep(time.Second)
		if n := f.Hasher.Waiting(); n != 1 {
			t.Errorf("%d hashes are made for one link, want 1", n)
		}
		close(held)
		time.Sleep(10 * time.Second)
		if good.Load() != 1 || bad.Load() != 19 {
			t.Errorf("%d resets and %d refusals, want 1 and 19", good.Load(), bad.Load())
		}
	})
}

// TestABadHourIsForgotten: what has faded leaves room for many at a time again.
func TestABadHourIsForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, limits)
		f.addAda()
		for i := range 30 {
			f.try(fmt.Sprint("nobody", i), "wrong password", "192.0.2.1")
		}
		f.clock.Advance(24 * time.Hour)
		held := make(chan struct{})
		hashBy(f.Hasher, func(func()) { <-held })
		for i := range 10 {
			go f.try(fmt.Sprint("nobody", i), "wrong password", "192.0.2.1")
		}
		time.Sleep(time.Second)
		if n := f.Hasher.Waiting(); n != 10 {
			t.Errorf("%d are looked at at a time, want 10", n)
		}
		close(held)
		time.Sleep(time.Second)
	})
}

// TestOthersGuessesHoldUpNoKnownNetwork: where the user has logged in before,
// others' failures do not count; whoever guesses there has a count of their own.
func TestOthersGuessesHoldUpNoKnownNetwork(t *testing.T) {
	for name, c := range map[string]struct{ known, owner string }{
		"the same address":   {"192.0.2.1", "192.0.2.1"},
		"the same network":   {"2001:db8:1:2::1", "2001:db8:1:2:ffff::9"},
		"somewhere else":     {"192.0.2.1", "192.0.2.2"},
		"no address, no way": {"", ""},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, limits)
			f.addAda()
			if wait, err := f.try("ada", password, c.known); wait > 0 || err != nil {
				t.Fatal(wait, err)
			}
			f.exhaust("ada")
			wait, err := f.try("ada", password, c.owner)
			if known := strings.HasPrefix(name, "the same"); err != nil || (wait == 0) != known {
				t.Fatalf("got %v, %v", wait, err)
			} else if known && f.checked("ada", c.owner) != 5 {
				t.Error("guesses from a known network have no limit of their own")
			}
		})
	}
}

// TestNeighboursFailuresHoldUpNoKnownNetwork: forty wrong names from a network
// limit it, but not for an account that has logged in from there. That account has a
// limit of its own, and its failures count for the network.
func TestNeighboursFailuresHoldUpNoKnownNetwork(t *testing.T) {
	for _, there := range []string{"192.0.2.1", "2001:db8:1:2::1"} {
		f := newFixture(t, limits)
		f.addAda()
		f.add(auth.NewUser{Username: "bob", Password: password})
		if _, err := f.try("ada", password, there); err != nil {
			t.Fatal(err)
		}
		for i := range 40 {
			f.try(fmt.Sprint("user", i), "wrong password", there)
		}
		if wait, _ := f.try("bob", password, there); wait == 0 {
			t.Fatalf("%s is not limited; the test shows nothing", there)
		}
		if wait, err := f.try("ada", password, there); wait > 0 || err != nil {
			t.Errorf("the owner at %s: %v, %v", there, wait, err)
		}
		if n := f.checked("ada", there); n != 5 {
			t.Errorf("%s: %d guesses at the owner's account were looked at, want 5", there, n)
		}
		if n := f.checked("nobody", there); n != 0 {
			t.Errorf("%s: %d guesses at a name that nobody has were looked at, want none", there, n)
		}
	}
}

// TestFailuresFromAKnownNetworkCountForTheAddress: an account that is known there is no way to
// try others without end.
func TestFailuresFromAKnownNetworkCountForTheAddress(t *testing.T) {
	f := newFixture(t, limits, func(c *auth.Config) { c.Limits.Account.Free = 100 })
	f.addAda()
	f.add(auth.NewUser{Username: "bob", Password: password})
	if _, err := f.try("ada", password, "192.0.2.1"); err != nil {
		t.Fatal(err)
	}
	for range 40 {
		f.try("ada", "wrong password", "192.0.2.1")
	}
	if wait, _ := f.try("bob", password, "192.0.2.1"); wait == 0 {
		t.Error("the network is not limited by what fails at an account that knows it")
	}
}

// TestALoginCostsTheStoreTheSame, whoever is meant and whether that network is known.
func TestALoginCostsTheStoreTheSame(t *testing.T) {
	store := &faulty{}
	f := newFixture(t, limits, withStore(store))
	f.addAda()
	f.add(auth.NewUser{Username: "bob", Password: password})
	if _, err := f.try("ada", password, "192.0.2.1"); err != nil {
		t.Fatal(err)
	}
	costs := make(map[string]string)
	for _, name := range []string{"ada", "bob", "nobody"} {
		var done []string
		store.fault = func(operation string) error { done = append(done, operation); return nil }
		f.try(name, "wrong password", "192.0.2.1")
		costs[name] = strings.Join(done, " ")
	}
	if costs["ada"] != costs["bob"] || costs["ada"] != costs["nobody"] {
		t.Errorf("the operations of a wrong password differ: %v", costs)
	}
}

// checked is how many of ten guesses from an address are looked at.
func (f *fixture) checked(name, address string) int {
	f.t.Helper()
	n := 0
	for range 10 {
		if wait, _ := f.try(name, "wrong password", address); wait == 0 {
			n++
		}
	}
	return n
}

// TestKnownNetworksDoNotShowThere: whoever guesses only from a network that an account
// knows sees what a name that nobody has would give.
func TestKnownNetworksDoNotShowThere(t *testing.T) {
	f := newFixture(t, limits)
	f.addAda()
	if wait, err := f.try("ada", password, "192.0.2.1"); wait > 0 || err != nil {
		t.Fatal(wait, err)
	}
	for _, name := range []string{"ada", "ada@example.com", "nobody", "nobody@example.com"} {
		f.clock.Advance(48 * time.Hour)
		if n := f.checked(name, "192.0.2.1"); n != 5 {
			t.Errorf("%s: %d guesses were looked at, want 5", name, n)
		}
	}
}

// TestNetworksStayKnownAfterALogoutOfOthers, and none becomes known by it.
func TestNetworksStayKnownAfterALogoutOfOthers(t *testing.T) {
	for client, known := range map[string]bool{"192.0.2.1": true, "198.51.100.1": false} {
		f := newFixture(t, limits)
		f.addAda()
		if _, err := f.try("ada", password, "192.0.2.1"); err != nil {
			t.Fatal(err)
		}
		tokens := f.mustLogin("ada", password)
		if err := f.Logout(t.Context(), f.claimsOf(tokens), auth.LogoutOthers, auth.Client{Address: client}); err != nil {
			t.Fatal(err)
		}
		f.exhaust("ada")
		if wait, err := f.try("ada", password, client); err != nil || (wait == 0) != known {
			t.Errorf("from %s: got %v, %v; want known %v", client, wait, err, known)
		}
	}
}

// TestKnownNetworksEndWithAllSessions: the network of whoever had the old password is
// known no more, and the one where the new password was set is.
func TestKnownNetworksEndWithAllSessions(t *testing.T) {
	const thief, owner = "198.51.100.1", "192.0.2.1"
	for name, end := range map[string]func(*fixture, auth.Tokens) error{
		"a reset": func(f *fixture, _ auth.Tokens) error {
			if err := f.ForgotPassword(f.t.Context(), "ada@example.com", auth.Client{}); err != nil {
				return err
			}
			_, ticket, _ := strings.Cut(f.mail(message.Reset, "ada@example.com").Link, "token=")
			return f.ResetPassword(f.t.Context(), auth.TicketRequest{Token: ticket, Client: auth.Client{Address: owner}}, otherPassword)
		},
		"a change": func(f *fixture, tokens auth.Tokens) error {
			return f.ChangePassword(f.t.Context(), f.claimsOf(tokens), password, otherPassword, auth.Client{Address: owner})
		},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, limits, open(&mailbox{}))
			f.addAda()
			if _, err := f.try("ada", password, thief); err != nil {
				t.Fatal(err)
			}
			tokens := f.mustLogin("ada", password)
			if err := end(f, tokens); err != nil {
				t.Fatal(err)
			}
			f.exhaust("ada")
			if n := f.checked("ada", thief); n != 0 {
				t.Errorf("%d guesses were looked at where the old password was used, want none", n)
			}
			if wait, err := f.try("ada", otherPassword, owner); wait > 0 || err != nil {
				t.Errorf("the owner has to wait %v, %v", wait, err)
			}
		})
	}
}

// TestStrangersInANetworkHoldUpNobodyWithAProof who has proved something: neither by what
// fails nor by what does not.
func TestStrangersInANetworkHoldUpNobodyWithAProof(t *testing.T) {
	const there = "192.0.2.1"
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, limits, open(&mailbox{}))
		f.addAda()
		tokens := f.mustLogin("ada", password)
		if err := f.ForgotPassword(t.Context(), "ada@example.com", auth.Client{}); err != nil {
			t.Fatal(err)
		}
		_, ticket, _ := strings.Cut(f.mail(message.Reset, "ada@example.com").Link, "token=")
		held := make(chan struct{})
		hashBy(f.Hasher, func(hash func()) { <-held; hash() })
		for i := range 100 { // they fill their places, in flight and waiting
			go f.try(fmt.Sprint("nobody", i), "wrong password", there)
		}
		time.Sleep(time.Second)
		strangers := f.Hasher.Waiting()
		go func() {
			err := f.ChangePassword(t.Context(), f.claimsOf(tokens), "wrong", otherPassword, auth.Client{Address: there})
			if !errors.Is(err, auth.ErrInvalidCredentials) {
				t.Errorf("who is signed in: %v", err)
			}
		}()
		go func() {
			err := f.ResetPassword(t.Context(), auth.TicketRequest{Token: ticket, Client: auth.Client{Address: there}}, otherPassword)
			if err != nil {
				t.Errorf("who has a good link: %v", err)
			}
		}()
		time.Sleep(time.Second)
		if n := f.Hasher.Waiting() - strangers; n != 2 {
			t.Errorf("%d of two are looked at beside %d strangers", n, strangers)
		}
		close(held)
		time.Sleep(10 * time.Second)
	})
}

// TestBadLinksHoldNoPlace: they cost nothing, and are turned away at once when the
// address has failed too often.
func TestBadLinksHoldNoPlace(t *testing.T) {
	f := newFixture(t, limits, open(&mailbox{}))
	var wg sync.WaitGroup
	var refused, limited atomic.Int32
	for range 200 {
		wg.Go(func() {
			err := f.verifyFrom("192.0.2.1", "made.up"+strings.Repeat("A", 40))
			if limit := (*auth.LimitError)(nil); errors.As(err, &limit) {
				limited.Add(1)
			} else if errors.Is(err, auth.ErrInvalidTicket) {
				refused.Add(1)
			}
		})
	}
	wg.Wait()
	if refused.Load() != 8 || limited.Load() != 192 {
		t.Errorf("%d were refused and %d limited, want 8 and 192", refused.Load(), limited.Load())
	}
}

// verifyFrom presents a link from an address.
func (f *fixture) verifyFrom(address, token string) error {
	return f.VerifyAddress(f.t.Context(), auth.TicketRequest{Token: token, Client: auth.Client{Address: address}})
}

// TestKnownNetworksAreForgotten a month after the last login from there, and not before.
func TestKnownNetworksAreForgotten(t *testing.T) {
	f := newFixture(t, limits)
	f.addAda()
	login := func() time.Duration {
		t.Helper()
		wait, err := f.try("ada", password, "192.0.2.1")
		if err != nil {
			t.Fatal(err)
		}
		return wait
	}
	puts := &markCounter{Store: f.Store}
	f.Store = puts
	login()
	login()
	if puts.n != 1 {
		t.Errorf("two logins in a row mark the network %d times, want 1", puts.n)
	}
	for _, days := range []int{20, 25, 29, 31} {
		f.clock.Advance(time.Duration(days) * 24 * time.Hour)
		f.exhaust("ada")
		if kept := login() > 0; kept != (days > 30) {
			t.Errorf("after %d days: kept out? %v", days, kept)
		}
	}
}

// markCounter counts the marks that are stored.
type markCounter struct {
	storage.Store
	n int
}

func (c *markCounter) Commit(ctx context.Context, changes ...storage.Change) error {
	for _, change := range changes {
		if _, ok := change.(storage.PutMark); ok {
			c.n++
		}
	}
	return c.Store.Commit(ctx, changes...)
}

// TestAResetGetsThroughWhileOthersGuessOn: the new password's free failures are
// used up at once, but not where it was set.
func TestAResetGetsThroughWhileOthersGuessOn(t *testing.T) {
	f := newFixture(t, limits, open(&mailbox{}))
	f.addAda()
	f.exhaust("ada")
	if err := f.ForgotPassword(t.Context(), "ada@example.com", auth.Client{}); err != nil {
		t.Fatal(err)
	}
	_, ticket, _ := strings.Cut(f.mail(message.Reset, "ada@example.com").Link, "token=")
	owner := auth.Client{Address: "192.0.2.1"}
	if err := f.ResetPassword(t.Context(), auth.TicketRequest{Token: ticket, Client: owner}, otherPassword); err != nil {
		t.Fatal(err)
	}
	f.exhaust("ada")
	if wait, err := f.try("ada", otherPassword, owner.Address); wait > 0 || err != nil {
		t.Errorf("the owner has to wait %v, %v", wait, err)
	}
}

// TestARegistrationIsNoWayToGuess: somebody may register the address of an account
// with a password to be tried, and log in with it.
func TestARegistrationIsNoWayToGuess(t *testing.T) {
	f := newFixture(t, limits, open(&mailbox{}))
	f.addAda()
	f.register("ada@example.com", otherPassword)
	looked := 0
	for range 10 {
		_, err := f.login("ada@example.com", otherPassword)
		if errors.Is(err, auth.ErrEmailNotVerified) {
			looked++
		}
	}
	if looked != 5 {
		t.Errorf("%d were looked at, want 5", looked)
	}
}

// TestNoticesAreLimited: whoever has proved the password cannot have us send any
// number of mails.
func TestNoticesAreLimited(t *testing.T) {
	f := newFixture(t, limits, open(&mailbox{}))
	f.addAda()
	tokens := f.mustLogin("ada", password)
	passwords := []string{password, otherPassword}
	changed := 0
	for i := range 10 {
		err := f.ChangePassword(t.Context(), f.claimsOf(tokens), passwords[changed%2], passwords[(changed+1)%2], auth.Client{})
		if err == nil {
			changed++
		} else if limit := (*auth.LimitError)(nil); !errors.As(err, &limit) {
			t.Fatalf("change %d: %v", i, err)
		}
	}
	if err := f.ChangeEmail(t.Context(), f.claimsOf(tokens), passwords[changed%2], "new@example.com", auth.Client{}); err == nil {
		t.Error("a change of address, which tells as well, is let through")
	}
	if mails := f.mails(); changed != 5 || len(mails) != 5 {
		t.Errorf("%d changes and %d mails, want 5", changed, len(mails))
	}
	if _, err := f.login("ada", passwords[changed%2]); err != nil {
		t.Errorf("the changes do not keep anybody from logging in: %v", err)
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
		hashBy(f.Hasher, func(hash func()) { hash(); hangUp() })
		_, err := f.Login(ctx, auth.LoginRequest{Username: "ada@example.com", Password: "a wrong guess", Client: auth.Client{Address: "192.0.2.1"}})
		var limit *auth.LimitError
		if !errors.As(err, &limit) {
			checked++
		}
		hangUp()
	}
	if free := attempt.DefaultLimits.Account.Free; checked > free {
		t.Errorf("%d guesses were checked, want %d at most", checked, free)
	}
	if err := f.RecordRepeats(t.Context(), true); err != nil {
		t.Fatal(err)
	}
	recorded := 0
	for _, e := range f.events()[before:] {
		recorded += int(e.Count)
	}
	if recorded != 20 {
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
	if wait, _ := f.try("ada", password, "192.0.2.9"); wait > attempt.DefaultLimits.Account.Longest {
		t.Errorf("the owner waits %v", wait)
	}
	f.clock.Advance(time.Minute)
	if wait, err := f.try("ada", password, "192.0.2.9"); wait > 0 || err != nil {
		t.Errorf("a minute later the owner waits %v, %v", wait, err)
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
	for range attempt.DefaultLimits.Unissued.Free {
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
		hashBy(f.Hasher, func(hash func()) { hashes++; hash() })
		if _, err := f.login(email, "a wrong password"); !errors.Is(err, auth.ErrInvalidCredentials) {
			t.Errorf("%s: %v", email, err)
		}
		if hashes != 2 {
			t.Errorf("%s: %d hashes, want 2", email, hashes)
		}
	}
}
