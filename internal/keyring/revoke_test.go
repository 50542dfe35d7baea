package keyring_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/latchkey-auth/latchkey"
	"github.com/latchkey-auth/latchkey/internal/keyring"
)

// TestRevokingRotation is for a key that was stolen: nothing that it or an older
// one has signed verifies any longer, in any process.
func TestRevokingRotation(t *testing.T) {
	f := newFixture(t)
	k, elsewhere := f.open(), f.open()
	first := f.rotate(k, latchkey.ES256, keyring.AtOnce)
	f.clock.Advance(time.Minute)
	second := f.rotate(k, latchkey.ES256, keyring.AtOnce)
	waiting := f.rotate(k, latchkey.EdDSA, keyring.Planned)
	f.clock.Advance(time.Minute)
	last := f.rotate(k, latchkey.ES256, keyring.Revoking)
	f.clock.Advance(11 * time.Second) // the other process has loaded again
	for name, ring := range map[string]*keyring.Keyring{"here": k, "elsewhere": elsewhere} {
		for _, old := range []keyring.Record{first, second, waiting} {
			if _, err := ring.Key(t.Context(), old.ID, old.Algorithm); !errors.Is(err, latchkey.ErrKeyNotFound) {
				t.Errorf("%s: key %d: %v, want ErrKeyNotFound", name, old.Number, err)
			}
			if strings.Contains(string(ring.JWKS(t.Context())), old.ID) {
				t.Errorf("%s: key %d is still published", name, old.Number)
			}
		}
		if _, err := ring.Key(t.Context(), last.ID, last.Algorithm); err != nil {
			t.Errorf("%s: the new key: %v", name, err)
		}
		if _, err := ring.Sign(t.Context(), "at+jwt", []byte(`{}`)); err != nil {
			t.Errorf("%s: signing: %v", name, err)
		}
	}
}
