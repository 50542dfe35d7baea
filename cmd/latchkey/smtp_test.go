package main

import (
	"io"
	"log"
	"mime"
	"mime/quotedprintable"
	"net"
	"net/mail"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-smtp"
	"github.com/rogpeppe/go-internal/testscript"
)

// A sink is a mail server that keeps what it gets.
type sink struct {
	url string

	mu       sync.Mutex // guards what follows
	received []delivery
	taken    map[string]int // links that were asked for, by address
	came     chan struct{}  // closed and made anew with every mail
}

type delivery struct{ to, subject, content string }

// newSink listens on loopback until stop is called.
func newSink() (s *sink, stop func(), err error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, nil, err
	}
	s, stop = newSinkOn(l)
	return s, stop, nil
}

func newSinkOn(l net.Listener) (s *sink, stop func()) {
	s = &sink{url: "smtp://" + l.Addr().String(), taken: make(map[string]int), came: make(chan struct{})}
	server := smtp.NewServer(smtp.BackendFunc(func(*smtp.Conn) (smtp.Session, error) { return &sinkSession{sink: s}, nil }))
	server.Domain = "localhost"
	server.ErrorLog = log.New(io.Discard, "", 0) // clients are killed
	var done sync.WaitGroup
	done.Go(func() { server.Serve(l) })
	return s, func() { server.Close(); l.Close(); done.Wait() } // l: before Serve has begun, the server does not know it
}

// startSink is newSink for tests.
func startSink(t testing.TB) *sink {
	t.Helper()
	s, stop, err := newSink()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stop)
	return s
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
	body, err := io.ReadAll(quotedprintable.NewReader(m.Body))
	if err != nil {
		return err
	}
	subject, err := new(mime.WordDecoder).DecodeHeader(m.Header.Get("Subject"))
	if err != nil {
		return err
	}
	s.sink.mu.Lock()
	defer s.sink.mu.Unlock()
	s.sink.received = append(s.sink.received, delivery{s.to, subject, string(body)})
	close(s.sink.came)
	s.sink.came = make(chan struct{})
	return nil
}

// wait returns what find finds among the mails, once it does.
func (s *sink) wait(find func([]delivery) (string, bool)) (string, bool) {
	return s.waitFor(startTimeout, find)
}

func (s *sink) waitFor(long time.Duration, find func([]delivery) (string, bool)) (string, bool) {
	patience := time.After(long)
	for {
		s.mu.Lock()
		came := s.came
		found, ok := find(s.received)
		s.mu.Unlock()
		if ok {
			return found, true
		}
		select {
		case <-came:
		case <-patience:
			return "", false
		}
	}
}

// has reports whether a mail to the address has come.
func (s *sink) has(to string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.ContainsFunc(s.received, func(d delivery) bool { return d.to == to })
}

// content is that of the newest mail to the address with the text in its subject.
func (s *sink) content(subject, to string) (string, bool) {
	return s.wait(func(all []delivery) (string, bool) {
		for _, d := range slices.Backward(all) {
			if d.to == to && strings.Contains(d.subject, subject) {
				return d.content, true
			}
		}
		return "", false
	})
}

// token is that of the first link to the address that was not asked for yet.
func (s *sink) token(t testing.TB, to string) string {
	t.Helper()
	token, ok := s.wait(func(all []delivery) (string, bool) {
		n := 0
		for _, d := range all {
			m := linkToken.FindStringSubmatch(d.content)
			if d.to != to || m == nil {
				continue
			}
			if n == s.taken[to] {
				s.taken[to]++
				return m[1], true
			}
			n++
		}
		return "", false
	})
	if !ok {
		t.Fatalf("no mail with a link has come to %s", to)
	}
	return token
}

var linkToken = regexp.MustCompile(`\?token=([A-Za-z0-9_.-]+)`)

// sinks holds the *sink of each *testscript.TestScript.
var sinks sync.Map

// cmdSMTPSink starts a mail server and sets $LATCHKEY_MAIL_URL to it.
func cmdSMTPSink(ts *testscript.TestScript, _ bool, _ []string) {
	s, stop, err := newSink()
	ts.Check(err)
	ts.Defer(stop)
	ts.Setenv("LATCHKEY_MAIL_URL", s.url)
	sinks.Store(ts, s)
}

// cmdReceived waits for a mail and sets $TICKET to the token of its link, if it
// has one: received SUBJECT ADDRESS
func cmdReceived(ts *testscript.TestScript, _ bool, args []string) {
	v, _ := sinks.Load(ts)
	content, ok := v.(*sink).content(args[0], args[1])
	if !ok {
		ts.Fatalf("no mail %q came within %s", args, startTimeout)
	}
	if m := linkToken.FindStringSubmatch(content); m != nil {
		ts.Setenv("TICKET", m[1])
	}
}
