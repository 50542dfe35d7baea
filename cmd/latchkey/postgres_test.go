package main

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/latchkey-auth/latchkey/internal/pgtest"
	"github.com/latchkey-auth/latchkey/internal/servetest"
)

// onPostgres is latchkey on an empty database.
func onPostgres(t *testing.T) (p *servetest.Program, url string) {
	t.Helper()
	url = pgtest.Database(t)
	return servetest.New(t, "LATCHKEY_STORE="+url), url
}

// TestPostgresWalk: a person's account on PostgreSQL, from registration to deletion, by the
// program.
func TestPostgresWalk(t *testing.T) {
	t.Parallel()
	p, _ := onPostgres(t)
	servetest.Walk(t, p)
}

// TestTrialTogetherOnPostgres: what is promised across processes; through pgbouncer.
func TestTrialTogetherOnPostgres(t *testing.T) {
	t.Parallel()
	for _, processes := range []int{2, 8} {
		t.Run(fmt.Sprintf("processes=%d", processes), func(t *testing.T) {
			t.Parallel() // most of it is waiting for the key to be published
			servetest.Together(t, servetest.New(t, "LATCHKEY_STORE="+pgtest.Pooled(t, pgtest.Database(t))), processes)
		})
	}
}

// TestPostgresCommands: what begins a database, refuses one of another kind, and says
// whether it is fit.
func TestPostgresCommands(t *testing.T) {
	t.Parallel()
	p, url := onPostgres(t)
	refused := func(want string, args ...string) {
		t.Helper()
		if code, said := p.Try(t, "{}", args...); code != 1 || !strings.Contains(said, want) {
			t.Errorf("%v: exit status %d: %s\nwant %q", args, code, said, want)
		}
	}
	refused("latchkey init", "users", "list")
	refused("latchkey init", "store", "check")
	absent := "--store=" + strings.Replace(url, "?", "_absent?", 1)
	refused("make the database as its administrator, then run `latchkey init", "init", absent)
	refused("CREATE DATABASE", "init", absent)
	refused("make the database, then latchkey init", "store", "check", absent)
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() { p.Run(t, "", "init") })
	}
	all.Wait()
	if keys := p.Run(t, "", "keys", "list", "--json"); strings.Count(keys, "\n") != 1 {
		t.Errorf("four inits have made the keys %s", keys)
	}
	refused("the target postgres://", "store", "copy", "--to", strings.TrimPrefix(absent, "--store="))
	refused("is a production store", "invoke", "publicEndpoint")
	refused("is a production store", "offline", "--addr", "127.0.0.1:0")
	if said := p.Run(t, "", "store", "check"); !strings.Contains(said, "rights") || !strings.Contains(said, "clock") || !strings.Contains(said, "production") {
		t.Errorf("store check says %s", said)
	}
	pgtest.Exec(t, url, `DROP TABLE store_kind`)
	p.Run(t, "", "store", "mark", "--production", "--yes")
	if said := p.Run(t, "", "store", "check"); !strings.Contains(said, "production") {
		t.Errorf("store check after store mark says %s", said)
	}
	pgtest.Exec(t, url, `INSERT INTO migrations (version, applied_at) VALUES (9999, 0)`)
	refused("use the newer latchkey", "store", "check")
	refused("use the newer latchkey", "users", "list")
}
