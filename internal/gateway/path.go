package gateway

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// CanonicalPath reports whether an escaped path has one reading only. Programs
// behind the gateway disagree about the others, and two that disagree are a way
// around a route (CWE-436).
func CanonicalPath(path string) bool { return PathFault(path) == "" }

// PathFault says why a path has more than one reading; "" if it has one. It has
// no empty or dot segments, no trailing slash, nothing encoded that need not be
// ("%61dmin" is "admin" to the server behind), and nothing that a second decoder
// would take for a delimiter: an encoded slash, backslash, question mark, number
// sign or semicolon ("/admin;x" is "/admin" to a servlet), "%252e", broken
// UTF-8, and characters that are invisible or become ASCII when they are
// normalized, such as a full-width slash.
func PathFault(path string) string {
	if path == "/" {
		return ""
	}
	if !strings.HasPrefix(path, "/") {
		return "it does not begin with a slash"
	}
	// Not again for each of many slashes, which are empty segments.
	rest, slash := strings.CutSuffix(path, "/")
	if slash && (rest == "/" || !strings.HasSuffix(rest, "/")) && PathFault(rest) == "" {
		return "it ends in a slash"
	}
	for _, part := range strings.Split(path[1:], "/") {
		if fault := segmentFault(part); fault != "" {
			return fault
		}
	}
	return ""
}

func segmentFault(part string) string {
	plain, ok := unescape(part)
	switch {
	case !ok:
		return "its percent-encoding is broken, needless or doubled"
	case plain == "":
		return "it has an empty segment"
	case plain == "." || plain == "..":
		return "it has a dot segment"
	case strings.Trim(plain, " ") != plain:
		return "a segment begins or ends with a space"
	case !utf8.ValidString(plain):
		return "it is not UTF-8"
	}
	for _, c := range plain {
		if c < utf8.RuneSelf && (c < ' ' || c == 0x7F || strings.ContainsRune(`/\;?#`, c)) {
			return "it has a delimiter or a control character in a segment"
		}
		if c >= utf8.RuneSelf && !plainRune(c) {
			return "it has a character that is invisible or that some programs read as another"
		}
	}
	return ""
}

// plainRune reports whether a character outside ASCII stays what it is: a letter,
// mark or digit that is not left out of sight and that compatibility
// normalization (NFKC) does not make ASCII of. Punctuation and symbols are out as
// a whole: code pages make slashes, dots and hyphens of many.
func plainRune(c rune) bool {
	if !unicode.In(c, unicode.L, unicode.M, unicode.Nd) {
		return false
	}
	if unicode.In(c, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector) {
		return false
	}
	return !unicode.Is(readAsASCII, c)
}

// readAsASCII are the letters and digits whose NFKC holds ASCII, by blocks where a
// block is of compatibility forms. A test compares it with the tables of Unicode.
var readAsASCII = &unicode.RangeTable{
	R16: []unicode.Range16{
		{0x00AA, 0x00AA, 1},
		{0x00BA, 0x00BA, 1},
		{0x0132, 0x0133, 1},
		{0x013F, 0x0140, 1},
		{0x0149, 0x0149, 1},
		{0x017F, 0x017F, 1},
		{0x01C4, 0x01CC, 1},
		{0x01F1, 0x01F3, 1},
		{0x02B0, 0x02B8, 1},
		{0x02E0, 0x02E4, 1},
		{0x037A, 0x037A, 1},
		{0x1D2C, 0x1D6A, 1},
		{0x1D78, 0x1D78, 1},
		{0x1D9B, 0x1DBF, 1},
		{0x1E9A, 0x1E9A, 1},
		{0x2070, 0x209C, 1},
		{0x2100, 0x214F, 1},
		{0x2C7C, 0x2C7D, 1},
		{0xA7F2, 0xA7F4, 1},
		{0xFB00, 0xFB06, 1},
		{0xFB50, 0xFDFF, 1},
		{0xFE70, 0xFEFF, 1},
		{0xFF00, 0xFFEF, 1},
	},
	R32: []unicode.Range32{
		{0x10780, 0x107BF, 1},
		{0x1D400, 0x1D7FF, 1},
		{0x1FB00, 0x1FBFF, 1},
	},
	LatinOffset: 2,
}

// unescape decodes percent-encoding. It refuses encoded characters that a route
// can hold as they are (RFC 3986 section 6.2.2.2), and what still looks encoded
// after decoding: "%252e" is "%2e" to the next decoder, and "%u002e" to some.
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
		digits := plain[i+1:]
		if plain[i] == '%' && (digits[0] == 'u' || digits[0] == 'U') {
			digits = digits[1:]
		}
		if plain[i] == '%' && len(digits) >= 2 && isHex(digits[0]) && isHex(digits[1]) {
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
