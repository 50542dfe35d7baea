package ticket

import (
	"crypto/rand"
	"strings"
)

// codeLetters has nothing that looks like something else on paper or in a bad
// font: no 0 O, 1 I L, 2 Z, 5 S, 8 B, U beside V. 24 of them in 8 places are 36 bits.
const (
	codeLetters = "ACDEFGHJKMNPQRTVWXY34679"
	codeLength  = 8
	// MaxCode is the most bytes of a code as people type it.
	MaxCode = 64
)

// newCode returns a code in canonical form.
func newCode() string {
	var code [codeLength]byte
	const even = 256 / len(codeLetters) * len(codeLetters) // above it some letters would come more often
	for i := 0; i < len(code); {
		var b [1]byte
		rand.Read(b[:]) // never fails, crypto/rand
		if int(b[0]) < even {
			code[i] = codeLetters[int(b[0])%len(codeLetters)]
			i++
		}
	}
	return string(code[:])
}

// showCode is how people read it.
func showCode(code string) string { return code[:codeLength/2] + "-" + code[codeLength/2:] }

// ParseCode takes a code as people type it: in any case, with or without
// separators.
func ParseCode(typed string) (string, bool) {
	if len(typed) > MaxCode {
		return "", false
	}
	var code []byte
	for _, c := range []byte(strings.ToUpper(typed)) {
		switch {
		case c == ' ' || c == '-':
		case strings.IndexByte(codeLetters, c) < 0 || len(code) == codeLength:
			return "", false
		default:
			code = append(code, c)
		}
	}
	return string(code), len(code) == codeLength
}
