package gateway

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/latchkey-auth/latchkey"
	"github.com/latchkey-auth/latchkey/internal/bearer"
)

// ErrUnauthorized is the one error by which a Lambda authorizer makes API
// Gateway answer 401: its text is compared exactly, so it is never wrapped. Any
// other error becomes 500 and is not cached.
var ErrUnauthorized = errors.New("Unauthorized")

// A Decision is what the authorizer concludes about a principal. It is the same for
// every method that is asked about, and says nothing of how an event wants it written.
type Decision struct {
	Principal string
	Grants    Grants
	Context   []ContextValue // for the functions behind the API
}

// Grants are patterns of methods below a stage, such as "GET/orders/*", where "*" is
// any text, slashes included. What is denied wins over what is allowed; everything
// else is not granted.
type Grants struct {
	Allowed, Denied []string
}

// A ContextValue is a fact about the principal.
type ContextValue struct {
	Name, Value string
}

// Decide verifies the credential and looks up what the route table grants its
// principal. It returns ErrUnauthorized for a bad credential, after logging the
// reason, and any other error for a fault of our own.
func (a *Authorizer) Decide(ctx context.Context, q Question) (Decision, error) {
	token, ok := bearer.Token(q.Credential)
	if !ok {
		return Decision{}, a.refuse(ctx, "no bearer token")
	}
	claims, err := a.Verifier.Verify(ctx, token)
	switch {
	case errors.Is(err, latchkey.ErrInvalidToken):
		return Decision{}, a.refuse(ctx, err.Error())
	case err != nil:
		return Decision{}, fmt.Errorf("verifying token: %w", err)
	}
	allowed, denied := a.Table.grants(claims.HasScope)
	return Decision{
		Principal: claims.Subject,
		Grants:    Grants{allowed, denied},
		Context: []ContextValue{
			{"sub", claims.Subject},
			{"username", claims.Username},
			{"scope", claims.Scope},
			{"payload", claims.Payload()},
		},
	}, nil
}

func (a *Authorizer) refuse(ctx context.Context, reason string) error {
	a.log(ctx, slog.LevelInfo, "unauthorized", slog.String("reason", reason))
	return ErrUnauthorized
}
