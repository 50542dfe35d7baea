package gateway

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"

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
	// Challenge is what the principal is told who would have more routes after another
	// sign-in, see [SignIn.Challenge]; empty: there are none.
	Challenge string

	Connect bool // to a WebSocket API

	GraphQL      bool     // at an AppSync API,
	DeniedFields []string // but for these: "Mutation.createOrder"
}

// Decide verifies the credential and looks up what its principal may do. It returns
// ErrUnauthorized for a bad credential, after logging the reason, and any other error
// for a fault of our own.
func (a *Authorizer) Decide(ctx context.Context, q Question) (Decision, error) {
	claims, err := a.identify(ctx, q)
	if err != nil {
		return Decision{}, err
	}
	d := Decision{Principal: claims.Principal(), Grants: a.grants(claims, a.held(claims))}
	if d.Context, err = contextValues(a.Claims, claims); err == nil && d.Grants.Challenge != "" {
		d.Context = append(d.Context, ContextValue{challengeName, d.Grants.Challenge})
	}
	return d, err
}

// identify returns the claims of the credential, which is good and has not been ended.
func (a *Authorizer) identify(ctx context.Context, q Question) (latchkey.Claims, error) {
	if q.Unclear != "" {
		return latchkey.Claims{}, a.refuse(ctx, q.Unclear)
	}
	token, ok := q.token()
	if !ok {
		return latchkey.Claims{}, a.refuse(ctx, "no bearer token")
	}
	claims, err := a.Verifier.Verify(ctx, token)
	switch {
	case errors.Is(err, latchkey.ErrInvalidToken):
		return latchkey.Claims{}, a.refuse(ctx, err.Error())
	case err != nil:
		return latchkey.Claims{}, fmt.Errorf("verifying token: %w", err)
	}
	if err := a.checkRevoked(ctx, claims); err != nil {
		return latchkey.Claims{}, err
	}
	return claims, nil
}

// checkRevoked refuses a token that was ended. When nobody can tell, that is a fault.
func (a *Authorizer) checkRevoked(ctx context.Context, c latchkey.Claims) error {
	if a.Revocations == nil {
		return nil
	}
	err := a.Revocations.Check(ctx, c)
	if errors.Is(err, latchkey.ErrInvalidToken) {
		return a.refuse(ctx, err.Error())
	}
	return err
}

// held returns what of the table's facts is true now of the bearer of a token.
func (a *Authorizer) held(claims latchkey.Claims) set {
	return a.Table.of(a.Table.PrincipalOf(claims), a.Now())
}

// grants looks up what the bearer of a token may do.
func (a *Authorizer) grants(claims latchkey.Claims, held set) Grants {
	g := a.Table.grants(held)
	if a.HTTPAnswer != AnswerPolicy {
		g.Lacking = a.Table.lacking(held)
	}
	g.Connect = admits(a.ConnectIssuers, claims) && hasAll(claims, a.ConnectScopes)
	g.GraphQL = admits(a.GraphQL.Issuers, claims) && hasAll(claims, a.GraphQL.Scopes)
	for _, f := range a.GraphQL.Fields {
		if !hasAll(claims, f.Scopes) {
			g.DeniedFields = append(g.DeniedFields, f.Name)
		}
	}
	return g
}

// admits reports whether the token's issuer is among the issuers: latchkey itself where
// there are none.
func admits(issuers []string, claims latchkey.Claims) bool {
	if len(issuers) == 0 {
		return claims.IssuerName == ""
	}
	return slices.Contains(issuers, cmp.Or(claims.IssuerName, OwnIssuer))
}

func hasAll(claims latchkey.Claims, scopes []string) bool {
	return !slices.ContainsFunc(scopes, func(s string) bool { return !claims.HasScope(s) })
}

func (a *Authorizer) refuse(ctx context.Context, reason string) error {
	a.log(ctx, slog.LevelInfo, "unauthorized", slog.String("reason", reason))
	return ErrUnauthorized
}
