package mailer

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	htmltemplate "html/template"
	"net/url"
	"strings"
	texttemplate "text/template"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/latchkey-auth/latchkey/internal/message"
)

//go:embed templates
var builtIn embed.FS

// The files that hold what all texts, and all HTML parts, have in common.
const (
	layoutText = "layout.txt"
	layoutHTML = "layout.html"
)

const maxService = 64 // characters

// Data is what a template may use. Everything in it is one line of text.
type Data struct {
	Service string // the name of the service
	Kind    string // the message.Kind
	Subject string // of this mail; empty in the text, which makes it
	To      string // the address the mail goes to
	Name    string // of the person; empty when there is none, the address is not proved, or it is more than words

	Link        string // empty: none
	Code        string // ABCD-EFGH; empty: none
	LinkFor     string // how long the link works: "1 hour", "7 days"; empty without a link
	CodeFor     string // how long the code works: "10 minutes"; empty without a code
	LinkMinutes int    // LinkFor in minutes, for other languages
	CodeMinutes int    // CodeFor in minutes, for other languages
	Again       bool   // an earlier link of this kind no longer works
	NewEmail    string // of email_changing and email_changed

	At      string // when it was asked for: "2026-03-14 09:26 UTC"; empty: not known
	Device  string // "Firefox on Linux", "curl", "an unknown device": by what the client says of itself; empty: it says nothing
	Address string // IP address it was asked for from; empty: not known
}

// A Mail is a message in words.
type Mail struct {
	ID      string // the message's
	To      string
	Subject string
	Text    string
	HTML    string   // empty: text only
	Links   []string // those that are to be opened; nil: none
	Code    string   // empty: none
}

// Templates put messages into words.
type Templates struct {
	service string
	kinds   map[message.Kind]pair
}

// pair is the template of one kind.
type pair struct {
	text *texttemplate.Template
	html *htmltemplate.Template // nil: text only
}

// NewTemplates reads the templates of every kind and executes each of them, so
// that a mistake fails now, with file and line, and not at first use. Service is the
// name that mails give the service; it is required.
//
// For each message.Kind there are KIND.txt (text/template; its first line is
// "Subject: …", its second is empty) and KIND.html (html/template; the part
// between greeting and facts that layout.html puts into the page as "content").
// layout.txt and layout.html hold what they share. Files of these names in dir
// take the place of those built in; "" means that there are none. Any other name
// in dir is refused, apart from hidden files and README*.
//
// A KIND.txt in dir without a KIND.html beside it makes the mail text only, so
// that one mail does not speak two languages. A KIND.html alone keeps the text
// built in.
func NewTemplates(service, dir string) (*Templates, error) {
	if service == "" {
		return nil, errors.New("the service must have a name: mails say who sends them")
	}
	if service != oneLine(service) || utf8.RuneCountInString(service) > maxService {
		return nil, fmt.Errorf("service name %q: must be one line of at most %d characters", service, maxService)
	}
	files, err := readFiles(dir)
	if err != nil {
		return nil, err
	}
	t := &Templates{service: service, kinds: make(map[message.Kind]pair)}
	for _, kind := range message.Kinds {
		p, err := files.parse(kind)
		if err != nil {
			return nil, fmt.Errorf("mail template %s: %w", kind, err)
		}
		t.kinds[kind] = p
		if err := t.try(kind); err != nil {
			return nil, fmt.Errorf("mail template %s: %w", kind, err)
		}
	}
	return t, nil
}

// try renders samples of a kind: one with everything that may be there, one with
// nothing.
func (t *Templates) try(kind message.Kind) error {
	full := message.Message{
		ID: "sample", Kind: kind, To: "sample-to@example.com", Name: "Sample Name", NewEmail: "sample-new@example.com", Again: true,
		At: time.Date(2026, 3, 14, 9, 26, 53, 0, time.UTC), Device: "OPR/1.0 CrOS", Address: "192.0.2.1",
	}
	if hasLink(kind) {
		full.Link, full.LinkFor = "https://sample.example.com/sample-link", time.Hour
	}
	if hasCode(kind) {
		full.Code, full.CodeFor = "SAMP-LECO", 10*time.Minute
	}
	bare := message.Message{ID: "sample", Kind: kind, To: full.To, Link: full.Link, LinkFor: full.LinkFor}
	if _, err := t.Render(bare); err != nil {
		return err
	}
	mail, err := t.Render(full)
	if err != nil {
		return err
	}
	parts := [][2]string{{".txt", mail.Text}}
	if mail.HTML != "" {
		parts = append(parts, [2]string{".html", mail.HTML})
	}
	for _, part := range parts {
		if !strings.Contains(part[1], full.Link) {
			return fmt.Errorf("%s%s does not show .Link", kind, part[0])
		}
		if !strings.Contains(part[1], full.Code) {
			return fmt.Errorf("%s%s does not show .Code", kind, part[0])
		}
	}
	// Subjects are shown on locked screens, written into logs of servers, and the
	// first thing a stranger's advertisement would like to be in.
	for _, value := range [][2]string{
		{"To", full.To}, {"Name", full.Name}, {"NewEmail", full.NewEmail}, {"Device", shownDevice(full.Device)}, {"Link", full.Link}, {"Code", full.Code},
	} {
		if value[1] != "" && strings.Contains(mail.Subject, value[1]) {
			return fmt.Errorf("%s.txt:1: .%s must not be in the subject", kind, value[0])
		}
	}
	return nil
}

// Render puts a message into words.
func (t *Templates) Render(m message.Message) (Mail, error) {
	p, ok := t.kinds[m.Kind]
	if !ok {
		return Mail{}, fmt.Errorf("there is no mail template for %q", m.Kind)
	}
	if m.Link != "" && !isLink(m.Link) {
		return Mail{}, fmt.Errorf("mail %s: its link is no http:// or https:// URL", m.Kind)
	}
	d := Data{
		Service: t.service, Kind: string(m.Kind), To: oneLine(m.To), Name: shownName(m.Name),
		Link: m.Link, Code: oneLine(m.Code), Again: m.Again, NewEmail: oneLine(m.NewEmail),
		Device: shownDevice(m.Device), Address: shownAddress(m.Address),
	}
	if !m.At.IsZero() {
		d.At = m.At.UTC().Format("2006-01-02 15:04 UTC")
	}
	mail := Mail{ID: m.ID, To: m.To, Code: d.Code}
	if d.Link != "" {
		d.LinkFor, d.LinkMinutes = words(m.LinkFor), int(m.LinkFor.Minutes())
		mail.Links = []string{d.Link}
	}
	if d.Code != "" {
		d.CodeFor, d.CodeMinutes = words(m.CodeFor), int(m.CodeFor.Minutes())
	}
	var out bytes.Buffer
	if err := p.text.Execute(&out, d); err != nil {
		return Mail{}, err
	}
	subject, text, _ := strings.Cut(out.String(), "\n")
	mail.Subject = oneLine(strings.TrimPrefix(subject, "Subject:"))
	if mail.Subject == "" {
		return Mail{}, fmt.Errorf("%s.txt:1: the subject is empty", m.Kind)
	}
	mail.Text = tidy(text)
	if p.html == nil {
		return mail, nil
	}
	d.Subject = mail.Subject
	out.Reset()
	if err := p.html.ExecuteTemplate(&out, layoutHTML, d); err != nil {
		return Mail{}, err
	}
	mail.HTML = tidy(out.String())
	return mail, nil
}

// isLink says whether text is one absolute URL that mail programs open whole.
func isLink(text string) bool {
	if strings.ContainsFunc(text, func(r rune) bool {
		return r <= ' ' || r > unicode.MaxASCII || r == 0x7f || strings.ContainsRune(`<>"'`, r)
	}) {
		return false
	}
	u, err := url.Parse(text)
	return err == nil && (u.Scheme == "https" || u.Scheme == "http") && u.Host != ""
}

var blankLines = lazily(`\n([ \t]*\n){2,}`)

// tidy leaves one empty line where conditions that did not hold left several.
func tidy(text string) string {
	return strings.TrimSpace(blankLines.compiled().ReplaceAllString(text, "\n\n")) + "\n"
}
