package opaque_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/latchkey-auth/latchkey/internal/opaque"
)

// FuzzParse: what is taken has one spelling, and is within its bounds.
func FuzzParse(f *testing.F) {
	secret := strings.Repeat("A", 43)
	f.Add("x." + secret)
	f.Add(strings.Repeat("x", 64) + "." + secret)
	f.Add(strings.Repeat("x", 65) + "." + secret)
	f.Add("x." + strings.Repeat("A", 42) + "B")
	f.Add("x.A\n" + strings.Repeat("A", 42))
	f.Add("." + secret)
	f.Fuzz(func(t *testing.T, token string) {
		id, secret, ok := opaque.Parse(token)
		if !ok {
			return
		}
		if opaque.Format(id, secret) != token {
			t.Errorf("%q is another spelling of %q", token, opaque.Format(id, secret))
		}
		if id == "" || len(id) > opaque.MaxID || len(secret) != 32 || len(token) > opaque.MaxToken {
			t.Errorf("%q has an id of %d bytes and a secret of %d", token, len(id), len(secret))
		}
	})
}

func TestParse(t *testing.T) {
	secret := bytes.Repeat([]byte{7}, 32)
	long := strings.Repeat("x", opaque.MaxID)
	for token, want := range map[string]bool{
		opaque.Format("x", secret):                   true,
		opaque.Format(long, secret):                  true,
		opaque.Format(long+"x", secret):              false,
		opaque.Format("", secret):                    false,
		opaque.Format("x", secret[1:]):               false,
		opaque.Format("x", secret) + "=":             false,
		opaque.Encode(secret):                        false,
		"x." + strings.Repeat("A", 42) + "B":         false, // bits beyond the last byte
		"x.\n" + opaque.Encode(secret):               false,
		opaque.Format("x", secret) + "." + "another": false,
	} {
		if _, _, ok := opaque.Parse(token); ok != want {
			t.Errorf("%q: taken %v, want %v", token, ok, want)
		}
	}
}
