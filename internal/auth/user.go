package auth

import (
	"time"

	"github.com/latchkey-auth/latchkey/internal/storage"
)

// moveEpoch ends the user's sessions in one write, and those that are being opened by
// what was read of the user before.
func moveEpoch(u *storage.User, now time.Time) {
	next := u.EpochAt.Add(time.Microsecond) // it only grows, as finely as stores keep it
	if now.After(next) {
		next = now
	}
	u.Epoch, u.EpochAt = u.Epoch+1, next
}

// greeting is the name for mail to an address of the user: none before that
// address is proved, because until then a stranger may have chosen the name to
// have our mail say something.
func greeting(u storage.User, to string) string {
	if !u.EmailVerified || to != u.Email {
		return ""
	}
	return u.Name
}

const (
	maxUserID = 128 // bytes
	maxDevice = 256 // bytes
)
