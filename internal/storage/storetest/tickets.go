package storetest

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/latchkey-auth/latchkey/internal/outbox"
	"github.com/latchkey-auth/latchkey/internal/storage"
)

// otherTicket has no member in common with a ticket but the id.
func otherTicket(id string) storage.Ticket {
	return storage.Ticket{
		ID: storage.TicketID(id), Purpose: storage.PurposeRegister, Email: "bob@example.com", SecretHash: []byte{2}, CodeMAC: []byte{3}, Tries: 4,
		UserID: "", Name: "Bob", PasswordHash: "$other$", Bound: nil,
		CreatedAt: at.Add(time.Second), LinkUntil: at.Add(3 * time.Hour), CodeUntil: at.Add(4 * time.Hour), ExpiresAt: at.Add(15 * time.Hour),
	}
}

func putTicket(t *testing.T, s, other Store) {
	w := newWorld(t, s, other)
	puts := func(put storage.Ticket) func(*state) {
		return func(all *state) { all.Tickets[put.ID] = put }
	}
	w.does("putting a ticket", puts(ticket("new")), storage.PutTicket{Ticket: ticket("new")})
	w.does("in the place of another", puts(otherTicket("reset")), storage.PutTicket{Ticket: otherTicket("reset")})
	tried := ticket("reset")
	tried.Tries = 0
	w.does("and back", puts(tried), storage.PutTicket{Ticket: tried})

	next := otherTicket("reset")
	for doing, c := range map[string]storage.ReplaceTicket{
		"a ticket of another secret":   {Old: []byte{0, 1, 0xFE}, Ticket: next},
		"one whose secret is longer":   {Old: []byte{0, 1}, Ticket: next},
		"no secret":                    {Old: nil, Ticket: next},
		"by its own secret":            {Old: next.SecretHash, Ticket: next},
		"what is not there":            {Old: otherTicket("newer").SecretHash, Ticket: otherTicket("newer")},
		"what is not there, no secret": {Old: nil, Ticket: otherTicket("newer")},
	} {
		w.refuses("replacing "+doing, storage.ErrConflict, c)
	}
	w.does("replacing one that was tried meanwhile", func(all *state) {
		tried.Tries++
		all.Tickets["reset"] = tried
	}, storage.CountTry{Ticket: ticket("reset")})
	w.does("replacing", puts(next), storage.ReplaceTicket{Old: ticket("reset").SecretHash, Ticket: next})
	w.refuses("replacing it as it was", storage.ErrConflict, storage.ReplaceTicket{Old: ticket("reset").SecretHash, Ticket: ticket("reset")})
}

func takeTicket(t *testing.T, s, other Store) {
	w := newWorld(t, s, other)
	guess := func(change func(*storage.Ticket)) storage.Ticket {
		e := w.want.Tickets["reset"]
		change(&e)
		return e
	}
	refuses := func(doing string, e storage.Ticket) {
		t.Helper()
		w.refuses("taking "+doing, storage.ErrConflict, storage.TakeTicket{Ticket: e})
		w.refuses("trying "+doing, storage.ErrConflict, storage.CountTry{Ticket: e})
	}
	refuses("what is not there", ticket("new"))
	refuses("one of another secret", guess(func(e *storage.Ticket) { e.SecretHash = []byte{9} }))
	refuses("one without a secret", guess(func(e *storage.Ticket) { e.SecretHash = nil }))
	refuses("one of more tries", guess(func(e *storage.Ticket) { e.Tries++ }))
	foreign := otherTicket("reset")
	foreign.SecretHash, foreign.Tries = ticket("reset").SecretHash, 0
	w.does("a try counts, and writes nothing else", func(all *state) {
		all.Tickets["reset"] = guess(func(e *storage.Ticket) { e.Tries = 1 })
	}, storage.CountTry{Ticket: foreign})
	refuses("one as it was before it was tried", ticket("reset"))
	taken := w.want.Tickets["reset"]
	w.does("taking it, for another", func(all *state) {
		delete(all.Tickets, "reset")
		all.Tickets["invite"] = ticket("invite")
	}, storage.TakeTicket{Ticket: taken}, storage.PutTicket{Ticket: ticket("invite")})
	w.refuses("taking it again", storage.ErrConflict, storage.TakeTicket{Ticket: taken})
	w.does("putting it again", func(all *state) { all.Tickets["reset"] = ticket("reset") }, storage.PutTicket{Ticket: ticket("reset")})
	w.does("taking it untried", func(all *state) { delete(all.Tickets, "reset") }, storage.TakeTicket{Ticket: ticket("reset")})
}

func putMark(t *testing.T, s, other Store) {
	w := newWorld(t, s, other)
	puts := func(m storage.Mark) {
		t.Helper()
		w.does("putting mark "+string(m.ID), func(all *state) { all.Marks[m.ID] = m }, storage.PutMark{Mark: m})
	}
	puts(mark("new"))
	later := mark("known")
	later.ExpiresAt = at.Add(13 * time.Hour)
	puts(later)
	puts(mark("known"))
}

func mails(t *testing.T, s, other Store) {
	w := newWorld(t, s, other)
	due := func(doing string, now time.Time, limit int, want ...string) {
		t.Helper()
		got, err := w.other.DueMails(t.Context(), now, limit)
		if err != nil {
			t.Fatalf("%s: %v", doing, err)
		}
		var ids []string
		for _, m := range got {
			ids = append(ids, m.ID)
		}
		if d := diff(want, ids); d != "" {
			t.Errorf("%s: due mails (-want +got):\n%s", doing, d)
		}
	}
	soon, future := mail("soon"), mail("future")
	soon.DueAt, future.DueAt = at.Add(-time.Microsecond), at.Add(time.Microsecond)
	w.does("queueing", func(all *state) { all.Mails["soon"], all.Mails["future"] = soon, future },
		storage.QueueMail{Mail: future}, storage.QueueMail{Mail: soon})
	w.refuses("queueing an id in use", storage.ErrTaken, storage.QueueMail{Mail: mail("soon")})
	due("now", at, all, "soon", "queued")
	due("one", at, 1, "soon")
	due("two later", at.Add(time.Hour), 2, "soon", "queued")
	due("later", at.Add(time.Hour), all, "soon", "queued", "future")

	deferred := soon
	deferred.DueAt = at.Add(time.Minute)
	for doing, change := range map[string]func(*outbox.Mail){
		"by more attempts":  func(m *outbox.Mail) { m.Attempts = 1 },
		"by fewer attempts": func(m *outbox.Mail) { m.Attempts = -1 },
		"that is not there": func(m *outbox.Mail) { m.ID = "none" },
	} {
		m := deferred
		change(&m)
		w.refuses("deferring one "+doing, storage.ErrConflict, storage.DeferMail{Mail: m})
	}
	foreign := deferred
	foreign.Sealed, foreign.CreatedAt, foreign.GiveUpAt = []byte{9}, at.Add(time.Hour), at.Add(19*time.Hour)
	w.does("deferring sets the moment and counts", func(all *state) {
		soon.DueAt, soon.Attempts = deferred.DueAt, 1
		all.Mails["soon"] = soon
	}, storage.DeferMail{Mail: foreign})
	due("without it", at, all, "queued")
	due("when it is due", deferred.DueAt, all, "queued", "future", "soon")

	w.does("deleting, and what is not there", func(all *state) { delete(all.Mails, "queued") },
		storage.DeleteMail{Mail: mail("queued")}, storage.DeleteMail{Mail: mail("none")})
	w.does("deleting one that was deferred since", func(all *state) { delete(all.Mails, "soon") }, storage.DeleteMail{Mail: deferred})
	w.refuses("deferring a deleted one", storage.ErrConflict, storage.DeferMail{Mail: soon})
}

func appendLines(t *testing.T, s, other Store) {
	w := newWorld(t, s, other)
	uncounted, many := event("uncounted"), event("many")
	uncounted.Count, many.Count = -1, 7
	none := event("none")
	none.Count = 0
	once := func(e storage.Event) storage.Event { e.Count = 1; return e }
	w.does("events", func(all *state) { all.log([]storage.Event{once(uncounted), once(none), many}) },
		storage.AppendEvent{Event: uncounted}, storage.AppendEvent{Event: many}, storage.AppendEvent{Event: none})
	w.does("revocations", func(all *state) { all.log(nil, revocation("new")) }, storage.AppendRevocation{Revocation: revocation("new")})

	forged := storage.Event{ID: "begun", Time: at, Kind: storage.EventLogout, Outcome: storage.OutcomeFailed, UserID: "id-bob", Count: 9}
	w.does("an event of the same place stays as it is", nothing, storage.AppendEvent{Event: forged})
	undone := storage.Revocation{ID: "begun", Time: at, UserID: "id-bob", SessionID: "bob's", ExpiresAt: at.Add(13 * time.Hour)}
	w.does("so does a revocation", nothing, storage.AppendRevocation{Revocation: undone})
	w.does("and what comes with them is stored", func(all *state) {
		all.log([]storage.Event{event("new")})
		all.Marks["new"] = mark("new")
	}, storage.AppendEvent{Event: forged}, storage.AppendEvent{Event: event("new")}, storage.AppendRevocation{Revocation: undone}, storage.PutMark{Mark: mark("new")})
}

// racingGuards has many do the same by what they have read; each kind of change has one
// winner, whose event is the only one.
func racingGuards(t *testing.T, s, other Store) {
	w := newWorld(t, s, other)
	phone, laptop, bobs := w.session("phone"), w.session("laptop"), w.session("bob's")
	phone.Refreshes, laptop.EndedAt = 4, at
	for n, c := range []struct {
		doing  string
		loses  error
		change func(i int) storage.Change
	}{
		{"trying a ticket", storage.ErrConflict, func(int) storage.Change { return storage.CountTry{Ticket: ticket("reset")} }},
		{"taking or replacing a ticket", storage.ErrConflict, func(i int) storage.Change {
			tried := ticket("reset")
			tried.Tries = 1
			next := otherTicket("reset")
			next.SecretHash = fmt.Append(nil, "racer ", i)
			if i%4 < 2 {
				return storage.TakeTicket{Ticket: tried}
			}
			return storage.ReplaceTicket{Old: tried.SecretHash, Ticket: next}
		}},
		{"refreshing a session", storage.ErrConflict, func(i int) storage.Change {
			mine := phone
			mine.Device = fmt.Sprint("racer ", i)
			return storage.RefreshSession{Session: mine}
		}},
		{"ending a session", storage.ErrConflict, func(i int) storage.Change {
			mine := laptop
			mine.EndedAt = at.Add(time.Duration(i) * time.Second)
			return storage.EndSession{Session: mine}
		}},
		{"beginning a session", storage.ErrTaken, func(int) storage.Change { return storage.CreateSession{Session: session("new", user("ada"))} }},
		{"claiming a mail", storage.ErrConflict, func(i int) storage.Change {
			mine := mail("queued")
			mine.DueAt = at.Add(time.Duration(i) * time.Second)
			return storage.DeferMail{Mail: mine}
		}},
		{"queueing a mail", storage.ErrTaken, func(int) storage.Change { return storage.QueueMail{Mail: mail("new")} }},
	} {
		since := at.Add(time.Duration(n+1) * time.Minute)
		won := race(t, s, other, c.loses, func(ctx context.Context, s Store, i int) error {
			e := event(fmt.Sprint(c.doing, i))
			e.Time = since
			return s.Commit(ctx, c.change(i), storage.AppendEvent{Event: e})
		})
		events, _, err := s.Events(t.Context(), since, "", all)
		if won != 1 || err != nil || len(events) != 1 {
			t.Errorf("%s: %d won, with %d events, %v; want 1 and 1", c.doing, won, len(events), err)
		}
	}
	// Changes that overwrite have no loser.
	mine := bobs
	mine.Epoch = 9
	race(t, s, other, nil, func(ctx context.Context, s Store, i int) error {
		return s.Commit(ctx, storage.KeepSession{Session: mine}, storage.PutMark{Mark: mark("new")}, storage.DeleteMail{Mail: mail("none")})
	})
}
