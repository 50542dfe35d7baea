package auth

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/latchkey-auth/latchkey/internal/attempt"
	"github.com/latchkey-auth/latchkey/internal/storage"
)

// A knownNetwork is the client's network. It is known when the user has logged in from there
// since all sessions ended last: a new password ends what whoever had the old one had made
// known. Failures from a known network count apart from those from elsewhere, so that
// strangers who guess do not keep the owner out there. Whoever guesses from there sees the
// limit that a name has which nobody has.
type knownNetwork struct {
	mark  storage.Mark // what says so; without ID: nothing is remembered
	known bool
}

const (
	// knownFor is how long a network stays known without a login.
	knownFor = 30 * 24 * time.Hour
	// knownGrain spares a login the mark of another one shortly before.
	knownGrain = 24 * time.Hour
)

// networkMark is the mark that says that the client's network is known to the user, or to
// nobody. It is empty where nothing is remembered.
func (s *Service) networkMark(user storage.User, c Client) storage.MarkID {
	if s.Limits == nil || c.Address == "" {
		return ""
	}
	// "home" is what the version before called it: its known networks stay known.
	return s.tickets.MarkID("home", fmt.Sprintf("%s %d %s", user.ID, user.EpochAt.UnixMicro(), attempt.Network(c.Address)))
}

// networkOf is what a mark says that was read; without one it has no ExpiresAt.
func (s *Service) networkOf(mark storage.Mark) knownNetwork {
	return knownNetwork{mark: mark, known: s.Now().Before(mark.ExpiresAt)}
}

// knownNetwork looks up whether the client's network is known to the user.
func (s *Service) knownNetwork(ctx context.Context, user storage.User, c Client) (knownNetwork, error) {
	id := s.networkMark(user, c)
	if id == "" {
		return knownNetwork{}, nil
	}
	mark, err := s.Store.Mark(ctx, id)
	if err != nil && !errors.Is(err, storage.ErrNotFound) {
		return knownNetwork{}, fmt.Errorf("reading known network: %w", err)
	}
	return s.networkOf(storage.Mark{ID: id, ExpiresAt: mark.ExpiresAt}), nil
}

// remember is what makes the network known from now on.
func (n knownNetwork) remember(now time.Time) []storage.Change {
	if n.mark.ID == "" || n.known && n.mark.ExpiresAt.Sub(now) > knownFor-knownGrain {
		return nil
	}
	return []storage.Change{storage.PutMark{Mark: storage.Mark{ID: n.mark.ID, ExpiresAt: now.Add(knownFor)}}}
}

// stayKnown is what keeps the network known to a user whose epoch moves, if it was.
func (s *Service) stayKnown(ctx context.Context, before, after storage.User, c Client) ([]storage.Change, error) {
	n, err := s.knownNetwork(ctx, before, c)
	if err != nil || !n.known {
		return nil, err
	}
	return s.becomeKnown(ctx, after, c)
}

// becomeKnown is what makes the client's network known to the user.
func (s *Service) becomeKnown(ctx context.Context, user storage.User, c Client) ([]storage.Change, error) {
	n, err := s.knownNetwork(ctx, user, c)
	return n.remember(s.Now()), err
}
