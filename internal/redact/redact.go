// Package redact takes tokens out of text that somebody may log, print or paste
// into a bug report.
package redact

import (
	"net/url"
	"strings"
)

// Mark stands where a token was.
const Mark = "[redacted]"

// Tokens replaces what looks like a JWT: every run of token characters that
// holds "eyJ" and a dot. Text that hides one by percent-encoding is replaced
// whole.
func Tokens(text string) string {
	if !strings.Contains(text, "eyJ") && !strings.Contains(text, "%") {
		return text
	}
	if plain, err := url.QueryUnescape(text); err == nil && plain != text && holdsToken(plain) && !holdsToken(text) {
		return Mark
	}
	var b strings.Builder
	for text != "" {
		n := strings.IndexFunc(text, func(r rune) bool { return !tokenRune(r) })
		if n < 0 {
			n = len(text)
		}
		if run := text[:n]; holdsToken(run) {
			b.WriteString(Mark)
		} else {
			b.WriteString(run)
		}
		text = text[n:]
		m := strings.IndexFunc(text, tokenRune)
		if m < 0 {
			m = len(text)
		}
		b.WriteString(text[:m])
		text = text[m:]
	}
	return b.String()
}

func holdsToken(text string) bool {
	_, after, found := strings.Cut(text, "eyJ")
	return found && strings.Contains(after, ".")
}

func tokenRune(r rune) bool {
	return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '_' || r == '.'
}
