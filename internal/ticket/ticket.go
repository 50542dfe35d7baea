// Package ticket makes and opens the one-time secrets of mails: a link with 256 bits, and
// mostly a short code as well. It stores nothing; what redeems a ticket
// is package auth's.
//
// Start at [Maker.Issue] and [Maker.Opens].
package ticket

import (
	"cmp"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/latchkey-auth/latchkey/internal/opaque"
	"github.com/latchkey-auth/latchkey/internal/storage"
)

// How long links and codes work.
const (
	LinkLifetime   = time.Hour
	CodeLifetime   = 10 * time.Minute
	InviteLifetime = 7 * 24 * time.Hour
	// MaxCodeTries is how many wrong codes a ticket takes; its link goes on working.
	MaxCodeTries = 5
	// registrationKept is how long a registration can be taken up again by asking
	// for another mail, whose link works within it.
	registrationKept = 24 * time.Hour
)

// A Maker makes tickets.
type Maker struct {
	// Key is for MACs: 32 bytes, secret, and the same in all processes that share the
	// store.
	Key []byte
	// PublicURL is what links begin with.
	PublicURL string
}

// Presented is what a client presents: the token of a link, or a code with the address
// that it was mailed to.
type Presented struct {
	ID     storage.TicketID
	Secret []byte // of a link
	Code   string // canonical, see [ParseCode]; empty: it is a link
}

// ParseLink reads the token of a link.
func ParseLink(token string) (Presented, bool) {
	id, secret, ok := opaque.Parse(token)
	return Presented{ID: storage.TicketID(id), Secret: secret}, ok
}

// ID finds the ticket of an address, given by its [identifier.EmailKey].
func (m Maker) ID(purpose storage.Purpose, emailKey string) storage.TicketID {
	return storage.TicketID(name(m.mac("ticket", string(purpose), emailKey)))
}

// mac is a MAC over the parts, none of which can hold the separator.
func (m Maker) mac(parts ...string) []byte {
	mac := hmac.New(sha256.New, m.Key)
	mac.Write([]byte(strings.Join(parts, "\x00")))
	return mac.Sum(nil)
}

// Issue completes a ticket with fresh secrets and returns what goes into the
// mail.
func (m Maker) Issue(t storage.Ticket, emailKey string, now time.Time) (_ storage.Ticket, link, code string) {
	secret := make([]byte, 32)
	rand.Read(secret) // never fails, crypto/rand
	t.ID = m.ID(t.Purpose, emailKey)
	t.SecretHash, t.CreatedAt, t.Tries = opaque.Hash(secret), now, 0
	kept := t.ExpiresAt
	t.LinkUntil, t.ExpiresAt = now.Add(LinkLifetime), now.Add(LinkLifetime)
	switch t.Purpose {
	case storage.PurposeRegister:
		t.ExpiresAt = cmp.Or(kept, now.Add(registrationKept)) // another mail does not prolong it
	case storage.PurposeInvite:
		t.LinkUntil, t.ExpiresAt = now.Add(InviteLifetime), now.Add(InviteLifetime)
		return t, m.link(t, secret), ""
	}
	code = newCode()
	t.CodeMAC, t.CodeUntil = m.codeMAC(t, code), now.Add(CodeLifetime)
	return t, m.link(t, secret), showCode(code)
}

// codeMAC binds a code to its ticket. A bare hash of 8 letters would fall
// offline.
func (m Maker) codeMAC(t storage.Ticket, code string) []byte {
	return m.mac("code", string(t.ID), string(t.SecretHash), code)
}

// pages are the paths of the pages that links open.
var pages = map[storage.Purpose]string{
	storage.PurposeRegister: "/verify",
	storage.PurposeVerify:   "/verify",
	storage.PurposeReset:    "/reset",
	storage.PurposeInvite:   "/accept",
}

// link is built from the configured public URL only, never from a request.
func (m Maker) link(t storage.Ticket, secret []byte) string {
	return strings.TrimSuffix(m.PublicURL, "/") + pages[t.Purpose] + "?token=" + opaque.Format(string(t.ID), secret)
}

// Opens reports whether what is presented is the ticket's and still good.
func (m Maker) Opens(t storage.Ticket, p Presented, now time.Time) bool {
	if p.Code != "" {
		return TakesCode(t) && now.Before(t.CodeUntil) &&
			subtle.ConstantTimeCompare(m.codeMAC(t, p.Code), t.CodeMAC) == 1
	}
	return now.Before(t.LinkUntil) && subtle.ConstantTimeCompare(opaque.Hash(p.Secret), t.SecretHash) == 1
}

// TakesCode reports whether a code can open the ticket, in its time.
func TakesCode(t storage.Ticket) bool { return len(t.CodeMAC) > 0 && t.Tries < MaxCodeTries }

// Bound is what of a user a ticket depends on.
func Bound(u storage.User) []byte { return opaque.Hash([]byte(u.PasswordHash + "\x00" + u.Email)) }

// Purposes are all of them.
func Purposes() []storage.Purpose { return slices.Sorted(maps.Keys(pages)) }

// Used is the mark that says, until its link expires, that a ticket was redeemed. Its id
// is a MAC of the purpose and the hash of the secret, so that only the same link finds it,
// on the page that it was for.
func (m Maker) Used(t storage.Ticket) storage.Mark {
	return storage.Mark{ID: m.usedID(t.Purpose, t.ID, t.SecretHash), ExpiresAt: t.LinkUntil}
}

func (m Maker) usedID(purpose storage.Purpose, id storage.TicketID, secretHash []byte) storage.MarkID {
	return storage.MarkID(name(m.mac("used", string(purpose), string(id), string(secretHash))))
}

// UsedBy is the id of the mark that Used makes of the ticket of the purpose which the link
// opens.
func (m Maker) UsedBy(purpose storage.Purpose, link Presented) storage.MarkID {
	return m.usedID(purpose, link.ID, opaque.Hash(link.Secret))
}

// MarkID names another mark: by a MAC of what it is about.
func (m Maker) MarkID(kind, what string) storage.MarkID {
	return storage.MarkID(name(m.mac("ticket", kind, what)))
}

// name is a MAC as an id.
func name(mac []byte) string { return base64.RawURLEncoding.EncodeToString(mac[:16]) }
