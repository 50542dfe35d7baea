package storetest

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/latchkey-auth/latchkey/internal/auth"
)

func sessionIsReadWithUser(t *testing.T, s, other Store) {
	u := user("ada")
	want := session("s1", u)
	mustCommit(t, s, auth.Batch{CreateUsers: []auth.User{u}, CreateSessions: []auth.Session{want}})
	u.Version = 1
	gotSession, gotUser, err := other.SessionUser(t.Context(), "s1")
	if err != nil {
		t.Fatalf("SessionUser: %v", err)
	}
	want.Version = 1
	if d := cmp.Diff(want, gotSession); d != "" {
		t.Errorf("session (-want +got):\n%s", d)
	}
	if d := cmp.Diff(u, gotUser); d != "" {
		t.Errorf("user (-want +got):\n%s", d)
	}
}

func sessionUpdateMindsNoRefresh(t *testing.T, s, other Store) {
	u := user("ada")
	old := session("s1", u)
	mustCommit(t, s, auth.Batch{CreateUsers: []auth.User{u}, CreateSessions: []auth.Session{old}})
	u.Version, old.Version = 1, 1
	want := old
	want.RefreshHash, want.PreviousHash, want.RotatedAt, want.Rotations = []byte{2}, []byte{0, 1, 0xFF}, at.Add(time.Hour), 7
	want.LastUsedAt, want.Device, want.Address = at.Add(2*time.Second), "another", "192.0.2.8"
	mustCommit(t, s, auth.Batch{RotateSessions: []auth.Rotation{{Session: want, User: u}}})
	update := func(e auth.Session) error {
		return s.Commit(t.Context(), auth.Batch{UpdateSessions: []auth.Session{e}})
	}
	for i, change := range []func(*auth.Session){
		func(e *auth.Session) { e.Since = at.Add(time.Second) },
		func(e *auth.Session) { e.EndedAt = at.Add(3 * time.Second) },
	} {
		change(&old) // as it was before the rotation
		change(&want)
		want.Version = int64(3 + i)
		if err := update(old); err != nil {
			t.Fatal(err)
		}
		got, _, err := other.SessionUser(t.Context(), "s1")
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("session (-want +got):\n%s", d)
		}
	}
	wantError(t, "update of an ended session", update(want), auth.ErrConflict)
	wantError(t, "update of no session", update(session("none", u)), auth.ErrConflict)
}

func rotationIsCompareAndSwap(t *testing.T, s, other Store) {
	u := user("ada")
	e := session("s1", u)
	mustCommit(t, s, auth.Batch{CreateUsers: []auth.User{u}, CreateSessions: []auth.Session{e}})
	u.Version, e.Version = 1, 1
	rotate := func() error {
		e.RefreshHash, e.PreviousHash, e.RotatedAt, e.Rotations = []byte{2}, []byte{0, 1, 0xFF}, at.Add(time.Hour), e.Rotations+1
		e.Device, e.Address, e.LastUsedAt = "another", "192.0.2.8", at.Add(2*time.Second)
		return s.Commit(t.Context(), auth.Batch{RotateSessions: []auth.Rotation{{Session: e, User: u}}})
	}
	if err := rotate(); err != nil {
		t.Fatal(err)
	}
	wantError(t, "the same rotation again", rotate(), auth.ErrConflict)
	e.Version, e.Rotations = 2, 1
	got, owner, err := other.SessionUser(t.Context(), "s1")
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(e, got); d != "" {
		t.Errorf("session (-want +got):\n%s", d)
	}
	wantUser(t, other, owner)
	mustCommit(t, other, auth.Batch{UpdateUsers: []auth.User{u}})
	wantError(t, "a rotation for the user as they were", rotate(), auth.ErrConflict)
	u.Version = 2
	if err := rotate(); err != nil {
		t.Errorf("a rotation for the user as they are: %v", err)
	}
	mustCommit(t, other, auth.Batch{DeleteUsers: []auth.User{u}})
	wantError(t, "a rotation for nobody", rotate(), auth.ErrConflict)
}

func recentSessions(t *testing.T, s, other Store) {
	u := user("ada")
	mustCommit(t, s, auth.Batch{CreateUsers: []auth.User{u}, CreateSessions: []auth.Session{session("s1", u)}})
	recent := func() (auth.Session, auth.User) {
		t.Helper()
		session, user, err := s.RecentSessionUser(t.Context(), "s1")
		if err != nil {
			t.Fatal(err)
		}
		return session, user
	}
	_, _, err := s.RecentSessionUser(t.Context(), "none")
	wantError(t, "no session", err, auth.ErrNotFound)
	e, known := recent()
	if e.ID != "s1" || e.Version != 1 || known.ID != u.ID || known.Version != 1 {
		t.Errorf("got %+v of %+v", e, known)
	}
	e.RefreshHash = []byte{7}
	mustCommit(t, s, auth.Batch{RotateSessions: []auth.Rotation{{Session: e, User: known}}})
	if again, _ := recent(); again.Version != 2 || again.RefreshHash[0] != 7 {
		t.Errorf("after an own change: %+v", again)
	}
	// Somebody else ends the session, and disables the user.
	theirs, theirUser, err := other.SessionUser(t.Context(), "s1")
	if err != nil {
		t.Fatal(err)
	}
	theirs.EndedAt, theirUser.Disabled = at, true
	e, known = recent()
	mustCommit(t, other, auth.Batch{UpdateSessions: []auth.Session{theirs}})
	rotation := auth.Batch{RotateSessions: []auth.Rotation{{Session: e, User: known}}}
	wantError(t, "an ended session", s.Commit(t.Context(), rotation), auth.ErrConflict)
	mustCommit(t, other, auth.Batch{UpdateUsers: []auth.User{theirUser}})
	wantError(t, "a disabled user", s.Commit(t.Context(), auth.Batch{CheckUsers: []auth.User{known}}), auth.ErrConflict)
	if now, user, err := s.SessionUser(t.Context(), "s1"); err != nil || now.EndedAt.IsZero() || !user.Disabled {
		t.Errorf("SessionUser: %+v of %+v, %v", now, user, err)
	}
}

func racingEnds(t *testing.T, s, other Store) {
	u := user("ada")
	e := session("s1", u)
	mustCommit(t, s, auth.Batch{CreateUsers: []auth.User{u}, CreateSessions: []auth.Session{e}})
	e.Version = 1
	won := race(t, s, other, auth.ErrConflict, func(ctx context.Context, s Store, i int) error {
		mine := e
		mine.EndedAt = at.Add(time.Duration(i) * time.Second)
		return s.Commit(ctx, auth.Batch{UpdateSessions: []auth.Session{mine}})
	})
	if won != 1 {
		t.Errorf("%d racers won, want 1", won)
	}
}

func userSessionsAreListed(t *testing.T, s, other Store) {
	const idle, latest = time.Hour, 2 * time.Hour // so that the dead stand before the living
	now := at.Add(2 * time.Hour)
	ada, bob := user("ada"), user("bob")
	begun := func(id string, after time.Duration, changes ...func(*auth.Session)) auth.Session {
		e := session(id, ada)
		e.Since, e.CreatedAt, e.LastUsedAt, e.ExpiresAt = at, at.Add(after), now, now.Add(time.Microsecond)
		for _, change := range changes {
			change(&e)
		}
		return e
	}
	used := func(before time.Duration) func(*auth.Session) {
		return func(e *auth.Session) { e.LastUsedAt = now.Add(-before) }
	}
	mustCommit(t, s, auth.Batch{CreateUsers: []auth.User{ada, bob}, CreateSessions: []auth.Session{
		begun("newest", time.Hour, used(idle-time.Microsecond)),
		begun("old", time.Second, used(0)),
		begun("twin 2", time.Minute),
		begun("twin 1", time.Minute, used(time.Second)),
		begun("ended", latest, func(e *auth.Session) { e.EndedAt = at }),
		begun("expired", latest, func(e *auth.Session) { e.ExpiresAt = now }),
		begun("idle", latest, used(idle)),
		begun("before", latest, func(e *auth.Session) { e.Since = at.Add(-time.Microsecond) }),
		begun("after", latest, func(e *auth.Session) { e.Since = at.Add(time.Microsecond) }),
		begun("another's", latest, func(e *auth.Session) { e.UserID = bob.ID }),
	}})
	list := func(limit int) string {
		page, err := other.UserSessions(t.Context(), ada.ID, at, now, idle, limit)
		if err != nil {
			t.Fatal(err)
		}
		var ids []string
		for _, e := range page {
			ids = append(ids, string(e.ID))
		}
		return fmt.Sprint(ids)
	}
	if got, want := list(10), "[newest twin 1 twin 2 old]"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if got, want := list(2), "[newest twin 1]"; got != want {
		t.Errorf("the first two: got %s, want %s", got, want)
	}
}

func deletion(t *testing.T, s, other Store) {
	u := user("ada")
	mustCommit(t, s, auth.Batch{CreateUsers: []auth.User{u}, CreateSessions: []auth.Session{session("s1", u)}})
	wantError(t, "deletion of another version", s.Commit(t.Context(), auth.Batch{DeleteUsers: []auth.User{u}}), auth.ErrConflict)
	u.Version = 1
	mustCommit(t, s, auth.Batch{DeleteUsers: []auth.User{u}})
	wantError(t, "deletion again", s.Commit(t.Context(), auth.Batch{DeleteUsers: []auth.User{u}}), auth.ErrConflict)
	_, err := other.User(t.Context(), u.ID)
	wantError(t, "User", err, auth.ErrNotFound)
	_, _, err = other.SessionUser(t.Context(), "s1")
	wantError(t, "SessionUser", err, auth.ErrNotFound)
	// The id stays known, and is nobody's any more.
	again := user("ada")
	wantError(t, "the same id again", s.Commit(t.Context(), auth.Batch{CreateUsers: []auth.User{again}}), auth.ErrTaken)
	again.ID = "another"
	mustCommit(t, s, auth.Batch{CreateUsers: []auth.User{again}})
	for id, want := range map[auth.UserID]bool{u.ID: true, again.ID: false, "nobody": false} {
		if deleted, err := other.UserDeleted(t.Context(), id); err != nil || deleted != want {
			t.Errorf("%s: deleted %v, %v; want %v", id, deleted, err, want)
		}
	}
}

func hitsAreCounted(t *testing.T, s, other Store) {
	hit := func(after time.Duration) {
		t.Helper()
		mustCommit(t, s, auth.Batch{Hits: []auth.Hit{{Key: "k", At: at.Add(after), Fade: time.Minute}}})
	}
	want := func(level float64, last time.Duration) {
		t.Helper()
		counts, err := other.Counts(t.Context(), []string{"unknown", "k"})
		if err != nil || len(counts) != 2 || counts[0] != (auth.Count{}) {
			t.Fatalf("got %v, %v; want two counts, the first zero", counts, err)
		}
		if c := counts[1]; c.Level < level-0.001 || c.Level > level+0.001 || !c.Last.Equal(at.Add(last)) {
			t.Errorf("got level %v at %v, want %v at %v", c.Level, c.Last, level, at.Add(last))
		}
	}
	hit(0)
	want(1, 0)
	hit(0)
	want(2, 0)
	hit(30 * time.Second)
	want(2.5, 30*time.Second)
	hit(90 * time.Second)
	want(2.5, 90*time.Second)
	hit(time.Hour)
	want(1, time.Hour)
	u := user("ada")
	u.Version = 7
	failing := auth.Batch{Hits: []auth.Hit{{Key: "k", At: at.Add(time.Hour), Fade: time.Minute}}, UpdateUsers: []auth.User{u}}
	wantError(t, "a batch that fails", s.Commit(t.Context(), failing), auth.ErrConflict)
	want(1, time.Hour)
}

func racingHits(t *testing.T, s, other Store) {
	race(t, s, other, nil, func(ctx context.Context, s Store, _ int) error {
		return s.Commit(ctx, auth.Batch{Hits: []auth.Hit{{Key: "k", At: at, Fade: time.Hour}}})
	})
	counts, err := s.Counts(t.Context(), []string{"k"})
	if err != nil || counts[0].Level != racers {
		t.Errorf("got %v, %v; want %d", counts, err, racers)
	}
}

func checkUsers(t *testing.T, s, other Store) {
	u := user("ada")
	mustCommit(t, s, auth.Batch{CreateUsers: []auth.User{u}})
	u.Version = 1
	bound := auth.Batch{CheckUsers: []auth.User{u}, CreateSessions: []auth.Session{session("s1", u)}}
	mustCommit(t, s, bound)
	wantUser(t, other, u) // checked, not changed
	mustCommit(t, s, auth.Batch{UpdateUsers: []auth.User{u}})
	bound.CreateSessions = []auth.Session{session("s2", u)}
	wantError(t, "bound to an old version", s.Commit(t.Context(), bound), auth.ErrConflict)
	stranger := user("nobody")
	stranger.Version = 1
	wantError(t, "bound to a stranger", s.Commit(t.Context(), auth.Batch{CheckUsers: []auth.User{stranger}}), auth.ErrConflict)
	wantError(t, "a stranger's session", s.Commit(t.Context(), auth.Batch{CreateSessions: []auth.Session{session("s3", stranger)}}), auth.ErrConflict)
	for _, id := range []auth.SessionID{"s2", "s3"} {
		_, _, err := other.SessionUser(t.Context(), id)
		wantError(t, "SessionUser", err, auth.ErrNotFound)
	}
}
