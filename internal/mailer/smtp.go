package mailer

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/textproto"
	"os"
	"strings"
	"time"

	gomail "github.com/wneessen/go-mail"
	"github.com/wneessen/go-mail/smtp"

	"github.com/latchkey-auth/latchkey/internal/message"
	"github.com/latchkey-auth/latchkey/internal/outbox"
)

const defaultTimeout = 30 * time.Second

// SMTPConfig is what an SMTP needs.
type SMTPConfig struct {
	URL  string // of the server that takes our mail, see ParseSMTPURL; required
	From string // sender: "mail@example.com" or "Example <mail@example.com>"; required
	// Helo is what we call ourselves in EHLO: a full host name, or an address in
	// brackets. Empty: the host's name where it is a full one, else the domain of the
	// sender.
	Helo      string
	Templates *Templates     // required
	Timeout   time.Duration  // for one delivery, from the connection to the last answer; 0: 30 s
	RootCAs   *x509.CertPool // that the server's certificate must come from; nil: the system's
	// Dial makes the connection. nil: net.Dialer.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	Now  func() time.Time // for the Date header; nil: time.Now
}

// String leaves the URL out, which holds the password.
func (c SMTPConfig) String() string { return "mail from " + c.From }

// GoString is String, for %#v.
func (c SMTPConfig) GoString() string { return c.String() }

// An SMTP hands messages to a mail server, one connection for each. It may be
// used from several goroutines.
type SMTP struct {
	SMTPConfig
	composer
	server SMTPServer
}

var _ message.Mailer = (*SMTP)(nil)

// NewSMTP checks the configuration. It does not connect: a mail server that is
// down must not keep the service from starting.
func NewSMTP(cfg SMTPConfig) (*SMTP, error) {
	if cfg.Templates == nil {
		return nil, errors.New("mail: templates must be set")
	}
	server, err := ParseSMTPURL(cfg.URL)
	if err != nil {
		return nil, err
	}
	from, err := parseSender(cfg.From)
	if err != nil {
		return nil, err
	}
	if cfg.Helo == "" {
		host, _ := os.Hostname() // none is no full one
		cfg.Helo = defaultHelo(host, from.Address)
	} else if !isHelo(cfg.Helo) {
		return nil, fmt.Errorf("mail helo %q: must be a full host name such as mail.example.com, or an address such as [192.0.2.1] or [IPv6:2001:db8::1]", cfg.Helo)
	}
	if cfg.Timeout < 0 {
		return nil, fmt.Errorf("mail timeout %s: must not be negative", cfg.Timeout)
	}
	cfg.Timeout = cmp.Or(cfg.Timeout, defaultTimeout)
	if cfg.Dial == nil {
		cfg.Dial = (&net.Dialer{}).DialContext
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	cfg.URL = "" // holds the password
	return &SMTP{SMTPConfig: cfg, server: server, composer: composer{from, cfg.Now}}, nil
}

// defaultHelo is the name of the host, or the domain of the sender where servers
// would refuse that name, as that of a container.
func defaultHelo(host, from string) string {
	if host = strings.TrimSuffix(host, "."); isHelo(host) {
		return host
	}
	return from[strings.LastIndexByte(from, '@')+1:]
}

var fullHostName = lazily(`^([A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)+[A-Za-z]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?$`)

// isHelo says whether a name may stand in EHLO (RFC 5321 sections 4.1.1.1 and
// 4.1.3): a host name with a dot, because servers refuse others, or an address
// literal.
func isHelo(name string) bool {
	literal, ok := strings.CutPrefix(name, "[")
	if !ok {
		return len(name) <= 253 && fullHostName.MatchString(name)
	}
	literal, closed := strings.CutSuffix(literal, "]")
	six, isSix := strings.CutPrefix(literal, "IPv6:")
	ip, err := netip.ParseAddr(six)
	return closed && err == nil && ip.Is4() != isSix && ip.Zone() == ""
}

// Send implements message.Mailer. Refusals of the recipient for good are
// outbox.ErrUndeliverable, see Refusal. Everything else may pass or be mended by the
// operator and is worth another attempt; what fails before MAIL FROM is
// outbox.ErrServer. No error shows an address, the link, or the code.
func (s *SMTP) Send(ctx context.Context, m message.Message) error {
	if !isAddress(m.To) {
		return fmt.Errorf("%w: the recipient's address is not valid", outbox.ErrUndeliverable)
	}
	rendered, err := s.Templates.Render(m)
	if err != nil {
		return err
	}
	msg, err := s.compose(rendered)
	if err != nil {
		return fmt.Errorf("composing mail %s: %s", m.Kind, s.redactor(m).clean(err.Error()))
	}
	ctx, cancel := context.WithTimeoutCause(ctx, s.Timeout, fmt.Errorf("no end within %s: %w", s.Timeout, context.DeadlineExceeded))
	defer cancel()
	stage, err := s.deliver(ctx, m.To, msg)
	if err == nil {
		return nil
	}
	if ctx.Err() != nil { // any error comes from our hanging up
		err = fmt.Errorf("mail server %s: %s: %w", s.server, stage, context.Cause(ctx))
	} else {
		err = s.explain(err, stage, s.redactor(m))
	}
	if stage == stageConnect {
		return fmt.Errorf("%w: %w", outbox.ErrServer, err)
	}
	return err
}

// explain says what an error is about, without secrets.
func (s *SMTP) explain(err error, at stage, r redactor) error {
	var answer *textproto.Error
	if errors.As(err, &answer) {
		refused := refusal(s.server, at, answer, r.clean(answer.Msg))
		if refused.Final {
			return fmt.Errorf("%w: %w", outbox.ErrUndeliverable, refused)
		}
		return refused
	}
	text := fmt.Sprintf("mail server %s: %s: %s%s", s.server, at, r.clean(err.Error()), hintOf(err))
	return errors.New(text)
}

// deliver speaks SMTP. The stage is that of the error.
func (s *SMTP) deliver(ctx context.Context, to string, msg *gomail.Msg) (stage, error) {
	// The connection is ours: the library forgets one on which a greeting or a
	// login fails, and no longer looks at the context once it has connected.
	conn, err := s.Dial(ctx, "tcp", s.server.String())
	if err != nil {
		return stageConnect, err
	}
	defer conn.Close()
	conn = &shortAnswers{conn, maxAnswers}
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	secured := conn
	if s.server.TLS == TLSImplicit {
		t := tls.Client(conn, s.tlsConfig())
		if err := t.HandshakeContext(ctx); err != nil {
			return stageConnect, err
		}
		secured = t
	}
	client, err := s.client(func(context.Context, string, string) (net.Conn, error) { return secured, nil })
	if err != nil {
		return stageConnect, err
	}
	session, err := client.DialToSMTPClientWithContext(ctx)
	if err != nil {
		return stageConnect, err
	}
	if failed, err := transact(session, s.from.Address, to, msg); err != nil {
		return failed, err
	}
	_ = session.Quit() // the server has the message already: its answer changes nothing
	return "", nil
}

// maxAnswers is how much a server may say in all; the library would keep an answer
// without end in memory.
const maxAnswers = 1 << 20

// shortAnswers is a connection that fails once the other side has said too much.
type shortAnswers struct {
	net.Conn
	left int
}

func (c *shortAnswers) Read(p []byte) (int, error) {
	if c.left == 0 {
		return 0, errors.New("the server's answers are too long")
	}
	n, err := c.Conn.Read(p[:min(len(p), c.left)])
	c.left -= n
	return n, err
}

// transact is one mail transaction (RFC 5321 section 3.3). It is done here and not
// by the library, which has the answer in a sentence only and waits for another one
// after a refusal; see docs/design.md, "What the clever one buys".
func transact(session *smtp.Client, from, to string, msg *gomail.Msg) (stage, error) {
	if err := session.Mail("<" + from + ">"); err != nil {
		return stageMail, err
	}
	if err := session.Rcpt("<" + to + ">"); err != nil {
		return stageRcpt, err
	}
	w, err := session.Data()
	if err != nil {
		return stageData, err
	}
	if _, err := msg.WriteTo(w); err != nil {
		return stageContent, err
	}
	return stageContent, w.Close() // the answer says whether the server took it
}

func (s *SMTP) tlsConfig() *tls.Config {
	return &tls.Config{
		ServerName: s.server.Host, MinVersion: tls.VersionTLS12, RootCAs: s.RootCAs,
		// Where no TLS at all would do, a certificate proves nothing (RFC 7435
		// section 3): an attacker who could forge it could as well take STARTTLS away.
		InsecureSkipVerify: s.server.TLS == TLSOptional,
	}
}

func (s *SMTP) client(dial gomail.DialContextFunc) (*gomail.Client, error) {
	options := []gomail.Option{
		gomail.WithPort(s.server.Port), gomail.WithHELO(s.Helo), gomail.WithDialContextFunc(dial), gomail.WithTLSConfig(s.tlsConfig()),
		gomail.WithTimeout(s.Timeout + time.Minute), // the context ends it before
		// Our addresses are ASCII, and some servers refuse to pass on to others what was
		// announced as SMTPUTF8.
		gomail.WithoutSMTPUTF8(),
	}
	switch s.server.TLS {
	case TLSRequired:
		options = append(options, gomail.WithTLSPolicy(gomail.TLSMandatory))
	case TLSOptional:
		options = append(options, gomail.WithTLSPolicy(gomail.TLSOpportunistic))
	default: // TLSNever, or done when we dial
		options = append(options, gomail.WithTLSPolicy(gomail.NoTLS))
	}
	if s.server.User != "" {
		mechanisms := []gomail.SMTPAuthType{gomail.SMTPAuthPlain, gomail.SMTPAuthLogin}
		if isLoopback(s.server.Host) {
			mechanisms = []gomail.SMTPAuthType{gomail.SMTPAuthPlainNoEnc, gomail.SMTPAuthLoginNoEnc}
		}
		options = append(options, gomail.WithUsername(s.server.User), gomail.WithPassword(s.server.password),
			gomail.WithOpportunisticSMTPAuth(mechanisms...))
	}
	return gomail.NewClient(s.server.Host, options...)
}
