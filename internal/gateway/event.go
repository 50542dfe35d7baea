package gateway

import (
	"cmp"
	"errors"
	"fmt"

	"github.com/latchkey-auth/latchkey/internal/strictjson"
)

// A Kind is a kind of authorizer event. The answer has the shape that it asks for.
type Kind string

// KindToken is the event of an authorizer of type TOKEN, of REST APIs.
const KindToken Kind = "TOKEN"

// A Question is what an authorizer event of any kind asks: may the bearer of this
// credential call this method?
type Question struct {
	Credential string // the value of the Authorization header; empty: there was none
	Asked      ARN
}

// ReadEvent reads an authorizer event. Events of other kinds, and of other services,
// are errors that name them.
func ReadEvent(event []byte) (Kind, Question, error) {
	m, err := readMembers(string(event))
	switch {
	case err != nil:
		return "", Question{}, fmt.Errorf("parsing authorizer event: %w", err)
	case m.kind == "":
		return "", Question{}, fmt.Errorf("authorizer event has type \"\": it is %s, and this function is an authorizer; call it from an API's authorizer of type TOKEN", cmp.Or(m.foreign, "another event"))
	case Kind(m.kind) != KindToken:
		return "", Question{}, fmt.Errorf("authorizer event has type %q: this authorizer answers TOKEN events; set the authorizer's type to TOKEN", m.kind)
	}
	asked, err := ParseARN(m.methodARN)
	if err == nil && asked.RouteKey != "" {
		// WebSocket APIs have authorizers of type REQUEST only.
		err = errors.New("method ARN of a TOKEN event must end with API/STAGE/VERB/PATH, not with a route key")
	}
	if err != nil {
		return "", Question{}, err
	}
	return KindToken, Question{Credential: m.token, Asked: asked}, nil
}

// TokenEvent is the inverse of ReadEvent for KindToken: the event that a REST API
// sends to ask the question. Broken UTF-8 in the credential becomes U+FFFD.
func TokenEvent(q Question) []byte {
	out := append([]byte(nil), `{"type":"TOKEN","authorizationToken":`...)
	out = strictjson.AppendString(out, q.Credential)
	out = strictjson.AppendString(append(out, `,"methodArn":`...), q.Asked.String())
	return append(out, '}')
}

// members are those of an event that a reader looks at.
type members struct {
	kind, token, methodARN string
	foreign                string // what an event without a type is; empty: not known
}

func readMembers(event string) (members, error) {
	var m members
	texts := [...]struct {
		name string
		to   *string
	}{{"type", &m.kind}, {"authorizationToken", &m.token}, {"methodArn", &m.methodARN}}
	err := strictjson.Object(event, func(name string, v strictjson.Value) error {
		m.foreign = cmp.Or(foreignEvent(name), m.foreign)
		for _, t := range texts {
			if name != t.name {
				continue
			}
			text, ok := v.Text()
			if !ok && v.Kind() != strictjson.Null {
				return fmt.Errorf("%s is not a string", name)
			}
			*t.to = text
		}
		return nil
	})
	return m, err
}

// foreignEvent names what has a member that no authorizer event has without a type.
func foreignEvent(member string) string {
	switch member {
	case "Records":
		return "a list of records (SQS, SNS, S3, a stream)"
	case "httpMethod", "rawPath", "requestContext":
		return "an HTTP or WebSocket event"
	case "detail-type":
		return "an EventBridge event"
	case "triggerSource":
		return "a Cognito trigger"
	}
	return ""
}
