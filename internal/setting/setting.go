// Package setting looks at the values of settings before anything is made of them.
package setting

import (
	"fmt"
	"strings"
)

// Check refuses a value with what comes in by accident: line ends and blanks from
// a file or a pasted line, quotes that a shell would have taken and an environment
// file does not. A token's issuer with a blank behind it verifies nowhere, and a
// secret with a line end is another secret. The value is not shown: it may be one.
func Check(name, value string) error {
	what := ""
	switch {
	case strings.ContainsAny(value, "\r\n"):
		what = "holds a line end"
	case strings.TrimSpace(value) != value:
		what = "begins or ends with a blank"
	case quoted(value):
		what = "is in quotes, which are taken as part of it"
	default:
		return nil
	}
	return fmt.Errorf("%s %s; write the value alone", name, what)
}

func quoted(value string) bool {
	for _, q := range []string{`"`, `'`, "`"} {
		if len(value) >= 2 && strings.HasPrefix(value, q) && strings.HasSuffix(value, q) {
			return true
		}
	}
	return false
}
