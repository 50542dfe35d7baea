// Package identifier says how usernames, e-mail addresses and display names are
// spelled: which are taken, and under which key two spellings are the same.
//
// Keys are stored and unique, so a change of a rule here is a change of data: a
// key that is made tomorrow must equal the one that is stored today.
//
// Every error is a sentence for those who typed the text, to stand behind the name
// of its member ("must not be empty"). It never quotes the text.
//
// Start at UsernameKey and EmailKey.
package identifier

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/secure/precis"
	"golang.org/x/text/unicode/norm"
)

const (
	maxUsername = 64  // code points
	maxName     = 256 // code points
)

// The most bytes of each text, for callers that refuse longer ones before they do
// anything with them. The functions of this package check them all the same, each
// before any other work.
const (
	MaxLogin = max(MaxEmail, maxUsername*utf8.UTFMax) // a username or an address
	MaxEmail = 254                                    // RFC 5321 section 4.5.3.1.3
	MaxName  = maxName * utf8.UTFMax
)

// UsernameKey is the form under which a username is unique and looked up:
// RFC 8265 UsernameCaseMapped after NFKC. It refuses names that hold "@", which
// marks an e-mail address, or anything that profile forbids (spaces, controls,
// invisible characters). Outer blanks, which a paste or a keyboard's suggestion
// brings along, are dropped.
func UsernameKey(username string) (string, error) {
	if len(username) > maxUsername*utf8.UTFMax || utf8.RuneCountInString(username) > maxUsername {
		return "", fmt.Errorf("must have at most %d characters", maxUsername)
	}
	username = norm.NFKC.String(Trim(username)) // first: it turns a full-width @ into a plain one
	if username == "" {
		return "", errors.New("must not be empty")
	}
	if strings.ContainsRune(username, '@') {
		return "", errors.New("must not hold @; give an address as the e-mail")
	}
	key, err := precis.UsernameCaseMapped.String(username)
	if err != nil {
		return "", errors.New("holds a character that usernames cannot have (spaces, controls, symbols or invisible characters)")
	}
	return key, nil
}

// Trim drops white space around a username or an address. Passwords are never
// trimmed: there it counts.
func Trim(s string) string { return strings.TrimSpace(s) }

// CheckName refuses a display name that could break a log line or a mail header.
func CheckName(name string) error {
	if len(name) > MaxName || !utf8.ValidString(name) || utf8.RuneCountInString(name) > maxName {
		return fmt.Errorf("must be at most %d characters of UTF-8", maxName)
	}
	if strings.ContainsFunc(name, misleads) {
		return errors.New("must not hold control characters or such as change the direction of what follows")
	}
	return nil
}

// misleads reports whether a character changes how the text around it is shown:
// controls, line ends, and what embeds, overrides or isolates a direction (UAX 9).
// Marks and joiners belong to how names are written.
func misleads(r rune) bool {
	return unicode.IsControl(r) || unicode.In(r, unicode.Zl, unicode.Zp) || r >= '\u202a' && r <= '\u202e' || r >= '\u2066' && r <= '\u2069'
}
