package auth

import "context"

// Decoy is the hash that is checked for users who have none.
func (h *Hasher) Decoy() string { return h.decoy.String() }

// Work runs f as Hash and Verify run theirs.
func (h *Hasher) Work(ctx context.Context, f func()) error { return h.work(ctx, f) }
