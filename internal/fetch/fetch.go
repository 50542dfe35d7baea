// Package fetch sends requests by HTTP/1.1: by TLS, or without it to this machine.
//
// It does what the client of net/http does, less what its callers must not have or do not
// need: redirects, proxies, cookies, compression, HTTP/2. net/http would be a tenth of the
// bootstrap that fetches key sets and revocations, and a cold start pays for every byte.
package fetch

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"github.com/latchkey-auth/latchkey/internal/http1"
)

const maxHeader = 16 << 10 // bytes of an answer's header

// A Request is sent as it is; it must be one that may be sent twice.
type Request struct {
	Method  string
	URL     string
	Header  map[string]string
	Body    []byte // nil: none
	MaxBody int    // bytes of the answer's body; more is an error
}

// A Response has any status.
type Response = http1.Answer

// A Func sends a request and returns the answer. The context bounds all of it, and no
// redirect is followed.
type Func func(ctx context.Context, r Request) (Response, error)

// ErrTooLong is an answer whose body is longer than MaxBody, or whose header is longer than
// 16 KiB.
var ErrTooLong = http1.ErrTooLong

// A Client sends requests. The zero value is ready, and keeps no connections. It may be
// used concurrently.
type Client struct {
	// Control may refuse the address that is about to be dialled, see
	// [net.Dialer.ControlContext]; nil: every address may be dialled.
	Control func(ctx context.Context, network, address string, c syscall.RawConn) error
	// MaxIdle is how many connections are kept for requests to come; 0: none.
	MaxIdle int

	roots *x509.CertPool // nil: the system's

	mu   sync.Mutex // guards idle
	idle []*conn
}

// Fetch is a Func. A kept connection that ends before an answer has begun is replaced by a
// new one, once.
func (c *Client) Fetch(ctx context.Context, r Request) (Response, error) {
	to, err := parseURL(r.URL)
	if err != nil {
		return Response{}, err
	}
	message, err := r.encode(to, c.MaxIdle > 0)
	if err != nil {
		return Response{}, err
	}
	if kept := c.take(to); kept != nil {
		res, err := kept.exchange(ctx, message, r.MaxBody)
		if err == nil {
			return res, nil
		}
		c.closeIdle() // they are as old
		if kept.got || ctx.Err() != nil {
			return res, err
		}
	}
	made, err := c.dial(ctx, to)
	if err != nil {
		return Response{}, err
	}
	return made.exchange(ctx, message, r.MaxBody)
}

// parseURL takes the addresses that can be written into a request and be dialled.
func parseURL(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	if err != nil {
		return nil, errors.New("not a URL") // that of url.Parse quotes it, and it may hold a password
	}
	if u.Scheme != "https" && u.Scheme != "http" || u.Hostname() == "" {
		return nil, fmt.Errorf("%q is no address of HTTP", u.Redacted())
	}
	if strings.ContainsFunc(u.Host, func(r rune) bool { return r <= ' ' || r >= 0x7f }) {
		return nil, fmt.Errorf("host %q must be ASCII: write it as xn--…", u.Host)
	}
	return u, nil
}

// encode writes the request (RFC 9112 section 3).
func (r *Request) encode(to *url.URL, keep bool) ([]byte, error) {
	m := make([]byte, 0, 1024+len(r.Body))
	m = append(append(append(m, r.Method...), ' '), to.RequestURI()...)
	m = appendField(append(m, " HTTP/1.1\r\n"...), "Host", to.Host)
	m = appendField(m, "User-Agent", "latchkey")
	if !keep {
		m = appendField(m, "Connection", "close")
	}
	if r.Body != nil {
		m = appendField(m, "Content-Length", strconv.Itoa(len(r.Body)))
	}
	names := make([]string, 0, len(r.Header))
	for name, value := range r.Header {
		if strings.ContainsAny(name+value, "\r\n\x00") {
			return nil, fmt.Errorf("field %.40q of the request holds the end of a line", name)
		}
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		m = appendField(m, name, r.Header[name])
	}
	return append(append(m, "\r\n"...), r.Body...), nil
}

func appendField(m []byte, name, value string) []byte {
	m = append(append(m, name...), ": "...)
	return append(append(m, value...), "\r\n"...)
}
