// Package refreshtoken is the form of refresh tokens. They are made and told apart without
// being stored: see [Token].
package refreshtoken

import (
	"crypto/hmac"
	"crypto/sha256"
	"fmt"
	"strconv"
	"strings"

	"github.com/latchkey-auth/latchkey/internal/opaque"
	"github.com/latchkey-auth/latchkey/internal/storage"
)

// A Token is <session>.<number>.<MAC>. Its number says what it is: the live one of
// its session, one that was spent a moment ago, or one that was spent before. The MAC is
// made of a key of the service and the session's seed: the store alone cannot make it, and
// nobody can make up a token that was ever given out.
type Token struct {
	Session storage.SessionID
	Number  int64
	// Chain is the secret of a token of the version before, see chain.go of package auth.
	Chain []byte

	mac []byte
}

// Parse takes one spelling only.
func Parse(text string) (t Token, ok bool) {
	if len(text) > opaque.MaxToken {
		return Token{}, false
	}
	if strings.Count(text, ".") == 1 {
		id, secret, ok := opaque.Parse(text)
		return Token{Session: storage.SessionID(id), Chain: secret}, ok
	}
	id, rest, _ := strings.Cut(text, ".")
	number, mac, ok := strings.Cut(rest, ".")
	n, err := strconv.ParseInt(number, 10, 64)
	if !ok || id == "" || len(id) > opaque.MaxID || err != nil || n < 0 || strconv.FormatInt(n, 10) != number {
		return Token{}, false
	}
	secret, ok := opaque.Decode(mac)
	return Token{Session: storage.SessionID(id), Number: n, mac: secret}, ok
}

// A Key makes refresh tokens: 32 bytes, the same in all processes that share the store.
type Key []byte

// Live is the live token of the session.
func (k Key) Live(session storage.Session) string {
	mac := k.mac(session, session.Refreshes)
	return string(session.ID) + "." + strconv.FormatInt(session.Refreshes, 10) + "." + opaque.Encode(mac)
}

// Made reports whether the token is one of the session's, with any number.
func (k Key) Made(session storage.Session, t Token) bool {
	return len(session.Seed) > 0 && hmac.Equal(t.mac, k.mac(session, t.Number))
}

func (k Key) mac(session storage.Session, number int64) []byte {
	mac := hmac.New(sha256.New, k)
	fmt.Fprintf(mac, "refresh\x00%s\x00%d\x00", session.ID, number)
	mac.Write(session.Seed)
	return mac.Sum(nil)
}
