package app

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/latchkey-auth/latchkey/internal/outbox"
)

// A failure of one mail is no failure of the work: a registration with a mistyped address
// must not raise an alarm.
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

// TestMaintainGoesOn: a work that fails keeps no other from being done, and is named.
func TestMaintainGoesOn(t *testing.T) {
	fault, done := errors.New("the store is away"), 0
	fail := func(context.Context) error { return fault }
	do := func(context.Context) error { done++; return nil }
	err := maintain(t.Context(), work{doing: "delivering mail", do: fail}, work{doing: "purging", do: do}, work{do: do})
	if !errors.Is(err, fault) || err.Error() != "delivering mail: the store is away" || done != 2 {
		t.Errorf("%d others were done, error %v", done, err)
	}
}

// TestWorkOfAServer: a server does a work at once, at its interval and at a signal, says what
// fails, and gives what is under way its time when it ends.
func TestWorkOfAServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		s := &System{Storage: &Storage{cfg: Config{Log: slog.New(slog.NewTextHandler(&log, nil))}}}
		ctx, end := context.WithCancel(t.Context())
		signal := make(chan struct{}, 1)
		began := time.Now()
		var times []time.Duration
		var abandoned time.Time
		stopped := make(chan struct{})
		go func() {
			defer close(stopped)
			s.repeat(ctx, work{doing: "trying", every: time.Minute, signal: signal, grace: 5 * time.Second, do: func(ctx context.Context) error {
				times = append(times, time.Since(began))
				if len(times) < 4 {
					return errors.New("no luck")
				}
				<-ctx.Done()
				abandoned = time.Now()
				return ctx.Err()
			}})
		}()
		time.Sleep(70 * time.Second)
		signal <- struct{}{}
		time.Sleep(time.Minute)
		end()
		ended := time.Now()
		<-stopped
		if want := []time.Duration{0, 60 * time.Second, 70 * time.Second, 120 * time.Second}; !slices.Equal(times, want) {
			t.Errorf("done at %v, want %v", times, want)
		}
		if got := abandoned.Sub(ended); got != 5*time.Second {
			t.Errorf("it had %s to finish, want 5s", got)
		}
		if n := strings.Count(log.String(), `msg="background work failed" error="trying: no luck"`); n != 3 || strings.Count(log.String(), "\n") != 3 {
			t.Errorf("the log says %s", &log)
		}
	})
}
