// Package bearer reads the value of an Authorization header.
package bearer

import "strings"

// Token returns the token of a value: the scheme in any case (RFC 9110 section
// 11.1), one space or more, a token (RFC 6750 section 2.1: 1*SP), and nothing else.
func Token(value string) (string, bool) {
	scheme, token, ok := strings.Cut(value, " ")
	token = strings.TrimLeft(token, " ")
	return token, ok && strings.EqualFold(scheme, "Bearer") && token != "" &&
		strings.IndexByte(token, ' ') < 0 && strings.IndexByte(token, '\t') < 0 && strings.IndexByte(token, ',') < 0
}
