package minidyn_test

import (
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/latchkey-auth/latchkey/internal/dynamo"
	"github.com/latchkey-auth/latchkey/internal/keyring"
	"github.com/latchkey-auth/latchkey/internal/limit"
	"github.com/latchkey-auth/latchkey/internal/outbox"
	"github.com/latchkey-auth/latchkey/internal/pgtest"
	"github.com/latchkey-auth/latchkey/internal/sqlstore"
	"github.com/latchkey-auth/latchkey/internal/storage"
	"github.com/latchkey-auth/latchkey/internal/transfer"
	"github.com/latchkey-auth/latchkey/internal/trial"
)

// unshared is a store that no other process works on, so that nobody has to be waited for.
type unshared struct{ transfer.Store }

func (unshared) Bounds() transfer.Bounds { return transfer.Bounds{} }

// TestTrialCopyGoesRound copies from SQLite to PostgreSQL, to DynamoDB and back to SQLite:
// what arrives is what was sent, and good. In full it is 100,000 users.
func TestTrialCopyGoesRound(t *testing.T) {
	n := trial.Of(500, 100_000)
	l, url := emulator(t)
	if trial.Full() {
		l.page = 250
	}
	openAt(t, url, "latchkey")
	// The emulator does one thing at a time: it may take longer than DynamoDB.
	table := open(t, dynamo.Config{Client: connect(t, url), Table: "latchkey", Patience: time.Minute})
	first := openSQLite(t, "first.db")
	fillForCopy(t, first, n)
	postgres, err := sqlstore.OpenPostgres(t.Context(), sqlstore.PostgresConfig{URL: pgtest.Database(t), Create: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { postgres.Close() })
	last := openSQLite(t, "last.db")
	stores := []struct {
		name string
		transfer.Store
	}{{"SQLite", first}, {"PostgreSQL", postgres}, {"DynamoDB", table}, {"SQLite again", last}}
	var before transfer.Totals
	for i := range stores[1:] {
		from, to := stores[i], stores[i+1]
		began := time.Now()
		report, err := transfer.Copy(t.Context(), transfer.Config{
			From: unshared{from}, To: unshared{to}, FromName: from.name, ToName: to.name, KeepEvents: 24 * time.Hour,
		})
		if err != nil {
			t.Fatalf("from %s to %s: %v", from.name, to.name, err)
		}
		if d := before.Difference(report.Totals); i > 0 && d != "" {
			t.Errorf("what arrived in %s and what left it: %s", from.name, d)
		}
		before = report.Totals
		t.Logf("%s to %s: %d records in %s", from.name, to.name, before.Records(), time.Since(began).Round(time.Second))
	}
	if before[transfer.Users].Count != int64(n) || before[transfer.Sessions].Count != int64(n) {
		t.Errorf("%d users and %d sessions have arrived, want %d", before[transfer.Users].Count, before[transfer.Sessions].Count, n)
	}
	for _, kind := range transfer.Kinds() {
		if before[kind].Count == 0 {
			t.Errorf("none of the %s were copied", kind)
		}
	}
	stillGood(t, last, n-1)
}

func openSQLite(t *testing.T, name string) *sqlstore.Store {
	t.Helper()
	s, err := sqlstore.Open(t.Context(), filepath.Join(t.TempDir(), name), true)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// copiedUser and copiedSession are one of many.
func copiedUser(i int) storage.User {
	return storage.User{ID: storage.UserID(fmt.Sprintf("id-%06d", i)), Username: fmt.Sprint("user", i), Email: fmt.Sprintf("user%d@example.com", i),
		PasswordHash: fmt.Sprint("$argon2id$v=19$m=19456,t=2,p=1$", i), Roles: []string{"clerk"}, CreatedAt: now, Epoch: int64(i), EpochAt: now,
		Rights: 2, Version: int64(i%5 + 1), SignInVersion: int64(i%7 + 1)}
}

func copiedSession(i int) storage.Session {
	u := copiedUser(i)
	return storage.Session{ID: storage.SessionID(fmt.Sprintf("session-%06d", i)), UserID: u.ID, Epoch: u.Epoch, Seed: []byte(u.ID), Refreshes: int64(i),
		CreatedAt: now, LastUsedAt: now, ExpiresAt: now.Add(48 * time.Hour), Device: "Firefox", Address: "192.0.2.7"}
}

// fillForCopy stores n users with a session and an event each, and some of everything.
func fillForCopy(t *testing.T, s transfer.Store, n int) {
	t.Helper()
	later := now.Add(48 * time.Hour)
	page := []transfer.Record{
		transfer.DeletedUser{ID: "gone"}, storage.Credential{Key: "passkey", UserID: "id-000000", Data: []byte{0, 1}, CreatedAt: now, Version: 3},
		storage.Ticket{ID: "link", Purpose: storage.PurposeReset, SecretHash: []byte{7}, Tries: 2, UserID: "id-000000", ExpiresAt: later},
		storage.Mark{ID: "mark", ExpiresAt: later}, outbox.Mail{ID: "mail", Sealed: []byte{1}, DueAt: now, GiveUpAt: later, Attempts: 2},
		storage.Revocation{ID: "r", Time: now, UserID: "id-000000", Epoch: 1, ExpiresAt: later},
		transfer.Count{Key: "count", Count: limit.Count{Empty: later, Last: now, Reserved: 1}},
		keyring.Record{ID: "kid", Number: 1, Algorithm: "ES256", Public: []byte("{}"), Sealed: []byte{2}, CreatedAt: now, ActiveAt: now},
	}
	for i := range n {
		page = append(page, transfer.User{User: copiedUser(i), ProfileAt: now, SignInAt: later}, copiedSession(i),
			storage.Event{ID: fmt.Sprintf("e-%06d", i), Time: now.Add(-time.Duration(i) * time.Millisecond), Kind: storage.EventLogin, Outcome: storage.OutcomeOK, UserID: copiedUser(i).ID, Count: 1})
		if len(page) > 1000 || i == n-1 {
			if err := s.Import(t.Context(), page); err != nil {
				t.Fatal(err)
			}
			page = page[:0]
		}
	}
}

// stillGood: a session can be refreshed once, a link redeemed once, and names are taken.
func stillGood(t *testing.T, s *sqlstore.Store, i int) {
	t.Helper()
	next := copiedSession(i)
	next.Refreshes++
	refresh := []storage.Change{storage.RefreshSession{Session: next}, storage.CheckEpoch{UserID: next.UserID, Epoch: next.Epoch}}
	if err := s.Commit(t.Context(), refresh...); err != nil {
		t.Errorf("a session that has gone round cannot be refreshed: %v", err)
	}
	link := storage.Ticket{ID: "link", SecretHash: []byte{7}, Tries: 2}
	if err := s.Commit(t.Context(), storage.TakeTicket{Ticket: link}); err != nil {
		t.Errorf("a link that has gone round is not good: %v", err)
	}
	for name, changes := range map[string][]storage.Change{"a session": refresh, "a link": {storage.TakeTicket{Ticket: link}}, "a name": {storage.CreateUser{User: storage.User{ID: "new", Username: "USER0"}}}} {
		if err := s.Commit(t.Context(), changes...); err == nil {
			t.Errorf("%s that has gone round was good twice", name)
		}
	}
}
