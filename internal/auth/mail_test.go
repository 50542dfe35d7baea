package auth_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/latchkey-auth/latchkey/internal/auth"
	"github.com/latchkey-auth/latchkey/internal/message"
	"github.com/latchkey-auth/latchkey/internal/outbox"
	"github.com/latchkey-auth/latchkey/internal/storage"
)

const publicURL = "https://auth.example.com"

// A mailbox is where all mail goes. Set fail before use.
type mailbox struct {
	fail func(message.Message) error

	mu   sync.Mutex // guards all
	all  []message.Message
	seen int
}

func (m *mailbox) Send(_ context.Context, sent message.Message) error {
	if m.fail != nil {
		if err := m.fail(sent); err != nil {
			return err
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.all = append(m.all, sent)
	return nil
}

// open lets anybody register, proves addresses, and sends mail to the mailbox.
func open(m *mailbox) func(*auth.Config) {
	return func(c *auth.Config) {
		c.Registration, c.VerifyEmail, c.SendsMail, c.Mailer, c.PublicURL = auth.RegistrationOpen, true, true, m, publicURL
	}
}

// mails delivers what is queued and returns what has come since the last time.
func (f *fixture) mails() []message.Message {
	f.t.Helper()
	if err := f.Deliver(f.t.Context()); err != nil {
		f.t.Fatal(err)
	}
	m := f.Mailer.(*mailbox)
	m.mu.Lock()
	defer m.mu.Unlock()
	fresh := m.all[m.seen:]
	m.seen = len(m.all)
	return fresh
}

// mail wants one mail of the kind.
func (f *fixture) mail(kind message.Kind, to string) message.Message {
	f.t.Helper()
	mails := f.mails()
	if len(mails) != 1 || mails[0].Kind != kind || mails[0].To != to {
		f.t.Fatalf("got mails %+v; want one %s to %s", mails, kind, to)
	}
	return mails[0]
}

// token is that of the mail's link.
func token(t *testing.T, m message.Message) string {
	t.Helper()
	_, token, ok := strings.Cut(m.Link, "?token=")
	if !ok || !strings.HasPrefix(m.Link, publicURL+"/") {
		t.Fatalf("%s has the link %q", m.Kind, m.Link)
	}
	return token
}

func (f *fixture) register(email, password string) {
	f.t.Helper()
	tokens, err := f.Register(f.t.Context(), auth.RegisterRequest{Email: email, Password: password, Name: "Ada L."})
	if tokens != nil || err != nil {
		f.t.Fatalf("Register(%s): %v, %v", email, tokens, err)
	}
}

func (f *fixture) verify(token string) error {
	return f.VerifyAddress(f.t.Context(), auth.TicketRequest{Token: token})
}

// wantOutcome looks at the last event of the kind.
func (f *fixture) wantOutcome(kind storage.EventKind, want storage.Outcome) {
	f.t.Helper()
	events := f.events()
	for i := len(events) - 1; i >= 0; i-- {
		if events[i].Kind == kind {
			if events[i].Outcome != want {
				f.t.Errorf("the last event %s ended in %s, want %s", kind, events[i].Outcome, want)
			}
			return
		}
	}
	f.t.Errorf("there is no event %s", kind)
}

func TestMailIsErasedOnceDelivered(t *testing.T) {
	path := tempDatabase(t)
	box := &mailbox{}
	f := fixtureOn(t, path, open(box))
	f.register("ada@example.com", password)
	select {
	case <-f.MailQueued():
	default:
		t.Error("nobody was told that there is mail")
	}
	m := f.mail(message.Verify, "ada@example.com")
	if m.LinkFor != time.Hour || m.CodeFor != 10*time.Minute || len(m.Code) != 9 || m.Again || m.Name != "" || !m.At.Equal(start) {
		t.Errorf("got %+v", m)
	}
	for _, secret := range []string{token(t, m), m.Code, strings.ReplaceAll(m.Code, "-", "")} {
		wantAbsent(t, path, secret)
	}
	f.clock.Advance(72 * time.Hour)
	if again := f.mails(); len(again) != 0 {
		t.Errorf("it came again: %+v", again)
	}
	f.wantOutcome(storage.EventMail, storage.OutcomeOK)
}

func TestQueuedMailIsSealed(t *testing.T) {
	path := tempDatabase(t)
	f := fixtureOn(t, path, open(&mailbox{}))
	f.register("ada@example.com", password)
	due, err := f.store.DueMails(t.Context(), f.clock.Now(), 10)
	if err != nil || len(due) != 1 || strings.Contains(string(due[0].Sealed), "token=") {
		t.Fatalf("got %d mails, %v; want one that is sealed", len(due), err)
	}
	wantAbsent(t, path, publicURL)
	// Under another key it is not sent, and not tried for ever.
	other := f.service(open(&mailbox{}), func(c *auth.Config) { c.MailKey = []byte(strings.Repeat("k", 32)) })
	if err := other.Deliver(t.Context()); err == nil || !strings.Contains(err.Error(), "master key") {
		t.Errorf("under another key: %v", err)
	}
	f.wantOutcome(storage.EventMail, storage.OutcomeUndeliverable)
}

// A mail server that is away delays mail and loses none.
func TestMailIsTriedAgainWithGrowingWaits(t *testing.T) {
	away := true
	var waits []time.Duration
	box := &mailbox{fail: func(message.Message) error {
		if away {
			return errors.New("connection refused")
		}
		return nil
	}}
	f := newFixture(t, open(box))
	f.register("ada@example.com", password)
	for range 4 {
		if err := f.Deliver(t.Context()); err == nil || !strings.Contains(err.Error(), "connection refused") {
			t.Fatalf("Deliver: %v", err)
		}
		wait := time.Duration(0)
		for due, _ := f.store.DueMails(t.Context(), f.clock.Now(), 1); len(due) == 0; due, _ = f.store.DueMails(t.Context(), f.clock.Now(), 1) {
			f.clock.Advance(time.Minute)
			wait += time.Minute
		}
		waits = append(waits, wait)
	}
	if got, want := fmt.Sprint(waits), "[1m0s 2m0s 4m0s 8m0s]"; got != want {
		t.Errorf("waits %s, want %s", got, want)
	}
	f.wantOutcome(storage.EventMail, storage.OutcomeFailed)
	away = false
	m := f.mail(message.Verify, "ada@example.com")
	if err := f.verify(token(t, m)); err != nil {
		t.Errorf("its link: %v", err)
	}
}

// A server that takes nothing is not asked again for every mail: a wrong login a
// thousand times in a minute gets the account locked.
func TestAServerThatTakesNothingIsAskedRarely(t *testing.T) {
	var tries atomic.Int64
	var away atomic.Bool
	away.Store(true)
	box := &mailbox{fail: func(message.Message) error {
		tries.Add(1)
		if away.Load() {
			return fmt.Errorf("535 wrong password: %w", outbox.ErrServer)
		}
		return nil
	}}
	f := newFixture(t, open(box))
	for i := range 40 {
		f.register(fmt.Sprintf("user%d@example.com", i), password)
	}
	if err := f.Deliver(t.Context()); !errors.Is(err, outbox.ErrServer) {
		t.Fatalf("Deliver: %v, want ErrMailServer", err)
	}
	if n := tries.Load(); n < 1 || n > 4 {
		t.Errorf("%d mails were tried, want those under way at once, 4 at most", n)
	}
	var waits []time.Duration
	wait := time.Duration(0)
	for before := tries.Load(); len(waits) < 6; {
		if err := f.Deliver(t.Context()); err != nil && !errors.Is(err, outbox.ErrServer) {
			t.Fatal(err)
		}
		switch n := tries.Load() - before; n {
		case 0:
			f.clock.Advance(time.Second)
			wait += time.Second
		case 1:
			waits, wait, before = append(waits, wait), 0, tries.Load()
		default:
			t.Fatalf("%d mails were tried after a wait, want 1", n)
		}
	}
	if got, want := fmt.Sprint(waits), "[5s 10s 20s 40s 1m0s 1m0s]"; got != want {
		t.Errorf("waits %s, want %s", got, want)
	}
	away.Store(false)
	f.clock.Advance(time.Minute)
	if all := f.mails(); len(all) < 30 {
		t.Errorf("%d mails came when the server was back, want all that were due", len(all))
	}
	f.clock.Advance(10 * time.Minute)
	f.mails()
	if got := len(box.all); got != 40 {
		t.Errorf("%d mails came, want 40", got)
	}
}

// A process that is told to end leaves alone what it has not begun to send: it is
// due at once for the next one.
func TestMailThatWasNotBegunIsNotPutOff(t *testing.T) {
	ctx, end := context.WithCancel(t.Context())
	box := &mailbox{fail: func(message.Message) error { end(); return errors.New("connection lost") }}
	f := newFixture(t, open(box))
	const all = 12
	for i := range all {
		f.register(fmt.Sprintf("user%d@example.com", i), password)
	}
	f.Deliver(ctx)
	due, err := f.store.DueMails(t.Context(), f.clock.Now(), all)
	if begun := all - len(due); err != nil || begun < 1 || begun > 4 {
		t.Errorf("%d of %d were put off, %v; want those that were under way, 4 at most", begun, all, err)
	}
}

func TestUselessMailIsGivenUp(t *testing.T) {
	box := &mailbox{fail: func(message.Message) error { return errors.New("connection refused") }}
	f := newFixture(t, open(box))
	f.register("ada@example.com", password)
	f.Deliver(t.Context())
	f.clock.Advance(time.Hour)
	box.fail = nil
	if err := f.Purge(t.Context()); err != nil { // leaves it to be recorded
		t.Fatal(err)
	}
	if err := f.Deliver(t.Context()); err == nil || !strings.Contains(err.Error(), "given up") || len(box.all) != 0 {
		t.Errorf("Deliver: %v; sent %+v", err, box.all)
	}
	f.wantOutcome(storage.EventMail, storage.OutcomeGivenUp)
}

func TestRefusedMailIsNotTriedAgain(t *testing.T) {
	tries := 0
	box := &mailbox{fail: func(message.Message) error {
		tries++
		return fmt.Errorf("no such mailbox: %w", outbox.ErrUndeliverable)
	}}
	f := newFixture(t, open(box))
	f.register("ada@example.com", password)
	f.Deliver(t.Context())
	f.clock.Advance(10 * time.Minute)
	f.Deliver(t.Context())
	if tries != 1 {
		t.Errorf("%d tries, want 1", tries)
	}
	f.wantOutcome(storage.EventMail, storage.OutcomeUndeliverable)
}

// A process that dies while it delivers leaves the mail to another one, and no
// two deliver it at once.
func TestMailOutlivesItsProcess(t *testing.T) {
	path := tempDatabase(t)
	box := &mailbox{}
	f := fixtureOn(t, path, open(box))
	f.register("ada@example.com", password)
	due, err := f.store.DueMails(t.Context(), f.clock.Now(), 1)
	if err != nil || len(due) != 1 {
		t.Fatalf("got %v, %v; want one mail", due, err)
	}
	due[0].DueAt = f.clock.Now().Add(time.Minute)
	f.commit(storage.DeferMail{Mail: due[0]}) // as Deliver claims it
	if early := f.mails(); len(early) != 0 {
		t.Errorf("taken from a process that may be alive: %+v", early)
	}
	f.clock.Advance(time.Minute)
	f.mail(message.Verify, "ada@example.com")
}

func TestManyDeliverersSendOnce(t *testing.T) {
	path := tempDatabase(t)
	box := &mailbox{}
	f := fixtureOn(t, path, open(box))
	for i := range 40 {
		f.register(fmt.Sprintf("user%d@example.com", i), password)
	}
	other := reopen(t, f, path, open(box))
	var wg sync.WaitGroup
	for i := range 6 {
		service := f.Service
		if i%2 == 1 {
			service = other
		}
		wg.Go(func() {
			if err := service.Deliver(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if got := len(f.mails()); got != 40 {
		t.Errorf("%d mails came, want 40", got)
	}
}
