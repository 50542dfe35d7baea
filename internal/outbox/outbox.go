package outbox

import (
	"crypto/aes"
	"crypto/cipher"
	"errors"
	"fmt"
	"time"
)

// Config is what an Outbox needs.
type Config struct {
	Queue Queue
	// Sender sends the mail; nil: this process queues mail and delivers none.
	Sender Sender
	// Key seals what is queued: 32 bytes, the same in every process.
	Key []byte
	// Now returns the time; nil: time.Now.
	Now func() time.Time
}

// An Outbox seals mail for a queue and delivers it from there. It is safe for concurrent
// use.
type Outbox struct {
	queue  Queue
	sender Sender
	seal   cipher.AEAD
	now    func() time.Time
	queued chan struct{}

	delivering chan struct{} // holds one while Deliver runs; guards backOff
	backOff    backOff
}

// New returns an Outbox.
func New(c Config) (*Outbox, error) {
	if c.Queue == nil {
		return nil, errors.New("outbox: Queue must be set")
	}
	if len(c.Key) != 32 {
		return nil, fmt.Errorf("outbox: Key has %d bytes, want 32", len(c.Key))
	}
	block, err := aes.NewCipher(c.Key)
	if err != nil {
		return nil, err
	}
	seal, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return nil, err
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return &Outbox{
		queue:      c.Queue,
		sender:     c.Sender,
		seal:       seal,
		now:        c.Now,
		queued:     make(chan struct{}, 1),
		delivering: make(chan struct{}, 1),
	}, nil
}

// Seal returns the mail that says doc: due now, and of no use from giveUpAt on. The
// caller stores it in the commit of what it tells of, and then calls [Outbox.Queued].
func (o *Outbox) Seal(id string, doc []byte, giveUpAt, now time.Time) (Mail, error) {
	if id == "" || len(doc) == 0 {
		return Mail{}, errors.New("outbox: a mail needs an id and a document")
	}
	return Mail{
		ID:        id,
		Sealed:    o.seal.Seal(nil, nil, doc, []byte(id)),
		CreatedAt: now,
		DueAt:     now,
		GiveUpAt:  giveUpAt,
	}, nil
}

// open returns what was sealed.
func (o *Outbox) open(mail Mail) ([]byte, error) {
	doc, err := o.seal.Open(nil, nil, mail.Sealed, []byte(mail.ID))
	if err != nil {
		return nil, fmt.Errorf("queued mail %s cannot be opened with this master key", mail.ID)
	}
	return doc, nil
}

// Queued says that this process has queued mail.
func (o *Outbox) Queued() {
	select {
	case o.queued <- struct{}{}:
	default: // it is known already
	}
}

// MailQueued tells when this process has queued mail. Other processes queue too.
func (o *Outbox) MailQueued() <-chan struct{} { return o.queued }

// A MailError says what has become of a mail that was not delivered.
type MailError struct {
	ID      string
	Outcome Outcome       // Delayed, Undeliverable or GivenUp
	Wait    time.Duration // until the next try, of Delayed
	Err     error         // why
}

func (e *MailError) Error() string {
	switch e.Outcome {
	case Delayed:
		return fmt.Sprintf("mail delivery delayed: mail %s, next try in %v: %v", e.ID, e.Wait, e.Err)
	case GivenUp:
		return fmt.Sprintf("mail given up: mail %s: %v", e.ID, e.Err)
	}
	return fmt.Sprintf("mail undeliverable: mail %s: %v", e.ID, e.Err)
}

func (e *MailError) Unwrap() error { return e.Err }
