package gateway

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// A TokenSource is a place in a request where a token may stand. The zero value is
// the Authorization header.
type TokenSource struct {
	place place
	name  string // as written; of the place protocol what stands before the token
}

type place int

const (
	inHeader   place = iota
	inCookie         // the token alone
	inQuery          // the token alone
	inProtocol       // Sec-WebSocket-Protocol: a list in which the token follows the name
)

const (
	authorization  = "Authorization"
	protocolHeader = "Sec-WebSocket-Protocol"
)

// String writes a source as ParseTokenSources reads it.
func (s TokenSource) String() string {
	return [...]string{"header:", "cookie:", "query:", "protocol:"}[s.place] + s.named()
}

func (s TokenSource) named() string {
	if s.place == inHeader && s.name == "" {
		return authorization
	}
	return s.name
}

// ParseTokenSources reads a list such as "header:Authorization, cookie:session".
func ParseTokenSources(list string) ([]TokenSource, error) {
	var sources []TokenSource
	for text := range strings.SplitSeq(list, ",") {
		s, err := parseTokenSource(strings.TrimSpace(text))
		if err != nil {
			return nil, fmt.Errorf("token source %q: %w", strings.TrimSpace(text), err)
		}
		if slices.ContainsFunc(sources, s.same) {
			return nil, fmt.Errorf("token source %q stands twice", s)
		}
		sources = append(sources, s)
	}
	return sources, nil
}

func parseTokenSource(text string) (TokenSource, error) {
	kind, name, named := strings.Cut(text, ":")
	s := TokenSource{name: name}
	switch kind {
	case "header":
		s.place = inHeader
	case "cookie":
		s.place = inCookie
	case "query":
		s.place = inQuery
	case "protocol":
		if s.place = inProtocol; !named {
			s.name = "bearer"
		}
	default:
		return s, errors.New("must be header:NAME, cookie:NAME, query:NAME or protocol:NAME")
	}
	switch {
	case !httpToken(s.name):
		return s, errors.New("needs a name, of letters, digits and !#$%&'*+-.^_`|~")
	case s.place == inHeader && strings.EqualFold(name, "Cookie"):
		return s, errors.New("the header holds many cookies; write cookie:NAME")
	case s.place == inHeader && strings.EqualFold(name, protocolHeader):
		return s, errors.New("the header holds a list; write protocol:NAME")
	}
	return s, nil
}

// same reports whether two sources are one place. Names of headers have no case.
func (s TokenSource) same(o TokenSource) bool {
	return s.place == o.place && (s.named() == o.named() || s.place == inHeader && strings.EqualFold(s.named(), o.named()))
}

// httpToken checks RFC 9110 section 5.6.2, which names of headers and cookies, and
// subprotocols, are held to.
func httpToken(s string) bool {
	for _, c := range []byte(s) {
		if c <= ' ' || c > '~' || strings.IndexByte(`"(),/:;<=>?@[\]{}`, c) >= 0 {
			return false
		}
	}
	return s != ""
}

var authorizationHeader = []TokenSource{{}}
