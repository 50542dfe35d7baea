package auth

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"math"
	"net/netip"
	"slices"
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
	// Stray is of what a client address presents that nobody was given: tokens and
	// links. They count under Address as well. What is good gets through all the same,
	// so few are free. It is also of requests for what is not to be had here.
	Stray Limit
	// Mail is of the requests that may send mail to one address.
	Mail Limit
	// Alarm is of all clients together, once for failures and once for requests for
	// mail. It does not make anybody wait: that would let a stranger lock everybody
	// out. While more than Free count, the others have a quarter of theirs free.
	Alarm Limit
}

// DefaultLimits let a person mistype a password a few times, and a machine guess
// about a hundred a day.
var DefaultLimits = Limits{
	Account: Limit{Free: 5, First: 5 * time.Second, Longest: 15 * time.Minute, Fade: 15 * time.Minute},
	Address: Limit{Free: 30, First: time.Second, Longest: 5 * time.Minute, Fade: time.Minute},
	Stray:   Limit{Free: 8, First: time.Second, Longest: 5 * time.Minute, Fade: time.Minute},
	Mail:    Limit{Free: 5, First: time.Minute, Longest: time.Hour, Fade: time.Hour},
	Alarm:   Limit{Free: 300, Fade: time.Second},
}

// tightened is the limit while the alarm is on.
func (l Limit) tightened() Limit {
	l.Free = max(1, l.Free/4)
	return l
}

// A LimitError says when to try again.
type LimitError struct {
	RetryAfter time.Duration

	key string // of the limit, for recordLimited
}

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
	wait := c.Last.Add(delay).Sub(now)
	if wait > l.Longest+delay {
		return 0 // the clock was set back: they are not to wait for it to come here again
	}
	return min(delay, wait)
}

// limited is one attempt under its limits.
type limited struct {
	keys    []string // what it counts under if it fails
	limits  []Limit
	alarmed bool    // the first one is the alarm
	tallied int     // the first keys count, and do not hold it
	places  []place // what it holds besides, whatever becomes of it
	crowd   string  // with whom it stands by
}

// attempt names what an attempt counts under; an empty account is none. The keys
// are MACs: people type passwords where names belong.
func (s *Service) attempt(account string, c Client) limited {
	a := s.uncounted("strangers", c)
	if s.Limits == nil {
		return a
	}
	s.alarmed(&a, "alarm")
	if account != "" {
		a.add(s.limitKey("account", account), s.Limits.Account)
	}
	s.addNetworks(&a, "address", c, s.Limits.Address)
	return a
}

// loginAttempt is an attempt at the account, or what stands in the place of one.
// From a network that the account knows it is held to their own count alone: what
// neighbours there fail at other accounts counts against those who are not known.
// It counts for the network all the same, so that it writes what every other does.
func (s *Service) loginAttempt(account string, home home, c Client) limited {
	if !home.known {
		return s.attempt(account, c)
	}
	a := s.attempt("", c)
	a.tallied = len(a.keys)
	a.add(s.limitKey("account", home.account(account)), s.Limits.Account)
	return a
}

// alarmed has the attempt count for the alarm, and be tightened by it.
func (s *Service) alarmed(a *limited, name string) {
	if a.alarmed = s.Limits.Alarm.Free > 0; a.alarmed {
		a.add(s.limitKey(name, ""), s.Limits.Alarm)
		a.tallied = 1 // the alarm stops nobody
	}
}

// stray is an attempt with what nobody was given: see Limits.
func (s *Service) stray(c Client) limited {
	a := s.attempt("", c)
	s.addStray(&a, c)
	return a
}

func (s *Service) addStray(a *limited, c Client) {
	if s.Limits != nil {
		s.addNetworks(a, "stray", c, s.Limits.Stray)
	}
}

// wider are the networks of IPv6 that count besides the /64: providers give sites a
// /56 or a /48, which hold 256 and 65,536 of them. Each takes so many times the
// failures of a /64.
var wider = []struct{ bits, times int }{
	{56, 4},
	{48, 16},
}

// times is a limit that takes n times the failures: n times as many are free, and
// are forgotten in the same time.
func (l Limit) times(n int) Limit {
	l.Free, l.Fade = l.Free*n, l.Fade/time.Duration(n)
	return l
}

// addNetworks has the attempt count for the client's network, and of IPv6 for those
// that it lies in.
func (s *Service) addNetworks(a *limited, kind string, c Client, limit Limit) {
	a.add(s.limitKey(kind, network(c.Address)), limit)
	ip, err := netip.ParseAddr(c.Address)
	if err != nil || ip.Unmap().Is4() {
		return
	}
	for _, w := range wider {
		prefix, err := ip.WithZone("").Prefix(w.bits)
		if err == nil {
			a.add(s.limitKey(kind, prefix.String()), limit.times(w.times))
		}
	}
}

// uncounted is an attempt that counts nothing: so many of one network are under way
// at a time, that is all. Strangers there do not crowd out those who have proved
// who they are.
func (s *Service) uncounted(who string, c Client) limited {
	var a limited
	if s.Limits != nil {
		a.crowd = who + " " + network(c.Address)
		a.places = []place{{a.crowd, atOnce}}
	}
	return a
}

// signedIn is an attempt of the user of a session. It counts apart from logins and
// from the address: whoever guesses there must not keep the owner, who is signed
// in, from changing the password.
func (s *Service) signedIn(user User, c Client) limited {
	a := s.uncounted("signed in", c)
	if s.Limits != nil {
		a.add(s.limitKey("account", "signed in "+string(user.ID)), s.Limits.Account)
	}
	return a
}

// codeAttempt counts codes under the address that they were mailed to.
func (s *Service) codeAttempt(r TicketRequest) limited {
	key, err := EmailKey(r.Email)
	if err != nil {
		return s.attempt("", r.Client)
	}
	return s.attempt("code "+key, r.Client)
}

// goodLink is an attempt with a link that opens its ticket: nobody can guess it,
// and it always gets through. There is one at a time for each ticket.
func (s *Service) goodLink(t Ticket, c Client) limited {
	a := s.uncounted("signed in", c)
	a.places = append(a.places, place{"ticket " + string(t.ID), 1})
	return a
}

// badLink counts for the address. It costs nothing, and so holds no place.
func (s *Service) badLink(c Client) limited {
	a := s.stray(c)
	a.places = nil
	return a
}

// mailAttempt is a request that may send mail to the address of the key. It counts
// apart from failures: a crowd that registers from one office keeps nobody there
// from logging in.
func (s *Service) mailAttempt(emailKey string, c Client) limited {
	a := s.uncounted("strangers", c)
	if s.Limits == nil {
		return a
	}
	s.alarmed(&a, "mail alarm")
	a.add(s.limitKey("mail to", emailKey), s.Limits.Mail)
	s.addNetworks(&a, "mail for", c, s.Limits.Address)
	return a
}

// notified makes the attempt one that tells the user by mail: as such it counts
// apart from requests that anybody can make.
func (s *Service) notified(a limited, user User) limited {
	if s.Limits != nil && s.SendsMail && user.Email != "" {
		a.add(s.limitKey("notice to", string(user.ID)), s.Limits.Mail)
	}
	return a
}

func (a *limited) add(key string, limit Limit) {
	a.keys, a.limits = append(a.keys, key), append(a.limits, limit)
}

// network is what one client has of addresses: of IPv6 a whole /64. All whose
// address is unknown are one client, "": not to be known must be no way past limits.
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

// allow returns a *LimitError when the attempt comes too soon, ErrUnavailable when the
// store is not there, and otherwise what is to be called when its outcome is stored.
//
// Of the attempts that count under one key, this process has no more under way
// than could fail before one has to wait; the others stand by until one of these
// is over. Or else a hundred guesses at once would all be looked at before the
// first of them counts.
func (s *Service) allow(ctx context.Context, a limited) (done func(), err error) {
	ctx, enough := s.outages.watch(ctx)
	defer enough()
	ctx, cancel := context.WithTimeout(ctx, standBy)
	defer cancel()
	departed := s.trying.departures()
	places, err := s.room(ctx, a)
	for err == nil {
		var e entry
		if e, err = s.trying.enter(ctx, places, a.crowd); err != nil {
			return nil, err
		}
		held := places
		if e.departed != departed { // one that has failed may have left since we looked
			departed = e.departed
			places, err = s.room(context.WithoutCancel(ctx), a)
		}
		if err == nil && fits(e.nth, places) {
			return func() { s.trying.leave(held) }, nil
		}
		s.trying.leave(held)
	}
	return nil, err
}

// fits reports whether there is room for the nth in each place.
func fits(nth []int, places []place) bool {
	for i, p := range places {
		if nth[i] > p.room {
			return false
		}
	}
	return true
}

// room returns the places of the attempt. *LimitError when it has to wait.
func (s *Service) room(ctx context.Context, a limited) ([]place, error) {
	places := slices.Clone(a.places)
	first := a.tallied
	for _, key := range a.keys[first:] {
		places = append(places, place{key, 1})
	}
	if len(a.keys) == 0 {
		return places, nil
	}
	counts, err := s.Store.Counts(ctx, a.keys)
	if err != nil {
		return nil, fmt.Errorf("reading limits: %w", err)
	}
	now := s.Now()
	alarm := a.alarmed && a.limits[0].over(counts[0].at(now, a.limits[0].Fade)) >= 0
	longest := new(LimitError)
	for i := first; i < len(a.keys); i++ {
		limit := a.limits[i]
		if alarm {
			limit = limit.tightened()
		}
		if wait := limit.wait(counts[i], now); wait > longest.RetryAfter {
			longest = &LimitError{wait, a.keys[i]}
		}
		places[len(a.places)+i-first].room = max(1, int(-limit.over(counts[i].at(now, limit.Fade))))
	}
	if longest.RetryAfter > 0 {
		return nil, longest
	}
	return places, nil
}

// hits are what the attempt counts.
func (a limited) hits(now time.Time) []Hit {
	var hits []Hit
	for i, key := range a.keys {
		hits = append(hits, Hit{key, now, a.limits[i].Fade})
	}
	return hits
}
