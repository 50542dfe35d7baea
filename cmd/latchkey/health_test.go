package main

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestHealthURL(t *testing.T) {
	for _, c := range []struct{ given, addr, want string }{
		{"", "127.0.0.1:8080", "http://127.0.0.1:8080/readyz"},
		{"", "0.0.0.0:80", "http://127.0.0.1:80/readyz"},
		{"", ":8080", "http://127.0.0.1:8080/readyz"},
		{"", "[::]:8080", "http://[::1]:8080/readyz"},
		{"", "localhost:8080", "http://localhost:8080/readyz"},
		{"", "192.0.2.7:1", "http://192.0.2.7:1/readyz"},
		{"", "127.0.0.1:0", ""},
		{"", "8080", ""},
		{"http://a:1", "x", "http://a:1/readyz"},
		{"https://a/auth/", "x", "https://a/auth/readyz"},
		{"http://a/readyz", "x", "http://a/readyz"},
		{"a:1", "x", ""},
		{"file:///readyz", "x", ""},
		{"http://user:secret@a", "x", ""},
	} {
		got, err := healthURL(c.given, c.addr)
		if got != c.want || (err == nil) != (c.want != "") {
			t.Errorf("%q, %q: %q (%v), want %q", c.given, c.addr, got, err, c.want)
		}
	}
}

func TestHealth(t *testing.T) {
	status := http.StatusOK
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/readyz" {
			t.Errorf("asked for %s", r.URL.Path)
		}
		w.Header().Set("Location", "/elsewhere")
		w.WriteHeader(status)
	}))
	defer s.Close()
	addr := strings.TrimPrefix(s.URL, "http://")
	t.Setenv("HTTP_PROXY", "http://127.0.0.1:1")
	health := func(args ...string) (code int, out, problem string) {
		var stdout, stderr bytes.Buffer
		code = run(t.Context(), append([]string{"health"}, args...), strings.NewReader(""), &stdout, &stderr)
		return code, stdout.String(), stderr.String()
	}
	want := "http://" + addr + "/readyz: ready\n"
	t.Setenv("LATCHKEY_ADDR", addr)
	for _, args := range [][]string{nil, {"--addr", addr}, {s.URL}} {
		if code, out, problem := health(args...); code != 0 || out != want || problem != "" {
			t.Errorf("%v: %d %q %q", args, code, out, problem)
		}
	}
	for _, status = range []int{http.StatusServiceUnavailable, http.StatusNotFound, http.StatusFound, http.StatusNoContent} {
		if code, out, problem := health(); code != 1 || out != "" || !strings.Contains(problem, http.StatusText(status)) || strings.Count(problem, "\n") != 1 {
			t.Errorf("%d: %d %q %q", status, code, out, problem)
		}
	}
	s.Close()
	if code, out, problem := health(); code != 1 || out != "" || strings.Count(problem, "\n") != 1 {
		t.Errorf("nothing listens: %d %q %q", code, out, problem)
	}
}
