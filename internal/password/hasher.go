package password

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/latchkey-auth/latchkey/internal/password/passhash"
)

// ErrBusy: all hashing permits are taken, and the queue is full or does not move.
// Try later.
var ErrBusy = errors.New("too many passwords are being checked")

// RetryAfterBusy is what a caller turned away with ErrBusy should wait.
const RetryAfterBusy = 2 * time.Second

// Hasher hashes and checks passwords, a few at a time, with a bounded queue behind
// them: memory and latency stay bounded however many people log in.
type Hasher struct {
	// Maker makes every hash, in this process unless it is set.
	Maker Maker

	cost    passhash.Argon2
	decoy   passhash.Hash
	permits chan struct{} // held for as long as a hash is made
	queue   chan struct{} // waiting or working
}

// A Maker makes and checks password hashes, as passhash does.
type Maker interface {
	New(cost passhash.Argon2, password string) passhash.Hash
	Matches(hash passhash.Hash, password string) bool
}

// inProcess makes hashes in this process.
type inProcess struct{}

func (inProcess) New(cost passhash.Argon2, password string) passhash.Hash {
	return passhash.New(cost, password)
}

func (inProcess) Matches(hash passhash.Hash, password string) bool { return hash.Matches(password) }

const (
	// queuePerCore bounds the wait: at 34 ms a hash, 64 in line per core wait about
	// two seconds.
	queuePerCore = 64
	// queueWait bounds it where other programs keep the cores busy: a client that is
	// sent away knows more than one that is cut off. A server has 15 s to answer, and
	// a request may need two hashes, after a wait of 5 s for its limits.
	queueWait = 4 * time.Second
)

// The decoy's salt and key belong to no password. Compiled in, because hashing
// at start would cost every start 34 ms.
const (
	decoySalt = "0DuMQpbGRSBPgcWxTTEA5g"
	decoyKey  = "ZkFpU2l4dGVlbkJ5dGVzT2ZOb3RoaW5nQXRBbGwhISE"
)

// NewHasher returns a hasher of the given cost that makes as many hashes at a time
// as it may use cores.
func NewHasher(cost passhash.Argon2, cores int) (*Hasher, error) {
	if _, err := passhash.ParseArgon2(cost.String()); err != nil {
		return nil, err
	}
	decoy, err := passhash.Parse("$argon2id$v=19$" + cost.String() + "$" + decoySalt + "$" + decoyKey)
	if err != nil {
		return nil, fmt.Errorf("decoy hash: %w", err)
	}
	return &Hasher{
		Maker:   inProcess{},
		cost:    cost,
		decoy:   decoy,
		permits: make(chan struct{}, cores),
		queue:   make(chan struct{}, cores*(1+queuePerCore)),
	}, nil
}

// Hash returns the PHC string of the password, or ErrBusy.
func (h *Hasher) Hash(ctx context.Context, password string) (string, error) {
	var made passhash.Hash
	err := h.work(ctx, func() { made = h.Maker.New(h.cost, password) })
	return made.String(), err
}

// Verify checks the password against a stored hash and says whether the hash is
// weaker than what Hash makes now. An empty hash stands for "no such user or no
// password": the decoy is checked, at the same cost, and never matches. ErrBusy.
func (h *Hasher) Verify(ctx context.Context, hash, password string) (ok, weak bool, err error) {
	p := h.decoy
	if hash != "" {
		if p, err = passhash.Parse(hash); err != nil {
			return false, false, fmt.Errorf("reading stored hash: %w", err)
		}
	}
	var matched bool
	if err := h.work(ctx, func() { matched = h.Maker.Matches(p, password) }); err != nil {
		return false, false, err
	}
	return matched && hash != "", p.WeakerThan(h.cost), nil
}

// Waiting is how many callers wait for a hash or have one made.
func (h *Hasher) Waiting() int { return len(h.queue) }

// work runs f on one of the permits. A caller whose ctx ends leaves the queue,
// but not f once it runs: otherwise impatient clients could start any number of
// hashes.
func (h *Hasher) work(ctx context.Context, f func()) error {
	select {
	case h.queue <- struct{}{}:
	default:
		return ErrBusy
	}
	defer func() { <-h.queue }()
	select {
	case h.permits <- struct{}{}:
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(queueWait):
		return ErrBusy
	}
	defer func() { <-h.permits }()
	f()
	return nil
}
