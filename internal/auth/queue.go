package auth

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// A Mail is a queued message, sealed: its link and code are worth an account.
type Mail struct {
	ID        string
	Sealed    []byte
	CreatedAt time.Time
	DueAt     time.Time // when it is to be tried next
	GiveUpAt  time.Time // it is of no use after that
	Attempts  int64     // deliveries begun so far
}

// Mail is tried for as long as its link works, and a notice for three days. The
// wait doubles from firstRetry; it is also what a process has for one attempt
// before another may try.
const (
	noticeLifetime = 3 * 24 * time.Hour
	firstRetry     = time.Minute
	longestRetry   = time.Hour
	sendTimeout    = 45 * time.Second // under firstRetry
	sendAtOnce     = 4
	mailPage       = 16
)

// A backOff leaves a mail server alone that takes nothing, ErrMailServer: however
// many mails are due, it is asked for one of them after each wait. A login that is
// wrong over and over gets an account locked.
type backOff struct {
	failures int64
	until    time.Time
}

const (
	firstBackOff   = 5 * time.Second
	longestBackOff = time.Minute // new mail waits for it when the server is back
)

func (b *backOff) failed(now time.Time) {
	b.until = now.Add(min(firstBackOff<<min(b.failures, 10), longestBackOff))
	b.failures++
}

// queuedMail is what is sealed.
type queuedMail struct {
	UserID  UserID
	Message Message
}

// enqueue adds a mail to the batch, so that it is stored with what it tells of
// or not at all.
func (s *Service) enqueue(b *Batch, user UserID, m Message, c Client, now time.Time) error {
	m.ID, m.At = newID(), now
	m.Device, m.Address = shorten(c.Device, maxDevice), c.Address
	doc, err := json.Marshal(queuedMail{user, m})
	if err != nil {
		return err
	}
	aead, err := s.mailSeal()
	if err != nil {
		return err
	}
	mail := Mail{ID: m.ID, CreatedAt: now, DueAt: now, GiveUpAt: now.Add(noticeLifetime)}
	if m.LinkFor > 0 {
		mail.GiveUpAt = now.Add(m.LinkFor)
	}
	mail.Sealed = aead.Seal(nil, nil, doc, []byte(mail.ID))
	b.QueueMails = append(b.QueueMails, mail)
	return nil
}

func (s *Service) mailSeal() (cipher.AEAD, error) {
	block, err := aes.NewCipher(s.MailKey)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCMWithRandomNonce(block)
}

func (s *Service) unseal(mail Mail) (queuedMail, error) {
	var q queuedMail
	aead, err := s.mailSeal()
	if err != nil {
		return q, err
	}
	doc, err := aead.Open(nil, nil, mail.Sealed, []byte(mail.ID))
	if err != nil {
		return q, fmt.Errorf("queued mail %s cannot be opened with this master key", mail.ID)
	}
	return q, json.Unmarshal(doc, &q)
}

// commit stores a batch and says so to whoever delivers mail.
func (s *Service) commit(ctx context.Context, b Batch) error {
	err := s.Store.Commit(ctx, b)
	if err == nil && len(b.QueueMails) > 0 {
		select {
		case s.mail <- struct{}{}:
		default: // it is known already
		}
	}
	return err
}

// MailQueued tells when this process has queued mail. Other processes queue too.
func (s *Service) MailQueued() <-chan struct{} { return s.mail }

// A MailError says what has become of a mail that was not delivered.
type MailError struct {
	ID      string
	Outcome Outcome       // OutcomeFailed, OutcomeUndeliverable or OutcomeGivenUp
	Wait    time.Duration // until the next try, of OutcomeFailed
	Err     error         // why
}

func (e *MailError) Error() string {
	switch e.Outcome {
	case OutcomeFailed:
		return fmt.Sprintf("mail delivery delayed: mail %s, next try in %v: %v", e.ID, e.Wait, e.Err)
	case OutcomeGivenUp:
		return fmt.Sprintf("mail given up: mail %s: %v", e.ID, e.Err)
	}
	return fmt.Sprintf("mail undeliverable: mail %s: %v", e.ID, e.Err)
}

func (e *MailError) Unwrap() error { return e.Err }

// Deliver delivers the mail that is due, and returns when there is none or
// nothing can be sent; deliveries that this process has begun before are over by
// then. While the mail server takes nothing, it is asked rarely. What fails is tried again later; the error joins a *MailError for each mail
// that was not delivered, and faults of the store.
// Any number of processes may deliver at the same time. One that dies in the
// middle of a delivery leaves it to another: a mail may arrive twice then, but it
// is never lost.
func (s *Service) Deliver(ctx context.Context) error {
	if s.Mailer == nil {
		return nil
	}
	s.delivering.Lock()
	defer s.delivering.Unlock()
	if s.Now().Before(s.backOff.until) {
		return nil
	}
	var failed []error
	for {
		limit := mailPage
		if s.backOff.failures > 0 {
			limit = 1
		}
		page, err := s.Store.DueMails(ctx, s.Now(), limit)
		if err != nil {
			return errors.Join(append(failed, fmt.Errorf("reading queued mail: %w", err))...)
		}
		if len(page) == 0 || ctx.Err() != nil {
			return errors.Join(failed...)
		}
		errs := s.deliverPage(ctx, page)
		failed = append(failed, errs...)
		if errors.Is(errors.Join(errs...), ErrMailServer) {
			s.backOff.failed(s.Now())
			return errors.Join(failed...)
		}
		s.backOff = backOff{}
		if len(failed) > mailPage { // enough for the log
			return errors.Join(failed...)
		}
	}
}

// deliverPage delivers mails, a few at a time, until the server takes nothing.
func (s *Service) deliverPage(ctx context.Context, page []Mail) []error {
	var wg sync.WaitGroup
	var stop atomic.Bool
	permits := make(chan struct{}, sendAtOnce)
	outcomes := make([]error, len(page))
	for i, mail := range page {
		permits <- struct{}{}
		if stop.Load() {
			break
		}
		wg.Go(func() {
			defer func() { <-permits }()
			if outcomes[i] = s.deliver(ctx, mail); errors.Is(outcomes[i], ErrMailServer) {
				stop.Store(true)
			}
		})
	}
	wg.Wait()
	return slices.DeleteFunc(outcomes, func(err error) bool { return err == nil })
}

// deliver claims the mail, so that no other process takes it, and sends it.
func (s *Service) deliver(ctx context.Context, mail Mail) error {
	if ctx.Err() != nil {
		return nil // it would be put off untried
	}
	now := s.Now()
	claimed := mail
	claimed.DueAt = now.Add(retryAfter(mail.Attempts))
	err := s.Store.Commit(ctx, Batch{DeferMails: []Mail{claimed}})
	if errors.Is(err, ErrConflict) {
		return nil // another process has it
	}
	if err != nil {
		return fmt.Errorf("claiming queued mail: %w", err)
	}
	q, err := s.unseal(mail)
	switch {
	case !now.Before(mail.GiveUpAt):
		return s.finishMail(ctx, mail, q, OutcomeGivenUp, errors.New("no server took it while it was of use"))
	case err != nil:
		return s.finishMail(ctx, mail, q, OutcomeUndeliverable, err)
	}
	sending, cancel := context.WithTimeout(ctx, sendTimeout)
	defer cancel()
	err = s.Mailer.Send(sending, q.Message)
	switch {
	case err == nil:
		return s.finishMail(ctx, mail, q, OutcomeOK, nil)
	case errors.Is(err, ErrUndeliverable):
		return s.finishMail(ctx, mail, q, OutcomeUndeliverable, err)
	}
	e := s.mailEvent(q, OutcomeFailed)
	err = &MailError{ID: mail.ID, Outcome: OutcomeFailed, Wait: retryAfter(mail.Attempts), Err: err}
	return errors.Join(err, wrap("recording failed mail", s.Store.Commit(context.WithoutCancel(ctx), Batch{Events: []Event{e}})))
}

// finishMail erases a mail that needs no further attempt. A mail that has gone
// out is noted even when the process is told to end.
func (s *Service) finishMail(ctx context.Context, mail Mail, q queuedMail, outcome Outcome, cause error) error {
	b := Batch{DeleteMails: []Mail{mail}, Events: []Event{s.mailEvent(q, outcome)}}
	if err := s.Store.Commit(context.WithoutCancel(ctx), b); err != nil {
		cause = errors.Join(cause, fmt.Errorf("erasing queued mail: %w", err))
	}
	if cause == nil {
		return nil
	}
	if outcome == OutcomeOK {
		return fmt.Errorf("mail %s: %w", mail.ID, cause)
	}
	return &MailError{ID: mail.ID, Outcome: outcome, Err: cause}
}

func (s *Service) mailEvent(q queuedMail, outcome Outcome) Event {
	return Event{Time: s.Now(), Kind: EventMail, Outcome: outcome, UserID: q.UserID, RequestID: q.Message.ID}
}

// retryAfter is the wait after so many attempts and one more.
func retryAfter(attempts int64) time.Duration {
	if attempts > 10 { // or else it would overflow
		return longestRetry
	}
	return min(firstRetry<<attempts, longestRetry)
}
