package latchkey

import (
	"slices"
	"strings"

	"github.com/latchkey-auth/latchkey/internal/strictjson"
)

// parseOther reads the claims of another issuer by its profile.
func (iss *issuer) parseOther(payload string) (Claims, error) {
	o := iss.other
	c := Claims{payload: payload, IssuerName: iss.name, Epoch: unsaid, Rights: unsaid}
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
