package gateway

import (
	"context"
	"errors"
	"log/slog"

	"github.com/latchkey-auth/latchkey"
)

// AuthorizerConfig is what an Authorizer needs.
type AuthorizerConfig struct {
	Verifier *latchkey.Verifier // required
	Table    *Table             // required
	Log      *slog.Logger       // nil: nothing is logged
}

// An Authorizer answers authorizer events of API Gateway.
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

// Handle is the Lambda function: it reads the event, decides, and encodes the
// decision. It returns ErrUnauthorized for a bad token and another error for a fault
// of our own, but never a policy for either.
func (a *Authorizer) Handle(ctx context.Context, event []byte) ([]byte, error) {
	kind, q, err := ReadEvent(event)
	if err != nil {
		return nil, a.fault(ctx, err)
	}
	d, err := a.Decide(ctx, q)
	if errors.Is(err, ErrUnauthorized) {
		return nil, ErrUnauthorized
	}
	if err != nil {
		return nil, a.fault(ctx, err)
	}
	answer, err := Encode(kind, q.Asked, d)
	if err != nil {
		return nil, a.fault(ctx, err)
	}
	a.log(ctx, slog.LevelInfo, "authorized", slog.String("sub", d.Principal), slog.Int("methods", len(d.Grants.Allowed)))
	return answer, nil
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
