package redact

import (
	"strings"
	"testing"
)

func TestTokens(t *testing.T) {
	const link = "mfrggzdfmztwq2lk.AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"
	const token = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl"
	for text, want := range map[string]string{
		"":                     "",
		"/orders/7":            "/orders/7",
		"/a%20b":               "/a%20b",
		"eyJ alone is nothing": "eyJ alone is nothing",
		"/x/" + token:          "/x/[redacted]",
		"Bearer " + token:      "Bearer [redacted]",
		token + "," + token:    "[redacted],[redacted]",
		"a" + token + "/b":     "[redacted]/b",
		"/verify/" + link:      "/verify/[redacted]",
		"token=" + link + "&x": "token=[redacted]&x",
		"/v1.2.3/index.html":   "/v1.2.3/index.html",
		"/verify/mfrggzdfmztwq2lk%2e" + link[17:]:     "[redacted]",
		"/x/" + token[:30]:                            "/x/[redacted]",
		`{"t":"` + token + `"}`:                       `{"t":"[redacted]"}`,
		"/x/" + strings.ReplaceAll(token, ".", "%2E"): "[redacted]",
	} {
		if got := Tokens(text); got != want {
			t.Errorf("Tokens(%q) = %q, want %q", text, got, want)
		}
	}
}

func FuzzTokens(f *testing.F) {
	f.Add("x eyJa.b y%2e")
	f.Fuzz(func(t *testing.T, text string) {
		got := Tokens(text)
		if Tokens(got) != got {
			t.Errorf("Tokens(%q) = %q, which changes again", text, got)
		}
	})
}
