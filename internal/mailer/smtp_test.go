package mailer_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log"
	"math/big"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net"
	"net/mail"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"
	"github.com/google/go-cmp/cmp"

	"github.com/latchkey-auth/latchkey/internal/mailer"
	"github.com/latchkey-auth/latchkey/internal/message"
	"github.com/latchkey-auth/latchkey/internal/outbox"
)

const (
	user     = "latchkey"
	password = "s3cret/p#ss:w0rd"
)

// server is a mail server that keeps what it takes.
type server struct {
	mu       sync.Mutex // guards all below but refuse
	from, to []string
	content  [][]byte
	secured  bool
	loggedIn bool

	wantLogin bool
	refuse    func(command, argument string) error // nil: nothing; set before the server starts
}

func (s *server) NewSession(c *smtp.Conn) (smtp.Session, error) { return &session{s, c}, nil }

type session struct {
	*server
	conn *smtp.Conn
}

func (s *session) Reset()                   {}
func (s *session) Logout() error            { return nil }
func (s *session) AuthMechanisms() []string { return []string{sasl.Plain} }

func (s *session) Auth(string) (sasl.Server, error) {
	return sasl.NewPlainServer(func(_, u, p string) error {
		if u != user || p != password {
			return &smtp.SMTPError{Code: 535, EnhancedCode: smtp.EnhancedCode{5, 7, 8}, Message: "wrong password " + p}
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		s.loggedIn = true
		return nil
	}), nil
}

func (s *session) refused(command, argument string) error {
	if s.refuse == nil {
		return nil
	}
	return s.refuse(command, argument)
}

func (s *session) Mail(from string, _ *smtp.MailOptions) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.wantLogin && !s.loggedIn {
		return &smtp.SMTPError{Code: 530, EnhancedCode: smtp.EnhancedCode{5, 7, 0}, Message: "authentication required"}
	}
	s.from = append(s.from, from)
	_, s.secured = s.conn.TLSConnectionState()
	return s.refused("MAIL", from)
}

func (s *session) Rcpt(to string, _ *smtp.RcptOptions) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.to = append(s.to, to)
	return s.refused("RCPT", to)
}

func (s *session) Data(r io.Reader) error {
	content, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.refused("DATA", string(content)); err != nil {
		return err
	}
	s.content = append(s.content, content)
	return nil
}

// only returns the one message that the server has taken.
func (s *server) only(t *testing.T) []byte {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.content) != 1 {
		t.Fatalf("the server has %d messages, want 1", len(s.content))
	}
	return s.content[0]
}

// certificate is one for localhost and 127.0.0.1, and the pool that trusts it.
func certificate(t *testing.T) (*tls.Config, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		DNSNames: []string{"localhost", "mail.example.com"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(parsed)
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}, pool
}

// start runs the server; implicit is TLS from the first byte. It returns the
// address it listens on.
func (s *server) start(t *testing.T, secure *tls.Config, implicit bool) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := smtp.NewServer(s)
	srv.Domain, srv.ErrorLog = "mail.example.com", log.New(t.Output(), "", 0)
	srv.TLSConfig, srv.AllowInsecureAuth = secure, true
	address := l.Addr().String()
	if implicit {
		srv.TLSConfig, l = nil, tls.NewListener(l, secure)
	}
	done := make(chan error, 1)
	go func() { done <- srv.Serve(l) }()
	t.Cleanup(func() {
		srv.Close()
		l.Close() // which the server does not know yet where it has not begun to serve
		<-done
	})
	return address
}

// scripted is a server that talks as the test says, on each connection.
func scripted(t *testing.T, talk func(c net.Conn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			talk(c)
			c.Close()
		}
	}()
	t.Cleanup(func() {
		l.Close()
		<-done
	})
	return l.Addr().String()
}

// elsewhere is a Dial that reaches address for any URL.
func elsewhere(address string) func(context.Context, string, string) (net.Conn, error) {
	return func(ctx context.Context, network, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, address)
	}
}

func newSMTP(t testing.TB, cfg mailer.SMTPConfig) *mailer.SMTP {
	t.Helper()
	if cfg.From == "" {
		cfg.From = "Example Mail <mail@example.org>"
	}
	cfg.Templates = newTemplates(t)
	cfg.Now = func() time.Time { return start }
	s, err := mailer.NewSMTP(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

var credentials = url.UserPassword(user, password).String() + "@"

func TestDelivery(t *testing.T) {
	secure, pool := certificate(t)
	for _, c := range []struct {
		name     string
		url      string // of %s, the address that the server listens on
		tls      *tls.Config
		implicit bool
		pool     *x509.CertPool
		login    bool // the server asks for it
		remote   bool // the URL names another host than loopback
		secured  bool // what the server must see
		fails    string
	}{
		{name: "in clear on loopback", url: "smtp://%s"},
		{name: "in clear on loopback, with login", url: "smtp://" + credentials + "%s", login: true},
		{name: "STARTTLS where offered", url: "smtp://%s", tls: secure, secured: true},
		{name: "STARTTLS where offered, with login", url: "smtp://" + credentials + "%s", tls: secure, login: true, secured: true},
		{name: "STARTTLS offered and not wanted", url: "smtp://%s?starttls=never", tls: secure},
		{name: "STARTTLS required", url: "smtp://%s?starttls=required", tls: secure, pool: pool, secured: true},
		{name: "STARTTLS required elsewhere", url: "smtp://" + credentials + "mail.example.com", tls: secure, pool: pool, login: true, remote: true, secured: true},
		{name: "STARTTLS required and not offered", url: "smtp://mail.example.com", remote: true, fails: "does not support STARTTLS (hint: use smtps://"},
		{name: "STARTTLS required and not offered, with login", url: "smtp://" + credentials + "mail.example.com", login: true, remote: true, fails: "does not support STARTTLS"},
		{name: "STARTTLS required, unknown certificate", url: "smtp://mail.example.com", tls: secure, remote: true, fails: "(hint: name the server"},
		{name: "STARTTLS required, certificate of another", url: "smtp://relay.example.com", tls: secure, pool: pool, remote: true, fails: "(hint: name the server"},
		{name: "STARTTLS optional elsewhere, not offered", url: "smtp://mail.example.com?starttls=optional", remote: true},
		{name: "TLS from the start", url: "smtps://%s", tls: secure, implicit: true, pool: pool, secured: true},
		{name: "TLS from the start, with login", url: "smtps://" + credentials + "%s", tls: secure, implicit: true, pool: pool, login: true, secured: true},
		{name: "TLS from the start elsewhere, with login", url: "smtps://" + credentials + "mail.example.com", tls: secure, implicit: true, pool: pool, login: true, remote: true, secured: true},
		{name: "TLS from the start, unknown certificate", url: "smtps://%s", tls: secure, implicit: true, fails: "(hint: name the server"},
		{name: "login missing", url: "smtp://%s", login: true, fails: "MAIL FROM: 530"},
		{name: "wrong password", url: "smtp://" + user + ":wr0ng-pass@%s", login: true, fails: "535"},
		{name: "wrong password over TLS", url: "smtps://" + user + ":wr0ng-pass@%s", tls: secure, implicit: true, pool: pool, login: true, fails: "(hint: check user and password"},
	} {
		t.Run(c.name, func(t *testing.T) {
			srv := &server{wantLogin: c.login}
			address := srv.start(t, c.tls, c.implicit)
			cfg := mailer.SMTPConfig{URL: c.url, RootCAs: c.pool, Dial: elsewhere(address)}
			if !c.remote {
				cfg.URL, cfg.Dial = strings.Replace(c.url, "%s", address, 1), nil
			}
			err := newSMTP(t, cfg).Send(t.Context(), sample(message.Verify))
			if c.fails != "" {
				server := c.name != "login missing"
				if err == nil || !strings.Contains(err.Error(), c.fails) || errors.Is(err, outbox.ErrUndeliverable) || errors.Is(err, outbox.ErrServer) != server {
					t.Fatalf("got %v, want a passing error with %q, about the server: %t", err, c.fails, server)
				}
				keepsSecrets(t, err)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			srv.only(t)
			srv.mu.Lock()
			defer srv.mu.Unlock()
			if diff := cmp.Diff([]string{"mail@example.org", "ada@example.com"}, append(srv.from, srv.to...)); diff != "" {
				t.Errorf("envelope (-want +got)\n%s", diff)
			}
			if srv.secured != c.secured || srv.loggedIn != c.login {
				t.Errorf("over TLS %t, logged in %t; want %t, %t", srv.secured, srv.loggedIn, c.secured, c.login)
			}
		})
	}
}

// keepsSecrets fails when an error shows what must not be logged.
func keepsSecrets(t *testing.T, err error) {
	t.Helper()
	for _, secret := range []string{
		"ada@example.com", "ADA@EXAMPLE", "ada.new", "Zk3vT9qLw2XyB7nR5sHd", "KTRW", "PX4M", "Gecko/20100101", "192.0.2.7",
		"s3cret", "w0rd", "wr0ng-pass", base64.StdEncoding.EncodeToString([]byte("\x00" + user + "\x00" + password)), link,
	} {
		if strings.Contains(err.Error(), secret) {
			t.Errorf("the error shows %q: %v", secret, err)
		}
	}
}

func TestMessageOnTheWire(t *testing.T) {
	srv := new(server)
	s := newSMTP(t, mailer.SMTPConfig{URL: "smtp://" + srv.start(t, nil, false), From: "Zoë’s Example <mail@example.org>"})
	m := sample(message.Verify)
	m.Name = "Zoë"
	if err := s.Send(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	raw := srv.only(t)
	for _, line := range bytes.Split(raw, []byte("\r\n")) {
		if len(line) > 78 || bytes.ContainsFunc(line, func(r rune) bool { return r > 126 || r < ' ' && r != '\t' }) {
			t.Errorf("the line %q is long or not ASCII", line)
		}
	}
	msg, err := mail.ReadMessage(bytes.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	mediaType, params, err := mime.ParseMediaType(msg.Header.Get("Content-Type"))
	if err != nil || mediaType != "multipart/alternative" {
		t.Fatalf("media type %q, %v", mediaType, err)
	}
	delete(msg.Header, "Content-Type")
	want := mail.Header{
		"From": {"=?utf-8?q?Zo=C3=AB=E2=80=99s_Example?= <mail@example.org>"}, "To": {"<ada@example.com>"},
		"Subject": {"Confirm your address for Example"}, "Date": {"Sat, 14 Mar 2026 09:26:53 +0000"},
		"Message-Id": {msg.Header.Get("Message-Id")}, "Mime-Version": {"1.0"}, "Auto-Submitted": {"auto-generated"},
	}
	if diff := cmp.Diff(want, msg.Header); diff != "" {
		t.Errorf("headers (-want +got)\n%s", diff)
	}
	rendered := render(t, m)
	parts := multipart.NewReader(msg.Body, params["boundary"])
	for _, part := range [][2]string{{"text/plain; charset=UTF-8", rendered.Text}, {"text/html; charset=UTF-8", rendered.HTML}} {
		p, err := parts.NextRawPart()
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(quotedprintable.NewReader(p))
		if err != nil {
			t.Fatal(err)
		}
		if got := p.Header.Get("Content-Type"); got != part[0] || p.Header.Get("Content-Transfer-Encoding") != "quoted-printable" {
			t.Errorf("part has the headers %v", p.Header)
		}
		if diff := cmp.Diff(part[1], strings.ReplaceAll(string(text), "\r\n", "\n")); diff != "" {
			t.Errorf("%s (-want +got)\n%s", part[0], diff)
		}
	}
	if _, err := parts.NextRawPart(); err != io.EOF {
		t.Errorf("after the second part: %v, want EOF", err)
	}
}

// RFC 5322 section 2.1.1: lines of 998 characters at most, of 78 where they can be
// folded. What was folded reads as it was.
func TestLongHeadersAreFolded(t *testing.T) {
	long := strings.Repeat("abcdefghi.", 6) + "xyz@" + strings.Repeat(strings.Repeat("d", 60)+".", 3) + "example"
	for _, c := range []struct{ name, service, from, fromName string }{
		{"ASCII", strings.Repeat("Example ", 7) + "Example", `"` + strings.Repeat("Example, Ltd. ", 8) + `x" <mail@example.org>`, strings.Repeat("Example, Ltd. ", 8) + "x"},
		{"one word", strings.Repeat("x", 64), strings.Repeat("y", 120) + " <mail@example.org>", strings.Repeat("y", 120)},
		{"not ASCII", strings.Repeat("ä", 64), strings.Repeat("ö", 100) + " <mail@example.org>", strings.Repeat("ö", 100)},
		{"beyond the first plane", strings.Repeat("😀", 64), strings.Repeat("😀 ", 40) + "x <mail@example.org>", strings.Repeat("😀 ", 40) + "x"},
	} {
		t.Run(c.name, func(t *testing.T) {
			templates, err := mailer.NewTemplates(c.service, "")
			if err != nil {
				t.Fatal(err)
			}
			srv := new(server)
			s, err := mailer.NewSMTP(mailer.SMTPConfig{URL: "smtp://" + srv.start(t, nil, false), From: c.from, Templates: templates})
			if err != nil {
				t.Fatal(err)
			}
			m := sample(message.Verify)
			m.To = long
			if err := s.Send(t.Context(), m); err != nil {
				t.Fatal(err)
			}
			raw := srv.only(t)
			header, _, _ := bytes.Cut(raw, []byte("\r\n\r\n"))
			for _, line := range bytes.Split(header, []byte("\r\n")) {
				if len(line) > 998 || len(line) > 78 && bytes.Count(bytes.TrimSpace(line), []byte(" ")) > 1 {
					t.Errorf("a line of %d characters that could be folded: %s", len(line), line)
				}
				if bytes.ContainsFunc(line, func(r rune) bool { return r > 126 || r < ' ' && r != '\t' }) {
					t.Errorf("a line that is not ASCII: %q", line)
				}
			}
			msg, err := mail.ReadMessage(bytes.NewReader(raw))
			if err != nil {
				t.Fatal(err)
			}
			subject, err := new(mime.WordDecoder).DecodeHeader(msg.Header.Get("Subject"))
			if err != nil || subject != "Confirm your address for "+c.service {
				t.Errorf("subject %q, %v", subject, err)
			}
			from, err := msg.Header.AddressList("From")
			if err != nil || len(from) != 1 || from[0].Name != c.fromName || from[0].Address != "mail@example.org" {
				t.Errorf("sender %+v, %v; want the name %q", from, err, c.fromName)
			}
			to, err := msg.Header.AddressList("To")
			if err != nil || len(to) != 1 || to[0].Address != long {
				t.Errorf("recipient %+v, %v", to, err)
			}
		})
	}
}

func TestTextOnlyMailIsPlain(t *testing.T) {
	srv := new(server)
	templates, err := mailer.NewTemplates("Example", dirOf(t, map[string]string{"reset.txt": "Subject: Neues Passwort für {{.Service}}\n\n{{.Link}}\n{{.Code}}\n"}))
	if err != nil {
		t.Fatal(err)
	}
	s, err := mailer.NewSMTP(mailer.SMTPConfig{URL: "smtp://" + srv.start(t, nil, false), From: "mail@example.org", Templates: templates})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Send(t.Context(), sample(message.Reset)); err != nil {
		t.Fatal(err)
	}
	msg, err := mail.ReadMessage(bytes.NewReader(srv.only(t)))
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(quotedprintable.NewReader(msg.Body))
	if err != nil {
		t.Fatal(err)
	}
	subject, err := new(mime.WordDecoder).DecodeHeader(msg.Header.Get("Subject"))
	if err != nil {
		t.Fatal(err)
	}
	got := []string{msg.Header.Get("Content-Type"), subject, string(text)}
	if diff := cmp.Diff([]string{"text/plain; charset=UTF-8", "Neues Passwort für Example", link + "\r\n" + code + "\r\n"}, got); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
}

func TestMessageIDsTellDuplicates(t *testing.T) {
	id := func(messageID string) string {
		srv := new(server)
		s := newSMTP(t, mailer.SMTPConfig{URL: "smtp://" + srv.start(t, nil, false)})
		m := sample(message.Verify)
		m.ID = messageID
		if err := s.Send(t.Context(), m); err != nil {
			t.Fatal(err)
		}
		msg, err := mail.ReadMessage(bytes.NewReader(srv.only(t)))
		if err != nil {
			t.Fatal(err)
		}
		return msg.Header.Get("Message-Id")
	}
	first, again, other := id("m-1"), id("m-1"), id("m-2")
	if first != again || first == other {
		t.Errorf("m-1 is %s and %s, m-2 is %s", first, again, other)
	}
	if !strings.HasSuffix(first, "@example.org>") || strings.Contains(first, "m-1") {
		t.Errorf("Message-ID %s: want one of the sender's domain that does not show the ID", first)
	}
}

func TestStrangersCannotAddHeaders(t *testing.T) {
	const evil = "x\r\nBcc: eve@example.net\r\nSubject: Win\r\n\r\nBuy."
	for _, kind := range message.Kinds {
		srv := new(server)
		s := newSMTP(t, mailer.SMTPConfig{URL: "smtp://" + srv.start(t, nil, false)})
		m := sample(kind)
		m.ID, m.Name, m.Device, m.NewEmail, m.Address, m.Code = evil, evil, evil, evil, evil, evil
		if err := s.Send(t.Context(), m); err != nil {
			t.Fatal(err)
		}
		msg, err := mail.ReadMessage(bytes.NewReader(srv.only(t)))
		if err != nil {
			t.Fatal(err)
		}
		if msg.Header.Get("Bcc") != "" || len(msg.Header) != 8 || msg.Header.Get("Subject") != render(t, sample(kind)).Subject {
			t.Errorf("%s has the headers %v", kind, msg.Header)
		}
	}
	for _, to := range []string{
		"", "ada", "ada@example.com\r\nRCPT TO:<eve@example.net>", "ada@example.com>\r\nDATA", "ada@example.com, eve@example.net",
		"Ada <ada@example.com>", "<ada@example.com>", "ada@example.com (x)", "ada@example.com\x00", "ada @example.com", `"a b"@example.com`, "ada@exam\u2028ple.com",
	} {
		srv := new(server)
		s := newSMTP(t, mailer.SMTPConfig{URL: "smtp://" + srv.start(t, nil, false)})
		m := sample(message.Verify)
		m.To = to
		err := s.Send(t.Context(), m)
		if !errors.Is(err, outbox.ErrUndeliverable) {
			t.Errorf("to %q: got %v, want ErrUndeliverable", to, err)
		} else if to != "" && strings.Contains(err.Error(), to) {
			t.Errorf("the error shows the address: %v", err)
		}
		srv.mu.Lock()
		if len(srv.to) > 0 {
			t.Errorf("to %q reached the server as %q", to, srv.to)
		}
		srv.mu.Unlock()
	}
}

func TestRefusals(t *testing.T) {
	answer := func(code int, text string) error {
		return &smtp.SMTPError{Code: code, EnhancedCode: smtp.EnhancedCode{code / 100, 1, 1}, Message: text}
	}
	// everything is what a server may repeat, in its own spelling.
	everything := "ADA@Example.com <ada@example.com> ada " + link + " token=Zk3vT9qLw2XyB7nR5sHd KTRW-PX4M ktrwpx4m " + browser + " 192.0.2.7"
	for _, c := range []struct {
		name    string
		command string
		err     error
		forGood bool
		want    string
	}{
		{"no such user", "RCPT", answer(550, "no such user <ada@example.com>"), true, "mail cannot be delivered: mail server 127.0.0.1:"},
		{"what is known stays", "RCPT", answer(550, "no such user <ada@example.com>"), true, "RCPT TO: 550 5.1.1 no such user <[redacted]>"},
		{"user by local part", "RCPT", answer(550, "no mailbox ada here"), true, "no mailbox [redacted] here"},
		{"the server repeats everything", "RCPT", answer(554, everything), true, "RCPT TO: 554"},
		{"sender refused", "MAIL", answer(553, "go away"), false, "MAIL FROM: 553 5.1.1 go away"},
		{"content refused", "DATA", answer(554, "spam: "+everything), true, "content: 554 5.1.1 spam"},
		{"greylisted", "RCPT", answer(451, "come back, ada@example.com"), false, "RCPT TO: 451 4.1.1 come back, [redacted]"},
		{"no room", "DATA", answer(452, "no room"), false, "content: 452"},
		{"not now", "MAIL", answer(421, "not now"), false, "MAIL FROM: 421"},
		{"login wanted late", "RCPT", answer(530, "log in"), false, "530"},
		{"a novel", "RCPT", answer(550, strings.Repeat("word ", 100)), true, "…"},
	} {
		t.Run(c.name, func(t *testing.T) {
			srv := &server{refuse: func(command, _ string) error {
				if command == c.command {
					return c.err
				}
				return nil
			}}
			err := newSMTP(t, mailer.SMTPConfig{URL: "smtp://" + srv.start(t, nil, false)}).Send(t.Context(), sample(message.Verify))
			if err == nil || errors.Is(err, outbox.ErrUndeliverable) != c.forGood || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("got %v, want an error with %q, undeliverable: %t", err, c.want, c.forGood)
			}
			if strings.ContainsAny(err.Error(), "\r\n") || len(err.Error()) > 400 {
				t.Errorf("not one short line: %q", err)
			}
			keepsSecrets(t, err)
		})
	}
}

// replying is a server that takes everything but one command, to which it has
// another answer; "CONTENT" is the end of the content.
func replying(c net.Conn, command, answer string) {
	io.WriteString(c, "220 mail.example.com ESMTP\r\n")
	lines, content := bufio.NewScanner(c), false
	for lines.Scan() {
		said, ok := strings.ToUpper(lines.Text()), "250 ok"
		switch {
		case content && said != ".":
			continue
		case content:
			said, content = "CONTENT", false
		case said == "DATA" && command != "DATA":
			ok, content = "354 go on", true
		case said == "QUIT":
			ok = "221 bye"
		}
		if strings.HasPrefix(said, command) || command == "EHLO" && strings.HasPrefix(said, "HELO") {
			ok = answer
		}
		io.WriteString(c, ok+"\r\n")
	}
}

// A refusal of the recipient is final. Everything else is ours to mend, or passes:
// the mail is tried again, and the error says where to look.
func TestOnlyARefusalOfTheRecipientIsFinal(t *testing.T) {
	const (
		final     = "" // and no hint
		login     = "check user and password in LATCHKEY_MAIL_URL"
		wantLogin = "the server wants a login: put user and password in LATCHKEY_MAIL_URL"
		wantTLS   = "the server wants TLS"
		helo      = "set --mail-helo"
		relay     = "the server does not relay for us"
		sender    = "check --mail-from: the server must accept this sender"
		later     = "the server may take it later"
		us        = "the server does not refuse the recipient but us"
	)
	for _, c := range []struct{ at, reply, hint string }{
		{"RCPT", "550 5.1.1 No such user", final},
		{"RCPT", "550-5.1.1 The email account that you tried to reach does not exist.\r\n550 5.1.1 Try double-checking the address", final},
		{"RCPT", "550 5.1.1 <ada@example.com>: Recipient address rejected: User unknown in relay recipient table", final},
		{"RCPT", "550 5.1.1 <ada@example.com>: Recipient address rejected: unverified address: User unknown", final},
		{"RCPT", "550 5.1.2 Domain not found", final},
		{"RCPT", "553 5.1.3 Bad recipient address syntax", final},
		{"RCPT", "551 5.1.6 User has moved", final},
		{"RCPT", "556 5.1.10 Recipient address has a null MX", final},
		{"RCPT", "550 5.2.1 Mailbox disabled", final},
		{"RCPT", "552 5.2.2 Mailbox full", final},
		{"RCPT", "550 No such user here", final},
		{"RCPT", "550 Unknown user", final},
		{"RCPT", "550 Requested action not taken: mailbox unavailable", final},
		{"RCPT", "550 sorry, no mailbox here by that name (#5.1.1)", final},
		{"CONTENT", "550 5.1.1 User unknown", final},

		{"RCPT", "504 5.5.2 <vm>: Helo command rejected: need fully-qualified hostname", helo},
		{"RCPT", "450 4.7.1 <vm>: Helo command rejected: Host not found", helo},
		{"RCPT", "450 4.7.25 Client host rejected: cannot find your hostname", helo},
		{"EHLO", "504 5.5.2 <vm>: Helo command rejected: need fully-qualified hostname", helo},
		{"EHLO", "501 invalid domain name", helo},
		{"RCPT", "554 5.7.1 Relay access denied", relay},
		{"RCPT", "550 relay not permitted", relay},
		{"RCPT", "553 sorry, that domain isn't in my list of allowed rcpthosts (#5.7.1)", relay},
		{"RCPT", "550 Unknown host: relaying to example.com denied", relay},
		{"MAIL", "550 5.1.1 Unknown", sender},
		{"MAIL", "553 5.1.8 Domain of sender does not exist", sender},
		{"MAIL", "550 5.7.1 you are not allowed to send as this", sender},
		{"RCPT", "553 5.7.1 Sender address rejected: not owned by user", sender},
		{"RCPT", "550 5.1.8 Domain not found", us},
		{"RCPT", "550 5.1.0 Sender address rejected: User unknown in virtual mailbox table", sender},
		{"RCPT", "550 Sender verify failed: no such user", sender},
		{"RCPT", "550 5.7.26 Gmail requires SPF or DKIM", sender},
		{"CONTENT", "554 5.7.1 Message rejected: Email address is not verified", sender},
		{"CONTENT", "550 5.7.1 Unauthenticated email is not accepted due to the domain's DMARC policy", sender},
		{"MAIL", "530 5.7.0 Authentication required", wantLogin},
		{"RCPT", "530 Authentication required", wantLogin},
		{"MAIL", "530 5.7.0 Must issue a STARTTLS command first", wantTLS},
		{"RCPT", "535 5.7.8 Authentication credentials invalid", login},
		{"RCPT", "450 4.2.0 Greylisted", later},
		{"RCPT", "450 4.1.1 Unknown for the moment", later},
		{"RCPT", "452 4.2.2 Mailbox full", later},
		{"MAIL", "421 4.7.0 Too many connections", later},
		{"CONTENT", "451 4.7.1 Try again later", later},
		{"RCPT", "550 5.7.1 Service unavailable; client host blocked", us},
		{"RCPT", "550 Access denied", us},
		{"RCPT", "550 Unknown user: blocked by policy", us},
		{"RCPT", "550 5.4.1 Recipient address rejected: Access denied", us},
		{"RCPT", "554 Transaction failed", us},
		{"RCPT", "503 5.5.1 Bad sequence of commands", us},
		{"RCPT", "550 4.7.1 of two minds", us},
		{"DATA", "554 5.5.1 No valid recipients", us},
		{"CONTENT", "550 5.7.1 Looks like spam", us},
		{"CONTENT", "552 5.3.4 Message too big", us},
		{"CONTENT", "554 Transaction failed", us},
		{"CONTENT", "550 No such user here", us},
	} {
		t.Run(c.at+" "+c.reply, func(t *testing.T) {
			address := scripted(t, func(conn net.Conn) { replying(conn, c.at, c.reply) })
			err := newSMTP(t, mailer.SMTPConfig{URL: "smtp://" + address}).Send(t.Context(), sample(message.Verify))
			if before := c.at == "EHLO"; errors.Is(err, outbox.ErrServer) != before {
				t.Errorf("got %v; about the server: want %t", err, before)
			}
			var refused *mailer.Refusal
			if !errors.As(err, &refused) || errors.Is(err, outbox.ErrUndeliverable) != (c.hint == final) {
				t.Fatalf("got %v; undeliverable must be %t", err, c.hint == final)
			}
			if _, hint, found := strings.Cut(err.Error(), "(hint: "); found != (c.hint != final) || !strings.HasPrefix(hint, c.hint) {
				t.Errorf("got %v, want the hint %q", err, c.hint)
			}
			keepsSecrets(t, err)
		})
	}
}

// Many servers refuse a name without a dot, as machines and containers have it.
func TestHelo(t *testing.T) {
	for _, c := range []struct{ host, from, want string }{
		{"vm", "mail@example.org", "example.org"},
		{"", "mail@example.org", "example.org"},
		{"localhost", "mail@example.org", "example.org"},
		{"vm.internal.", "mail@example.org", "vm.internal"},
		{"auth.example.com", "mail@example.org", "auth.example.com"},
		{"my_host.example.com", "mail@example.org", "example.org"},
		{"192.0.2.1", "mail@example.org", "example.org"},
		{"vm", "mail@[192.0.2.1]", "[192.0.2.1]"},
	} {
		if got := mailer.DefaultHelo(c.host, c.from); got != c.want {
			t.Errorf("host %q and sender %s say %q, want %q", c.host, c.from, got, c.want)
		}
	}
	for _, helo := range []string{"auth.example.com", "xn--bcher-kva.example", "[192.0.2.1]", "[IPv6:2001:db8::1]"} {
		said := make(chan string, 1)
		address := scripted(t, func(c net.Conn) {
			io.WriteString(c, "220 mail.example.com\r\n")
			line, _ := bufio.NewReader(c).ReadString('\n')
			said <- strings.TrimSpace(line)
		})
		if err := newSMTP(t, mailer.SMTPConfig{URL: "smtp://" + address, Helo: helo}).Send(t.Context(), sample(message.Verify)); err == nil {
			t.Error("a server that hung up took the mail")
		}
		if got := <-said; got != "EHLO "+helo {
			t.Errorf("said %q, want EHLO %s", got, helo)
		}
	}
}

// What a stranger chooses must not make the log unreadable either.
func TestStrangersCannotBlackOutTheLog(t *testing.T) {
	srv := &server{refuse: func(string, string) error { return &smtp.SMTPError{Code: 451, Message: "come back later"} }}
	s := newSMTP(t, mailer.SMTPConfig{URL: "smtp://" + srv.start(t, nil, false)})
	m := sample(message.Verify)
	m.Name, m.Device, m.Address, m.Code = "\x01", "\xff", "451", "---"
	if err := s.Send(t.Context(), m); err == nil || !strings.Contains(err.Error(), "451") || !strings.Contains(err.Error(), "come back later") {
		t.Errorf("got %v, want the answer", err)
	}
}

func TestAServerThatHangs(t *testing.T) {
	for _, greeting := range []string{"", "220 mail.example.com ready\r\n"} {
		t.Run(fmt.Sprintf("after %q", greeting), func(t *testing.T) {
			greeted := make(chan struct{}, 3) // one for each connection
			address := scripted(t, func(c net.Conn) {
				io.WriteString(c, greeting)
				greeted <- struct{}{}
				io.Copy(io.Discard, c) // until the client hangs up
			})
			ctx, cancel := context.WithCancel(t.Context())
			go func() {
				<-greeted
				cancel()
			}()
			err := newSMTP(t, mailer.SMTPConfig{URL: "smtp://" + address}).Send(ctx, sample(message.Verify))
			if !errors.Is(err, context.Canceled) || errors.Is(err, outbox.ErrUndeliverable) {
				t.Errorf("got %v, want context.Canceled", err)
			}
			err = newSMTP(t, mailer.SMTPConfig{URL: "smtp://" + address, Timeout: 20 * time.Millisecond}).Send(t.Context(), sample(message.Verify))
			if !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, outbox.ErrUndeliverable) || !strings.Contains(err.Error(), "no end within 20ms") {
				t.Errorf("got %v, want context.DeadlineExceeded after 20ms", err)
			}
			// TLS that never answers is the same.
			err = newSMTP(t, mailer.SMTPConfig{URL: "smtps://" + address, Timeout: 20 * time.Millisecond}).Send(t.Context(), sample(message.Verify))
			if err == nil || errors.Is(err, outbox.ErrUndeliverable) {
				t.Errorf("got %v, want a passing error", err)
			}
		})
	}
}

// converse answers as a mail server until a command begins with last, which gets
// the final answer.
func converse(c net.Conn, last, final string) {
	io.WriteString(c, "220 mail.example.com\r\n")
	var line []byte
	b := make([]byte, 1)
	for {
		if _, err := c.Read(b); err != nil {
			return
		}
		if line = append(line, b[0]); b[0] != '\n' {
			continue
		}
		command := strings.ToUpper(string(line))
		line = nil
		switch {
		case strings.HasPrefix(command, last):
			io.WriteString(c, final)
			return
		case strings.HasPrefix(command, "DATA"):
			io.WriteString(c, "354 go on\r\n")
		default:
			io.WriteString(c, "250 yes\r\n")
		}
	}
}

func TestAServerThatBreaksOff(t *testing.T) {
	for _, c := range []struct {
		name, last, final string
		want              string // "": delivered
	}{
		{"before the greeting's answer", "EHLO", "", "connecting"},
		{"after RCPT", "RCPT", "", "RCPT TO"},
		{"in the middle of the content", "AUTO-SUBMITTED", "", "content"},
		{"with nonsense that repeats the recipient", "RCPT", "what, ada@example.com? KTRW-PX4M\r\n", "RCPT TO"},
		{"after it took the message", "QUIT", "", ""},
		{"with a refusal after it took the message", "QUIT", "550 ada@example.com\r\n", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			address := scripted(t, func(conn net.Conn) { converse(conn, c.last, c.final) })
			err := newSMTP(t, mailer.SMTPConfig{URL: "smtp://" + address}).Send(t.Context(), sample(message.Verify))
			if c.want == "" {
				if err != nil {
					t.Errorf("got %v, want success", err)
				}
				return
			}
			if err == nil || errors.Is(err, outbox.ErrUndeliverable) || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("got %v, want a passing error with %q", err, c.want)
			}
			keepsSecrets(t, err)
		})
	}
}

func TestANoteAtTheDoorIsNotAboutTheMessage(t *testing.T) {
	address := scripted(t, func(c net.Conn) { io.WriteString(c, "554 no service for ada@example.com\r\n") })
	err := newSMTP(t, mailer.SMTPConfig{URL: "smtp://" + address}).Send(t.Context(), sample(message.Verify))
	if err == nil || errors.Is(err, outbox.ErrUndeliverable) || !strings.Contains(err.Error(), "connecting: 554 no service") {
		t.Fatalf("got %v, want a passing error with the answer", err)
	}
	keepsSecrets(t, err)
}

// TestEndlessAnswers: what a server says is kept in memory until its line ends.
func TestEndlessAnswers(t *testing.T) {
	said := 0
	address := scripted(t, func(c net.Conn) {
		for n, err := io.WriteString(c, "220 "); err == nil && said < 64<<20; n, err = io.WriteString(c, strings.Repeat("x", 64<<10)) {
			said += n
		}
	})
	err := newSMTP(t, mailer.SMTPConfig{URL: "smtp://" + credentials + address}).Send(t.Context(), sample(message.Verify))
	if err == nil || errors.Is(err, outbox.ErrUndeliverable) || !strings.Contains(err.Error(), "too long") {
		t.Errorf("got %v, want a passing error that says why", err)
	}
}

func TestNobodyListens(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	err = newSMTP(t, mailer.SMTPConfig{URL: "smtp://" + credentials + l.Addr().String()}).Send(t.Context(), sample(message.Verify))
	if err == nil || errors.Is(err, outbox.ErrUndeliverable) || !strings.Contains(err.Error(), "refused") {
		t.Fatalf("got %v, want a passing error", err)
	}
	keepsSecrets(t, err)
}

// RFC 6531 section 3.1: such an address needs a server that knows SMTPUTF8. None is
// stored, and no server is asked.
func TestAddressesBeyondASCIIAreUndeliverable(t *testing.T) {
	srv := new(server)
	m := sample(message.Verify)
	m.To = "zoë@example.com"
	err := newSMTP(t, mailer.SMTPConfig{URL: "smtp://" + srv.start(t, nil, false)}).Send(t.Context(), m)
	if !errors.Is(err, outbox.ErrUndeliverable) || len(srv.from) > 0 {
		t.Errorf("got %v from sender %q, want ErrUndeliverable before any command", err, srv.from)
	}
}

// What is not in ASCII is encoded, and no extension is asked of the server.
func TestSMTPUTF8IsNotAnnounced(t *testing.T) {
	said := make(chan string, 1)
	address := scripted(t, func(c net.Conn) {
		io.WriteString(c, "220 mail.example.com\r\n")
		for lines := bufio.NewScanner(c); lines.Scan(); {
			if command := lines.Text(); strings.HasPrefix(command, "MAIL") {
				said <- command
				return
			}
			io.WriteString(c, "250-mail.example.com\r\n250-8BITMIME\r\n250 SMTPUTF8\r\n")
		}
	})
	if err := newSMTP(t, mailer.SMTPConfig{URL: "smtp://" + address}).Send(t.Context(), sample(message.Verify)); err == nil {
		t.Error("a server that hung up took the mail")
	}
	if got, want := <-said, "MAIL FROM:<mail@example.org> BODY=8BITMIME"; got != want {
		t.Errorf("said %q, want %q", got, want)
	}
}

// A server may fall silent once it has refused. Waiting for it would hold up other
// mail, and in the end take the refusal for a delay.
func TestARefusalIsHeardAtOnce(t *testing.T) {
	for _, refused := range []string{"RCPT", "CONTENT"} {
		address := scripted(t, func(c net.Conn) {
			replying(silentAfter{c, "550 5.1.1"}, refused, "550 5.1.1 No such user")
		})
		err := newSMTP(t, mailer.SMTPConfig{URL: "smtp://" + address, Timeout: 5 * time.Second}).Send(t.Context(), sample(message.Verify))
		if !errors.Is(err, outbox.ErrUndeliverable) {
			t.Errorf("refused at %s: got %v, want ErrUndeliverable", refused, err)
		}
	}
}

// silentAfter is a connection whose side says nothing more after an answer.
type silentAfter struct {
	net.Conn
	last string
}

func (c silentAfter) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	if strings.HasPrefix(string(p), c.last) {
		io.Copy(io.Discard, c) // until the client hangs up
	}
	return n, err
}

func TestConfigurationOfSMTPIsRefusedByName(t *testing.T) {
	templates := newTemplates(t)
	for _, c := range []struct {
		name string
		cfg  mailer.SMTPConfig
		want string
	}{
		{"nothing", mailer.SMTPConfig{}, "templates must be set"},
		{"no URL", mailer.SMTPConfig{Templates: templates, From: "mail@example.org"}, "SMTP URL must be set"},
		{"no sender", mailer.SMTPConfig{Templates: templates, URL: "smtp://localhost"}, "mail sender"},
		{"two senders", mailer.SMTPConfig{Templates: templates, URL: "smtp://localhost", From: "a@example.org, b@example.org"}, "mail sender"},
		{"a sender with a line break", mailer.SMTPConfig{Templates: templates, URL: "smtp://localhost", From: "A <a@example.org>\r\nBcc: b@example.org"}, "mail sender"},
		{"a sender hiding a line break", mailer.SMTPConfig{Templates: templates, URL: "smtp://localhost", From: "=?utf-8?q?A=0D=0ABcc:_b@example.org?= <a@example.org>"}, "mail sender"},
		{"a sender beyond ASCII", mailer.SMTPConfig{Templates: templates, URL: "smtp://localhost", From: "zoë@example.org"}, "mail sender"},
		{"a helo without a dot", mailer.SMTPConfig{Templates: templates, URL: "smtp://localhost", From: "a@example.org", Helo: "vm"}, "mail helo \"vm\": must be a full host name"},
		{"a helo with a second command", mailer.SMTPConfig{Templates: templates, URL: "smtp://localhost", From: "a@example.org", Helo: "example.org\r\nMAIL"}, "mail helo"},
		{"a helo that is an address", mailer.SMTPConfig{Templates: templates, URL: "smtp://localhost", From: "a@example.org", Helo: "192.0.2.1"}, "mail helo"},
		{"a helo that is no address", mailer.SMTPConfig{Templates: templates, URL: "smtp://localhost", From: "a@example.org", Helo: "[192.0.2]"}, "mail helo"},
		{"a helo of IPv6 without its tag", mailer.SMTPConfig{Templates: templates, URL: "smtp://localhost", From: "a@example.org", Helo: "[2001:db8::1]"}, "mail helo"},
		{"a negative timeout", mailer.SMTPConfig{Templates: templates, URL: "smtp://localhost", From: "a@example.org", Timeout: -1}, "must not be negative"},
	} {
		if _, err := mailer.NewSMTP(c.cfg); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q", c.name, err, c.want)
		}
	}
}

func TestPasswordsAreNotPrinted(t *testing.T) {
	cfg := mailer.SMTPConfig{URL: "smtp://" + credentials + "localhost", From: "mail@example.org", Templates: newTemplates(t)}
	s, err := mailer.NewSMTP(cfg)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := mailer.ParseSMTPURL(cfg.URL)
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range []any{cfg, &cfg, s, *s, parsed, &parsed} {
		for _, format := range []string{"%v", "%+v", "%#v", "%s"} {
			if text := fmt.Sprintf(format, v); strings.Contains(text, "s3cret") {
				t.Errorf("%s of %T shows the password: %s", format, v, text)
			}
		}
	}
}
