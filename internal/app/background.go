package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/latchkey-auth/latchkey/internal/hashworker"
	"github.com/latchkey-auth/latchkey/internal/outbox"
)

const (
	// purgeInterval is how often what has outlived its use is deleted.
	purgeInterval = time.Hour
	// mailInterval is how often mail is looked for that other processes have
	// queued, or that is to be tried again.
	mailInterval = 5 * time.Second
	// refusalsInterval is how often what was counted of refusals is looked at.
	refusalsInterval = 10 * time.Second
	// mailDelay bounds how long a mail waits for its delivery to begin.
	mailDelay = 500 * time.Millisecond
	// lastMail is what deliveries under way have when the process is told to end.
	lastMail = 5 * time.Second
)

// Start begins what runs beside requests: processes that hash passwords, and the
// background work. The function that it returns ends that and waits, so that the
// store can be closed.
func (s *System) Start(ctx context.Context) (stop func()) {
	pool := hashworker.New(s.cfg.Log)
	s.Service.Hasher.Maker = pool
	stopWork := s.inBackground(ctx)
	return func() {
		stopWork()
		pool.Close()
	}
}

// A work is a part of the background work. Any process may do it at any time: a purge that
// is repeated finds nothing, a mail has one claimant.
type work struct {
	doing string
	// every is how often a server does it; at a signal it does it at once.
	every  time.Duration
	signal <-chan struct{}
	do     func(context.Context) error
	// delay bounds how long a server waits before it does it, for a random time.
	delay time.Duration
	// grace is how long it goes on at a server that is told to end.
	grace time.Duration
	// logs: it says in the log itself what fails.
	logs bool
}

// works are all of the background work, in the order of how long people wait for it.
func (s *System) works() []work {
	return []work{
		// Later, at an unforeseeable moment: the work of a delivery must not tell a client
		// that has requested a mail whether there is one. And a mail that has gone out must be
		// noted, or it goes out again.
		{doing: "delivering mail", every: mailInterval, signal: s.Service.MailQueued(), do: s.deliverDue, delay: mailDelay, grace: lastMail, logs: true},
		{doing: "recording refusals", every: refusalsInterval, do: func(ctx context.Context) error { return s.Service.RecordRepeats(ctx, false) }},
		{doing: "purging", every: purgeInterval, do: s.Service.Purge},
	}
}

// Maintain does all of the background work once, for all processes on the store. Any number
// of processes may do so at the same time.
//
// The error is of the store. Why a mail is not delivered goes to the log: it is tried again,
// and a stranger's mistyped address is no failure of the work.
func (s *System) Maintain(ctx context.Context) error { return maintain(ctx, s.works()...) }

// maintain does some of the background work once. The functions on Lambda, the command and
// servers all do it by this.
func maintain(ctx context.Context, works ...work) error {
	var failed []error
	for _, w := range works {
		if err := w.do(ctx); err != nil {
			failed = append(failed, fmt.Errorf("%s: %w", w.doing, err))
		}
	}
	return errors.Join(failed...)
}

// inBackground maintains regularly, each work by itself so that none waits for another, and
// at once for the first time.
func (s *System) inBackground(ctx context.Context) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	var done sync.WaitGroup
	for _, w := range s.works() {
		done.Go(func() { s.repeat(ctx, w) })
	}
	return func() {
		cancel()
		done.Wait()
		// The process has no later time for what is not due yet.
		s.recordRefusals(context.WithoutCancel(ctx), true)
	}
}

// repeat does a work until ctx is done.
func (s *System) repeat(ctx context.Context, w work) {
	working, abandon := context.WithCancel(context.WithoutCancel(ctx))
	defer abandon()
	context.AfterFunc(ctx, func() { time.AfterFunc(w.grace, abandon) })
	Repeat(ctx, w.every, w.signal, func() {
		if w.delay > 0 {
			select {
			case <-ctx.Done():
			case <-time.After(rand.N(w.delay)):
			}
		}
		if err := maintain(working, w); err != nil && !w.logs && ctx.Err() == nil {
			s.cfg.Log.Warn("background work failed", slog.String("error", err.Error()))
		}
	})
}

// deliverDue delivers the mail that is due, logs why one is not delivered, and returns the
// faults of the queue.
func (s *System) deliverDue(ctx context.Context) error {
	if s.Service.Mailer == nil {
		return nil
	}
	err := s.Service.Deliver(ctx)
	if err != nil && !errors.Is(ctx.Err(), context.Canceled) {
		s.mails.report(err)
	}
	return queueFaults(err)
}

// DeliverNow delivers the mail that is due.
func (s *System) DeliverNow(ctx context.Context) { _ = s.deliverDue(ctx) } // which is in the log

// queueFaults leaves out what is of one mail.
func queueFaults(err error) error {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		var faults []error
		for _, one := range joined.Unwrap() {
			faults = append(faults, queueFaults(one))
		}
		return errors.Join(faults...)
	}
	var ofMail *outbox.MailError
	if errors.As(err, &ofMail) {
		return nil
	}
	return err
}

// recordRefusals writes what was counted of refusals and is due, or all.
func (s *System) recordRefusals(ctx context.Context, all bool) {
	if err := s.Service.RecordRepeats(ctx, all); err != nil && ctx.Err() == nil {
		s.cfg.Log.Warn("refusals are not recorded", slog.String("error", err.Error()))
	}
}

// Repeat does it now, at every signal, and after each interval, until ctx is done.
func Repeat(ctx context.Context, interval time.Duration, signal <-chan struct{}, do func()) {
	t := time.NewTicker(interval)
	defer t.Stop()
	for ctx.Err() == nil {
		do()
		select {
		case <-ctx.Done():
		case <-signal:
		case <-t.C:
		}
	}
}
