package storetest

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/latchkey-auth/latchkey/internal/keyring"
	"github.com/latchkey-auth/latchkey/internal/limit"
	"github.com/latchkey-auth/latchkey/internal/outbox"
	"github.com/latchkey-auth/latchkey/internal/storage"
	"github.com/latchkey-auth/latchkey/internal/transfer"
)

// exportAll reads everything in pages of a few, and checks their order.
func exportAll(t *testing.T, s transfer.Store) []transfer.Record {
	t.Helper()
	const mostPages = 5000
	var all []transfer.Record
	users := map[storage.UserID]bool{}
	after := storage.Cursor("")
	for range mostPages {
		page, next, err := s.Export(t.Context(), after, 3)
		if err != nil {
			t.Fatalf("Export: %v", err)
		}
		for _, r := range page {
			switch r := r.(type) {
			case transfer.User:
				users[r.ID] = true
			case storage.Session:
				if !users[r.UserID] {
					t.Errorf("session %s comes before its user", r.ID)
				}
			}
		}
		all = append(all, page...)
		if after = next; after == "" {
			return all
		}
	}
	t.Fatalf("no end after %d pages", mostPages)
	return nil
}

func totals(all []transfer.Record) transfer.Totals {
	sum := transfer.Totals{}
	for _, r := range all {
		sum.Add(r)
	}
	return sum
}

func mustImport(t *testing.T, s transfer.Store, all []transfer.Record) {
	t.Helper()
	for chunk := range slices.Chunk(all, 7) {
		if err := s.Import(t.Context(), chunk); err != nil {
			t.Fatalf("Import: %v", err)
		}
	}
}

// recordsAreCopied has everything come out of a store and back into it, empty, by a
// detour: what is there then is what was there, in all that can be asked for.
func recordsAreCopied(t *testing.T, s, other Store) {
	w := newWorld(t, s, other)
	fillCopied(t, w)
	count, _, err := s.Counts(t.Context(), []string{"network"}, "")
	if err != nil {
		t.Fatal(err)
	}
	keys, err := s.Keys(t.Context())
	if err != nil {
		t.Fatal(err)
	}

	out := exportAll(t, other)
	want := totals(out)
	for _, kind := range transfer.Kinds() {
		if want[kind].Count == 0 {
			t.Errorf("nothing of the %s was exported", kind)
		}
	}
	detour := new(Memory)
	mustImport(t, detour, out)
	if d := want.Difference(totals(exportAll(t, detour))); d != "" {
		t.Errorf("exported, and in the store in memory: %s", d)
	}

	if err := s.Erase(t.Context()); err != nil {
		t.Fatalf("Erase: %v", err)
	}
	if left := exportAll(t, other); len(left) > 0 {
		t.Fatalf("Erase leaves %d records, such as %+v", len(left), left[0])
	}
	empty := &world{t: t, s: s, other: other, want: newState()}
	empty.check("an erased store")

	mustImport(t, s, exportAll(t, detour))
	mustImport(t, other, exportAll(t, detour)) // as after an answer that was lost
	if d := want.Difference(totals(exportAll(t, s))); d != "" {
		t.Errorf("exported, and imported again: %s", d)
	}
	w.check("an imported store")
	if got, _, err := other.Counts(t.Context(), []string{"network"}, ""); err != nil || diff(count, got) != "" {
		t.Errorf("the imported count is %v, %v; want %v", got, err, count)
	}
	wantKeys(t, "an imported store", other, keys...)

	// What is there is guarded by what it was guarded by.
	ada := w.user("ada")
	taken := user("eve")
	taken.Username = "ADA"
	w.refuses("a name that an imported user has", storage.ErrTaken, storage.CreateUser{User: taken})
	w.refuses("the id of a deleted user", storage.ErrTaken, storage.CreateUser{User: user("dan")})
	stale := ada
	stale.Version--
	renamed := ada
	renamed.Name = "Countess"
	w.refuses("an update by a version that has passed", storage.ErrConflict, storage.UpdateUser{Old: stale, New: renamed})
	next := w.session("phone")
	next.Refreshes++
	w.does("refreshing an imported session", func(s *state) { s.Sessions["phone"] = next },
		storage.RefreshSession{Session: next}, storage.CheckEpoch{UserID: ada.ID, Epoch: ada.Epoch})
	w.does("taking an imported ticket", func(s *state) { delete(s.Tickets, "reset") }, storage.TakeTicket{Ticket: ticket("reset")})
}

// fillCopied adds what newWorld has not: versions that have moved, a session that was
// kept, a mail that was deferred, a count and keys.
func fillCopied(t *testing.T, w *world) {
	t.Helper()
	ada := w.user("ada")
	renamed := ada
	renamed.Name, renamed.UpdatedAt = "Augusta", at.Add(time.Hour)
	w.does("renaming", func(s *state) {
		u := renamed
		u.Version++
		s.Users[u.ID] = u
	}, storage.UpdateUser{Old: ada, New: renamed})
	kept := w.session("laptop")
	kept.Epoch += 2
	w.does("keeping a session", func(s *state) { s.Sessions["laptop"] = kept }, storage.KeepSession{Session: kept})
	deferred := w.want.Mails["queued"]
	deferred.DueAt = deferred.DueAt.Add(time.Minute)
	w.does("deferring a mail", func(s *state) {
		m := deferred
		m.Attempts++
		s.Mails["queued"] = m
	}, storage.DeferMail{Mail: deferred})
	if ok, err := w.s.Take(t.Context(), []limit.Take{{Key: "network", At: at, Fade: time.Hour}}); err != nil || !ok {
		t.Fatalf("Take: %v, %v", ok, err)
	}
	first, second := record(1), record(2)
	mustAddKey(t, w.s, first)
	first.RetiresAt, first.ExpiresAt = at.Add(time.Hour), at.Add(2*time.Hour)
	mustAddKey(t, w.s, second, first)
}

// everyMemberIsCopied has records in which every member has a value of its own.
func everyMemberIsCopied(t *testing.T, s, other Store) {
	all := fullRecords()
	want := totals(all)
	mustImport(t, s, all)
	got := exportAll(t, other)
	if d := want.Difference(totals(got)); d != "" {
		t.Errorf("imported and exported: %s", d)
	}
	for _, r := range all {
		kind := transfer.KindOf(r)
		i := slices.IndexFunc(got, func(g transfer.Record) bool { return transfer.KindOf(g) == kind })
		if i < 0 {
			t.Errorf("none of the %s came back", kind)
		} else if d := diff(inUTC(r), inUTC(got[i])); d != "" {
			t.Errorf("%s (-imported +exported):\n%s", kind, d)
		}
	}
}

// inUTC has a record's moments as stores return them.
func inUTC(r transfer.Record) transfer.Record {
	m := new(Memory)
	m.data = m.data.clone()
	if u, ok := r.(transfer.User); ok { // who has a time for each item
		u.CreatedAt, u.EpochAt, u.ProfileAt, u.SignInAt = moment(u.CreatedAt), moment(u.EpochAt), moment(u.ProfileAt), moment(u.SignInAt)
		return u
	}
	if m.take(r) != nil {
		return r
	}
	return m.records()[0]
}

// fullRecords are one of each kind.
func fullRecords() []transfer.Record {
	var u transfer.User
	fill(&u)
	u.Username, u.Email, u.UpdatedAt = "Ada", "Ada@example.com", time.Time{}
	var c storage.Credential
	fill(&c)
	c.UserID = u.ID
	var e storage.Session
	fill(&e)
	e.UserID = u.ID
	var k storage.Ticket
	fill(&k)
	var m storage.Mark
	fill(&m)
	var q outbox.Mail
	fill(&q)
	var v storage.Event
	fill(&v)
	var r storage.Revocation
	fill(&r)
	var n transfer.Count
	fill(&n)
	var g keyring.Record
	fill(&g)
	return []transfer.Record{u, transfer.DeletedUser{ID: "gone " + anyText}, c, e, k, m, q, v, r, n, g}
}

// sessionsNeedUsers: those of a deleted user are not exported, whatever a store keeps.
func sessionsNeedUsers(t *testing.T, s, other Store) {
	w := newWorld(t, s, other)
	mustCommit(t, s, storage.DeleteUser{User: w.user("ada")})
	for _, r := range exportAll(t, other) {
		if e, ok := r.(storage.Session); ok && e.UserID != "id-bob" {
			t.Errorf("session %s of %s, who is deleted, is exported", e.ID, e.UserID)
		}
		if u, ok := r.(transfer.User); ok && u.ID == "id-ada" {
			t.Error("a deleted user is exported")
		}
	}
}

// manyRecords are more than a page of any store.
func manyRecords(t *testing.T, s, other Store) {
	var records []transfer.Record
	for i := range 130 {
		u := user(fmt.Sprint("user", i))
		e := session(fmt.Sprint("session", i), u)
		records = append(records, transfer.User{User: u, ProfileAt: at, SignInAt: at}, e, transfer.Count{Key: fmt.Sprint(i), Count: limit.Count{Empty: at, Last: at}})
	}
	for i, r := range records {
		if u, ok := r.(transfer.User); ok {
			u.Version, u.SignInVersion, u.UpdatedAt = int64(i), 1, time.Time{}
			records[i] = u
		}
	}
	for chunk := range slices.Chunk(records, 300) {
		if err := s.Import(t.Context(), chunk); err != nil {
			t.Fatalf("Import: %v", err)
		}
	}
	if d := totals(records).Difference(totals(exportAll(t, other))); d != "" {
		t.Errorf("imported and exported: %s", d)
	}
	if n, err := other.Size(t.Context()); err != nil || n != 0 && n != int64(len(records)) {
		t.Errorf("Size is %d, %v; want %d, or 0", n, err, len(records))
	}
	sessions, err := other.UserSessions(t.Context(), "id-user7", 0, 0, all)
	if err != nil || len(sessions) != 1 {
		t.Errorf("the imported user has the sessions %v, %v; want one", sessions, err)
	}
}

// holdsAreGuarded: one at a time is stored, and replaced by its id.
func holdsAreGuarded(t *testing.T, s, other Store) {
	want := func(doing string, id string) {
		t.Helper()
		if h, err := other.Hold(t.Context()); err != nil || h.ID != id {
			t.Fatalf("%s: the hold is %q, %v; want %q", doing, h.ID, err, id)
		}
	}
	put := func(was string, h transfer.Hold) error { return s.PutHold(t.Context(), was, h) }
	full := transfer.Hold{ID: "one", Role: transfer.Target, Peer: anyText, Since: at, Moved: at.Add(time.Second), Cursor: `1 "x"`, All: true,
		Leave: storage.Moments{Expired: at, Events: dayBefore}, Totals: totals(fullRecords())}
	want("at first", "")
	wantError(t, "replacing none", put("none", full), storage.ErrConflict)
	want("after a refusal", "")
	if err := put("", full); err != nil {
		t.Fatal(err)
	}
	if h, err := other.Hold(t.Context()); err != nil || diff(full, h) != "" {
		t.Errorf("Hold: %v (-want +got):\n%s", err, diff(full, h))
	}
	wantError(t, "a second hold", put("", transfer.Hold{ID: "two", Role: transfer.Source}), storage.ErrConflict)
	wantError(t, "ending another hold", put("two", transfer.Hold{}), storage.ErrConflict)
	want("after refusals", "one")
	full.Cursor = "2 y"
	if err := put("one", full); err != nil {
		t.Fatal(err)
	}
	if err := s.Erase(t.Context()); err != nil {
		t.Fatal(err)
	}
	if h, err := other.Hold(t.Context()); err != nil || h.Cursor != "2 y" {
		t.Errorf("after the cursor moved, and Erase: %+v, %v", h, err)
	}
	if err := put("one", transfer.Hold{ID: "three", Role: transfer.Source}); err != nil {
		t.Fatal(err)
	}
	want("replaced", "three")
	if err := put("three", transfer.Hold{}); err != nil {
		t.Fatal(err)
	}
	want("ended", "")
	if b := s.Bounds(); b.Look < 0 || b.Look > time.Minute || b.Write < 0 || b.Write > time.Minute {
		t.Errorf("Bounds are %+v", b)
	}
}

// badCursors are refused, and not taken for the beginning.
func badCursors(t *testing.T, s, _ Store) {
	for _, c := range []storage.Cursor{"x", "99 ", "-1 ", "0", storage.Cursor(strings.Repeat("9", 100))} {
		if page, next, err := s.Export(t.Context(), c, 3); err == nil && (len(page) > 0 || next != "") {
			t.Errorf("Export after %.20q: %d records and no error", c, len(page))
		}
	}
}
