package auth_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/latchkey-auth/latchkey/internal/auth"
	"github.com/latchkey-auth/latchkey/internal/storage"
)

// A chain is a session as the version before has left it, with all of its tokens.
type chain struct {
	*fixture
	id     storage.SessionID
	tokens []string // the last one is live
}

func newChain(t *testing.T, spent int) *chain {
	f := newFixture(t, limits)
	f.addAda()
	c := &chain{fixture: f, id: "old"}
	secret := make([]byte, 32)
	hash := func() []byte { h := sha256.Sum256(secret); return h[:] }
	session := storage.Session{ID: c.id, UserID: "u1", ClientID: "latchkey", CreatedAt: start, LastUsedAt: start, ExpiresAt: start.Add(time.Hour * 24)}
	for range spent {
		c.tokens = append(c.tokens, string(c.id)+"."+base64.RawURLEncoding.EncodeToString(secret))
		session.Chain.Previous = hash()
		mac := hmac.New(sha256.New, make([]byte, 32))
		mac.Write([]byte(c.id + "\x00"))
		mac.Write(secret)
		secret = mac.Sum(nil)
	}
	c.tokens = append(c.tokens, string(c.id)+"."+base64.RawURLEncoding.EncodeToString(secret))
	session.Chain.Hash, session.Chain.Rotations = hash(), int64(spent)
	f.commit(storage.CreateSession{Session: session})
	return c
}

// TestTokensOfTheVersionBeforeStayGood: the last one is spent as if it were the first of
// the new kind.
func TestTokensOfTheVersionBeforeStayGood(t *testing.T) {
	c := newChain(t, 3)
	next := c.mustRefresh(c.tokens[3])
	if again := c.mustRefresh(c.tokens[3]); again.RefreshToken != next.RefreshToken {
		t.Error("within the grace time it gives another successor")
	}
	last := c.mustRefresh(next.RefreshToken)
	c.wantAlive("after two refreshes", last, true)
	c.clock.Advance(time.Minute)
	c.wantRefused("later", c.tokens[3], storage.OutcomeReused)
	c.wantAlive("after the reuse", last, false)
}

// TestARefreshAcrossTheUpgrade: the answer to the last refresh of the version before was
// lost.
func TestARefreshAcrossTheUpgrade(t *testing.T) {
	c := newChain(t, 3)
	if next := c.mustRefresh(c.tokens[2]); next.RefreshToken != c.tokens[3] {
		t.Errorf("got %s, want the last token of the version before", next.RefreshToken)
	}
	c.mustRefresh(c.tokens[3])
}

// TestTokensSpentBeforeTheUpgradeEndTheSession, however long before, and whatever the
// session has become since.
func TestTokensSpentBeforeTheUpgradeEndTheSession(t *testing.T) {
	for _, refreshed := range []bool{false, true} {
		for spent := range 3 {
			c := newChain(t, 3)
			c.clock.Advance(time.Minute)
			live := c.tokens[3]
			if refreshed {
				live = c.mustRefresh(live).RefreshToken
			}
			c.wantRefused("a spent token", c.tokens[spent], storage.OutcomeReused)
			c.wantRefused("the live one", live, storage.OutcomeDeadSession)
		}
	}
}

// TestMadeUpTokensOfTheVersionBeforeCount, and end nothing.
func TestMadeUpTokensOfTheVersionBeforeCount(t *testing.T) {
	c := newChain(t, 1000)
	madeUp := string(c.id) + "." + strings.Repeat("_", 42) + "8"
	limited := 0
	for range 10 {
		if _, err := c.Refresh(t.Context(), madeUp, auth.Client{}); isLimit(err) {
			limited++
		} else if !errors.Is(err, auth.ErrInvalidToken) {
			t.Fatal(err)
		}
	}
	if limited != 2 {
		t.Errorf("%d of 10 were limited, want 2", limited)
	}
	c.mustRefresh(c.tokens[1000])
}
