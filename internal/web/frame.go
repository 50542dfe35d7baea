package web

import (
	"context"
	"crypto/rand"
	"encoding/base32"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/netip"
	"runtime/debug"
	"strings"
	"time"

	"github.com/latchkey-auth/latchkey/internal/auth"
	"github.com/latchkey-auth/latchkey/internal/cors"
	"github.com/latchkey-auth/latchkey/internal/redact"
)

// request is what the frame knows of a request.
type request struct {
	id      string
	address string
}

type requestKey struct{}

func requestOf(ctx context.Context) request {
	if rec, ok := ctx.Value(requestKey{}).(*recorder); ok {
		return rec.request
	}
	return request{}
}

func requestID(ctx context.Context) string { return requestOf(ctx).id }

// client is what the domain may know of the client of a request.
func client(r *http.Request) auth.Client {
	known := requestOf(r.Context())
	return auth.Client{RequestID: known.id, Address: known.address, Device: r.UserAgent()}
}

// answer turns a handler that returns errors into one that answers them. A client
// that did not take the answer gets no other, and is no fault of ours.
func (h *handler) answer(f func(http.ResponseWriter, *http.Request) error) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		err := f(w, r)
		if rec, ok := r.Context().Value(requestKey{}).(*recorder); ok && rec.lost != nil {
			h.unwritten(r, rec.lost)
		} else if err != nil {
			h.fail(w, r, err)
		}
	})
}

// frame names the request, sets the headers that every answer has, answers
// panics and writes the log line.
func (h *handler) frame(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		began := time.Now()
		rec := &recorder{ResponseWriter: w, request: request{id: h.newRequestID(r.Context()), address: h.clientAddress(r)}}
		r = r.WithContext(context.WithValue(r.Context(), requestKey{}, rec))
		header := w.Header()
		maps.Copy(header, everyAnswer)
		header["X-Request-Id"] = []string{rec.id}
		defer func() {
			if v := recover(); v != nil {
				h.recovered(rec, r, v)
			}
			h.log(r, rec, time.Since(began))
		}()
		next.ServeHTTP(rec, r)
	})
}

// everyAnswer are the headers of all answers; a handler may set others in their
// place. The values are shared: replace them, do not write into them.
var everyAnswer = http.Header{
	"Cache-Control":           {"no-store"},
	"X-Content-Type-Options":  {"nosniff"},
	"Content-Security-Policy": {"default-src 'none'; frame-ancestors 'none'"},
	"Referrer-Policy":         {"no-referrer"},
}

// requestIDs spell 128 bits in 26 letters and digits.
var requestIDs = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

func (h *handler) newRequestID(ctx context.Context) string {
	if h.RequestID != nil {
		if id := h.RequestID(ctx); id != "" {
			return id
		}
	}
	var id [16]byte
	rand.Read(id[:]) // never fails, crypto/rand
	return requestIDs.EncodeToString(id[:])
}

func (h *handler) recovered(rec *recorder, r *http.Request, v any) {
	if v == http.ErrAbortHandler {
		panic(v)
	}
	h.Log.Error("panic", "request_id", requestID(r.Context()), "value", fmt.Sprint(v), "stack", string(debug.Stack()))
	if rec.status == 0 {
		h.fail(rec, r, fmt.Errorf("panic: %v", v))
	}
}

// log writes the line of a request: the path without the query, no header.
func (h *handler) log(r *http.Request, rec *recorder, took time.Duration) {
	if h.AccessLog == nil || !h.AccessLog.Enabled(r.Context(), slog.LevelInfo) {
		return
	}
	h.AccessLog.LogAttrs(r.Context(), slog.LevelInfo, "request",
		slog.String("request_id", rec.id),
		slog.String("method", r.Method),
		slog.String("path", redact.Tokens(r.URL.Path)),
		slog.Int("status", rec.status),
		slog.Float64("duration_ms", float64(took.Microseconds())/1000),
		slog.String("address", rec.address),
	)
}

// recorder remembers the status of an answer, and what is known of its request.
type recorder struct {
	http.ResponseWriter
	request
	status int
	lost   error // why the client did not get the answer, or not all of it
}

func (r *recorder) WriteHeader(status int) {
	if r.status == 0 {
		r.status = status
	}
	r.ResponseWriter.WriteHeader(status)
}

func (r *recorder) Write(p []byte) (int, error) {
	if r.status == 0 {
		r.status = http.StatusOK
	}
	n, err := r.ResponseWriter.Write(p)
	if err != nil {
		r.lost = err
	}
	return n, err
}

func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

// clientAddress is the peer's, or with N trusted proxies the one that the
// outermost of them saw: the Nth from the right of X-Forwarded-For. Whatever
// stands further left came from the client and is ignored. Empty: unknown, where
// that place is missing or unreadable. It is never the proxy's own: that would make
// one client, and one known network, of all who come through it.
func (h *handler) clientAddress(r *http.Request) string {
	if h.TrustedProxies == 0 {
		h.warnForwarded(r)
		return addressOf(r.RemoteAddr)
	}
	hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	hop := ""
	if len(hops) >= h.TrustedProxies {
		hop = hops[len(hops)-h.TrustedProxies]
	}
	address := addressOf(strings.TrimSpace(hop))
	if address == "" {
		h.noAddress.Do(func() {
			h.Log.Warn("a client's address is unknown: X-Forwarded-For has no address at the place of the outermost trusted proxy; all such clients share the limits of one (logged once; check --trusted-proxies)",
				slog.Int("trusted_proxies", h.TrustedProxies), slog.Int("hops", len(hops)), slog.String("hop", redact.Tokens(hop[:min(len(hop), maxLoggedHop)])))
		})
	}
	return address
}

// warnForwarded says that a proxy seems to stand in front of which nobody has told:
// its address is then that of every client.
func (h *handler) warnForwarded(r *http.Request) {
	if !h.Listens || len(r.Header["X-Forwarded-For"]) == 0 {
		return
	}
	h.forwarded.Do(func() {
		h.Log.Warn("X-Forwarded-For is ignored: behind a proxy all clients share the limits of one; set --trusted-proxies to the number of proxies in front (logged once; clients can send the header, too)",
			slog.String("peer", addressOf(r.RemoteAddr)))
	})
}

// maxLoggedHop is how many bytes of an unreadable hop the log shows.
const maxLoggedHop = 64

// addressOf reads an IP address with or without brackets and port, as balancers
// write it. Empty: it is none.
func addressOf(text string) string {
	if at, err := netip.ParseAddrPort(text); err == nil {
		return at.Addr().Unmap().WithZone("").String()
	}
	if inner, ok := strings.CutPrefix(text, "["); ok {
		if text, ok = strings.CutSuffix(inner, "]"); !ok {
			return ""
		}
	}
	ip, err := netip.ParseAddr(text)
	if err != nil {
		return ""
	}
	return ip.Unmap().WithZone("").String()
}

// withCORS lets the pages of listed origins call.
func withCORS(policy cors.Policy, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if policy.Allow(w.Header(), r, "X-Request-Id, Retry-After") && cors.IsPreflight(r) {
			policy.Preflight(w.Header(), "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
			w.WriteHeader(http.StatusNoContent)
			return
		}
		next.ServeHTTP(w, r)
	})
}
