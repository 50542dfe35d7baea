package identifier_test

import (
	"strings"
	"testing"
	"unicode"

	"github.com/latchkey-auth/latchkey/internal/identifier"
)

func FuzzUsernameKey(f *testing.F) {
	for _, s := range []string{"ada", "ＡＤＡ", "a@b", "ada＠b", "e\u0301", "\u212a", "ΑΣ", "İ", "\u05d0", "a\u200db", "½", "\xff"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, username string) {
		key, err := identifier.UsernameKey(username)
		if err != nil {
			return
		}
		if key == "" || strings.ContainsFunc(key, func(r rune) bool { return r == '@' || unicode.IsSpace(r) || unicode.IsControl(r) }) {
			t.Errorf("%+q is taken, as %+q", username, key)
		}
		if again, err := identifier.UsernameKey(key); err == nil && again != key {
			t.Errorf("%+q has the key %+q, which has the key %+q", username, key, again)
		}
	})
}

func FuzzEmailKey(f *testing.F) {
	for _, s := range []string{"ada@example.com", "ADA@EXAMPLE.COM", "a@b@c.d", "mıke@example.com", "a@b.c\r\n", "a@b.c.", "@", "",
		"ada@bücher.example", "ada@xn--bcher-kva.example", "ada@пример.example"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, email string) {
		key, err := identifier.EmailKey(email)
		if err != nil {
			return
		}
		ascii := !strings.ContainsFunc(email, func(r rune) bool { return r > '~' })
		if strings.Count(key, "@") != 1 || strings.ContainsFunc(key, func(r rune) bool { return r <= ' ' || r > '~' }) || ascii && !strings.EqualFold(key, strings.TrimSpace(email)) {
			t.Errorf("%+q is taken, as %+q", email, key)
		}
		if again, err := identifier.EmailKey(key); err != nil || again != key {
			t.Errorf("%q has the key %q, which has the key %q (%v)", email, key, again, err)
		}
	})
}
