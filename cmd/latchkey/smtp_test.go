package main

import (
	"io"
	"mime"
	"net"
	"net/mail"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/emersion/go-smtp"
	"github.com/rogpeppe/go-internal/testscript"
)

// A sink is a mail server that keeps what it gets.
type sink struct {
	mu       sync.Mutex // guards received
	received []delivery
	arrived  chan struct{} // has one after each arrival
}

type delivery struct{ to, subject, content string }

// newSink listens on loopback until close is called.
func newSink() (s *sink, url string, close func(), err error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, "", nil, err
	}
	s = &sink{arrived: make(chan struct{}, 1)}
	server := smtp.NewServer(smtp.BackendFunc(func(*smtp.Conn) (smtp.Session, error) { return &sinkSession{sink: s}, nil }))
	server.Domain = "localhost"
	go server.Serve(l)
	return s, "smtp://" + l.Addr().String(), func() { server.Close() }, nil
}

type sinkSession struct {
	sink *sink
	to   string
}

func (s *sinkSession) Mail(string, *smtp.MailOptions) error      { return nil }
func (s *sinkSession) Rcpt(to string, _ *smtp.RcptOptions) error { s.to = to; return nil }
func (s *sinkSession) Reset()                                    { s.to = "" }
func (s *sinkSession) Logout() error                             { return nil }
func (s *sinkSession) Data(r io.Reader) error {
	m, err := mail.ReadMessage(r)
	if err != nil {
		return err
	}
	body, err := io.ReadAll(m.Body)
	if err != nil {
		return err
	}
	subject, err := new(mime.WordDecoder).DecodeHeader(m.Header.Get("Subject"))
	if err != nil {
		return err
	}
	// Quoted-printable breaks lines and writes = in another way.
	content := strings.NewReplacer("=\r\n", "", "=3D", "=").Replace(string(body))
	s.sink.mu.Lock()
	s.sink.received = append(s.sink.received, delivery{s.to, subject, content})
	s.sink.mu.Unlock()
	select {
	case s.sink.arrived <- struct{}{}:
	default:
	}
	return nil
}

// wait returns the newest mail to the address with the text in its subject, once
// there is one.
func (s *sink) wait(subject, to string) (delivery, bool) {
	timeout := time.After(startTimeout)
	for {
		s.mu.Lock()
		for i := len(s.received) - 1; i >= 0; i-- {
			if d := s.received[i]; d.to == to && strings.Contains(d.subject, subject) {
				s.mu.Unlock()
				return d, true
			}
		}
		s.mu.Unlock()
		select {
		case <-s.arrived:
		case <-timeout:
			return delivery{}, false
		}
	}
}

var linkToken = regexp.MustCompile(`\?token=([A-Za-z0-9_.-]+)`)

// sinks holds the *sink of each *testscript.TestScript.
var sinks sync.Map

// cmdSMTPSink starts a mail server and sets $LATCHKEY_SMTP_URL to it.
func cmdSMTPSink(ts *testscript.TestScript, _ bool, _ []string) {
	s, url, stop, err := newSink()
	ts.Check(err)
	ts.Defer(stop)
	ts.Setenv("LATCHKEY_SMTP_URL", url)
	sinks.Store(ts, s)
}

// cmdReceived waits for a mail and sets $TICKET to the token of its link, if it
// has one: received SUBJECT ADDRESS
func cmdReceived(ts *testscript.TestScript, _ bool, args []string) {
	v, _ := sinks.Load(ts)
	d, ok := v.(*sink).wait(args[0], args[1])
	if !ok {
		ts.Fatalf("no mail %q came within %s", args, startTimeout)
	}
	if m := linkToken.FindStringSubmatch(d.content); m != nil {
		ts.Setenv("TICKET", m[1])
	}
}
