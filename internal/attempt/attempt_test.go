package attempt_test

import (
	"bytes"
	"slices"
	"testing"

	"github.com/latchkey-auth/latchkey/internal/attempt"
	"github.com/latchkey-auth/latchkey/internal/limit"
	"github.com/latchkey-auth/latchkey/internal/storage"
)

var rules = attempt.Rules{Limits: attempt.DefaultLimits, Key: bytes.Repeat([]byte{1}, 32)}

func TestNetwork(t *testing.T) {
	for address, want := range map[string]string{
		"192.0.2.1":              "192.0.2.1",
		"::ffff:192.0.2.1":       "192.0.2.1",
		"2001:db8:1:2:3:4:5:6":   "2001:db8:1:2::/64",
		"2001:db8:1:2::9%eth0":   "2001:db8:1:2::/64",
		"":                       "",
		"what a proxy has added": "what a proxy has added",
	} {
		if got := attempt.Network(address); got != want {
			t.Errorf("%q is of the network %q, want %q", address, got, want)
		}
	}
}

// keys are those of buckets, each once.
func keys(all ...limit.Bucket) map[string]bool {
	set := make(map[string]bool)
	for _, b := range all {
		set[b.Key] = true
	}
	return set
}

// TestKnownNetworksShareNoBucket: nothing that strangers fill holds up a login from a
// network that the account knows. Its failures raise the alarm, and count for the network.
func TestKnownNetworksShareNoBucket(t *testing.T) {
	account := attempt.Account(storage.User{ID: "u1", PasswordHash: "h"}, "ada")
	for _, address := range []string{"192.0.2.1", "2001:db8::1", ""} {
		stranger := rules.Login(account, "mark", address)
		known := stranger.Marked.Attempt
		of := keys(stranger.Hold...)
		for _, b := range append(known.Hold, *stranger.Total, *stranger.Reserve) {
			if of[b.Key] {
				t.Errorf("from %q: one bucket is of both", address)
			}
		}
		if known.Total != nil || known.Reserve != nil {
			t.Errorf("from %q: a known network is held to what all strangers fail", address)
		}
		if known.Alarm == nil || known.Alarm != stranger.Alarm || known.Network != stranger.Network {
			t.Errorf("from %q: a known network has another alarm or another share of places", address)
		}
		if networks := stranger.Hold[1:]; !slices.Equal(known.Count, networks) {
			t.Errorf("from %q: a known network counts in %v, want %v", address, known.Count, networks)
		}
	}
}

// TestTheAlarmIsSpread: over its parts, which together hold what the whole does.
func TestTheAlarmIsSpread(t *testing.T) {
	parts := make(map[string]limit.Limit)
	for range 1000 {
		alarm := rules.Login("id u1", "", "192.0.2.1").Alarm
		parts[alarm.Key] = alarm.Limit
	}
	if len(parts) != attempt.AlarmParts {
		t.Errorf("the alarm has %d parts, want %d", len(parts), attempt.AlarmParts)
	}
	whole := attempt.DefaultLimits.Alarm
	for _, part := range parts {
		if part.Free != whole.Free/attempt.AlarmParts || part.Fade != whole.Fade*attempt.AlarmParts {
			t.Errorf("a part is %+v, of %+v", part, whole)
		}
	}
	small := attempt.Rules{Limits: attempt.Limits{Alarm: limit.Limit{Free: 1, Fade: whole.Fade}}, Key: rules.Key}
	if free := small.Mail("ada@example.com", "192.0.2.1").Alarm.Limit.Free; free != 1 {
		t.Errorf("a part of a small alarm has %d free, want 1", free)
	}
	if (attempt.Rules{Key: rules.Key}).Unissued("192.0.2.1").Alarm != nil {
		t.Error("there is an alarm where there is no limit")
	}
}

// TestAccount: spellings of a name are one account, and a new password is another.
func TestAccount(t *testing.T) {
	for name, c := range map[string]struct {
		a, b string
		same bool
	}{
		"spellings of a username":  {attempt.Account(storage.User{}, "Nobody"), attempt.Account(storage.User{}, "nobody"), true},
		"spellings of an address":  {attempt.Account(storage.User{}, "A@Example.com"), attempt.Account(storage.User{}, "a@example.com"), true},
		"names of a user":          {attempt.Account(storage.User{ID: "u1"}, "ada"), attempt.Account(storage.User{ID: "u1"}, "ada@example.com"), true},
		"another name":             {attempt.Account(storage.User{}, "nobody"), attempt.Account(storage.User{}, "somebody"), false},
		"a user, and nobody":       {attempt.Account(storage.User{ID: "u1"}, "ada"), attempt.Account(storage.User{}, "ada"), false},
		"before and after a reset": {attempt.Account(storage.User{ID: "u1", PasswordHash: "a"}, "ada"), attempt.Account(storage.User{ID: "u1", PasswordHash: "b"}, "ada"), false},
	} {
		if (c.a == c.b) != c.same {
			t.Errorf("%s: %q and %q, want the same: %v", name, c.a, c.b, c.same)
		}
	}
}
