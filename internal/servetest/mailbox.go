package servetest

import (
	"bufio"
	"fmt"
	"io"
	"mime/quotedprintable"
	"net"
	"net/mail"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"
)

// A mailbox is a mail server that keeps the tokens of the links that it gets.
type mailbox struct {
	address string

	mu     sync.Mutex
	tokens map[string][]string // by address, in the order in which they came
	came   chan struct{}       // closed and made anew with every mail
}

func openMailbox(t testing.TB) *mailbox {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	m := &mailbox{address: l.Addr().String(), tokens: make(map[string][]string), came: make(chan struct{})}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go m.talk(conn)
		}
	}()
	return m
}

// talk is the server's side of SMTP, as much as one client needs.
func (m *mailbox) talk(conn net.Conn) {
	defer conn.Close()
	say := func(line string) { fmt.Fprintf(conn, "%s\r\n", line) }
	in := bufio.NewReader(conn)
	say("220 localhost")
	to := ""
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return
		}
		switch verb, _, _ := strings.Cut(strings.ToUpper(strings.TrimSpace(line)), " "); verb {
		case "RCPT":
			to = strings.Trim(line[strings.Index(line, ":")+1:], "<> \r\n")
			say("250 ok")
		case "DATA":
			say("354 go on")
			content, err := content(in)
			if err != nil {
				return
			}
			m.keep(to, content)
			say("250 kept")
		case "QUIT":
			say("221 bye")
			return
		default: // EHLO, MAIL, RSET, NOOP
			say("250 ok")
		}
	}
}

// content reads a mail up to the final dot, and decodes it. Both of its parts are quoted-printable.
func content(in *bufio.Reader) (string, error) {
	var raw strings.Builder
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return "", err
		}
		if line == ".\r\n" {
			break
		}
		raw.WriteString(strings.TrimPrefix(line, "."))
	}
	message, err := mail.ReadMessage(strings.NewReader(raw.String()))
	if err != nil {
		return "", err
	}
	text, err := io.ReadAll(quotedprintable.NewReader(message.Body))
	return string(text), err
}

var linkToken = regexp.MustCompile(`\?token=([A-Za-z0-9_.-]+)`)

func (m *mailbox) keep(to, content string) {
	found := linkToken.FindStringSubmatch(content)
	m.mu.Lock()
	defer m.mu.Unlock()
	if found != nil {
		m.tokens[to] = append(m.tokens[to], found[1])
	}
	close(m.came)
	m.came = make(chan struct{})
}

// token takes the oldest token that came to the address, and waits for one.
func (m *mailbox) token(t testing.TB, to string) string {
	t.Helper()
	deadline := time.After(patience)
	for {
		m.mu.Lock()
		came, tokens := m.came, m.tokens[to]
		if len(tokens) > 0 {
			m.tokens[to] = tokens[1:]
		}
		m.mu.Unlock()
		if len(tokens) > 0 {
			return tokens[0]
		}
		select {
		case <-came:
		case <-deadline:
			t.Fatalf("no mail with a link has come to %s within %s", to, patience)
		}
	}
}
