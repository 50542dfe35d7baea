package password_test

import (
	"testing"

	"github.com/latchkey-auth/latchkey/internal/password/passhash"
)

// BenchmarkVerifyPassword is what a login cannot go below: at the default cost,
// and at the cheapest that a configuration may ask for.
func BenchmarkVerifyPassword(b *testing.B) {
	for name, cost := range map[string]passhash.Argon2{"default": passhash.DefaultArgon2, "cheapest": {Memory: 8, Time: 1, Threads: 1}} {
		b.Run(name, func(b *testing.B) {
			h := newHasher(b, cost)
			hash, err := h.Hash(b.Context(), "correct horse battery")
			if err != nil {
				b.Fatal(err)
			}
			for b.Loop() {
				if ok, _, err := h.Verify(b.Context(), hash, "correct horse battery"); !ok || err != nil {
					b.Fatal(ok, err)
				}
			}
		})
	}
}
