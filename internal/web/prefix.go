package web

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
)

// prefixOf is the path of the public URL, below which a proxy serves us: "/auth" of
// https://example.com/auth. Empty: we are served at the root.
func prefixOf(publicURL string) string {
	u, err := url.Parse(publicURL)
	if err != nil {
		return ""
	}
	return strings.TrimRight(u.Path, "/")
}

// belowPrefix takes the prefix from the path of a request. Some proxies pass it on
// and some strip it, so a path that is one of ours as it stands stays. A path that
// is spelled in another way is left for oneSpelling to refuse.
//
// RFC 8414 section 3.1 has the prefix behind the well-known part, where it is taken
// away too.
func belowPrefix(prefix string, mux *http.ServeMux, next http.Handler) http.Handler {
	if prefix == "" {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		path, ok := strings.CutPrefix(r.URL.Path, prefix)
		if !ok || !strings.HasPrefix(path, "/") {
			path, ok = strings.CutSuffix(r.URL.Path, prefix)
			ok = ok && strings.HasPrefix(path, "/.well-known/")
		}
		if !ok || r.URL.RawPath != "" {
			next.ServeHTTP(w, r)
			return
		}
		if _, pattern := mux.Handler(r); pattern != "/" {
			next.ServeHTTP(w, r)
			return
		}
		inner := *r
		inner.URL = &url.URL{Path: path, RawQuery: r.URL.RawQuery}
		next.ServeHTTP(w, &inner)
	})
}

// openAPIBelow is the document for clients that reach us below the prefix: a server
// URL is relative to the document's host.
func openAPIBelow(prefix string) ([]byte, error) {
	if prefix == "" {
		return OpenAPI, nil
	}
	server, err := json.Marshal((&url.URL{Path: prefix}).String())
	if err != nil {
		return nil, err
	}
	return bytes.Replace(OpenAPI, []byte(`"servers": [{"url": "/"}]`), []byte(`"servers": [{"url": `+string(server)+`}]`), 1), nil
}
