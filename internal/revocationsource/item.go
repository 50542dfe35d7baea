package revocationsource

import (
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"github.com/latchkey-auth/latchkey/revocation"
)

// attribute is a value as DynamoDB writes it.
type attribute struct {
	S    *string `json:",omitempty"`
	N    *string `json:",omitempty"`
	BOOL *bool   `json:",omitempty"`
}

type item map[string]attribute

func text(s string) attribute { return attribute{S: &s} }

func (it item) text(name string) string {
	if v := it[name].S; v != nil {
		return *v
	}
	return ""
}

func (it item) flag(name string) bool {
	v := it[name].BOOL
	return v != nil && *v
}

func (it item) number(name string) (int64, error) {
	v := it[name].N
	if v == nil {
		return 0, nil
	}
	n, err := strconv.ParseInt(*v, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("attribute %s: %w", name, err)
	}
	return n, nil
}

// place is a moment as sort keys of lists have it.
func place(at time.Time) string { return fmt.Sprintf("%016d", max(0, at.UnixMicro())) }

// parseLine reads a revocation as package dynamo stores it.
func parseLine(text string) (revocation.Revocation, error) {
	var line struct {
		Time                        time.Time
		UserID, SessionID, Survivor string
		Epoch, Rights               int64
		ExpiresAt                   time.Time
	}
	if err := json.Unmarshal([]byte(text), &line); err != nil {
		return revocation.Revocation{}, err
	}
	return revocation.Revocation{
		Time: line.Time, UserID: line.UserID, SessionID: line.SessionID, Survivor: line.Survivor,
		Epoch: line.Epoch, Rights: line.Rights, ExpiresAt: line.ExpiresAt,
	}, nil
}
