package costtest_test

import (
	"strings"
	"testing"

	"github.com/latchkey-auth/latchkey/internal/costtest"
)

// recorder notes whether a test would have failed.
type recorder struct {
	testing.TB
	failed bool
}

func (r *recorder) Helper()               {}
func (r *recorder) Errorf(string, ...any) { r.failed = true }

func TestLinear(t *testing.T) {
	text := func(n int) string { return strings.Repeat("a", n) }
	sink := 0
	once := func(s string) {
		for _, c := range []byte(s) {
			sink += int(c)
		}
	}
	square := func(s string) {
		for range len(s) {
			once(s)
		}
	}
	r := &recorder{TB: t}
	if costtest.Linear(r, 4096, text, once); r.failed {
		t.Error("what reads a text once is said to grow faster than it")
	}
	if costtest.Linear(r, 512, text, square); !r.failed {
		t.Error("what reads a text once for each letter is not found")
	}
}
