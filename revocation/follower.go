package revocation

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/latchkey-auth/latchkey"
)

// A Mode says how tokens are checked.
type Mode string

const (
	Off    Mode = "off"    // not at all: tokens live until they expire
	Feed   Mode = "feed"   // by what was read within the interval
	Strict Mode = "strict" // by a look-up for each check
)

// Defaults of [Config].
const (
	DefaultInterval   = 10 * time.Second
	DefaultMaxStale   = 5 * time.Minute
	DefaultMaxEntries = 50_000
)

const (
	// lookTimeout bounds a look with all its pages, and lookUpTimeout a look-up.
	lookTimeout   = 5 * time.Second
	lookUpTimeout = 3 * time.Second
	// firstPause is before a look that failed is tried again; it doubles up to the
	// interval.
	firstPause = time.Second
	// listAgain is how long there are look-ups in place of the list that was too long.
	listAgain = time.Hour
	// forgetEvery is how often what has expired is dropped.
	forgetEvery = time.Minute
)

// Config is what a Follower needs.
type Config struct {
	Source Source // required unless Mode is Off
	Mode   Mode   // "": Feed
	// Interval is the longest that a revocation stays unknown: 1 s to 1 h; 0 is 10 s.
	Interval time.Duration
	// MaxStale is how long what is known counts while the source cannot be read: from
	// Interval to 24 h; 0 is 5 minutes, or Interval where that is more.
	MaxStale time.Duration
	// MaxEntries is how many revocations are held, 200 bytes each at most; 0 is 50,000.
	// Where there are more each token is looked up, once per interval.
	MaxEntries int

	Log *slog.Logger     // nil: nothing is logged
	Now func() time.Time // nil: time.Now
}

// A Follower knows which tokens have ended. It may be used concurrently. It reads its
// source for those who call it, and has no goroutine of its own: Lambda would freeze it.
type Follower struct {
	cfg Config

	mu     sync.RWMutex  // guards what follows
	known  *set          // nil: nothing was read yet, or there is too much
	since  time.Time     // known does not tell of tokens that were issued before
	cursor string        // where the next look begins
	looked time.Time     // when the last look began that succeeded; zero: none has
	rested time.Time     // what pause counts from
	pause  time.Duration // until the next look
	err    error         // of the last look
	failed int           // how many looks have failed since
	// tooMany: tokens are looked up.
	tooMany bool
	flight  chan struct{} // closed when the look that is under way ends; nil: none is
	forgot  time.Time     // when known was swept last

	seen *lookUps
}

// New checks the configuration and returns a Follower. It reads nothing yet.
func New(cfg Config) (*Follower, error) {
	cfg.Mode = cmp.Or(cfg.Mode, Feed)
	cfg.Interval = cmp.Or(cfg.Interval, DefaultInterval)
	cfg.MaxStale = cmp.Or(cfg.MaxStale, max(DefaultMaxStale, cfg.Interval))
	cfg.MaxEntries = cmp.Or(cfg.MaxEntries, DefaultMaxEntries)
	switch {
	case cfg.Mode != Off && cfg.Mode != Feed && cfg.Mode != Strict:
		return nil, fmt.Errorf("revocation: mode %q must be off, feed or strict", cfg.Mode)
	case cfg.Mode != Off && cfg.Source == nil:
		return nil, errors.New("revocation: source must be set")
	case cfg.Interval < time.Second || cfg.Interval > time.Hour:
		return nil, fmt.Errorf("revocation: interval %v must be 1s to 1h", cfg.Interval)
	case cfg.MaxStale < cfg.Interval || cfg.MaxStale > 24*time.Hour:
		return nil, fmt.Errorf("revocation: what is known must count for the interval (%v) to 24h, not %v", cfg.Interval, cfg.MaxStale)
	case cfg.MaxEntries < 1:
		return nil, fmt.Errorf("revocation: entries %d must be 1 or more", cfg.MaxEntries)
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	return &Follower{cfg: cfg, seen: newLookUps()}, nil
}

// Bound is how long after a revocation was stored a token still passes Check at most,
// while the source can be read. Negative: until it expires.
func (f *Follower) Bound() time.Duration {
	switch f.cfg.Mode {
	case Off:
		return -1
	case Strict:
		return 0
	}
	return f.cfg.Interval
}

// Check returns nil for a token that has not ended, an error that matches
// [latchkey.ErrInvalidToken] for one that has, and any other error when nobody can tell.
// The claims are those of a token that was verified. Other issuers' tokens pass: their
// issuer ends them.
func (f *Follower) Check(ctx context.Context, c latchkey.Claims) error {
	if f.cfg.Mode == Off || c.IssuerName != "" {
		return nil
	}
	if f.cfg.Mode == Strict {
		return f.lookUp(ctx, &c)
	}
	now := f.cfg.Now()
	ended, covered, current := f.judge(&c, now)
	if !current {
		if err := f.follow(ctx, now); err != nil {
			return err
		}
		ended, covered, _ = f.judge(&c, now)
	}
	switch {
	case ended:
		return errEnded
	case covered:
		return nil
	}
	return f.lookUpSeldom(ctx, &c, now)
}

// judge says what is known of the token: whether it has ended, whether that covers
// tokens of its age, and whether it is no older than the interval.
func (f *Follower) judge(c *latchkey.Claims, now time.Time) (ended, covered, current bool) {
	f.mu.RLock()
	defer f.mu.RUnlock()
	current = f.err == nil && !f.due(now)
	if f.known == nil {
		return false, false, current
	}
	return f.known.ends(c), c.IssuedAt.After(f.since), current
}

// due needs mu held.
func (f *Follower) due(now time.Time) bool { return elapsed(f.rested, now) >= f.pause }

// elapsed is how much time has passed by the clock that says more: the one that only
// grows stands still while a machine is suspended, the other can be set back.
func elapsed(then, now time.Time) time.Duration {
	return max(now.Sub(then), now.Round(0).Sub(then.Round(0)))
}

// follow has the source read when it is time. It returns an error when nothing is known
// that still counts.
func (f *Follower) follow(ctx context.Context, now time.Time) error {
	f.mu.Lock()
	for f.flight != nil {
		if f.counts(now) && (f.tooMany || f.failed > 0) { // the one who looks may wait for nothing
			f.mu.Unlock()
			return nil
		}
		flight := f.flight
		f.mu.Unlock()
		select {
		case <-flight:
		case <-ctx.Done():
			return fmt.Errorf("reading revocations: %w", ctx.Err())
		}
		f.mu.Lock()
	}
	defer f.mu.Unlock()
	if f.due(now) {
		f.look(ctx, now)
	}
	if f.counts(now) {
		return nil
	}
	return fmt.Errorf("reading revocations: %w", f.err)
}

// counts reports whether tokens can be judged. It needs mu held.
func (f *Follower) counts(now time.Time) bool {
	return f.tooMany || !f.looked.IsZero() && elapsed(f.looked, now) <= f.cfg.MaxStale
}

// look reads what has ended since the look before, as the only one, and goes on when
// the caller is gone: others wait for it. It needs mu held, and lets go of it while it
// reads.
func (f *Follower) look(ctx context.Context, began time.Time) {
	flight := make(chan struct{})
	f.flight = flight
	l := look{cursor: f.cursor, err: errors.New("the source panicked")}
	defer func() {
		if l.err == nil {
			l.err = f.take(&l)
		}
		f.conclude(began, &l)
		f.flight = nil
		close(flight)
	}()
	f.mu.Unlock()
	defer f.mu.Lock()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lookTimeout)
	defer cancel()
	l.err = l.read(ctx, f.cfg.Source, f.cfg.MaxEntries)
}

// A look is one at the source: a page, or several.
type look struct {
	cursor string
	since  time.Time // of the last page
	all    []Revocation
	err    error
}

func (l *look) read(ctx context.Context, from Source, most int) error {
	for {
		page, err := from.Revocations(ctx, l.cursor)
		switch {
		case err != nil:
			return err
		case page.More && page.Next == l.cursor:
			return errors.New("the list does not go on")
		}
		l.cursor, l.since, l.all = page.Next, page.Since, append(l.all, page.Revocations...)
		switch {
		case len(l.all) > most:
			return ErrTooMany
		case !page.More:
			return nil
		}
	}
}

// take takes in what a look has read, all or nothing. It needs mu held.
func (f *Follower) take(l *look) error {
	for _, r := range l.all {
		if r.SessionID == "" && r.UserID == "" {
			return errors.New("a revocation names neither session nor user")
		}
		if r.ExpiresAt.IsZero() { // it would be forgotten at once
			return errors.New("a revocation has no end")
		}
	}
	if f.known == nil {
		f.known = newSet()
	}
	f.since = l.since.Add(Overlap) // what ended before may be forgotten by now
	for _, r := range l.all {
		f.known.add(r)
	}
	if now := f.cfg.Now(); f.known.size > f.cfg.MaxEntries || elapsed(f.forgot, now) >= forgetEvery {
		f.known.forget(now)
		f.forgot = now
	}
	if f.known.size > f.cfg.MaxEntries {
		return ErrTooMany
	}
	return nil
}

// conclude stores how a look ended. It needs mu held.
func (f *Follower) conclude(began time.Time, l *look) {
	switch {
	case errors.Is(l.err, ErrTooMany):
		f.cfg.Log.Warn("too many revocations to hold: each token is looked up", slog.Int("most", f.cfg.MaxEntries))
		f.tooMany, f.known, f.cursor = true, nil, ""
		f.err, f.failed = nil, 0
		f.rested, f.pause = began, listAgain
	case l.err != nil:
		f.cfg.Log.Warn("revocations could not be read", slog.String("error", l.err.Error()), slog.Time("known_of", f.looked))
		f.err = l.err
		f.rested, f.pause = f.cfg.Now(), min(f.cfg.Interval, firstPause<<min(f.failed, 10))
		f.failed++
	default:
		if f.failed > 0 {
			f.cfg.Log.Info("revocations are read again", slog.Int("failures", f.failed))
		}
		f.tooMany, f.cursor, f.looked = false, l.cursor, began
		f.err, f.failed = nil, 0
		f.rested, f.pause = began, f.cfg.Interval
	}
}

func (f *Follower) lookUp(ctx context.Context, c *latchkey.Claims) error {
	ctx, cancel := context.WithTimeout(ctx, lookUpTimeout)
	defer cancel()
	ended, err := f.cfg.Source.Ended(ctx, *c)
	switch {
	case err != nil:
		return fmt.Errorf("looking up whether the token has ended: %w", err)
	case ended:
		return errEnded
	}
	return nil
}

// lookUpSeldom looks the token up once per interval.
func (f *Follower) lookUpSeldom(ctx context.Context, c *latchkey.Claims, now time.Time) error {
	key := keyOf(c)
	before, known := f.seen.get(key)
	if known && (before.ended || elapsed(before.at, now) < f.cfg.Interval) {
		return before.verdict()
	}
	err := f.lookUp(ctx, c)
	switch {
	case err == nil, errors.Is(err, errEnded):
		f.seen.put(key, lookedUp{now, err != nil})
	case known && elapsed(before.at, now) <= f.cfg.MaxStale:
		return before.verdict()
	}
	return err
}
