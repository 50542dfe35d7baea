package main

import (
	"bufio"
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// trail is a service on which a few things have happened.
type trail struct {
	*caller
	*program
	dir      string
	ada, bob string // ids
}

func newTrail(t *testing.T) *trail {
	t.Helper()
	dir := initialized(t, cheapHash) // event 1: ada is added
	runLatchkey(t, dir, cheapHash, "correct horse battery\n", "users", "add", "--data", "data", "--username", "bob", "--password-stdin")
	s := &trail{caller: newCaller(t), program: startService(t, dir, cheapHash, "--no-verify-email"), dir: dir}
	ids := make(map[string]string)
	for line := range strings.Lines(runLatchkey(t, dir, cheapHash, "", "users", "list", "--data", "data", "--json")) {
		ids[member(t, []byte(line), "username")] = member(t, []byte(line), "id")
	}
	s.ada, s.bob = ids["ada"], ids["bob"]
	return s
}

func (s *trail) login(t *testing.T, username, password string, status int) {
	t.Helper()
	s.must(t, status, s.url, "", "POST /login", "username", username, "password", password)
}

// TestEventsAreFiltered asks the command for a trail of eight events, of which
// the first five are two hours old.
func TestEventsAreFiltered(t *testing.T) {
	s := newTrail(t) // 1 and 2
	s.login(t, "ada", trialPassword, http.StatusOK)
	s.login(t, "bob", "wrong battery", http.StatusUnauthorized)
	s.login(t, "nobody", trialPassword, http.StatusUnauthorized)
	s.age(t, 2*time.Hour)
	s.login(t, "ada", "wrong battery", http.StatusUnauthorized)
	s.login(t, "bob", trialPassword, http.StatusOK)
	runLatchkey(t, s.dir, cheapHash, "", "users", "disable", "--data", "data", "ada")
	events := []string{"user.added ok ada", "user.added ok bob", "login ok ada", "login wrong_password bob", "login unknown_user ",
		"login wrong_password ada", "login ok bob", "user.disabled ok ada"}
	numbers := make(map[string]int) // by id, from 1
	for line := range strings.Lines(runLatchkey(t, s.dir, cheapHash, "", "events", "--data", "data", "--json")) {
		numbers[member(t, []byte(line), "id")] = len(numbers) + 1
	}
	for _, c := range []struct {
		filters string
		want    []int // numbers
	}{
		{"", []int{1, 2, 3, 4, 5, 6, 7, 8}},
		{"--kind login", []int{3, 4, 5, 6, 7}},
		{"--kind user.disabled", []int{8}},
		{"--kind mail", nil},
		{"--outcome wrong_password", []int{4, 6}},
		{"--outcome limited", nil},
		{"--user " + s.bob, []int{2, 4, 7}},
		{"--user bob", []int{2, 4, 7}},
		{"--since 1h", []int{6, 7, 8}},
		{"--since 3h", []int{1, 2, 3, 4, 5, 6, 7, 8}},
		{"--since 1ns", nil},
		{"--kind login --outcome ok", []int{3, 7}},
		{"--kind login --outcome ok --since 60m", []int{7}},
		{"--user " + s.ada + " --since 1h", []int{6, 8}},
		{"--kind login --outcome wrong_password --user " + s.ada + " --since 1h", []int{6}},
	} {
		t.Run(c.filters, func(t *testing.T) {
			args := append([]string{"events", "--data", "data"}, strings.Fields(c.filters)...)
			var got []int
			var rows [][3]string // kind, outcome, user
			for line := range strings.Lines(runLatchkey(t, s.dir, cheapHash, "", append(args, "--json")...)) {
				var e eventView
				if err := json.Unmarshal([]byte(line), &e); err != nil {
					t.Fatal(err)
				}
				number := numbers[e.ID]
				got = append(got, number)
				rows = append(rows, [3]string{string(e.Kind), string(e.Outcome), string(e.UserID)})
				name := map[string]string{s.ada: "ada", s.bob: "bob"}[string(e.UserID)]
				if text := fmt.Sprintf("%s %s %s", e.Kind, e.Outcome, name); text != events[number-1] {
					t.Errorf("event %d is %q, want %q", number, text, events[number-1])
				}
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("events %v, want %v", got, c.want)
			}
			table := strings.Split(strings.TrimSuffix(runLatchkey(t, s.dir, cheapHash, "", args...), "\n"), "\n")
			if len(table) != 1+len(rows) || !strings.HasPrefix(table[0], "TIME ") {
				t.Fatalf("the table does not have %d rows:\n%s", len(rows), strings.Join(table, "\n"))
			}
			for i, row := range rows {
				if want := strings.Fields(strings.Join(row[:], " ")); !slices.Equal(strings.Fields(table[1+i])[1:][:len(want)], want) {
					t.Errorf("row %q, want %q", table[1+i], want)
				}
			}
		})
	}
}

// TestEventsHaveACount: refusals by a limit are a line, and another one for those that
// follow, at the latest when the server ends.
func TestEventsHaveACount(t *testing.T) {
	s := newTrail(t)
	p := startService(t, s.dir, cheapHash, "--no-verify-email", "--limits", "on")
	limited := int64(0)
	for limited < 30 { // a slow machine has the wait go by
		r, err := s.call(p.url, "", "POST /login", "username", "ada", "password", "wrong battery")
		if err != nil {
			t.Fatal(err)
		}
		if r.status == http.StatusTooManyRequests {
			limited++
		}
	}
	p.terminate(t)
	args := []string{"events", "--data", "data", "--outcome", "limited"}
	var counts []int64
	for line := range strings.Lines(runLatchkey(t, s.dir, cheapHash, "", append(args, "--json")...)) {
		var e eventView
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatal(err)
		}
		counts = append(counts, e.Count)
	}
	var sum, most int64
	for _, n := range counts {
		sum, most = sum+n, max(most, n)
	}
	if sum != limited || most < 2 || counts[0] != 1 {
		t.Errorf("the lines count %v, want 1 and the others of %d", counts, limited)
	}
	if said := runLatchkey(t, s.dir, cheapHash, "", args...); !strings.Contains(said, fmt.Sprintf(" limited (%d times) ", most)) {
		t.Errorf("the table is\n%s", said)
	}
}

// TestEventsOfADeletedUser are found by the id.
func TestEventsOfADeletedUser(t *testing.T) {
	s := newTrail(t)
	runLatchkey(t, s.dir, cheapHash, "", "users", "delete", "--data", "data", "--yes", "bob")
	said := runLatchkey(t, s.dir, cheapHash, "", "events", "--data", "data", "--user", s.bob)
	if strings.Count(said, s.bob) != 2 || !strings.Contains(said, "user.deleted") || strings.Contains(said, s.ada) {
		t.Errorf("the events of %s are\n%s", s.bob, said)
	}
}

// age makes everything that has happened so much older.
func (s *trail) age(t *testing.T, d time.Duration) {
	t.Helper()
	db, err := sql.Open("sqlite", filepath.Join(s.dir, "data", "latchkey.db")+"?_pragma=busy_timeout(10000)")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Exec(`UPDATE events SET time = time - ?`, d.Microseconds()); err != nil {
		t.Fatal(err)
	}
}

// TestEventsAreFollowed sees events that happen while the command waits.
func TestEventsAreFollowed(t *testing.T) {
	t.Parallel()
	s := newTrail(t)
	s.login(t, "ada", trialPassword, http.StatusOK)
	all := []string{"login ok", "login wrong_password", "login ok"}
	for _, c := range []struct {
		name, follow, filters string
		want                  []string
	}{
		{"as a table", "--follow", "", all},
		{"as JSON", "-f", "--json", all},
		{"of one user", "--follow", "--json --kind login --outcome ok --since 1h --user " + s.ada, all[2:]},
	} {
		t.Run(c.name, func(t *testing.T) {
			args := append([]string{"events", "--data", "data"}, strings.Fields(c.filters)...)
			before := runLatchkey(t, s.dir, cheapHash, "", args...)
			f := s.follow(t, append(args, c.follow)...)
			for line := range strings.Lines(before) {
				if got := f.next(t) + "\n"; got != line {
					t.Fatalf("it begins with %q, want %q", got, line)
				}
			}
			// It has read the trail by now, and waits.
			s.login(t, "bob", trialPassword, http.StatusOK)
			s.login(t, "ada", "wrong battery", http.StatusUnauthorized)
			s.login(t, "ada", trialPassword, http.StatusOK)
			for _, want := range c.want {
				got := f.next(t)
				if strings.Contains(c.filters, "--json") {
					got = member(t, []byte(got), "kind") + " " + member(t, []byte(got), "outcome")
				} else {
					got = strings.Join(strings.Fields(got)[1:3], " ")
				}
				if got != want {
					t.Errorf("%q is shown, want %q", got, want)
				}
			}
			f.interrupt(t)
		})
	}
}

// follower is `events --follow` at work.
type follower struct {
	cmd   *exec.Cmd
	lines *bufio.Scanner
}

// follow starts the command, which ends by itself when it shows nothing for long.
func (s *trail) follow(t *testing.T, args ...string) *follower {
	t.Helper()
	bin, err := buildBootstraps()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), startTimeout)
	cmd := exec.CommandContext(ctx, filepath.Join(bin, "latchkey"), args...)
	cmd.Dir, cmd.Env = s.dir, cheapHash
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cancel(); cmd.Wait() })
	return &follower{cmd, bufio.NewScanner(out)}
}

func (f *follower) next(t *testing.T) string {
	t.Helper()
	if !f.lines.Scan() {
		t.Fatal("the command shows nothing more")
	}
	return f.lines.Text()
}

// interrupt ends the command as Ctrl-C does.
func (f *follower) interrupt(t *testing.T) {
	t.Helper()
	if err := f.cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	for f.lines.Scan() {
		t.Errorf("one more line: %s", f.lines.Text())
	}
	if err := f.cmd.Wait(); err != nil {
		t.Errorf("the command ended with %v", err)
	}
}
