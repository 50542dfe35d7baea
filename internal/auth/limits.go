package auth

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"math"
	"net/netip"
	"sync"
	"time"
)

// A Hit is to be counted: a failure, or a request that may send mail.
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

// Limits are what stands against guessing and against mail bombs. What counts is
// failures, and every request that may send a mail: under the account that was
// meant, however it was spelled and whether it exists or not, and under the
// client's address.
type Limits struct {
	Account, Address Limit
	// Mail is of the requests that may send mail to one address.
	Mail Limit
	// Alarm is of all clients together. It does not make anybody wait: that would
	// let a stranger lock everybody out. While more than Free failures count,
	// accounts and addresses have a quarter of theirs free.
	Alarm Limit
}

// DefaultLimits let a person mistype a password a few times, and a machine guess
// about a hundred a day.
var DefaultLimits = Limits{
	Account: Limit{Free: 5, First: 5 * time.Second, Longest: 15 * time.Minute, Fade: 15 * time.Minute},
	Address: Limit{Free: 30, First: time.Second, Longest: 5 * time.Minute, Fade: time.Minute},
	Mail:    Limit{Free: 5, First: time.Minute, Longest: time.Hour, Fade: time.Hour},
	Alarm:   Limit{Free: 300, Fade: time.Second},
}

// tightened is the limit while the alarm is on.
func (l Limit) tightened() Limit {
	l.Free = max(1, l.Free/4)
	return l
}

// A LimitError says when to try again.
type LimitError struct{ RetryAfter time.Duration }

func (e *LimitError) Error() string { return fmt.Sprintf("too many attempts: wait %v", e.RetryAfter) }

// at is what is left of the count at now.
func (c Count) at(now time.Time, fade time.Duration) Count {
	if !c.Last.IsZero() && now.After(c.Last) {
		c.Level = max(0, c.Level-float64(now.Sub(c.Last))/float64(fade))
	}
	return c
}

// over is by how many the failures exceed the free ones; below zero: not yet.
func (l Limit) over(c Count) float64 { return math.Round(c.Level) - float64(l.Free) }

// wait is how much longer an attempt has to wait at now.
func (l Limit) wait(c Count, now time.Time) time.Duration {
	over := l.over(c)
	if over < 0 {
		return 0
	}
	delay := l.Longest
	if over < 40 { // or else it would overflow
		delay = min(l.Longest, l.First<<uint(over))
	}
	return min(delay, c.Last.Add(delay).Sub(now)) // the clock may have been set back
}

// limited is one attempt under its limits.
type limited struct {
	keys    []string
	limits  []Limit
	alarmed bool // the last one is the alarm
}

// attempt names what an attempt counts under; an empty account is none. The keys
// are MACs: people type passwords where names belong.
func (s *Service) attempt(account string, c Client) limited {
	var a limited
	if s.Limits == nil {
		return a
	}
	if account != "" {
		a.add(s.limitKey("account", account), s.Limits.Account)
	}
	if c.Address != "" {
		a.add(s.limitKey("address", network(c.Address)), s.Limits.Address)
	}
	if a.alarmed = s.Limits.Alarm.Free > 0; a.alarmed {
		a.add(s.limitKey("alarm", ""), s.Limits.Alarm)
	}
	return a
}

// ticketAttempt counts codes under the address that they were mailed to. Links
// cannot be guessed.
func (s *Service) ticketAttempt(r TicketRequest) limited {
	key, err := EmailKey(r.Email)
	if r.Code == "" || err != nil {
		return s.attempt("", r.Client)
	}
	return s.attempt("code "+key, r.Client)
}

// mailAttempt is a request that may send mail to the address of the key. It counts
// apart from failures: a crowd that registers from one office keeps nobody there
// from logging in.
func (s *Service) mailAttempt(emailKey string, c Client) limited {
	var a limited
	if s.Limits == nil {
		return a
	}
	a.add(s.limitKey("mail to", emailKey), s.Limits.Mail)
	if c.Address != "" {
		a.add(s.limitKey("mail for", network(c.Address)), s.Limits.Address)
	}
	return a
}

func (a *limited) add(key string, limit Limit) {
	a.keys, a.limits = append(a.keys, key), append(a.limits, limit)
}

// network is what one client has of addresses: of IPv6 a whole /64.
func network(address string) string {
	ip, err := netip.ParseAddr(address)
	if err != nil {
		return address
	}
	ip = ip.Unmap().WithZone("")
	if ip.Is4() {
		return ip.String()
	}
	prefix, err := ip.Prefix(64)
	if err != nil {
		return address
	}
	return prefix.String()
}

// accountOf names the account that a login means: the user, however addressed,
// or what was typed, in the form in which names are looked up. Failures count for
// the password that was guessed at: whoever has set a new one begins anew.
func accountOf(user User, typed string) string {
	if user.ID != "" {
		return "id " + string(user.ID) + " " + base64.RawStdEncoding.EncodeToString(hashSecret([]byte(user.PasswordHash)))
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

// allow returns a *LimitError when the attempt comes too soon, and otherwise what
// is to be called when its outcome is stored.
//
// An account or address that has used up its free failures is tried by one at a
// time in this process: or else a hundred guesses at once would all be looked at
// before the first of them counts.
func (s *Service) allow(ctx context.Context, a limited) (done func(), err error) {
	slow, err := s.due(ctx, a)
	if err != nil || len(slow) == 0 {
		return func() {}, err
	}
	if !s.trying.enter(slow) {
		return nil, &LimitError{time.Second}
	}
	done = func() { s.trying.leave(slow) }
	if _, err := s.due(ctx, a); err != nil { // another one may have failed meanwhile
		done()
		return nil, err
	}
	return done, nil
}

// due returns a *LimitError when the attempt has to wait, and those of its keys
// that have used up their free failures.
func (s *Service) due(ctx context.Context, a limited) (slow []string, err error) {
	if len(a.keys) == 0 {
		return nil, nil
	}
	counts, err := s.Store.Counts(ctx, a.keys)
	if err != nil {
		return nil, fmt.Errorf("reading limits: %w", err)
	}
	now := s.Now()
	var longest time.Duration
	alarm := false
	if a.alarmed {
		last := len(counts) - 1
		alarm = a.limits[last].over(counts[last].at(now, a.limits[last].Fade)) >= 0
		counts = counts[:last]
	}
	for i, c := range counts {
		limit := a.limits[i]
		if alarm {
			limit = limit.tightened()
		}
		longest = max(longest, limit.wait(c, now))
		if limit.over(c) >= 0 {
			slow = append(slow, a.keys[i])
		}
	}
	if longest > 0 {
		return nil, &LimitError{longest}
	}
	return slow, nil
}

// trying holds the keys that an attempt is under way for.
type trying struct {
	mu   sync.Mutex
	keys map[string]bool
}

// enter takes all of the keys, or none and returns false.
func (t *trying) enter(keys []string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, key := range keys {
		if t.keys[key] {
			return false
		}
	}
	if t.keys == nil {
		t.keys = make(map[string]bool)
	}
	for _, key := range keys {
		t.keys[key] = true
	}
	return true
}

func (t *trying) leave(keys []string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, key := range keys {
		delete(t.keys, key)
	}
}

// hits are what the attempt counts.
func (a limited) hits(now time.Time) []Hit {
	var hits []Hit
	for i, key := range a.keys {
		hits = append(hits, Hit{key, now, a.limits[i].Fade})
	}
	return hits
}
