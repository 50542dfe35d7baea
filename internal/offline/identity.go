package offline

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// An IdentitySource is a part of a request by which API Gateway keeps the answers of an
// authorizer of type REQUEST: "method.request.header.NAME" or
// "method.request.querystring.NAME".
type IdentitySource string

const (
	headerSource = "method.request.header."
	querySource  = "method.request.querystring."
)

// ParseIdentitySources reads a list that is separated by commas, as API Gateway takes it.
func ParseIdentitySources(list string) ([]IdentitySource, error) {
	var sources []IdentitySource
	for text := range strings.SplitSeq(list, ",") {
		s := IdentitySource(strings.TrimSpace(text))
		if err := s.check(); err != nil {
			return nil, fmt.Errorf("identity source %q: %w", s, err)
		}
		if slices.Contains(sources, s) {
			return nil, fmt.Errorf("identity source %q stands twice", s)
		}
		sources = append(sources, s)
	}
	return sources, nil
}

func (s IdentitySource) check() error {
	for _, prefix := range []string{headerSource, querySource} {
		if name, ok := strings.CutPrefix(string(s), prefix); ok && name != "" && !strings.ContainsAny(name, " \t:=&") {
			return nil
		}
	}
	if strings.HasPrefix(string(s), "context.") || strings.HasPrefix(string(s), "stageVariables.") {
		return errors.New("offline knows headers and query parameters only")
	}
	return errors.New("must be " + headerSource + "NAME or " + querySource + "NAME")
}

// value is the one value of the source; false: there is none, or more than one, which
// is not defined for API Gateway.
func (s IdentitySource) value(r *http.Request) (string, bool) {
	var values []string
	if name, ok := strings.CutPrefix(string(s), headerSource); ok {
		values = r.Header.Values(name)
	} else {
		values = query(r)[strings.TrimPrefix(string(s), querySource)]
	}
	if len(values) != 1 || values[0] == "" {
		return "", false
	}
	return values[0], true
}

func query(r *http.Request) url.Values {
	values, _ := url.ParseQuery(r.URL.RawQuery)
	return values
}

// A cacheKey is what an answer is kept under.
type cacheKey [sha256.Size]byte

// identity is what the answer to a request is kept under. It is false where an identity
// source is missing: the function is not called then. An authorizer of type REQUEST
// whose answers are not kept has no need of any.
func (x *exchange) identity() (key cacheKey, ok bool) {
	sources := x.IdentitySources
	switch {
	case sources == nil:
		sources = []IdentitySource{headerSource + "Authorization"}
	case x.AuthorizerTTL == 0:
		return cacheKey{}, true
	}
	h := sha256.New()
	for _, s := range sources {
		value, ok := s.value(x.r)
		if !ok {
			return cacheKey{}, false
		}
		fmt.Fprintf(h, "%d:%s", len(value), value) // no two lists of values are written alike
	}
	return cacheKey(h.Sum(nil)), true
}
