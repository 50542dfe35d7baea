// Package keyring creates, keeps and rotates the keys that sign access tokens.
//
// A key's life is a row of moments, so that every process that shares the store
// does the same at the same time without talking to the others:
//
//	created ──► active ──────────► retired ──────────► expired
//	published   published, signs   published,          gone
//	            new tokens         its tokens verify
//
// Rotate creates the next key published but not active: every cache of the
// published set has it before the first token signed by it appears. A key
// retires when its successor becomes active, and expires when the last token it
// signed has.
//
// Private keys are sealed under the master key before they reach the store.
// Start at [Open].
package keyring

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/latchkey-auth/latchkey"
)

// JWKSMaxAge is how long caches may keep the published key set: the max-age of
// /.well-known/jwks.json.
const JWKSMaxAge = 5 * time.Minute

// reloadEvery is how soon a running process sees a key that another one added.
const reloadEvery = 10 * time.Second

// publishFirst is how long a new key is published before it signs: until no
// process and no cache can still hold the set without it.
const publishFirst = JWKSMaxAge + reloadEvery + 10*time.Second

// Leeway is added to the life of a retired key, for verifiers whose clocks are
// behind.
const Leeway = time.Minute

// A Record is one key as the store keeps it. Records are never changed, except
// that a successor ends their time.
type Record struct {
	ID        string // kid: the RFC 7638 thumbprint
	Number    int64  // 1, 2, 3, …: guards against two rotations at once
	Algorithm latchkey.Algorithm
	Public    []byte // the public JWK
	Sealed    []byte // the private key, sealed; empty: verifies only
	CreatedAt time.Time
	ActiveAt  time.Time // signs from then on
	RetiresAt time.Time // zero: has no successor
	ExpiresAt time.Time // zero: has no successor
}

// Errors of a Store and of a Keyring.
var (
	// ErrExists: a key with that number or id is there already.
	ErrExists = errors.New("key exists already")
	// ErrNoKey: there is no key that signs now.
	ErrNoKey = errors.New("no signing key")
)

// A Store keeps records.
type Store interface {
	// Keys returns all keys, by number, expired ones too until they are purged.
	Keys(ctx context.Context) ([]Record, error)
	// AddKey stores a new key and, in the same transaction, ends the time of
	// the keys that it replaces: each is retired and expires at the given
	// moments. ErrExists when its number or id is taken.
	AddKey(ctx context.Context, r Record, replaced []Record) error
}

// Config is what a Keyring needs.
type Config struct {
	Store     Store
	MasterKey MasterKey
	TokenTTL  time.Duration    // how long the longest token lives
	Now       func() time.Time // nil: time.Now
	Log       *slog.Logger     // nil: nothing is logged
}

// A Keyring signs with the active key and verifies with every published one.
// It implements [latchkey.KeySet].
type Keyring struct {
	cfg Config

	mu     sync.Mutex // guards keys and loaded
	keys   []key      // by number
	loaded time.Time
}

// String and Format keep the keys out of logs: fmt does not ask the MasterKey
// inside how it wants to be shown.
func (k *Keyring) String() string { return "[keyring]" }

func (k *Keyring) Format(f fmt.State, _ rune) { io.WriteString(f, k.String()) }

// key is a record with its keys opened.
type key struct {
	Record
	public  *latchkey.Key // nil: cannot be read, and verifies nothing
	private signer        // nil: verifies only
}

// Open loads the keys from the store. A keyring without keys is no error: Sign
// then returns ErrNoKey.
func Open(ctx context.Context, cfg Config) (*Keyring, error) {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	k := &Keyring{cfg: cfg}
	k.mu.Lock()
	defer k.mu.Unlock()
	if err := k.load(ctx); err != nil {
		return nil, err
	}
	return k, nil
}

// load reads the store, keeping keys that are open already. A key that cannot be
// opened is an error where it signs, now or later: to go on without it would sign
// with another, or make one. A retired one verifies
// nothing any longer. k.mu is held.
func (k *Keyring) load(ctx context.Context) error {
	now := k.cfg.Now()
	records, err := k.cfg.Store.Keys(ctx)
	if err != nil {
		return fmt.Errorf("reading signing keys: %w", err)
	}
	keys := make([]key, 0, len(records))
	for _, r := range records {
		if i := slices.IndexFunc(k.keys, func(old key) bool { return old.ID == r.ID }); i >= 0 {
			keys = append(keys, key{Record: r, public: k.keys[i].public, private: k.keys[i].private})
			continue
		}
		opened, err := k.cfg.MasterKey.open(r)
		if err != nil && r.signs(now) {
			return err
		}
		if err != nil {
			k.cfg.Log.Error("a retired signing key cannot be read: its tokens are refused, the other keys serve",
				slog.String("kid", r.ID), slog.String("error", err.Error()))
			opened = key{Record: r}
		}
		keys = append(keys, opened)
	}
	k.keys, k.loaded = keys, now
	return nil
}

// current returns the keys, read again when the last look is too old. When the
// store cannot be read the keys at hand stay good: they carry their own times.
func (k *Keyring) current(ctx context.Context) []key {
	k.mu.Lock()
	defer k.mu.Unlock()
	if now := k.cfg.Now(); now.Sub(k.loaded) >= reloadEvery || now.Before(k.loaded) {
		if err := k.load(ctx); err != nil {
			k.loaded = now // not again for every request
			k.cfg.Log.Warn("signing keys could not be read again; those at hand stay in use", slog.String("error", err.Error()))
		}
	}
	return k.keys
}

// Sign signs the claims with the key that is active now.
func (k *Keyring) Sign(ctx context.Context, typ string, claims []byte) (string, error) {
	now := k.cfg.Now()
	if active := signing(k.current(ctx), now); active != nil {
		return sign(active.private, string(active.Algorithm), active.ID, typ, claims)
	}
	return "", ErrNoKey
}

// signing returns the newest key that is active and can sign.
func signing(keys []key, now time.Time) *key {
	for i := len(keys) - 1; i >= 0; i-- {
		if k := &keys[i]; k.private != nil && !now.Before(k.ActiveAt) {
			return k
		}
	}
	return nil
}

// Key returns the published key that a token names; [latchkey.ErrKeyNotFound].
func (k *Keyring) Key(ctx context.Context, id string, alg latchkey.Algorithm) (*latchkey.Key, error) {
	now := k.cfg.Now()
	for _, key := range k.current(ctx) {
		if key.ID == id && key.Algorithm == alg && key.public != nil && !key.expired(now) {
			return key.public, nil
		}
	}
	return nil, latchkey.ErrKeyNotFound
}

// signs reports whether the record is of a key that signs at now or will.
func (r Record) signs(now time.Time) bool {
	return len(r.Sealed) > 0 && (r.RetiresAt.IsZero() || now.Before(r.RetiresAt))
}

func (r Record) expired(now time.Time) bool {
	return !r.ExpiresAt.IsZero() && !now.Before(r.ExpiresAt)
}

// JWKS returns the published key set (RFC 7517 section 5).
func (k *Keyring) JWKS(ctx context.Context) []byte {
	doc := []byte(`{"keys":[`)
	now := k.cfg.Now()
	for _, key := range k.current(ctx) {
		if key.expired(now) || key.public == nil {
			continue
		}
		if doc[len(doc)-1] == '}' {
			doc = append(doc, ',')
		}
		doc = key.public.AppendJWK(doc)
	}
	return append(doc, `]}`...)
}

// State is where a key stands in its life.
type State string

const (
	Pending State = "pending" // published, will sign from ActiveAt on
	Active  State = "active"  // signs
	Retired State = "retired" // its tokens still verify
	Expired State = "expired" // gone
)

// State says where the record stands at now, given all records.
func (k *Keyring) State(r Record) State {
	now := k.cfg.Now()
	k.mu.Lock()
	defer k.mu.Unlock()
	active := signing(k.keys, now)
	switch {
	case now.Before(r.ActiveAt) && (r.RetiresAt.IsZero() || r.ActiveAt.Before(r.RetiresAt)):
		return Pending // and not passed over by a rotation that could not wait
	case active != nil && active.ID == r.ID:
		return Active
	case r.expired(now):
		return Expired
	}
	return Retired
}

// Records returns the keys, by number.
func (k *Keyring) Records(ctx context.Context) []Record {
	var rs []Record
	for _, key := range k.current(ctx) {
		rs = append(rs, key.Record)
	}
	return rs
}
