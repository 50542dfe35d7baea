package latchkey

import (
	"strings"
	"time"

	"github.com/latchkey-auth/latchkey/internal/strictjson"
)

var claimNames = []string{"iss", "sub", "aud", "exp", "nbf", "iat", "jti", "sid", "scope", "client_id", "username"}

// parseOwn reads the claims of latchkey's own tokens.
func (iss *issuer) parseOwn(payload string) (Claims, error) {
	c := Claims{payload: payload, Legacy: iss.legacy, Epoch: unsaid, Rights: unsaid}
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
		case "epoch":
			c.Epoch = countOf(value)
			return nil
		case "rights":
			c.Rights = countOf(value)
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

// unsaid is a number that the token does not tell.
const unsaid = -1

// countOf reads a number of what has happened. Where the member is something else it is
// another program's, and tells nothing.
func countOf(v strictjson.Value) int64 {
	if n, ok := v.Int(); ok && n >= 0 {
		return n
	}
	return unsaid
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
