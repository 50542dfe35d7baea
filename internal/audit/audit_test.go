package audit_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/latchkey-auth/latchkey/internal/audit"
	"github.com/latchkey-auth/latchkey/internal/storage"
)

// A trail counts the lines that are written.
type trail int

func (n *trail) Commit(_ context.Context, changes ...storage.Change) error {
	*n += trail(len(changes))
	return nil
}

// TestRefusalsOfManyKeysAreBounded: so many keys are remembered, and what there is
// beyond them is counted together.
func TestRefusalsOfManyKeysAreBounded(t *testing.T) {
	const keys = 10_000
	start := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	var written trail
	r := audit.NewRepeats(&written, nil)
	record := func(key string, at time.Time) {
		t.Helper()
		if err := r.Record(t.Context(), key, storage.Event{Time: at, Kind: storage.EventLogin}); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 2 * keys {
		record(fmt.Sprint(i), start)
	}
	if written != keys+1 || r.Keys() != keys+1 {
		t.Errorf("%d are written and %d keys remembered, want %d of each", written, r.Keys(), keys+1)
	}
	record("x", start.Add(time.Minute))
	if r.Keys() != 2 { // it, and the one with a number
		t.Errorf("%d keys are remembered after a minute, want 2", r.Keys())
	}
}
