package jwks_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/latchkey-auth/latchkey"
	"github.com/latchkey-auth/latchkey/jwks"
	"github.com/latchkey-auth/latchkey/latchkeytest"
)

const discoveryURL = issuerURL + "/.well-known/openid-configuration"

func TestDiscover(t *testing.T) {
	issuer := latchkeytest.NewIssuer(t)
	const other = "https://other.example.com/keys"
	for name, c := range map[string]struct {
		issuer, at string
		page       http.HandlerFunc
		says       string // of the error; empty: good
	}{
		"an issuer":         {issuerURL, discoveryURL, page(`{"issuer":"` + issuerURL + `","jwks_uri":"` + keysURL + `"}`), ""},
		"ended by a slash":  {issuerURL + "/", discoveryURL, page(`{"issuer":"` + issuerURL + `/","jwks_uri":"` + keysURL + `"}`), ""},
		"with a path":       {issuerURL + "/a/b", issuerURL + "/a/b/.well-known/openid-configuration", page(`{"issuer":"` + issuerURL + `/a/b","jwks_uri":"` + keysURL + `"}`), ""},
		"with more members": {issuerURL, discoveryURL, page(`{"x":[{}],"issuer":"` + issuerURL + `","jwks_uri":"` + keysURL + `","scopes_supported":["openid"]}`), ""},

		"another issuer":           {issuerURL, discoveryURL, page(`{"issuer":"https://evil.example","jwks_uri":"` + keysURL + `"}`), "use the spelling of the document"},
		"a slash too many":         {issuerURL, discoveryURL, page(`{"issuer":"` + issuerURL + `/","jwks_uri":"` + keysURL + `"}`), "is about the issuer"},
		"a slash too few":          {issuerURL + "/", discoveryURL, page(`{"issuer":"` + issuerURL + `","jwks_uri":"` + keysURL + `"}`), "is about the issuer"},
		"another case":             {issuerURL, discoveryURL, page(`{"issuer":"https://ISSUER.example.com","jwks_uri":"` + keysURL + `"}`), "is about the issuer"},
		"no issuer":                {issuerURL, discoveryURL, page(`{"jwks_uri":"` + keysURL + `"}`), "is about the issuer"},
		"Issuer in wrong case":     {issuerURL, discoveryURL, page(`{"Issuer":"` + issuerURL + `","jwks_uri":"` + keysURL + `"}`), "is about the issuer"},
		"a template":               {issuerURL, discoveryURL, page(`{"issuer":"https://issuer.example.com/{tenantid}/v2.0","jwks_uri":"` + keysURL + `"}`), "is about the issuer"},
		"two issuers":              {issuerURL, discoveryURL, page(`{"issuer":"https://evil.example","issuer":"` + issuerURL + `","jwks_uri":"` + keysURL + `"}`), "stands twice"},
		"issuer a list":            {issuerURL, discoveryURL, page(`{"issuer":["` + issuerURL + `"],"jwks_uri":"` + keysURL + `"}`), `"issuer" is not a string`},
		"no jwks_uri":              {issuerURL, discoveryURL, page(`{"issuer":"` + issuerURL + `"}`), "jwks_uri"},
		"jwks_uri by http":         {issuerURL, discoveryURL, page(`{"issuer":"` + issuerURL + `","jwks_uri":"http://keys.example.com/jwks.json"}`), "must be https"},
		"jwks_uri in the cloud":    {issuerURL, discoveryURL, page(`{"issuer":"` + issuerURL + `","jwks_uri":"https://169.254.169.254/latest"}`), "not a public address"},
		"jwks_uri on this machine": {issuerURL, discoveryURL, page(`{"issuer":"` + issuerURL + `","jwks_uri":"http://127.0.0.1/"}`), "must be https"},
		"jwks_uri a file":          {issuerURL, discoveryURL, page(`{"issuer":"` + issuerURL + `","jwks_uri":"file:///etc/passwd"}`), "must be https"},
		"jwks_uri relative":        {issuerURL, discoveryURL, page(`{"issuer":"` + issuerURL + `","jwks_uri":"/jwks.json"}`), "must be https"},
		"a redirect": {issuerURL, discoveryURL, func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, other, http.StatusTemporaryRedirect)
		}, "redirects are not followed"},
		"too long": {issuerURL, discoveryURL, page(`{"issuer":"` + issuerURL + `","jwks_uri":"` + keysURL + `"}` + strings.Repeat(" ", 64<<10)), "more than"},
		"no JSON":  {issuerURL, discoveryURL, page(`<html>`), "parsing discovery document"},
		"away":     {issuerURL, discoveryURL, nil, "connection refused"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite()
			s.serve(c.at, c.page)
			s.serve(keysURL, keysOf(issuer))
			s.serve(other, page(`{"issuer":"`+issuerURL+`","jwks_uri":"`+keysURL+`"}`))
			keys, err := jwks.Discover(c.issuer, jwks.Config{Fetch: s.fetch()})
			if err != nil {
				t.Fatal(err)
			}
			v := verifierOf(t, keys, nil)
			if c.says == "" {
				want(t, v, issuer, good, name)
				return
			}
			want(t, v, issuer, outage, name)
			if _, err := keys.Snapshot(t.Context()); err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("got error %v, want one that says %q", err, c.says)
			}
			if s.fetched(keysURL)+s.fetched(other) > 0 {
				t.Error("something was fetched that the document must not lead to")
			}
		})
	}
}

// TestKeySetsMove: discovery is not asked again while it leads to keys, and is
// when it does not.
func TestKeySetsMove(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, old, next := newSite(), latchkeytest.NewIssuer(t), latchkeytest.NewIssuer(t)
		const moved = "https://keys.example.com/2.json"
		s.serve(discoveryURL, page(`{"issuer":"`+issuerURL+`","jwks_uri":"`+keysURL+`"}`))
		s.serve(keysURL, keysOf(old))
		keys, err := jwks.Discover(issuerURL, jwks.Config{Fetch: s.fetch(), Inline: true})
		v := verifierOf(t, keys, err)
		for range 3 {
			want(t, v, old, good, "at the first place")
			time.Sleep(4 * time.Minute)
		}
		if n := s.fetched(discoveryURL); n != 1 {
			t.Errorf("discovery was asked %d times, want once", n)
		}
		s.serve(discoveryURL, page(`{"issuer":"`+issuerURL+`","jwks_uri":"`+moved+`"}`))
		s.serve(keysURL, nil)
		s.serve(moved, keysOf(next))
		want(t, v, old, good, "moved, and not yet looked for")
		time.Sleep(11 * time.Second)
		want(t, v, next, good, "at the second place")
	})
}

// FuzzDiscovery: what is read of a document, encoding/json reads too.
func FuzzDiscovery(f *testing.F) {
	for _, doc := range []string{``, `{}`, `{"issuer":"a","jwks_uri":"b"}`, `{"issuer":"\u0061","Issuer":"c","jwks_uri":"b","x":[1,{"issuer":"d"}]}`,
		`{"issuer":null}`, `{"issuer":"a","issuer":"b"}`, `[{"issuer":"a"}]`} {
		f.Add(doc)
	}
	f.Fuzz(func(t *testing.T, doc string) {
		issuer, uri, err := jwks.ParseDiscovery(doc)
		if err != nil {
			if issuer != "" || uri != "" {
				t.Errorf("values came with the error %v", err)
			}
			return
		}
		var theirs map[string]any
		if err := json.Unmarshal([]byte(doc), &theirs); err != nil {
			t.Fatalf("encoding/json refuses %q: %v", doc, err)
		}
		for name, got := range map[string]string{"issuer": issuer, "jwks_uri": uri} {
			if want, _ := theirs[name].(string); got != want {
				t.Errorf("we see %s %q, encoding/json %q", name, got, want)
			}
		}
	})
}

// TestUnknownKeysOfAnEmptyAnswerAreAnOutage: without any set there is nothing to
// say about a token.
func TestUnknownKeysOfAnEmptyAnswerAreAnOutage(t *testing.T) {
	keys, err := jwks.Remote(keysURL, jwks.Config{Fetch: newSite().fetch()})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := keys.Key(t.Context(), "k", latchkey.ES256); err == nil || errors.Is(err, latchkey.ErrKeyNotFound) {
		t.Errorf("got error %v, want an outage", err)
	}
}
