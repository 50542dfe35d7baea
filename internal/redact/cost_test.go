package redact_test

import (
	"strings"
	"testing"

	"github.com/latchkey-auth/latchkey/internal/costtest"
	"github.com/latchkey-auth/latchkey/internal/redact"
)

func TestCostOfTokens(t *testing.T) {
	for _, part := range []string{"a", ".", "%", "%2e", "%25", "eyJ", "eyJ.", "eyJ/", "a.a/", "/a", "-", "é.", strings.Repeat("A", 20) + "." + strings.Repeat("A", 42) + "/"} {
		costtest.Linear(t, 2<<10, func(n int) string { return "/." + strings.Repeat(part, n/len(part)) }, func(text string) { redact.Tokens(text) })
	}
}
