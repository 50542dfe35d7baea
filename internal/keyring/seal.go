package keyring

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/latchkey-auth/latchkey"
)

// A MasterKey seals private keys at rest: AES-256-GCM under a key derived from
// it for that purpose alone.
type MasterKey struct {
	key [32]byte
}

// NewMasterKey returns a random one.
func NewMasterKey() MasterKey {
	var m MasterKey
	rand.Read(m.key[:]) // never fails, crypto/rand
	return m
}

// ParseMasterKey reads 32 bytes in standard base64.
func ParseMasterKey(text string) (MasterKey, error) {
	var m MasterKey
	raw, err := base64.StdEncoding.Strict().DecodeString(strings.TrimSpace(text))
	if err != nil || len(raw) != len(m.key) {
		return m, errors.New("master key must be 32 bytes in base64 (44 characters)")
	}
	copy(m.key[:], raw)
	return m, nil
}

// Encode returns what ParseMasterKey reads. Mind where you put it.
func (m MasterKey) Encode() string { return base64.StdEncoding.EncodeToString(m.key[:]) }

// String and Format keep the key out of logs, for every verb.
func (m MasterKey) String() string             { return "[master key]" }
func (m MasterKey) Format(f fmt.State, _ rune) { io.WriteString(f, m.String()) }

// ErrMasterKey: the store was written under another master key.
var ErrMasterKey = errors.New("signing keys cannot be opened with this master key")

// RefreshKey is the key from which refresh tokens are made.
func (m MasterKey) RefreshKey() []byte { return m.derive("latchkey refresh tokens v1") }

// TicketKey is the key under which codes that were mailed are stored.
func (m MasterKey) TicketKey() []byte { return m.derive("latchkey tickets v1") }

// MailKey is the key that seals queued mail.
func (m MasterKey) MailKey() []byte { return m.derive("latchkey mail v1") }

// derive returns a key of its own for each purpose.
func (m MasterKey) derive(purpose string) []byte {
	key, err := hkdf.Key(sha256.New, m.key[:], nil, purpose, 32)
	if err != nil { // only for lengths that HKDF cannot give
		panic(err)
	}
	return key
}

func (m MasterKey) aead() (cipher.AEAD, error) {
	key := m.derive("latchkey signing keys v1")
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCMWithRandomNonce(block)
}

// seal encrypts the private key as PKCS #8. The id is authenticated with it, so
// that rows cannot be swapped.
func (m MasterKey) seal(k key) ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(k.private.crypto())
	if err != nil {
		return nil, fmt.Errorf("encoding private key: %w", err)
	}
	aead, err := m.aead()
	if err != nil {
		return nil, err
	}
	return aead.Seal(nil, nil, der, []byte(k.ID)), nil
}

func (m MasterKey) open(r Record) (key, error) {
	k := key{Record: r}
	set, err := latchkey.ParseJWKS([]byte(`{"keys":[` + string(r.Public) + `]}`))
	if err != nil {
		return k, fmt.Errorf("reading public key %s: %w", r.ID, err)
	}
	if k.public, err = set.Key(context.Background(), r.ID, r.Algorithm); err != nil {
		return k, fmt.Errorf("reading public key %s: %w", r.ID, err)
	}
	if len(r.Sealed) == 0 {
		return k, nil
	}
	aead, err := m.aead()
	if err != nil {
		return k, err
	}
	der, err := aead.Open(nil, nil, r.Sealed, []byte(r.ID))
	if err != nil {
		return k, fmt.Errorf("key %s: %w", r.ID, ErrMasterKey)
	}
	private, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return k, fmt.Errorf("key %s: %w", r.ID, err)
	}
	k.private, err = signerOf(private)
	return k, err
}
