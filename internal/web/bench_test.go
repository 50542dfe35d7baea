package web_test

import (
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
)

// discard is a response that nobody reads.
type discard struct {
	header http.Header
	status int
}

func (d *discard) Header() http.Header         { return d.header }
func (d *discard) WriteHeader(status int)      { d.status = status }
func (d *discard) Write(p []byte) (int, error) { return len(p), nil }

// BenchmarkMe asks who bears a token that was seen before. Goal: 40 µs.
func BenchmarkMe(b *testing.B) {
	f := fixtureOn(b, filepath.Join(b.TempDir(), "latchkey.db"), quiet)
	req := httptest.NewRequestWithContext(b.Context(), "GET", "/me", nil)
	req.Header.Set("Authorization", "Bearer "+f.token())
	b.ReportAllocs()
	for b.Loop() {
		w := &discard{header: http.Header{}}
		f.handler.ServeHTTP(w, req)
		if w.status != http.StatusOK {
			b.Fatalf("got %d", w.status)
		}
	}
}

// BenchmarkLoginWithoutHash is all of a login but the work of the password
// hash: the cheapest there is. In memory, so that it is not the disk that is
// measured. Goal: 0.3 ms.
func BenchmarkLoginWithoutHash(b *testing.B) {
	f := newFixture(b, quiet)
	body := `{"username":"ada","password":"` + password + `"}`
	b.ReportAllocs()
	for b.Loop() {
		w := &discard{header: http.Header{}}
		f.handler.ServeHTTP(w, httptest.NewRequestWithContext(b.Context(), "POST", "/login", strings.NewReader(body)))
		if w.status != http.StatusOK {
			b.Fatalf("got %d", w.status)
		}
	}
}

// BenchmarkLoginOnDisk is the same with a commit that reaches the disk.
func BenchmarkLoginOnDisk(b *testing.B) {
	f := fixtureOn(b, filepath.Join(b.TempDir(), "latchkey.db"), quiet)
	body := `{"username":"ada","password":"` + password + `"}`
	for b.Loop() {
		w := &discard{header: http.Header{}}
		f.handler.ServeHTTP(w, httptest.NewRequestWithContext(b.Context(), "POST", "/login", strings.NewReader(body)))
		if w.status != http.StatusOK {
			b.Fatalf("got %d", w.status)
		}
	}
}

// BenchmarkRefresh rotates refresh tokens on disk, eight sessions at a time.
func BenchmarkRefresh(b *testing.B) {
	f := fixtureOn(b, filepath.Join(b.TempDir(), "latchkey.db"), quiet)
	b.SetParallelism(4)
	b.RunParallel(func(pb *testing.PB) {
		token := refreshToken(b, f.login("ada", password).body)
		for pb.Next() {
			w := httptest.NewRecorder()
			body := `{"refresh_token":"` + token + `"}`
			f.handler.ServeHTTP(w, httptest.NewRequestWithContext(b.Context(), "POST", "/token/refresh", strings.NewReader(body)))
			if w.Code != http.StatusOK {
				b.Errorf("got %d", w.Code)
				return
			}
			token = refreshToken(b, w.Body.String())
		}
	})
}

func refreshToken(b *testing.B, body string) string {
	b.Helper()
	_, rest, _ := strings.Cut(body, `"refresh_token":"`)
	token, _, ok := strings.Cut(rest, `"`)
	if !ok {
		b.Fatalf("no refresh token in %s", body)
	}
	return token
}
