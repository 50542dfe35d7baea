package auth

import (
	"context"

	"github.com/latchkey-auth/latchkey/internal/passhash"
)

// Decoy is the hash that is checked for users who have none.
func (h *Hasher) Decoy() string { return h.decoy.String() }

// Work runs f as Hash and Verify run theirs.
func (h *Hasher) Work(ctx context.Context, f func()) error { return h.work(ctx, f) }

// Waiting is how many wait for a hash or have one made.
func (h *Hasher) Waiting() int { return len(h.queue) }

// SetCores has so many hashes made at a time.
func (h *Hasher) SetCores(n int) { h.permits = make(chan struct{}, n) }

// HashBy has every hash made by run, which calls what it is given.
func (h *Hasher) HashBy(run func(hash func())) { h.Maker = makerBy(run) }

type makerBy func(hash func())

func (run makerBy) New(cost Argon2, password string) (h passhash.Hash) {
	run(func() { h = passhash.New(cost, password) })
	return h
}

func (run makerBy) Matches(h passhash.Hash, password string) (ok bool) {
	run(func() { ok = h.Matches(password) })
	return ok
}

// Turns are turns.
type Turns struct{ turns turns }

// Take takes the turn at a user.
func (t *Turns) Take(ctx context.Context, id UserID, by string) (done func(), err error) {
	return t.turns.take(ctx, id, by)
}

// Users is at how many users somebody has the turn or waits for it.
func (t *Turns) Users() int { return len(t.turns.users) }

// HoldsOwn reports whether the password holds what everybody knows of the user.
func HoldsOwn(password string, u User) bool { return holdsOwn(password, u) }
