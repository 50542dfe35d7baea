package feed_test

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/latchkey-auth/latchkey"
	"github.com/latchkey-auth/latchkey/internal/fetch"
	"github.com/latchkey-auth/latchkey/revocation/feed"
)

const key = "nB3-vT8_yK1.qW6~xR9sL4pZ7cF2hJ5dG0mA"

func TestNewRefuses(t *testing.T) {
	for _, c := range []struct{ url, key, want string }{
		{"", key, "must be like"},
		{"auth.example.com/revocations", key, "must be like"},
		{"http://auth.example.com/revocations", key, "must be https"},
		{"http://127.0.0.1.example.com/revocations", key, "must be https"},
		{"https://user:hunter2@auth.example.com/revocations", key, "without user name"},
		{"https://auth.example.com/revocations?key=hunter2", key, "must be like"},
		{"https://auth.example.com/revocations#a", key, "must be like"},
		{"https://auth.example.com:hunter2/revocations", key, "not a URL"},
		{"https://auth.example.com/revocations", "", "32 bytes"},
		{"https://auth.example.com/revocations", "short", "32 bytes"},
		{"https://auth.example.com/revocations", key + "\r\nHost: x", "no blanks"},
	} {
		_, err := feed.New(feed.Config{URL: c.url, Key: c.key})
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "hunter2") || strings.Contains(err.Error(), key) {
			t.Errorf("%q: got %v, want %q and no secret", c.url, err, c.want)
		}
	}
	for _, url := range []string{"https://auth.example.com/auth/revocations", "http://localhost:4000/revocations", "http://[::1]:1/revocations", "http://127.8.0.1/revocations"} {
		if _, err := feed.New(feed.Config{URL: url, Key: key}); err != nil {
			t.Errorf("%s: %v", url, err)
		}
	}
}

func client(t *testing.T, answer http.HandlerFunc) *feed.Client {
	t.Helper()
	s := httptest.NewServer(answer)
	t.Cleanup(s.Close)
	c, err := feed.New(feed.Config{URL: s.URL + "/revocations", Key: key})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestAnswersThatAreNone are outages: nothing is taken for an empty list.
func TestAnswersThatAreNone(t *testing.T) {
	elsewhere := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		t.Errorf("a redirect is followed, with %q", r.Header.Get("Authorization"))
	}))
	defer elsewhere.Close()
	for name, c := range map[string]struct {
		answer http.HandlerFunc
		want   string
	}{
		"no page": {func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{}`) }, "no page of revocations"},
		"no JSON": {func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `<html>`) }, "cannot be decoded"},
		"no list": {func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprint(w, `{"next":"a","since":"2026-01-01T00:00:00Z"}`)
		}, "no page of revocations"},
		"nothing": {func(http.ResponseWriter, *http.Request) {}, "cannot be decoded"},
		"null":    {func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `null`) }, "no page of revocations"},
		"a broken time": {func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprint(w, `{"revocations":[{"time":"yesterday"}],"next":"a","since":"2026-01-01T00:00:00Z"}`)
		}, "cannot be decoded"},
		"no such path": {http.NotFound, "LATCHKEY_REVOCATION_KEY is set there"},
		"another key":  {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(401) }, "is another one there"},
		"an outage":    {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(503) }, "status 503"},
		"a redirect": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, elsewhere.URL, http.StatusTemporaryRedirect)
		}, "status 307"},
		"too much": {func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprint(w, `{"next":"`+strings.Repeat("a", 5<<20)+`"}`)
		}, "more than"},
	} {
		t.Run(name, func(t *testing.T) {
			page, err := client(t, c.answer).Revocations(t.Context(), "")
			if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), key) {
				t.Errorf("got %+v, %v; want an error with %q", page, err, c.want)
			}
		})
	}
	for _, doc := range []string{`{}`, `{"ended":null}`, `{"ended":"no"}`, `null`} {
		c := client(t, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, doc) })
		if ended, err := c.Ended(t.Context(), latchkey.Claims{Subject: "u"}); err == nil {
			t.Errorf("%s: taken for ended %v", doc, ended)
		}
	}
}

// TestWhatIsAsked: the key in the header, what the token says in the query, and what it
// does not say left out.
func TestWhatIsAsked(t *testing.T) {
	var asked []string
	c := client(t, func(w http.ResponseWriter, r *http.Request) {
		if got := r.Header.Get("Authorization"); got != "Bearer "+key {
			t.Errorf("Authorization is %q", got)
		}
		asked = append(asked, r.URL.String())
		fmt.Fprint(w, `{"ended":true,"revocations":[],"next":"a b","more":true,"since":"2026-01-01T00:00:00Z"}`)
	})
	page, err := c.Revocations(t.Context(), "1.a b&c")
	if err != nil || page.Next != "a b" || !page.More || page.Since.Year() != 2026 {
		t.Errorf("got %+v, %v", page, err)
	}
	for _, claims := range []latchkey.Claims{
		{Subject: "u&1", SessionID: "s", Epoch: 0, Rights: 2, IssuedAt: time.Unix(5, 0), ExpiresAt: time.Unix(9, 0)},
		{Subject: "u", Epoch: -1, Rights: -1, ExpiresAt: time.Unix(9, 0)},
	} {
		if ended, err := c.Ended(t.Context(), claims); err != nil || !ended {
			t.Errorf("got %v, %v", ended, err)
		}
	}
	want := "/revocations?after=1.a+b%26c /revocations/lookup?epoch=0&exp=9&iat=5&rights=2&sid=s&sub=u%261 /revocations/lookup?exp=9&sub=u"
	if got := strings.Join(asked, " "); got != want {
		t.Errorf("asked %s, want %s", got, want)
	}
}

// TestADeadConnectionIsReplaced: the first request after a freeze meets a connection
// that nobody answers on.
func TestADeadConnectionIsReplaced(t *testing.T) {
	var n atomic.Int32
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if n.Add(1) == 2 {
			panic(http.ErrAbortHandler)
		}
		fmt.Fprint(w, `{"revocations":[],"next":"a","since":"2026-01-01T00:00:00Z"}`)
	}))
	defer s.Close()
	c, err := feed.New(feed.Config{URL: s.URL, Key: key})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if _, err := c.Revocations(t.Context(), ""); err != nil {
			t.Error(err)
		}
	}
	s.Close()
	if _, err := c.Revocations(t.Context(), ""); err == nil || !strings.Contains(err.Error(), "refused") || strings.Contains(err.Error(), "after") {
		t.Errorf("nobody listens: %v", err)
	}
}

// FuzzAnswers: an answer is a page or an error, and never half of one.
func FuzzAnswers(f *testing.F) {
	for _, doc := range []string{
		`{"revocations":[{"time":"2026-01-01T00:00:00Z","user_id":"u","session_id":"s","epoch":1,"rights":2,"survivor":"t","expires_at":"2026-01-02T00:00:00Z"}],"next":"1.a","more":true,"since":"2026-01-01T00:00:00Z"}`,
		`{"revocations":[],"next":"1.","since":"2026-01-01T00:00:00Z"}`,
		`{"revocations":null,"next":"1."}`, `{"ended":true}`, `{"ended":null}`, `[]`, `null`, ``, "\xff",
	} {
		f.Add(200, []byte(doc))
	}
	f.Add(401, []byte(`{"revocations":[],"next":"1.","since":"2026-01-01T00:00:00Z","ended":false}`))
	f.Fuzz(func(t *testing.T, status int, doc []byte) {
		c, err := feed.New(feed.Config{URL: "https://auth.example.com/revocations", Key: key, Fetch: func(context.Context, fetch.Request) (fetch.Response, error) {
			return fetch.Response{Status: status, Body: doc}, nil
		}})
		if err != nil {
			t.Fatal(err)
		}
		page, err := c.Revocations(t.Context(), "")
		if err == nil && (status != 200 || page.Next == "" || page.Since.IsZero() || page.Revocations == nil) {
			t.Errorf("status %d is taken for the page %+v", status, page)
		}
		if _, err := c.Ended(t.Context(), latchkey.Claims{Subject: "u"}); err == nil && (status != 200 || !bytes.ContainsAny(doc, "tf")) { // true or false
			t.Errorf("status %d says whether a token has ended", status)
		}
	})
}
