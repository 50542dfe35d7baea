package auth

import "context"

// Decoy is the hash that is checked for users who have none.
func (h *Hasher) Decoy() string { return h.decoy.String() }

// Work runs f as Hash and Verify run theirs.
func (h *Hasher) Work(ctx context.Context, f func()) error {
	_, err := h.work(ctx, func() []byte { f(); return nil })
	return err
}

// ParsePHC reads a password hash and writes it again.
func ParsePHC(s string) (string, error) {
	p, err := parsePHC(s)
	if err != nil {
		return "", err
	}
	return p.String(), nil
}
