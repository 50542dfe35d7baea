package refreshtoken_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/latchkey-auth/latchkey/internal/opaque"
	"github.com/latchkey-auth/latchkey/internal/refreshtoken"
	"github.com/latchkey-auth/latchkey/internal/storage"
)

var (
	key     = refreshtoken.Key(bytes.Repeat([]byte{1}, 32))
	session = storage.Session{ID: "s1", Seed: []byte("seed"), Refreshes: 7}
)

// TestMade: a token is made of the session, its seed, the number and the key.
func TestMade(t *testing.T) {
	live := key.Live(session)
	token, ok := refreshtoken.Parse(live)
	if !ok || token.Session != "s1" || token.Number != 7 || !key.Made(session, token) {
		t.Fatalf("%s is %+v, %v", live, token, ok)
	}
	spent := session
	spent.Refreshes = 8
	if !key.Made(spent, token) {
		t.Error("a spent token is not told by its number")
	}
	other, seedless := session, session
	other.Seed, seedless.Seed = []byte("another"), nil
	renumbered, _ := refreshtoken.Parse(strings.Replace(live, ".7.", ".8.", 1))
	ofNoSeed, _ := refreshtoken.Parse(key.Live(seedless))
	for name, made := range map[string]bool{
		"another seed":   key.Made(other, token),
		"no seed":        key.Made(seedless, ofNoSeed),
		"another number": key.Made(session, renumbered),
		"another key":    refreshtoken.Key(bytes.Repeat([]byte{2}, 32)).Made(session, token),
	} {
		if made {
			t.Errorf("%s: it is taken for one of the session's", name)
		}
	}
}

// FuzzParse: what is taken is within its bounds, and no token of a session unless the key
// has made it.
func FuzzParse(f *testing.F) {
	live := key.Live(session)
	f.Add(live)
	f.Add(strings.Replace(live, ".7.", ".07.", 1))
	f.Add(strings.Replace(live, ".7.", ".-7.", 1))
	f.Add(opaque.Format("s1", make([]byte, 32)))
	f.Add("s1.9223372036854775808." + opaque.Encode(make([]byte, 32)))
	f.Fuzz(func(t *testing.T, text string) {
		token, ok := refreshtoken.Parse(text)
		if !ok {
			return
		}
		if token.Session == "" || len(token.Session) > opaque.MaxID || token.Number < 0 || len(text) > opaque.MaxToken {
			t.Errorf("%q is %+v", text, token)
		}
		if token.Chain != nil && opaque.Format(string(token.Session), token.Chain) != text {
			t.Errorf("%q is another spelling of a token of the version before", text)
		}
		of := session
		of.ID, of.Refreshes = token.Session, token.Number
		if key.Made(of, token) && key.Live(of) != text {
			t.Errorf("%q is another spelling of %q", text, key.Live(of))
		}
	})
}
