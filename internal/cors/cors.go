// Package cors answers browsers for the origins on a list and for no other, the
// same at the auth service and at the local gateway (Fetch standard, "CORS
// protocol"). Cookies are never allowed: tokens go in the Authorization header.
package cors

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// allowedHeaders are what pages may send in any case: the token, JSON, and what
// tracing libraries add to every request by themselves (W3C Trace Context, W3C
// Baggage, Sentry). A preflight that misses one of those fails as a whole.
var allowedHeaders = []string{"Authorization", "Content-Type", "traceparent", "tracestate", "baggage", "sentry-trace"}

// A Policy says whose pages may call, and with which headers.
type Policy struct {
	origins []string
	headers string // for Access-Control-Allow-Headers
}

// New checks the origins, and the headers that pages may send besides the usual
// ones. Without origins there is no CORS at all.
func New(origins, headers []string) (Policy, error) {
	for _, o := range origins {
		u, err := url.Parse(o)
		if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.Scheme+"://"+u.Host != o {
			return Policy{}, fmt.Errorf("CORS origin %q: must be scheme://host[:port] without a path", o)
		}
	}
	allowed := slices.Clone(allowedHeaders)
	for _, name := range headers {
		if !isHeaderName(name) {
			return Policy{}, fmt.Errorf("CORS header %q: must be the name of a header, such as X-Client-Version", name)
		}
		if !slices.ContainsFunc(allowed, func(known string) bool { return strings.EqualFold(known, name) }) {
			allowed = append(allowed, name)
		}
	}
	return Policy{slices.Clone(origins), strings.Join(allowed, ", ")}, nil
}

// isHeaderName reports whether a name is a token (RFC 9110 section 5.6.2). "*" is
// one, but here it would mean every header.
func isHeaderName(name string) bool {
	const punctuation = "!#$%&'*+-.^_`|~"
	for _, c := range name {
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.ContainsRune(punctuation, c)) {
			return false
		}
	}
	return name != "" && name != "*"
}

// On reports whether any origin is listed.
func (p Policy) On() bool { return len(p.origins) > 0 }

// Allow lets a listed origin read the answer, with the exposed headers, and says
// whether it has. Answers to other origins vary by the origin too.
func (p Policy) Allow(h http.Header, r *http.Request, exposed string) bool {
	if !p.On() {
		return false
	}
	h["Vary"] = MergeVary(h["Vary"], []string{"Origin"})
	origin := r.Header.Get("Origin")
	if !slices.Contains(p.origins, origin) {
		return false
	}
	h.Set("Access-Control-Allow-Origin", origin)
	h.Set("Access-Control-Expose-Headers", exposed)
	return true
}

// IsPreflight reports whether a browser asks whether a page may make a request. It
// asks without a token.
func IsPreflight(r *http.Request) bool {
	return r.Method == http.MethodOptions && r.Header.Get("Access-Control-Request-Method") != ""
}

// Preflight says what pages of an origin that [Policy.Allow] has let in may send.
func (p Policy) Preflight(h http.Header, methods ...string) {
	h.Set("Access-Control-Allow-Methods", strings.Join(methods, ", "))
	h.Set("Access-Control-Allow-Headers", p.headers)
	h.Set("Access-Control-Max-Age", "600")
}

// MergeVary joins values of Vary, each field once (RFC 9110 section 12.5.5): a
// gateway and what is behind it may both have a list of origins.
func MergeVary(lists ...[]string) []string {
	seen := make(map[string]bool)
	var merged []string
	for _, value := range slices.Concat(lists...) {
		var kept []string
		for field := range strings.SplitSeq(value, ",") {
			field = strings.TrimSpace(field)
			if name := strings.ToLower(field); name != "" && !seen[name] {
				seen[name] = true
				kept = append(kept, field)
			}
		}
		if len(kept) > 0 {
			merged = append(merged, strings.Join(kept, ", "))
		}
	}
	return merged
}
