package gateway

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/latchkey-auth/latchkey"
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

// Grants are what a principal may do: at REST and HTTP APIs what the route table says,
// at WebSocket and AppSync APIs what the configuration says.
type Grants struct {
	// Patterns of methods below a stage, such as "GET/orders/*", where "*" is any text,
	// slashes included. What is denied wins over what is allowed; everything else is
	// not granted.
	Allowed, Denied []string
	// Lacking are the routes that are not granted. They are looked up only where
	// answers are simple, see [HTTPAnswer].
	Lacking []Route

	Connect bool // to a WebSocket API

	GraphQL      bool     // at an AppSync API,
	DeniedFields []string // but for these: "Mutation.createOrder"
}

// Decide verifies the credential and looks up what its principal may do. It returns
// ErrUnauthorized for a bad credential, after logging the reason, and any other error
// for a fault of our own.
func (a *Authorizer) Decide(ctx context.Context, q Question) (Decision, error) {
	if q.Unclear != "" {
		return Decision{}, a.refuse(ctx, q.Unclear)
	}
	token, ok := q.token()
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
	if claims.IssuerName != "" {
		// A route admits latchkey's own tokens unless it names other issuers, and none
		// can yet.
		return Decision{}, a.refuse(ctx, "no route admits tokens of issuer "+claims.IssuerName)
	}
	d := Decision{Principal: claims.Principal(), Grants: a.grants(claims.HasScope)}
	d.Context, err = contextValues(a.Claims, claims)
	return d, err
}

// grants looks up what a principal with the scopes may do.
func (a *Authorizer) grants(has func(scope string) bool) Grants {
	var g Grants
	g.Allowed, g.Denied = a.Table.grants(has)
	if a.HTTPAnswer != AnswerPolicy {
		g.Lacking = a.Table.lacking(has)
	}
	g.Connect = hasAll(has, a.ConnectScopes)
	g.GraphQL = hasAll(has, a.GraphQL.Scopes)
	for _, f := range a.GraphQL.Fields {
		if !hasAll(has, f.Scopes) {
			g.DeniedFields = append(g.DeniedFields, f.Name)
		}
	}
	return g
}

func hasAll(has func(scope string) bool, scopes []string) bool {
	for _, s := range scopes {
		if !has(s) {
			return false
		}
	}
	return true
}

func (a *Authorizer) refuse(ctx context.Context, reason string) error {
	a.log(ctx, slog.LevelInfo, "unauthorized", slog.String("reason", reason))
	return ErrUnauthorized
}
