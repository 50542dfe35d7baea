package gateway

import (
	"fmt"

	"github.com/latchkey-auth/latchkey/internal/strictjson"
)

// Encode writes a decision as the answer to an event of the kind, for the API and
// stage of the method that was asked about.
func Encode(kind Kind, asked ARN, d Decision) ([]byte, error) {
	switch kind {
	case KindToken:
		return encodePolicy(asked.resources(), d)
	}
	return nil, fmt.Errorf("authorizer events of type %q have no answer", kind)
}

// encodePolicy writes principalId, policyDocument and context, which REST APIs want.
func encodePolicy(stage string, d Decision) ([]byte, error) {
	allowed, denied := d.Grants.Allowed, d.Grants.Denied
	if len(allowed) == 0 {
		// A policy needs a statement. Denying everything is what the grants say.
		denied = []string{"*"}
	}
	size := 1024
	for _, v := range d.Context {
		size += 2 * len(v.Value)
	}
	out := append(make([]byte, 0, size), `{"principalId":`...)
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
	out = append(out, `]},"context":{`...)
	for i, v := range d.Context {
		if i > 0 {
			out = append(out, ',')
		}
		out = strictjson.AppendString(out, v.Name)
		out = strictjson.AppendString(append(out, ':'), v.Value)
	}
	return append(out, `}}`...), nil
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
