package outbox_test

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/latchkey-auth/latchkey/internal/outbox"
)

var key = bytes.Repeat([]byte("k"), 32)

// A queue keeps mail in memory. Set its hooks before use.
type queue struct {
	afterRead func()                     // a page was read and is not yet returned
	claimFail func(call int) error       // instead of claiming
	claimLost func(call int) error       // after claiming: the answer is lost
	triedFail func(outbox.Outcome) error // instead of recording
	triedLost func(outbox.Outcome) error // after recording
	readFail  error

	mu     sync.Mutex // guards what follows
	mails  map[string]outbox.Mail
	tried  []attempt
	claims int
	reads  int
}

// An attempt is what was recorded of one.
type attempt struct {
	ID      string
	Doc     string
	Outcome outbox.Outcome
}

func (q *queue) DueMails(ctx context.Context, now time.Time, limit int) ([]outbox.Mail, error) {
	if q.readFail != nil {
		return nil, q.readFail
	}
	if q.afterRead != nil {
		defer q.afterRead()
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.reads++
	var due []outbox.Mail
	for _, m := range q.mails {
		if !m.DueAt.After(now) {
			due = append(due, m)
		}
	}
	slices.SortFunc(due, func(a, b outbox.Mail) int {
		return cmp.Or(a.DueAt.Compare(b.DueAt), cmp.Compare(a.ID, b.ID))
	})
	return due[:min(len(due), limit)], ctx.Err()
}

func (q *queue) ClaimMail(ctx context.Context, m outbox.Mail) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.claims++
	if q.claimFail != nil {
		if err := q.claimFail(q.claims); err != nil {
			return err
		}
	}
	stored, ok := q.mails[m.ID]
	if !ok || stored.Attempts != m.Attempts {
		return fmt.Errorf("claiming: %w", outbox.ErrClaimed)
	}
	stored.DueAt = m.DueAt
	stored.Attempts++
	q.mails[m.ID] = stored
	if q.claimLost != nil {
		return q.claimLost(q.claims)
	}
	return nil
}

func (q *queue) MailTried(ctx context.Context, m outbox.Mail, doc []byte, outcome outbox.Outcome) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if q.triedFail != nil {
		if err := q.triedFail(outcome); err != nil {
			return err
		}
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if outcome != outbox.Delayed {
		delete(q.mails, m.ID)
	}
	q.tried = append(q.tried, attempt{m.ID, string(doc), outcome})
	if q.triedLost != nil {
		return q.triedLost(outcome)
	}
	return nil
}

func (q *queue) put(m outbox.Mail) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.mails == nil {
		q.mails = make(map[string]outbox.Mail)
	}
	q.mails[m.ID] = m
}

func (q *queue) left() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.mails)
}

func (q *queue) attempts() []attempt {
	q.mu.Lock()
	defer q.mu.Unlock()
	return slices.Clone(q.tried)
}

// A sender is a mail server. Set answer before use; nil takes everything.
type sender struct {
	answer func(ctx context.Context, doc string) error

	mu    sync.Mutex // guards what follows
	asked []string
}

func (s *sender) Send(ctx context.Context, doc []byte) error {
	s.mu.Lock()
	s.asked = append(s.asked, string(doc))
	s.mu.Unlock()
	if s.answer == nil {
		return nil
	}
	return s.answer(ctx, string(doc))
}

func (s *sender) docs() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Sorted(slices.Values(s.asked))
}

func (s *sender) tries() int { return len(s.docs()) }

func newOutbox(t *testing.T, q *queue, s *sender) *outbox.Outbox {
	t.Helper()
	o, err := outbox.New(outbox.Config{Queue: q, Sender: s, Key: key})
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// fill queues n mails, of use for a day: "mail 01" with the document "doc 01".
func fill(t *testing.T, o *outbox.Outbox, q *queue, n int) {
	t.Helper()
	for i := range n {
		m, err := o.Seal(fmt.Sprintf("mail %02d", i), fmt.Appendf(nil, "doc %02d", i), time.Now().Add(24*time.Hour), time.Now())
		if err != nil {
			t.Fatal(err)
		}
		q.put(m)
	}
}

// outcomes returns the outcomes that err tells of, by mail.
func outcomes(err error) map[string]outbox.Outcome {
	all := make(map[string]outbox.Outcome)
	var joined interface{ Unwrap() []error }
	if one := (*outbox.MailError)(nil); errors.As(err, &one) {
		all[one.ID] = one.Outcome
	}
	if errors.As(err, &joined) {
		for _, one := range joined.Unwrap() {
			for id, outcome := range outcomes(one) {
				all[id] = outcome
			}
		}
	}
	return all
}
