package storage

import (
	"crypto/rand"
	"fmt"
	"strings"
	"sync/atomic"
	"time"
)

// An Event is one line of the audit trail. It is written for refusals too, and
// never holds a secret: not the password, not the name that was typed (people
// type passwords there), not a token.
type Event struct {
	ID        string // with Time its place among the others
	Time      time.Time
	Kind      EventKind
	Outcome   Outcome
	UserID    UserID    // empty: unknown
	SessionID SessionID // empty: none
	RequestID string    // of EventMail: the mail's id, which the log names too
	Address   string
	Device    string
	// Count is how many attempts the line stands for, of which it shows the latest.
	// What is below one is stored as one.
	Count int64
}

// An EventKind says what was attempted.
type EventKind string

const (
	EventRegister      EventKind = "register"        // an account was asked for
	EventVerify        EventKind = "email.verify"    // an address was proved, or not
	EventVerifyMail    EventKind = "email.resend"    // another mail to prove it was asked for
	EventEmailChange   EventKind = "email.change"    // another address was asked for
	EventForgot        EventKind = "password.forgot" // a new password was asked for
	EventPasswordReset EventKind = "password.reset"  // a password was set by a link or code
	EventMail          EventKind = "mail"            // a mail was delivered, or not
	EventLogin         EventKind = "login"
	EventRefresh       EventKind = "refresh"
	EventLogout        EventKind = "logout"
	EventUserDeleted   EventKind = "user.deleted"
	EventUserAdded     EventKind = "user.added"
	EventUserInvited   EventKind = "user.invited"
	EventUserUpdated   EventKind = "user.updated"
	EventPasswordSet   EventKind = "user.password_set"
	EventDisabled      EventKind = "user.disabled"
	EventEnabled       EventKind = "user.enabled"
	EventImported      EventKind = "user.imported"
)

// EventKinds returns all there are.
func EventKinds() []EventKind {
	return []EventKind{
		EventRegister, EventVerify, EventVerifyMail, EventEmailChange, EventForgot, EventPasswordReset, EventMail,
		EventLogin, EventRefresh, EventLogout,
		EventUserDeleted, EventUserAdded, EventUserInvited, EventUserUpdated, EventPasswordSet, EventDisabled, EventEnabled, EventImported,
	}
}

// An Outcome says how it ended. That of a logout that its user asks for is which sessions end.
type Outcome string

const (
	OutcomeOK            Outcome = "ok"
	OutcomeUnknownUser   Outcome = "unknown_user"
	OutcomeWrongPassword Outcome = "wrong_password"
	OutcomeDisabledUser  Outcome = "disabled_user"
	OutcomeUnverified    Outcome = "unverified"    // the right password of an address that is not proved
	OutcomeTaken         Outcome = "taken"         // the address has an account
	OutcomeClosed        Outcome = "closed"        // registration is not open, or no mail is sent
	OutcomeWeakPassword  Outcome = "weak_password" // the new password breaks a rule
	OutcomeReplaced      Outcome = "replaced"      // took the place of an account whose address nobody had proved
	OutcomeWrongTicket   Outcome = "wrong_ticket"  // link or code wrong, used or expired
	OutcomeFailed        Outcome = "failed"        // of a mail: will be tried again
	OutcomeUndeliverable Outcome = "undeliverable" // of a mail: its recipient was refused for good
	OutcomeGivenUp       Outcome = "given_up"      // of a mail: has lost its use meanwhile
	OutcomeLimited       Outcome = "limited"       // came too soon after failures; nothing was checked
	OutcomeRepeated      Outcome = "repeated"      // a token spent a moment ago: same successor
	OutcomeReused        Outcome = "reused"        // a token spent before: the session was ended
	OutcomeWrongToken    Outcome = "wrong_token"   // no token of this session
	OutcomeDeadSession   Outcome = "dead_session"  // ended, expired, or its user is disabled
	OutcomeTooMany       Outcome = "too_many"      // of a logout: the user began another session, and this was the oldest

	// Of a logout: which sessions it ends.
	OutcomeThis   Outcome = "this"
	OutcomeOthers Outcome = "others"
	OutcomeAll    Outcome = "all"
)

// Outcomes returns all there are.
func Outcomes() []Outcome {
	return []Outcome{
		OutcomeOK, OutcomeUnknownUser, OutcomeWrongPassword, OutcomeDisabledUser, OutcomeUnverified, OutcomeTaken, OutcomeClosed,
		OutcomeWeakPassword, OutcomeReplaced, OutcomeWrongTicket, OutcomeFailed, OutcomeUndeliverable, OutcomeGivenUp, OutcomeLimited,
		OutcomeRepeated, OutcomeReused, OutcomeWrongToken, OutcomeDeadSession, OutcomeTooMany,
		OutcomeThis, OutcomeOthers, OutcomeAll,
	}
}

// NewEventID tells events of one moment apart, and puts those of one process in
// their order.
func NewEventID() string {
	return fmt.Sprintf("%08x%s", eventCounter.Add(1), strings.ToLower(rand.Text()[:8]))
}

var eventCounter atomic.Uint32
