package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/latchkey-auth/latchkey/internal/sqlstore"
	"github.com/latchkey-auth/latchkey/internal/storage"
	"github.com/latchkey-auth/latchkey/internal/transfer"
)

// fillStore stores n users with a session and an event each.
func fillStore(t testing.TB, s transfer.Store, n int) {
	t.Helper()
	at := time.Now().UTC().Truncate(time.Second)
	const atOnce = 1000
	for begin := 0; begin < n; begin += atOnce {
		var page []transfer.Record
		for i := begin; i < min(begin+atOnce, n); i++ {
			u := storage.User{ID: storage.UserID(fmt.Sprintf("id-%07d", i)), Username: fmt.Sprint("user", i), Email: fmt.Sprintf("user%d@example.com", i),
				PasswordHash: "$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHRzYWx0$aGFzaGhhc2hoYXNoaGFzaGhhc2hoYXNoaGFzaGg",
				CreatedAt:    at, Epoch: int64(i), Version: 1, SignInVersion: int64(i%5 + 1), EmailVerified: true}
			page = append(page, transfer.User{User: u, ProfileAt: at, SignInAt: at},
				storage.Session{ID: storage.SessionID(fmt.Sprintf("session-%07d", i)), UserID: u.ID, Epoch: u.Epoch, Seed: []byte(u.ID), Refreshes: int64(i),
					CreatedAt: at, LastUsedAt: at, ExpiresAt: at.Add(24 * time.Hour), Device: "Firefox"},
				storage.Event{ID: fmt.Sprintf("event-%07d", i), Time: at, Kind: storage.EventLogin, Outcome: storage.OutcomeOK, UserID: u.ID, Count: 1})
		}
		if err := s.Import(t.Context(), page); err != nil {
			t.Fatal(err)
		}
	}
}

func openSQLite(t testing.TB, path string) *sqlstore.Store {
	t.Helper()
	s, err := sqlstore.Open(t.Context(), path, false)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// TestTrialCopyIsKilled: store copy is killed in the middle, again and again. The source
// stays read-only, nothing serves from the target, and the next run goes on where the one
// before was.
func TestTrialCopyIsKilled(t *testing.T) {
	dir := initialized(t, cheapHash)
	from := openSQLite(t, filepath.Join(dir, "data", "latchkey.db"))
	fillStore(t, from, inForm(4000, 40_000))
	bin, err := buildBootstraps()
	if err != nil {
		t.Fatal(err)
	}
	to := filepath.Join(dir, "moved.db")
	begin := func() (cmd *exec.Cmd, said *strings.Builder) {
		cmd, said = exec.Command(filepath.Join(bin, "latchkey"), "store", "copy", "--data", "data", "--to", "sqlite:"+to, "--keep-read-only"), new(strings.Builder)
		cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = dir, cheapHash, said, said
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		return cmd, said
	}
	copied := int64(0)
	for range inForm(1, 5) {
		cmd, said := begin()
		reached := awaitCopied(t, to, copied)
		cmd.Process.Kill()
		cmd.Wait()
		if reached < 0 {
			t.Fatalf("the copy ended before it was killed: %s", said)
		}
		copied = reached
		if h, err := from.Hold(t.Context()); err != nil || h.Role != transfer.Source {
			t.Fatalf("after kill -9 the source is held by %v, %v", h, err)
		}
		serve := exec.Command(filepath.Join(bin, "latchkey"), "serve", "--store", "sqlite:"+to, "--data", "data", "--addr", "127.0.0.1:0")
		serve.Dir, serve.Env = dir, cheapHash
		if out, err := serve.CombinedOutput(); err == nil || !strings.Contains(string(out), "it holds part of a copy of sqlite:data/latchkey.db") {
			t.Fatalf("serve on half a copy: %v, %s", err, out)
		}
	}
	cmd, said := begin()
	if err := cmd.Wait(); err != nil {
		t.Fatalf("the last run: %v, %s", err, said)
	}
	if h, err := from.Hold(t.Context()); err != nil || h.Moved.IsZero() {
		t.Errorf("after the copy the source is held by %v, %v", h, err)
	}
	same(t, from, openSQLite(t, to))
}

// awaitCopied waits until more than before is copied, and returns how much; below zero:
// the copy has ended.
func awaitCopied(t testing.TB, path string, before int64) int64 {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), startTimeout)
	defer cancel()
	var s *sqlstore.Store
	for ; ctx.Err() == nil; time.Sleep(time.Millisecond) {
		if s == nil {
			if _, err := os.Stat(path); err != nil {
				continue
			}
			opened, err := sqlstore.Open(ctx, path, false)
			if err != nil {
				continue // it is being made
			}
			defer opened.Close()
			s = opened
		}
		h, err := s.Hold(ctx)
		if err != nil && !errors.Is(err, storage.ErrUnavailable) {
			t.Fatal(err)
		}
		if n := h.Totals.Records(); n > before {
			if h.All {
				return -1
			}
			return n
		}
	}
	t.Fatalf("no progress within %s", startTimeout)
	return -1
}

// same compares everything in two stores.
func same(t testing.TB, a, b transfer.Store) {
	t.Helper()
	if d := storeTotals(t, a).Difference(storeTotals(t, b)); d != "" {
		t.Errorf("the stores differ: %s", d)
	}
}

func storeTotals(t testing.TB, s transfer.Store) transfer.Totals {
	t.Helper()
	totals := transfer.Totals{}
	for after := storage.Cursor(""); ; {
		page, next, err := s.Export(t.Context(), after, 1000)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range page {
			totals.Add(r)
		}
		if after = next; after == "" {
			return totals
		}
	}
}
