package gateway_test

import (
	"net/url"
	"strings"
	"testing"

	"github.com/latchkey-auth/latchkey/internal/gateway"
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
	}
	for name, path := range others {
		if gateway.CanonicalPath(path) {
			t.Errorf("%s: %q is taken", name, path)
		}
	}
}

// No decoder behind the gateway may find another path in what is routed.
func FuzzCanonicalPath(f *testing.F) {
	for _, s := range []string{"/", "/a/b", "/a%20b", "/100%25", "/%2561", "/a%c0%af", "/..;/a", "/a%2fb"} {
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
			if part == "." || part == ".." || part == "" && plain != "/" || strings.ContainsAny(part, "\\;\x00\r\n") {
				t.Errorf("%q has the part %q", path, part)
			}
		}
	})
}
