package mailer_test

import (
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/google/go-cmp/cmp"

	"github.com/latchkey-auth/latchkey/internal/mailer"
	"github.com/latchkey-auth/latchkey/internal/message"
)

var update = flag.Bool("update", false, "write testdata/*.golden")

var start = time.Date(2026, 3, 14, 9, 26, 53, 0, time.UTC)

const (
	link    = "https://auth.example.com/verify?token=Zk3vT9qLw2XyB7nR5sHd"
	code    = "KTRW-PX4M"
	browser = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
)

// sample is a message of a kind with all that the domain puts into it.
func sample(kind message.Kind) message.Message {
	m := message.Message{
		ID: "m-1", Kind: kind, To: "ada@example.com", Name: "Ada", At: start,
		Device: browser, Address: "192.0.2.7",
	}
	switch kind {
	case message.Verify, message.Taken, message.Confirm, message.Reset:
		m.Link, m.LinkFor, m.Code, m.CodeFor = link, time.Hour, code, 10*time.Minute
	case message.Invite:
		m.Link, m.LinkFor = link, 7*24*time.Hour
	case message.EmailChanging, message.EmailChanged:
		m.NewEmail = "ada.new@example.com"
	}
	return m
}

func newTemplates(t testing.TB) *mailer.Templates {
	t.Helper()
	templates, err := mailer.NewTemplates("Example", "")
	if err != nil {
		t.Fatal(err)
	}
	return templates
}

func render(t testing.TB, m message.Message) mailer.Mail {
	t.Helper()
	mail, err := newTemplates(t).Render(m)
	if err != nil {
		t.Fatal(err)
	}
	return mail
}

func TestMailsReadAsTheGoldenFiles(t *testing.T) {
	messages := make(map[string]message.Message)
	for _, kind := range message.Kinds {
		messages[string(kind)] = sample(kind)
	}
	for _, kind := range []message.Kind{message.Verify, message.Reset} {
		again := sample(kind)
		again.Again = true
		messages[string(kind)+"_again"] = again
	}
	messages["verify_bare"] = message.Message{ID: "m-1", Kind: message.Verify, To: "ada@example.com", Link: link, LinkFor: time.Hour}
	codeOnly := sample(message.Reset)
	codeOnly.Link = ""
	messages["reset_code"] = codeOnly
	for name, m := range messages {
		t.Run(name, func(t *testing.T) {
			mail := render(t, m)
			golden(t, name+".txt.golden", "Subject: "+mail.Subject+"\n\n"+mail.Text)
			golden(t, name+".html.golden", mail.HTML)
		})
	}
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s differs (-want +got); if that is meant, run go test -update\n%s", name, diff)
	}
}

func TestRenderGivesWhatIsToBeOpened(t *testing.T) {
	mail := render(t, sample(message.Verify))
	want := mailer.Mail{ID: "m-1", To: "ada@example.com", Subject: "Confirm your address for Example", Links: []string{link}, Code: code}
	mail.Text, mail.HTML = "", ""
	if diff := cmp.Diff(want, mail); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
	if notice := render(t, sample(message.PasswordChanged)); notice.Links != nil || notice.Code != "" {
		t.Errorf("a notice has links %q and code %q, want none", notice.Links, notice.Code)
	}
}

func TestRenderRefusesWhatItCannotTell(t *testing.T) {
	unknown := sample(message.Verify)
	unknown.Kind = "surprise"
	script := sample(message.Verify)
	script.Link = "javascript:alert(1)"
	split := sample(message.Verify)
	split.Link = "https://auth.example.com/\nX: y"
	for name, m := range map[string]message.Message{"a kind without template": unknown, "a link that is none": script, "a link of two lines": split} {
		if mail, err := newTemplates(t).Render(m); err == nil {
			t.Errorf("%s was rendered: %+v", name, mail)
		} else if m.Kind == message.Verify && strings.Contains(err.Error(), m.Link) {
			t.Errorf("%s: the error shows it: %v", name, err)
		}
	}
}

func TestAReplacedRegistrationWarns(t *testing.T) {
	m := sample(message.Verify)
	m.Again = true
	mail := render(t, m)
	const warning = "This replaces the mail that was sent before, whose link no longer works. If you have neither registered again nor asked for another mail, somebody else may have used your address: do not open this link; register again yourself."
	if !strings.Contains(mail.Text, warning) || !strings.Contains(mail.HTML, warning) {
		t.Errorf("the warning is missing from\n%s\n%s", mail.Text, mail.HTML)
	}
}

func TestNamesThatAreMoreThanWordsAreNotShown(t *testing.T) {
	for _, c := range []struct{ name, want string }{
		{"Ada", "Ada"},
		{"  Ada  Lovelace ", "Ada Lovelace"},
		{"Ada L.", "Ada L."},
		{"Dr. Ada King-Noel", "Dr. Ada King-Noel"},
		{"Zoë O’Neill-İnan", "Zoë O’Neill-İnan"},
		{"Zoë O'Neill", "Zoë O'Neill"},
		{"李小龍", "李小龍"},
		{"ジョン・スミス", "ジョン・スミス"},
		{"अदिति शर्मा", "अदिति शर्मा"},
		{"", ""},
		{strings.Repeat("ä", 64), strings.Repeat("ä", 64)},
		{strings.Repeat("ä", 65), ""},
		{"https://spam.example", ""},
		{"spam.example", ""},
		{"Visit spam.example.", ""},
		{"www．spam．example", ""},
		{"spam。example", ""},
		{"win at spam/now", ""},
		{"buy@spam", ""},
		{"buy＠spam", ""},
		{"tel:12345", ""},
		{"Account locked, call +1 800 555 0100", ""},
		{"Account locked, call 1-800-555-0100", ""},
		{"Account locked. Call (800) 555 0100", ""},
		{"Account locked call 18005550100", ""},
		{"call ８００５５５０１００", ""},
		{"call ٨٠٠٥٥٥٠١٠٠", ""},
		{"call ⑧⓪⓪", ""},
		{"Account locked!", ""},
		{"[Win](now)", ""},
		{"<b>Win</b>", ""},
		{"{{.Link}}", ""},
		{"Ada\r\nBcc: eve@example.com", ""},
		{"Ada\nVisit us", ""},
		{"Ada\u2028Visit us", ""},
		{"Ada\u202egnp", ""},
		{"Ada\x00", ""},
		{"Ada\xff", ""},
		{"...", ""},
		{"-", ""},
		{"💰", ""},
	} {
		if got := mailer.ShownName(c.name); got != c.want {
			t.Errorf("the name %q is shown as %q, want %q", c.name, got, c.want)
		}
	}
}

func TestDevicesAreBrowserAndSystemInWordsOfOurs(t *testing.T) {
	for _, c := range []struct{ device, want string }{
		{"", ""},
		{"curl/8.5.0", "curl"},
		{browser, "Firefox on Linux"},
		{"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/138.0.0.0 Safari/537.36 Edg/138.0.0.0", "Edge on Windows"},
		{"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/138.0.0.0 Safari/537.36", "Chrome on Windows"},
		{"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Safari/605.1.15", "Safari on macOS"},
		{"Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Mobile/15E148 Safari/604.1", "Safari on iPhone"},
		{"Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) CriOS/138.0 Mobile/15E148 Safari/604.1", "Chrome on iPhone"},
		{"Mozilla/5.0 (Linux; Android 15; SM-S931B) AppleWebKit/537.36 (KHTML, like Gecko) SamsungBrowser/28.0 Chrome/130.0.0.0 Mobile Safari/537.36", "Samsung Internet on Android"},
		{"Mozilla/5.0 (X11; CrOS x86_64 14541.0.0) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/138.0.0.0 Safari/537.36 OPR/120.0.0.0", "Opera on ChromeOS"},
		{"python-requests/2.32.3", "a Python program"},
		{"Go-http-client/2.0", "a Go program"},
		{"Example/3 CFNetwork/1568 Darwin/24.0 (iPad)", "an unknown program on iPad"},
		{"Firefox/1", "Firefox"},
		{"call 1-800-555-0100 now", "an unknown device"},
		{"Firefox/140 on Windows, call +1 800 555 0100 or see https://spam.example", "Firefox on Windows"},
		{"curl/8 www.spam.example eve@spam.example", "curl"},
		{"bot (+https://spam.example/win)", "an unknown device"},
		{"go to spam．example", "an unknown device"},
		{"one\r\ntwo\u202ethree", "an unknown device"},
		{"\xff", "an unknown device"},
		{strings.Repeat("x", 200), "an unknown device"},
	} {
		if got := mailer.ShownDevice(c.device); got != c.want {
			t.Errorf("the device %q is shown as %q, want %q", c.device, got, c.want)
		}
	}
}

func TestAddressesAreOfIP(t *testing.T) {
	for _, c := range []struct{ address, want string }{
		{"192.0.2.7", "192.0.2.7"}, {"2001:db8::7", "2001:db8::7"}, {"fe80::1%eth0", "fe80::1"},
		{"", ""}, {"spam.example", ""}, {"call 1-800-555-0100", ""}, {"192.0.2.7:443", ""}, {"192.0.2.7\r\nBcc: eve", ""},
	} {
		if got := mailer.ShownAddress(c.address); got != c.want {
			t.Errorf("the address %q is shown as %q, want %q", c.address, got, c.want)
		}
	}
}

// Templates of operators get what strangers type in the same safe form.
func TestTemplatesSeeNothingThatStrangersTyped(t *testing.T) {
	const typed = "Account locked, call +1 800 555 0100"
	all := "Subject: Hi\n\n{{.Name}}|{{.Device}}|{{.Address}}|{{.Link}}|{{.Code}}\n{{printf \"%+v\" .}}"
	templates, err := mailer.NewTemplates("Example", dirOf(t, map[string]string{"reset.txt": "\ufeff" + all, "reset.html": "{{.Name}}|{{.Device}}|{{.Address}}|{{.Link}}|{{.Code}}"}))
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range []message.Message{sample(message.Reset), sample(message.Verify), sample(message.PasswordChanged)} {
		m.Name, m.Device, m.Address = typed, "Firefox/140 "+typed, typed
		mail, err := templates.Render(m)
		if err != nil {
			t.Fatal(err)
		}
		for _, part := range []string{mail.Subject, mail.Text, mail.HTML} {
			if strings.Contains(part, "locked") || strings.Contains(part, "555") {
				t.Errorf("%s shows what a stranger typed:\n%s", m.Kind, part)
			}
		}
	}
}

func TestDurationsInWords(t *testing.T) {
	for _, c := range []struct {
		d    time.Duration
		want string
	}{
		{0, ""}, {-time.Hour, ""}, {time.Second, "1 second"}, {45 * time.Second, "45 seconds"}, {time.Minute, "1 minute"},
		{10 * time.Minute, "10 minutes"}, {119 * time.Second, "1 minute"}, {time.Hour, "1 hour"}, {90 * time.Minute, "90 minutes"},
		{24 * time.Hour, "24 hours"}, {48 * time.Hour, "2 days"}, {7 * 24 * time.Hour, "7 days"}, {7*24*time.Hour + time.Minute, "168 hours"},
	} {
		if got := mailer.Words(c.d); got != c.want {
			t.Errorf("%s is %q, want %q", c.d, got, c.want)
		}
	}
}

func TestMarkupOfStrangersIsText(t *testing.T) {
	m := sample(message.EmailChanging)
	m.Name, m.Device, m.NewEmail, m.Address = "<script>alert(1)<script>", "<img src=x onerror=alert(1)>", `"<b>"@example.com`, "<i>"
	mail := render(t, m)
	for _, tag := range []string{"<script", "<img", "<b>", "<i>"} {
		if strings.Contains(mail.HTML, tag) {
			t.Errorf("%s is markup in\n%s", tag, mail.HTML)
		}
	}
	if !strings.Contains(mail.HTML, "&lt;b&gt;") { // so that the test looks where it should
		t.Errorf("the new address is not shown in\n%s", mail.HTML)
	}
}

func TestMailLoadsNothing(t *testing.T) {
	for _, kind := range message.Kinds {
		html := render(t, sample(kind)).HTML
		for _, remote := range []string{"src=", "<img", "@import", "url(", "<link", "<script", "http-equiv"} {
			if strings.Contains(html, remote) {
				t.Errorf("%s.html has %q", kind, remote)
			}
		}
	}
}

// dirOf writes files into a directory of templates.
func dirOf(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestFilesReplaceTemplates(t *testing.T) {
	const german = "Subject: Adresse bestätigen für {{.Service}}\n\nHallo {{.Name}}!\n{{.Link}}\n{{.Code}}\nGültig {{.LinkMinutes}} und {{.CodeMinutes}} Minuten.\n"
	builtIn := render(t, sample(message.Verify))
	for _, c := range []struct {
		name              string
		files             map[string]string
		subject, text     string // "": as built in
		html              string // must contain
		htmlIs, wantEmpty bool
	}{
		{
			name: "text alone: text only", files: map[string]string{"verify.txt": german},
			subject: "Adresse bestätigen für Example", text: "Hallo Ada!\n" + link + "\n" + code + "\nGültig 60 und 10 Minuten.\n", wantEmpty: true,
		},
		{
			name: "text written on Windows", files: map[string]string{"verify.txt": strings.ReplaceAll(german, "\n", "\r\n")},
			subject: "Adresse bestätigen für Example", text: "Hallo Ada!\n" + link + "\n" + code + "\nGültig 60 und 10 Minuten.\n", wantEmpty: true,
		},
		{
			name: "text and HTML", files: map[string]string{"verify.txt": german, "verify.html": `<p>Hallo <a href="{{.Link}}">Bestätigen</a> {{.Code}}</p>`},
			subject: "Adresse bestätigen für Example", text: "Hallo Ada!\n" + link + "\n" + code + "\nGültig 60 und 10 Minuten.\n",
			html: `<p>Hallo <a href="` + link + `">Bestätigen</a> ` + code + `</p>`,
		},
		{
			name: "HTML alone", files: map[string]string{"verify.html": `<b>{{.Link}} {{.Code}}</b>`},
			html: "<b>" + link + " " + code + "</b>",
		},
		{
			name: "a page", files: map[string]string{"layout.html": `<title>{{.Subject}}</title>{{template "content" .}}{{define "code"}}{{.Code}}{{end}}{{define "lasts"}}{{end}}{{define "again"}}{{end}}{{define "ignore"}}ciao{{end}}`},
			html: "<title>Confirm your address for Example</title>",
		},
		{name: "another kind", files: map[string]string{"reset.txt": german}, htmlIs: true},
		{name: "notes and hidden files", files: map[string]string{"README.md": "{{", ".gitignore": "*"}, htmlIs: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			templates, err := mailer.NewTemplates("Example", dirOf(t, c.files))
			if err != nil {
				t.Fatal(err)
			}
			mail, err := templates.Render(sample(message.Verify))
			if err != nil {
				t.Fatal(err)
			}
			if c.subject == "" {
				c.subject, c.text = builtIn.Subject, builtIn.Text
			}
			if mail.Subject != c.subject || mail.Text != c.text {
				t.Errorf("subject %q, text\n%s\nwant %q,\n%s", mail.Subject, mail.Text, c.subject, c.text)
			}
			if !strings.Contains(mail.HTML, c.html) || c.htmlIs && mail.HTML != builtIn.HTML || c.wantEmpty && mail.HTML != "" {
				t.Errorf("HTML is\n%s", mail.HTML)
			}
		})
	}
}

func TestSlipsInTemplatesAreFoundAtStart(t *testing.T) {
	const head = "Subject: Hi\n\n"
	for _, c := range []struct{ name, file, text, want string }{
		{"a name of no template", "verfiy.txt", head, "verfiy.txt is the name of no template; there are account_deleted.html"},
		{"no subject", "verify.txt", "Hello", `verify.txt:1: must be "Subject: "`},
		{"no line between", "verify.txt", "Subject: Hi\nHello", "verify.txt:2: must be empty"},
		{"an empty subject", "verify.txt", "Subject: {{.CodeFor}}\n\n{{.Link}}", "verify.txt:1: the subject is empty"},
		{"broken syntax", "verify.txt", head + "{{.Link}}\n{{if}}", "verify.txt:4:"},
		{"a member that is not there", "verify.txt", head + "\n\n{{.Lnik}}", "verify.txt:5:"},
		{"broken syntax in HTML", "verify.html", "<p>\n{{.Link", "verify.html:2:"},
		{"a member that is not there in HTML", "verify.html", "<p>\n{{.Link}}{{.Cod}}", "verify.html:2:"},
		{"HTML that cannot be escaped", "verify.html", "{{.Code}}\n<a href='{{.Link}}", "mail template verify: "},
		{"a page that calls what is not there", "layout.html", "\n{{template \"contents\" .}}", "layout.html:2:"},
		{"no link", "verify.txt", head + "{{.Code}}", "verify.txt does not show .Link"},
		{"no code", "reset.txt", head + "{{.Link}}", "reset.txt does not show .Code"},
		{"no link in HTML", "invite.html", "<p>Come in.</p>", "invite.html does not show .Link"},
		{"a name in the subject", "reset.txt", "Subject: Hi {{.Name}}\n\n{{.Link}} {{.Code}}", "reset.txt:1: .Name must not be in the subject"},
		{"a code in the subject", "reset.txt", "Subject: Hi {{.Code}}\n\n{{.Link}} {{.Code}}", "reset.txt:1: .Code must not be in the subject"},
		{"another encoding", "verify.txt", head + "{{.Link}} {{.Code}} \xfc", "verify.txt is not in UTF-8"},
		{"UTF-16", "verify.txt", "\xff\xfeS\x00u\x00", "verify.txt is UTF-16; save it as UTF-8"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := mailer.NewTemplates("Example", dirOf(t, map[string]string{c.file: c.text}))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want an error with %q", err, c.want)
			}
		})
	}
	if _, err := mailer.NewTemplates("Example", filepath.Join(t.TempDir(), "absent")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a directory that is not there: got %v", err)
	}
}

func TestServiceNamesAreOneLine(t *testing.T) {
	for _, service := range []string{"", "Exa\nmple", " Example", "Exa\u202emple", strings.Repeat("x", 65)} {
		if _, err := mailer.NewTemplates(service, ""); err == nil {
			t.Errorf("the service name %q was accepted", service)
		}
	}
}

func FuzzRender(f *testing.F) {
	for _, seed := range []string{"Ada", "a\r\nBcc: eve@example.com", "{{.Link}}", "<script>", "\u2028\u202e", "http://spam.example"} {
		f.Add(seed, seed, seed)
	}
	templates := newTemplates(f)
	wanted := map[message.Kind]mailer.Mail{
		message.Verify: render(f, sample(message.Verify)), message.EmailChanging: render(f, sample(message.EmailChanging)),
	}
	f.Fuzz(func(t *testing.T, name, device, email string) {
		for kind, want := range wanted {
			m := sample(kind)
			m.Name, m.Device, m.NewEmail, m.Address = name, device, email, device
			mail, err := templates.Render(m)
			if err != nil {
				t.Fatal(err)
			}
			if strings.ContainsFunc(mail.Subject, unicode.IsControl) {
				t.Errorf("subject %q", mail.Subject)
			}
			if mail.Subject != want.Subject || strings.Count(mail.Text, "\n") > strings.Count(want.Text, "\n") {
				t.Errorf("strangers have changed the shape of\n%s\nto\n%s", want.Text, mail.Text)
			}
			if m.Link != "" && !strings.Contains(mail.Text, "\n"+link+"\n") {
				t.Errorf("no link in\n%s", mail.Text)
			}
			if strings.ContainsFunc(mail.Text, func(r rune) bool { return r != '\n' && unicode.IsControl(r) }) {
				t.Errorf("control characters in %q", mail.Text)
			}
		}
	})
}

// So that the list of kinds and the files cannot drift.
func TestEveryKindHasItsFiles(t *testing.T) {
	files, err := os.ReadDir("templates")
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, f := range files {
		got = append(got, f.Name())
	}
	want := 2*len(message.Kinds) + 2
	if len(got) != want {
		t.Errorf("%d files, want %d: %s", len(got), want, fmt.Sprint(got))
	}
}
