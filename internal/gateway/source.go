package gateway

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/latchkey-auth/latchkey/internal/bearer"
	"github.com/latchkey-auth/latchkey/internal/strictjson"
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

// withoutScheme returns the token of a value that may have a scheme before it.
func withoutScheme(value string) (credential string, bare bool) {
	if strings.IndexByte(value, ' ') < 0 {
		return value, true
	}
	return value, false
}

// A find is what stands in the places that hold tokens. Requests that hold two are
// not clear: whoever put the second one there may not be who put the first.
type find struct {
	value string
	bare  bool
	n     int
}

func (f *find) add(value string, bare bool) {
	if value == "" {
		return
	}
	f.n++
	f.value, f.bare = value, bare
}

var authorizationHeader = []TokenSource{{}}

// findToken looks for the credential of an event that holds a request. A request that
// has it in more than one place has none that counts.
func (m *members) findToken(kind Kind, sources []TokenSource, q *Question) error {
	if len(sources) == 0 {
		sources = authorizationHeader
	}
	var f find
	for _, s := range sources {
		if err := m.lookIn(kind, s, &f); err != nil {
			return err
		}
	}
	if f.n > 1 {
		q.Unclear = "a token in more than one place"
		return nil
	}
	q.Credential, q.Bare = f.value, f.bare
	return nil
}

func (m *members) lookIn(kind Kind, s TokenSource, f *find) error {
	switch s.place {
	case inCookie:
		return m.eachCookie(func(name, value string) {
			if name == s.name {
				f.add(value, true)
			}
		})
	case inQuery:
		return eachValue("queryStringParameters", m.query, m.multiQuery, s.name, false, func(value string) { f.add(value, true) })
	case inProtocol:
		if kind != KindWebSocket {
			return nil
		}
		return m.eachHeader(protocolHeader, func(value string) { addProtocol(f, value, s.name) })
	}
	name := s.named()
	own := strings.EqualFold(name, authorization)
	return m.eachHeader(name, func(value string) {
		bare := false
		if !own {
			value, bare = withoutScheme(value)
		}
		f.add(value, bare)
	})
}

// addProtocol takes what follows the name in a list of subprotocols, which a browser
// writes for new WebSocket(url, [name, token]). Browsers can set no other header.
func addProtocol(f *find, list, name string) {
	follows := false
	for part := range strings.SplitSeq(list, ",") {
		part = strings.Trim(part, " \t")
		if follows {
			f.add(part, true)
		}
		follows = !follows && part == name
	}
}

func (m *members) eachHeader(name string, f func(value string)) error {
	return eachValue("headers", m.headers, m.multiHeaders, name, true, f)
}

// eachCookie reads cookies, a list in format 2.0, or else the Cookie header.
func (m *members) eachCookie(f func(name, value string)) error {
	one := func(pairs string) {
		for pair := range strings.SplitSeq(pairs, ";") {
			name, value, _ := strings.Cut(strings.Trim(pair, " \t"), "=")
			f(name, value)
		}
	}
	if absent(m.cookies) {
		return m.eachHeader("Cookie", one)
	}
	return m.cookies.Elements(func(v strictjson.Value) error {
		text, ok := v.Text()
		if !ok {
			return errors.New("a cookie is not a string")
		}
		one(text)
		return nil
	})
}

// eachValue calls f for the values of a name in two members that tell the same: the
// map of the last values and that of all. It calls it twice where they differ. Absent
// and null are empty.
func eachValue(member string, last, all strictjson.Value, name string, fold bool, f func(value string)) error {
	matches := func(n string) bool { return n == name || fold && strings.EqualFold(n, name) }
	seen := ""
	err := eachMember(member, all, func(n string, v strictjson.Value) error {
		if !matches(n) || v.Kind() == strictjson.Null {
			return nil
		}
		return v.Elements(func(v strictjson.Value) error {
			text, ok := v.Text()
			if !ok {
				return fmt.Errorf("a value in %s is not a string", member)
			}
			seen = text
			f(text)
			return nil
		})
	})
	if err != nil {
		return err
	}
	names := 0
	return eachMember(member, last, func(n string, v strictjson.Value) error {
		if !matches(n) || v.Kind() == strictjson.Null {
			return nil
		}
		text, ok := v.Text()
		if !ok {
			return fmt.Errorf("a value in %s is not a string", member)
		}
		if names++; names > 1 || seen == "" || text != seen {
			f(text)
		}
		return nil
	})
}

func absent(v strictjson.Value) bool { return v.Kind() == 0 || v.Kind() == strictjson.Null }

func eachMember(name string, v strictjson.Value, f func(string, strictjson.Value) error) error {
	if absent(v) {
		return nil
	}
	if v.Kind() != strictjson.Members {
		return fmt.Errorf("%s is not an object", name)
	}
	return v.Object(f)
}

// checkIdentity wants the token among the identity sources, where there are any. API
// Gateway keeps answers by their values: with the token elsewhere it would use one
// principal's answer for another.
func (m *members) checkIdentity(q Question) error {
	token, ok := q.token()
	if !ok || absent(m.identity) {
		return nil
	}
	among, any := false, false
	look := func(v strictjson.Value) error {
		text, ok := v.Text()
		if !ok {
			return errors.New("parsing authorizer event: identitySource holds something else than strings")
		}
		any = any || text != ""
		among = among || strings.Contains(text, token)
		return nil
	}
	err := error(nil)
	if m.identity.Kind() == strictjson.Array {
		err = m.identity.Elements(look)
	} else {
		err = look(m.identity)
	}
	if err == nil && any && !among {
		err = errors.New("the token is not among the authorizer's identity sources: API Gateway would use the answer for other principals; make the header or parameter that holds the token an identity source, such as $request.header.Authorization")
	}
	return err
}

// token returns the token of a question's credential.
func (q Question) token() (string, bool) {
	if q.Bare {
		return q.Credential, q.Credential != ""
	}
	return bearer.Token(q.Credential)
}
