package latchkey

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/latchkey-auth/latchkey/internal/strictjson"
)

const (
	maxToken  = 8192             // bytes
	maxLeeway = 60 * time.Second // RFC 7519 section 4.1.4: a few minutes at most; more is a longer life
	// maxTime is the last second of the year 9999.
	maxTime = 253402300799
	// maxSubject: OpenID Connect Core section 2 allows 255 characters.
	maxSubject = 255

	defaultCacheSize = 1024
)

// DefaultLeeway is allowed for clocks that differ where [Config] names none.
const DefaultLeeway = 10 * time.Second

// Config is what a Verifier needs: Keys, Issuer and Audience for latchkey's own
// tokens, or Issuers for those of others, or both.
type Config struct {
	Keys     KeySet // required, unless there are Issuers
	Issuer   string // exact value of iss; required with Keys unless Legacy
	Audience string // must be among aud; required with Keys unless Legacy

	// Issuers are others whose tokens are good here. A token's iss says whose it
	// is; it is verified by that issuer's keys and profile and no others.
	Issuers []Issuer

	// Leeway is allowed for clocks that differ, at exp, nbf and iat: 60 s at
	// most. 0 is [DefaultLeeway]: without any, a token that an issuer whose
	// clock is a second ahead has just made is refused. A negative one is none.
	Leeway time.Duration

	// Legacy verifies the tokens of systems that used a shared secret: HS256
	// alone, typ JWT or none, iss and aud not needed. An iss or aud that is
	// present must still be right where Issuer and Audience are set.
	Legacy bool

	// OldKeys verify tokens as Legacy does, beside all others and until OldUntil: for
	// systems that move from a shared secret to keys. These are the tokens of HS256;
	// no other token is verified by OldKeys, and none of HS256 by other keys.
	OldKeys  KeySet
	OldUntil time.Time

	// CacheSize is how many verified tokens are remembered; 0 is 1024, a
	// negative number none.
	CacheSize int

	Now func() time.Time // nil: time.Now
}

// A Verifier verifies tokens. It may be used concurrently.
type Verifier struct {
	own   *issuer            // nil: none
	byURL map[string]*issuer // nil: own alone
	// old verifies HS256 until oldUntil; nil: nobody does it but own.
	old      *issuer
	oldUntil time.Time
	leeway   time.Duration
	now      func() time.Time
	cache    *cache // nil: none
}

// New checks the configuration and returns a Verifier.
func New(cfg Config) (*Verifier, error) {
	hasOwn := cfg.Keys != nil
	switch {
	case !hasOwn && (len(cfg.Issuers) == 0 || cfg.Issuer != "" || cfg.Audience != "" || cfg.Legacy):
		return nil, errors.New("verifier: keys must be set")
	case hasOwn && !cfg.Legacy && (cfg.Issuer == "" || cfg.Audience == ""):
		return nil, errors.New("verifier: issuer and audience must be set")
	case (cfg.OldKeys != nil) != !cfg.OldUntil.IsZero() || cfg.OldKeys != nil && (cfg.Legacy || !hasOwn):
		return nil, errors.New("verifier: old keys need an end, and keys that are not of the compatibility mode beside them")
	case cfg.Leeway > maxLeeway:
		return nil, fmt.Errorf("verifier: leeway %v must be %v at most", cfg.Leeway, maxLeeway)
	}
	if cfg.Leeway == 0 {
		cfg.Leeway = DefaultLeeway
	}
	v := &Verifier{leeway: max(cfg.Leeway, 0), now: cfg.Now}
	if v.now == nil {
		v.now = time.Now
	}
	if hasOwn {
		v.own = cfg.own()
	}
	if cfg.OldKeys != nil {
		old := Config{Keys: cfg.OldKeys, Issuer: cfg.Issuer, Audience: cfg.Audience, Legacy: true}
		v.old, v.oldUntil = old.own(), cfg.OldUntil
	}
	if err := v.addIssuers(cfg.Issuers); err != nil {
		return nil, err
	}
	if cfg.CacheSize == 0 {
		cfg.CacheSize = defaultCacheSize
	}
	if cfg.CacheSize > 0 {
		v.cache = newCache(cfg.CacheSize)
	}
	return v, nil
}

// Verify checks a token and returns its claims. Every refusal matches
// [ErrInvalidToken] and is a [*TokenError]; any other error is an outage of the
// key set.
func (v *Verifier) Verify(ctx context.Context, token string) (Claims, error) {
	if len(token) > maxToken {
		return Claims{}, errSize
	}
	now := v.now()
	if v.cache != nil {
		if e, ok := v.cache.get(token); ok && v.stillGood(ctx, e, now) {
			return e.claims, nil
		}
	}
	e, err := v.verify(ctx, token, now)
	if err != nil {
		return Claims{}, err
	}
	if v.cache != nil {
		v.cache.put(token, e)
	}
	return e.claims, nil
}

// stillGood checks again what time and the key set may have changed. A key that
// was removed ends its tokens at once.
func (v *Verifier) stillGood(ctx context.Context, e entry, now time.Time) bool {
	if e.issuer == v.old && v.old != nil && !now.Before(v.oldUntil) {
		return false
	}
	key, err := e.issuer.keys.Key(ctx, e.key.id, e.key.alg)
	return err == nil && key == e.key && v.checkTimes(&e.claims, now) == nil
}

// parts are a token's three parts, still encoded.
type parts struct{ header, payload, signature, input string }

// split finds exactly three non-empty parts (RFC 7515 section 7.1).
func split(token string) (parts, bool) {
	i := strings.IndexByte(token, '.')
	if i <= 0 {
		return parts{}, false
	}
	j := strings.IndexByte(token[i+1:], '.')
	if j <= 0 {
		return parts{}, false
	}
	j += i + 1
	p := parts{token[:i], token[i+1 : j], token[j+1:], token[:j]}
	return p, p.signature != "" && strings.IndexByte(p.signature, '.') < 0
}

// decode takes canonical base64url alone: no padding, no line breaks (which
// encoding/base64 would skip), no set bits after the last byte.
func decode(dst []byte, text string) ([]byte, error) {
	if strings.IndexByte(text, '\n') >= 0 || strings.IndexByte(text, '\r') >= 0 {
		return nil, errBase64
	}
	b, err := base64url.AppendDecode(dst, []byte(text))
	if err != nil {
		return nil, errBase64
	}
	return b, nil
}

var base64url = base64.RawURLEncoding.Strict()

func (v *Verifier) verify(ctx context.Context, token string, now time.Time) (entry, error) {
	p, ok := split(token)
	if !ok {
		return entry{}, errParts
	}
	iss, payload, err := v.issuerOf(p, now)
	if err != nil {
		return entry{}, err
	}
	h, known, err := iss.header(p.header)
	if err != nil {
		return entry{}, err
	}
	key, err := iss.key(ctx, h)
	if err != nil {
		return entry{}, err
	}
	if err := verifySignature(key, p); err != nil {
		return entry{}, err
	}
	if !known {
		iss.lastHeader.Store(&signedHeader{strings.Clone(p.header), h})
	}
	if err := iss.checkType(h.typ); err != nil {
		return entry{}, err
	}
	if payload == "" {
		if payload, err = decodePayload(p); err != nil {
			return entry{}, err
		}
	}
	claims, err := iss.parseClaims(payload)
	if err != nil {
		return entry{}, err
	}
	return entry{claims, key, iss}, v.checkTimes(&claims, now)
}

// issuerOf returns whose token it is. Where there is but one issuer, nothing is
// looked at before the signature; else the payload is read, for its iss. Old tokens
// are known by their algorithm, which their key demands again.
func (v *Verifier) issuerOf(p parts, now time.Time) (iss *issuer, payload string, err error) {
	if v.old != nil {
		h, _, err := v.old.header(p.header)
		switch {
		case err != nil:
			return nil, "", err
		case h.alg == HS256 && !now.Before(v.oldUntil):
			return nil, "", errOldEnded
		case h.alg == HS256:
			return v.old, "", nil
		}
	}
	if v.byURL == nil {
		return v.own, "", nil
	}
	if payload, err = decodePayload(p); err == nil {
		iss, err = v.find(payload)
	}
	return iss, payload, err
}

func decodePayload(p parts) (string, error) {
	var buf [1024]byte
	payload, err := decode(buf[:0], p.payload)
	return string(payload), err
}

// header holds the members that are looked at. jwk, jku, x5u and x5c are not:
// keys come from the configuration alone (RFC 8725 section 3.10).
type header struct {
	alg      Algorithm
	kid, typ string
	hasKid   bool
}

// A signedHeader is one that a good signature covered, as it was spelled.
type signedHeader struct {
	part string
	header
}

// header reads a header, unless it is spelled like the last good one: all tokens
// of a key have the same.
func (iss *issuer) header(part string) (h header, known bool, err error) {
	if last := iss.lastHeader.Load(); last != nil && last.part == part {
		return last.header, true, nil
	}
	h, err = parseHeader(part)
	return h, false, err
}

func parseHeader(part string) (header, error) {
	var h header
	var buf [512]byte
	doc, err := decode(buf[:0], part)
	if err != nil {
		return h, err
	}
	hasAlg := false
	err = strictjson.Object(string(doc), func(name string, v strictjson.Value) error {
		text, isString := v.Text()
		switch name {
		case "alg":
			h.alg, hasAlg = canonical(Algorithm(text)), true
		case "kid":
			h.kid, h.hasKid = text, true
		case "typ":
			h.typ = text
		case "crit", "b64", "zip", "enc", "epk", "apu", "apv", "iv", "tag", "p2s", "p2c":
			return errExtension // RFC 7515 section 4.1.11, RFC 7797, RFC 7516
		default:
			return wrongCase(name, headerNames, errHeaderCase)
		}
		if !isString {
			return errHeaderMember
		}
		return nil
	})
	switch {
	case err != nil:
		return h, refusal(err, errHeaderJSON)
	case !hasAlg:
		return h, errNoAlgorithm
	}
	return h, nil
}

var (
	headerNames = []string{"alg", "kid", "typ", "crit", "b64", "zip", "enc"}
	claimNames  = []string{"iss", "sub", "aud", "exp", "nbf", "iat", "jti", "sid", "scope", "client_id", "username"}
)

// wrongCase refuses names that another reader might take for ours (RFC 7515
// section 4: names are compared exactly).
func wrongCase(name string, ours []string, refuse error) error {
	ascii := isASCII(name) // other letters fold to ours with another length
	for _, own := range ours {
		if (len(name) == len(own) || !ascii) && strings.EqualFold(name, own) {
			return refuse
		}
	}
	return nil
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}

// refusal passes our own refusals on and turns errors of the JSON reader into
// the given one.
func refusal(err error, bad *TokenError) error {
	if own, ok := err.(*TokenError); ok {
		return own
	}
	return bad
}

func verifySignature(key *Key, p parts) error {
	var buf [512]byte // RS256 with 4096 bits
	sig, err := decode(buf[:0], p.signature)
	if err != nil {
		return err
	}
	if !key.verify([]byte(p.input), sig) {
		return errSignature
	}
	return nil
}

// parseOwn reads the claims of latchkey's own tokens.
func (iss *issuer) parseOwn(payload string) (Claims, error) {
	c := Claims{payload: payload, Legacy: iss.legacy}
	var user strictjson.Value
	err := strictjson.Object(payload, func(name string, value strictjson.Value) error {
		if known, err := c.read(name, value); known {
			return err
		}
		switch name {
		case "scope":
			return claimText(value, &c.Scope)
		case "user":
			user = value
			return nil
		}
		return wrongCase(name, claimNames, errClaimsCase)
	})
	if err != nil {
		return Claims{}, refusal(err, errClaimsJSON)
	}
	if iss.legacy && user.Kind() != 0 {
		if err := legacyUser(user, &c); err != nil {
			return Claims{}, refusal(err, errClaimsMember)
		}
	}
	return c, iss.checkOwn(&c)
}

// read reads the members that mean the same at every issuer.
func (c *Claims) read(name string, value strictjson.Value) (known bool, err error) {
	switch name {
	case "exp":
		return true, numericDate(value, &c.ExpiresAt, errExpiry)
	case "nbf":
		return true, numericDate(value, &c.NotBefore, errNotBefore)
	case "iat":
		return true, numericDate(value, &c.IssuedAt, errIssuedAt)
	case "aud":
		return true, parseAudience(value, &c.audience)
	case "iss":
		return true, claimText(value, &c.Issuer)
	case "sub":
		return true, claimText(value, &c.Subject)
	case "jti":
		return true, claimText(value, &c.ID)
	case "sid":
		return true, claimText(value, &c.SessionID)
	case "client_id":
		return true, claimText(value, &c.ClientID)
	case "username":
		return true, claimText(value, &c.Username)
	}
	return false, nil
}

func claimText(v strictjson.Value, to *string) error {
	text, ok := v.Text()
	if !ok {
		return errClaimsMember
	}
	*to = text
	return nil
}

// numericDate takes whole seconds alone. RFC 7519 section 2 allows fractions,
// but no issuer needs them and readers disagree about them.
func numericDate(v strictjson.Value, to *time.Time, refuse error) error {
	n, ok := v.Int()
	if !ok || n < 1 || n > maxTime {
		return refuse
	}
	*to = time.Unix(n, 0)
	return nil
}

// parseAudience takes a string or an array of strings (RFC 7519 section 4.1.3).
func parseAudience(v strictjson.Value, to *[]string) error {
	if text, ok := v.Text(); ok {
		*to = []string{text}
		return nil
	}
	if v.Kind() != strictjson.Array {
		return errClaimsMember
	}
	*to = []string{}
	return v.Elements(func(v strictjson.Value) error {
		text, ok := v.Text()
		if !ok {
			return errClaimsMember
		}
		*to = append(*to, text)
		return nil
	})
}

// legacyUser reads username and scope from the user object of legacy tokens.
func legacyUser(v strictjson.Value, c *Claims) error {
	return strictjson.Object(v.Raw(), func(name string, v strictjson.Value) error {
		switch {
		case name == "username" && c.Username == "":
			return claimText(v, &c.Username)
		case name == "scope" && c.Scope == "":
			return claimText(v, &c.Scope)
		}
		return nil
	})
}

func (iss *issuer) checkOwn(c *Claims) error {
	switch {
	case c.Issuer == "" && !iss.legacy:
		return errNoIssuer
	case c.Issuer != "" && iss.url != "" && c.Issuer != iss.url:
		return issuerError(c.Issuer, iss.url)
	case c.audience == nil && !iss.legacy:
		return errNoAudience
	case c.audience != nil && iss.audiences != nil && !containsAny(c.audience, iss.audiences):
		return audienceError("aud", c.audience, iss.audiences) // RFC 7519 section 4.1.3: MUST, in legacy mode too
	}
	for _, other := range iss.principals {
		if strings.HasPrefix(c.Subject, other) {
			return errSubjectOfOther
		}
	}
	if err := c.checkRequired(); err != nil && !(iss.legacy && err == errNoIssuedAt) {
		return err
	}
	return nil
}

// checkRequired wants what every token has to say.
func (c *Claims) checkRequired() error {
	switch {
	case c.Subject == "" || len(c.Subject) > maxSubject || hasControl(c.Subject):
		return errSubject
	case c.ExpiresAt.IsZero():
		return errNoExpiry
	case c.IssuedAt.IsZero():
		return errNoIssuedAt // RFC 9068 section 2.2
	}
	return nil
}

func containsAny(list, wanted []string) bool {
	for _, e := range list {
		for _, w := range wanted {
			if e == w {
				return true
			}
		}
	}
	return false
}

// hasControl: the subject becomes a principalId and a header value.
func hasControl(s string) bool {
	for _, r := range s {
		if r < ' ' || r >= 0x7F && r <= 0x9F {
			return true
		}
	}
	return false
}

func (v *Verifier) checkTimes(c *Claims, now time.Time) error {
	switch {
	case !now.Before(c.ExpiresAt.Add(v.leeway)): // RFC 7519 section 4.1.4
		return errExpired
	case now.Add(v.leeway).Before(c.NotBefore):
		return errTooEarly
	case now.Add(v.leeway).Before(c.IssuedAt):
		return errFuture
	}
	return nil
}
