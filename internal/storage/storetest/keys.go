package storetest

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/latchkey-auth/latchkey/internal/keyring"
)

func record(number int64) keyring.Record {
	return keyring.Record{
		ID: fmt.Sprint("kid-", number), Number: number, Algorithm: "ES256", Public: []byte(`{"kty":"EC"}`),
		Sealed: []byte{0, 0xFE}, CreatedAt: at, ActiveAt: at.Add(time.Minute),
	}
}

func mustAddKey(t *testing.T, s Store, r keyring.Record, replaced ...keyring.Record) {
	t.Helper()
	if err := s.AddKey(t.Context(), r, replaced); err != nil {
		t.Fatalf("AddKey(%d): %v", r.Number, err)
	}
}

func wantKeys(t *testing.T, doing string, s Store, want ...keyring.Record) {
	t.Helper()
	got, err := s.Keys(t.Context())
	if d := diff(want, got); err != nil || d != "" {
		t.Errorf("%s: keys: %v (-want +got):\n%s", doing, err, d)
	}
}

func keysComeBack(t *testing.T, s, other Store) {
	for _, number := range []int64{10, 2, 9} {
		mustAddKey(t, s, record(number))
	}
	wantKeys(t, "added in another order", other, record(2), record(9), record(10))
}

func keyRetiresOld(t *testing.T, s, other Store) {
	mustAddKey(t, s, record(1))
	mustAddKey(t, s, record(2))
	first, second := record(1), record(2)
	first.RetiresAt, first.ExpiresAt = at.Add(time.Hour), at.Add(2*time.Hour)
	second.RetiresAt, second.ExpiresAt = at.Add(3*time.Hour), at.Add(4*time.Hour)

	sameNumber, sameID := record(1), record(3)
	sameNumber.ID, sameID.ID = "kid-other", "kid-1"
	for doing, r := range map[string]keyring.Record{"a taken number": sameNumber, "a taken id": sameID} {
		wantError(t, doing, s.AddKey(t.Context(), r, []keyring.Record{first}), keyring.ErrExists)
		wantKeys(t, doing, other, record(1), record(2))
	}
	forged := first // a successor ends the time of a key, and changes nothing else
	forged.Sealed, forged.Public, forged.ActiveAt = nil, nil, at.Add(time.Hour)
	mustAddKey(t, s, record(3), forged, second)
	wantKeys(t, "two are retired", other, first, second, record(3))
	wantError(t, "once more, as the answer was lost", other.AddKey(t.Context(), record(3), []keyring.Record{first, second}), keyring.ErrExists)
	wantKeys(t, "once more", s, first, second, record(3))
}

func racingKeys(t *testing.T, s, other Store) {
	mustAddKey(t, s, record(1))
	won := race(t, s, other, keyring.ErrExists, func(ctx context.Context, s Store, i int) error {
		r, old := record(2), record(1)
		r.ID = fmt.Sprint("kid of racer ", i)
		old.RetiresAt, old.ExpiresAt = at.Add(time.Duration(i+1)*time.Hour), at.Add(time.Duration(i+2)*time.Hour)
		return s.AddKey(ctx, r, []keyring.Record{old})
	})
	keys, err := other.Keys(t.Context())
	if err != nil || won != 1 || len(keys) != 2 {
		t.Fatalf("%d won, with %d keys, %v; want 1 and 2", won, len(keys), err)
	}
	winner := keys[0].RetiresAt.Sub(at)/time.Hour - 1
	if want := fmt.Sprint("kid of racer ", int(winner)); keys[1].ID != want {
		t.Errorf("the old key was retired by racer %d, the new one is %q", winner, keys[1].ID)
	}
}

// keySet is some of each of what a purge has to tell apart.
type keySet struct{ expired, last, retired, live keyring.Record }

func purgeableKeys(t *testing.T, s Store, purged time.Time) keySet {
	t.Helper()
	k := keySet{record(1), record(2), record(3), record(4)}
	mustAddKey(t, s, k.expired)
	mustAddKey(t, s, k.last)
	mustAddKey(t, s, k.retired)
	k.expired.RetiresAt, k.expired.ExpiresAt = at, purged.Add(-time.Microsecond)
	k.last.RetiresAt, k.last.ExpiresAt = at, purged
	k.retired.RetiresAt, k.retired.ExpiresAt = at, purged.Add(time.Hour)
	mustAddKey(t, s, k.live, k.expired, k.last, k.retired)
	return k
}

// check: the expired one may have gone, if it was purged; the others are there.
func (k keySet) check(t *testing.T, doing string, s Store, purged bool) {
	t.Helper()
	want := []keyring.Record{k.expired, k.last, k.retired, k.live}
	if keys, err := s.Keys(t.Context()); purged && err == nil && len(keys) < len(want) {
		want = want[1:]
	}
	wantKeys(t, doing, s, want...)
}
