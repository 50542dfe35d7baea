package passhash_test

import (
	"strings"
	"testing"

	"github.com/latchkey-auth/latchkey/internal/costtest"
	"github.com/latchkey-auth/latchkey/internal/password/passhash"
)

// TestCostOfParse goes up to what is read at all; what is longer is refused by its
// length.
func TestCostOfParse(t *testing.T) {
	for before, parts := range map[string][]string{
		"": {"$", "a", "{CRYPT}", "argon2$", "\x00"}, "$argon2id$": {"$", ",m=8"}, "$argon2id$v=19$m=8,t=1,p=1$": {"$", "A"},
		"$2b$": {"$", "1"}, "$pbkdf2-sha512$i=1$": {"A="}, "{SSHA}": {"A"}, "{CRYPT}": {"{CRYPT}"}, "$6$": {"a", "$"}, "$scrypt$": {"1"},
	} {
		for _, part := range parts {
			costtest.Linear(t, 1000, func(n int) string { return before + strings.Repeat(part, n/len(part)) }, func(text string) { passhash.Parse(text) })
		}
	}
}

func TestCostOfNormalize(t *testing.T) {
	for _, part := range []string{"a", "é", "e\u0301", "\u0301", "\u0301\u0316", "ﷺ", "각", "\u1100\u1161\u11a8", "用", "\xff"} {
		costtest.Linear(t, 2<<10, func(n int) string { return "a" + strings.Repeat(part, n/len(part)) }, func(text string) { passhash.Normalize(text) })
	}
}
