package httpauth_test

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/latchkey-auth/latchkey/httpauth"
	"github.com/latchkey-auth/latchkey/internal/fetch"
)

// TestFetchByAClientOfYours: its certificates count, redirects are not followed, and the
// answer is bounded.
func TestFetchByAClientOfYours(t *testing.T) {
	s := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/moved":
			http.Redirect(w, r, "/", http.StatusFound)
		case "/long":
			io.WriteString(w, strings.Repeat("a", 11))
		default:
			w.Header().Add("Cache-Control", "public")
			w.Header().Add("Cache-Control", "max-age=5")
			body, _ := io.ReadAll(r.Body)
			io.WriteString(w, r.Method+r.Header.Get("X-A")+string(body))
		}
	}))
	defer s.Close()
	by := httpauth.Fetch(s.Client())
	do := func(path string) (fetch.Response, error) {
		return by(t.Context(), fetch.Request{Method: "POST", URL: s.URL + path, Header: map[string]string{"X-A": "1"}, Body: []byte("b"), MaxBody: 10})
	}
	if got, err := do("/"); err != nil || string(got.Body) != "POST1b" || got.Header.Get("cache-control") != "public, max-age=5" {
		t.Errorf("%+v, error %v", got, err)
	}
	if got, err := do("/moved"); err != nil || got.Status != http.StatusFound {
		t.Errorf("a redirect: %+v, error %v", got, err)
	}
	if got, err := do("/long"); !errors.Is(err, fetch.ErrTooLong) {
		t.Errorf("11 bytes: %+v, error %v", got, err)
	}
}
