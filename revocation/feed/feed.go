// Package feed reads what has ended from the auth service: GET /revocations, and
// GET /revocations/lookup for a single token. It is a [revocation.Source].
//
//	source, err := feed.New(feed.Config{URL: "https://auth.example.com/revocations", Key: os.Getenv("LATCHKEY_REVOCATION_KEY")})
//	…
//	revocations, err := revocation.New(revocation.Config{Source: source})
//	…
//	guarded := httpauth.Require(verifier, httpauth.WithRevocations(revocations))(mux)
package feed

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/latchkey-auth/latchkey"
	"github.com/latchkey-auth/latchkey/internal/fetch"
	"github.com/latchkey-auth/latchkey/revocation"
)

const (
	timeout   = 1500 * time.Millisecond // of each try
	maxAnswer = 4 << 20                 // bytes; a page has 1,000 revocations at most
	minKey    = 32                      // bytes
)

var _ revocation.Source = (*Client)(nil)

// Config is what a Client needs.
type Config struct {
	// URL is that of the list: https, or http on this machine.
	URL string
	// Key is LATCHKEY_REVOCATION_KEY of the auth service.
	Key string
	// Fetch sends the requests; nil is a client of the package's own, by HTTP/1.1, which
	// keeps connections for a minute. httpauth.Fetch makes one of yours.
	Fetch fetch.Func
}

// A Client reads from one auth service. It may be used concurrently.
type Client struct {
	url, key string
	fetch    fetch.Func
}

// New checks the configuration. It asks nothing yet.
func New(cfg Config) (*Client, error) {
	if err := checkURL(cfg.URL); err != nil {
		return nil, fmt.Errorf("revocation feed: %w", err)
	}
	if len(cfg.Key) < minKey || strings.ContainsAny(cfg.Key, "\r\n \t") {
		return nil, fmt.Errorf("revocation feed: the key must have %d bytes at least, and no blanks: that of the auth service", minKey)
	}
	if cfg.Fetch == nil {
		cfg.Fetch = (&fetch.Client{MaxIdle: 4}).Fetch
	}
	return &Client{url: cfg.URL, key: cfg.Key, fetch: cfg.Fetch}, nil
}

// checkURL wants https: an attacker who can change the answers can keep ended tokens alive.
func checkURL(text string) error {
	u, err := url.Parse(text)
	if err != nil {
		return errors.New("the address is not a URL") // that of url.Parse quotes it, and it may hold a password
	}
	switch {
	case u.User != nil || u.Host == "" || u.RawQuery != "" || u.Fragment != "" || u.Opaque != "":
		return errors.New("the address must be like https://auth.example.com/revocations, without user name and query")
	case u.Scheme == "https", u.Scheme == "http" && isThisMachine(u.Hostname()):
		return nil
	}
	return fmt.Errorf("%s must be https, or http on this machine: the key travels with each request", u.Scheme+"://"+u.Host)
}

func isThisMachine(host string) bool {
	a, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && a.Unmap().IsLoopback()
}

// Revocations returns the page that begins there.
func (c *Client) Revocations(ctx context.Context, after string) (revocation.Page, error) {
	at := c.url
	if after != "" {
		at += "?after=" + url.QueryEscape(after)
	}
	var page revocation.Page
	err := c.ask(ctx, at, &page)
	if err == nil && (page.Next == "" || page.Since.IsZero() || page.Revocations == nil) {
		err = fmt.Errorf("%s: the answer is no page of revocations", c.url)
	}
	return page, err
}

// Ended looks up whether one token has ended.
func (c *Client) Ended(ctx context.Context, claims latchkey.Claims) (bool, error) {
	var answer struct {
		Ended *bool `json:"ended"`
	}
	if err := c.ask(ctx, c.url+"/lookup?"+query(claims), &answer); err != nil {
		return false, err
	}
	if answer.Ended == nil {
		return false, fmt.Errorf("%s/lookup: the answer does not say whether the token has ended", c.url)
	}
	return *answer.Ended, nil
}

// query is the claims by which a token has ended or not.
func query(c latchkey.Claims) string {
	q := url.Values{"sub": {c.Subject}, "exp": {number(c.ExpiresAt.Unix())}}
	if c.SessionID != "" {
		q.Set("sid", c.SessionID)
	}
	if !c.IssuedAt.IsZero() {
		q.Set("iat", number(c.IssuedAt.Unix()))
	}
	if c.Epoch >= 0 {
		q.Set("epoch", number(c.Epoch))
	}
	if c.Rights >= 0 {
		q.Set("rights", number(c.Rights))
	}
	return q.Encode()
}

func number(n int64) string { return strconv.FormatInt(n, 10) }

// ask sends a request and decodes the answer. It asks twice: a kept connection may have
// died, and nobody says so.
func (c *Client) ask(ctx context.Context, at string, into any) error {
	err := c.try(ctx, at, into)
	var answered *answerError
	if err == nil || errors.As(err, &answered) || ctx.Err() != nil {
		return err
	}
	return c.try(ctx, at, into)
}

// An answerError is an answer that is none of success.
type answerError struct{ text string }

func (e *answerError) Error() string { return e.text }

func (c *Client) try(ctx context.Context, at string, into any) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	res, err := c.fetch(ctx, fetch.Request{Method: "GET", URL: at, MaxBody: maxAnswer,
		Header: map[string]string{"Authorization": "Bearer " + c.key, "Accept": "application/json"}})
	switch {
	case errors.Is(err, fetch.ErrTooLong):
		return &answerError{fmt.Sprintf("%s: more than %d bytes", c.url, maxAnswer)}
	case err != nil:
		return fmt.Errorf("asking %s: %w", c.url, err)
	}
	switch res.Status {
	case 200:
	case 404:
		return &answerError{c.url + ": status 404: it has no such list, or no LATCHKEY_REVOCATION_KEY is set there"}
	case 401:
		return &answerError{c.url + ": status 401: LATCHKEY_REVOCATION_KEY is another one there"}
	default:
		return &answerError{fmt.Sprintf("%s: status %d", c.url, res.Status)}
	}
	if err := json.Unmarshal(res.Body, into); err != nil {
		return &answerError{fmt.Sprintf("%s: the answer cannot be decoded: %v", c.url, err)}
	}
	return nil
}
