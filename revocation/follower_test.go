package revocation_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/latchkey-auth/latchkey"
	"github.com/latchkey-auth/latchkey/revocation"
)

// A list is a source that holds what has ended, as a store does: in the order of its
// times, and readable from a time on.
type list struct {
	mu       sync.Mutex
	all      []revocation.Revocation
	ended    map[string]bool // by session, for look-ups
	err      error           // of all reads
	pageSize int             // 0: all on one page
	life     time.Duration   // 0: 24 h
	behind   time.Duration   // how far the clock of the store is behind
	looks    int             // first pages that were read
	pages    int
	lookUps  int
	hold     chan struct{} // nil: reads do not wait
}

func (l *list) add(all ...revocation.Revocation) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, r := range all {
		if r.ExpiresAt.IsZero() {
			r.ExpiresAt = r.Time.Add(24 * time.Hour)
		}
		l.all = append(l.all, r)
	}
}

func (l *list) fail(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.err = err
}

func (l *list) counts() (looks, pages, lookUps int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.looks, l.pages, l.lookUps
}

// Revocations has places of the form "since" and, within a look, "since+number".
func (l *list) Revocations(ctx context.Context, after string) (revocation.Page, error) {
	l.mu.Lock()
	hold := l.hold
	now := time.Now().Add(-l.behind)
	life := l.life
	if life == 0 {
		life = 24 * time.Hour
	}
	page := revocation.Page{Since: now.Add(-life)}
	from, skip := page.Since.UnixMicro(), 0
	if after != "" {
		if _, err := fmt.Sscanf(after, "%d+%d", &from, &skip); err != nil {
			l.mu.Unlock()
			return page, err
		}
	}
	if skip == 0 {
		l.looks++
	}
	l.pages++
	var found []revocation.Revocation
	for _, r := range l.all {
		if r.Time.UnixMicro() >= from {
			found = append(found, r)
		}
	}
	err := l.err
	l.mu.Unlock()
	if hold != nil {
		select {
		case <-hold:
		case <-ctx.Done():
			return page, ctx.Err()
		}
	}
	if err != nil {
		return page, err
	}
	size := l.pageSize
	if size == 0 {
		size = len(found) + 1
	}
	end := min(skip+size, len(found))
	page.Revocations = found[skip:end]
	page.More = end < len(found)
	page.Next = fmt.Sprintf("%d+%d", now.Add(-revocation.Overlap).UnixMicro(), 0)
	if page.More {
		page.Next = fmt.Sprintf("%d+%d", from, end)
	}
	return page, nil
}

func (l *list) Ended(_ context.Context, c latchkey.Claims) (bool, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lookUps++
	return l.ended[c.SessionID], l.err
}

func follow(t *testing.T, l *list, change ...func(*revocation.Config)) *revocation.Follower {
	t.Helper()
	cfg := revocation.Config{Source: l, Log: slog.New(slog.NewTextHandler(t.Output(), nil))}
	for _, c := range change {
		c(&cfg)
	}
	f, err := revocation.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func strict(c *revocation.Config) { c.Mode = revocation.Strict }

// token is one of user u and session s that was issued a minute ago.
func token(change ...func(*latchkey.Claims)) latchkey.Claims {
	now := time.Now()
	c := latchkey.Claims{Subject: "u", SessionID: "s", Epoch: 3, Rights: 2, IssuedAt: now.Add(-time.Minute), ExpiresAt: now.Add(time.Hour)}
	for _, f := range change {
		f(&c)
	}
	return c
}

func wantAlive(t *testing.T, saying string, f *revocation.Follower, c latchkey.Claims) {
	t.Helper()
	if err := f.Check(t.Context(), c); err != nil {
		t.Errorf("%s: got %v, want a token that goes on", saying, err)
	}
}

func wantEnded(t *testing.T, saying string, f *revocation.Follower, c latchkey.Claims) {
	t.Helper()
	if err := f.Check(t.Context(), c); !errors.Is(err, latchkey.ErrInvalidToken) {
		t.Errorf("%s: got %v, want a token that has ended", saying, err)
	}
}

func wantOutage(t *testing.T, saying string, f *revocation.Follower, c latchkey.Claims) {
	t.Helper()
	if err := f.Check(t.Context(), c); err == nil || errors.Is(err, latchkey.ErrInvalidToken) {
		t.Errorf("%s: got %v, want an outage", saying, err)
	}
}

var errAway = errors.New("the source is away")

// TestWithinTheInterval: what was stored is heeded by every check that begins an
// interval later, and no check reads more often.
func TestWithinTheInterval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &list{}
		f := follow(t, l)
		wantAlive(t, "at first", f, token())
		time.Sleep(time.Second)
		l.add(revocation.Revocation{Time: time.Now(), UserID: "u", SessionID: "s"})
		for range 8 {
			wantAlive(t, "within the interval", f, token())
			time.Sleep(time.Second)
		}
		time.Sleep(2 * time.Second)
		wantEnded(t, "an interval later", f, token())
		if looks, _, lookUps := l.counts(); looks != 2 || lookUps != 0 {
			t.Errorf("%d looks, %d look-ups; want 2 and none", looks, lookUps)
		}
	})
}

// TestAfterAFreeze: a function that was frozen for hours reads before it judges.
func TestAfterAFreeze(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &list{}
		f := follow(t, l)
		wantAlive(t, "before", f, token())
		time.Sleep(time.Minute)
		l.add(revocation.Revocation{Time: time.Now(), UserID: "u", SessionID: "s"})
		time.Sleep(5 * time.Hour)
		l.add(revocation.Revocation{Time: time.Now(), UserID: "v", Epoch: 4})
		of := func(c *latchkey.Claims) { c.Subject, c.SessionID = "v", "t" }
		wantEnded(t, "what ended when it was frozen", f, token())
		wantEnded(t, "what ended right before", f, token(of))
		time.Sleep(72 * time.Hour)
		wantAlive(t, "a new session, days later", f, token(func(c *latchkey.Claims) { c.SessionID = "new" }))
	})
}

// TestTheWallClockAlone: times that have no monotonic reading are as good. What a
// suspended machine does to the other clock cannot be made here.
func TestTheWallClockAlone(t *testing.T) {
	l := &list{}
	wall := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	f := follow(t, l, func(c *revocation.Config) { c.Now = func() time.Time { return wall } })
	c := token(func(c *latchkey.Claims) { c.IssuedAt = time.Now().Add(-time.Minute) })
	wantAlive(t, "before", f, c)
	l.add(revocation.Revocation{Time: time.Now(), SessionID: "s"})
	wall = wall.Add(11 * time.Second)
	wantEnded(t, "after", f, c)
}

// TestLateCommitsAndOtherClocks: what is stored within the overlap after its own time is
// not missed, also when another process stored it.
func TestLateCommitsAndOtherClocks(t *testing.T) {
	for name, late := range map[string]time.Duration{"on time": 0, "a commit that took its time": 9 * time.Second, "a clock that is behind": 49 * time.Second, "a clock that is ahead": -50 * time.Second} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := &list{}
				f := follow(t, l)
				for n := range 12 { // two writers by turns, over and over
					wantAlive(t, "before", f, token(func(c *latchkey.Claims) { c.SessionID = fmt.Sprint("late", n) }))
					time.Sleep(7 * time.Second)
					l.add(revocation.Revocation{Time: time.Now().Add(-late), SessionID: fmt.Sprint("late", n), UserID: "u"})
					l.add(revocation.Revocation{Time: time.Now(), SessionID: fmt.Sprint("prompt", n), UserID: "u"})
					time.Sleep(10 * time.Second)
					for _, id := range []string{"late", "prompt"} {
						wantEnded(t, id, f, token(func(c *latchkey.Claims) { c.SessionID = fmt.Sprint(id, n) }))
					}
				}
			})
		})
	}
}

// TestTheClockOfTheStoreIsAnother: places are of its clock, not of ours.
func TestTheClockOfTheStoreIsAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &list{behind: 20 * time.Minute}
		f := follow(t, l)
		wantAlive(t, "before", f, token())
		time.Sleep(5 * time.Second)
		l.add(revocation.Revocation{Time: time.Now().Add(-l.behind), SessionID: "s"})
		time.Sleep(10 * time.Second)
		wantEnded(t, "after", f, token())
	})
}

// TestColdStart: what ended within the longest life is known at once; an older token is
// looked up.
func TestColdStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &list{pageSize: 3, ended: map[string]bool{"gone": true}}
		for n := range 20 {
			l.add(revocation.Revocation{Time: time.Now().Add(-time.Duration(20-n) * time.Hour), SessionID: fmt.Sprint("s", n), UserID: "u"})
		}
		f := follow(t, l)
		for n := range 20 {
			wantEnded(t, fmt.Sprint("s", n), f, token(func(c *latchkey.Claims) { c.SessionID = fmt.Sprint("s", n) }))
		}
		wantAlive(t, "another", f, token())
		if looks, pages, lookUps := l.counts(); looks != 1 || pages != 7 || lookUps != 0 {
			t.Errorf("%d looks of %d pages, %d look-ups; want 1, 7 and none", looks, pages, lookUps)
		}
		old := func(session string) latchkey.Claims {
			return token(func(c *latchkey.Claims) {
				c.SessionID, c.IssuedAt = session, time.Now().Add(-25*time.Hour)
			})
		}
		for range 3 {
			wantAlive(t, "an old token", f, old("s"))
			wantEnded(t, "an old token that has ended", f, old("gone"))
		}
		if _, _, lookUps := l.counts(); lookUps != 2 {
			t.Errorf("%d look-ups, want one for each old token", lookUps)
		}
	})
}

// TestNothingCanBeReadAtFirst is no reason to let anybody in, nor to throw tokens away.
func TestNothingCanBeReadAtFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &list{err: errAway}
		f := follow(t, l)
		for range 100 {
			wantOutage(t, "away", f, token())
		}
		if looks, _, _ := l.counts(); looks != 1 {
			t.Errorf("%d looks at once, want 1", looks)
		}
		l.fail(nil)
		time.Sleep(time.Second)
		wantAlive(t, "back", f, token())
	})
}

// TestHalfAListIsNone: a cold start whose second page is lost knows nothing.
func TestHalfAListIsNone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &list{pageSize: 1}
		l.add(revocation.Revocation{Time: time.Now(), SessionID: "a"}, revocation.Revocation{Time: time.Now(), SessionID: "s"})
		f := follow(t, &list{})
		lost := follow(t, l, func(c *revocation.Config) { c.Source = &secondIsLost{Source: l} })
		wantOutage(t, "half", lost, token())
		time.Sleep(time.Second)
		wantEnded(t, "whole", lost, token())
		wantAlive(t, "another source", f, token())
	})
}

type secondIsLost struct {
	revocation.Source
	reads int
}

func (s *secondIsLost) Revocations(ctx context.Context, after string) (revocation.Page, error) {
	if s.reads++; s.reads == 2 {
		return revocation.Page{}, errAway
	}
	return s.Source.Revocations(ctx, after)
}

// TestOutage: what is known counts until it is too old, and then nobody gets in.
func TestOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &list{}
		l.add(revocation.Revocation{Time: time.Now(), SessionID: "gone"})
		f := follow(t, l, func(c *revocation.Config) { c.MaxStale = time.Minute })
		wantAlive(t, "before", f, token())
		began := time.Now()
		l.fail(errAway)
		for time.Since(began) <= time.Minute {
			wantAlive(t, fmt.Sprint("after ", time.Since(began)), f, token())
			wantEnded(t, "what is known", f, token(func(c *latchkey.Claims) { c.SessionID = "gone" }))
			time.Sleep(time.Second)
		}
		wantOutage(t, "too old", f, token())
		wantOutage(t, "too old, for what is known to have ended too", f, token(func(c *latchkey.Claims) { c.SessionID = "gone" }))
		if looks, _, _ := l.counts(); looks > 12 {
			t.Errorf("%d looks in a minute of outage, want about one each interval", looks)
		}
		l.add(revocation.Revocation{Time: began.Add(30 * time.Second), SessionID: "s"})
		l.fail(nil)
		time.Sleep(10 * time.Second)
		wantEnded(t, "what ended in the outage", f, token())
		wantAlive(t, "back", f, token(func(c *latchkey.Claims) { c.SessionID = "other" }))
	})
}

// TestOneLooksForAll: fifty callers, one look. They wait for it when what is known is
// older than the interval, and do not when the source is away.
func TestOneLooksForAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &list{}
		f := follow(t, l)
		wantAlive(t, "at first", f, token())
		l.hold = make(chan struct{})
		l.add(revocation.Revocation{Time: time.Now(), SessionID: "s"})
		time.Sleep(10 * time.Second)
		var wg sync.WaitGroup
		for range 50 {
			wg.Go(func() { wantEnded(t, "who waits", f, token()) })
		}
		synctest.Wait()
		gone, cancel := context.WithCancel(t.Context())
		cancel()
		if err := f.Check(gone, token()); !errors.Is(err, context.Canceled) {
			t.Errorf("who hangs up: got %v", err)
		}
		close(l.hold)
		wg.Wait()
		if looks, _, _ := l.counts(); looks != 2 {
			t.Errorf("%d looks, want 2", looks)
		}
		l.fail(errAway)
		time.Sleep(10 * time.Second)
		wantEnded(t, "the first failure", f, token())
		l.hold = make(chan struct{})
		time.Sleep(10 * time.Second)
		wg.Go(func() { wantEnded(t, "who looks in vain", f, token()) })
		synctest.Wait()
		began := time.Now()
		wantEnded(t, "who does not wait for an outage", f, token())
		if waited := time.Since(began); waited != 0 {
			t.Errorf("waited %v", waited)
		}
		close(l.hold)
		wg.Wait()
	})
}

// TestTheOneWhoLooksHangsUp: others wait for the look, which goes on.
func TestTheOneWhoLooksHangsUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &list{hold: make(chan struct{})}
		f := follow(t, l)
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() { _ = f.Check(ctx, token()) })
		synctest.Wait()
		wg.Go(func() { wantAlive(t, "who waits", f, token()) })
		synctest.Wait()
		cancel()
		close(l.hold)
		wg.Wait()
		if looks, _, _ := l.counts(); looks != 1 {
			t.Errorf("%d looks, want 1", looks)
		}
	})
}

// TestASilentSource is given up after 5 s.
func TestASilentSource(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := follow(t, &list{hold: make(chan struct{})})
		began := time.Now()
		wantOutage(t, "silent", f, token())
		if waited := time.Since(began); waited != 5*time.Second {
			t.Errorf("waited %v, want 5s", waited)
		}
	})
}

// TestAPanicOfTheSource leaves nobody waiting.
func TestAPanicOfTheSource(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &list{}
		f := follow(t, l, func(c *revocation.Config) { c.Source = &panics{l} })
		func() {
			defer func() {
				if recover() == nil {
					t.Error("the panic is swallowed")
				}
			}()
			_ = f.Check(t.Context(), token())
		}()
		wantOutage(t, "after it", f, token())
	})
}

type panics struct{ *list }

func (panics) Revocations(context.Context, string) (revocation.Page, error) { panic("no") }

// TestTooManyToHold: each token is looked up, once per interval, until the list fits.
func TestTooManyToHold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &list{pageSize: 10, ended: map[string]bool{"s7": true}}
		for n := range 101 {
			l.add(revocation.Revocation{Time: time.Now().Add(-time.Hour), SessionID: fmt.Sprint("s", n)})
		}
		f := follow(t, l, func(c *revocation.Config) { c.MaxEntries = 100 })
		for range 3 {
			wantAlive(t, "a token", f, token())
			wantEnded(t, "one that has ended", f, token(func(c *latchkey.Claims) { c.SessionID = "s7" }))
		}
		if looks, pages, lookUps := l.counts(); looks != 1 || pages != 11 || lookUps != 2 {
			t.Errorf("%d looks of %d pages, %d look-ups; want 1, 11 and 2", looks, pages, lookUps)
		}
		time.Sleep(10 * time.Second)
		l.ended["s"] = true
		wantEnded(t, "an interval later", f, token())
		l.fail(errAway)
		wantOutage(t, "a token that was never looked up", f, token(func(c *latchkey.Claims) { c.SessionID = "t" }))
		wantEnded(t, "one that has ended, in an outage", f, token())
		l.fail(nil)
		l.mu.Lock()
		l.all, l.ended = l.all[:50], nil
		l.mu.Unlock()
		time.Sleep(time.Hour)
		_, _, before := l.counts()
		wantAlive(t, "listed again", f, token())
		wantEnded(t, "listed again, one that has ended", f, token(func(c *latchkey.Claims) { c.SessionID = "s7" }))
		if _, _, lookUps := l.counts(); lookUps != before {
			t.Errorf("%d look-ups of a list that fits", lookUps-before)
		}
	})
}

// TestAnOutageOfLookUps: a token that was good a moment ago stays so until what is known
// is too old.
func TestAnOutageOfLookUps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &list{life: time.Second}
		f := follow(t, l)
		c := token()
		wantAlive(t, "before", f, c)
		l.fail(errAway)
		time.Sleep(4 * time.Minute)
		wantAlive(t, "in the outage", f, c)
		time.Sleep(2 * time.Minute)
		wantOutage(t, "too long", f, c)
	})
}

// TestStrict looks every token up, each time.
func TestStrict(t *testing.T) {
	l := &list{ended: map[string]bool{}}
	f := follow(t, l, strict)
	wantAlive(t, "at first", f, token())
	l.ended["s"] = true
	wantEnded(t, "at once", f, token())
	l.fail(errAway)
	wantOutage(t, "an outage", f, token())
	if looks, _, lookUps := l.counts(); looks != 0 || lookUps != 3 {
		t.Errorf("%d looks and %d look-ups, want 0 and 3", looks, lookUps)
	}
}

// TestOffAndOtherIssuers ask nobody.
func TestOffAndOtherIssuers(t *testing.T) {
	l := &list{err: errAway}
	wantAlive(t, "another issuer's", follow(t, l), token(func(c *latchkey.Claims) { c.IssuerName = "other" }))
	wantAlive(t, "another issuer's, strictly", follow(t, l, strict), token(func(c *latchkey.Claims) { c.IssuerName = "other" }))
	off, err := revocation.New(revocation.Config{Mode: revocation.Off})
	if err != nil {
		t.Fatal(err)
	}
	wantAlive(t, "off", off, token())
	if looks, _, lookUps := l.counts(); looks+lookUps != 0 {
		t.Errorf("%d looks and %d look-ups", looks, lookUps)
	}
	for want, f := range map[time.Duration]*revocation.Follower{-1: off, 0: follow(t, l, strict), 10 * time.Second: follow(t, l)} {
		if got := f.Bound(); got != want {
			t.Errorf("the bound is %v, want %v", got, want)
		}
	}
}

func TestABrokenListIsAnOutage(t *testing.T) {
	for name, page := range map[string]revocation.Page{
		"it does not go on":                     {More: true},
		"a revocation of nothing in particular": {Revocations: []revocation.Revocation{{Epoch: 1}}},
	} {
		t.Run(name, func(t *testing.T) {
			l := &list{}
			f := follow(t, l, func(c *revocation.Config) { c.Source = &fixed{l, page} })
			wantOutage(t, name, f, token())
		})
	}
}

type fixed struct {
	*list
	page revocation.Page
}

func (f *fixed) Revocations(context.Context, string) (revocation.Page, error) { return f.page, nil }

func TestNewRefuses(t *testing.T) {
	for want, cfg := range map[string]revocation.Config{
		"source must be set":          {},
		"must be off, feed or strict": {Source: &list{}, Mode: "on"},
		"must be 1s to 1h":            {Source: &list{}, Interval: time.Millisecond},
		"must count for the interval": {Source: &list{}, Interval: time.Minute, MaxStale: time.Second},
		"entries":                     {Source: &list{}, MaxEntries: -1},
	} {
		if _, err := revocation.New(cfg); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
	if _, err := revocation.New(revocation.Config{Source: &list{}, Interval: 10 * time.Minute}); err != nil {
		t.Errorf("a long interval alone: %v", err)
	}
}
