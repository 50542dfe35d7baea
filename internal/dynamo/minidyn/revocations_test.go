package minidyn_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/latchkey-auth/latchkey"
	"github.com/latchkey-auth/latchkey/internal/revocationsource"
	"github.com/latchkey-auth/latchkey/internal/storage"
	"github.com/latchkey-auth/latchkey/revocation"
)

// TestRevocationsOfTheTable: the authorizer's own client of DynamoDB reads what the store
// has written, by following and by looking up.
func TestRevocationsOfTheTable(t *testing.T) {
	_, url := emulator(t)
	store := openAt(t, url, "latchkey")
	now := time.Now().UTC()
	source, err := revocationsource.Open(revocationsource.Config{
		Address: "dynamodb://latchkey?endpoint=" + url,
		Getenv: func(name string) string {
			return map[string]string{"AWS_REGION": "eu-central-1", "AWS_ACCESS_KEY_ID": "id", "AWS_SECRET_ACCESS_KEY": "secret"}[name]
		},
		Now: func() time.Time { return now },
	})
	if err != nil {
		t.Fatal(err)
	}
	commit := func(changes ...storage.Change) {
		t.Helper()
		if err := store.Commit(t.Context(), changes...); err != nil {
			t.Fatal(err)
		}
	}
	line := func(id string, at time.Time, r storage.Revocation) storage.Change {
		r.ID, r.Time, r.ExpiresAt = id, at, at.Add(24*time.Hour)
		return storage.AppendRevocation{Revocation: r}
	}
	user := storage.User{ID: "u", Username: "ada", Epoch: 1, Rights: 2, EpochAt: now.Add(-time.Hour), CreatedAt: now, UpdatedAt: now}
	session := func(id string, epoch int64) storage.Change {
		return storage.CreateSession{Session: storage.Session{ID: storage.SessionID(id), UserID: "u", Epoch: epoch, Seed: []byte("seed"), CreatedAt: now, LastUsedAt: now, ExpiresAt: now.Add(time.Hour)}}
	}
	commit(storage.CreateUser{User: user}, session("good", 1), session("older", 0), session("gone", 1))
	all := make(map[string]storage.Revocation)
	for n := range 30 { // over two days and every shard
		id := fmt.Sprint("s", n)
		all[id] = storage.Revocation{UserID: "u", SessionID: storage.SessionID(id)}
		commit(line(id, now.Add(-time.Duration(n)*40*time.Minute), all[id]))
	}
	commit(line("epoch", now, storage.Revocation{UserID: "v", Epoch: 4, Rights: 1, Survivor: "mine"}))

	page, err := source.Revocations(t.Context(), "")
	if err != nil || page.More || len(page.Revocations) != 31 {
		t.Fatalf("got %d, %v; want 31 on one page", len(page.Revocations), err)
	}
	for _, r := range page.Revocations {
		if r.UserID == "v" && (r.Epoch != 4 || r.Rights != 1 || r.Survivor != "mine" || r.Time.UnixMicro() != now.UnixMicro() || r.ExpiresAt.UnixMicro() != now.Add(24*time.Hour).UnixMicro()) {
			t.Errorf("got %+v", r)
		}
	}
	now = now.Add(10 * time.Second)
	commit(line("late", now.Add(-65*time.Second), storage.Revocation{UserID: "u", SessionID: "late"}))
	page, err = source.Revocations(t.Context(), page.Next)
	told := make(map[string]bool)
	for _, r := range page.Revocations {
		told[r.SessionID] = true
	}
	if err != nil || !told["late"] || !told["s0"] || told["s2"] || len(page.Revocations) != 3 {
		t.Errorf("the next look: %v, %v", told, err)
	}

	claims := func(sid string, rights int64) latchkey.Claims {
		return latchkey.Claims{Subject: "u", SessionID: sid, Epoch: 1, Rights: rights, IssuedAt: now, ExpiresAt: now.Add(time.Hour)}
	}
	old := func(sub string, issued time.Duration) latchkey.Claims {
		return latchkey.Claims{Subject: sub, Epoch: -1, Rights: -1, IssuedAt: now.Add(issued), ExpiresAt: now.Add(time.Hour)}
	}
	want := func(saying string, c latchkey.Claims, want bool) {
		t.Helper()
		if ended, err := source.Ended(t.Context(), c); err != nil || ended != want {
			t.Errorf("%s: ended %v, %v; want %v", saying, ended, err, want)
		}
	}
	want("a good token", claims("good", 2), false)
	want("rights that were taken away", claims("good", 1), true)
	want("a session of an earlier epoch", claims("older", 2), true)
	want("a session that is not there", claims("nowhere", 2), true)
	stranger := claims("good", 2)
	stranger.Subject = "w"
	want("another user's session", stranger, true)
	want("an old token of before the epoch moved", old("u", -2*time.Hour), true)
	want("an old token of after", old("u", 0), false)
	want("an old token of nobody who was imported", old("nobody", 0), false)
	gone, _, err := store.SessionUser(t.Context(), "gone")
	if err != nil {
		t.Fatal(err)
	}
	gone.EndedAt = now
	commit(storage.EndSession{Session: gone})
	want("a session that was ended", claims("gone", 2), true)

	f, err := revocation.New(revocation.Config{Source: source, Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Check(t.Context(), claims("s7", 2)); !errors.Is(err, latchkey.ErrInvalidToken) {
		t.Errorf("who follows: %v", err)
	}
	if err := f.Check(t.Context(), claims("good", 2)); err != nil {
		t.Errorf("who follows, a good token: %v", err)
	}
	before, err := store.User(t.Context(), "u")
	if err != nil {
		t.Fatal(err)
	}
	disabled := before
	disabled.Disabled = true
	commit(storage.UpdateUser{Old: before, New: disabled})
	want("a disabled user", claims("good", 2), true)
	want("an old token of a disabled user", old("u", 0), true)
	after, err := store.User(t.Context(), "u")
	if err != nil {
		t.Fatal(err)
	}
	commit(storage.DeleteUser{User: after})
	want("a deleted user", claims("good", 2), true)
	want("an old token of a deleted user", old("u", 0), true)
}
