// Package attempt says what an attempt draws on: the buckets of package limit in which it
// counts as long as it has not succeeded, and the network in whose share of places it
// waits. Which attempt a request is, package auth says.
//
// Start at [Limits], and [Rules.Login].
package attempt

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/latchkey-auth/latchkey/internal/identifier"
	"github.com/latchkey-auth/latchkey/internal/limit"
	"github.com/latchkey-auth/latchkey/internal/storage"
)

// Limits are what stands against guessing and against mail bombs. What counts is failures,
// and every request that may send a mail: under the account that was meant, however it was
// spelled and whether it exists or not, and under the client's address.
type Limits struct {
	// Account is of the failures at one account from one network, and of those of its
	// owner who is signed in, or who types codes.
	Account limit.Limit
	// Total is of the failures at one account from all networks that it does not know.
	// Networks that have not failed there draw on Reserve when it is full: strangers
	// who guess on do not spend the owner's tries.
	Total, Reserve limit.Limit
	// Address is of what one network fails at all accounts that do not know it.
	Address limit.Limit
	// Unissued is of tokens and links that were never issued, from one client address.
	// They count under Address as well. What is good gets through all the same, so few
	// are free. It is also of requests for what is not to be had here.
	Unissued limit.Limit
	// Mail is of the requests that may send mail to one address.
	Mail limit.Limit
	// Alarm is of all clients together, once for failures and once for requests for
	// mail. It does not make anybody wait: that would let a stranger lock everybody
	// out. While more than Free count, the others have a quarter of theirs free.
	Alarm limit.Limit
}

// DefaultLimits let a person mistype a password a few times, and all machines together
// guess about a hundred a day at one account.
var DefaultLimits = Limits{
	Account:  limit.Limit{Free: 5, First: 5 * time.Second, Longest: 15 * time.Minute, Fade: 15 * time.Minute},
	Total:    limit.Limit{Free: 5, First: 5 * time.Second, Longest: 30 * time.Minute, Fade: 30 * time.Minute},
	Reserve:  limit.Limit{Free: 20, First: time.Hour, Longest: time.Hour, Fade: time.Hour},
	Address:  limit.Limit{Free: 30, First: time.Second, Longest: 5 * time.Minute, Fade: time.Minute},
	Unissued: limit.Limit{Free: 8, First: time.Second, Longest: 5 * time.Minute, Fade: time.Minute},
	Mail:     limit.Limit{Free: 5, First: time.Minute, Longest: time.Hour, Fade: time.Hour},
	Alarm:    limit.Limit{Free: 300, Fade: time.Second},
}

// Rules are the limits, and the key of what their buckets are called.
type Rules struct {
	Limits Limits
	// Key is secret, and the same in all processes that share the store.
	Key []byte
}

// Login is an attempt at an account, of a user or of a name that nobody has. From a
// network that the account knows, as the mark says, it is held to a bucket of its own:
// failures of neighbours at other accounts, and of strangers at this one, do not hold it
// up. Its own failures count for the network as well. Without a mark no network is known.
func (r Rules) Login(account string, mark storage.MarkID, address string) limit.Attempt {
	networks := r.networks("address", address, r.Limits.Address)
	total, reserve := r.bucket("total", account, r.Limits.Total), r.bucket("reserve", account, r.Limits.Reserve)
	a := limit.Attempt{
		Network: "strangers " + site(address), Alarm: r.alarm("alarm"), Total: &total, Reserve: &reserve,
		Hold: append(r.buckets("account", site(address)+" "+account, r.Limits.Account), networks...),
	}
	if mark == "" {
		return a
	}
	a.Marked = &limit.Marked{Mark: string(mark), Attempt: limit.Attempt{
		Network: a.Network, Alarm: a.Alarm, Count: networks,
		Hold: r.buckets("account", "home "+Network(address)+" "+account, r.Limits.Account),
	}}
	return a
}

// Confirm is an attempt of a user who is signed in. It counts apart from logins
// and from the address: whoever guesses there must not keep the owner, who is signed in,
// from changing the password.
func (r Rules) Confirm(user storage.UserID, address string) limit.Attempt {
	a := r.signedIn(address)
	a.Hold = r.buckets("account", "signed in "+string(user), r.Limits.Account)
	return a
}

// signedIn is an attempt of somebody who has proved who they are. It counts nothing.
// Strangers in the same network are not in its way.
func (r Rules) signedIn(address string) limit.Attempt {
	return limit.Attempt{Network: "signed in " + site(address)}
}

// Code is an attempt with a code. It counts under the address that
// codes were mailed to.
func (r Rules) Code(emailKey, address string) limit.Attempt {
	a := limit.Attempt{Network: "strangers " + site(address), Alarm: r.alarm("alarm")}
	a.Hold = r.buckets("account", "code "+emailKey, r.Limits.Account)
	a.Hold = append(a.Hold, r.networks("address", address, r.Limits.Address)...)
	return a
}

// GoodLink is an attempt with a link that opens its ticket: nobody can guess it, and no
// failure is in its way. There is one at a time for each ticket.
func (r Rules) GoodLink(t storage.TicketID, address string) limit.Attempt {
	a := r.signedIn(address)
	a.Hold = r.buckets("ticket", string(t), limit.Limit{Free: 1, First: time.Second, Longest: time.Second, Fade: 30 * time.Second})
	return a
}

// Unissued is an attempt with a token or link that was never issued: see [Limits].
func (r Rules) Unissued(address string) limit.Attempt {
	return limit.Attempt{
		Network: "unissued " + site(address), Alarm: r.alarm("alarm"),
		Hold: append(r.networks("address", address, r.Limits.Address), r.networks("unissued", address, r.Limits.Unissued)...),
	}
}

// Closed is a request for what is not to be had here. It is no failure: many may
// not know.
func (r Rules) Closed(address string) limit.Attempt {
	return limit.Attempt{Network: "strangers " + site(address), Hold: r.networks("unissued", address, r.Limits.Unissued)}
}

// Mail is a request that may send mail to the address of the key. It counts apart
// from failures: many who register from one office keep nobody there from logging in.
func (r Rules) Mail(emailKey, address string) limit.Attempt {
	return limit.Attempt{
		Network: "strangers " + site(address), Alarm: r.alarm("mail alarm"),
		Hold: append(r.buckets("mail to", emailKey, r.Limits.Mail), r.networks("mail for", address, r.Limits.Address)...),
	}
}

// Alone is the attempt one at a time, in all processes: what it asks for takes long.
func (r Rules) Alone(a limit.Attempt) limit.Attempt {
	a.Hold = append(a.Hold, r.bucket("chain", "", limit.Limit{Free: 1, First: time.Second, Longest: time.Second, Fade: time.Second}))
	return a
}

// Notified is the attempt as one that tells the user by mail: as such it counts apart
// from requests that anybody can make.
func (r Rules) Notified(a limit.Attempt, user storage.UserID) limit.Attempt {
	a.Hold = append(a.Hold, r.bucket("notice to", string(user), r.Limits.Mail))
	return a
}

// bucket is where attempts at the name count. Its key is a MAC: people type passwords
// where names belong.
func (r Rules) bucket(kind, name string, l limit.Limit) limit.Bucket {
	mac := hmac.New(sha256.New, r.Key)
	mac.Write([]byte("limit " + kind + " " + name))
	return limit.Bucket{Key: base64.RawURLEncoding.EncodeToString(mac.Sum(nil)[:16]), Limit: l}
}

func (r Rules) buckets(kind, name string, l limit.Limit) []limit.Bucket {
	return []limit.Bucket{r.bucket(kind, name, l)}
}

// AlarmParts is in how many counts an alarm is kept, each with its part of what is free.
// All clients count there, and a store is bounded in what it does with one item: see
// docs/dynamodb.md.
const AlarmParts = 8

// alarm is a part of the alarm, by chance: of many failures each part gets its share.
func (r Rules) alarm(name string) *limit.Bucket {
	whole := r.Limits.Alarm
	if whole.Free == 0 {
		return nil
	}
	part := limit.Limit{Free: max(1, whole.Free/AlarmParts), Fade: whole.Fade * AlarmParts}
	alarm := r.bucket(name, strconv.Itoa(rand.N(AlarmParts)), part)
	return &alarm
}

// Account names the account that a login means: the user, however addressed,
// or what was typed, in the form in which names are looked up. Failures count for
// the password that was guessed at: whoever has set a new one begins anew.
func Account(user storage.User, typed string) string {
	if user.ID != "" {
		hash := sha256.Sum256([]byte(user.PasswordHash))
		return "id " + string(user.ID) + " " + base64.RawStdEncoding.EncodeToString(hash[:])
	}
	if key, err := identifier.UsernameKey(typed); err == nil {
		return "name " + key
	}
	if key, err := identifier.EmailKey(typed); err == nil {
		return "email " + key
	}
	return "other " + typed
}
