package bearer_test

import (
	"strings"
	"testing"

	"github.com/latchkey-auth/latchkey/internal/bearer"
	"github.com/latchkey-auth/latchkey/internal/costtest"
)

func TestCostOfToken(t *testing.T) {
	for _, part := range []string{"a", " ", ",", "\t", " a", "Bearer "} {
		costtest.Linear(t, 4<<10, func(n int) string { return "Bearer " + strings.Repeat(part, n/len(part)) }, func(value string) { bearer.Token(value) })
	}
}
