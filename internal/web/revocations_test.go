package web_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/latchkey-auth/latchkey"
	"github.com/latchkey-auth/latchkey/internal/storage"
	"github.com/latchkey-auth/latchkey/internal/web"
	"github.com/latchkey-auth/latchkey/revocation"
	"github.com/latchkey-auth/latchkey/revocation/feed"
)

const revocationKey = "nB3-vT8_yK1.qW6~xR9sL4pZ7cF2hJ5dG0mA"

func withRevocationKey(c *web.Config) { c.RevocationKey = revocationKey }

// TestRevocationsNeedAKey: without one that is set there is no such path, and with
// another one nothing is told.
func TestRevocationsNeedAKey(t *testing.T) {
	paths := []string{"/revocations", "/revocations/lookup?sub=u1&exp=1"}
	without := newFixture(t)
	with := newFixture(t, withRevocationKey)
	token := with.token()
	for _, path := range paths {
		for _, key := range []string{"", revocationKey} {
			without.wantProblem(without.get(path, bearer(key)), http.StatusNotFound, "not_found")
		}
		without.wantProblem(without.get(path, nil), http.StatusNotFound, "not_found")
		for name, h := range map[string]fields{
			"none": nil, "an access token": bearer(token), "another": bearer(strings.ToLower(revocationKey)), "a part": bearer(revocationKey[:32]),
			"more": bearer(revocationKey + "A"), "two": {"Authorization": "Bearer " + revocationKey + "\nBearer " + revocationKey}, "basic": {"Authorization": "Basic " + revocationKey},
		} {
			if a := with.get(path, h); a.status != http.StatusUnauthorized {
				t.Errorf("%s with the key of %s: %d", path, name, a.status)
			}
		}
		if a := with.get(path, bearer(revocationKey)); a.status != http.StatusOK || a.header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: %d %s", path, a.status, a.body)
		}
	}
	for _, query := range []string{"?key=" + revocationKey, "?access_token=" + revocationKey} {
		if a := with.get("/revocations"+query, nil); a.status != http.StatusUnauthorized {
			t.Errorf("a key in the query: %d", a.status)
		}
	}
	if strings.Contains(with.log.String(), revocationKey) {
		t.Error("the log holds the key")
	}
}

func TestRevocationsRefuseParameters(t *testing.T) {
	f := newFixture(t, withRevocationKey)
	long := strings.Repeat("a", 5000)
	for path, field := range map[string]string{
		"/revocations?after=x":                                        "after",
		"/revocations?after=" + long:                                  "after",
		"/revocations?after=1.&after=1.":                              "after",
		"/revocations?after=":                                         "after",
		"/revocations?since=1":                                        "since",
		"/revocations/lookup":                                         "exp",
		"/revocations/lookup?sub=u1":                                  "exp",
		"/revocations/lookup?exp=1":                                   "sub",
		"/revocations/lookup?sub=u1&exp=1.5":                          "exp",
		"/revocations/lookup?sub=u1&exp=1&epoch=-1":                   "epoch",
		"/revocations/lookup?sub=u1&exp=1&rights=1e3":                 "rights",
		"/revocations/lookup?sub=u1&exp=1&iat=9999999999999999999999": "iat",
		"/revocations/lookup?sub=u1&exp=1&sid=" + long:                "sid",
		"/revocations/lookup?sub=u1&exp=1&token=x":                    "token",
		"/revocations/lookup?sub=u1&exp=1&sid=%zz":                    "query",
		"/revocations/lookup?sub=u1&exp=1;sid=s":                      "query",
	} {
		p := f.wantProblem(f.get(path, bearer(revocationKey)), http.StatusBadRequest, "invalid_request")
		if len(p.Errors) == 0 || p.Errors[0].Field != field {
			t.Errorf("%.80s: errors %v, want one of %s", path, p.Errors, field)
		}
	}
}

// follower follows the fixture's service over HTTP.
func (f *fixture) follower(mode revocation.Mode) *revocation.Follower {
	f.Helper()
	return f.followerSaying(mode, io.Discard)
}

// followerSaying is one with a log.
func (f *fixture) followerSaying(mode revocation.Mode, log io.Writer) *revocation.Follower {
	f.Helper()
	source, err := feed.New(feed.Config{URL: f.server.URL + "/revocations", Key: revocationKey})
	if err != nil {
		f.Fatal(err)
	}
	r, err := revocation.New(revocation.Config{Source: source, Mode: mode, Now: f.clock.Now, Log: slog.New(slog.NewTextHandler(log, nil))})
	if err != nil {
		f.Fatal(err)
	}
	return r
}

func (f *fixture) claimsOf(token string) latchkey.Claims {
	f.Helper()
	v, err := latchkey.New(latchkey.Config{Keys: f.keys, Issuer: issuer, Audience: audience, Now: f.clock.Now})
	if err != nil {
		f.Fatal(err)
	}
	c, err := v.Verify(f.Context(), token)
	if err != nil {
		f.Fatal(err)
	}
	return c
}

// TestRevocationsOverHTTP: who follows the feed, and who looks up, learn of a logout, of
// the others' logout and of rights that are taken away.
func TestRevocationsOverHTTP(t *testing.T) {
	f := newFixture(t, withRevocationKey)
	ways := []*revocation.Follower{f.follower(revocation.Feed), f.follower(revocation.Strict)}
	check := func(saying, token string, ended bool) {
		t.Helper()
		for _, r := range ways {
			if err := r.Check(t.Context(), f.claimsOf(token)); ended != errors.Is(err, latchkey.ErrInvalidToken) || !ended && err != nil {
				t.Errorf("%s: got %v, want ended %v", saying, err, ended)
			}
		}
	}
	one, two, three := f.token(), f.token(), f.token()
	check("before", one, false)
	if a := f.send("POST", "/logout", "", bearer(one)); a.status != http.StatusNoContent {
		t.Fatalf("logout: %d %s", a.status, a.body)
	}
	f.clock.Advance(10 * time.Second)
	check("logged out", one, true)
	check("another session", two, false)
	if a := f.send("POST", "/logout", `{"scope":"others"}`, bearer(two)); a.status != http.StatusNoContent {
		t.Fatalf("logout: %d %s", a.status, a.body)
	}
	f.clock.Advance(10 * time.Second)
	check("the one that asked", two, false)
	check("the other", three, true)
	if _, err := f.service.UpdateUser(t.Context(), "ada", func(u *storage.User) { u.Scope = "read" }); err != nil {
		t.Fatal(err)
	}
	f.clock.Advance(10 * time.Second)
	check("rights were taken away", two, true)
	check("a token of the rights that are left", f.token(), false)
}

// TestRevocationsOfManyPages, by a client that began before.
func TestRevocationsOfManyPages(t *testing.T) {
	f := newFixture(t, withRevocationKey)
	var said bytes.Buffer
	r := f.followerSaying(revocation.Feed, &said)
	if err := r.Check(t.Context(), f.claimsOf(f.token())); err != nil {
		t.Fatal(err)
	}
	for n := range 1500 {
		at := f.clock.Now()
		line := storage.Revocation{ID: fmt.Sprint(n), Time: at, UserID: "u1", SessionID: storage.SessionID(fmt.Sprint("s", n)), ExpiresAt: at.Add(time.Hour)}
		if err := f.store.Commit(t.Context(), storage.AppendRevocation{Revocation: line}); err != nil {
			t.Fatal(err)
		}
	}
	session := func(n int) latchkey.Claims {
		return latchkey.Claims{Subject: "u1", SessionID: fmt.Sprint("s", n), IssuedAt: f.clock.Now()}
	}
	// One look reads all of it. A loaded machine may not answer in time: then there is another.
	for range 20 {
		f.clock.Advance(10 * time.Second)
		said.Reset()
		_ = r.Check(t.Context(), session(0))
		if !strings.Contains(said.String(), "could not be read") {
			break
		}
	}
	for _, n := range []int{0, 999, 1000, 1499} {
		c := session(n)
		if err := r.Check(t.Context(), c); !errors.Is(err, latchkey.ErrInvalidToken) {
			t.Errorf("session %d: %v", n, err)
		}
	}
}

// TestRevocationsOutage is 503, and an outage to who follows.
func TestRevocationsOutage(t *testing.T) {
	f := newFixture(t, withRevocationKey)
	c := f.claimsOf(f.token())
	if err := f.store.Store.(interface{ Close() error }).Close(); err != nil {
		t.Fatal(err)
	}
	f.wantProblem(f.get("/revocations", bearer(revocationKey)), http.StatusServiceUnavailable, "unavailable")
	f.wantProblem(f.get("/revocations/lookup?exp=1&sub="+url.QueryEscape(c.Subject)+"&sid="+c.SessionID, bearer(revocationKey)), http.StatusServiceUnavailable, "unavailable")
	for _, mode := range []revocation.Mode{revocation.Feed, revocation.Strict} {
		err := f.follower(mode).Check(t.Context(), c)
		if err == nil || errors.Is(err, latchkey.ErrInvalidToken) || !strings.Contains(err.Error(), "status 503") {
			t.Errorf("%s: %v", mode, err)
		}
	}
}
