package main

import (
	"bytes"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestTalk: one line for a request, in columns, and nothing that a client sends
// moves the cursor.
func TestTalk(t *testing.T) {
	var out bytes.Buffer
	log := slog.New(&talker{mu: new(sync.Mutex), w: &out})
	request := func(level slog.Level, attrs ...any) { log.Log(t.Context(), level, "request", attrs...) }
	request(slog.LevelInfo, "request_id", "1", "method", "GET", "path", "/orders/7", "status", 200, "duration_ms", 3.551, "authorizer", "cached", "sub", "543234")
	request(slog.LevelInfo, "method", "OPTIONS", "path", "/orders", "status", 204, "duration_ms", 0.04)
	request(slog.LevelInfo, "method", "GET", "path", "/private", "status", 401, "duration_ms", 12.0, "gateway_response", "UNAUTHORIZED")
	request(slog.LevelError, "method", "GET", "path", "/down\x1b[2J", "status", 502, "duration_ms", 1500.0, "gateway_response", "INTEGRATION_FAILURE", "error", "boom\r\nGET /forged 200")
	log.With("service", "x").Warn("mail waits", "error", "no route\x1b")
	log.Debug("not shown")
	const want = `GET     /orders/7              200   3.6ms  543234 (cached)
OPTIONS /orders                204   0.0ms
GET     /private               401  12.0ms  UNAUTHORIZED
GET     "/down\x1b[2J"         502 1500.0ms  INTEGRATION_FAILURE
error: "boom\r\nGET /forged 200"
warn: mail waits  service: x  error: "no route\x1b"
`
	var got strings.Builder
	for line := range strings.Lines(out.String()) {
		stamp, rest, _ := strings.Cut(line, " ")
		if _, err := time.Parse(time.TimeOnly, stamp); err != nil && stamp != "" {
			t.Errorf("%q begins without a time", line)
		}
		got.WriteString(strings.TrimLeft(rest, " "))
	}
	if diff := cmp.Diff(want, got.String()); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}
