package offline

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/latchkey-auth/latchkey/internal/gateway"
	"github.com/latchkey-auth/latchkey/internal/redact"
)

// An exchange is one request on its way through the gateway.
type exchange struct {
	*api
	large           chan struct{}
	w               *statusWriter
	r               *http.Request
	id              string
	start           time.Time
	match           gateway.Match
	auth            authorization
	identityHeaders map[string]string // for a server behind
	allowed         bool              // by CORS, to the page that asks
	// What the log tells.
	refused gateway.ResponseType
	reason  string // why no route matched
	cause   error
}

// ServeHTTP answers one request and logs one line about it.
func (g *Gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a := g.api.Load()
	x := &exchange{api: a, large: g.large, w: &statusWriter{ResponseWriter: w}, r: r, id: newRequestID(), start: a.Now()}
	x.w.Header().Set("X-Amzn-Requestid", x.id)
	defer x.log()
	if page := a.Pages[r.URL.Path]; page != nil && isLoopback(x.host()) && !passedOn(r.Header) {
		page.ServeHTTP(x.w, r)
		return
	}
	x.allowOrigin()
	x.serve()
}

func (x *exchange) serve() {
	if !x.knownHost() {
		x.answer(http.StatusForbidden, `{"message":"Forbidden"}`)
		x.cause = fmt.Errorf("host %q is not this machine; call localhost, or name it by the public URL", x.r.Host)
		return
	}
	if headerBytes(x.r) > maxHeaders {
		x.refuse(gateway.RequestTooLarge)
		return
	}
	match, found := x.Table.MatchAs(x.TrailingSlash, x.r.Method, x.r.URL.EscapedPath())
	if x.preflight(match, found) {
		return
	}
	if !found {
		x.reason = x.Table.WhyNot(x.TrailingSlash, x.r.Method, x.r.URL.EscapedPath())
		x.refuse(gateway.MissingAuthenticationToken)
		return
	}
	x.match = match
	if !match.Route.Public && !x.authorize() {
		return
	}
	if upstream, ok := x.upstreams[match.Route.To]; ok {
		x.forward(upstream)
		return
	}
	x.invoke(x.Functions[match.Route.To])
}

func (x *exchange) knownHost() bool {
	host := x.host()
	return isLoopback(host) || strings.HasSuffix(host, ".localhost") || slices.Contains(x.Hosts, host)
}

// host is the name that the client calls, without its port.
func (x *exchange) host() string {
	host, _, err := net.SplitHostPort(x.r.Host)
	if err != nil {
		host = strings.Trim(x.r.Host, "[]")
	}
	return strings.ToLower(strings.TrimSuffix(host, "."))
}

// isLoopback takes no name below localhost: not every resolver keeps those on this
// machine.
func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback() || host == "localhost"
}

func headerBytes(r *http.Request) int {
	n := len("Host") + len(r.Host)
	for name, values := range r.Header {
		for _, v := range values {
			n += len(name) + len(v)
		}
	}
	return n
}

func (x *exchange) methodARN() gateway.ARN {
	return gateway.ARN{
		Partition: "aws", Region: region, Account: accountID, API: apiID, Stage: stage,
		Method: x.r.Method, Path: x.TrailingSlash.ARNPath(x.r.URL.EscapedPath()),
	}
}

// log never shows the query or any header: both may hold secrets.
func (x *exchange) log() {
	attrs := []slog.Attr{
		slog.String("request_id", x.id), slog.String("method", x.r.Method), slog.String("path", redact.Tokens(x.r.URL.EscapedPath())),
		slog.Int("status", x.w.status), slog.Float64("duration_ms", float64(x.Now().Sub(x.start).Microseconds())/1000),
	}
	if x.match.Route.Path != "" {
		attrs = append(attrs, slog.String("route", x.match.Route.String()))
	}
	if x.auth.source != "" {
		attrs = append(attrs, slog.String("authorizer", x.auth.source))
	}
	if x.auth.principal != "" {
		attrs = append(attrs, slog.String("sub", x.auth.principal))
	}
	if x.refused != "" {
		attrs = append(attrs, slog.String("gateway_response", string(x.refused)))
	}
	if x.reason != "" {
		attrs = append(attrs, slog.String("reason", x.reason))
	}
	level := slog.LevelInfo
	if x.cause != nil {
		level = slog.LevelError
		attrs = append(attrs, slog.String("error", x.cause.Error()))
	}
	x.Log.LogAttrs(context.WithoutCancel(x.r.Context()), level, "request", attrs...)
}

// newRequestID returns an id in the form of API Gateway's, a UUID of version 4
// (RFC 9562 section 5.4).
func newRequestID() string {
	var b [16]byte
	rand.Read(b[:]) // never fails
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	text := hex.EncodeToString(b[:])
	return strings.Join([]string{text[:8], text[8:12], text[12:16], text[16:20], text[20:]}, "-")
}

// statusWriter remembers the status for the log.
type statusWriter struct {
	http.ResponseWriter
	status int
}

func (w *statusWriter) WriteHeader(status int) {
	if w.status == 0 && status >= 200 { // not an early hint
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *statusWriter) Write(p []byte) (int, error) {
	w.status = cmp.Or(w.status, http.StatusOK)
	return w.ResponseWriter.Write(p)
}

// Unwrap lets http.ResponseController reach the connection.
func (w *statusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
