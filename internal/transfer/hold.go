package transfer

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/latchkey-auth/latchkey/internal/storage"
)

// A Role is what a held store is of the copy.
type Role string

const (
	// Source is copied from: it can be read.
	Source Role = "source"
	// Target is copied to: what is in it is not whole, and nothing may serve from it.
	Target Role = "target"
)

// A Hold says that nobody may write to a store but the copy that it names. It ends by the
// copy, or by an operator, never by itself.
type Hold struct {
	ID    string    `json:"id"` // of the copy, in both stores
	Role  Role      `json:"role"`
	Peer  string    `json:"peer"` // the other store, without secrets
	Since time.Time `json:"since"`
	// Moved, of a source, is when all of it was in the other store: what is there now
	// counts. Zero: the copy is not finished.
	Moved time.Time `json:"moved,omitzero"`

	// Of a target: which records are left out, the place that the copy has reached in
	// the source, and the totals of what was copied so far. All: that is everything.
	Leave  storage.Moments `json:"leave,omitzero"`
	Cursor storage.Cursor  `json:"cursor,omitempty"`
	Totals Totals          `json:"totals,omitempty"`
	All    bool            `json:"all,omitempty"`
}

// String says what a process that may not write has to tell.
func (h Hold) String() string {
	since := h.Since.UTC().Format(time.DateTime) + " UTC"
	switch {
	case h.Role == Target:
		return fmt.Sprintf("it holds part of a copy of %s, begun %s: run latchkey store copy again", h.Peer, since)
	case !h.Moved.IsZero():
		return fmt.Sprintf("it was moved to %s at %s UTC; latchkey store open lets this one be written again", h.Peer, h.Moved.UTC().Format(time.DateTime))
	}
	return fmt.Sprintf("it is being copied to %s since %s; when that was interrupted, run latchkey store copy again, or latchkey store open", h.Peer, since)
}

// Encode is how stores keep a hold.
func (h Hold) Encode() string {
	text, err := json.Marshal(h)
	if err != nil {
		panic(err) // it has an encoding
	}
	return string(text)
}

// ParseHold reads what Encode writes; "" is no hold.
func ParseHold(text string) (h Hold, err error) {
	if text == "" {
		return h, nil
	}
	if err := json.Unmarshal([]byte(text), &h); err != nil {
		return h, fmt.Errorf("the hold on the store cannot be read: %w", err)
	}
	if h.ID == "" || h.Role != Source && h.Role != Target {
		return h, fmt.Errorf("the hold on the store has no id, or the unknown role %q", h.Role)
	}
	if h.Role == Target && h.Totals == nil { // of a copy that has only begun
		h.Totals = Totals{}
	}
	return h, nil
}
