// Package jwks fetches the key sets of issuers for [latchkey.Verifier].
//
//	keys, err := jwks.Discover("https://issuer.example.com", jwks.Config{})
//
// An attacker who can change a key set can sign tokens. One who can choose its
// address can make this program send requests to other servers. So a set is
// fetched by https from public addresses alone, without redirects, within 1.5 seconds and 64 KiB,
// and from no address that stands in a token.
//
// A set is fetched when it is first asked for a key, and again before it goes
// stale. Tokens that name unknown keys have it fetched earlier, once a minute at
// most. While its issuer is away the last set serves for an hour; after that
// verification fails, not as an invalid token but as an outage.
package jwks

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/latchkey-auth/latchkey"
	"github.com/latchkey-auth/latchkey/internal/fetch"
)

const (
	// unknownInterval is the least time between two fetches for the sake of keys
	// that the set does not have: a flood of made-up key ids is no flood of fetches.
	unknownInterval = time.Minute
	// retryInterval is the least time between any two fetches.
	retryInterval = 10 * time.Second
)

// Config says how a set is fetched and how long it serves. The zero value is
// good for issuers on the internet.
type Config struct {
	// AllowPrivate lets the set come from addresses that are not public, as of
	// an issuer in the same network, and by http where the host is this machine.
	AllowPrivate bool

	// MaxAge is how long a set is fresh at most, also where the Cache-Control of its
	// answer allows more: a minute to a day; 0 is one hour. A set whose answer says
	// nothing is fresh for five minutes. The next one is fetched when three
	// quarters of the time are over.
	MaxAge time.Duration
	// StaleFor is how long a set serves beyond that while its issuer is away: a
	// day at most; 0 is one hour, a negative one no time at all. A key that is
	// withdrawn meanwhile lives on for so long.
	StaleFor time.Duration

	// Snapshot is a key set that serves from the start, so that a cold start
	// needs no network; [Set.Snapshot] makes one. It counts as fetched when the
	// Set is made, and as fresh for a minute.
	Snapshot []byte
	// Inline makes a refresh part of the call that finds it due. Without it a
	// goroutine does it. For programs that are frozen between calls, as on Lambda.
	Inline bool

	// Fetch sends the requests; nil is a client of the package's own, by HTTP/1.1. With
	// a client of yours (httpauth.Fetch) the addresses that it dials, its proxies and its
	// certificates are your affair: none of its addresses is checked.
	Fetch fetch.Func
	// Log gets a line for the skipped keys of each set, and for each fetch that
	// fails while an old set serves; nil: nothing is logged.
	Log *slog.Logger
	Now func() time.Time // nil: time.Now
}

// A Set is a [latchkey.KeySet] that is fetched. It may be used concurrently; all
// who need a fetch at the same time share one.
type Set struct {
	cfg    Config
	issuer string // whose discovery names the URL; empty: the URL is given

	mu        sync.Mutex // guards what follows
	keys      *latchkey.StaticKeySet
	doc       string        // that keys are from
	fetchedAt time.Time     // zero: never
	fresh     time.Duration // since fetchedAt
	triedAt   time.Time     // the last fetch, also one that failed
	askedAt   time.Time     // the last fetch for an unknown key
	err       error         // of the last fetch
	said      string        // what was logged last
	fetching  chan struct{} // closed when the fetch under way ends; nil: there is none

	url string // of the set; empty: not discovered. The fetch under way owns it.
}

var _ latchkey.KeySet = (*Set)(nil)

// Remote returns the key set at the URL. It fetches nothing yet.
func Remote(url string, cfg Config) (*Set, error) {
	if err := checkURL(url, cfg.AllowPrivate); err != nil {
		return nil, fmt.Errorf("key set URL: %w", err)
	}
	return newSet(&Set{cfg: cfg, url: url})
}

// Discover returns the key set that the issuer's discovery document names, the
// one at /.well-known/openid-configuration below the issuer (OpenID Connect
// Discovery 1.0). It fetches nothing yet. The document must say the very issuer
// that is asked for.
func Discover(issuer string, cfg Config) (*Set, error) {
	if err := checkURL(issuer, cfg.AllowPrivate); err != nil {
		return nil, fmt.Errorf("issuer: %w", err)
	}
	if strings.Contains(issuer, "?") {
		return nil, errors.New("issuer: must have no query (OpenID Connect Discovery 1.0 section 4)")
	}
	return newSet(&Set{cfg: cfg, issuer: issuer})
}

func newSet(s *Set) (*Set, error) {
	c := &s.cfg
	c.MaxAge = cmp.Or(c.MaxAge, time.Hour)
	c.StaleFor = cmp.Or(c.StaleFor, time.Hour)
	const day = 24 * time.Hour
	if c.MaxAge < minFresh || c.MaxAge > day || c.StaleFor > day {
		return nil, fmt.Errorf("MaxAge %s must be %s to %s, StaleFor %s at most %s", c.MaxAge, minFresh, day, c.StaleFor, day)
	}
	c.StaleFor = max(c.StaleFor, 0)
	if c.Fetch == nil {
		c.Fetch = newFetch(c.AllowPrivate)
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Snapshot != nil {
		keys, err := latchkey.ParseJWKS(c.Snapshot)
		if err != nil {
			return nil, fmt.Errorf("snapshot: %w", err)
		}
		s.keys, s.doc, s.fetchedAt, s.fresh = keys, string(c.Snapshot), c.Now(), minFresh
	}
	return s, nil
}

// Key returns the key, fetching the set where that is needed and allowed.
func (s *Set) Key(ctx context.Context, id string, alg latchkey.Algorithm) (*latchkey.Key, error) {
	keys, err := s.current(ctx, false)
	if err != nil {
		return nil, err
	}
	key, err := keys.Key(ctx, id, alg)
	if !errors.Is(err, latchkey.ErrKeyNotFound) {
		return key, err
	}
	// The set may have got the key since it was fetched.
	if keys, err = s.current(ctx, true); err != nil {
		return nil, err
	}
	return keys.Key(ctx, id, alg)
}

// Snapshot returns the set as a document for [Config.Snapshot], fetching it
// where that is needed.
func (s *Set) Snapshot(ctx context.Context) ([]byte, error) {
	keys, err := s.current(ctx, false)
	if err != nil {
		return nil, err
	}
	return keys.JWKS(), nil
}

// current returns the set. One that cannot be used is waited for, an old one is
// refreshed behind the caller's back unless Config.Inline says otherwise; unknown
// asks to wait for any fetch that may be made now.
func (s *Set) current(ctx context.Context, unknown bool) (*latchkey.StaticKeySet, error) {
	s.mu.Lock()
	now := s.cfg.Now()
	age := elapsed(s.fetchedAt, now)
	usable := s.usable(now)
	due := !usable || age >= s.fresh*3/4
	asked := unknown && elapsed(s.askedAt, now) >= unknownInterval
	if s.fetching == nil && (due || asked) && elapsed(s.triedAt, now) >= retryInterval {
		s.triedAt, s.fetching = now, make(chan struct{})
		if unknown {
			s.askedAt = now
		}
		// The fetch serves others too: it must not end with this caller.
		go s.fetch(context.WithoutCancel(ctx))
	}
	keys, fetching, err := s.keys, s.fetching, s.err
	s.mu.Unlock()
	if usable && (fetching == nil || !unknown && !s.cfg.Inline) {
		return keys, nil
	}
	if fetching == nil {
		return nil, fmt.Errorf("key set is not available: %w", err)
	}
	select {
	case <-fetching:
	case <-ctx.Done():
		return nil, fmt.Errorf("waiting for the key set: %w", ctx.Err())
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.usable(s.cfg.Now()) {
		return nil, fmt.Errorf("key set is not available: %w", s.err)
	}
	return s.keys, nil
}

// usable reports whether the set may serve. s.mu is held.
func (s *Set) usable(now time.Time) bool {
	return s.keys != nil && elapsed(s.fetchedAt, now) < s.fresh+s.cfg.StaleFor
}

// elapsed is the time between two readings of a clock, by the wall or by the
// monotonic clock, whichever says more: a machine that was frozen may have stopped
// the one, and the other may be set back. Since never it is as long as can be.
func elapsed(since, now time.Time) time.Duration {
	if since.IsZero() {
		return 1<<63 - 1
	}
	return max(now.Sub(since), now.Round(0).Sub(since.Round(0)))
}

// fetch replaces the set, or keeps it and the reason why it could not. A set
// without a usable key replaces none.
func (s *Set) fetch(ctx context.Context) {
	doc, fresh, err := s.load(ctx)
	s.mu.Lock()
	defer s.mu.Unlock()
	defer func() {
		close(s.fetching)
		s.fetching = nil
	}()
	if err == nil && (s.keys == nil || string(doc) != s.doc) { // otherwise the keys stay the same, and so do verified tokens
		var keys *latchkey.StaticKeySet
		if keys, err = latchkey.ParseJWKS(doc); err == nil {
			s.keys, s.doc = keys, string(doc)
		} else {
			err = fmt.Errorf("%s: %w", s.url, err)
		}
	}
	if s.err = err; err == nil {
		s.fetchedAt, s.fresh = s.cfg.Now(), fresh
	} else if s.issuer != "" {
		s.url = "" // the issuer may have moved it
	}
	s.report()
}

// report logs what the last fetch came to, unless that was the last thing said:
// a set is fetched every few minutes. s.mu is held.
func (s *Set) report() {
	level, msg, what := slog.LevelInfo, "", []string{}
	switch {
	case s.err != nil && s.keys != nil:
		level, msg, what = slog.LevelWarn, "the key set could not be fetched again; the old one serves until it is stale", []string{s.err.Error()}
	case s.err == nil && len(s.keys.Skipped()) > 0:
		msg = "keys of the key set are skipped: their tokens are refused"
		for _, skipped := range s.keys.Skipped() {
			what = append(what, skipped.String())
		}
	}
	said := msg + strings.Join(what, "\n")
	if msg != "" && said != s.said {
		s.cfg.Log.LogAttrs(context.Background(), level, msg, slog.String("source", cmp.Or(s.issuer, s.url)), slog.Any("reasons", what))
	}
	if s.err == nil || msg != "" {
		s.said = said
	}
}
