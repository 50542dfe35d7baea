package app_test

import (
	"log/slog"
	"strings"
	"testing"

	"github.com/latchkey-auth/latchkey/internal/app"
	"github.com/latchkey-auth/latchkey/internal/gateway"
	"github.com/latchkey-auth/latchkey/internal/password/passhash"
)

// TestLocalAuthTakesAScheduledEvent: the function that `latchkey invoke auth` calls does the
// background work for it, as on Lambda.
func TestLocalAuthTakesAScheduledEvent(t *testing.T) {
	sys, err := app.OpenDemo(t.Context(), app.Config{
		Data: app.Memory, Argon2: passhash.Argon2{Memory: 64, Time: 1, Threads: 1}, VerifyEmail: true, Log: slog.New(slog.DiscardHandler),
	}, "http://127.0.0.1:4000")
	if err != nil {
		t.Fatal(err)
	}
	defer sys.Close()
	table, err := gateway.NewTable([]gateway.Route{{Method: "GET", Path: "/", To: "f"}})
	if err != nil {
		t.Fatal(err)
	}
	functions, err := sys.Functions(table, nil)
	if err != nil {
		t.Fatal(err)
	}
	delivered := func() int {
		mails, err := sys.Inbox.Messages()
		if err != nil {
			t.Fatal(err)
		}
		return len(mails)
	}
	const register = `{"httpMethod":"POST","path":"/register","headers":{"Content-Type":"application/json"},"body":"{\"email\":\"ada@example.com\",\"password\":\"correct horse battery\"}"}`
	if got, err := functions["auth"](t.Context(), []byte(register)); err != nil || !strings.Contains(string(got), `"statusCode":202`) || delivered() != 0 {
		t.Fatalf("registering: %s, %v, with %d mails delivered", got, err, delivered())
	}
	got, err := functions["auth"](t.Context(), []byte(`{"version":"0","detail-type":"Scheduled Event","source":"aws.events","detail":{}}`))
	if err != nil || string(got) != "null" || delivered() != 1 {
		t.Errorf("the schedule's event: %s, %v, with %d mails delivered", got, err, delivered())
	}
}
