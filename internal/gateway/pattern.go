package gateway

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// A segment is one part of a path pattern.
type segment struct {
	kind kind
	text string // the literal, or the parameter's name
}

type kind int

// In the order of precedence.
const (
	literal kind = iota
	param        // {name}: one segment
	greedy       // {name+}: the rest, one segment at least
)

// parsePath reads a path pattern. Literals hold what API Gateway takes in a
// path part; a literal with "*" in it would widen the policy.
func parsePath(path string) ([]segment, error) {
	if !strings.HasPrefix(path, "/") {
		return nil, errors.New("path must begin with /")
	}
	if path == "/" {
		return nil, nil
	}
	parts := strings.Split(path[1:], "/")
	segments := make([]segment, len(parts))
	for i, part := range parts {
		s := segment{literal, part}
		if inner, ok := strings.CutPrefix(part, "{"); ok {
			name, closed := strings.CutSuffix(inner, "}")
			s.kind, s.text = param, name
			if rest, plus := strings.CutSuffix(name, "+"); plus {
				s.kind, s.text = greedy, rest
			}
			if !closed {
				return nil, fmt.Errorf("path part %q: a parameter is the whole part, {name} or {name+}", part)
			}
		}
		switch {
		case s.text == "" || strings.Trim(s.text, pathChars) != "" || s.text == "." || s.text == "..":
			return nil, fmt.Errorf("path part %q: must hold letters, digits and . _ : - only", part)
		case s.kind == literal && s.text[0] == ':':
			// API Gateway takes it as text, which its author hardly means.
			return nil, fmt.Errorf("path part %q: a parameter is written {name}", part)
		case s.kind == greedy && i != len(parts)-1:
			return nil, fmt.Errorf("path part %q: a greedy parameter must come last", part)
		case s.kind != literal && slices.ContainsFunc(segments[:i], func(o segment) bool { return o.kind != literal && o.text == s.text }):
			return nil, fmt.Errorf("path part %q: the parameter stands twice", part)
		}
		segments[i] = s
	}
	return segments, nil
}

const pathChars = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._:-"

// pattern is a path in a policy's Resource: each parameter becomes "*".
func pattern(segments []segment) string {
	if len(segments) == 0 {
		return "/"
	}
	var b strings.Builder
	for _, s := range segments {
		b.WriteByte('/')
		if s.kind == literal {
			b.WriteString(s.text)
		} else {
			b.WriteByte('*')
		}
	}
	return b.String()
}

// moreSpecific orders path patterns as API Gateway prefers them: segment by
// segment literal, parameter, greedy.
func moreSpecific(a, b []segment) int {
	for i := range min(len(a), len(b)) {
		if a[i].kind != b[i].kind {
			return int(a[i].kind) - int(b[i].kind)
		}
		if c := strings.Compare(a[i].text, b[i].text); c != 0 {
			return c
		}
	}
	return len(b) - len(a)
}

func isGreedy(segments []segment) bool {
	return len(segments) > 0 && segments[len(segments)-1].kind == greedy
}
