package web_test

import (
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"regexp"
	"strings"
	"testing"
)

var (
	pageLabel = regexp.MustCompile(`<label for="([^"]+)"`)
	pageField = regexp.MustCompile(`<input type="password" id="([^"]+)"[^>]*>`)
	pageStyle = regexp.MustCompile(`(?s)<style>(.*?)</style>`)
)

// TestPageStructure: each page has a language, a viewport, one heading, a label for
// each field and the style that its policy names, and nothing that runs or is loaded.
func TestPageStructure(t *testing.T) {
	eachPage(t, func(t *testing.T, f *fixture, p ticketPage, token string) {
		form := f.get(p.path+"?token="+token, nil)
		refused := f.submit(p.path, p.filled("wrong"))
		done := f.submit(p.path, p.filled(token))
		if done.status != http.StatusOK {
			t.Fatalf("the form: %d %s", done.status, done.body)
		}
		for name, a := range map[string]answer{"form": form, "refusal": refused, "success": done} {
			for _, part := range []string{`<html lang="en">`, `<meta name="viewport"`, "<h1>", "<main", "<title>"} {
				if strings.Count(a.body, part) != 1 {
					t.Errorf("%s: %q stands there %d times, want once", name, part, strings.Count(a.body, part))
				}
			}
			for _, part := range []string{"<script", "<link", "<img", "<iframe", " style=", " src=", "url(", "@import"} {
				if strings.Contains(a.body, part) {
					t.Errorf("%s: it has %q", name, part)
				}
			}
			style := pageStyle.FindStringSubmatch(a.body)
			if style == nil || !strings.Contains(style[1], "prefers-color-scheme:dark") {
				t.Fatalf("%s: no style for both schemes: %s", name, a.body)
			}
			sum := sha256.Sum256([]byte(style[1]))
			if policy := a.header.Get("Content-Security-Policy"); !strings.Contains(policy, "'sha256-"+base64.StdEncoding.EncodeToString(sum[:])+"'") {
				t.Errorf("%s: %q does not name its style", name, policy)
			}
			if alert := strings.Contains(a.body, `role="alert"`); alert != (name == "refusal") {
				t.Errorf("%s: alert is %t", name, alert)
			}
			if good := strings.Contains(a.body, `<main class="done">`) && strings.Contains(a.body, "✓") && strings.Contains(a.body, `role="status"`); good != (name == "success") {
				t.Errorf("%s: looks like success: %t", name, good)
			}
		}
		field, label := pageField.FindStringSubmatch(form.body), pageLabel.FindStringSubmatch(form.body)
		if (field == nil) != (label == nil) || field != nil && field[1] != label[1] {
			t.Errorf("label %q, field %q", label, field)
		}
		if field != nil {
			for _, attr := range []string{`autocomplete="new-password"`, `minlength="`, `passwordrules="minlength: `} {
				if !strings.Contains(field[0], attr) {
					t.Errorf("%s lacks %s", field[0], attr)
				}
			}
		}
	})
}
