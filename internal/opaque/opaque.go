// Package opaque is the form of tokens that say nothing by themselves: the id under which
// something is looked up, and a secret of 256 bits that proves it. Only the hash of a
// secret is stored.
package opaque

import (
	"crypto/sha256"
	"encoding/base64"
	"strings"
)

const (
	// MaxID is the most bytes of an id.
	MaxID = 64
	// MaxToken is the most bytes of a token.
	MaxToken = MaxID + len(".") + secretText

	// secretText is the length of a secret in base64.
	secretText = (sha256.Size*8 + 5) / 6
)

// Hash is what is stored of a secret.
func Hash(secret []byte) []byte {
	hash := sha256.Sum256(secret)
	return hash[:]
}

// Format joins the id and the secret.
func Format(id string, secret []byte) string { return id + "." + Encode(secret) }

// Parse takes one spelling only.
func Parse(token string) (id string, secret []byte, ok bool) {
	if len(token) > MaxToken {
		return "", nil, false
	}
	id, text, ok := strings.Cut(token, ".")
	if !ok || id == "" || len(id) > MaxID {
		return "", nil, false
	}
	secret, ok = Decode(text)
	return id, secret, ok
}

// Encode is the text of a secret.
func Encode(secret []byte) string { return base64.RawURLEncoding.EncodeToString(secret) }

// Decode takes one spelling only, of a secret of 256 bits.
func Decode(text string) ([]byte, bool) {
	secret, err := base64.RawURLEncoding.Strict().DecodeString(text)
	return secret, err == nil && len(secret) == sha256.Size && !strings.ContainsAny(text, "\r\n")
}
