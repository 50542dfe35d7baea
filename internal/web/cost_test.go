package web_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/latchkey-auth/latchkey/internal/auth"
	"github.com/latchkey-auth/latchkey/internal/costtest"
	"github.com/latchkey-auth/latchkey/internal/web"
)

// TestCostOfRequests: what a stranger can make long is read in a time that grows with
// it. The service is asked without a network.
func TestCostOfRequests(t *testing.T) {
	f := fixtureWith(t, ":memory:", func(c *auth.Config) {
		c.Registration, c.VerifyEmail, c.SendsMail, c.PublicURL = auth.RegistrationOpen, true, true, publicURL
	})
	h, err := web.New(web.Config{Service: f.service, Verifier: verifierOf(f), JWKS: f.keys.JWKS, TrustedProxies: 2, CORSOrigins: []string{"https://a.example"}})
	if err != nil {
		t.Fatal(err)
	}
	const small = 6 << 10
	numbered := func(format, end string) func(int) string {
		return func(n int) string {
			var b strings.Builder
			for i := 0; b.Len() < n; i++ {
				fmt.Fprintf(&b, format, i)
			}
			return b.String() + end
		}
	}
	post := func(path, media string) func(string) *http.Request {
		return func(text string) *http.Request {
			r := httptest.NewRequest("POST", path, strings.NewReader(text))
			r.Header.Set("Content-Type", media)
			return r
		}
	}
	header := func(name string) func(string) *http.Request {
		return func(text string) *http.Request {
			r := httptest.NewRequest("GET", "/livez", nil)
			r.Header.Set(name, text)
			return r
		}
	}
	repeated := func(part string) func(int) string {
		return func(n int) string { return strings.Repeat(part, n/len(part)) }
	}
	for name, c := range map[string]struct {
		text func(int) string
		send func(string) *http.Request
	}{
		"unknown members":     {func(n int) string { return "{" + numbered(`"m%06d":1,`, `"z":1}`)(n) }, post("/login", asJSON)},
		"an address":          {func(n int) string { return `{"email":"a@` + repeated("用")(n) + `.com"}` }, post("/password/forgot", asJSON)},
		"a password":          {func(n int) string { return `{"username":"ada","password":"` + repeated("é")(n) + `"}` }, post("/login", asJSON)},
		"blanks":              {repeated(" "), post("/login", asJSON)},
		"members of a form":   {numbered("m%06d=1&", "token=x"), post("/verify", asForm)},
		"a member many times": {repeated("token=x&"), post("/verify", asForm)},
		"an encoded form":     {repeated("%25"), post("/verify", asForm)},
		"hops":                {repeated("203.0.113.7, "), header("X-Forwarded-For")},
		"commas":              {repeated(","), header("X-Forwarded-For")},
		"brackets":            {repeated("["), header("X-Forwarded-For")},
		"colons":              {repeated(":"), header("X-Forwarded-For")},
		"a content type":      {func(n int) string { return "application/json" + repeated("; a=b")(n) }, func(s string) *http.Request { return post("/login", s)("{}") }},
		"a quoted parameter":  {func(n int) string { return `application/json; a="` + repeated(`\"`)(n) + `"` }, func(s string) *http.Request { return post("/login", s)("{}") }},
		"an origin":           {repeated("a"), header("Origin")},
		"a credential": {repeated("a."), func(s string) *http.Request {
			r := header("Authorization")("Bearer " + s)
			r.URL.Path = "/me"
			return r
		}},
		"a path":         {func(n int) string { return repeated("/a")(n) }, func(s string) *http.Request { return httptest.NewRequest("GET", s, nil) }},
		"dots in a path": {func(n int) string { return repeated("/..")(n) }, func(s string) *http.Request { return httptest.NewRequest("GET", s, nil) }},
		"a query":        {func(n int) string { return "/verify?" + repeated("token=a&")(n) }, func(s string) *http.Request { return httptest.NewRequest("GET", s, nil) }},
	} {
		t.Run(name, func(t *testing.T) {
			costtest.Linear(t, small, c.text, func(text string) { h.ServeHTTP(httptest.NewRecorder(), c.send(text)) })
		})
	}
}
