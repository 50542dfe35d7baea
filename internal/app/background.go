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

// inBackground does regularly what no request waits for: it delivers mail,
// records refusals and purges, at once for the first time.
func (s *System) inBackground(ctx context.Context) (stop func()) {
	log := s.cfg.Log
	ctx, cancel := context.WithCancel(ctx)
	var done sync.WaitGroup
	done.Go(func() {
		Repeat(ctx, purgeInterval, nil, func() {
			if err := s.Service.Purge(ctx); err != nil && ctx.Err() == nil {
				log.Warn("purging failed", slog.String("error", err.Error()))
			}
		})
	})
	done.Go(func() {
		Repeat(ctx, refusalsInterval, nil, func() { s.recordRefusals(ctx, false) })
	})
	if s.Service.Mailer != nil {
		done.Go(func() { s.deliverMail(ctx) })
	}
	return func() {
		cancel()
		done.Wait()
		s.recordRefusals(context.WithoutCancel(ctx), true)
	}
}

// Maintain does once, and for all processes on the store, what a server does in the
// background: it records refusals, purges and delivers mail. Any number of processes may do
// it at the same time: a purge that is repeated finds nothing, a mail has one claimant.
//
// The error is of the store. Why a mail is not delivered goes to the log: it is tried again,
// and a stranger's mistyped address is no failure of the work.
func (s *System) Maintain(ctx context.Context) error {
	var failed []error
	for _, work := range []struct {
		doing string
		do    func(context.Context) error
	}{
		{"recording refusals", func(ctx context.Context) error { return s.Service.RecordRepeats(ctx, true) }},
		{"delivering mail", s.deliverDue}, // which somebody waits for
		{"purging", s.Service.Purge},
	} {
		if err := work.do(ctx); err != nil {
			failed = append(failed, fmt.Errorf("%s: %w", work.doing, err))
		}
	}
	return errors.Join(failed...)
}

// deliverDue delivers the mail that is due, logs why one is not delivered, and returns the
// faults of the queue.
func (s *System) deliverDue(ctx context.Context) error {
	if s.Service.Mailer == nil {
		return nil
	}
	err := s.Service.Deliver(ctx)
	if err != nil {
		newMailLog(s.cfg.Log, time.Now).report(err)
	}
	return queueFaults(err)
}

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

// deliverMail delivers mail until ctx is done.
func (s *System) deliverMail(ctx context.Context) {
	mails := newMailLog(s.cfg.Log, time.Now)
	// A delivery under way outlives ctx for a moment: a mail that has gone out
	// must be noted, or it goes out again.
	delivering, abandon := context.WithCancel(context.WithoutCancel(ctx))
	defer abandon()
	context.AfterFunc(ctx, func() { time.AfterFunc(lastMail, abandon) })
	Repeat(ctx, mailInterval, s.Service.MailQueued(), func() {
		// Later, at an unforeseeable moment: the work of a delivery must not tell
		// whoever has asked for a mail that there is one.
		select {
		case <-ctx.Done():
		case <-time.After(rand.N(mailDelay)):
		}
		if err := s.Service.Deliver(delivering); err != nil && ctx.Err() == nil {
			mails.report(err)
		}
	})
}

// DeliverNow delivers the mail that is queued, and logs why one is not delivered.
func (s *System) DeliverNow(ctx context.Context) {
	if err := s.Service.Deliver(ctx); err != nil {
		newMailLog(s.cfg.Log, time.Now).report(err)
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
