package auth

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"math"
	"time"
)

// A Hit is a failure to be counted.
type Hit struct {
	Key string
	At  time.Time
	// Fade is how long one hit takes to be forgotten.
	Fade time.Duration
}

// A Count is what the hits of a key amount to: their number at the time of the
// last one, less what had faded by then.
type Count struct {
	Level float64
	Last  time.Time // zero: none
}

// A Limit says how failures slow down the next attempt: the first ones do not,
// each further one doubles the wait.
type Limit struct {
	Free    int           // failures without a wait
	First   time.Duration // the wait after one more
	Longest time.Duration
	Fade    time.Duration // see Hit
}

// Limits are what stands against guessing. Failures alone count, under the
// account that was meant, however it was spelled, and the client's address.
type Limits struct {
	Account, Address, Global Limit
}

// DefaultLimits let a person mistype a password a few times, and a machine guess
// about a hundred a day.
var DefaultLimits = Limits{
	Account: Limit{Free: 5, First: 5 * time.Second, Longest: 15 * time.Minute, Fade: 15 * time.Minute},
	Address: Limit{Free: 30, First: time.Second, Longest: 5 * time.Minute, Fade: time.Minute},
	Global:  Limit{Free: 2000, First: time.Second, Longest: 5 * time.Second, Fade: 50 * time.Millisecond},
}

// A LimitError says when to try again.
type LimitError struct{ RetryAfter time.Duration }

func (e *LimitError) Error() string { return fmt.Sprintf("too many failures: wait %v", e.RetryAfter) }

// wait is how much longer an attempt has to wait at now.
func (l Limit) wait(c Count, now time.Time) time.Duration {
	over := math.Round(c.Level) - float64(l.Free)
	if c.Last.IsZero() || over < 0 {
		return 0
	}
	delay := l.Longest
	if over < 40 { // or else it would overflow
		delay = min(l.Longest, l.First<<uint(over))
	}
	return c.Last.Add(delay).Sub(now)
}

// limited is one attempt under its limits.
type limited struct {
	keys   []string
	limits []Limit
}

// attempt names what an attempt counts under. The keys are MACs: people type
// passwords where names belong.
func (s *Service) attempt(account string, c Client) limited {
	if s.Limits == nil {
		return limited{}
	}
	a := limited{[]string{s.limitKey("account", account), s.limitKey("global", "")}, []Limit{s.Limits.Account, s.Limits.Global}}
	if c.Address != "" {
		a.keys, a.limits = append(a.keys, s.limitKey("address", c.Address)), append(a.limits, s.Limits.Address)
	}
	return a
}

// accountOf names the account that a login means: the user, however addressed,
// or what was typed, in the form in which names are looked up.
func accountOf(user User, typed string) string {
	if user.ID != "" {
		return "id " + string(user.ID)
	}
	if key, err := UsernameKey(typed); err == nil {
		return "name " + key
	}
	if key, err := EmailKey(typed); err == nil {
		return "email " + key
	}
	return "other " + typed
}

func (s *Service) limitKey(kind, name string) string {
	mac := hmac.New(sha256.New, s.RefreshKey)
	mac.Write([]byte("limit " + kind + " " + name))
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil)[:16])
}

// allow returns a *LimitError when the attempt comes too soon.
func (s *Service) allow(ctx context.Context, a limited) error {
	if len(a.keys) == 0 {
		return nil
	}
	counts, err := s.Store.Counts(ctx, a.keys)
	if err != nil {
		return fmt.Errorf("reading limits: %w", err)
	}
	now := s.Now()
	var longest time.Duration
	for i, c := range counts {
		longest = max(longest, a.limits[i].wait(c, now))
	}
	if longest > 0 {
		return &LimitError{longest}
	}
	return nil
}

// addressOnly is an attempt that means no account.
func (a limited) addressOnly() limited {
	if len(a.keys) == 0 {
		return a
	}
	return limited{a.keys[1:], a.limits[1:]}
}

// hits are what a failure of the attempt counts.
func (a limited) hits(now time.Time) []Hit {
	var hits []Hit
	for i, key := range a.keys {
		hits = append(hits, Hit{key, now, a.limits[i].Fade})
	}
	return hits
}
