// Package apptest is the auth service in the process, for tests of what its requests cost
// a store.
package apptest

import (
	"encoding/base64"
	"log/slog"
	"testing"

	"github.com/latchkey-auth/latchkey/internal/app"
	"github.com/latchkey-auth/latchkey/internal/password/passhash"
	"github.com/latchkey-auth/latchkey/internal/servetest"
)

// Service opens the service on the store at the address, which is created. It has no
// background work: all that the store is asked for belongs to a request.
func Service(t testing.TB, address string) (*app.System, servetest.Service) {
	t.Helper()
	store, err := app.ParseStoreAddress(address)
	if err != nil {
		t.Fatal(err)
	}
	sys, err := app.OpenDemo(t.Context(), app.Config{
		Store: store, Data: t.TempDir(), MasterKey: app.Secret(base64.StdEncoding.EncodeToString(make([]byte, 32))), VerifyEmail: true,
		Argon2: passhash.Argon2{Memory: 64, Time: 1, Threads: 1}, Log: slog.New(slog.NewTextHandler(t.Output(), nil)),
	}, "https://auth.example.com")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { sys.Close() })
	h, err := sys.Handler()
	if err != nil {
		t.Fatal(err)
	}
	return sys, servetest.Service{Handler: h, Deliver: func() string {
		sys.DeliverNow(t.Context())
		mails, err := sys.Inbox.Messages()
		if err != nil || len(mails) == 0 {
			t.Fatalf("the inbox holds %d mails, %v", len(mails), err)
		}
		return mails[0].Text
	}}
}
