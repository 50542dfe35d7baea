package strictjson

import (
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// string reads RFC 8259 section 7.
func (s *scanner) string() error {
	s.at++
	for s.at < len(s.doc) {
		switch c := s.doc[s.at]; {
		case c == '"':
			s.at++
			return nil
		case c < ' ':
			return s.fail("control character in a string")
		case c == '\\':
			if err := s.escape(); err != nil {
				return err
			}
		case c < utf8.RuneSelf:
			s.at++
		default:
			r, n := utf8.DecodeRuneInString(s.doc[s.at:])
			if r == utf8.RuneError && n == 1 {
				return s.fail("broken UTF-8")
			}
			s.at += n
		}
	}
	return s.fail("string without end")
}

func (s *scanner) escape() error {
	if s.at+1 >= len(s.doc) {
		return s.fail("string without end")
	}
	switch s.doc[s.at+1] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		s.at += 2
		return nil
	case 'u':
		return s.unicode()
	}
	return s.fail("unknown escape")
}

// unicode reads \u and four hexadecimal digits; a high surrogate needs its low one (RFC 8259 section 8.2).
func (s *scanner) unicode() error {
	r, ok := hex4(s.doc[s.at:])
	if !ok {
		return s.fail("four hexadecimal digits expected")
	}
	if utf16.IsSurrogate(r) {
		low, ok := hex4(s.doc[s.at+6:])
		if !ok || utf16.DecodeRune(r, low) == utf8.RuneError {
			return s.fail("unpaired surrogate")
		}
		s.at += 6
	}
	s.at += 6
	return nil
}

// hex4 reads \u and four hexadecimal digits at the start of s.
func hex4(s string) (rune, bool) {
	if len(s) < 6 || s[0] != '\\' || s[1] != 'u' {
		return 0, false
	}
	var r rune
	for _, c := range []byte(s[2:6]) {
		switch {
		case '0' <= c && c <= '9':
			c -= '0'
		case 'a' <= c && c <= 'f':
			c -= 'a' - 10
		case 'A' <= c && c <= 'F':
			c -= 'A' - 10
		default:
			return 0, false
		}
		r = r<<4 | rune(c)
	}
	return r, true
}

// unquote returns the value of a checked string literal.
func unquote(raw string) string {
	text := raw[1 : len(raw)-1]
	first := strings.IndexByte(text, '\\')
	if first < 0 {
		return text
	}
	out := append(make([]byte, 0, len(text)), text[:first]...)
	for i := first; i < len(text); {
		if text[i] != '\\' {
			out = append(out, text[i])
			i++
			continue
		}
		if text[i+1] != 'u' {
			out = append(out, unescape(text[i+1]))
			i += 2
			continue
		}
		r, _ := hex4(text[i:])
		i += 6
		if utf16.IsSurrogate(r) {
			low, _ := hex4(text[i:])
			r = utf16.DecodeRune(r, low)
			i += 6
		}
		out = utf8.AppendRune(out, r)
	}
	return string(out)
}

func unescape(c byte) byte {
	switch c {
	case 'b':
		return '\b'
	case 'f':
		return '\f'
	case 'n':
		return '\n'
	case 'r':
		return '\r'
	case 't':
		return '\t'
	}
	return c
}

const hexDigits = "0123456789abcdef"

// AppendString appends s as a JSON string. Broken UTF-8 becomes U+FFFD.
func AppendString(dst []byte, s string) []byte {
	dst = append(dst, '"')
	from := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c >= utf8.RuneSelf {
			r, n := utf8.DecodeRuneInString(s[i:])
			if r == utf8.RuneError && n == 1 {
				dst = append(append(dst, s[from:i]...), "\uFFFD"...)
				from = i + 1
			}
			i += n
			continue
		}
		if c < ' ' || c == '"' || c == '\\' || c == 0x7F {
			dst = appendEscaped(append(dst, s[from:i]...), c)
			from = i + 1
		}
		i++
	}
	return append(append(dst, s[from:]...), '"')
}

func appendEscaped(dst []byte, c byte) []byte {
	switch c {
	case '"', '\\':
		return append(dst, '\\', c)
	case '\n':
		return append(dst, `\n`...)
	case '\r':
		return append(dst, `\r`...)
	case '\t':
		return append(dst, `\t`...)
	}
	return append(dst, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
}
