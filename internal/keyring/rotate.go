package keyring

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/latchkey-auth/latchkey"
)

// A Rotation says how a new key takes over.
type Rotation int

const (
	// Planned: it signs once every cache of the published set can have it.
	Planned Rotation = iota
	// AtOnce: it signs now. Caches of the set do not know it yet.
	AtOnce
	// Revoking: it signs now, and no other key verifies any longer. For keys
	// that may have been stolen.
	Revoking
)

// Begin creates the first key, which signs at once, where there is none. Of any
// number of processes that begin at the same time one creates it, and all use it:
// a second key would retire the first in a moment.
func (k *Keyring) Begin(ctx context.Context, alg latchkey.Algorithm) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if err := k.load(ctx); err != nil || len(k.keys) > 0 {
		return err
	}
	private, err := generate(alg)
	if err != nil {
		return err
	}
	public, err := private.key()
	if err != nil {
		return err
	}
	_, err = k.store(ctx, key{public: public, private: private}, k.cfg.Now(), nil)
	if errors.Is(err, ErrExists) { // its number is taken since we looked
		return k.load(ctx)
	}
	return err
}

// Rotate creates a key that takes over. The first one signs at once.
func (k *Keyring) Rotate(ctx context.Context, alg latchkey.Algorithm, how Rotation) (Record, error) {
	private, err := generate(alg)
	if err != nil {
		return Record{}, err
	}
	return k.add(ctx, private, how)
}

// Import adds a private key from elsewhere (PEM or JWK), as Rotate would a new
// one, or a public key, whose tokens then verify until the time given.
func (k *Keyring) Import(ctx context.Context, doc []byte, how Rotation, verifyUntil time.Time) (Record, error) {
	private, public, err := ParseKey(doc)
	if err != nil {
		return Record{}, err
	}
	if private != nil {
		return k.add(ctx, private, how)
	}
	t := k.cfg.Now()
	if !verifyUntil.After(t) {
		return Record{}, errors.New("a public key only verifies: say until when")
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if err := k.load(ctx); err != nil {
		return Record{}, err
	}
	return k.store(ctx, key{Record: Record{RetiresAt: t, ExpiresAt: verifyUntil}, public: public}, t, nil)
}

func (k *Keyring) add(ctx context.Context, private signer, how Rotation) (Record, error) {
	public, err := private.key()
	if err != nil {
		return Record{}, err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if err := k.load(ctx); err != nil {
		return Record{}, err
	}
	t := k.cfg.Now()
	active := t.Add(publishFirst)
	if how != Planned || signing(k.keys, t) == nil {
		active = t
	}
	verify := k.cfg.TokenTTL + Leeway
	if how == Revoking {
		verify = 0
	}
	var replaced []Record
	for _, old := range k.keys {
		ended := old.private == nil || !old.RetiresAt.IsZero() && old.RetiresAt.Before(active)
		if ended && (how != Revoking || old.expired(t)) {
			continue
		}
		if !ended {
			old.RetiresAt = active
		}
		old.ExpiresAt = active.Add(verify)
		replaced = append(replaced, old.Record)
	}
	return k.store(ctx, key{public: public, private: private}, active, replaced)
}

// store adds the key under the number that follows those in k.keys. k.mu is
// held, and has been since they were loaded: replaced was made from them, and a
// key that another process added meanwhile, of which replaced knows nothing, has
// taken the number.
func (k *Keyring) store(ctx context.Context, new key, active time.Time, replaced []Record) (Record, error) {
	new.Number = 1
	if n := len(k.keys); n > 0 {
		new.Number = k.keys[n-1].Number + 1
	}
	new.ID, new.Algorithm = new.public.ID(), new.public.Algorithm()
	new.Public = new.public.AppendJWK(nil)
	new.CreatedAt, new.ActiveAt = k.cfg.Now(), active
	if new.private != nil {
		sealed, err := k.cfg.MasterKey.seal(new)
		if err != nil {
			return Record{}, err
		}
		new.Sealed = sealed
	}
	if err := k.cfg.Store.AddKey(ctx, new.Record, replaced); err != nil {
		return Record{}, fmt.Errorf("storing signing key: %w", err)
	}
	return new.Record, k.load(ctx)
}
