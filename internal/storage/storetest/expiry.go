package storetest

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/latchkey-auth/latchkey/internal/limit"
	"github.com/latchkey-auth/latchkey/internal/outbox"
	"github.com/latchkey-auth/latchkey/internal/storage"
)

// wholeOrGone judges what was found of something that may be deleted.
func wholeOrGone[T any](t *testing.T, doing string, want, got T, err error) {
	t.Helper()
	if errors.Is(err, storage.ErrNotFound) {
		return
	}
	if d := diff(want, got); err != nil || d != "" {
		t.Errorf("%s: %v; want it whole or ErrNotFound (-want +got):\n%s", doing, err, d)
	}
}

// wholeOrMissing judges a list from which some may be deleted.
func wholeOrMissing[T any](t *testing.T, doing string, want []T, got []T, err error) {
	t.Helper()
	if err != nil {
		t.Errorf("%s: %v", doing, err)
	}
	for _, one := range got {
		if !slices.ContainsFunc(want, func(other T) bool { return diff(one, other) == "" }) {
			t.Errorf("%s: got %+v, which was not stored", doing, one)
		}
	}
	if len(got) > len(want) {
		t.Errorf("%s: got %d, of %d", doing, len(got), len(want))
	}
}

// An expired is one of each of what expires; all its ids begin with old.
type expired struct {
	user       storage.User // whose the session is
	session    storage.Session
	ticket     storage.Ticket
	mark       storage.Mark
	mail       outbox.Mail
	event      storage.Event
	revocation storage.Revocation
}

// expiredAt is what expired, or happened, at a moment.
func expiredAt(u storage.User, moment time.Time) expired {
	e := expired{
		u, session(old+"session", u), ticket(old + "ticket"), mark(old + "mark"), mail(old + "mail"), event(old + "event"),
		revocation(old + "revocation"),
	}
	e.session.ExpiresAt, e.ticket.ExpiresAt, e.mark.ExpiresAt = moment, moment, moment
	e.mail.GiveUpAt, e.event.Time, e.revocation.ExpiresAt = moment, moment, moment
	return e
}

func (e expired) store() []storage.Change {
	return []storage.Change{
		storage.CreateSession{Session: e.session}, storage.PutTicket{Ticket: e.ticket}, storage.PutMark{Mark: e.mark},
		storage.QueueMail{Mail: e.mail}, storage.AppendEvent{Event: e.event}, storage.AppendRevocation{Revocation: e.revocation},
	}
}

// check reads all of it: each is whole or gone.
func (e expired) check(t *testing.T, doing string, s Store) {
	t.Helper()
	session, _, err := s.SessionUser(t.Context(), e.session.ID)
	wholeOrGone(t, doing+": session", e.session, session, err)
	ticket, err := s.Ticket(t.Context(), e.ticket.ID)
	wholeOrGone(t, doing+": ticket", e.ticket, ticket, err)
	mark, err := s.Mark(t.Context(), e.mark.ID)
	wholeOrGone(t, doing+": mark", e.mark, mark, err)

	sessions, err := s.UserSessions(t.Context(), e.user.ID, 0, 0, all)
	wholeOrMissing(t, doing+": sessions", []storage.Session{e.session}, sessions, err)
	mails, err := s.DueMails(t.Context(), at.Add(24*time.Hour), all)
	mails = slices.DeleteFunc(mails, func(m outbox.Mail) bool { return m.ID != e.mail.ID })
	wholeOrMissing(t, doing+": mails", []outbox.Mail{e.mail}, mails, err)
	events, _, err := s.Events(t.Context(), e.event.Time, "", all)
	events = slices.DeleteFunc(events, func(v storage.Event) bool { return v.ID != e.event.ID })
	wholeOrMissing(t, doing+": events", []storage.Event{e.event}, events, err)
	revocations, _, err := s.Revocations(t.Context(), e.revocation.Time, "", all)
	revocations = slices.DeleteFunc(revocations, func(r storage.Revocation) bool { return r.ID != e.revocation.ID })
	wholeOrMissing(t, doing+": revocations", []storage.Revocation{e.revocation}, revocations, err)
}

// withEve adds a user who owns what expires.
func (w *world) withEve() storage.User {
	w.t.Helper()
	eve := user("eve")
	mustCommit(w.t, w.s, storage.CreateUser{User: eve})
	w.want.create(eve)
	return eve
}

// expiredIsWholeOrGone: a store may delete what has expired whenever it likes, but
// nothing else comes of it.
func expiredIsWholeOrGone(t *testing.T, s, other Store) {
	w := newWorld(t, s, other)
	eve := w.withEve()
	e := expiredAt(eve, at.Add(-23*time.Hour)) // of a day ago, by every clock
	mustCommit(t, s, e.store()...)
	e.check(t, "stored when it had expired", other)
	w.check("stored when it had expired")
	if err := other.Purge(t.Context(), storage.Moments{Expired: at, Events: at}); err != nil {
		t.Fatal(err)
	}
	e.check(t, "after a purge", s)
	w.check("after a purge")

	// Each change finds it, or finds nothing.
	refreshed, kept, ended, deferred := e.session, e.session, e.session, e.mail
	refreshed.Refreshes, kept.Epoch, ended.EndedAt = 4, 9, at
	deferred.DueAt = at.Add(time.Minute)
	for doing, c := range map[string]storage.Change{
		"refreshing it": storage.RefreshSession{Session: refreshed},
		"keeping it":    storage.KeepSession{Session: kept},
		"ending it":     storage.EndSession{Session: ended},
		"trying it":     storage.CountTry{Ticket: e.ticket},
		"taking it":     storage.TakeTicket{Ticket: e.ticket},
		"deferring it":  storage.DeferMail{Mail: deferred},
	} {
		if err := s.Commit(t.Context(), c); err != nil && !errors.Is(err, storage.ErrConflict) {
			t.Errorf("%s: got error %v, want none or ErrConflict", doing, err)
		}
		w.check(doing)
	}
	fresh := storage.Mark{ID: "new", ExpiresAt: e.mark.ExpiresAt}
	mustCommit(t, s, storage.PutMark{Mark: fresh})
	w.does("a mark in the place of one that has expired", func(all *state) { all.Marks["new"] = mark("new") }, storage.PutMark{Mark: mark("new")})
	spent := ticket("new")
	spent.ExpiresAt = e.ticket.ExpiresAt
	mustCommit(t, s, storage.PutTicket{Ticket: spent})
	w.does("a ticket in the place of one that has expired", func(all *state) { all.Tickets["new"] = ticket("new") }, storage.PutTicket{Ticket: ticket("new")})
	w.does("deleting the mail", nothing, storage.DeleteMail{Mail: e.mail})
}

// purgeSparesTheRest: only what lies before the moments may go, and each moment is of its
// own kind.
func purgeSparesTheRest(t *testing.T, s, other Store) {
	w := newWorld(t, s, other)
	eve := w.withEve()
	purged, happened := at.Add(time.Hour), at
	gone := expiredAt(eve, purged.Add(-time.Microsecond))
	gone.event.Time = happened.Add(-time.Microsecond)
	mustCommit(t, s, gone.store()...)

	// What expires or happens at the very moment stays.
	last := expiredAt(w.user("bob"), purged)
	last.session.ID, last.ticket.ID, last.mark.ID = "new", "new", "new"
	last.mail.ID, last.event.ID, last.revocation.ID = "last", "last", "last"
	last.event.Time = happened
	mustCommit(t, s, last.store()...)
	w.want.Sessions["new"], w.want.Tickets["new"], w.want.Marks["new"], w.want.Mails["last"] = last.session, last.ticket, last.mark, last.mail
	w.want.log([]storage.Event{last.event}, last.revocation)
	w.check("before the purges")

	keys := purgeableKeys(t, s, purged)
	taken := map[string]time.Time{"old": purged.Add(-time.Microsecond), "last": purged, "young": purged.Add(time.Hour)}
	for key, moment := range taken {
		mustTake(t, s, limit.Take{Key: key, At: moment, Fade: time.Minute})
	}

	counted := true
	for _, c := range []struct {
		doing  string
		before storage.Moments
	}{
		{"a purge of nothing", storage.Moments{}},
		{"a purge of counts", storage.Moments{Counts: purged}},
		{"a purge of events", storage.Moments{Events: happened}},
		{"a purge of what expired", storage.Moments{Expired: purged}},
		{"a purge of all, again", storage.Moments{Expired: purged, Events: happened, Counts: purged}},
	} {
		if err := s.Purge(t.Context(), c.before); err != nil {
			t.Fatalf("%s: %v", c.doing, err)
		}
		w.check(c.doing)
		gone.check(t, c.doing, other)
		keys.check(t, c.doing, other, !c.before.Expired.IsZero())
		counted = counted && c.before.Counts.IsZero()
		for key, moment := range taken {
			want := limit.Count{Empty: moment.Add(time.Minute), Last: moment, Reserved: 1}
			if got := count(t, other, key); key == "old" && got == (limit.Count{}) && !counted {
				want = got
			}
			wantCount(t, c.doing, other, key, want)
		}
	}
}
