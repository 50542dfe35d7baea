package outbox_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/latchkey-auth/latchkey/internal/outbox"
)

func TestNewRefusesWhatCannotWork(t *testing.T) {
	for _, c := range []struct {
		name   string
		config outbox.Config
		want   string
	}{
		{"no queue", outbox.Config{Key: key}, "Queue must be set"},
		{"no key", outbox.Config{Queue: &queue{}}, "0 bytes, want 32"},
		{"a key of AES-128", outbox.Config{Queue: &queue{}, Key: key[:16]}, "16 bytes, want 32"},
	} {
		if o, err := outbox.New(c.config); o != nil || err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want an error with %q", c.name, err, c.want)
		}
	}
}

func TestSealedMailIsDueAtOnceAndSaysNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q, s := &queue{}, &sender{}
		o := newOutbox(t, q, s)
		now := time.Now()
		doc := []byte("https://auth.example.com/verify?token=secret")
		m, err := o.Seal("mail", doc, now.Add(time.Hour), now)
		if err != nil {
			t.Fatal(err)
		}
		want := outbox.Mail{ID: "mail", Sealed: m.Sealed, CreatedAt: now, DueAt: now, GiveUpAt: now.Add(time.Hour)}
		if diff := cmp.Diff(want, m); diff != "" {
			t.Errorf("Seal (-want +got):\n%s", diff)
		}
		if bytes.Contains(m.Sealed, []byte("token=")) {
			t.Error("the document can be read in the sealed mail")
		}
		if again, err := o.Seal("mail", doc, now.Add(time.Hour), now); err != nil || bytes.Equal(again.Sealed, m.Sealed) {
			t.Errorf("sealed twice: %v, the same bytes: want another nonce", err)
		}
		q.put(m)
		if err := o.Deliver(t.Context()); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]string{string(doc)}, s.docs()); diff != "" {
			t.Errorf("sent (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff([]attempt{{"mail", string(doc), outbox.Delivered}}, q.attempts()); diff != "" {
			t.Errorf("recorded (-want +got):\n%s", diff)
		}
		if q.left() != 0 {
			t.Error("it is still queued")
		}
	})
}

func TestSealRefusesEmptyMail(t *testing.T) {
	o := newOutbox(t, &queue{}, &sender{})
	if _, err := o.Seal("", []byte("doc"), time.Now(), time.Now()); err == nil {
		t.Error("sealed without an id")
	}
	if _, err := o.Seal("mail", nil, time.Now(), time.Now()); err == nil {
		t.Error("sealed without a document")
	}
}

// Mail that was queued before an upgrade is delivered after it. The file holds the id and
// the sealed bytes of one that the version without this package has written.
func TestMailQueuedByTheVersionBeforeOpens(t *testing.T) {
	text, err := os.ReadFile("testdata/queued-before.txt")
	if err != nil {
		t.Fatal(err)
	}
	id, digits, _ := strings.Cut(strings.TrimSpace(string(text)), "\n")
	sealed, err := hex.DecodeString(digits)
	if err != nil {
		t.Fatal(err)
	}
	q, s := &queue{}, &sender{}
	o, err := outbox.New(outbox.Config{Queue: q, Sender: s, Key: []byte("0123456789abcdefghijklmnopqrstuv")})
	if err != nil {
		t.Fatal(err)
	}
	q.put(outbox.Mail{ID: id, Sealed: sealed, GiveUpAt: time.Now().Add(time.Hour)})
	if err := o.Deliver(t.Context()); err != nil {
		t.Fatal(err)
	}
	if docs := s.docs(); len(docs) != 1 || !strings.HasPrefix(docs[0], `{"UserID":"","Message":{"ID":"`+id+`","Kind":"verify","To":"a@example.com"`) {
		t.Errorf("sent %q", docs)
	}
}

// What cannot be opened is not sent, and not tried for ever.
func TestMailThatCannotBeOpenedIsErased(t *testing.T) {
	for _, c := range []struct {
		name   string
		damage func(t *testing.T, m *outbox.Mail)
	}{
		{"sealed under another key", func(t *testing.T, m *outbox.Mail) {
			other, err := outbox.New(outbox.Config{Queue: &queue{}, Key: bytes.Repeat([]byte("x"), 32)})
			if err != nil {
				t.Fatal(err)
			}
			*m, err = other.Seal(m.ID, []byte("doc"), m.GiveUpAt, m.CreatedAt)
			if err != nil {
				t.Fatal(err)
			}
		}},
		{"sealed for another id", func(_ *testing.T, m *outbox.Mail) { m.ID = "other" }},
		{"one bit changed", func(_ *testing.T, m *outbox.Mail) { m.Sealed[20] ^= 1 }},
		{"cut off", func(_ *testing.T, m *outbox.Mail) { m.Sealed = m.Sealed[:len(m.Sealed)-1] }},
		{"shorter than a nonce", func(_ *testing.T, m *outbox.Mail) { m.Sealed = m.Sealed[:5] }},
		{"nothing sealed", func(_ *testing.T, m *outbox.Mail) { m.Sealed = nil }},
	} {
		t.Run(c.name, func(t *testing.T) {
			q, s := &queue{}, &sender{}
			o := newOutbox(t, q, s)
			m, err := o.Seal("mail", []byte("doc"), time.Now().Add(time.Hour), time.Now())
			if err != nil {
				t.Fatal(err)
			}
			c.damage(t, &m)
			q.put(m)
			err = o.Deliver(t.Context())
			if want := "mail undeliverable: mail " + m.ID + ": queued mail " + m.ID + " cannot be opened with this master key"; err == nil || err.Error() != want {
				t.Errorf("Deliver: %v\nwant %s", err, want)
			}
			if s.tries() != 0 || q.left() != 0 {
				t.Errorf("sent %q, %d left; want none", s.docs(), q.left())
			}
			if diff := cmp.Diff([]attempt{{m.ID, "", outbox.Undeliverable}}, q.attempts()); diff != "" {
				t.Errorf("recorded (-want +got):\n%s", diff)
			}
		})
	}
}

func TestQueuedNeverWaits(t *testing.T) {
	o := newOutbox(t, &queue{}, &sender{})
	select {
	case <-o.MailQueued():
		t.Error("there is a signal before any mail")
	default:
	}
	o.Queued()
	o.Queued() // nobody listens
	select {
	case <-o.MailQueued():
	default:
		t.Error("nobody was told that there is mail")
	}
}

func TestMailErrorsSayWhatHasBecomeOfTheMail(t *testing.T) {
	cause := errors.New("451 later")
	for _, c := range []struct {
		err  outbox.MailError
		want string
	}{
		{outbox.MailError{ID: "m1", Outcome: outbox.Delayed, Wait: 2 * time.Minute}, "mail delivery delayed: mail m1, next try in 2m0s: 451 later"},
		{outbox.MailError{ID: "m1", Outcome: outbox.GivenUp}, "mail given up: mail m1: 451 later"},
		{outbox.MailError{ID: "m1", Outcome: outbox.Undeliverable}, "mail undeliverable: mail m1: 451 later"},
	} {
		c.err.Err = cause
		if got := c.err.Error(); got != c.want || !errors.Is(&c.err, cause) {
			t.Errorf("got %s\nwant %s", got, c.want)
		}
	}
}
