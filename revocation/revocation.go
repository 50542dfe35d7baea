// Package revocation ends access tokens of latchkey before they expire: after a logout,
// a new password, a ban, a lost role. A verifier alone cannot know of these.
//
// A [Follower] reads what has ended since it looked last, at most once per interval,
// when it is asked, so that no request costs a look-up. A revocation that was
// stored counts in every check that begins an interval later. While the source
// cannot be read, what is known counts for a stated time; after that every check
// is an error.
//
// What ended is told by numbers, not by clocks: a token has ended when it carries less
// than the epoch or the rights number of its user, or belongs to a session that has
// ended. Only tokens that carry no epoch, those of the system before, go by when they
// were issued.
//
// The source is latchkey's GET /revocations, by package feed, or anything else that
// implements [Source].
package revocation

import (
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/latchkey-auth/latchkey"
)

// Overlap is how far each look goes back behind the one before: a commit may arrive
// late, and clocks differ. What is stored later than that after its own time is missed.
const Overlap = time.Minute

// A Revocation says which access tokens have ended: those of a session, or those of a
// user below an epoch or a rights number.
type Revocation struct {
	Time   time.Time `json:"time"`
	UserID string    `json:"user_id"`
	// SessionID is the one whose tokens end, and nothing else; of a token without
	// session it is [SessionOf]. Empty: tokens of the user.
	SessionID string `json:"session_id,omitempty"`
	// Epoch and Rights: tokens of the user with less of either end.
	Epoch  int64 `json:"epoch"`
	Rights int64 `json:"rights"`
	// Survivor is the session whose tokens go on; empty: none.
	Survivor string `json:"survivor,omitempty"`
	// ExpiresAt is when the last of these tokens has expired.
	ExpiresAt time.Time `json:"expires_at"`
}

// A Page is some of what has ended, in no order that matters; parts of it may be told
// again.
type Page struct {
	Revocations []Revocation `json:"revocations"`
	// Next is where the next page begins. After the last page of a look it is where the
	// next look begins, by [Overlap] before this one.
	Next string `json:"next"`
	More bool   `json:"more"`
	// Since is how far back the list goes now: what ended before may not be in it any
	// more. Tokens that are older are looked up. Zero: it has all that ever ended.
	Since time.Time `json:"since"`
}

// ErrTooMany is what a [Source] returns when more has ended than can be listed.
var ErrTooMany = errors.New("too many revocations to list")

// A Source tells what has ended. Any error but ErrTooMany is an outage.
type Source interface {
	// Revocations returns the page that begins there: "" is as far back as tokens live.
	Revocations(ctx context.Context, after string) (Page, error)
	// Ended looks up whether one token has ended, by the state of its session and user.
	Ended(ctx context.Context, c latchkey.Claims) (bool, error)
}

// SessionOf returns the session that a token belongs to. A token of the system before
// has none, and stands for itself: by its subject and its times.
func SessionOf(c latchkey.Claims) string {
	if c.SessionID != "" {
		return c.SessionID
	}
	return "token " + c.Subject + " " + seconds(c.IssuedAt) + " " + seconds(c.ExpiresAt)
}

func seconds(t time.Time) string { return strconv.FormatInt(t.Unix(), 10) }

// errEnded is a refusal as those of the verifier are.
var errEnded = &latchkey.TokenError{Check: latchkey.CheckRevoked, Detail: "its session, or what its user was allowed, has ended"}
