package httpauth

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/latchkey-auth/latchkey"
)

// Bounds of a fetch.
const (
	fetchTimeout = 5 * time.Second
	maxJWKS      = 64 << 10 // bytes, as latchkey.ParseJWKS takes
	// fetchInterval is the least time between two fetches, failed ones too: a
	// flood of tokens with made-up key ids must not become a flood of fetches.
	fetchInterval = 10 * time.Second
)

// RemoteConfig says where a key set is.
type RemoteConfig struct {
	// URL of the JWK set: https, or http on this machine.
	URL string
	// RefreshAfter is how old a set may get before it is fetched again, while
	// the old one serves; 0 is 5 minutes. A token that names an unknown key has
	// it fetched earlier.
	RefreshAfter time.Duration
	// StaleAfter is how old a set may get while it cannot be fetched; 0 is one
	// hour. After that verification fails, not as an invalid token but as an
	// outage: a key that was withdrawn meanwhile must not live on.
	StaleAfter time.Duration
	// Client fetches; nil is one of its own. Redirects are never followed.
	Client *http.Client

	// Log hears of the keys of the set that are skipped, once for each set, and
	// of fetches that fail while an old set serves; nil: nothing is logged.
	Log *slog.Logger

	Now func() time.Time // nil: time.Now
}

// A RemoteKeySet is a [latchkey.KeySet] at a URL. It fetches when it is first
// asked, once for all who ask at the same time.
type RemoteKeySet struct {
	cfg RemoteConfig

	mu        sync.Mutex
	keys      *latchkey.StaticKeySet // nil: never fetched
	doc       string                 // that keys are from
	fetchedAt time.Time
	triedAt   time.Time
	err       error         // of the last fetch
	said      string        // what was logged last
	fetching  chan struct{} // closed when the fetch under way ends; nil: there is none
}

var _ latchkey.KeySet = (*RemoteKeySet)(nil)

// NewRemoteKeySet checks the configuration. It fetches nothing yet.
func NewRemoteKeySet(cfg RemoteConfig) (*RemoteKeySet, error) {
	u, err := url.Parse(cfg.URL)
	if err != nil {
		return nil, fmt.Errorf("key set URL: %w", err)
	}
	if u.User != nil || u.Host == "" || u.Scheme != "https" && !(u.Scheme == "http" && isLoopback(u.Hostname())) {
		return nil, fmt.Errorf("key set URL %q must be https, or http on this machine, without user name: whoever can change the answer can sign tokens", u.Redacted())
	}
	cfg.RefreshAfter = cmp.Or(cfg.RefreshAfter, 5*time.Minute)
	cfg.StaleAfter = cmp.Or(cfg.StaleAfter, time.Hour)
	if cfg.RefreshAfter < fetchInterval || cfg.StaleAfter < cfg.RefreshAfter {
		return nil, fmt.Errorf("RefreshAfter %s must be %s or more, and StaleAfter %s no less than it", cfg.RefreshAfter, fetchInterval, cfg.StaleAfter)
	}
	client := http.Client{Timeout: fetchTimeout}
	if cfg.Client != nil {
		client = *cfg.Client
	}
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	cfg.Client = &client
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	return &RemoteKeySet{cfg: cfg}, nil
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// Key returns the key, fetching the set where that is needed and allowed.
func (s *RemoteKeySet) Key(ctx context.Context, id string, alg latchkey.Algorithm) (*latchkey.Key, error) {
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

// current returns the set. A missing or stale one is waited for, an old one is
// refreshed behind the caller's back; newer asks to wait for any fetch that may
// be made now.
func (s *RemoteKeySet) current(ctx context.Context, newer bool) (*latchkey.StaticKeySet, error) {
	s.mu.Lock()
	now := s.cfg.Now()
	age := now.Sub(s.fetchedAt)
	usable := s.keys != nil && age < s.cfg.StaleAfter
	if s.fetching == nil && (newer || !usable || age >= s.cfg.RefreshAfter) && (s.triedAt.IsZero() || now.Sub(s.triedAt) >= fetchInterval) {
		s.triedAt, s.fetching = now, make(chan struct{})
		// The fetch serves others too: it must not end with this caller.
		go s.fetch(context.WithoutCancel(ctx))
	}
	keys, fetching, err := s.keys, s.fetching, s.err
	s.mu.Unlock()
	if usable && (!newer || fetching == nil) {
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
	if s.keys == nil || s.cfg.Now().Sub(s.fetchedAt) >= s.cfg.StaleAfter {
		return nil, fmt.Errorf("key set is not available: %w", s.err)
	}
	return s.keys, nil
}

// fetch replaces the set, or keeps it and the reason why it could not. A set
// without a usable key replaces none.
func (s *RemoteKeySet) fetch(ctx context.Context) {
	doc, err := s.get(ctx)
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
			err = fmt.Errorf("%s: %w", s.cfg.URL, err)
		}
	}
	if s.err = err; err == nil {
		s.fetchedAt = s.cfg.Now()
	}
	s.report()
}

// report logs what the last fetch came to, unless that was the last thing said:
// a set is fetched every few minutes. s.mu is held.
func (s *RemoteKeySet) report() {
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
		s.cfg.Log.LogAttrs(context.Background(), level, msg, slog.String("url", s.cfg.URL), slog.Any("reasons", what))
	}
	if s.err == nil || msg != "" {
		s.said = said
	}
}

func (s *RemoteKeySet) get(ctx context.Context) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, s.cfg.URL, nil)
	if err != nil {
		return nil, err
	}
	r.Header.Set("Accept", "application/jwk-set+json, application/json")
	res, err := s.cfg.Client.Do(r)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s: status %s", s.cfg.URL, res.Status)
	}
	doc, err := io.ReadAll(io.LimitReader(res.Body, maxJWKS+1))
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", s.cfg.URL, err)
	}
	if len(doc) > maxJWKS {
		return nil, fmt.Errorf("%s: more than %d bytes", s.cfg.URL, maxJWKS)
	}
	return doc, nil
}
