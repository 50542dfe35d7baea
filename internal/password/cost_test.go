package password_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/latchkey-auth/latchkey/internal/costtest"
	"github.com/latchkey-auth/latchkey/internal/password"
)

// TestCostOfRules goes up to what a password and its owner's words may have.
func TestCostOfRules(t *testing.T) {
	local := strings.Repeat("a.", 31) + "a"
	words := slices.Concat(slices.Repeat([]string{"用户"}, 85), slices.Repeat([]string{"a"}, 32),
		[]string{local + "@example.com", local, strings.Repeat("用户 ", 85), strings.Repeat("ab", 32)})
	for _, part := range []string{"a", "ab", "a.", "用户", "ﷺ", "e\u0301", "\u0301\u0316"} {
		costtest.Linear(t, 128, func(n int) string { return strings.Repeat(part, n/len(part)) }, func(chosen string) { password.HoldsAny(chosen, words) })
	}
}
