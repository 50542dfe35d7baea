package proxy

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/latchkey-auth/latchkey/internal/gateway"
)

// Config is how a function takes its events.
type Config struct {
	// Default is the request that an event without any mark of a gateway stands for.
	Default Default
	// BasePath is a prefix of paths that the handler does not know, such as the
	// base path of a custom domain: "/auth". Events of REST APIs tell it
	// themselves. Empty: none.
	BasePath string
	// TrustedProxies is how many proxies append to X-Forwarded-For. A load
	// balancer's event names the client nowhere else.
	TrustedProxies int
	Log            *slog.Logger // nil: nothing is logged
}

// Default is the request that an event written by hand stands for.
type Default struct{ Method, Path string }

// An input is what every kind of event comes down to.
type input struct {
	method, path, query string // path and query as they are in a URL
	header              http.Header
	domain              string // the host, where no header says so
	sourceIP            string // empty: unknown
	balanced            bool   // by a load balancer, which names the client in X-Forwarded-For alone
	requestID           string
	body                *string
	isBase64            bool
	answer              func(*recorder) Response
}

// ParseRequest makes a request of an event.
func ParseRequest(ctx context.Context, doc []byte, cfg Config) (*http.Request, error) {
	in, err := cfg.parse(doc)
	if err != nil {
		return nil, err
	}
	return in.request(ctx)
}

func (c Config) parse(doc []byte) (input, error) {
	k, err := kindOf(doc)
	if err != nil {
		return input{}, err
	}
	parse := map[kind]func([]byte) (input, error){byHand: parseREST, restAPI: parseREST, httpAPI: parseHTTPAPI, loadBalancer: parseLoadBalancer}[k]
	in, err := parse(doc)
	if err != nil {
		return input{}, fmt.Errorf("parsing proxy event: %w", err)
	}
	if k == byHand {
		in.method, in.path = c.Default.Method, c.Default.Path
	}
	if in.method == "" || in.path == "" {
		return input{}, fmt.Errorf("parsing proxy event: method %q and path %q do not make a request", in.method, in.path)
	}
	in.path = withoutPrefix(in.path, c.BasePath)
	return in, nil
}

// withoutPrefix takes a prefix of whole segments off a path.
func withoutPrefix(path, prefix string) string {
	rest, ok := strings.CutPrefix(path, prefix)
	switch {
	case !ok || prefix == "" || prefix == "/":
		return path
	case rest == "":
		return "/"
	case rest[0] == '/':
		return rest
	}
	return path
}

// A malformedError is a fault of the client: the event is an HTTP request, and its
// method, path or query breaks the syntax of HTTP. Other errors are faults of what
// made the event.
type malformedError struct{ err error }

func (e *malformedError) Error() string { return "parsing proxy event: " + e.err.Error() }
func (e *malformedError) Unwrap() error { return e.err }

// cause is the error without the URL, whose query may hold a secret.
func (e *malformedError) cause() string {
	var fault *url.Error
	if errors.As(e.err, &fault) {
		return fault.Err.Error()
	}
	return e.err.Error()
}

func (in input) request(ctx context.Context) (*http.Request, error) {
	body, err := in.content()
	if err != nil {
		return nil, err
	}
	if !strings.HasPrefix(in.path, "/") {
		return nil, &malformedError{&url.Error{Op: "parse", URL: in.path, Err: errors.New("method and path do not make a request")}}
	}
	target := strings.ReplaceAll(in.path, "?", "%3F") // some events hold the path decoded
	if in.query != "" {
		target += "?" + in.query
	}
	// Not url.Parse: it would take the first part of "//admin/x" for a host.
	u, err := url.ParseRequestURI(target)
	if err != nil {
		return nil, &malformedError{err}
	}
	r, err := http.NewRequestWithContext(ctx, in.method, "/", bytes.NewReader(body))
	if err != nil {
		return nil, &malformedError{err}
	}
	r.URL, r.RequestURI = u, target
	r.Header = in.header
	r.Host = r.Header.Get("Host")
	if r.Host == "" {
		r.Host = in.domain
	}
	r.Header.Del("Host")
	r.Header.Del("Content-Length") // of what the client sent, which may have been encoded
	if in.sourceIP != "" {
		r.RemoteAddr = net.JoinHostPort(in.sourceIP, "0")
	}
	return r.WithContext(withRequestID(ctx, in.id(ctx))), nil
}

func (in input) id(ctx context.Context) string {
	if in.requestID == "" { // load balancers have none
		return gateway.InvocationFrom(ctx).RequestID
	}
	return in.requestID
}

func (in input) content() ([]byte, error) {
	if in.body == nil {
		return nil, nil
	}
	if !in.isBase64 {
		return []byte(*in.body), nil
	}
	b, err := base64.StdEncoding.DecodeString(*in.body)
	if err != nil {
		return nil, errors.New("parsing proxy event: body is not base64 though isBase64Encoded says so")
	}
	return b, nil
}

// merge makes one header of both maps; where a name is in both, the multi-value
// one wins. The maps hold names in the case in which they were sent: all values
// of "Authorization" and "authorization" stay, in one order, so that a
// reader sees that there are two.
func merge(single map[string]string, multi map[string][]string) http.Header {
	h := make(http.Header)
	for _, name := range slices.Sorted(maps.Keys(multi)) {
		for _, v := range multi[name] {
			h.Add(name, v)
		}
	}
	fromMulti := h.Clone()
	for _, name := range slices.Sorted(maps.Keys(single)) {
		if len(fromMulti.Values(name)) == 0 {
			h.Add(name, single[name])
		}
	}
	return h
}

type requestIDKey struct{}

func withRequestID(ctx context.Context, id string) context.Context {
	return context.WithValue(ctx, requestIDKey{}, id)
}

// RequestID returns the gateway's id of the request that a handler behind
// Handler is answering, or "".
func RequestID(ctx context.Context) string {
	id, _ := ctx.Value(requestIDKey{}).(string)
	return id
}
