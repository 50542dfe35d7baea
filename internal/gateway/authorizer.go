package gateway

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/latchkey-auth/latchkey"
	"github.com/latchkey-auth/latchkey/internal/bearer"
	"github.com/latchkey-auth/latchkey/internal/strictjson"
)

// ErrUnauthorized is the one error by which a Lambda authorizer makes API
// Gateway answer 401: its text is compared exactly, so it is never wrapped. Any
// other error becomes 500 and is not cached.
var ErrUnauthorized = errors.New("Unauthorized")

// AuthorizerConfig is what an Authorizer needs.
type AuthorizerConfig struct {
	Verifier *latchkey.Verifier // required
	Table    *Table             // required
	Log      *slog.Logger       // nil: nothing is logged
}

// An Authorizer answers TOKEN authorizer events of API Gateway.
//
// API Gateway caches the answer under the token, for five minutes by default,
// and applies it to every route. The policy therefore depends on the principal
// alone, never on the route that was asked for, and lists exactly what the
// route table grants this principal in the API and stage that asked.
type Authorizer struct {
	AuthorizerConfig
}

// NewAuthorizer checks the configuration.
func NewAuthorizer(cfg AuthorizerConfig) (*Authorizer, error) {
	if cfg.Verifier == nil || cfg.Table == nil {
		return nil, errors.New("authorizer: verifier and route table must be set")
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	return &Authorizer{cfg}, nil
}

// Handle is the Lambda function. It returns ErrUnauthorized for a bad token
// and another error for a fault of our own, but never a policy for either.
func (a *Authorizer) Handle(ctx context.Context, event []byte) ([]byte, error) {
	e, err := parseTokenEvent(string(event))
	if err != nil {
		return nil, a.fault(ctx, err)
	}
	arn, err := ParseARN(e.methodARN)
	if err != nil {
		return nil, a.fault(ctx, err)
	}
	token, ok := bearer.Token(e.token)
	if !ok {
		return nil, a.refuse(ctx, "no bearer token")
	}
	claims, err := a.Verifier.Verify(ctx, token)
	switch {
	case errors.Is(err, latchkey.ErrInvalidToken):
		return nil, a.refuse(ctx, err.Error())
	case err != nil:
		return nil, a.fault(ctx, fmt.Errorf("verifying token: %w", err))
	}
	answer, granted, err := a.answer(claims, arn.resources())
	if err != nil {
		return nil, a.fault(ctx, err)
	}
	a.log(ctx, slog.LevelInfo, "authorized", slog.String("sub", claims.Subject), slog.Int("methods", granted))
	return answer, nil
}

func (a *Authorizer) refuse(ctx context.Context, reason string) error {
	a.log(ctx, slog.LevelInfo, "unauthorized", slog.String("reason", reason))
	return ErrUnauthorized
}

func (a *Authorizer) fault(ctx context.Context, err error) error {
	a.log(ctx, slog.LevelError, "authorizer failed", slog.String("error", err.Error()))
	return err
}

func (a *Authorizer) log(ctx context.Context, level slog.Level, msg string, attrs ...slog.Attr) {
	if !a.Log.Enabled(ctx, level) {
		return
	}
	if id := InvocationFrom(ctx).RequestID; id != "" {
		attrs = append(attrs, slog.String("request_id", id))
	}
	a.Log.LogAttrs(ctx, level, msg, attrs...)
}

// tokenEvent is the input of a TOKEN authorizer.
type tokenEvent struct{ kind, token, methodARN string }

func parseTokenEvent(event string) (tokenEvent, error) {
	var e tokenEvent
	members := [...]struct {
		name string
		to   *string
	}{{"type", &e.kind}, {"authorizationToken", &e.token}, {"methodArn", &e.methodARN}}
	other := "another event"
	err := strictjson.Object(event, func(name string, v strictjson.Value) error {
		other = cmp.Or(foreignEvent(name), other)
		for _, m := range members {
			if name != m.name {
				continue
			}
			text, ok := v.Text()
			if !ok && v.Kind() != strictjson.Null {
				return fmt.Errorf("%s is not a string", name)
			}
			*m.to = text
		}
		return nil
	})
	switch {
	case err != nil:
		return e, fmt.Errorf("parsing authorizer event: %w", err)
	case e.kind == "":
		return e, fmt.Errorf("authorizer event has type \"\": it is %s, and this function is an authorizer; call it from an API's authorizer of type TOKEN", other)
	case e.kind != "TOKEN":
		return e, fmt.Errorf("authorizer event has type %q: this authorizer answers TOKEN events; set the authorizer's type to TOKEN", e.kind)
	}
	return e, nil
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

// answer builds the output: principalId, policyDocument and context, and says
// how many methods are granted.
func (a *Authorizer) answer(c latchkey.Claims, stage string) ([]byte, int, error) {
	allowed, denied := a.Table.grants(c.HasScope)
	if len(allowed) == 0 {
		// A policy needs a statement. Denying everything is what the table says.
		denied = []string{"*"}
	}
	out := make([]byte, 0, 1024+2*len(c.Payload()))
	out = strictjson.AppendString(append(out, `{"principalId":`...), c.Subject)
	out = append(out, `,"policyDocument":{"Version":"2012-10-17","Statement":[`...)
	var err error
	if len(allowed) > 0 {
		if out, err = appendStatement(out, "Allow", stage, allowed); err != nil {
			return nil, 0, err
		}
	}
	if len(denied) > 0 {
		if len(allowed) > 0 {
			out = append(out, ',')
		}
		if out, err = appendStatement(out, "Deny", stage, denied); err != nil {
			return nil, 0, err
		}
	}
	out = append(out, `]},"context":{"sub":`...)
	out = strictjson.AppendString(out, c.Subject)
	out = strictjson.AppendString(append(out, `,"username":`...), c.Username)
	out = strictjson.AppendString(append(out, `,"scope":`...), c.Scope)
	out = strictjson.AppendString(append(out, `,"payload":`...), c.Payload())
	return append(out, `}}`...), len(allowed), nil
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
