package web

import (
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
)

// originOf returns the origin of a URL as browsers spell it (RFC 6454 section
// 6.2), without the port that its scheme implies. Empty: it has none.
func originOf(text string) string {
	u, err := url.Parse(text)
	if err != nil || u.Hostname() == "" || u.Scheme != "http" && u.Scheme != "https" {
		return ""
	}
	host := strings.ToLower(u.Host)
	if implied := map[string]string{"http": ":80", "https": ":443"}[u.Scheme]; strings.HasSuffix(host, implied) {
		host = strings.TrimSuffix(host, implied)
	}
	return u.Scheme + "://" + strings.TrimSuffix(host, ":")
}

// ownForm reports whether a form can come from a page of ours. A browser says so
// by Sec-Fetch-Site, or by Origin, which older ones send alone: that of the public
// URL, or of the loopback name under which this request came (localhost and
// 127.0.0.1 serve the same pages). No other page has a loopback name of ours.
// "null" is no origin of ours, and so the pages' Referrer-Policy must not make a
// browser send it.
func (h *handler) ownForm(r *http.Request) bool {
	for _, site := range r.Header.Values("Sec-Fetch-Site") {
		if site != "same-origin" && site != "none" {
			return false
		}
	}
	for _, origin := range r.Header.Values("Origin") {
		at := originOf(origin)
		own := at != "" && at == origin && (at == h.origin || isLoopback(r.Host) && strings.HasSuffix(at, "://"+strings.ToLower(r.Host)))
		if !own {
			return false
		}
	}
	return true
}

// isLoopback reports whether a host, with or without a port, names this machine.
func isLoopback(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.ToLower(strings.Trim(host, "[]"))
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.IsLoopback() || host == "localhost" || strings.HasSuffix(host, ".localhost")
}
