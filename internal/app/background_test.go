package app

import (
	"errors"
	"testing"

	"github.com/latchkey-auth/latchkey/internal/outbox"
)

// What is of one mail is no fault of the work: whoever registers a mistyped address must not
// raise an alarm.
func TestQueueFaults(t *testing.T) {
	fault := errors.New("the store is away")
	ofMail := &outbox.MailError{ID: "m", Outcome: outbox.Undeliverable, Err: errors.New("550")}
	for _, c := range []struct {
		err, want error
	}{
		{nil, nil},
		{ofMail, nil},
		{errors.Join(ofMail, ofMail), nil},
		{fault, fault},
		{errors.Join(ofMail, errors.Join(fault)), fault},
	} {
		if got := queueFaults(c.err); !errors.Is(got, c.want) || c.want == nil && got != nil {
			t.Errorf("%v: %v, want %v", c.err, got, c.want)
		}
	}
}
