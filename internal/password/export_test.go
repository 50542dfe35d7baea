package password

import "context"

// Decoy is the hash that is checked for users who have none.
func (h *Hasher) Decoy() string { return h.decoy.String() }

// Work runs f as Hash and Verify run theirs.
func (h *Hasher) Work(ctx context.Context, f func()) error { return h.work(ctx, f) }

// HoldsAny reports whether the password holds one of the words.
func HoldsAny(password string, words []string) bool { return holdsAny(password, words) }
