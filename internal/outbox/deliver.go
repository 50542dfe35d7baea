package outbox

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// The wait between attempts doubles from firstRetry; it is also what a process has for
// one attempt before another may try.
const (
	firstRetry   = time.Minute
	longestRetry = time.Hour
	sendTimeout  = 45 * time.Second // under firstRetry
	sendAtOnce   = 4
	pageSize     = 16
)

// retryAfter is the wait after so many attempts and one more.
func retryAfter(attempts int64) time.Duration {
	if attempts > 10 { // more would overflow
		return longestRetry
	}
	return min(firstRetry<<attempts, longestRetry)
}

// A backOff leaves a mail server alone that takes nothing, ErrServer: however many mails
// are due, it is asked for one of them after each wait. A login that is wrong over and
// over gets an account locked.
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

// limit is how many mails may be tried before the server has answered for one.
func (b *backOff) limit() int {
	if b.failures > 0 {
		return 1
	}
	return pageSize
}

// Deliver delivers the mail that is due, and returns when there is no more or nothing can be
// sent. Deliveries that this Outbox has begun before are over by then, unless ctx ends.
// While the mail server takes nothing, it is asked rarely. What fails is tried again
// later; the error joins a *MailError for each mail that was not delivered, and faults of
// the queue.
//
// It reads the queue once, or again after a full page. Mail that is queued or falls due
// while it sends is left to the next call. Each process that queues makes one, told by
// [Outbox.MailQueued].
//
// Any number of processes may deliver at the same time. One that dies in the middle of a
// delivery leaves it to another: a mail may arrive twice then, but it is never lost.
func (o *Outbox) Deliver(ctx context.Context) error {
	if o.sender == nil {
		return nil
	}
	select {
	case o.delivering <- struct{}{}:
		defer func() { <-o.delivering }()
	case <-ctx.Done():
		return fmt.Errorf("waiting for mail deliveries under way: %w", ctx.Err())
	}
	if o.now().Before(o.backOff.until) {
		return nil
	}
	var failed []error
	for len(failed) <= pageSize { // more is too much for the log
		limit := o.backOff.limit()
		mails, err := o.queue.DueMails(ctx, o.now(), limit)
		if err != nil {
			return errors.Join(append(failed, fmt.Errorf("reading queued mail: %w", err))...)
		}
		if len(mails) == 0 || ctx.Err() != nil {
			break
		}
		p := page{Outbox: o}
		errs := p.deliver(ctx, mails)
		failed = append(failed, errs...)
		switch {
		case errors.Is(errors.Join(errs...), ErrServer):
			o.backOff.failed(o.now())
		case p.asked.Load(): // a mail that was given up says nothing about the server
			o.backOff = backOff{}
		}
		if p.stop.Load() || len(mails) < limit {
			break
		}
	}
	return errors.Join(failed...)
}

// A page is some of the mail that is due.
type page struct {
	*Outbox
	asked atomic.Bool // the server was, for a mail at least
	stop  atomic.Bool // no further mail can be sent: the server takes nothing, or the queue cannot be written
}

// deliver delivers the mails, a few at a time.
func (p *page) deliver(ctx context.Context, mails []Mail) []error {
	var wg sync.WaitGroup
	permits := make(chan struct{}, sendAtOnce)
	outcomes := make([]error, len(mails))
	for i, mail := range mails {
		permits <- struct{}{}
		if p.stop.Load() {
			break
		}
		wg.Go(func() {
			defer func() { <-permits }()
			outcomes[i] = p.deliverOne(ctx, mail)
			if errors.Is(outcomes[i], ErrServer) {
				p.stop.Store(true)
			}
		})
	}
	wg.Wait()
	return slices.DeleteFunc(outcomes, func(err error) bool { return err == nil })
}

// deliverOne claims the mail, so that no other process takes it, and sends it.
func (p *page) deliverOne(ctx context.Context, mail Mail) error {
	if ctx.Err() != nil {
		return nil // it would be put off untried
	}
	now := p.now()
	claimed := mail
	claimed.DueAt = now.Add(retryAfter(mail.Attempts))
	err := p.queue.ClaimMail(ctx, claimed)
	if errors.Is(err, ErrClaimed) {
		return nil
	}
	if err != nil {
		p.stop.Store(true)
		return fmt.Errorf("claiming queued mail: %w", err)
	}
	doc, err := p.open(mail)
	switch {
	case !now.Before(mail.GiveUpAt):
		return p.finish(ctx, mail, doc, GivenUp, errors.New("no server took it while it was of use"))
	case err != nil:
		return p.finish(ctx, mail, nil, Undeliverable, err)
	}
	p.asked.Store(true)
	return p.send(ctx, mail, doc)
}

// send sends a mail that is claimed.
func (o *Outbox) send(ctx context.Context, mail Mail, doc []byte) error {
	sending, cancel := context.WithTimeout(ctx, sendTimeout)
	defer cancel()
	err := o.sender.Send(sending, doc)
	switch {
	case err == nil:
		return o.finish(ctx, mail, doc, Delivered, nil)
	case errors.Is(err, ErrUndeliverable):
		return o.finish(ctx, mail, doc, Undeliverable, err)
	}
	failed := &MailError{ID: mail.ID, Outcome: Delayed, Wait: retryAfter(mail.Attempts), Err: err}
	if err := o.queue.MailTried(context.WithoutCancel(ctx), mail, doc, Delayed); err != nil {
		return errors.Join(failed, fmt.Errorf("recording failed mail: %w", err))
	}
	return failed
}

// finish records the end of a mail that needs no further attempt. One that has gone out
// is recorded even when the process is told to end.
func (o *Outbox) finish(ctx context.Context, mail Mail, doc []byte, outcome Outcome, cause error) error {
	if err := o.queue.MailTried(context.WithoutCancel(ctx), mail, doc, outcome); err != nil {
		cause = errors.Join(cause, fmt.Errorf("erasing queued mail: %w", err))
	}
	if cause == nil {
		return nil
	}
	if outcome == Delivered {
		return fmt.Errorf("mail %s: %w", mail.ID, cause)
	}
	return &MailError{ID: mail.ID, Outcome: outcome, Err: cause}
}
