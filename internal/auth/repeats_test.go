package auth_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/latchkey-auth/latchkey/internal/auth"
	"github.com/latchkey-auth/latchkey/internal/storage"
)

// counted are the counts of the lines with the kind and outcome, in their order.
func (f *fixture) counted(kind storage.EventKind, outcome storage.Outcome) []int64 {
	f.t.Helper()
	var counts []int64
	for _, e := range f.events() {
		if e.Kind == kind && e.Outcome == outcome {
			counts = append(counts, e.Count)
		}
	}
	return counts
}

func (f *fixture) wantCounted(saying string, kind storage.EventKind, outcome storage.Outcome, want ...int64) {
	f.t.Helper()
	if got := f.counted(kind, outcome); fmt.Sprint(got) != fmt.Sprint(want) {
		f.t.Errorf("%s: the lines count %v, want %v", saying, got, want)
	}
}

// TestRefusalsByLimitAreCoalesced: a client that is limited has a line at once, and
// then one a minute however much it sends; what it sent last is written when it stops.
func TestRefusalsByLimitAreCoalesced(t *testing.T) {
	f := newFixture(t, limits)
	f.addAda()
	for range 1005 { // five are looked at
		f.try("ada", "wrong password", "192.0.2.1")
	}
	f.wantCounted("at first", storage.EventLogin, storage.OutcomeLimited, 1)
	if n := len(f.events()); n != 7 {
		t.Errorf("%d events, want the user, five failures and one limit", n)
	}
	record := func(all bool) {
		t.Helper()
		if err := f.RecordRepeats(t.Context(), all); err != nil {
			t.Fatal(err)
		}
	}
	record(false)
	f.wantCounted("before the minute is over", storage.EventLogin, storage.OutcomeLimited, 1)
	f.clock.Advance(time.Minute)
	record(false)
	f.wantCounted("after a minute", storage.EventLogin, storage.OutcomeLimited, 1, 999)
	events := f.events()
	if last := events[len(events)-1]; last.UserID != "u1" || last.Address != "192.0.2.1" {
		t.Errorf("the line is %+v, want user and address", last)
	}
	f.try("ada", "wrong password", "192.0.2.1") // the wait is over: one more failure
	for range 50 {
		f.try("ada", "wrong password", "192.0.2.1")
	}
	f.wantCounted("going on", storage.EventLogin, storage.OutcomeLimited, 1, 999)
	record(true)
	f.wantCounted("at the end", storage.EventLogin, storage.OutcomeLimited, 1, 999, 50)
	record(true)
	f.wantCounted("again", storage.EventLogin, storage.OutcomeLimited, 1, 999, 50)
	f.clock.Advance(2 * time.Minute)
	record(false)
	f.clock.Advance(-2 * time.Minute)
	f.try("ada", "wrong password", "192.0.2.1")
	f.wantCounted("later", storage.EventLogin, storage.OutcomeLimited, 1, 999, 50, 1)
}

// TestOtherRefusalsAreCoalesced: no limit stands against these.
func TestOtherRefusalsAreCoalesced(t *testing.T) {
	f := newFixture(t)
	f.addAda()
	dead, alive := f.mustLogin("ada", password), f.mustLogin("ada", password)
	if err := f.LogoutByRefreshToken(t.Context(), dead.RefreshToken, auth.Client{}); err != nil {
		t.Fatal(err)
	}
	for range 100 {
		if _, err := f.Refresh(t.Context(), dead.RefreshToken, auth.Client{}); !errors.Is(err, auth.ErrInvalidToken) {
			t.Fatal(err)
		}
		if err := f.EndSession(t.Context(), f.claimsOf(alive), "nobody's", auth.Client{}); !errors.Is(err, storage.ErrNotFound) {
			t.Fatal(err)
		}
	}
	f.wantCounted("refreshes", storage.EventRefresh, storage.OutcomeDeadSession, 1)
	f.wantCounted("ends", storage.EventLogout, storage.OutcomeDeadSession, 1)
	if err := f.RecordRepeats(t.Context(), true); err != nil {
		t.Fatal(err)
	}
	f.wantCounted("refreshes", storage.EventRefresh, storage.OutcomeDeadSession, 1, 99)
	f.wantCounted("ends", storage.EventLogout, storage.OutcomeDeadSession, 1, 99)
}

// TestRefusalsAreNotLostToAFault of the store: they are written when it is there again.
func TestRefusalsAreNotLostToAFault(t *testing.T) {
	broken := &faulty{}
	f := newFixture(t, limits, withStore(broken))
	f.addAda()
	for range 15 {
		f.try("ada", "wrong password", "")
	}
	broken.fault = func(op string) error {
		if op == "Commit" {
			return fmt.Errorf("%w: full", storage.ErrUnavailable)
		}
		return nil
	}
	if err := f.RecordRepeats(t.Context(), true); !errors.Is(err, storage.ErrUnavailable) {
		t.Errorf("got %v, want ErrUnavailable", err)
	}
	broken.fault = nil
	if err := f.RecordRepeats(t.Context(), true); err != nil {
		t.Fatal(err)
	}
	f.wantCounted("in the end", storage.EventLogin, storage.OutcomeLimited, 1, 9)
}
