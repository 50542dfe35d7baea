package gateway

import (
	"context"
	"errors"
	"slices"
	"strings"
)

// ErrForbidden says that a principal may not make a request, or that no route takes it.
var ErrForbidden = errors.New("Forbidden")

// A SignInError is an [ErrForbidden] of a principal who may make the request after
// another sign-in.
type SignInError struct {
	Challenge string // see [SignIn.Challenge]: that of the route, not of all routes
}

func (e *SignInError) Error() string { return "Forbidden: another sign-in is needed" }

// Is makes a SignInError match ErrForbidden.
func (e *SignInError) Is(target error) bool { return target == ErrForbidden }

// AuthorizeRequest decides one request by its method and escaped path, for a server that
// asks about each one. What the policy would not allow at API Gateway is forbidden here
// too, so that a path that can be read in two ways passes by neither. So is a path that
// is another route's but for the case of its letters, if that one is not granted: many
// servers do not mind the case.
//
// It returns what the functions behind an API are told of the principal, nothing for a
// public route; ErrUnauthorized, ErrForbidden, which is a [SignInError] where another
// sign-in helps, or another error for a fault of our own.
func (a *Authorizer) AuthorizeRequest(ctx context.Context, credential, method, path string) ([]ContextValue, error) {
	m, found := a.Table.Match(method, path)
	if !found {
		return nil, ErrForbidden
	}
	asked := a.Table.otherCases(method, path)
	if !m.Route.Public {
		asked = append(asked, path)
	}
	if len(asked) == 0 {
		return nil, nil
	}
	claims, err := a.identify(ctx, Question{Credential: credential})
	if err != nil {
		return nil, err
	}
	held := a.held(claims)
	if !a.grants(claims, held).allowAll(method, asked) {
		if s, ok := a.Table.signInFor(held, method, asked); ok {
			return nil, &SignInError{s.Challenge()}
		}
		return nil, ErrForbidden
	}
	if m.Route.Public {
		return nil, nil
	}
	return contextValues(a.Claims, claims)
}

// allowAll reports whether the policy of the grants would allow the method at each path.
func (g Grants) allowAll(method string, paths []string) bool {
	return !slices.ContainsFunc(paths, func(path string) bool {
		resource := method + path
		return firstMatch(g.Denied, resource) != "" || firstMatch(g.Allowed, resource) == ""
	})
}

// otherCases returns the path as routes that are not public spell it, where that differs
// in the case of letters alone.
func (t *Table) otherCases(method, path string) []string {
	var found []string
	parts := pathParts(path)
	for i := range t.entries {
		e := &t.entries[i]
		if e.Public || !slices.Contains(e.verbs, method) || !coversInOtherCase(e.segments, parts) {
			continue
		}
		own := slices.Clone(parts)
		for i, s := range e.segments {
			if s.kind == literal {
				own[i] = s.text
			}
		}
		// Where that is a more specific route's, the loop comes to it by itself.
		spelt := "/" + strings.Join(own, "/")
		if led, _ := t.match(method, spelt, false); led == e {
			found = append(found, spelt)
		}
	}
	return found
}

// coversInOtherCase reports whether the path would be the route's, and is not, if case did
// not matter.
func coversInOtherCase(segments []segment, parts []string) bool {
	differs := false
	for i, s := range segments {
		switch {
		case i >= len(parts):
			return false
		case s.kind == greedy:
			return differs
		case s.kind == literal && !strings.EqualFold(s.text, parts[i]):
			return false
		case s.kind == literal:
			differs = differs || s.text != parts[i]
		}
	}
	return differs && len(segments) == len(parts)
}
