package web_test

import (
	"net/http"
	"strings"
	"testing"
)

// TestPagesTakeFormsOfTheirOwnOriginOnly: browsers without Sec-Fetch-Site send
// Origin all the same. The public URL is https://login.example.com/auth.
func TestPagesTakeFormsOfTheirOwnOriginOnly(t *testing.T) {
	eachPage(t, func(t *testing.T, f *fixture, p ticketPage, token string) {
		form := p.filled(token).Encode()
		here := f.server.URL // http://127.0.0.1:PORT
		for _, origin := range []string{
			"https://evil.example", "null", "", "http://login.example.com", "https://login.example.com:8443", "https://login.example.com.evil.example",
			"https://login.example.com/", "https://login.example.com:443", "HTTPS://login.example.com", "https://x@login.example.com", "https://login.example.com, https://evil.example",
			"http://127.0.0.1:1", strings.Replace(here, "127.0.0.1", "localhost", 1), strings.Replace(here, "http", "ftp", 1), here + "/",
			"https://login.example.com\nhttps://evil.example", "https://evil.example\nhttps://login.example.com",
		} {
			a := f.send("POST", p.path, form, fields{"Content-Type": asForm, "Origin": origin})
			if a.status != http.StatusForbidden || strings.Contains(a.body, "<form") {
				t.Errorf("a form of %q: got %d, want 403 and a page without form", origin, a.status)
			}
		}
		for _, site := range []string{"cross-site", "same-site", "x", "", "same-origin\ncross-site"} {
			a := f.send("POST", p.path, form, fields{"Content-Type": asForm, "Origin": "https://login.example.com", "Sec-Fetch-Site": site})
			if a.status != http.StatusForbidden {
				t.Errorf("a form of the site %q: got %d, want 403", site, a.status)
			}
		}
		// A name that was made to mean 127.0.0.1 is no name of ours.
		req, err := http.NewRequestWithContext(t.Context(), "POST", here+p.path, strings.NewReader(form))
		if err != nil {
			t.Fatal(err)
		}
		req.Host = "evil.example"
		if a := f.do(req, fields{"Content-Type": asForm, "Origin": "http://evil.example"}); a.status != http.StatusForbidden {
			t.Errorf("a form of the host that was asked: got %d, want 403", a.status)
		}
		if p.works(f) {
			t.Fatal("it is done by what was refused")
		}
	})
	for name, h := range map[string]func(*fixture) fields{
		"the public URL": func(*fixture) fields { return fields{"Origin": "https://login.example.com"} },
		"this machine":   func(f *fixture) fields { return fields{"Origin": f.server.URL} },
		"a new browser": func(*fixture) fields {
			return fields{"Origin": "https://login.example.com", "Sec-Fetch-Site": "same-origin"}
		},
	} {
		eachPage(t, func(t *testing.T, f *fixture, p ticketPage, token string) {
			a := f.send("POST", p.path, p.filled(token).Encode(), with(h(f), "Content-Type", asForm))
			if a.status != http.StatusOK {
				t.Errorf("a form of %s: got %d %s", name, a.status, a.body)
			}
		})
	}
}
