// Package redact takes tokens out of text that may be logged, printed or pasted
// into a bug report.
package redact

import (
	"net/url"
	"regexp"
	"strings"
)

// Mark stands where a token was.
const Mark = "[redacted]"

// Tokens replaces what looks like a JWT (every run of token characters that holds
// "eyJ" and a dot) or like one of our own tokens, those in links and those to
// refresh by. Text that hides one by percent-encoding is replaced whole.
func Tokens(text string) string {
	if !strings.ContainsAny(text, ".%") {
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
	return found && strings.Contains(after, ".") || ownToken.MatchString(text)
}

// ownToken is an id and 256 bits of secret.
var ownToken = regexp.MustCompile(`[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{43}`)

func tokenRune(r rune) bool {
	return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '_' || r == '.'
}
