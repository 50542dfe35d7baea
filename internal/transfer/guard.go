package transfer

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/latchkey-auth/latchkey/internal/keyring"
	"github.com/latchkey-auth/latchkey/internal/limit"
	"github.com/latchkey-auth/latchkey/internal/storage"
)

// Ports are those of a whole store.
type Ports interface {
	storage.Store
	storage.Loader
	limit.Counters
	keyring.Store
	Store
}

// A Guard is a store that is not written to while it is held. Before a write it looks at
// the hold, unless it has done so within [Bounds].Look, and refuses with
// storage.ErrUnavailable. Reads go on.
//
// Nothing but the look stands in the way of a write. A process that is stopped between the
// two, for longer than Bounds, writes once more when it goes on. [Copy] reads the source
// twice, and fails when it differs.
type Guard struct {
	Ports
	now  func() time.Time
	look time.Duration

	mu     sync.Mutex // held during a look
	looked time.Time  // zero: never
	hold   Hold
}

// NewGuard guards a store. now is time.Now when it is nil.
func NewGuard(s Ports, now func() time.Time) *Guard {
	if now == nil {
		now = time.Now
	}
	return &Guard{Ports: s, now: now, look: s.Bounds().Look}
}

// ErrHeld: the store is not to be written to. It comes with storage.ErrUnavailable.
var ErrHeld = errors.New("the store is read-only")

// Look returns the hold, as it was within Bounds.Look. It goes on when ctx ends, as writes
// do.
func (g *Guard) Look(ctx context.Context) (Hold, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if now := g.now(); g.looked.IsZero() || age(g.looked, now) >= g.look {
		h, err := g.Ports.Hold(context.WithoutCancel(ctx))
		if err != nil {
			return h, fmt.Errorf("looking whether the store may be written to: %w", err)
		}
		g.looked, g.hold = now, h // as old as the moment before reading it
	}
	return g.hold, nil
}

// writable is called before each write.
func (g *Guard) writable(ctx context.Context) error {
	h, err := g.Look(ctx)
	if err == nil && h.ID != "" {
		err = fmt.Errorf("%w: %w: %s", storage.ErrUnavailable, ErrHeld, h)
	}
	return err
}

// age goes by the wall clock and by the monotonic one, whichever says more: a frozen
// process stops the one, and an operator may set the other.
func age(then, now time.Time) time.Duration {
	return max(now.Sub(then), now.Round(0).Sub(then.Round(0)).Abs())
}

// Commit is refused while the store is held, like all that follow.
func (g *Guard) Commit(ctx context.Context, changes ...storage.Change) error {
	if err := g.writable(ctx); err != nil {
		return err
	}
	return g.Ports.Commit(ctx, changes...)
}

// loadAtOnce is how many users are taken in after one look.
const loadAtOnce = 250

// LoadUsers looks again and again: it may take long.
func (g *Guard) LoadUsers(ctx context.Context, users []storage.LoadedUser) (stored []bool, err error) {
	for chunk := range slices.Chunk(users, loadAtOnce) {
		if err := g.writable(ctx); err != nil {
			return nil, err
		}
		some, err := g.Ports.LoadUsers(ctx, chunk)
		if err != nil {
			return nil, err
		}
		stored = append(stored, some...)
	}
	return stored, nil
}

func (g *Guard) Take(ctx context.Context, takes []limit.Take) (bool, error) {
	if err := g.writable(ctx); err != nil {
		return false, err
	}
	return g.Ports.Take(ctx, takes)
}

func (g *Guard) Settle(ctx context.Context, given, kept, counted []limit.Take) error {
	if err := g.writable(ctx); err != nil {
		return err
	}
	return g.Ports.Settle(ctx, given, kept, counted)
}

func (g *Guard) AddKey(ctx context.Context, r keyring.Record, replaced []keyring.Record) error {
	if err := g.writable(ctx); err != nil {
		return err
	}
	return g.Ports.AddKey(ctx, r, replaced)
}

func (g *Guard) Purge(ctx context.Context, before storage.Moments) error {
	if err := g.writable(ctx); err != nil {
		return err
	}
	return g.Ports.Purge(ctx, before)
}

// Ping says whether the store can be written to.
func (g *Guard) Ping(ctx context.Context) error {
	if err := g.writable(ctx); err != nil {
		return err
	}
	return g.Ports.Ping(ctx)
}
