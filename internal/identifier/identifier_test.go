package identifier_test

import (
	"fmt"
	"math"
	"runtime"
	"strings"
	"testing"

	"github.com/latchkey-auth/latchkey/internal/identifier"
)

func TestUsernamesAreAlikeWhenTheyLookAlike(t *testing.T) {
	for username, want := range map[string]string{
		"ada": "ada", "Ada": "ada", "ＡＤＡ": "ada", "ada.lovelace-1815_x": "ada.lovelace-1815_x",
		"\u017ft\u00e9phane": "stéphane", "e\u0301": "é", "\u212aelvin": "kelvin", "\u2460": "1",
		"stra\u00dfe": "straße", "m\u0131ke": "mıke", // letters of their own: ß is not ss, dotless i is not i
		strings.Repeat("é", 64): strings.Repeat("é", 64),
	} {
		if got, err := identifier.UsernameKey(username); err != nil || got != want {
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
		if key, err := identifier.UsernameKey(username); err == nil {
			t.Errorf("%s is taken, as %+q", name, key)
		}
	}
}

func TestAddressesAreAlikeInAnyCase(t *testing.T) {
	for email, want := range map[string]string{
		"ada@example.com": "ada@example.com", "Ada@Example.COM": "ada@example.com",
		"a.d+a'{x}@a-b.c1.example": "a.d+a'{x}@a-b.c1.example", "ada@xn--bcher-kva.example": "ada@xn--bcher-kva.example",
	} {
		if got, err := identifier.EmailKey(email); err != nil || got != want {
			t.Errorf("%s: got %q, %v; want %q", email, got, err, want)
		}
	}
}

// TestAddressesThatNobodyCanHave: each of them is, for some program, another
// address.
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
		if key, err := identifier.EmailKey(email); err == nil {
			t.Errorf("%s is taken, as %+q", name, key)
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
		key, err := identifier.EmailKey(email)
		if want == "" {
			if err == nil {
				t.Errorf("%+q is taken, as %s", email, key)
			}
			continue
		}
		if err != nil || key != want {
			t.Errorf("%+q: got %q, %v; want %s", email, key, err, want)
		}
		if again, err := identifier.EmailKey(key); err != nil || again != key {
			t.Errorf("the key of %s is %q, %v", key, again, err)
		}
	}
}

// TestNamesDoNotMislead: what would change the text around a name where it is shown.
func TestNamesDoNotMislead(t *testing.T) {
	for name, good := range map[string]bool{
		"Ada L.": true, "\u0627\u0644\u062e\u0648\u0627\u0631\u0632\u0645\u06cc": true, "\u0645\u06cc\u200c\u0631\u0648\u0645": true, // with a joiner
		"Ada\u200f": true, // a mark says how its neighbours run, no more
		"Ada\nL.":   false, "Ada\u2028L.": false, "\u202eadA": false, "Ada \u2066x": false, "Ada\u0085": false,
	} {
		if err := identifier.CheckName(name); (err == nil) != good {
			t.Errorf("%+q: got %v; is it good? %v", name, err, good)
		}
	}
}

func TestOuterBlanksAreNoPartOfAKey(t *testing.T) {
	for _, around := range []string{" %s", "%s ", "\t%s\r\n", "\u00a0%s\u3000", "  %s  "} {
		in := func(s string) string { return fmt.Sprintf(around, s) }
		if key, err := identifier.UsernameKey(in("Ada")); err != nil || key != "ada" {
			t.Errorf("the username %q has the key %q, %v", in("Ada"), key, err)
		}
		if key, err := identifier.EmailKey(in("Ada@Example.com")); err != nil || key != "ada@example.com" {
			t.Errorf("the address %q has the key %q, %v", in("Ada@Example.com"), key, err)
		}
	}
}

// TestLongTextIsRefusedBeforeAnyWork: work on it would show in what is allocated,
// which a refusal does not make depend on the length.
func TestLongTextIsRefusedBeforeAnyWork(t *testing.T) {
	var letters strings.Builder // all different: what IDNA and normalization take longest for
	for i := range 20_900 {
		letters.WriteRune(rune(0x4e00 + i))
	}
	long := letters.String()
	address := "a@" + long + ".com"
	for name, refuse := range map[string]func() error{
		"CleanEmail":  func() error { _, err := identifier.CleanEmail(address); return err },
		"EmailKey":    func() error { _, err := identifier.EmailKey(address); return err },
		"UsernameKey": func() error { _, err := identifier.UsernameKey(long); return err },
		"CheckName":   func() error { return identifier.CheckName(long) },
	} {
		if err := refuse(); err == nil {
			t.Errorf("%s: taken", name)
		}
		if n := leastAllocated(func() { refuse() }); n > 16<<10 {
			t.Errorf("%s: %d bytes are allocated to refuse %d", name, n, len(long))
		}
	}
}

// leastAllocated is what f allocates at the least: what runs beside it cannot make it
// less.
func leastAllocated(f func()) uint64 {
	least := uint64(math.MaxUint64)
	for range 5 {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		f()
		runtime.ReadMemStats(&after)
		least = min(least, after.TotalAlloc-before.TotalAlloc)
	}
	return least
}
