package auth_test

import (
	"strings"
	"testing"
	"unicode"

	"github.com/latchkey-auth/latchkey/internal/auth"
)

func FuzzParseArgon2(f *testing.F) {
	for _, s := range []string{"m=19456,t=2,p=1", "m=8,t=1,p=1", "m=4194304,t=1,p=1", "m=08,t=1,p=1", "m=8,t=1,p=-1", ""} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		a, err := auth.ParseArgon2(s)
		if err != nil {
			return
		}
		if a.String() != s {
			t.Errorf("%q is taken, but written as %q", s, a)
		}
		if a.Memory > 256<<10 || a.Time > 32 || a.Threads > 16 || a.Memory < 8*uint32(a.Threads) || a.Time < 1 || a.Threads < 1 {
			t.Errorf("%q is out of range", s)
		}
	})
}

func FuzzParsePHC(f *testing.F) {
	for _, s := range []string{
		"$argon2id$v=19$m=8,t=1,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAA",
		"$pbkdf2-sha512$i=4096,l=16$YzJGc2RITmhiSFJ6WVd4MA$AAAAAAAAAAAAAAAAAAAAAA",
		"$pbkdf2-sha512$i=4096,l=16$c2FsdHNhbHQ+Pz8/Pz8=$AAAAAAAAAAAAAAAAAAAAAA==",
		"$argon2id$v=19$m=4194304,t=1,p=1$AAAA$AAAA", "$2b$12$x", "$$$$$", "",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		written, err := auth.ParsePHC(s)
		if err != nil {
			return
		}
		if strings.HasPrefix(s, "$argon2id$") && written != s {
			t.Errorf("%q is taken, but written as %q", s, written)
		}
		again, err := auth.ParsePHC(written) // PBKDF2 is taken in several spellings and written in one
		if err != nil || again != written {
			t.Errorf("%q is written as %q, and that as %q (%v)", s, written, again, err)
		}
	})
}

func FuzzParseImport(f *testing.F) {
	for _, line := range []string{
		`{"id":1,"username":"a","name":"A","scope":"s","password":"AAAAAAAAAAAAAAAAAAAAAA==","salt":"c2FsdHNhbHQ="}`,
		`{"id":"x","username":"a","email":null,"password_hash":"$argon2id$v=19$m=8,t=1,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAA"}`,
		`{"username":"a","password_hash":"$pbkdf2-sha512$i=4096,l=16$YzJGc2RITmhiSFJ6WVd4MA$AAAAAAAAAAAAAAAAAAAAAA"}`,
		`{"username":1}`, `{}`, `[`, ``,
	} {
		f.Add(line, 16)
		f.Add(line, 0)
	}
	f.Fuzz(func(t *testing.T, line string, keyBytes int) {
		r, err := auth.ParseImport(line, keyBytes)
		if err != nil {
			return
		}
		if got, err := auth.ParsePHC(r.PasswordHash); err != nil || got != r.PasswordHash {
			t.Errorf("%q gives the hash %q, which is read as %q (%v)", line, r.PasswordHash, got, err)
		}
	})
}

func FuzzUsernameKey(f *testing.F) {
	for _, s := range []string{"ada", "ＡＤＡ", "a@b", "ada＠b", "e\u0301", "\u212a", "ΑΣ", "İ", "\u05d0", "a\u200db", "½", "\xff"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, username string) {
		key, err := auth.UsernameKey(username)
		if err != nil {
			return
		}
		if key == "" || strings.ContainsFunc(key, func(r rune) bool { return r == '@' || unicode.IsSpace(r) || unicode.IsControl(r) }) {
			t.Errorf("%+q is taken, as %+q", username, key)
		}
		if again, err := auth.UsernameKey(key); err == nil && again != key {
			t.Errorf("%+q has the key %+q, which has the key %+q", username, key, again)
		}
	})
}

func FuzzEmailKey(f *testing.F) {
	for _, s := range []string{"ada@example.com", "ADA@EXAMPLE.COM", "a@b@c.d", "mıke@example.com", "a@b.c\r\n", "a@b.c.", "@", ""} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, email string) {
		key, err := auth.EmailKey(email)
		if err != nil {
			return
		}
		if strings.Count(key, "@") != 1 || strings.ContainsFunc(key, func(r rune) bool { return r <= ' ' || r > '~' }) || !strings.EqualFold(key, email) {
			t.Errorf("%+q is taken, as %+q", email, key)
		}
		if again, err := auth.EmailKey(key); err != nil || again != key {
			t.Errorf("%q has the key %q, which has the key %q (%v)", email, key, again, err)
		}
	})
}
