package jwks

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/latchkey-auth/latchkey/internal/fetch"
	"github.com/latchkey-auth/latchkey/internal/http1"
	"github.com/latchkey-auth/latchkey/internal/strictjson"
)

const (
	fetchTimeout = 1500 * time.Millisecond // of each request, with all that belongs to it
	maxDocument  = 64 << 10                // bytes, as latchkey.ParseJWKS takes

	minFresh     = time.Minute
	defaultFresh = 5 * time.Minute // where Cache-Control says nothing
)

// checkURL wants https, or http on this machine where that is allowed, and none
// of the parts that such an address does not need.
func checkURL(text string, allowPrivate bool) error {
	u, err := url.Parse(text)
	if err != nil {
		return errors.New("not a URL") // the error of url.Parse quotes it, and it may hold a password
	}
	switch {
	case u.User != nil || u.Host == "" || u.Fragment != "" || u.Opaque != "":
		return fmt.Errorf("%q must be https://HOST/…, without user name and fragment", u.Redacted())
	case u.Scheme == "http" && allowPrivate && isThisMachine(u.Hostname()):
		return nil
	case u.Scheme != "https":
		return fmt.Errorf("%q must be https, or http on this machine with AllowPrivate: an attacker who can change the answer can sign tokens", u.Redacted())
	case !allowPrivate && isPrivateLiteral(u.Hostname()):
		return fmt.Errorf("%q is %w", u.Redacted(), errPrivate)
	}
	return nil
}

// load fetches the set, and before it what tells where it is.
func (s *Set) load(ctx context.Context) (doc []byte, fresh time.Duration, err error) {
	if s.url == "" {
		if s.url, err = s.discover(ctx); err != nil {
			return nil, 0, err
		}
	}
	doc, header, err := s.get(ctx, s.url, "application/jwk-set+json, application/json")
	if err != nil {
		return nil, 0, err
	}
	return doc, freshness(header, s.cfg.MaxAge), nil
}

// discover returns the jwks_uri of the issuer (OpenID Connect Discovery 1.0
// section 4).
func (s *Set) discover(ctx context.Context) (string, error) {
	at := strings.TrimSuffix(s.issuer, "/") + "/.well-known/openid-configuration"
	doc, _, err := s.get(ctx, at, "application/json")
	if err != nil {
		return "", err
	}
	issuer, uri, err := parseDiscovery(string(doc))
	switch {
	case err != nil:
		return "", fmt.Errorf("%s: %w", at, err)
	case issuer != s.issuer: // section 4.3: MUST be identical
		return "", fmt.Errorf("%s is about the issuer %.100q, not %q: use the spelling of the document", at, issuer, s.issuer)
	}
	if err := checkURL(uri, s.cfg.AllowPrivate); err != nil {
		return "", fmt.Errorf("%s: jwks_uri: %w", at, err)
	}
	return uri, nil
}

// parseDiscovery reads issuer and jwks_uri.
func parseDiscovery(doc string) (issuer, uri string, err error) {
	members := map[string]*string{"issuer": &issuer, "jwks_uri": &uri}
	err = strictjson.Object(doc, func(name string, v strictjson.Value) error {
		to := members[name]
		if to == nil {
			return nil
		}
		text, ok := v.Text()
		if !ok {
			return fmt.Errorf("member %q is not a string", name)
		}
		*to = text
		return nil
	})
	if err != nil {
		return "", "", fmt.Errorf("parsing discovery document: %w", err)
	}
	return issuer, uri, nil
}

func (s *Set) get(ctx context.Context, at, accept string) ([]byte, http1.Header, error) {
	ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	res, err := s.cfg.Fetch(ctx, fetch.Request{Method: "GET", URL: at, Header: map[string]string{"Accept": accept}, MaxBody: maxDocument})
	switch {
	case errors.Is(err, fetch.ErrTooLong):
		return nil, nil, fmt.Errorf("%s: more than %d bytes", at, maxDocument)
	case err != nil:
		return nil, nil, fmt.Errorf("fetching %s: %w", at, err)
	case res.Status != 200:
		return nil, nil, fmt.Errorf("%s: status %d; it must be 200, and redirects are not followed", at, res.Status)
	}
	return res.Body, res.Header, nil
}

// freshness is how long an answer is fresh by its Cache-Control and Age (RFC 9111
// sections 4.2 and 5.2.2), within bounds: below a minute every issuer would be
// asked too often, and beyond most a withdrawn key would live too long.
func freshness(h http1.Header, most time.Duration) time.Duration {
	fresh := defaultFresh
	for _, directive := range strings.Split(h.Get("Cache-Control"), ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(directive), "=")
		switch strings.ToLower(name) {
		case "no-store", "no-cache":
			return minFresh
		case "max-age":
			if age, ok := deltaSeconds(value); ok {
				passed, _ := deltaSeconds(h.Get("Age"))
				fresh = age - passed
			}
		}
	}
	return min(max(fresh, minFresh), most)
}

// deltaSeconds reads a number of seconds (RFC 9111 section 1.2.2).
func deltaSeconds(text string) (time.Duration, bool) {
	n, err := strconv.ParseUint(text, 10, 31)
	return time.Duration(n) * time.Second, err == nil
}
