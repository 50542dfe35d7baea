package gateway

import (
	"fmt"

	"github.com/latchkey-auth/latchkey/internal/strictjson"
)

// maxWebSocketAnswer is the most that a WebSocket API takes of an authorizer (quota
// "Size of authorizer result").
const maxWebSocketAnswer = 8 << 10

// isSimple reports whether an event of the kind wants a yes or no of HTTP APIs.
func (a *Authorizer) isSimple(kind Kind) bool {
	return kind == KindHTTP2 && a.HTTPAnswer != AnswerPolicy
}

// allows reports whether the answer lets the principal do anything.
func (a *Authorizer) allows(kind Kind, q Question, g Grants) bool {
	switch {
	case kind == KindAppSync:
		return g.GraphQL
	case kind == KindWebSocket:
		return g.Connect
	case a.isSimple(kind):
		return a.simplyAllows(q, g)
	}
	return len(g.Allowed) > 0
}

// Encode writes a decision as the answer to a question that an event of the kind asked.
func (a *Authorizer) Encode(kind Kind, q Question, d Decision) ([]byte, error) {
	if a.isSimple(kind) {
		return encodeSimple(a.simplyAllows(q, d.Grants), d), nil
	}
	switch kind {
	case KindToken, KindRequest, KindHTTP1, KindHTTP2:
		return encodePolicy(q.Asked, d, d.Grants.Allowed, d.Grants.Denied)
	case KindWebSocket:
		return encodeConnect(q.Asked, d)
	case KindAppSync:
		return encodeGraphQL(d), nil
	}
	return nil, fmt.Errorf("authorizer events of kind %q have no answer", kind)
}

// EncodeRefusal is the answer to a bad credential: an error, which API Gateway makes a
// 401 of, unless the kind has a no of its own. That one AppSync is told not to keep.
func (a *Authorizer) EncodeRefusal(kind Kind) ([]byte, error) {
	switch {
	case kind == KindAppSync:
		return []byte(`{"isAuthorized":false,"ttlOverride":0}`), nil
	case a.isSimple(kind):
		return []byte(`{"isAuthorized":false}`), nil
	}
	return nil, ErrUnauthorized
}

// encodePolicy writes principalId, policyDocument and context.
func encodePolicy(asked ARN, d Decision, allowed, denied []string) ([]byte, error) {
	stage := asked.resources()
	if len(allowed) == 0 {
		// A policy needs a statement. Denying everything is what the grants say.
		denied = []string{"*"}
	}
	out := append(make([]byte, 0, 1024+contextSize(d)), `{"principalId":`...)
	out = strictjson.AppendString(out, d.Principal)
	out = append(out, `,"policyDocument":{"Version":"2012-10-17","Statement":[`...)
	var err error
	if len(allowed) > 0 {
		if out, err = appendStatement(out, "Allow", stage, allowed); err != nil {
			return nil, err
		}
	}
	if len(denied) > 0 {
		if len(allowed) > 0 {
			out = append(out, ',')
		}
		if out, err = appendStatement(out, "Deny", stage, denied); err != nil {
			return nil, err
		}
	}
	out = append(out, `]},"context":`...)
	return append(appendContext(out, d.Context), '}'), nil
}

// encodeConnect writes a policy for the one route that WebSocket APIs ask about. What
// comes later over the connection is not asked about.
func encodeConnect(asked ARN, d Decision) ([]byte, error) {
	var allowed []string
	if d.Grants.Connect {
		allowed = []string{"$connect"}
	}
	out, err := encodePolicy(asked, d, allowed, nil)
	if err == nil && len(out) > maxWebSocketAnswer {
		return nil, fmt.Errorf("the answer has %d bytes and WebSocket APIs take %d: name fewer claims for the context, without payload", len(out), maxWebSocketAnswer)
	}
	return out, err
}

// encodeSimple writes isAuthorized for HTTP APIs.
func encodeSimple(allowed bool, d Decision) []byte {
	if !allowed {
		return []byte(`{"isAuthorized":false}`)
	}
	out := append(make([]byte, 0, 256+contextSize(d)), `{"isAuthorized":true,"context":`...)
	return append(appendContext(out, d.Context), '}')
}

// encodeGraphQL writes isAuthorized for AppSync, and the fields that are denied all the
// same.
func encodeGraphQL(d Decision) []byte {
	if !d.Grants.GraphQL {
		return []byte(`{"isAuthorized":false}`)
	}
	out := append(make([]byte, 0, 256+contextSize(d)), `{"isAuthorized":true,"resolverContext":`...)
	out = append(appendContext(out, d.Context), `,"deniedFields":[`...)
	for i, field := range d.Grants.DeniedFields {
		if i > 0 {
			out = append(out, ',')
		}
		out = strictjson.AppendString(out, field)
	}
	return append(out, `]}`...)
}

// contextSize is about what the context takes in JSON.
func contextSize(d Decision) int {
	n := 0
	for _, v := range d.Context {
		n += 2 * len(v.Value)
	}
	return n
}

func appendContext(out []byte, values []ContextValue) []byte {
	out = append(out, '{')
	for i, v := range values {
		if i > 0 {
			out = append(out, ',')
		}
		out = strictjson.AppendString(out, v.Name)
		out = strictjson.AppendString(append(out, ':'), v.Value)
	}
	return append(out, '}')
}

// appendStatement appends a policy statement about methods of the stage.
func appendStatement(out []byte, effect, stage string, methods []string) ([]byte, error) {
	out = append(append(out, `{"Action":"execute-api:Invoke","Effect":"`...), effect...)
	out = append(out, `","Resource":[`...)
	for i, method := range methods {
		resource := stage + method
		if len(resource) > maxResource {
			return nil, fmt.Errorf("policy resource for %s has more than %d characters", method, maxResource)
		}
		if i > 0 {
			out = append(out, ',')
		}
		out = strictjson.AppendString(out, resource)
	}
	return append(out, `]}`...), nil
}
