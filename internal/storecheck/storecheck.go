// Package storecheck is how a store says whether it is fit: what was looked at, what was
// found, and what to do about it. `latchkey store check` prints it.
package storecheck

import (
	"fmt"
	"time"
)

// A Result says how a check ended.
type Result string

const (
	OK      Result = "ok"
	Warning Result = "warning" // works, but an operator should know
	Wrong   Result = "wrong"   // something does not work, or will not
)

// A Finding is what one check has found.
type Finding struct {
	Check  string `json:"check"`
	Result Result `json:"result"`
	Found  string `json:"found"`            // a few words
	Advice string `json:"advice,omitempty"` // what to do, unless all is well
}

// Fine is the finding of a check that found nothing amiss.
func Fine(check, format string, args ...any) Finding {
	return Finding{Check: check, Result: OK, Found: fmt.Sprintf(format, args...)}
}

const (
	// slowTrip is where a login, which is up to eight round trips one after the other,
	// takes half a second for its store alone.
	slowTrip = 60 * time.Millisecond
	// The verifier's leeway for clocks is 10 s.
	clockWarning, clockWrong = 2 * time.Second, 10 * time.Second
)

// RoundTrip judges how long an operation takes.
func RoundTrip(took time.Duration) Finding {
	f := Fine("round trip", "%s", took.Round(10*time.Microsecond))
	if took > slowTrip {
		f.Result, f.Advice = Warning, "a login is six to eight round trips: run the service near its store"
	}
	return f
}

// Clock judges by how much this machine's clock is ahead of the store's, as far as that
// can be told.
func Clock(ahead, error time.Duration) Finding {
	f := Fine("clock", "as the store's, within %s", (ahead.Abs() + error).Round(100*time.Millisecond))
	if ahead.Abs() <= clockWarning {
		return f
	}
	direction := "ahead of"
	if ahead < 0 {
		direction = "behind"
	}
	f.Found = fmt.Sprintf("%s %s the store's", ahead.Abs().Round(time.Second), direction)
	f.Result, f.Advice = Warning, "set this machine's clock, or the store's, by a time server (NTP)"
	if ahead.Abs() > clockWrong {
		f.Result = Wrong
	}
	return f
}

// Failed reports whether anything is wrong.
func Failed(all []Finding) bool {
	for _, f := range all {
		if f.Result == Wrong {
			return true
		}
	}
	return false
}
