package auth_test

import (
	"testing"

	"github.com/latchkey-auth/latchkey/internal/auth"
)

// BenchmarkVerifyPassword is what a login cannot go below: at the default cost,
// and at the cheapest that a configuration may ask for.
func BenchmarkVerifyPassword(b *testing.B) {
	for name, cost := range map[string]auth.Argon2{"default": auth.DefaultArgon2, "cheapest": {Memory: 8, Time: 1, Threads: 1}} {
		b.Run(name, func(b *testing.B) {
			h, err := auth.NewHasher(cost)
			if err != nil {
				b.Fatal(err)
			}
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
