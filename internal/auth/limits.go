package auth

import (
	"context"

	"github.com/latchkey-auth/latchkey/internal/attempt"
	"github.com/latchkey-auth/latchkey/internal/limit"
	"github.com/latchkey-auth/latchkey/internal/storage"
)

// attempts says what attempts draw on.
func (s *Service) attempts() attempt.Rules {
	rules := attempt.Rules{Key: s.RefreshKey}
	if s.Limits != nil {
		rules.Limits = *s.Limits
	}
	return rules
}

// reserve takes the reservations of an attempt. An outage ends its wait. *LimitError,
// ErrUnavailable.
func (s *Service) reserve(ctx context.Context, a limit.Attempt) (*limit.Reservation, error) {
	if s.Limits == nil {
		return nil, nil
	}
	ctx, done := s.outages.Watch(ctx)
	defer done()
	return s.limiter.Reserve(ctx, a)
}

// countUnissued counts a token or link that was never issued. *LimitError.
func (s *Service) countUnissued(ctx context.Context, c Client) error {
	return s.count(ctx, s.attempts().Unissued(c.Address))
}

// count has an attempt count that needs no work. *LimitError.
func (s *Service) count(ctx context.Context, a limit.Attempt) error {
	reservation, err := s.reserve(ctx, a)
	if err != nil {
		return err
	}
	defer reservation.Release()
	return reservation.Failed(ctx)
}

// notified makes the attempt one that tells the user by mail, where that is possible.
func (s *Service) notified(a limit.Attempt, user storage.User) limit.Attempt {
	if s.SendsMail && user.Email != "" {
		return s.attempts().Notified(a, user.ID)
	}
	return a
}
