package latchkey

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/latchkey-auth/latchkey/internal/strictjson"
)

// An Issuer is somebody else who issues tokens that are good here.
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
	// Keys verify its tokens; the package jwks fetches them. HS256 is not taken:
	// whoever can verify with a secret can sign with it.
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

// consumers is the tenant of Microsoft accounts that anybody can open.
const consumers = "9188040d-6c67-4c5b-b112-36a304b66dad"

// checkOpen refuses issuers whose tokens anybody can get, unless something is
// required that not everybody has.
func (i *Issuer) checkOpen() error {
	claims := openTo(i.URL)
	if i.common() != "" {
		claims = []string{"tid"}
	}
	if claims == nil {
		return nil
	}
	for _, m := range i.Require {
		if len(m.Claim) == 1 && len(m.Values) > 0 && !slices.Contains(m.Values, "") && slices.Contains(claims, m.Claim[0]) {
			if m.Claim[0] == "tid" && slices.Contains(m.Values, consumers) {
				return fmt.Errorf("the tid %s is that of Microsoft accounts, which anybody can open", consumers)
			}
			return nil
		}
	}
	return fmt.Errorf("anybody can get tokens of %s: Require must list values of %s", shown(i.URL), strings.Join(claims, " or "))
}

// openTo returns the claims that tell people apart at an issuer that serves
// everybody; nil for other issuers.
func openTo(url string) []string {
	switch url {
	case "https://accounts.google.com", "accounts.google.com":
		return []string{"hd", "sub"}
	case "https://token.actions.githubusercontent.com":
		return []string{"repository_owner", "repository_owner_id", "repository", "repository_id"}
	case "https://gitlab.com":
		return []string{"namespace_path", "namespace_id", "project_path", "project_id"}
	case "https://agent.buildkite.com":
		return []string{"organization_slug", "organization_id"}
	case "https://app.terraform.io":
		return []string{"terraform_organization_name", "terraform_organization_id"}
	case "https://appleid.apple.com":
		return []string{"sub"}
	case "https://login.microsoftonline.com/" + consumers + "/v2.0", "https://sts.windows.net/" + consumers + "/":
		return []string{"oid", "sub"}
	}
	return nil
}

// common returns the part of the URL that stands for any tenant of Entra.
func (i *Issuer) common() string {
	for _, host := range []string{"https://login.microsoftonline.com/", "https://sts.windows.net/"} {
		if path, ok := strings.CutPrefix(i.URL, host); ok {
			tenant, _, _ := strings.Cut(path, "/")
			switch tenant {
			case "common", "organizations", "consumers", "{tenantid}":
				return "/" + tenant + "/"
			}
		}
	}
	return ""
}

// urls are the exact values of iss: one, or one for each tenant that a common URL
// stands for.
func (i *Issuer) urls() []string {
	common := i.common()
	if common == "" {
		return []string{i.URL}
	}
	var urls []string
	for _, m := range i.Require {
		if len(m.Claim) == 1 && m.Claim[0] == "tid" {
			for _, tid := range m.Values {
				urls = append(urls, strings.Replace(i.URL, common, "/"+tid+"/", 1))
			}
		}
	}
	return urls
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

// find returns the issuer that a payload says it is from. That is no more than a
// claim until its signature is verified by that issuer's keys.
func (v *Verifier) find(payload string) (*issuer, error) {
	url, found := "", false
	err := strictjson.Object(payload, func(name string, value strictjson.Value) error {
		if name != "iss" {
			return nil
		}
		if url, found = value.Text(); !found {
			return errClaimsMember
		}
		return errFound
	})
	if err != nil && !found {
		return nil, refusal(err, errClaimsJSON)
	}
	if iss := v.byURL[url]; iss != nil && found {
		return iss, nil
	}
	if v.own != nil && v.own.legacy { // its tokens need no iss
		return v.own, nil
	}
	if !found {
		return nil, errNoIssuer
	}
	return nil, errOtherIssuer
}

// errFound ends a search.
var errFound = errors.New("found")

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

// parseOther reads the claims of another issuer by its profile.
func (iss *issuer) parseOther(payload string) (Claims, error) {
	o := iss.other
	c := Claims{payload: payload, IssuerName: iss.name}
	seen := make([]strictjson.Value, len(o.names))
	err := strictjson.Object(payload, func(name string, value strictjson.Value) error {
		at := slices.Index(o.names, name)
		if at >= 0 {
			seen[at] = value
		}
		if known, err := c.read(name, value); known || at >= 0 {
			return err
		}
		return wrongCase(name, o.exact, errClaimsCase)
	})
	if err != nil {
		return Claims{}, refusal(err, errClaimsJSON)
	}
	if err := iss.checkOther(&c, seen); err != nil {
		return Claims{}, refusal(err, errClaimsMember)
	}
	return c, nil
}

func (iss *issuer) checkOther(c *Claims, seen []strictjson.Value) error {
	o := iss.other
	if c.Issuer != iss.url {
		return issuerError(c.Issuer, iss.url)
	}
	if !o.idTokens && (seen[o.hashes[0]].Kind() != 0 || seen[o.hashes[1]].Kind() != 0) {
		return errIDToken
	}
	for _, m := range o.marks {
		if ok, err := m.in(seen); err != nil || !ok {
			return matchError(err, CheckType, "is no access token of this issuer: it has no ", m.Match)
		}
	}
	if err := iss.checkAudience(c, seen[o.audience]); err != nil {
		return err
	}
	if err := o.findSubject(c, seen); err != nil {
		return err
	}
	if err := c.checkRequired(); err != nil {
		return err
	}
	for _, m := range o.require {
		if ok, err := m.in(seen); err != nil || !ok {
			return matchError(err, CheckRequired, "has no ", m.Match)
		}
	}
	c.principal = iss.name + "|" + c.Subject
	return o.grant(c, seen)
}

func matchError(err error, check Check, detail string, m Match) error {
	if err != nil {
		return err
	}
	return &TokenError{check, detail + m.String()}
}

// checkAudience wants one of ours in aud, or in the claim that takes its place.
func (iss *issuer) checkAudience(c *Claims, value strictjson.Value) error {
	name := iss.other.names[iss.other.audience]
	got := c.audience
	if name != "aud" {
		text, ok := value.Text()
		if !ok && value.Kind() != 0 {
			return errClaimsMember
		}
		if got = nil; ok {
			got = []string{text}
		}
	}
	switch {
	case got == nil && name == "aud":
		return errNoAudience
	case got == nil:
		return &TokenError{CheckAudience, name + " is missing"}
	case !containsAny(got, iss.audiences):
		return audienceError(name, got, iss.audiences)
	}
	return nil
}

// findSubject takes the first of the subject's claims that is there.
func (o *otherIssuer) findSubject(c *Claims, seen []strictjson.Value) error {
	c.Subject = ""
	for _, at := range o.subject {
		if seen[at].Kind() != 0 {
			return claimText(seen[at], &c.Subject)
		}
	}
	return nil
}

// in reports whether the claim is there as wanted.
func (w *wanted) in(seen []strictjson.Value) (bool, error) {
	v, err := w.value(seen)
	if err != nil {
		return false, err
	}
	if v.Kind() != strictjson.Array {
		return w.matches(v), nil
	}
	found := false
	err = v.Elements(func(v strictjson.Value) error {
		found = found || w.matches(v)
		return nil
	})
	return found, err
}

// value follows the path. A value of kind 0 is none.
func (w *wanted) value(seen []strictjson.Value) (strictjson.Value, error) {
	v := seen[w.top]
	for _, name := range w.rest {
		if v.Kind() != strictjson.Members {
			return strictjson.Value{}, nil
		}
		var inner strictjson.Value
		err := strictjson.Object(v.Raw(), func(member string, value strictjson.Value) error {
			if member == name {
				inner = value
			}
			return nil
		})
		if err != nil {
			return strictjson.Value{}, err
		}
		v = inner
	}
	return v, nil
}

func (w *wanted) matches(v strictjson.Value) bool {
	text, ok := v.Text()
	switch v.Kind() {
	case strictjson.Bool, strictjson.Number:
		text, ok = v.Raw(), true
	case strictjson.Members:
		return len(w.Values) == 0
	}
	if len(w.Values) == 0 {
		return ok && text != ""
	}
	return ok && slices.Contains(w.Values, text)
}

// grant makes the scope of what the token has and the issuer may grant.
func (o *otherIssuer) grant(c *Claims, seen []strictjson.Value) error {
	if len(o.scopes) == 0 {
		return nil
	}
	granted := make([]bool, len(o.scopes))
	take := func(scope string) {
		if at := slices.Index(o.scopes, scope); at >= 0 {
			granted[at] = true
		}
	}
	for i := range o.from {
		v, err := o.from[i].value(seen)
		if err != nil {
			return err
		}
		switch text, ok := v.Text(); {
		case ok:
			for word := range words(text) {
				take(word)
			}
		case v.Kind() == strictjson.Array:
			// An element is one scope: what holds a space is not two.
			err := v.Elements(func(v strictjson.Value) error {
				text, ok := v.Text()
				if !ok {
					return errClaimsMember
				}
				take(text)
				return nil
			})
			if err != nil {
				return err
			}
		case v.Kind() != 0 && v.Kind() != strictjson.Null:
			return errClaimsMember
		}
	}
	for i, scope := range o.scopes {
		if granted[i] {
			c.Scope += " " + scope
		}
	}
	c.Scope = strings.TrimPrefix(c.Scope, " ")
	return nil
}
