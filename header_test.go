package latchkey_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/latchkey-auth/latchkey"
)

// The verifier reads a header that it knows only once. What follows is checked
// all the same.
func TestKnownHeaderVouchesForNothing(t *testing.T) {
	for _, alg := range algorithms {
		v := newVerifier(t, func(cfg *latchkey.Config) { cfg.CacheSize = -1 })
		token := goodToken(alg)
		for range 2 {
			if _, err := v.Verify(t.Context(), token); err != nil {
				t.Fatalf("%s: %v", alg, err)
			}
		}
		header, rest, _ := strings.Cut(token, ".")
		payload, signature, _ := strings.Cut(rest, ".")
		for name, hostile := range map[string]string{
			"another payload":   header + "." + payload[:len(payload)-4] + "AAAA." + signature,
			"another signature": header + "." + payload + "." + strings.Repeat("A", len(signature)),
			"no signature":      header + "." + payload + ".",
		} {
			var refusal *latchkey.TokenError
			if _, err := v.Verify(t.Context(), hostile); !errors.As(err, &refusal) {
				t.Errorf("%s, %s: %v, want a refusal", alg, name, err)
			}
		}
	}
}
