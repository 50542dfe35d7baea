package latchkey

import (
	"context"
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

	// Issuers are other issuers whose tokens are accepted. The iss of a token names
	// its issuer; only the keys and the profile of that issuer verify it.
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
