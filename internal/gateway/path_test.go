package gateway_test

import (
	"net/url"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"github.com/latchkey-auth/latchkey/internal/gateway"
	"github.com/latchkey-auth/latchkey/internal/trial"
)

func TestCanonicalPath(t *testing.T) {
	canonical := map[string]string{
		"the root":                "/",
		"one part":                "/a",
		"many parts":              "/orders/42/refunds",
		"unreserved characters":   "/a.b-c_d~e",
		"sub-delimiters":          "/a!$&'()*+,=:@b",
		"three dots":              "/...",
		"a hidden file":           "/.well-known",
		"an encoded space":        "/a%20b",
		"an encoded percent sign": "/100%25",
		"a percent sign and text": "/100%25zz",
		"a percent sign and u":    "/100%25us",
		"letters of all scripts":  "/stra%C3%9Fe/%D8%B3%D9%84%D8%A7%D9%85/%E6%97%A5%E6%9C%AC%E3%83%BC/%E0%A4%A8%E0%A4%AE%E0%A4%B8%E0%A5%8D%E0%A4%A4%E0%A5%87",
		"digits of other scripts": "/%D9%A4%D9%A2",
		"encoded UTF-8":           "/caf%C3%A9",
		"lower-case hexadecimal":  "/caf%c3%a9",
	}
	for name, path := range canonical {
		if !gateway.CanonicalPath(path) {
			t.Errorf("%s: %q is refused", name, path)
		}
	}
	others := map[string]string{
		"nothing":                          "",
		"no slash":                         "a",
		"the server itself":                "*",
		"two slashes":                      "//",
		"two slashes at the start":         "//admin",
		"two slashes inside":               "/a//b",
		"a trailing slash":                 "/admin/",
		"a dot":                            "/./admin",
		"two dots":                         "/a/../admin",
		"dots at the end":                  "/a/..",
		"encoded dots":                     "/a/%2e%2e/admin",
		"one encoded dot":                  "/a/.%2E/admin",
		"an encoded slash":                 "/a%2fadmin",
		"an encoded slash, upper case":     "/a%2Fadmin",
		"an encoded backslash":             "/a%5cadmin",
		"an encoded backslash, upper case": "/a%5C..%5Cadmin",
		"a backslash":                      `/a\admin`,
		"NUL":                              "/admin%00",
		"a line end":                       "/admin%0d%0aX:y",
		"delete":                           "/admin%7F",
		"a raw control character":          "/a\tb",
		"an encoded letter":                "/%61dmin",
		"an encoded digit":                 "/orders/%34",
		"an encoded hyphen":                "/a%2Db",
		"encoded twice":                    "/%2561dmin",
		"a slash encoded twice":            "/a%252fb",
		"dots encoded twice":               "/a/%252e%252e/b",
		"half an encoding":                 "/a%2",
		"a lone percent sign":              "/a%",
		"no hexadecimal":                   "/a%zz",
		"a semicolon":                      "/admin;x=1",
		"a semicolon after dots":           "/a/..;/admin",
		"an encoded semicolon":             "/admin%3bx",
		"an overlong slash":                "/a%c0%afadmin",
		"broken UTF-8":                     "/a%ff",
		"an encoded question mark":         "/admin%3fx",
		"an encoded number sign":           "/admin%23x",
		"a question mark encoded twice":    "/admin%253fx",
		"a slash in the manner of IIS":     "/a%25u002fb",
		"a wide slash in that manner":      "/a%25uff0fb",
		"a full-width slash":               "/a%EF%BC%8Fadmin",
		"a full-width slash as it is":      "/a\uFF0Fadmin",
		"a full-width backslash":           "/a%EF%BC%BCadmin",
		"full-width dots":                  "/a/%EF%BC%8E%EF%BC%8E/admin",
		"full-width letters":               "/%EF%BD%81dmin",
		"a full-width percent sign":        "/a%EF%BC%852fadmin",
		"a small backslash":                "/a%EF%B9%A8admin",
		"a division slash":                 "/a%E2%88%95admin",
		"a fraction slash":                 "/a%E2%81%84admin",
		"a fraction":                       "/a%C2%BDb",
		"account of":                       "/%E2%84%80",
		"a two-dot leader":                 "/a/%E2%80%A5/admin",
		"an ideographic full stop":         "/a/%E3%80%82%E3%80%82/admin",
		"a yen sign":                       "/a%C2%A5admin",
		"a Greek question mark":            "/admin%CD%BEx",
		"a zero-width space":               "/ad%E2%80%8Bmin",
		"a zero-width joiner":              "/ad%E2%80%8Dmin",
		"a soft hyphen":                    "/ad%C2%ADmin",
		"a byte order mark":                "/%EF%BB%BFadmin",
		"a text direction":                 "/%E2%80%AEnimda",
		"a variation selector":             "/admin%EF%B8%8F",
		"a Hangul filler":                  "/admin%E3%85%A4",
		"a combining grapheme joiner":      "/ad%CD%8Fmin",
		"a C1 control character":           "/admin%C2%85",
		"a line separator":                 "/admin%E2%80%A8x",
		"a no-break space":                 "/admin%C2%A0",
		"a space at the end":               "/admin%20",
		"a space before dots":              "/a/%20../admin",
		"a long s":                         "/%C5%BFecret",
		"a Kelvin sign":                    "/%E2%84%AAeys",
		"a mathematical letter":            "/%F0%9D%90%9Admin",
		"a ligature":                       "/%EF%AC%81les",
		"a private character":              "/%EE%80%80",
		"a noncharacter":                   "/%EF%BF%BE",
	}
	for name, path := range others {
		if gateway.CanonicalPath(path) {
			t.Errorf("%s: %q is taken", name, path)
		}
	}
}

// Normalization makes no ASCII, and nothing invisible, of what a path may hold. Every
// character is tried that becomes ASCII or cannot be seen; of letters, of private
// characters and of what is not assigned every 31st, and in full each.
func TestCanonicalPathHoldsNoCompatibilityForms(t *testing.T) {
	step := rune(trial.Of(31, 1))
	tried, taken := 0, 0
	for c := rune(utf8.RuneSelf); c <= unicode.MaxRune; c++ {
		becomes, unseen := asciiForm(c), unicode.In(c, unicode.C, unicode.Z, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector)
		many := becomes == "" && (!unseen || unicode.In(c, unicode.Cn, unicode.Co))
		if !utf8.ValidRune(c) || many && c%step != 0 {
			continue
		}
		tried++
		if !gateway.CanonicalPath("/" + url.PathEscape(string(c))) {
			continue
		}
		taken++
		if becomes != "" {
			t.Errorf("%U is taken and becomes %q", c, becomes)
		}
		if unseen {
			t.Errorf("%U is taken and cannot be seen", c)
		}
	}
	if taken < 100_000/int(step) {
		t.Errorf("%d of %d characters are taken: letters of living scripts must be", taken, tried)
	}
}

// asciiForm is what normalization or folding makes of a character, if there is ASCII in
// it.
func asciiForm(c rune) string {
	s := string(c)
	forms := []string{string(unicode.SimpleFold(c))}
	if !norm.NFKC.IsNormalString(s) { // as NFC leaves alone what NFKC does
		forms = append(forms, norm.NFKC.String(s), norm.NFC.String(s))
	}
	for _, form := range forms {
		if strings.ContainsFunc(form, func(r rune) bool { return r < utf8.RuneSelf }) {
			return form
		}
	}
	return ""
}

// No decoder behind the gateway may find another path in what is routed.
func FuzzCanonicalPath(f *testing.F) {
	for _, s := range []string{"/", "/a/b", "/a%20b", "/100%25", "/%2561", "/a%c0%af", "/..;/a", "/a%2fb", "/a%3f", "/a%EF%BC%8Fb", "/a%25u002f"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, path string) {
		if !gateway.CanonicalPath(path) {
			return
		}
		plain, err := url.PathUnescape(path)
		if err != nil {
			t.Fatalf("%q cannot be decoded: %v", path, err)
		}
		if strings.Count(plain, "/") != strings.Count(path, "/") {
			t.Errorf("%q has other slashes when decoded: %q", path, plain)
		}
		if again, err := url.PathUnescape(plain); err == nil && again != plain {
			t.Errorf("%q is decoded further: %q, %q", path, plain, again)
		}
		for _, part := range strings.Split(plain[1:], "/") {
			if part == "." || part == ".." || part == "" && plain != "/" || strings.ContainsAny(part, "\\;?#\x00\r\n") {
				t.Errorf("%q has the part %q", path, part)
			}
		}
	})
}
