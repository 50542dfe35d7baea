package app

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/latchkey-auth/latchkey/internal/mailer"
	"github.com/latchkey-auth/latchkey/internal/outbox"
)

// A wrong login delays every mail at every try: the log names it once an hour, and
// at once when the cause is another one.
func TestDelayedMailIsLoggedOnceForEachCause(t *testing.T) {
	var out bytes.Buffer
	now := time.Unix(1_700_000_000, 0)
	l := newMailLog(slog.New(slog.NewTextHandler(&out, nil)), func() time.Time { return now })
	delayed := func(id string, cause error) error {
		return &outbox.MailError{ID: id, Outcome: outbox.Delayed, Wait: time.Minute, Err: cause}
	}
	refused := func(code int, text string) error {
		return &mailer.Refusal{Server: "mail.example.com:587", Stage: "connecting", Code: code, Text: text}
	}
	want := func(lines ...string) {
		t.Helper()
		got := strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
		out.Reset()
		if got[0] == "" {
			got = nil
		}
		if len(got) != len(lines) {
			t.Fatalf("got the lines %q, want %d", got, len(lines))
		}
		for i, line := range lines {
			if !strings.Contains(got[i], line) {
				t.Errorf("got %s, want %s", got[i], line)
			}
		}
	}
	l.report(errors.Join(delayed("m1", refused(535, "wrong, id 1a")), delayed("m2", refused(535, "wrong, id 2b"))))
	want(`level=ERROR msg="mail delivery delayed" mail=m1 wait=1m0s error="mail server mail.example.com:587: connecting: 535 wrong, id 1a (hint: check user and password in LATCHKEY_MAIL_URL)"`)
	now = now.Add(time.Minute)
	l.report(errors.Join(delayed("m1", refused(535, "wrong, id 3c"))))
	want()
	l.report(errors.Join(delayed("m1", refused(421, "later")), delayed("m2", errors.New("read 127.0.0.1:40001: reset")), delayed("m3", errors.New("read 127.0.0.1:40002: reset"))))
	want("421 later", "40001: reset")
	now = now.Add(time.Hour)
	l.report(delayed("m1", refused(535, "wrong")))
	want("535 wrong")
	l.report(errors.New("reading queued mail: disk full"))
	want(`level=ERROR msg="mail delivery delayed" error="reading queued mail: disk full"`)
	// What is over for a mail is logged for each.
	for range 2 {
		l.report(&outbox.MailError{ID: "m4", Outcome: outbox.Undeliverable, Err: refused(550, "no such user")})
		l.report(&outbox.MailError{ID: "m5", Outcome: outbox.GivenUp, Err: errors.New("no server took it")})
		want(`level=WARN msg="mail undeliverable" mail=m4`, `level=ERROR msg="mail given up" mail=m5`)
	}
}
