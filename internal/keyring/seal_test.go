package keyring_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/latchkey-auth/latchkey"
	"github.com/latchkey-auth/latchkey/internal/keyring"
)

func TestKeysSurviveReopening(t *testing.T) {
	for _, alg := range []latchkey.Algorithm{latchkey.ES256, latchkey.RS256, latchkey.EdDSA} {
		f := newFixture(t)
		before := f.open()
		r := f.rotate(before, alg, keyring.AtOnce)
		after := f.open()
		if got := f.kid(after); got != r.ID {
			t.Errorf("%s: %s signs after reopening, want %s", alg, got, r.ID)
		}
		if err := f.verify(before, f.sign(after)); err != nil {
			t.Errorf("%s: %v", alg, err)
		}
		if !bytes.Equal(before.JWKS(t.Context()), after.JWKS(t.Context())) {
			t.Errorf("%s: the published set changed", alg)
		}
	}
}

func TestAnotherMasterKeyOpensNothing(t *testing.T) {
	f := newFixture(t)
	f.rotate(f.open(), latchkey.ES256, keyring.AtOnce)
	for name, master := range map[string]keyring.MasterKey{"another": keyring.NewMasterKey(), "no": {}} {
		_, err := keyring.Open(t.Context(), keyring.Config{Store: f.store, MasterKey: master, TokenTTL: tokenTTL, Now: f.clock.Now})
		if !errors.Is(err, keyring.ErrMasterKey) {
			t.Errorf("%s master key: got %v, want ErrMasterKey", name, err)
		}
	}
}

// TestStoreHoldsNoPrivateKey imports a key that the test knows and looks for it
// in what is stored.
func TestStoreHoldsNoPrivateKey(t *testing.T) {
	f := newFixture(t)
	k := f.open()
	doc, seed := ed25519JWK(t)
	if _, err := k.Import(t.Context(), doc, keyring.AtOnce, start); err != nil {
		t.Fatal(err)
	}
	r := k.Records(t.Context())[0]
	stored, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	stored = append(append(append(stored, r.Sealed...), r.Public...), fmt.Sprintf("%+v", r)...)
	for name, form := range map[string]string{
		"as bytes": string(seed), "in hex": hex.EncodeToString(seed),
		"in base64": base64.StdEncoding.EncodeToString(seed)[:40], "in base64url": base64.RawURLEncoding.EncodeToString(seed),
	} {
		if bytes.Contains(stored, []byte(form)) {
			t.Errorf("the record holds the private key, %s", name)
		}
	}
	if len(r.Sealed) < 12+32+16 || bytes.Equal(r.Sealed, f.rotate(k, latchkey.EdDSA, keyring.AtOnce).Sealed) {
		t.Errorf("the sealed key has %d bytes: less than nonce, key and tag", len(r.Sealed))
	}
}

// changed shows a store's records as an attacker with access to the database
// might have changed them.
type changed struct {
	keyring.Store
	change func([]keyring.Record)
}

func (c changed) Keys(ctx context.Context) ([]keyring.Record, error) {
	rs, err := c.Store.Keys(ctx)
	if err == nil {
		c.change(rs)
	}
	return rs, err
}

func TestSealedKeysOpenInTheirPlaceAlone(t *testing.T) {
	for name, change := range map[string]func([]keyring.Record){
		"moved to another record":  func(rs []keyring.Record) { rs[1].Sealed = rs[0].Sealed },
		"swapped":                  func(rs []keyring.Record) { rs[0].Sealed, rs[1].Sealed = rs[1].Sealed, rs[0].Sealed },
		"under another public key": func(rs []keyring.Record) { rs[1].Public = rs[0].Public },
		"under another id":         func(rs []keyring.Record) { rs[1].ID = rs[0].ID + "x" },
		"one bit changed":          func(rs []keyring.Record) { rs[1].Sealed[20] ^= 1 },
		"cut":                      func(rs []keyring.Record) { rs[1].Sealed = rs[1].Sealed[:len(rs[1].Sealed)-1] },
		"cut to one byte":          func(rs []keyring.Record) { rs[1].Sealed = rs[1].Sealed[:1] },
		"under no public key":      func(rs []keyring.Record) { rs[1].Public = nil },
	} {
		f := newFixture(t)
		k := f.open()
		f.rotate(k, latchkey.ES256, keyring.AtOnce)
		f.rotate(k, latchkey.ES256, keyring.AtOnce)
		cfg := keyring.Config{Store: changed{f.store, func([]keyring.Record) {}}, MasterKey: f.master, TokenTTL: tokenTTL, Now: f.clock.Now}
		if _, err := keyring.Open(t.Context(), cfg); err != nil {
			t.Fatal(err)
		}
		cfg.Store = changed{f.store, change}
		if _, err := keyring.Open(t.Context(), cfg); err == nil {
			t.Errorf("a sealed key %s is opened", name)
		}
	}
}

// TestUnreadableRetiredKey: it is of no use any longer, and the others serve. One
// that signs, now or later, is needed.
func TestUnreadableRetiredKey(t *testing.T) {
	bit := func(at int) func([]keyring.Record) {
		return func(rs []keyring.Record) { rs[at].Sealed[20] ^= 1 }
	}
	for name, c := range map[string]struct {
		change func([]keyring.Record)
		opens  bool
	}{
		"retired":                    {bit(0), true},
		"retired, without public":    {func(rs []keyring.Record) { rs[0].Public = nil }, true},
		"retired, of another's":      {func(rs []keyring.Record) { rs[0].Public = rs[1].Public }, true},
		"active":                     {bit(1), false},
		"active, without public key": {func(rs []keyring.Record) { rs[1].Public = []byte(`{}`) }, false},
		"pending":                    {bit(2), false},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			k := f.open()
			retired := f.rotate(k, latchkey.ES256, keyring.AtOnce)
			old := f.sign(k)
			active := f.rotate(k, latchkey.EdDSA, keyring.AtOnce)
			pending := f.rotate(k, latchkey.ES256, keyring.Planned)
			var lines bytes.Buffer
			cfg := keyring.Config{Store: changed{f.store, c.change}, MasterKey: f.master, TokenTTL: tokenTTL, Now: f.clock.Now, Log: slog.New(slog.NewTextHandler(&lines, nil))}
			k, err := keyring.Open(t.Context(), cfg)
			if !c.opens {
				if err == nil {
					t.Fatal("the keyring opens without a key that it needs")
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got := f.kid(k); got != active.ID {
				t.Errorf("%s signs, want %s", got, active.ID)
			}
			if err := f.verify(k, f.sign(k)); err != nil {
				t.Errorf("the active key's token: %v", err)
			}
			if err := f.verify(k, old); !errors.Is(err, latchkey.ErrInvalidToken) {
				t.Errorf("the unreadable key's token: got %v, want a refusal", err)
			}
			f.wantPublished(k, active.ID, pending.ID)
			f.clock.Advance(time.Minute) // read again
			f.wantPublished(k, active.ID, pending.ID)
			if n := strings.Count(lines.String(), "cannot be read"); n != 1 || !strings.Contains(lines.String(), retired.ID) {
				t.Errorf("logged %q, want the unreadable key once", lines.String())
			}
			if next := f.rotate(k, latchkey.ES256, keyring.Revoking); f.kid(k) != next.ID || next.Number != pending.Number+1 {
				t.Errorf("after a rotation %s signs, want %s, of number %d", f.kid(k), next.ID, next.Number)
			}
		})
	}
}

func TestMasterKeysAreReadAsTheyAreWritten(t *testing.T) {
	m := keyring.NewMasterKey()
	if got, err := keyring.ParseMasterKey(" " + m.Encode() + "\n"); err != nil || got != m {
		t.Errorf("got another key than was written (%v)", err)
	}
	if keyring.NewMasterKey() == m {
		t.Error("two new master keys are alike")
	}
	for _, bad := range []string{
		"", "secret", strings.Repeat("A", 43), strings.Repeat("A", 44), strings.Repeat("A", 64),
		base64.StdEncoding.EncodeToString(make([]byte, 31)), base64.StdEncoding.EncodeToString(make([]byte, 33)),
		base64.StdEncoding.EncodeToString(make([]byte, 32))[:43], hex.EncodeToString(make([]byte, 32)),
	} {
		if _, err := keyring.ParseMasterKey(bad); err == nil {
			t.Errorf("%q is taken", bad)
		} else if bad != "" && strings.Contains(err.Error(), bad) {
			t.Errorf("the error quotes the key: %v", err)
		}
	}
}

// TestSecretsDoNotShow prints what holds secrets in every way that a log might.
func TestSecretsDoNotShow(t *testing.T) {
	f := newFixture(t)
	k := f.open()
	f.rotate(k, latchkey.ES256, keyring.AtOnce)
	master, err := base64.StdEncoding.DecodeString(f.master.Encode())
	if err != nil {
		t.Fatal(err)
	}
	secret := keyring.Secret("correct horse battery staple 123")
	for name, c := range map[string]struct {
		value  any
		secret []byte
	}{
		"Secret":                   {secret, secret},
		"Secret in a struct":       {struct{ S keyring.Secret }{secret}, secret},
		"MasterKey":                {f.master, master},
		"pointer to a MasterKey":   {&f.master, master},
		"MasterKey in a Config":    {keyring.Config{MasterKey: f.master}, master},
		"MasterKey within Keyring": {k, master},
		"Keyring inside a struct":  {struct{ K *keyring.Keyring }{k}, master},
	} {
		var shown []string
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%o"} {
			shown = append(shown, fmt.Sprintf(verb, c.value))
		}
		var log bytes.Buffer
		slog.New(slog.NewTextHandler(&log, nil)).Info("x", "value", c.value)
		slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "value", c.value)
		shown = append(shown, log.String())
		if doc, err := json.Marshal(c.value); err == nil {
			shown = append(shown, string(doc))
		}
		for _, text := range shown {
			for _, form := range forms(c.secret) {
				if strings.Contains(strings.ToLower(text), strings.ToLower(form)) {
					t.Errorf("%s is shown as %s", name, text)
				}
			}
		}
	}
}

// forms are the ways in which bytes are written, without what stands around
// them.
func forms(secret []byte) []string {
	decimal := strings.Trim(fmt.Sprint(secret[:8]), "[]")
	var goSyntax, octal []string
	for _, b := range secret[:8] {
		goSyntax = append(goSyntax, fmt.Sprintf("%#x", b))
		octal = append(octal, fmt.Sprintf("%o", b))
	}
	return []string{
		string(secret), hex.EncodeToString(secret), base64.StdEncoding.EncodeToString(secret)[:40],
		decimal, strings.Join(goSyntax, ", "), strings.Join(octal, " "),
	}
}
