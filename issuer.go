package latchkey

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
)

// An Issuer is another issuer whose tokens are accepted here.
type Issuer struct {
	// Name is what the issuer is called here: 1 to 32 of a-z, 0-9, "-" and "_". It
	// stands in [Claims.Principal], so that equal subjects of two issuers are two
	// principals. Never give it to another issuer.
	Name string
	// URL is the exact iss of its tokens.
	URL string
	// Audiences are whom its tokens may be for: one of them must be in the claim
	// that the profile names.
	Audiences []string
	// Keys verify its tokens; the package jwks fetches them. HS256 is not accepted:
	// a secret that verifies can also sign.
	Keys    KeySet
	Profile Profile
	// Scopes are those that its tokens may grant. A token's other scopes are left
	// out of [Claims.Scope].
	Scopes []string
	// Require asks for more: all of it. Issuers whose tokens anybody can get need
	// it, as Google, GitHub Actions and Entra's common tenant.
	Require []Match
}

// An issuer is one whose configuration is checked: latchkey's own, or another.
type issuer struct {
	name      string // empty: latchkey's own
	url       string
	audiences []string
	keys      KeySet
	legacy    bool
	types     []string
	// principals are how those of other issuers begin; no own subject may.
	principals []string

	other *otherIssuer // nil: latchkey's own

	lastHeader atomic.Pointer[signedHeader] // nil: none was good yet
}

// An otherIssuer is what a profile asks of tokens, prepared. A claim is known by
// the place of its top member in names.
type otherIssuer struct {
	names    []string // of members that are looked at
	exact    []string // names that must not stand there in another case
	audience int
	idTokens bool
	hashes   [2]int // at_hash, c_hash
	marks    []wanted
	require  []wanted
	subject  []int
	from     []wanted // the claims of scopes
	scopes   []string
}

// wanted is a Match, or a path alone.
type wanted struct {
	top  int
	rest ClaimPath
	Match
}

func (cfg *Config) own() *issuer {
	iss := &issuer{url: cfg.Issuer, keys: cfg.Keys, legacy: cfg.Legacy, types: accessTypes}
	if cfg.Audience != "" {
		iss.audiences = []string{cfg.Audience}
	}
	if cfg.Legacy {
		iss.types = []string{"", "JWT"}
	}
	return iss
}

// addIssuers checks the other issuers and makes all be found by their iss.
func (v *Verifier) addIssuers(all []Issuer) error {
	if len(all) == 0 {
		return nil
	}
	v.byURL = make(map[string]*issuer)
	if v.own != nil && v.own.url != "" {
		v.byURL[v.own.url] = v.own
	}
	names := make(map[string]bool)
	for i := range all {
		if err := all[i].check(); err != nil {
			return fmt.Errorf("verifier: issuer %s: %w", shown(all[i].Name), err)
		}
		if names[all[i].Name] {
			return fmt.Errorf("verifier: two issuers are called %q", all[i].Name)
		}
		names[all[i].Name] = true
		for _, own := range []*issuer{v.own, v.old} {
			if own != nil {
				own.principals = append(own.principals, all[i].Name+"|")
			}
		}
		for _, url := range all[i].urls() {
			if v.byURL[url] != nil {
				return fmt.Errorf("verifier: two issuers have the URL %s", shown(url))
			}
			v.byURL[url] = all[i].prepare(url)
		}
	}
	return nil
}

func (i *Issuer) check() error {
	switch {
	case !isName(i.Name):
		return errors.New("its name must be 1 to 32 of a-z, 0-9, - and _")
	case i.URL == "" || hasControl(i.URL):
		return errors.New("its URL must be set, to the exact iss of its tokens")
	case i.Keys == nil:
		return errors.New("its keys must be set; the package jwks fetches them")
	case len(i.Audiences) == 0 || slices.Contains(i.Audiences, ""):
		return errors.New("its audiences must be set: without them tokens for every other program would be good here")
	}
	if err := i.Profile.check(); err != nil {
		return err
	}
	for _, m := range i.Require {
		if err := m.Claim.check(); err != nil {
			return fmt.Errorf("its Require: %w", err)
		}
	}
	for _, s := range i.Scopes {
		if s == "" || strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r == '"' || r == '\\' || r > '~' }) {
			return fmt.Errorf("scope %s must be of visible ASCII without quotes, backslashes and spaces (RFC 6749 section 3.3)", shown(s))
		}
	}
	return i.checkOpen()
}

func isName(name string) bool {
	return name != "" && len(name) <= 32 && !strings.ContainsFunc(name, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '-' && r != '_'
	})
}

func (i *Issuer) prepare(url string) *issuer {
	p := &i.Profile
	o := &otherIssuer{idTokens: p.IDTokens, scopes: slices.Clone(i.Scopes)}
	audience := p.Audience
	if audience == "" {
		audience = "aud"
	}
	o.audience = o.place(audience)
	o.hashes = [2]int{o.place("at_hash"), o.place("c_hash")}
	o.marks, o.require = o.want(p.Mark), o.want(i.Require)
	for _, path := range p.Scopes {
		o.from = append(o.from, o.want([]Match{{Claim: path}})...)
	}
	subject := p.Subject
	if len(subject) == 0 {
		subject = []string{"sub"}
	}
	for _, name := range subject {
		o.subject = append(o.subject, o.place(name))
	}
	o.exact = append(slices.Clone(claimNames), o.names...)
	slices.Sort(o.exact)
	o.exact = slices.Compact(o.exact)
	return &issuer{name: i.Name, url: url, audiences: slices.Clone(i.Audiences), keys: i.Keys, types: slices.Clone(p.Types), other: o}
}

// place returns where the value of the member is kept.
func (o *otherIssuer) place(name string) int {
	at := slices.Index(o.names, name)
	if at < 0 {
		at = len(o.names)
		o.names = append(o.names, name)
	}
	return at
}

func (o *otherIssuer) want(matches []Match) []wanted {
	var all []wanted
	for _, m := range matches {
		path := slices.Clone(m.Claim)
		all = append(all, wanted{o.place(path[0]), path[1:], Match{path, slices.Clone(m.Values)}})
	}
	return all
}

func (iss *issuer) key(ctx context.Context, h header) (*Key, error) {
	switch {
	case !isOurs(h.alg):
		return nil, errAlgorithm
	case iss.legacy && h.alg != HS256:
		return nil, errLegacyAlg
	case iss.other != nil && h.alg == HS256:
		return nil, errSharedSecret
	case h.hasKid && h.kid == "": // it names a key, and none has this id; without a kid it would not
		return nil, errKey
	}
	key, err := iss.keys.Key(ctx, h.kid, h.alg)
	switch {
	case errors.Is(err, ErrKeyNotFound):
		return nil, errKey
	case err != nil && iss.name != "":
		return nil, fmt.Errorf("looking up key of issuer %s: %w", iss.name, err)
	case err != nil:
		return nil, fmt.Errorf("looking up key: %w", err)
	case key == nil || key.alg != h.alg: // a careless KeySet must not lead to confusion
		return nil, errKey
	}
	return key, nil
}

// checkType wants access tokens and no other kind of JWT (RFC 9068 section 4,
// RFC 8725 section 3.11).
func (iss *issuer) checkType(typ string) error {
	for _, accepted := range iss.types {
		if strings.EqualFold(typ, accepted) {
			return nil
		}
	}
	switch {
	case iss.legacy:
		return errLegacyType
	case iss.other != nil:
		return errOtherType
	}
	return errType
}

// parseClaims reads and checks everything but the times' relation to now.
func (iss *issuer) parseClaims(payload string) (Claims, error) {
	if iss.other != nil {
		return iss.parseOther(payload)
	}
	return iss.parseOwn(payload)
}
