package mailer

import (
	"encoding/base64"
	"regexp"
	"slices"
	"strings"

	"github.com/latchkey-auth/latchkey/internal/message"
)

const (
	mark      = "[redacted]"
	maxAnswer = 200 // characters shown of what a server says
)

// A redactor takes out of a server's words what must not be logged. Servers like
// to repeat what they refuse.
type redactor []*regexp.Regexp

var (
	anyAddress = lazily(`[^\s<>]+@[^\s<>]+`)
	linkParts  = lazily(`[/?&=#]+`)
	separators = lazily(`[^A-Za-z0-9]+`)
)

// redactor knows the secrets of one message and those of the connection.
func (s *SMTP) redactor(m message.Message) redactor {
	password := s.server.password
	if password == "" {
		return newRedactor(m)
	}
	secrets := []string{password}
	for _, sent := range []string{password, "\x00" + s.server.User + "\x00" + password} {
		secrets = append(secrets, base64.StdEncoding.EncodeToString([]byte(sent)))
	}
	return newRedactor(m, secrets...)
}

// newRedactor knows the secrets of one message and others.
func newRedactor(m message.Message, secrets ...string) redactor {
	secrets = append(secrets, m.To, m.Name, m.NewEmail, m.Device, m.Address, m.Link, m.Code)
	// A local part alone is known by what surrounds it: "unknown user ada".
	for _, address := range []string{m.To, m.NewEmail} {
		local, _, _ := strings.Cut(address, "@")
		secrets = append(secrets, local)
	}
	// A link may be repeated in pieces, or spelled in another way around its token.
	if _, path, found := strings.Cut(strings.TrimPrefix(strings.TrimPrefix(m.Link, "https://"), "http://"), "/"); found {
		for _, piece := range linkParts.compiled().Split(path, -1) {
			if len(piece) >= 8 {
				secrets = append(secrets, piece)
			}
		}
	}
	// The long ones first: what is left of them would no longer be found.
	slices.SortFunc(secrets, func(a, b string) int { return len(b) - len(a) })
	var r redactor
	for _, secret := range secrets {
		secret = oneLine(secret) // as the answer is searched
		if secret == "" {
			continue
		}
		pattern := regexp.QuoteMeta(secret)
		if first, last := secret[0], secret[len(secret)-1]; isWord(first) && isWord(last) && len(secret) < 8 {
			pattern = `\b` + pattern + `\b`
		}
		r = append(r, regexp.MustCompile(`(?i)`+pattern))
	}
	if groups := strings.Fields(separators.compiled().ReplaceAllString(m.Code, " ")); len(groups) > 0 { // with the hyphen or without
		r = append(r, regexp.MustCompile(`(?i)`+strings.Join(groups, `[^A-Za-z0-9]*`)))
	}
	return r
}

func isWord(c byte) bool {
	return c == '_' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}

// clean returns one short line. Every address goes, not only the recipient's:
// servers write them in their own way.
func (r redactor) clean(text string) string {
	text = oneLine(text)
	for _, secret := range r {
		text = secret.ReplaceAllLiteralString(text, mark)
	}
	return shorten(anyAddress.compiled().ReplaceAllLiteralString(text, mark), maxAnswer)
}
