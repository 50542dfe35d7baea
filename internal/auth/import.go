package auth

import (
	"context"
	"time"
)

// An ImportRecord is one user of another system, with the password hash as it
// was there.
type ImportRecord struct {
	NewUser
	PasswordHash string // empty: the user sets a password by recovery
	Disabled     bool
	CreatedAt    time.Time // zero: now
}

// Import creates the users, all of them or none. *InvalidError, ErrTaken.
func (s *Service) Import(ctx context.Context, records []ImportRecord) error {
	users := make([]User, 0, len(records))
	for _, r := range records {
		u, err := s.ImportedUser(r)
		if err != nil {
			return err
		}
		users = append(users, u)
	}
	return s.CreateImported(ctx, users)
}

// clockSkew is how far ahead the clock may be that made a record.
const clockSkew = 24 * time.Hour

// ImportedUser returns the user that Import would create of the record. It applies the
// rules of users and stores nothing. *InvalidError.
func (s *Service) ImportedUser(r ImportRecord) (User, error) {
	u, err := s.newUser(r.NewUser)
	if err != nil {
		return User{}, err
	}
	u.PasswordHash, u.Disabled = r.PasswordHash, r.Disabled
	if !r.CreatedAt.IsZero() {
		if r.CreatedAt.Unix() <= 0 || r.CreatedAt.After(s.Now().Add(clockSkew)) {
			return User{}, invalid("created_at", "must lie after 1970 and not in the future")
		}
		u.CreatedAt = r.CreatedAt.UTC().Truncate(time.Microsecond) // as stores keep it
	}
	return u, nil
}

// CreateImported creates users that [Service.ImportedUser] has returned, all of them or
// none. ErrTaken.
func (s *Service) CreateImported(ctx context.Context, users []User) error {
	if len(users) == 0 {
		return nil
	}
	b := Batch{CreateUsers: users}
	for _, u := range users {
		b.Events = append(b.Events, s.adminEvent(EventImported, u))
	}
	return s.Store.Commit(ctx, b)
}
