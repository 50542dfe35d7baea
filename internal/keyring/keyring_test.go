package keyring_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/latchkey-auth/latchkey"
	"github.com/latchkey-auth/latchkey/internal/auth"
	"github.com/latchkey-auth/latchkey/internal/keyring"
	"github.com/latchkey-auth/latchkey/internal/sqlstore"
	"github.com/latchkey-auth/latchkey/internal/storage"
	"github.com/latchkey-auth/latchkey/internal/storage/storetest"
)

const (
	issuer   = "https://auth.example.com"
	audience = "https://api.example.com"
	tokenTTL = 15 * time.Minute

	// untilActive is how long a key is published before it signs: as long as
	// caches keep the set, and until every process has read the store again.
	untilActive = keyring.JWKSMaxAge + 20*time.Second
)

var start = time.Date(2026, 3, 14, 9, 26, 53, 0, time.UTC)

// fixture is a store, a clock and a master key, on which any number of keyrings
// can be opened.
type fixture struct {
	*testing.T
	store  *sqlstore.Store
	clock  *storetest.Clock
	master keyring.MasterKey
}

func newFixture(t *testing.T) *fixture { return fixtureOn(t, sqlstore.Memory) }

func fixtureOn(t *testing.T, path string) *fixture {
	t.Helper()
	store, err := sqlstore.Open(t.Context(), path, true)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	return &fixture{t, store, storetest.NewClock(start), keyring.NewMasterKey()}
}

func (f *fixture) open() *keyring.Keyring { return f.openOn(f.store) }

func (f *fixture) openOn(s keyring.Store) *keyring.Keyring {
	f.Helper()
	k, err := keyring.Open(f.Context(), keyring.Config{Store: s, MasterKey: f.master, TokenTTL: tokenTTL, Now: f.clock.Now})
	if err != nil {
		f.Fatal(err)
	}
	return k
}

func (f *fixture) rotate(k *keyring.Keyring, alg latchkey.Algorithm, how keyring.Rotation) keyring.Record {
	f.Helper()
	r, err := k.Rotate(f.Context(), alg, how)
	if err != nil {
		f.Fatal(err)
	}
	return r
}

// sign makes a token of the longest life that is allowed.
func (f *fixture) sign(k auth.Signer) string {
	f.Helper()
	now := f.clock.Now().Unix()
	claims := fmt.Sprintf(`{"iss":%q,"aud":%q,"sub":"u1","iat":%d,"exp":%d}`, issuer, audience, now, now+int64(tokenTTL/time.Second))
	token, err := k.Sign(f.Context(), "at+jwt", []byte(claims))
	if err != nil {
		f.Fatal(err)
	}
	return token
}

func (f *fixture) verify(keys latchkey.KeySet, token string) error {
	f.Helper()
	v, err := latchkey.New(latchkey.Config{Keys: keys, Issuer: issuer, Audience: audience, Leeway: time.Minute, Now: f.clock.Now})
	if err != nil {
		f.Fatal(err)
	}
	_, err = v.Verify(f.Context(), token)
	return err
}

// kid returns the id of the key that signs now.
func (f *fixture) kid(k *keyring.Keyring) string {
	f.Helper()
	return header(f.T, f.sign(k))["kid"]
}

func header(t *testing.T, token string) map[string]string {
	t.Helper()
	part, _, _ := strings.Cut(token, ".")
	doc, err := base64.RawURLEncoding.DecodeString(part)
	if err != nil {
		t.Fatal(err)
	}
	var h map[string]string
	if err := json.Unmarshal(doc, &h); err != nil {
		t.Fatal(err)
	}
	return h
}

// published returns the ids in the published set.
func (f *fixture) published(k *keyring.Keyring) []string {
	f.Helper()
	var set struct {
		Keys []map[string]string `json:"keys"`
	}
	if err := json.Unmarshal(k.JWKS(f.Context()), &set); err != nil {
		f.Fatal(err)
	}
	ids := []string{}
	for _, key := range set.Keys {
		ids = append(ids, key["kid"])
	}
	return ids
}

func (f *fixture) wantPublished(k *keyring.Keyring, ids ...string) {
	f.Helper()
	if diff := cmp.Diff(append([]string{}, ids...), f.published(k)); diff != "" {
		f.Errorf("published keys (-want +got):\n%s", diff)
	}
}

func TestEmptyKeyringSignsNothing(t *testing.T) {
	f := newFixture(t)
	k := f.open()
	if _, err := k.Sign(t.Context(), "at+jwt", []byte(`{}`)); !errors.Is(err, keyring.ErrNoKey) {
		t.Errorf("got %v, want ErrNoKey", err)
	}
	if got := string(k.JWKS(t.Context())); got != `{"keys":[]}` {
		t.Errorf("published: %s", got)
	}
}

func TestFirstKeySignsAtOnce(t *testing.T) {
	f := newFixture(t)
	k := f.open()
	r := f.rotate(k, latchkey.ES256, keyring.Planned)
	if got := f.kid(k); got != r.ID {
		t.Errorf("signed by %s, want %s", got, r.ID)
	}
	want := keyring.Record{ID: r.ID, Number: 1, Algorithm: latchkey.ES256, Public: r.Public, Sealed: r.Sealed, CreatedAt: start, ActiveAt: start}
	if diff := cmp.Diff([]keyring.Record{want}, k.Records(t.Context())); diff != "" {
		t.Errorf("records (-want +got):\n%s", diff)
	}
}

func TestEveryAlgorithmSignsWhatTheVerifierAccepts(t *testing.T) {
	for _, alg := range []latchkey.Algorithm{latchkey.ES256, latchkey.RS256, latchkey.EdDSA} {
		f := newFixture(t)
		k := f.open()
		r := f.rotate(k, alg, keyring.AtOnce)
		for range 20 { // r and s of ECDSA are shorter than 32 bytes now and then
			token := f.sign(k)
			want := map[string]string{"alg": string(alg), "typ": "at+jwt", "kid": r.ID}
			if diff := cmp.Diff(want, header(t, token)); diff != "" {
				t.Fatalf("%s: header (-want +got):\n%s", alg, diff)
			}
			if err := f.verify(k, token); err != nil {
				t.Fatalf("%s, by the keyring: %v", alg, err)
			}
			set, err := latchkey.ParseJWKS(k.JWKS(t.Context()))
			if err != nil {
				t.Fatal(err)
			}
			if err := f.verify(set, token); err != nil {
				t.Fatalf("%s, by the published set: %v", alg, err)
			}
			if err := f.verify(k, token[:len(token)-8]+"AAAAAAAA"); !errors.Is(err, latchkey.ErrInvalidToken) {
				t.Fatalf("%s, with another signature: got %v, want ErrInvalidToken", alg, err)
			}
		}
	}
	f := newFixture(t)
	for _, alg := range []latchkey.Algorithm{"", "none", latchkey.HS256, "ES384"} {
		if _, err := f.open().Rotate(t.Context(), alg, keyring.AtOnce); err == nil {
			t.Errorf("a key for %q is made", alg)
		}
	}
}

// TestLifeOfAKey walks through the picture in the package comment.
func TestLifeOfAKey(t *testing.T) {
	f := newFixture(t)
	k := f.open()
	first := f.rotate(k, latchkey.ES256, keyring.Planned)
	f.clock.Advance(24 * time.Hour)
	second := f.rotate(k, latchkey.EdDSA, keyring.Planned)
	states := func(want1, want2 keyring.State) {
		t.Helper()
		rs := k.Records(t.Context())
		if got1, got2 := k.State(rs[0]), k.State(rs[1]); got1 != want1 || got2 != want2 {
			t.Errorf("states are %s and %s, want %s and %s", got1, got2, want1, want2)
		}
	}
	signs := func(want keyring.Record) {
		t.Helper()
		if got := f.kid(k); got != want.ID {
			t.Errorf("%s signs, want %s", got, want.ID)
		}
	}

	states(keyring.Active, keyring.Pending)
	signs(first)
	f.wantPublished(k, first.ID, second.ID)

	f.clock.Advance(untilActive - time.Second)
	states(keyring.Active, keyring.Pending)
	signs(first)
	last := f.sign(k) // the first key's last token

	f.clock.Advance(time.Second)
	states(keyring.Retired, keyring.Active)
	signs(second)
	f.wantPublished(k, first.ID, second.ID)

	f.clock.Advance(tokenTTL - 2*time.Second)
	if err := f.verify(k, last); err != nil {
		t.Errorf("the retired key's last token, just before it expires: %v", err)
	}

	f.clock.Advance(keyring.Leeway + time.Second)
	states(keyring.Retired, keyring.Active)
	f.wantPublished(k, first.ID, second.ID)
	f.clock.Advance(time.Second)
	states(keyring.Expired, keyring.Active)
	f.wantPublished(k, second.ID)
	if _, err := k.Key(t.Context(), first.ID, latchkey.ES256); !errors.Is(err, latchkey.ErrKeyNotFound) {
		t.Errorf("expired key: got %v, want ErrKeyNotFound", err)
	}
	if _, err := k.Key(t.Context(), second.ID, latchkey.ES256); !errors.Is(err, latchkey.ErrKeyNotFound) {
		t.Errorf("key under another algorithm: got %v, want ErrKeyNotFound", err)
	}
}

// TestNewKeyIsKnownEverywhereBeforeItSigns: neither a cache of the published set
// nor another process can meet a token whose key it does not know.
func TestNewKeyIsKnownEverywhereBeforeItSigns(t *testing.T) {
	f := newFixture(t)
	here, elsewhere := f.open(), f.open()
	f.rotate(here, latchkey.ES256, keyring.Planned)
	f.clock.Advance(time.Hour)
	elsewhere.JWKS(t.Context()) // has read the store just now
	created := f.clock.Now()
	second := f.rotate(here, latchkey.ES256, keyring.Planned)
	var cached []byte
	for f.clock.Now().Before(created.Add(untilActive + time.Minute)) {
		if f.clock.Now().Sub(created)%keyring.JWKSMaxAge == 9*time.Second { // fetched before elsewhere could know
			cached = elsewhere.JWKS(t.Context())
		}
		token := f.sign(here)
		if err := f.verify(elsewhere, token); err != nil {
			t.Fatalf("%v after the rotation, in another process: %v", f.clock.Now().Sub(created), err)
		}
		if cached != nil {
			set, err := latchkey.ParseJWKS(cached)
			if err != nil {
				t.Fatal(err)
			}
			if err := f.verify(set, token); err != nil {
				t.Fatalf("%v after the rotation, with a cached set: %v", f.clock.Now().Sub(created), err)
			}
		}
		f.clock.Advance(time.Second)
	}
	if got := f.kid(elsewhere); got != second.ID {
		t.Errorf("elsewhere %s signs, want the new key %s", got, second.ID)
	}
}

func TestRotateNowSignsNow(t *testing.T) {
	f := newFixture(t)
	k := f.open()
	first := f.rotate(k, latchkey.ES256, keyring.Planned)
	old := f.sign(k)
	pending := f.rotate(k, latchkey.ES256, keyring.Planned)
	now := f.rotate(k, latchkey.ES256, keyring.AtOnce)
	if got := f.kid(k); got != now.ID {
		t.Errorf("%s signs, want %s", got, now.ID)
	}
	if err := f.verify(k, old); err != nil {
		t.Errorf("token of the key that was replaced: %v", err)
	}
	f.wantPublished(k, first.ID, pending.ID, now.ID)
	// The key that was to come never signs, and goes with the first.
	f.clock.Advance(untilActive)
	if got := f.kid(k); got != now.ID {
		t.Errorf("later %s signs, want still %s", got, now.ID)
	}
	f.clock.Advance(tokenTTL + keyring.Leeway)
	f.wantPublished(k, now.ID)
}

// TestEveryKeyButTheNewestEnds: however keys come to be, each has a successor
// that ends its time.
func TestEveryKeyButTheNewestEnds(t *testing.T) {
	f := newFixture(t)
	k := f.open()
	for i := range 12 {
		f.rotate(k, latchkey.EdDSA, []keyring.Rotation{keyring.AtOnce, keyring.Planned, keyring.Planned}[i%3])
		f.clock.Advance(time.Duration(i) * time.Minute)
	}
	rs := k.Records(t.Context())
	for i, r := range rs {
		if r.Number != int64(i+1) {
			t.Errorf("key %d has the number %d", i+1, r.Number)
		}
		if i == len(rs)-1 {
			break
		}
		next := slices.MinFunc(rs[i+1:], func(a, b keyring.Record) int { return a.ActiveAt.Compare(b.ActiveAt) }).ActiveAt
		if !r.RetiresAt.Equal(next) {
			t.Errorf("key %d retires at %v, its first successor is active at %v", i+1, r.RetiresAt, next)
		}
		if want := r.RetiresAt.Add(tokenTTL + keyring.Leeway); !r.ExpiresAt.Equal(want) {
			t.Errorf("key %d expires at %v, want %v", i+1, r.ExpiresAt, want)
		}
	}
	if last := rs[len(rs)-1]; !last.RetiresAt.IsZero() || !last.ExpiresAt.IsZero() {
		t.Errorf("the newest key ends: %+v", last)
	}
}

// racing lets another process act between a keyring's look at the store and its
// writing there: right after the one or right before the other.
type racing struct {
	keyring.Store
	after, before func()
}

func (r *racing) Keys(ctx context.Context) ([]keyring.Record, error) {
	rs, err := r.Store.Keys(ctx)
	if act := r.after; act != nil {
		r.after = nil
		act()
	}
	return rs, err
}

func (r *racing) AddKey(ctx context.Context, record keyring.Record, replaced []keyring.Record) error {
	if act := r.before; act != nil {
		r.before = nil
		act()
	}
	return r.Store.AddKey(ctx, record, replaced)
}

func TestTwoRotationsAtOnceHaveOneWinner(t *testing.T) {
	for moment, at := range map[string]func(*racing, func()){
		"after the loser has read":     func(r *racing, act func()) { r.after = act },
		"before the loser has written": func(r *racing, act func()) { r.before = act },
	} {
		t.Run(moment, func(t *testing.T) {
			f := newFixture(t)
			store := &racing{Store: f.store}
			winner, loser := f.open(), f.openOn(store)
			first := f.rotate(winner, latchkey.ES256, keyring.Planned)
			var second keyring.Record
			at(store, func() { second = f.rotate(winner, latchkey.ES256, keyring.Planned) })
			if r, err := loser.Rotate(t.Context(), latchkey.ES256, keyring.Planned); !errors.Is(err, keyring.ErrExists) {
				t.Errorf("the later one: got %+v, %v; want ErrExists", r, err)
			}
			f.clock.Advance(untilActive)
			for name, k := range map[string]*keyring.Keyring{"winner": winner, "loser": loser} {
				if got := f.kid(k); got != second.ID {
					t.Errorf("%s signs by %s, want %s", name, got, second.ID)
				}
				f.wantPublished(k, first.ID, second.ID)
			}
		})
	}
}

// TestTheFirstKeyIsOne: of two processes that begin at once, one makes the key and both
// use it.
func TestTheFirstKeyIsOne(t *testing.T) {
	for moment, at := range map[string]func(*racing, func()){
		"before the other looks":       func(_ *racing, act func()) { act() },
		"after the other has looked":   func(r *racing, act func()) { r.after = act },
		"before the other has written": func(r *racing, act func()) { r.before = act },
	} {
		t.Run(moment, func(t *testing.T) {
			f := newFixture(t)
			store := &racing{Store: f.store}
			one, other := f.open(), f.openOn(store)
			at(store, func() {
				if err := one.Begin(t.Context(), latchkey.ES256); err != nil {
					t.Fatal(err)
				}
			})
			if err := other.Begin(t.Context(), latchkey.EdDSA); err != nil {
				t.Fatal(err)
			}
			f.wantPublished(one, f.kid(other))
			if rs := one.Records(t.Context()); len(rs) != 1 || !rs[0].RetiresAt.IsZero() {
				t.Errorf("the keys are %+v, want one without an end", rs)
			}
		})
	}
}

// TestManyRotationsAtOnce: none is lost between two others.
func TestManyRotationsAtOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "latchkey.db")
	f := fixtureOn(t, path)
	other, err := sqlstore.Open(t.Context(), path, false)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	rings := []*keyring.Keyring{f.open(), f.openOn(other)}
	f.rotate(rings[0], latchkey.EdDSA, keyring.AtOnce)
	var all sync.WaitGroup
	for i := range 16 {
		all.Go(func() {
			if _, err := rings[i%2].Rotate(t.Context(), latchkey.EdDSA, keyring.Planned); err != nil && !errors.Is(err, keyring.ErrExists) {
				t.Errorf("got %v, want success or ErrExists", err)
			}
		})
	}
	all.Wait()
	f.clock.Advance(untilActive)
	if a, b := f.kid(rings[0]), f.kid(rings[1]); a != b {
		t.Errorf("two processes sign by two keys, %s and %s", a, b)
	}
	rs := rings[0].Records(t.Context())
	open := slices.DeleteFunc(slices.Clone(rs), func(r keyring.Record) bool { return !r.ExpiresAt.IsZero() })
	if len(rs) < 2 || len(open) != 1 || open[0].ID != rs[len(rs)-1].ID {
		t.Errorf("of %d keys, %d have no end; want the newest alone", len(rs), len(open))
	}
}

func TestOtherProcessesFollow(t *testing.T) {
	f := newFixture(t)
	here, elsewhere := f.open(), f.open()
	first := f.rotate(here, latchkey.ES256, keyring.AtOnce)
	f.clock.Advance(10 * time.Second)
	if got := f.kid(elsewhere); got != first.ID {
		t.Errorf("ten seconds later %s signs elsewhere, want %s", got, first.ID)
	}
}

// failing is a store that cannot be read.
type failing struct {
	keyring.Store
	broken bool
}

func (s *failing) Keys(ctx context.Context) ([]keyring.Record, error) {
	if s.broken {
		return nil, storage.ErrUnavailable
	}
	return s.Store.Keys(ctx)
}

func TestKeysAtHandSurviveAnOutage(t *testing.T) {
	f := newFixture(t)
	store := &failing{Store: f.store}
	k := f.openOn(store)
	first := f.rotate(k, latchkey.ES256, keyring.Planned)
	second := f.rotate(k, latchkey.ES256, keyring.Planned)
	store.broken = true
	f.clock.Advance(time.Minute)
	if err := f.verify(k, f.sign(k)); err != nil {
		t.Errorf("during the outage: %v", err)
	}
	f.clock.Advance(untilActive) // what was known before still happens on time
	if got := f.kid(k); got != second.ID {
		t.Errorf("during the outage %s signs, want %s", got, second.ID)
	}
	f.clock.Advance(time.Hour)
	f.wantPublished(k, second.ID)
	if _, err := k.Rotate(t.Context(), latchkey.ES256, keyring.AtOnce); !errors.Is(err, storage.ErrUnavailable) {
		t.Errorf("Rotate: got %v, want the store's error", err)
	}
	if _, err := keyring.Open(t.Context(), keyring.Config{Store: store}); !errors.Is(err, storage.ErrUnavailable) {
		t.Errorf("Open: got %v, want the store's error", err)
	}
	store.broken = false
	f.clock.Advance(10 * time.Second)
	f.rotate(k, latchkey.ES256, keyring.AtOnce)
	if got := f.kid(k); got == first.ID || got == second.ID {
		t.Errorf("after the outage %s signs, want the new key", got)
	}
}
