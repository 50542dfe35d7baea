package gateway

import (
	"context"
	"errors"
)

// ErrForbidden says that a principal may not make a request, or that no route takes it.
var ErrForbidden = errors.New("Forbidden")

// AuthorizeRequest decides one request by its method and escaped path, for a server that
// asks about each one. What the policy would not allow at API Gateway is forbidden here
// too, so that a path that can be read in two ways passes by neither.
//
// It returns what the functions behind an API are told of the principal, nothing for a
// public route; ErrUnauthorized, ErrForbidden, or another error for a fault of our own.
func (a *Authorizer) AuthorizeRequest(ctx context.Context, credential, method, path string) ([]ContextValue, error) {
	m, found := a.Table.Match(method, path)
	if !found {
		return nil, ErrForbidden
	}
	if m.Route.Public {
		return nil, nil
	}
	d, err := a.Decide(ctx, Question{Credential: credential})
	if err != nil {
		return nil, err
	}
	if asked := method + path; firstMatch(d.Grants.Denied, asked) != "" || firstMatch(d.Grants.Allowed, asked) == "" {
		return nil, ErrForbidden
	}
	return d.Context, nil
}
