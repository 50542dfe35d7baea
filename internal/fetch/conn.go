package fetch

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/url"
	"time"

	"github.com/latchkey-auth/latchkey/internal/http1"
)

// idleFor is how long a connection is kept for the next request. Servers close idle ones
// after a minute or more.
const idleFor = time.Minute

// A conn is a connection to a server, for one request at a time.
type conn struct {
	client       *Client
	scheme, host string
	raw, stream  net.Conn // stream is TLS over raw, or raw itself
	in           *bufio.Reader
	got          bool // something of the last answer has arrived
	idleSince    time.Time
}

func (c *Client) dial(ctx context.Context, to *url.URL) (*conn, error) {
	host, port := to.Hostname(), to.Port()
	if port == "" {
		port = map[string]string{"https": "443", "http": "80"}[to.Scheme]
	}
	dialer := net.Dialer{ControlContext: c.Control}
	raw, err := dialer.DialContext(ctx, "tcp", net.JoinHostPort(host, port))
	if err != nil {
		return nil, err
	}
	k := &conn{client: c, scheme: to.Scheme, host: to.Host, raw: raw, stream: raw}
	if to.Scheme == "https" {
		over := tls.Client(raw, &tls.Config{ServerName: host, RootCAs: c.roots, MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"}})
		if err := over.HandshakeContext(ctx); err != nil {
			raw.Close()
			return nil, fmt.Errorf("TLS with %s: %w", to.Host, err)
		}
		k.stream = over
	}
	k.in = bufio.NewReader(k)
	return k, nil
}

// Read notes that something has arrived.
func (k *conn) Read(b []byte) (int, error) {
	n, err := k.stream.Read(b)
	k.got = k.got || n > 0
	return n, err
}

// exchange sends a request and reads its answer. The connection is then kept or closed.
func (k *conn) exchange(ctx context.Context, message []byte, maxBody int) (a Response, err error) {
	k.got = false
	stop := context.AfterFunc(ctx, func() { k.raw.Close() })
	if _, err = k.stream.Write(message); err == nil {
		a, err = http1.Read(k.in, http1.Limits{Header: maxHeader, Body: maxBody, UntilClosed: true})
	}
	alive := stop()
	if err == nil && alive && !a.Last && k.in.Buffered() == 0 && k.client.keep(k) {
		return a, nil
	}
	k.raw.Close()
	switch cause := context.Cause(ctx); {
	case err == nil:
		return a, nil
	case cause != nil:
		return Response{}, fmt.Errorf("%s: %w", k.host, cause)
	}
	return Response{}, fmt.Errorf("%s: %w", k.host, err)
}

// take returns a kept connection to the server, or nil.
func (c *Client) take(to *url.URL) *conn {
	c.mu.Lock()
	defer c.mu.Unlock()
	for n := len(c.idle); n > 0; n = len(c.idle) {
		k := c.idle[n-1]
		c.idle = c.idle[:n-1]
		if k.scheme == to.Scheme && k.host == to.Host && k.fresh(time.Now()) {
			return k
		}
		k.raw.Close()
	}
	return nil
}

// fresh reports whether a kept connection is worth a try. The wall clock counts: the other
// one stops while a function is frozen, and its connections do not outlive that.
func (k *conn) fresh(now time.Time) bool {
	idle := now.Round(0).Sub(k.idleSince.Round(0))
	return 0 <= idle && idle < idleFor
}

// keep has a connection wait for the next request, if there is room.
func (c *Client) keep(k *conn) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.idle) >= c.MaxIdle {
		return false
	}
	k.idleSince = time.Now()
	c.idle = append(c.idle, k)
	return true
}

func (c *Client) closeIdle() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, k := range c.idle {
		k.raw.Close()
	}
	c.idle = nil
}
