package gateway

import (
	"strings"
	"unicode/utf8"
)

// CanonicalPath reports whether an escaped path has one reading only: no empty
// or dot segments, no trailing slash, no encoded slash, backslash or NUL, no
// semicolon ("/admin;x" is "/admin" to a servlet), no broken UTF-8, and nothing
// encoded that need not be ("%61dmin" is "admin" to the server behind).
// Programs behind the gateway disagree about the others, and whoever finds two
// that do has found a way around a route (CWE-436).
func CanonicalPath(path string) bool {
	if path == "/" {
		return true
	}
	if !strings.HasPrefix(path, "/") {
		return false
	}
	for _, part := range strings.Split(path[1:], "/") {
		plain, ok := unescape(part)
		if !ok || plain == "" || plain == "." || plain == ".." || !utf8.ValidString(plain) {
			return false
		}
		for _, c := range []byte(plain) {
			if c < ' ' || c == 0x7F || c == '/' || c == '\\' || c == ';' {
				return false
			}
		}
	}
	return true
}

// unescape decodes percent-encoding. It refuses encoded characters that a route
// can hold as they are (RFC 3986 section 6.2.2.2), and what still looks encoded
// after decoding: "%252e" is "%2e" to the next decoder.
func unescape(s string) (string, bool) {
	if strings.IndexByte(s, '%') < 0 {
		return s, true
	}
	out := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] != '%' {
			out = append(out, s[i])
			continue
		}
		if i+2 >= len(s) || !isHex(s[i+1]) || !isHex(s[i+2]) {
			return "", false
		}
		c := fromHex(s[i+1])<<4 | fromHex(s[i+2])
		if strings.IndexByte(pathChars, c) >= 0 {
			return "", false
		}
		out = append(out, c)
		i += 2
	}
	plain := string(out)
	for i := range len(plain) - 2 {
		if plain[i] == '%' && isHex(plain[i+1]) && isHex(plain[i+2]) {
			return "", false
		}
	}
	return plain, true
}

func isHex(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F'
}

func fromHex(c byte) byte {
	switch {
	case c <= '9':
		return c - '0'
	case c <= 'F':
		return c - 'A' + 10
	}
	return c - 'a' + 10
}
