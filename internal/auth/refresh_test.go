package auth_test

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/latchkey-auth/latchkey"
	"github.com/latchkey-auth/latchkey/internal/auth"
	"github.com/latchkey-auth/latchkey/internal/storage"
)

func (f *fixture) mustRefresh(token string) auth.Tokens {
	f.t.Helper()
	tokens, err := f.Refresh(f.t.Context(), token, auth.Client{})
	if err != nil {
		f.t.Fatalf("Refresh: %v", err)
	}
	return tokens
}

func (f *fixture) wantRefused(saying, token string, why storage.Outcome) {
	f.t.Helper()
	if _, err := f.Refresh(f.t.Context(), token, auth.Client{}); !errors.Is(err, auth.ErrInvalidToken) {
		f.t.Errorf("%s: Refresh says %v, want ErrInvalidToken", saying, err)
	}
	events := f.events()
	if last := events[len(events)-1]; last.Kind != storage.EventRefresh || last.Outcome != why {
		f.t.Errorf("%s: the last event is %s %s, want refresh %s", saying, last.Kind, last.Outcome, why)
	}
}

// claimsOf verifies an access token.
func (f *fixture) claimsOf(t auth.Tokens) latchkey.Claims {
	f.t.Helper()
	v, err := latchkey.New(latchkey.Config{Keys: f.keys, Issuer: issuer, Audience: audience, Leeway: -1, Now: f.clock.Now})
	if err != nil {
		f.t.Fatal(err)
	}
	c, err := v.Verify(f.t.Context(), t.AccessToken)
	if err != nil {
		f.t.Fatal(err)
	}
	return c
}

func (f *fixture) wantAlive(saying string, t auth.Tokens, alive bool) {
	f.t.Helper()
	_, err := f.Me(f.t.Context(), f.claimsOf(t))
	if alive && err != nil || !alive && !errors.Is(err, auth.ErrInvalidToken) {
		f.t.Errorf("%s: Me says %v, want alive %v", saying, err, alive)
	}
}

// TestEndingSessionsGoesByNoClock: one that was fast when a session began, or when
// all were ended before, keeps none alive.
func TestEndingSessionsGoesByNoClock(t *testing.T) {
	for name, end := range map[string]func(*fixture, latchkey.Claims) error{
		"logout": func(f *fixture, c latchkey.Claims) error {
			return f.Logout(f.t.Context(), c, auth.LogoutAll, auth.Client{})
		},
		"logout of others": func(f *fixture, _ latchkey.Claims) error {
			return f.Logout(f.t.Context(), f.claimsOf(f.mustLogin("ada", password)), auth.LogoutOthers, auth.Client{})
		},
		"password": func(f *fixture, _ latchkey.Claims) error {
			_, err := f.SetPassword(f.t.Context(), "ada", password)
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			f.addAda()
			f.clock.Advance(time.Hour)
			first := f.claimsOf(f.mustLogin("ada", password))
			if _, err := f.EndSessions(t.Context(), "ada"); err != nil {
				t.Fatal(err)
			}
			second := f.claimsOf(f.mustLogin("ada", password))
			f.clock.Advance(-time.Hour)
			if err := end(f, second); err != nil {
				t.Fatal(err)
			}
			for saying, claims := range map[string]latchkey.Claims{"ended before": first, "ended now": second} {
				if _, err := f.Me(t.Context(), claims); !errors.Is(err, auth.ErrInvalidToken) {
					t.Errorf("a session %s: Me says %v, want ErrInvalidToken", saying, err)
				}
			}
			f.wantAlive("a login after it", f.mustLogin("ada", password), true)
		})
	}
}

// TestGraceGoesByNoClock: one that was set back does not prolong it.
func TestGraceGoesByNoClock(t *testing.T) {
	f := newFixture(t)
	f.addAda()
	first := f.mustLogin("ada", password)
	f.mustRefresh(first.RefreshToken)
	f.clock.Advance(-time.Hour)
	f.wantRefused("a spent token, after the clock was set back", first.RefreshToken, storage.OutcomeReused)
}

// TestReuseOfASessionThatEndsMeanwhile is refused like any other.
func TestReuseOfASessionThatEndsMeanwhile(t *testing.T) {
	store := &faulty{}
	f := newFixture(t, withStore(store))
	f.addAda()
	first := f.mustLogin("ada", password)
	f.mustRefresh(first.RefreshToken)
	f.clock.Advance(time.Minute)
	session := f.session(first)
	session.EndedAt = f.clock.Now()
	store.fault = func(operation string) error {
		if operation == "Commit" && session.ID != "" {
			end := storage.EndSession{Session: session}
			session.ID = ""
			return f.store.Commit(t.Context(), end)
		}
		return nil
	}
	f.wantRefused("a spent token", first.RefreshToken, storage.OutcomeDeadSession)
}

func TestRefreshRotates(t *testing.T) {
	f := newFixture(t)
	f.addAda()
	first := f.mustLogin("ada", password)
	f.clock.Advance(time.Minute)
	second := f.mustRefresh(first.RefreshToken)
	if second.RefreshToken == first.RefreshToken || second.AccessToken == first.AccessToken {
		t.Error("nothing new was given")
	}
	if a, b := sessionID(first), sessionID(second); a != b {
		t.Errorf("the session went from %s to %s", a, b)
	}
	session := f.session(second)
	if !session.LastUsedAt.Equal(f.clock.Now()) || session.Refreshes != 1 {
		t.Errorf("the session was last used at %v and refreshed %d times", session.LastUsedAt, session.Refreshes)
	}
	f.clock.Advance(time.Minute)
	third := f.mustRefresh(second.RefreshToken)
	f.wantAlive("after two rotations", third, true)
}

func TestRefreshReadsTheUserAnew(t *testing.T) {
	f := newFixture(t)
	f.addAda()
	tokens := f.mustLogin("ada", password)
	if _, err := f.UpdateUser(t.Context(), "ada", func(u *storage.User) { u.Scope = "read" }); err != nil {
		t.Fatal(err)
	}
	tokens = f.mustRefresh(tokens.RefreshToken)
	if scope := f.claimsOf(tokens).Scope; scope != "read" {
		t.Errorf("the new token has the scope %q, want read", scope)
	}
	if _, err := f.Disable(t.Context(), "ada", true); err != nil {
		t.Fatal(err)
	}
	f.wantRefused("a disabled user", tokens.RefreshToken, storage.OutcomeDeadSession)
}

// A second tab, or an answer that got lost, gets the same successor for ten
// seconds. After that the token is in two hands, and the session ends.
func TestSpentRefreshTokens(t *testing.T) {
	f := newFixture(t)
	f.addAda()
	first := f.mustLogin("ada", password)
	second := f.mustRefresh(first.RefreshToken)
	f.clock.Advance(auth.RefreshGrace)
	if again := f.mustRefresh(first.RefreshToken); again.RefreshToken != second.RefreshToken {
		t.Error("the repeat got another successor")
	}
	f.clock.Advance(time.Microsecond)
	f.wantRefused("a token spent long ago", first.RefreshToken, storage.OutcomeReused)
	f.wantAlive("after the reuse", second, false)
	f.wantRefused("the successor", second.RefreshToken, storage.OutcomeDeadSession)
}

func TestATokenSpentLongAgoEndsTheSession(t *testing.T) {
	f := newFixture(t)
	f.addAda()
	first := f.mustLogin("ada", password)
	tokens := first
	for range 50 {
		tokens = f.mustRefresh(tokens.RefreshToken)
	}
	// Two rotations back is too far even within the grace time.
	f.wantRefused("the first token", first.RefreshToken, storage.OutcomeReused)
	f.wantAlive("after the reuse", tokens, false)
}

// The session id stands in every access token: whoever knows it must not be
// able to end the session.
func TestMadeUpRefreshTokensEndNothing(t *testing.T) {
	f := newFixture(t)
	f.addAda()
	tokens := f.mustRefresh(f.mustLogin("ada", password).RefreshToken)
	other := f.mustLogin("ada", password)
	id, rest, _ := strings.Cut(tokens.RefreshToken, ".")
	_, mac, _ := strings.Cut(rest, ".")
	_, others, _ := strings.Cut(other.RefreshToken, ".")
	_, othersMAC, _ := strings.Cut(others, ".")
	for saying, token := range map[string]string{
		"a made-up MAC":              id + ".1." + strings.Repeat("A", 43),
		"a made-up secret":           id + "." + strings.Repeat("A", 43),
		"another session's token":    id + "." + others,
		"another session's MAC":      id + ".1." + othersMAC,
		"the MAC of another number":  id + ".0." + mac,
		"the number to come":         id + ".2." + mac,
		"a number below zero":        id + ".-1." + mac,
		"a number with a zero":       id + ".01." + mac,
		"a number with a sign":       id + ".+1." + mac,
		"a number without end":       id + "." + strings.Repeat("9", 30) + "." + mac,
		"no number":                  id + ".." + mac,
		"another spelling":           id + ".1." + mac + "=",
		"a line break":               id + ".1." + mac[:20] + "\n" + mac[20:],
		"trailing bits":              id + ".1." + mac[:42] + "B",
		"a short MAC":                id + ".1." + mac[:40],
		"no MAC":                     id + ".1.",
		"a MAC in place of a secret": id + "." + mac,
		"four parts":                 tokens.RefreshToken + ".x",
		"no dot":                     id,
		"nothing":                    "",
		"an unknown session":         "nobody.1." + mac,
		"an access token":            tokens.AccessToken,
		"a very long session id":     strings.Repeat("a", 70_000) + ".1." + mac,
		"a session id with a quote":  `x' OR '1'='1.1.` + mac,
	} {
		f.wantRefused(saying, token, storage.OutcomeWrongToken)
	}
	f.wantAlive("after all of them", tokens, true)
	f.mustRefresh(tokens.RefreshToken)
}

func TestSessionsOutliveNeitherIdlenessNorTheirEnd(t *testing.T) {
	f := newFixture(t)
	f.addAda()
	idle := f.mustLogin("ada", password)
	busy := f.mustLogin("ada", password)
	for range 4 {
		f.clock.Advance(20 * 24 * time.Hour)
		busy = f.mustRefresh(busy.RefreshToken)
	}
	f.wantRefused("30 days idle", idle.RefreshToken, storage.OutcomeDeadSession)
	f.clock.Advance(10 * 24 * time.Hour)
	f.wantRefused("90 days old", busy.RefreshToken, storage.OutcomeDeadSession)
}

// TestRefreshRace has 50 clients spend one token at once, half of them through
// another process's service and store: all are answered, with one successor.
func TestRefreshRace(t *testing.T) {
	path := tempDatabase(t)
	f := fixtureOn(t, path)
	f.addAda()
	other := reopen(t, f, path)
	for round := range 20 {
		tokens := f.mustLogin("ada", password)
		var mu sync.Mutex
		successors := make(map[string]int)
		var wg sync.WaitGroup
		for i := range 50 {
			service := f.Service
			if i%2 == 1 {
				service = other
			}
			wg.Go(func() {
				got, err := service.Refresh(t.Context(), tokens.RefreshToken, auth.Client{})
				if err != nil {
					t.Errorf("round %d: %v", round, err)
					return
				}
				mu.Lock()
				successors[got.RefreshToken]++
				mu.Unlock()
			})
		}
		wg.Wait()
		if len(successors) != 1 {
			t.Fatalf("round %d: %d distinct successors, want 1", round, len(successors))
		}
		for next := range successors {
			f.mustRefresh(next)
		}
	}
}

func TestRefreshFaultIsNoRefusal(t *testing.T) {
	broken := &faulty{}
	f := newFixture(t, withStore(broken))
	f.addAda()
	tokens := f.mustLogin("ada", password)
	for _, operation := range []string{"SessionUser", "Commit"} {
		broken.fault = func(op string) error {
			if op == operation {
				return fmt.Errorf("%w: disk full", storage.ErrUnavailable)
			}
			return nil
		}
		if _, err := f.Refresh(t.Context(), tokens.RefreshToken, auth.Client{}); !errors.Is(err, storage.ErrUnavailable) {
			t.Errorf("%s fails: Refresh says %v, want ErrUnavailable", operation, err)
		}
	}
	broken.fault = nil
	f.mustRefresh(tokens.RefreshToken)
}

// TestLostRefreshAnswer: the rotation was stored, the answer was not received.
func TestLostRefreshAnswer(t *testing.T) {
	store := &faulty{}
	f := newFixture(t, withStore(store))
	f.addAda()
	tokens := f.mustLogin("ada", password)
	next := f.mustRefresh(tokens.RefreshToken) // whose answer is lost
	f.clock.Advance(3 * time.Second)
	if again := f.mustRefresh(tokens.RefreshToken); again.RefreshToken != next.RefreshToken {
		t.Error("the repeat got another successor")
	}
}
