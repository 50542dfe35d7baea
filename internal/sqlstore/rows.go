package sqlstore

import (
	"time"

	"github.com/latchkey-auth/latchkey/internal/auth"
)

type row interface{ Scan(dest ...any) error }

func scanUser(r row) (auth.User, error) {
	var u auth.User
	fields := &fieldList{}
	fields.user(&u)
	err := fields.scan(r)
	return u, err
}

func scanSession(r row) (auth.Session, error) {
	var e auth.Session
	fields := &fieldList{}
	fields.session(&e)
	err := fields.scan(r)
	return e, err
}

func scanEvent(r row) (auth.Event, error) {
	var e auth.Event
	fields := &fieldList{}
	fields.add(&e.Number)
	fields.time(&e.Time)
	fields.add(&e.Kind, &e.Outcome, &e.UserID, &e.SessionID, &e.RequestID, &e.Address, &e.Device, &e.Count)
	err := fields.scan(r)
	return e, err
}

// fieldList collects where columns go, and the moments that need converting.
type fieldList struct {
	dest  []any
	times []*time.Time
	raw   [16]int64
}

func (f *fieldList) add(dest ...any) { f.dest = append(f.dest, dest...) }

func (f *fieldList) time(t *time.Time) {
	f.dest = append(f.dest, &f.raw[len(f.times)])
	f.times = append(f.times, t)
}

func (f *fieldList) scan(r row) error {
	if err := r.Scan(f.dest...); err != nil {
		return err
	}
	for i, t := range f.times {
		*t = moment(f.raw[i])
	}
	return nil
}

func (f *fieldList) user(u *auth.User) {
	f.add(&u.ID, &u.Username, &u.Email, &u.Name, &u.Scope, &u.PasswordHash, &u.Disabled)
	f.time(&u.CreatedAt)
	f.time(&u.UpdatedAt)
	f.time(&u.SessionsFrom)
	f.add(&u.EmailVerified, &u.PendingEmail, &u.Version)
}

func (f *fieldList) session(s *auth.Session) {
	f.add(&s.ID, &s.UserID, &s.RefreshHash, &s.PreviousHash)
	f.time(&s.RotatedAt)
	f.add(&s.Rotations, &s.Device, &s.Address)
	f.time(&s.CreatedAt)
	f.time(&s.Since)
	f.time(&s.LastUsedAt)
	f.time(&s.ExpiresAt)
	f.time(&s.EndedAt)
	f.add(&s.Version)
}

// micros and moment convert between time.Time and the database; the zero time
// is 0.
func micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

func moment(us int64) time.Time {
	if us == 0 {
		return time.Time{}
	}
	return time.UnixMicro(us).UTC()
}
