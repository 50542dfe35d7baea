package auth_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/latchkey-auth/latchkey/internal/auth"
	"github.com/latchkey-auth/latchkey/internal/storage"
)

// TestKeysNameTheMember: whoever asks for a key gets the refusal as callers see it.
func TestKeysNameTheMember(t *testing.T) {
	_, err := auth.UsernameKey("ada lovelace")
	wantInvalid(t, err, "username")
	_, err = auth.EmailKey("ada")
	wantInvalid(t, err, "email")
}

// TestOuterBlanksDoNotCount: wherever a name or an address is typed, pasted or
// imported; in passwords they do.
func TestOuterBlanksDoNotCount(t *testing.T) {
	for _, around := range []string{" %s", "%s ", "\t%s\r\n", "\u00a0%s\u3000", "  %s  "} {
		in := func(s string) string { return fmt.Sprintf(around, s) }
		f := newFixture(t)
		f.add(auth.NewUser{Username: in("Ada"), Email: in("ada@example.com"), Password: password})
		record := auth.ImportRecord{NewUser: auth.NewUser{Username: in("Bob"), Email: in("bob@example.com")}}
		if err := f.importAll(record); err != nil {
			t.Fatalf("importing with %q: %v", around, err)
		}
		for _, name := range []string{"ada", "bob"} {
			u, err := storage.FindUser(t.Context(), f.store, in(name+"@example.com"))
			if err != nil || !strings.EqualFold(u.Username, name) || u.Email != name+"@example.com" {
				t.Errorf("%q finds %q with the address %q, %v", in(name), u.Username, u.Email, err)
			}
		}
		for _, login := range []string{in("ada"), in("ADA@example.com")} {
			if _, err := f.Login(t.Context(), auth.LoginRequest{Username: login, Password: password}); err != nil {
				t.Errorf("logging in as %q: %v", login, err)
			}
		}
		for _, wrong := range []string{password + " ", " " + password} {
			if _, err := f.Login(t.Context(), auth.LoginRequest{Username: "ada", Password: wrong}); !errors.Is(err, auth.ErrInvalidCredentials) {
				t.Errorf("logging in with a password with a blank: %v", err)
			}
		}
	}
}

// TestLookAlikesDoNotLogIn: the address of mike is not within reach of anybody
// who can type a letter like it.
func TestLookAlikesDoNotLogIn(t *testing.T) {
	f := newFixture(t)
	f.add(auth.NewUser{Username: "mike", Email: "mike@example.com", Password: password})
	for _, login := range []string{"mıke@example.com", "mi\u212ae@example.com", "mike＠example.com", "mike@example.com.", "mike@example.com\x00", "mıke", "mike\u200b"} {
		_, err := f.login(login, password)
		if strings.Contains(login, "@") {
			wantInvalid(t, err, "username")
		} else if err == nil || err.Error() != auth.ErrInvalidCredentials.Error() {
			t.Errorf("%+q: got %v, want ErrInvalidCredentials", login, err)
		}
	}
}
