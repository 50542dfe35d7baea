package auth_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/latchkey-auth/latchkey/internal/auth"
)

func TestUsernamesAreAlikeWhenTheyLookAlike(t *testing.T) {
	for username, want := range map[string]string{
		"ada": "ada", "Ada": "ada", "ＡＤＡ": "ada", "ada.lovelace-1815_x": "ada.lovelace-1815_x",
		"\u017ft\u00e9phane": "stéphane", "e\u0301": "é", "\u212aelvin": "kelvin", "\u2460": "1",
		"stra\u00dfe": "straße", "m\u0131ke": "mıke", // letters of their own: ß is not ss, dotless i is not i
		strings.Repeat("é", 64): strings.Repeat("é", 64),
	} {
		if got, err := auth.UsernameKey(username); err != nil || got != want {
			t.Errorf("%+q: got %+q, %v; want %+q", username, got, err, want)
		}
	}
}

func TestUsernamesThatNobodyCanHave(t *testing.T) {
	for name, username := range map[string]string{
		"nothing":              "",
		"an e-mail address":    "ada@example.com",
		"a full-width @":       "ada＠example.com",
		"a small @":            "ada﹫example.com",
		"an @ alone":           "@",
		"a space":              "ada lovelace",
		"an ideographic space": "ada\u3000lovelace",
		"a no-break space":     "ada\u00a0lovelace",
		"blanks alone":         " \t\r\n",
		"a tab":                "ada\tlovelace",
		"a line break":         "ada\r\nlovelace",
		"NUL behind a blank":   "ada \x00",
		"a blank behind NUL":   "ada\x00 ",
		"NUL":                  "ada\x00",
		"escape":               "\x1b[31mada",
		"a zero-width space":   "a\u200bda",
		"a zero-width joiner":  "a\u200dda",
		"a byte order mark":    "\ufeffada",
		"a soft hyphen":        "a\u00adda",
		"a direction override": "ada\u202e",
		"mixed directions":     "ada\u05d0",
		"a variation selector": "ada\ufe0f",
		"a fraction":           "ada½",
		"an emoji":             "🔑",
		"broken UTF-8":         "ada\xff",
		"65 characters":        strings.Repeat("a", 65),
		"a megabyte":           strings.Repeat("a", 1<<20),
	} {
		key, err := auth.UsernameKey(username)
		if err == nil {
			t.Errorf("%s is taken, as %+q", name, key)
			continue
		}
		wantInvalid(t, err, "username")
	}
}

func TestAddressesAreAlikeInAnyCase(t *testing.T) {
	for email, want := range map[string]string{
		"ada@example.com": "ada@example.com", "Ada@Example.COM": "ada@example.com",
		"a.d+a'{x}@a-b.c1.example": "a.d+a'{x}@a-b.c1.example", "ada@xn--bcher-kva.example": "ada@xn--bcher-kva.example",
	} {
		if got, err := auth.EmailKey(email); err != nil || got != want {
			t.Errorf("%s: got %q, %v; want %q", email, got, err, want)
		}
	}
}

// TestAddressesThatNobodyCanHave: each of them is, for some program, the
// address of somebody else.
func TestAddressesThatNobodyCanHave(t *testing.T) {
	for name, email := range map[string]string{
		"nothing":                     "",
		"no @":                        "example.com",
		"no local part":               "@example.com",
		"no domain":                   "ada@",
		"two @":                       "a@b@c.com",
		"a full-width @":              "ada＠example.com",
		"a dotless i":                 "mıke@example.com",
		"a dotless i in the domain":   "mike@gıthub.com",
		"a dotted I":                  "MİKE@example.com",
		"a long s":                    "\u017fteve@example.com",
		"a long s in the domain":      "steve@\u017fteve.com",
		"the Kelvin sign":             "mi\u212ae@example.com",
		"the Kelvin sign in domain":   "mike@\u212aelvin.com",
		"sharp s":                     "stra\u00dfe@example.com",
		"full-width letters":          "ａｄａ@example.com",
		"Cyrillic a":                  "\u0430da@example.com",
		"a zero-width space":          "a\u200bda@example.com",
		"a zero-width joiner":         "ada@exa\u200dmple.com",
		"a soft hyphen":               "a\u00adda@example.com",
		"NUL":                         "ada@example.com\x00",
		"NUL in the middle":           "ada\x00@example.com",
		"a dot behind the domain":     "ada@example.com.",
		"a full-width dot":            "ada@example．com",
		"a dot behind the local part": "ada.@example.com",
		"two dots":                    "a..da@example.com",
		"a domain of one label":       "ada@localhost",
		"an empty label":              "ada@example..com",
		"an address literal":          "ada@[192.0.2.1]",
		"a hyphen before a label":     "ada@-example.com",
		"a hyphen behind a label":     "ada@example-.com",
		"a header behind it":          "ada@example.com\r\nBcc: all@example.com",
		"a line break":                "ada@exam\nple.com",
		"a space before @":            "ada @example.com",
		"a space behind @":            "ada@ example.com",
		"blanks alone":                " \t ",
		"a comma":                     "ada@example.com,eve@example.com",
		"a display name":              "Ada <ada@example.com>",
		"a quoted local part":         `"a@b"@example.com`,
		"a comment":                   "ada(x)@example.com",
		"a local part of 65":          strings.Repeat("a", 65) + "@example.com",
		"a label of 64":               "ada@" + strings.Repeat("a", 64) + ".com",
		"255 characters":              "ada@" + strings.Repeat("a.", 124) + "com",
		"broken UTF-8":                "ada\xff@example.com",
	} {
		key, err := auth.EmailKey(email)
		if err == nil {
			t.Errorf("%s is taken, as %+q", name, key)
			continue
		}
		wantInvalid(t, err, "email")
	}
}

// TestOuterBlanksDoNotCount: wherever a name or an address is typed, pasted or
// imported; in passwords they do.
func TestOuterBlanksDoNotCount(t *testing.T) {
	for _, around := range []string{" %s", "%s ", "\t%s\r\n", "\u00a0%s\u3000", "  %s  "} {
		in := func(s string) string { return fmt.Sprintf(around, s) }
		if key, err := auth.UsernameKey(in("Ada")); err != nil || key != "ada" {
			t.Errorf("the username %q has the key %q, %v", in("Ada"), key, err)
		}
		if key, err := auth.EmailKey(in("Ada@Example.com")); err != nil || key != "ada@example.com" {
			t.Errorf("the address %q has the key %q, %v", in("Ada@Example.com"), key, err)
		}
		f := newFixture(t)
		f.add(auth.NewUser{Username: in("Ada"), Email: in("ada@example.com"), Password: password})
		record, err := auth.ParseImportFields(map[string]string{"username": in("Bob"), "email": in("bob@example.com")}, 0)
		if err != nil {
			t.Fatal(err)
		}
		if err := f.Import(t.Context(), []auth.ImportRecord{record}); err != nil {
			t.Fatalf("importing with %q: %v", around, err)
		}
		for _, name := range []string{"ada", "bob"} {
			u, err := auth.FindUser(t.Context(), f.store, in(name+"@example.com"))
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

// TestDomainsInOtherScripts: an address has one key, in whichever form its domain
// is written, and none that only looks like another.
func TestDomainsInOtherScripts(t *testing.T) {
	for email, want := range map[string]string{
		"Ada@BÜCHER.example":        "ada@xn--bcher-kva.example",
		"ada@ПРИМЕР.example":        "ada@xn--e1afmkfd.example",
		"ada@\u212aelvin.example":   "", // whose lower case is a k
		"ada@G\u0130thub.com":       "", // dotted I
		"ada@bücher.example":        "ada@xn--bcher-kva.example",
		"Ada@xn--bcher-kva.EXAMPLE": "ada@xn--bcher-kva.example",
		"ada@пример.example":        "ada@xn--e1afmkfd.example",
		"ada@例え.example":            "ada@xn--r8jz45g.example",
		"ada@ελλάς.example":         "ada@xn--hxarsa0b.example",
		"ada@faß.example":           "ada@xn--fa-hia.example",
		"ada@exаmple.com":           "", // a Cyrillic а among Latin letters
		"ada@xn--exmple-4nf.com":    "", // the same, written out
		"ada@ｅxample.com":           "", // full width
		"ada@example.com\u200b":     "", // zero width
		"ada@exa\u00admple.com":     "", // soft hyphen
		"ada@gıthub.com":            "", // dotless i
		"ada@ſhop.example":          "", // long s
		"ada@xn--.example":          "",
		"ada@xn--a.example":         "", // punycode that we would not write
		"ada@bu\u0308cher.example":  "", // not composed
	} {
		key, err := auth.EmailKey(email)
		if want == "" {
			if err == nil {
				t.Errorf("%+q is taken, as %s", email, key)
			}
			continue
		}
		if err != nil || key != want {
			t.Errorf("%+q: got %q, %v; want %s", email, key, err, want)
		}
		if again, err := auth.EmailKey(key); err != nil || again != key {
			t.Errorf("the key of %s is %q, %v", key, again, err)
		}
	}
}
