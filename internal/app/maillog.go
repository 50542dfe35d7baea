package app

import (
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"sync"
	"time"

	"github.com/latchkey-auth/latchkey/internal/mailer"
	"github.com/latchkey-auth/latchkey/internal/outbox"
)

// mailLogEvery is how often the log repeats what delays mail.
const mailLogEvery = time.Hour

// A mailLog writes to the log why mail is not delivered. What delays mail is
// mostly one cause for all mails and all tries: it is an error once, and again
// after an hour, and for debugging in between.
type mailLog struct {
	log *slog.Logger
	now func() time.Time

	mu   sync.Mutex           // guards said
	said map[string]time.Time // by cause
}

func newMailLog(log *slog.Logger, now func() time.Time) *mailLog {
	return &mailLog{log: log, now: now, said: make(map[string]time.Time)}
}

// report takes the error of outbox.Outbox.Deliver.
func (l *mailLog) report(err error) {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		for _, one := range joined.Unwrap() {
			l.report(one)
		}
		return
	}
	var failed *outbox.MailError
	if !errors.As(err, &failed) {
		l.delayed(err, slog.String("error", err.Error()))
		return
	}
	id, why := slog.String("mail", failed.ID), slog.String("error", failed.Err.Error())
	switch failed.Outcome {
	case outbox.Delayed:
		l.delayed(failed.Err, id, slog.Duration("wait", failed.Wait), why)
	case outbox.GivenUp:
		l.log.Error("mail given up", id, why)
	default: // of one recipient; for the operator to know, not to act
		l.log.Warn("mail undeliverable", id, why)
	}
}

func (l *mailLog) delayed(cause error, attrs ...any) {
	now, key := l.now(), causeOf(cause)
	l.mu.Lock()
	defer l.mu.Unlock()
	for known, at := range l.said {
		if now.Sub(at) >= mailLogEvery {
			delete(l.said, known)
		}
	}
	if _, known := l.said[key]; known {
		l.log.Debug("mail delivery delayed", attrs...)
		return
	}
	l.said[key] = now
	l.log.Error("mail delivery delayed", attrs...)
}

var numbers = regexp.MustCompile(`[0-9]+`)

// causeOf leaves out what differs from try to try: words of the server, which may
// hold an id, and numbers of ports.
func causeOf(err error) string {
	var refused *mailer.Refusal
	if errors.As(err, &refused) {
		return fmt.Sprint(refused.Server, refused.Stage, refused.Code, refused.Status)
	}
	return numbers.ReplaceAllString(err.Error(), "")
}
