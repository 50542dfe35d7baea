package cors_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/latchkey-auth/latchkey/internal/cors"
)

func TestHeadersAreChecked(t *testing.T) {
	for _, name := range []string{"*", "", " ", "X Y", "X-A, X-B", "X-A:", "X\r\nSet-Cookie", "Ä", "(x)", "x/y"} {
		if _, err := cors.New([]string{"https://a.example"}, []string{"X-Good", name}); err == nil || !strings.Contains(err.Error(), "CORS header") {
			t.Errorf("%q: %v, want an error about the header", name, err)
		}
	}
}

// TestPreflightNamesEveryHeaderOnce: what is configured stands behind what tracing
// libraries send by themselves.
func TestPreflightNamesEveryHeaderOnce(t *testing.T) {
	p, err := cors.New([]string{"https://a.example"}, []string{"X-Client-Version", "authorization", "x-client-version", "*x"})
	if err != nil {
		t.Fatal(err)
	}
	h := make(http.Header)
	p.Preflight(h, "GET", "POST")
	const want = "Authorization, Content-Type, traceparent, tracestate, baggage, sentry-trace, X-Client-Version, *x"
	if got := h.Get("Access-Control-Allow-Headers"); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if h.Get("Access-Control-Allow-Methods") != "GET, POST" || h.Get("Access-Control-Allow-Credentials") != "" {
		t.Errorf("got %v", h)
	}
}

func TestMergeVary(t *testing.T) {
	for _, c := range []struct{ one, other, want string }{
		{"", "", ""}, {"", "Origin", "Origin"}, {"Origin", "origin", "Origin"}, {"Accept, Origin", "Origin", "Accept, Origin"},
		{"Accept;Origin", "Origin, Cookie", "Accept;Origin;Cookie"}, {" , ", "Origin", "Origin"},
	} {
		if got := strings.Join(cors.MergeVary(strings.Split(c.one, ";"), strings.Split(c.other, ";")), ";"); got != c.want {
			t.Errorf("%q and %q: got %q, want %q", c.one, c.other, got, c.want)
		}
	}
}
