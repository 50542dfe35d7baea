package storecheck_test

import (
	"testing"
	"time"

	"github.com/latchkey-auth/latchkey/internal/storecheck"
)

func TestClock(t *testing.T) {
	const second = time.Second
	for ahead, want := range map[time.Duration]storecheck.Finding{
		0:            {Check: "clock", Result: storecheck.OK, Found: "as the store's, within 500ms"},
		-2 * second:  {Check: "clock", Result: storecheck.OK, Found: "as the store's, within 2.5s"},
		3 * second:   {Check: "clock", Result: storecheck.Warning, Found: "3s ahead of the store's"},
		-10 * second: {Check: "clock", Result: storecheck.Warning, Found: "10s behind the store's"},
		11 * second:  {Check: "clock", Result: storecheck.Wrong, Found: "11s ahead of the store's"},
		-time.Hour:   {Check: "clock", Result: storecheck.Wrong, Found: "1h0m0s behind the store's"},
	} {
		got := storecheck.Clock(ahead, second/2)
		if (got.Advice == "") != (want.Result == storecheck.OK) {
			t.Errorf("%s: the advice is %q", ahead, got.Advice)
		}
		got.Advice = ""
		if got != want {
			t.Errorf("%s: got %+v, want %+v", ahead, got, want)
		}
	}
}

func TestRoundTrip(t *testing.T) {
	if f := storecheck.RoundTrip(3 * time.Millisecond); f.Result != storecheck.OK || f.Found != "3ms" || f.Advice != "" {
		t.Errorf("got %+v", f)
	}
	if f := storecheck.RoundTrip(80 * time.Millisecond); f.Result != storecheck.Warning || f.Advice == "" {
		t.Errorf("got %+v", f)
	}
}

func TestFailed(t *testing.T) {
	fine, warning := storecheck.Fine("x", "y"), storecheck.Finding{Result: storecheck.Warning}
	if storecheck.Failed([]storecheck.Finding{fine, warning}) {
		t.Error("a warning counts as wrong")
	}
	if !storecheck.Failed([]storecheck.Finding{fine, {Result: storecheck.Wrong}, fine}) {
		t.Error("what is wrong does not count")
	}
}
