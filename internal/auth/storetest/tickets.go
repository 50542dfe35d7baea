package storetest

import (
	"context"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/latchkey-auth/latchkey/internal/auth"
)

func ticket(id string) auth.Ticket {
	return auth.Ticket{
		ID: auth.TicketID(id), Purpose: auth.PurposeReset, Email: "ada@example.com", SecretHash: []byte{0, 1, 0xFF}, CodeMAC: []byte{7, 0},
		UserID: "id-ada", Name: "Lövelace", PasswordHash: "$argon2id$", Bound: []byte{0xFE, 0},
		CreatedAt: at, LinkUntil: at.Add(time.Hour), CodeUntil: at.Add(time.Minute), ExpiresAt: at.Add(2 * time.Hour),
	}
}

func mail(id string) auth.Mail {
	return auth.Mail{ID: id, Sealed: []byte{0, 0xFF, 1}, CreatedAt: at, DueAt: at, GiveUpAt: at.Add(time.Hour)}
}

func wantTicket(t *testing.T, s Store, want auth.Ticket) {
	t.Helper()
	got, err := s.Ticket(t.Context(), want.ID)
	if err != nil {
		t.Fatalf("Ticket(%s): %v", want.ID, err)
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("Ticket(%s) (-want +got):\n%s", want.ID, d)
	}
}

func ticketRoundTrips(t *testing.T, s, other Store) {
	_, err := s.Ticket(t.Context(), "t1")
	wantError(t, "no ticket", err, auth.ErrNotFound)
	mustCommit(t, s, auth.Batch{PutTickets: []auth.Ticket{ticket("t1")}})
	wantTicket(t, other, ticket("t1"))
}

func ticketIsReplaced(t *testing.T, s, other Store) {
	first, second := ticket("t1"), ticket("t1")
	second.Purpose, second.Email, second.SecretHash, second.CodeMAC = auth.PurposeRegister, "bob@example.com", []byte{2}, []byte{3}
	second.UserID, second.Name, second.PasswordHash, second.Bound = "", "Bob", "$other$", []byte{4}
	second.CreatedAt, second.LinkUntil = at.Add(time.Second), at.Add(3*time.Hour)
	second.CodeUntil, second.ExpiresAt = at.Add(4*time.Hour), at.Add(5*time.Hour)
	mustCommit(t, s, auth.Batch{PutTickets: []auth.Ticket{first}})
	mustCommit(t, s, auth.Batch{CountTries: []auth.Ticket{first}})
	mustCommit(t, other, auth.Batch{PutTickets: []auth.Ticket{second}})
	wantTicket(t, s, second)

	third := first
	third.Replaces = first.SecretHash
	wantError(t, "replacing one that is not there any more", s.Commit(t.Context(), auth.Batch{PutTickets: []auth.Ticket{third}}), auth.ErrConflict)
	wantTicket(t, other, second)
	third.Replaces = second.SecretHash
	mustCommit(t, s, auth.Batch{PutTickets: []auth.Ticket{third}})
	third.Replaces = nil
	wantTicket(t, other, third)

	missing := ticket("t2")
	missing.Replaces = []byte{9}
	wantError(t, "replacing none", s.Commit(t.Context(), auth.Batch{PutTickets: []auth.Ticket{missing}}), auth.ErrConflict)
}

func ticketIsTaken(t *testing.T, s, other Store) {
	fresh := ticket("t1")
	mustCommit(t, s, auth.Batch{PutTickets: []auth.Ticket{fresh, ticket("t2")}})
	stranger := fresh
	stranger.SecretHash = []byte{9}
	wantError(t, "taking one with another secret", s.Commit(t.Context(), auth.Batch{TakeTickets: []auth.Ticket{stranger}}), auth.ErrConflict)
	wantError(t, "a try at one with another secret", s.Commit(t.Context(), auth.Batch{CountTries: []auth.Ticket{stranger}}), auth.ErrConflict)
	mustCommit(t, other, auth.Batch{CountTries: []auth.Ticket{fresh}})
	wantError(t, "taking one that was tried since", s.Commit(t.Context(), auth.Batch{TakeTickets: []auth.Ticket{fresh}}), auth.ErrConflict)
	fresh.Tries = 1
	wantTicket(t, s, fresh)
	mustCommit(t, s, auth.Batch{TakeTickets: []auth.Ticket{fresh}})
	wantError(t, "taking it again", s.Commit(t.Context(), auth.Batch{TakeTickets: []auth.Ticket{fresh}}), auth.ErrConflict)
	_, err := other.Ticket(t.Context(), "t1")
	wantError(t, "a taken ticket", err, auth.ErrNotFound)
	wantTicket(t, other, ticket("t2"))
}

func racingTakers(t *testing.T, s, other Store) {
	mustCommit(t, s, auth.Batch{PutTickets: []auth.Ticket{ticket("t1")}})
	won := race(t, s, other, auth.ErrConflict, func(ctx context.Context, s Store, _ int) error {
		return s.Commit(ctx, auth.Batch{TakeTickets: []auth.Ticket{ticket("t1")}, Events: []auth.Event{{Time: at, Kind: "x"}}})
	})
	if won != 1 {
		t.Errorf("%d took the ticket, want 1", won)
	}
	if events, err := s.Events(t.Context(), 0, 10); err != nil || len(events) != 1 {
		t.Errorf("got events %v, %v; want the winner's", events, err)
	}
}

func racingTries(t *testing.T, s, other Store) {
	mustCommit(t, s, auth.Batch{PutTickets: []auth.Ticket{ticket("t1")}})
	won := race(t, s, other, auth.ErrConflict, func(ctx context.Context, s Store, _ int) error {
		return s.Commit(ctx, auth.Batch{CountTries: []auth.Ticket{ticket("t1")}})
	})
	if won != 1 {
		t.Errorf("%d tries counted from one reading, want 1", won)
	}
}

func namesPassOn(t *testing.T, s, other Store) {
	u := user("ada")
	mustCommit(t, s, auth.Batch{CreateUsers: []auth.User{u}, CreateSessions: []auth.Session{session("s1", u)}})
	u.Version = 1
	heir := user("ada")
	heir.ID = "id-heir"
	mustCommit(t, s, auth.Batch{DeleteUsers: []auth.User{u}, CreateUsers: []auth.User{heir}})
	heir.Version = 1
	wantUser(t, other, heir)
	_, err := other.User(t.Context(), u.ID)
	wantError(t, "the user before", err, auth.ErrNotFound)
	_, _, err = other.SessionUser(t.Context(), "s1")
	wantError(t, "the session before", err, auth.ErrNotFound)
}

func mailIsQueued(t *testing.T, s, other Store) {
	late, soon := mail("late"), mail("soon")
	soon.DueAt = at.Add(-time.Second)
	future := mail("future")
	future.DueAt = at.Add(time.Second)
	mustCommit(t, s, auth.Batch{QueueMails: []auth.Mail{late, soon, future}})
	wantError(t, "a taken id", s.Commit(t.Context(), auth.Batch{QueueMails: []auth.Mail{late}}), auth.ErrTaken)
	wantDue := func(limit int, want ...auth.Mail) {
		t.Helper()
		got, err := other.DueMails(t.Context(), at, limit)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("due mails (-want +got):\n%s", d)
		}
	}
	wantDue(10, soon, late)
	wantDue(1, soon)

	soon.DueAt = at.Add(time.Minute)
	mustCommit(t, s, auth.Batch{DeferMails: []auth.Mail{soon}})
	wantError(t, "deferring it as it was", s.Commit(t.Context(), auth.Batch{DeferMails: []auth.Mail{soon}}), auth.ErrConflict)
	wantDue(10, late)
	soon.Attempts, soon.DueAt = 1, at
	mustCommit(t, s, auth.Batch{DeferMails: []auth.Mail{soon}})
	soon.Attempts = 2
	wantDue(10, late, soon)

	mustCommit(t, s, auth.Batch{DeleteMails: []auth.Mail{late}})
	mustCommit(t, s, auth.Batch{DeleteMails: []auth.Mail{late}})
	wantDue(10, soon)
}

func racingClaims(t *testing.T, s, other Store) {
	mustCommit(t, s, auth.Batch{QueueMails: []auth.Mail{mail("m1")}})
	won := race(t, s, other, auth.ErrConflict, func(ctx context.Context, s Store, _ int) error {
		return s.Commit(ctx, auth.Batch{DeferMails: []auth.Mail{mail("m1")}})
	})
	if won != 1 {
		t.Errorf("%d claimed the mail, want 1", won)
	}
}

func purgeTickets(t *testing.T, s, _ Store) {
	old, young := ticket("old"), ticket("young")
	old.ExpiresAt = at
	stale, due := mail("stale"), mail("due")
	stale.GiveUpAt = at
	mustCommit(t, s, auth.Batch{
		PutTickets: []auth.Ticket{old, young}, QueueMails: []auth.Mail{stale, due},
		Hits: []auth.Hit{{Key: "old", At: at, Fade: time.Hour}, {Key: "young", At: at.Add(time.Minute), Fade: time.Hour}},
	})
	if err := s.Purge(t.Context(), auth.Moments{Expired: at.Add(time.Second), Hits: at.Add(time.Second)}); err != nil {
		t.Fatal(err)
	}
	_, err := s.Ticket(t.Context(), "old")
	wantError(t, "an expired ticket", err, auth.ErrNotFound)
	wantTicket(t, s, young)
	if mails, err := s.DueMails(t.Context(), at, 10); err != nil || len(mails) != 1 || mails[0].ID != "due" {
		t.Errorf("got mails %v, %v; want the one that is due", mails, err)
	}
	counts, err := s.Counts(t.Context(), []string{"old", "young"})
	if err != nil || counts[0].Level != 0 || counts[1].Level != 1 {
		t.Errorf("got counts %v, %v; want the young one's", counts, err)
	}
}
