package outbox_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/latchkey-auth/latchkey/internal/outbox"
)

var errRefused = errors.New("451 later")

// A mail server that is away delays mail and loses none.
func TestMailIsTriedAgainWithGrowingWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		away := true
		q := &queue{}
		s := &sender{answer: func(context.Context, string) error {
			if away {
				return errRefused
			}
			return nil
		}}
		o := newOutbox(t, q, s)
		fill(t, o, q, 1)
		var waits []time.Duration
		for range 8 {
			err := o.Deliver(t.Context())
			var failed *outbox.MailError
			if !errors.As(err, &failed) || failed.Outcome != outbox.Delayed || !errors.Is(err, errRefused) {
				t.Fatalf("Deliver: %v, want a MailError, Delayed", err)
			}
			time.Sleep(failed.Wait - 1)
			if err := o.Deliver(t.Context()); err != nil {
				t.Fatalf("Deliver before the wait of %v is over: %v", failed.Wait, err)
			}
			time.Sleep(time.Nanosecond)
			waits = append(waits, failed.Wait)
		}
		if got, want := fmt.Sprint(waits), "[1m0s 2m0s 4m0s 8m0s 16m0s 32m0s 1h0m0s 1h0m0s]"; got != want {
			t.Errorf("waits %s, want %s", got, want)
		}
		away = false
		if err := o.Deliver(t.Context()); err != nil {
			t.Fatal(err)
		}
		want := append(slices.Repeat([]attempt{{"mail 00", "doc 00", outbox.Delayed}}, 8), attempt{"mail 00", "doc 00", outbox.Delivered})
		if diff := cmp.Diff(want, q.attempts()); diff != "" {
			t.Errorf("recorded (-want +got):\n%s", diff)
		}
		if q.left() != 0 {
			t.Error("it is still queued")
		}
	})
}

func TestWaitsStayAtAnHour(t *testing.T) {
	for _, attempts := range []int64{6, 10, 11, 57, 63, 64, math.MaxInt64 - 1} {
		synctest.Test(t, func(t *testing.T) {
			q := &queue{}
			o := newOutbox(t, q, &sender{answer: func(context.Context, string) error { return errRefused }})
			m, err := o.Seal("mail", []byte("doc"), time.Now().Add(24*time.Hour), time.Now())
			if err != nil {
				t.Fatal(err)
			}
			m.Attempts = attempts
			q.put(m)
			var failed *outbox.MailError
			if err := o.Deliver(t.Context()); !errors.As(err, &failed) || failed.Wait != time.Hour {
				t.Errorf("after %d attempts: %v, want a wait of an hour", attempts, err)
			}
		})
	}
}

func TestUselessMailIsGivenUp(t *testing.T) {
	for _, c := range []struct {
		name   string
		after  time.Duration
		damage bool
		want   attempt
		sent   int
	}{
		{"a moment before", time.Hour - 1, false, attempt{"mail", "doc", outbox.Delivered}, 1},
		{"when its use ends", time.Hour, false, attempt{"mail", "doc", outbox.GivenUp}, 0},
		{"a day later", 24 * time.Hour, false, attempt{"mail", "doc", outbox.GivenUp}, 0},
		{"that cannot be opened", time.Hour, true, attempt{"mail", "", outbox.GivenUp}, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				q, s := &queue{}, &sender{}
				o := newOutbox(t, q, s)
				m, err := o.Seal("mail", []byte("doc"), time.Now().Add(time.Hour), time.Now())
				if err != nil {
					t.Fatal(err)
				}
				if c.damage {
					m.Sealed = nil
				}
				q.put(m)
				time.Sleep(c.after)
				err = o.Deliver(t.Context())
				if want := "mail given up: mail mail: no server took it while it was of use"; c.sent == 0 && (err == nil || err.Error() != want) || c.sent == 1 && err != nil {
					t.Errorf("Deliver: %v", err)
				}
				if diff := cmp.Diff([]attempt{c.want}, q.attempts()); diff != "" {
					t.Errorf("recorded (-want +got):\n%s", diff)
				}
				if s.tries() != c.sent || q.left() != 0 {
					t.Errorf("%d sent, %d left; want %d and 0", s.tries(), q.left(), c.sent)
				}
			})
		})
	}
}

func TestRefusedMailIsNotTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := &queue{}
		s := &sender{answer: func(_ context.Context, doc string) error {
			if doc == "doc 01" {
				return fmt.Errorf("550 no such mailbox: %w", outbox.ErrUndeliverable)
			}
			return nil
		}}
		o := newOutbox(t, q, s)
		fill(t, o, q, 3)
		err := o.Deliver(t.Context())
		if diff := cmp.Diff(map[string]outbox.Outcome{"mail 01": outbox.Undeliverable}, outcomes(err)); diff != "" {
			t.Errorf("failed (-want +got):\n%s", diff)
		}
		time.Sleep(2 * time.Hour)
		if err := o.Deliver(t.Context()); err != nil || s.tries() != 3 {
			t.Errorf("Deliver: %v; %d tries, want 3", err, s.tries())
		}
		if got := q.attempts(); len(got) != 3 || !slices.Contains(got, attempt{"mail 01", "doc 01", outbox.Undeliverable}) {
			t.Errorf("recorded %v", got)
		}
	})
}

// A server that takes nothing is not asked again for every mail: a wrong login a thousand
// times in a minute gets the account locked.
func TestAServerThatTakesNothingIsAskedRarely(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var away atomic.Bool
		away.Store(true)
		q := &queue{}
		s := &sender{answer: func(context.Context, string) error {
			if away.Load() {
				return fmt.Errorf("535 wrong password: %w", outbox.ErrServer)
			}
			return nil
		}}
		o := newOutbox(t, q, s)
		fill(t, o, q, 40)
		if err := o.Deliver(t.Context()); !errors.Is(err, outbox.ErrServer) {
			t.Fatalf("Deliver: %v, want ErrServer", err)
		}
		if n := s.tries(); n < 1 || n > 4 {
			t.Errorf("%d mails were tried, want those under way at once, 4 at most", n)
		}
		var waits []time.Duration
		for last := time.Now(); len(waits) < 6; {
			before := s.tries()
			if err := o.Deliver(t.Context()); err != nil && !errors.Is(err, outbox.ErrServer) {
				t.Fatal(err)
			}
			switch n := s.tries() - before; n {
			case 0:
				time.Sleep(time.Second)
			case 1:
				waits, last = append(waits, time.Since(last)), time.Now()
			default:
				t.Fatalf("%d mails were tried after a wait, want 1", n)
			}
		}
		if got, want := fmt.Sprint(waits), "[5s 10s 20s 40s 1m0s 1m0s]"; got != want {
			t.Errorf("waits %s, want %s", got, want)
		}
		away.Store(false)
		time.Sleep(time.Minute)
		if err := o.Deliver(t.Context()); err != nil || q.left() > 10 {
			t.Errorf("Deliver: %v; %d mails are left when the server is back, want those that were tried", err, q.left())
		}
		time.Sleep(10 * time.Minute)
		if err := o.Deliver(t.Context()); err != nil || q.left() != 0 {
			t.Errorf("Deliver: %v; %d mails are left, want none", err, q.left())
		}
	})
}

// Mail that is given up meanwhile says nothing about the server: it is asked for one mail
// all the same.
func TestMailGivenUpDoesNotEndTheBackOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := &queue{}
		s := &sender{answer: func(context.Context, string) error { return outbox.ErrServer }}
		o := newOutbox(t, q, s)
		fill(t, o, q, 20)
		o.Deliver(t.Context())
		before := s.tries()
		for i := range 3 { // due longest
			m, err := o.Seal(fmt.Sprint("useless ", i), []byte("doc"), time.Now(), time.Now().Add(-time.Hour))
			if err != nil {
				t.Fatal(err)
			}
			q.put(m)
		}
		time.Sleep(5 * time.Second)
		if err := o.Deliver(t.Context()); !errors.Is(err, outbox.ErrServer) || len(outcomes(err)) != 4 {
			t.Errorf("Deliver: %v; want three given up and one delayed", err)
		}
		if n := s.tries() - before; n != 1 {
			t.Errorf("%d mails were tried after a wait, want 1", n)
		}
		time.Sleep(10*time.Second - 1)
		if o.Deliver(t.Context()); s.tries() != before+1 {
			t.Error("the server was asked again before the second wait was over")
		}
	})
}

// Outboxes of many processes read the same page before any of them claims a mail of it.
func TestManyDeliverersSendOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const deliverers, mails = 6, 40
		var reads atomic.Int64
		allRead := make(chan struct{})
		q, s := &queue{}, &sender{}
		q.afterRead = func() {
			if reads.Add(1) == deliverers {
				close(allRead)
			}
			<-allRead
		}
		var wg sync.WaitGroup
		for i := range deliverers {
			o := newOutbox(t, q, s)
			if i == 0 {
				fill(t, o, q, mails)
			}
			wg.Go(func() {
				if err := o.Deliver(t.Context()); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if got := s.docs(); len(got) != mails || len(slices.Compact(got)) != mails {
			t.Errorf("%d mails were sent, want each of %d once:\n%v", len(got), mails, got)
		}
		if q.left() != 0 || len(q.attempts()) != mails {
			t.Errorf("%d left, %d recorded; want 0 and %d", q.left(), len(q.attempts()), mails)
		}
	})
}

// A process that dies while it delivers leaves the mail to another one, which waits until
// no attempt of the first can be under way.
func TestMailOutlivesItsProcess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := &queue{}
		dead := make(chan struct{})
		first := newOutbox(t, q, &sender{answer: func(context.Context, string) error { <-dead; return errRefused }})
		fill(t, first, q, 1)
		go first.Deliver(t.Context())
		synctest.Wait() // it has claimed the mail

		s := &sender{}
		second := newOutbox(t, q, s)
		time.Sleep(time.Minute - 1)
		if err := second.Deliver(t.Context()); err != nil || s.tries() != 0 {
			t.Errorf("taken from a process that may be alive: %v", err)
		}
		time.Sleep(time.Nanosecond)
		if err := second.Deliver(t.Context()); err != nil || s.tries() != 1 {
			t.Errorf("Deliver: %v; %d tries, want 1", err, s.tries())
		}
		close(dead)
		synctest.Wait()
	})
}

func TestDeliveriesHaveBounds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := &queue{}
		release := make(chan struct{})
		s := &sender{answer: func(context.Context, string) error { <-release; return nil }}
		o := newOutbox(t, q, s)
		fill(t, o, q, 20)
		var over atomic.Int64
		deliver := func(ctx context.Context, want error) {
			if err := o.Deliver(ctx); !errors.Is(err, want) {
				t.Errorf("Deliver: %v, want %v", err, want)
			}
			over.Add(1)
		}
		wantState := func(what string, tries int, finished int64) {
			t.Helper()
			synctest.Wait()
			if s.tries() != tries || over.Load() != finished {
				t.Errorf("%s: %d mails are tried and %d calls over, want %d and %d", what, s.tries(), over.Load(), tries, finished)
			}
		}
		go deliver(t.Context(), nil)
		wantState("one call", 4, 0)
		ctx, hangUp := context.WithCancel(t.Context())
		go deliver(ctx, context.Canceled)
		go deliver(t.Context(), nil)
		wantState("three calls", 4, 0)
		hangUp()
		wantState("one has hung up", 4, 1)
		release <- struct{}{}
		wantState("one mail is out", 5, 1)
		close(release)
		wantState("all are out", 20, 3)
	})
}

func TestAnAttemptEndsBeforeAnotherMayBegin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := &queue{}
		s := &sender{answer: func(ctx context.Context, _ string) error { <-ctx.Done(); return ctx.Err() }}
		o := newOutbox(t, q, s)
		fill(t, o, q, 1)
		begun := time.Now()
		if err := o.Deliver(t.Context()); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Deliver: %v, want DeadlineExceeded", err)
		}
		if took := time.Since(begun); took != 45*time.Second {
			t.Errorf("the attempt took %v, want 45s", took)
		}
		if diff := cmp.Diff([]attempt{{"mail 00", "doc 00", outbox.Delayed}}, q.attempts()); diff != "" {
			t.Errorf("recorded (-want +got):\n%s", diff)
		}
	})
}

// One call reports two pages of failures at most, and the next ones get through the rest.
func TestOneCallDoesNotFailForEver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := &queue{}
		s := &sender{answer: func(context.Context, string) error { return errRefused }}
		o := newOutbox(t, q, s)
		fill(t, o, q, 80)
		for calls, last := 1, 0; last < 80; calls++ {
			err := o.Deliver(t.Context())
			n := s.tries() - last
			if n == 0 || n > 32 || len(outcomes(err)) != n {
				t.Fatalf("call %d: %d mails were tried and %d reported, want up to 32", calls, n, len(outcomes(err)))
			}
			last += n
		}
		if got := s.docs(); len(slices.Compact(got)) != 80 {
			t.Errorf("some of 80 mails were tried twice: %v", got)
		}
	})
}

// A process that is told to end leaves alone what it has not begun to send: it is due at
// once for the next one.
func TestMailThatWasNotBegunIsNotPutOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, end := context.WithCancel(t.Context())
		q := &queue{}
		s := &sender{answer: func(context.Context, string) error { end(); return errRefused }}
		o := newOutbox(t, q, s)
		fill(t, o, q, 12)
		o.Deliver(ctx)
		due, err := q.DueMails(t.Context(), time.Now(), 12)
		if begun := 12 - len(due); err != nil || begun < 1 || begun > 4 {
			t.Errorf("%d of 12 were put off, %v; want those that were under way, 4 at most", begun, err)
		}
	})
}

// What has gone out while the process was told to end is recorded. Otherwise it would
// go out again.
func TestAttemptsUnderWayAreRecordedAtTheEnd(t *testing.T) {
	for _, c := range []struct {
		answer error
		want   outbox.Outcome
	}{
		{nil, outbox.Delivered},
		{errRefused, outbox.Delayed},
		{outbox.ErrUndeliverable, outbox.Undeliverable},
	} {
		synctest.Test(t, func(t *testing.T) {
			ctx, end := context.WithCancel(t.Context())
			q := &queue{}
			o := newOutbox(t, q, &sender{answer: func(context.Context, string) error { end(); return c.answer }})
			fill(t, o, q, 1)
			o.Deliver(ctx)
			if diff := cmp.Diff([]attempt{{"mail 00", "doc 00", c.want}}, q.attempts()); diff != "" {
				t.Errorf("answer %v: recorded (-want +got):\n%s", c.answer, diff)
			}
		})
	}
}

// A fault of the queue loses no mail: it is sent again when nobody knows that it was sent.
func TestFaultsOfTheQueue(t *testing.T) {
	fault := errors.New("disk full")
	once := func(call int) error {
		if call == 1 {
			return fault
		}
		return nil
	}
	for _, c := range []struct {
		name   string
		queue  func(q *queue)
		answer error
		want   string // of the first call
		sent   []int  // how often it was tried after each call, a minute apart
		left   int
	}{
		{"reading", func(q *queue) { q.readFail = fault }, nil, "reading queued mail: disk full", []int{0, 0}, 1},
		{"claiming", func(q *queue) { q.claimFail = func(int) error { return fault } }, nil, "claiming queued mail: disk full", []int{0, 0}, 1},
		{"claiming, and the answer is lost", func(q *queue) { q.claimLost = once }, nil, "claiming queued mail: disk full", []int{0, 1, 1}, 0},
		{"recording a delivery", func(q *queue) { q.triedFail = firstTime(fault) }, nil, "mail mail 00: erasing queued mail: disk full", []int{1, 2, 2}, 0},
		{"recording a delivery, and the answer is lost", func(q *queue) { q.triedLost = firstTime(fault) }, nil, "mail mail 00: erasing queued mail: disk full", []int{1, 1}, 0},
		{"recording a refusal", func(q *queue) { q.triedFail = firstTime(fault) }, outbox.ErrUndeliverable,
			"mail undeliverable: mail mail 00: mail cannot be delivered\nerasing queued mail: disk full", []int{1, 2, 2}, 0},
		{"recording a delay", func(q *queue) { q.triedFail = firstTime(fault) }, errRefused,
			"mail delivery delayed: mail mail 00, next try in 1m0s: 451 later\nrecording failed mail: disk full", []int{1, 2, 2, 3}, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				q := &queue{}
				s := &sender{answer: func(context.Context, string) error { return c.answer }}
				o := newOutbox(t, q, s)
				fill(t, o, q, 1)
				c.queue(q)
				for i, want := range c.sent {
					err := o.Deliver(t.Context())
					if i == 0 && (!errors.Is(err, fault) || err.Error() != c.want) {
						t.Errorf("Deliver: %v\nwant %s", err, c.want)
					}
					if s.tries() != want {
						t.Errorf("%d tries after call %d, want %d", s.tries(), i+1, want)
					}
					time.Sleep(time.Minute)
				}
				if q.left() != c.left {
					t.Errorf("%d mails left, want %d", q.left(), c.left)
				}
			})
		})
	}
}

// firstTime fails the first recording.
func firstTime(fault error) func(outbox.Outcome) error {
	var again atomic.Bool
	return func(outbox.Outcome) error {
		if again.Swap(true) {
			return nil
		}
		return fault
	}
}

func TestWithoutASenderNothingIsDelivered(t *testing.T) {
	q := &queue{readFail: errors.New("read")}
	o, err := outbox.New(outbox.Config{Queue: q, Key: key})
	if err != nil {
		t.Fatal(err)
	}
	if err := o.Deliver(t.Context()); err != nil {
		t.Errorf("Deliver: %v", err)
	}
}

// A look at the queue costs as much as a request: one is made for each page, and none after
// the last.
func TestTheQueueIsReadOnce(t *testing.T) {
	for mails, want := range map[int]int{0: 1, 1: 1, 15: 1, 16: 2, 17: 2, 40: 3} {
		q, s := &queue{}, &sender{}
		o := newOutbox(t, q, s)
		fill(t, o, q, mails)
		if err := o.Deliver(t.Context()); err != nil || q.left() != 0 || q.reads != want {
			t.Errorf("%d mails: %v, %d left after %d reads, want %d", mails, err, q.left(), q.reads, want)
		}
	}
}

// Mail that is queued while another is sent is delivered by the call that its queueing has
// asked for.
func TestMailQueuedDuringADeliveryWaitsForNoInterval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := &queue{}
		var o *outbox.Outbox
		first := true
		s := &sender{answer: func(context.Context, string) error {
			if first {
				first = false
				m, err := o.Seal("second", []byte("doc"), time.Now().Add(time.Hour), time.Now())
				if err != nil {
					return err
				}
				q.put(m)
				o.Queued()
			}
			return nil
		}}
		o = newOutbox(t, q, s)
		fill(t, o, q, 1)
		for range 2 {
			if err := o.Deliver(t.Context()); err != nil {
				t.Fatal(err)
			}
			if q.left() == 0 {
				return
			}
			select {
			case <-o.MailQueued():
			default:
				t.Fatal("nobody is told of the mail")
			}
		}
		t.Errorf("%d mails are left", q.left())
	})
}
