package auth

import "context"

// Decoy is the hash that is checked for users who have none.
func (h *Hasher) Decoy() string { return h.decoy.String() }

// Work runs f as Hash and Verify run theirs.
func (h *Hasher) Work(ctx context.Context, f func()) error { return h.work(ctx, f) }

// Waiting is how many wait for a hash or have one made.
func (h *Hasher) Waiting() int { return len(h.queue) }
