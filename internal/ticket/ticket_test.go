package ticket_test

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/latchkey-auth/latchkey/internal/storage"
	"github.com/latchkey-auth/latchkey/internal/ticket"
)

var (
	maker = ticket.Maker{Key: bytes.Repeat([]byte{1}, 32), PublicURL: "https://auth.example.com/"}
	now   = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
)

// issued is a ticket with what was mailed, as it is presented.
func issued(t *testing.T, m ticket.Maker, purpose storage.Purpose) (_ storage.Ticket, link, code ticket.Presented) {
	t.Helper()
	of, url, text := m.Issue(storage.Ticket{Purpose: purpose}, "ada@example.com", now)
	_, token, _ := strings.Cut(url, "?token=")
	link, ok := ticket.ParseLink(token)
	if !ok || link.ID != of.ID {
		t.Fatalf("the link %s presents %+v", url, link)
	}
	code.ID = of.ID
	if text != "" {
		if code.Code, ok = ticket.ParseCode(text); !ok {
			t.Fatalf("the code %s is none", text)
		}
	}
	return of, link, code
}

func TestOpens(t *testing.T) {
	of, link, code := issued(t, maker, storage.PurposeReset)
	_, otherLink, otherCode := issued(t, maker, storage.PurposeReset)
	tried := of
	tried.Tries = ticket.MaxCodeTries
	otherKey := ticket.Maker{Key: bytes.Repeat([]byte{2}, 32)}
	for name, c := range map[string]struct {
		maker ticket.Maker
		of    storage.Ticket
		with  ticket.Presented
		after time.Duration
		want  bool
	}{
		"the link":                     {maker, of, link, 0, true},
		"the link at its end":          {maker, of, link, ticket.LinkLifetime, false},
		"the link before its end":      {maker, of, link, ticket.LinkLifetime - 1, true},
		"the link after wrong codes":   {maker, tried, link, 0, true},
		"another link of the address":  {maker, of, otherLink, 0, false},
		"the code":                     {maker, of, code, 0, true},
		"the code at its end":          {maker, of, code, ticket.CodeLifetime, false},
		"the code after wrong codes":   {maker, tried, code, 0, false},
		"another code of the address":  {maker, of, otherCode, 0, false},
		"the code under another key":   {otherKey, of, code, 0, false},
		"a link where there is none":   {maker, storage.Ticket{}, link, 0, false},
		"a code where there is none":   {maker, storage.Ticket{}, code, 0, false},
		"nothing, where there is none": {maker, storage.Ticket{}, ticket.Presented{}, 0, false},
	} {
		if got := c.maker.Opens(c.of, c.with, now.Add(c.after)); got != c.want {
			t.Errorf("%s: opens %v, want %v", name, got, c.want)
		}
	}
}

// TestInvitationsHaveNoCode: they are good for days, in which a code could be guessed.
func TestInvitationsHaveNoCode(t *testing.T) {
	of, link, code := issued(t, maker, storage.PurposeInvite)
	if code.Code != "" || len(of.CodeMAC) != 0 || ticket.TakesCode(of) {
		t.Errorf("it has the code %q", code.Code)
	}
	if !maker.Opens(of, link, now.Add(ticket.InviteLifetime-1)) || maker.Opens(of, link, now.Add(ticket.InviteLifetime)) {
		t.Error("the link is not good for as long as an invitation is")
	}
}

// TestUsed: the mark of a used ticket is found by its link, on the page of its purpose.
func TestUsed(t *testing.T) {
	of, link, _ := issued(t, maker, storage.PurposeReset)
	_, other, _ := issued(t, maker, storage.PurposeReset)
	used := maker.Used(of)
	if used.ID != maker.UsedBy(storage.PurposeReset, link) || !used.ExpiresAt.Equal(of.LinkUntil) {
		t.Errorf("the mark is %+v", used)
	}
	if used.ID == maker.UsedBy(storage.PurposeInvite, link) || used.ID == maker.UsedBy(storage.PurposeReset, other) {
		t.Error("another link or page finds it")
	}
}

// FuzzParseCode: a code is eight letters, however it is typed.
func FuzzParseCode(f *testing.F) {
	f.Add("acde-fghj")
	f.Add(" ACDE FGHJ ")
	f.Add("ACDE-FGH1")
	f.Add(strings.Repeat("-", 65))
	f.Fuzz(func(t *testing.T, typed string) {
		code, ok := ticket.ParseCode(typed)
		if !ok {
			return
		}
		if again, ok := ticket.ParseCode(code); !ok || again != code || len(code) != 8 || len(typed) > ticket.MaxCode {
			t.Errorf("%q is %q, and that %q, %v", typed, code, again, ok)
		}
	})
}
