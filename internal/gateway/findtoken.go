package gateway

import (
	"errors"
	"fmt"
	"strings"

	"github.com/latchkey-auth/latchkey/internal/bearer"
	"github.com/latchkey-auth/latchkey/internal/strictjson"
)

// withoutScheme returns the token of a value that may have a scheme before it.
func withoutScheme(value string) (credential string, bare bool) {
	if strings.IndexByte(value, ' ') < 0 {
		return value, true
	}
	return value, false
}

// A find is what stands in the places that hold tokens. A request that holds two is
// ambiguous: they may come from different parties.
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

// eachCookie reads cookies: a list in format 2.0, otherwise the Cookie header.
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
