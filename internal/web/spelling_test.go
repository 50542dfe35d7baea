package web_test

import (
	"net/http"
	"testing"
)

// The mux would answer these with a redirect, which repeats what stands in the
// URL.
func TestOtherSpellingsAreNotFound(t *testing.T) {
	f := newFixture(t)
	token := f.token()
	for _, path := range []string{"//", "//me", "/me/", "/./me", "/x/../me", "/me//sessions", "//evil.example/me", "/%2e%2e/me", "/%6de", "/me%2Fsessions", "/me/sessions/"} {
		a := f.raw("GET " + path + " HTTP/1.1\r\nAuthorization: Bearer " + token)
		f.wantProblem(a, http.StatusNotFound, "not_found")
		if location := a.header.Get("Location"); location != "" {
			t.Errorf("%s: redirected to %s", path, location)
		}
	}
}
