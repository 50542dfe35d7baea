package mailer

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/mail"
	"strings"
	"time"
	"unicode"

	gomail "github.com/wneessen/go-mail"
)

// A composer makes messages in the name of a sender.
type composer struct {
	from *mail.Address
	now  func() time.Time
}

// parseSender reads who sends the mail.
func parseSender(text string) (*mail.Address, error) {
	from, err := mail.ParseAddress(text)
	if err != nil || !isAddress(from.Address) || from.Name != oneLine(from.Name) {
		return nil, fmt.Errorf(`mail sender %q: must be an address such as mail@example.com or "Example <mail@example.com>"`, text)
	}
	return from, nil
}

// compose makes the message of RFC 5322.
func (c composer) compose(m Mail) (*gomail.Msg, error) {
	msg := gomail.NewMsg(gomail.WithNoDefaultUserAgent(), gomail.WithCharset(gomail.CharsetUTF8), gomail.WithEncoding(gomail.EncodingQP))
	msg.FromMailAddress(c.from)
	if err := msg.To(m.To); err != nil {
		return nil, err
	}
	msg.Subject(m.Subject)
	msg.SetDateWithValue(c.now())
	msg.SetMessageIDWithValue(c.messageID(m.ID))
	// No vacation notices in return (RFC 3834 section 5).
	msg.SetGenHeader("Auto-Submitted", "auto-generated")
	msg.SetBodyString(gomail.TypeTextPlain, m.Text)
	if m.HTML != "" {
		msg.AddAlternativeString(gomail.TypeTextHTML, m.HTML)
	}
	return msg, nil
}

// messageID is the same for each attempt, so that a recipient who gets a
// message twice can tell. The ID itself stays here.
func (c composer) messageID(id string) string {
	sum := sha256.Sum256([]byte("latchkey mail\x00" + id))
	return hex.EncodeToString(sum[:16]) + c.from.Address[strings.LastIndexByte(c.from.Address, '@'):]
}

// isAddress says whether text is an address in ASCII, as latchkey stores them, and
// nothing more: no name, no comment, no quoted local part, no second line.
func isAddress(text string) bool {
	a, err := mail.ParseAddress(text)
	return err == nil && a.Name == "" && a.Address == text && !strings.ContainsFunc(text, func(r rune) bool {
		return r > unicode.MaxASCII || !unicode.IsGraphic(r) || unicode.IsSpace(r) || strings.ContainsRune(`<>"(),;:\`, r)
	})
}
