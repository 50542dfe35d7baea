package passhash_test

import (
	"strings"
	"testing"

	"github.com/latchkey-auth/latchkey/internal/password/passhash"
)

func FuzzParse(f *testing.F) {
	for _, s := range samples(f) {
		f.Add(s.PasswordHash)
	}
	for _, s := range []string{
		"$argon2id$v=19$m=4194304,t=1,p=1$AAAA$AAAA", "$2b$12$x", "$2", "$$$$$", "{}", "}{", "",
		"$pbkdf2-sha512$i=4096,l=16$c2FsdHNhbHQ+Pz8/Pz8=$AAAAAAAAAAAAAAAAAAAAAA==", "$pbkdf2-sha512$1$PT09PT09PT0$AAAAAAAAAAAAAAAAAAAAAA",
		"$scrypt$ln=1,r=1,p=1048576$AA$AAAAAAAAAAAAAAAAAAAAAA", "$5$rounds=5000$rounds=1000$" + strings.Repeat(".", 43),
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		h, err := passhash.Parse(s)
		if err != nil {
			return
		}
		written := h.String()
		if again, err := passhash.Parse(written); err != nil || again != h || again.String() != written {
			t.Errorf("%q is written as %q, and that as %q (%v)", s, written, again, err)
		}
		if strings.HasPrefix(s, "$argon2") && written != s {
			t.Errorf("%q is taken, but written as %q", s, written)
		}
		if memory, time := passhash.Work(h); memory > 260<<20 || time > 1_500_000 {
			t.Errorf("%q takes %d bytes and %d µs", s, memory, time)
		} else if time < 1000 {
			h.Matches("password") // must not panic
		}
	})
}

func FuzzParseArgon2(f *testing.F) {
	for _, s := range []string{"m=19456,t=2,p=1", "m=8,t=1,p=1", "m=4194304,t=1,p=1", "m=08,t=1,p=1", "m=8,t=1,p=-1", ""} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		a, err := passhash.ParseArgon2(s)
		if err != nil {
			return
		}
		if a.String() != s {
			t.Errorf("%q is taken, but written as %q", s, a)
		}
		if a.Memory > 256<<10 || uint64(a.Memory)*uint64(a.Time) > 1<<20 || a.Time > 64 || a.Threads > 16 || a.Memory < 8*uint32(a.Threads) || a.Time < 1 || a.Threads < 1 {
			t.Errorf("%q is out of range", s)
		}
	})
}
