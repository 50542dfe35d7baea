package latchkey

import (
	"errors"
	"strconv"
)

// ErrInvalidToken matches every refusal of a token by [Verifier.Verify]. An
// error that does not match it is an outage of the key set: answer it with 503,
// not with 401, or clients throw good tokens away.
var ErrInvalidToken = errors.New("invalid token")

// ErrKeyNotFound is what a [KeySet] returns when it has no such key.
var ErrKeyNotFound = errors.New("key not found")

// A Check names one of the checks that a token has to pass.
type Check string

// The checks, in the order in which they are made. Where there are several
// issuers, the one of the issuer comes first.
const (
	CheckSize      Check = "size"
	CheckForm      Check = "form"      // three parts of canonical base64url
	CheckHeader    Check = "header"    // the header's members
	CheckAlgorithm Check = "algorithm" // alg is one of ours
	CheckKey       Check = "key"       // a configured key for kid and alg
	CheckSignature Check = "signature"
	CheckType      Check = "type"
	CheckClaims    Check = "claims" // the form of the claims
	CheckIssuer    Check = "issuer"
	CheckAudience  Check = "audience"
	CheckSubject   Check = "subject"
	CheckExpiry    Check = "expiry"
	CheckNotBefore Check = "not before"
	CheckIssuedAt  Check = "issued at"
	CheckRequired  Check = "required" // a claim that the configuration requires of an issuer
	CheckRevoked   Check = "revoked"  // by package revocation: it was ended before its expiry
)

// A TokenError says which check a token failed. Its text may be logged; do not
// send it to the token's bearer. It holds nothing of the token but, where these
// are another issuer's or for another audience, iss and aud: escaped, bounded in
// length, and signed by a configured key.
type TokenError struct {
	Check  Check
	Detail string
}

func (e *TokenError) Error() string { return "invalid token: " + string(e.Check) + ": " + e.Detail }

// Is makes every TokenError match [ErrInvalidToken].
func (e *TokenError) Is(target error) bool { return target == ErrInvalidToken }

// Refusals are made once: a flood of bad tokens must not feed the garbage
// collector.
var (
	errSize           = &TokenError{CheckSize, "longer than 8192 bytes"}
	errParts          = &TokenError{CheckForm, "not three non-empty parts separated by dots"}
	errBase64         = &TokenError{CheckForm, "not canonical base64url"}
	errHeaderJSON     = &TokenError{CheckHeader, "not one strict JSON object"}
	errHeaderMember   = &TokenError{CheckHeader, "a member has the wrong type"}
	errHeaderCase     = &TokenError{CheckHeader, "a member's name is in the wrong case"}
	errExtension      = &TokenError{CheckHeader, "asks for an extension that is not supported (crit, b64, zip or encryption)"}
	errNoAlgorithm    = &TokenError{CheckAlgorithm, "alg is missing"}
	errAlgorithm      = &TokenError{CheckAlgorithm, "alg is not one of HS256, RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, EdDSA (Ed25519)"}
	errLegacyAlg      = &TokenError{CheckAlgorithm, "only HS256 is taken in compatibility mode"}
	errOldEnded       = &TokenError{CheckAlgorithm, "HS256 is not taken any more: the time of the old secret has ended"}
	errSharedSecret   = &TokenError{CheckAlgorithm, "HS256 is not taken of other issuers"}
	errKey            = &TokenError{CheckKey, "no configured key has this kid and alg"}
	errSignature      = &TokenError{CheckSignature, "does not match"}
	errType           = &TokenError{CheckType, "typ is not at+jwt"}
	errLegacyType     = &TokenError{CheckType, "typ is not JWT"}
	errOtherType      = &TokenError{CheckType, "typ is none that this issuer's profile accepts"}
	errIDToken        = &TokenError{CheckType, "is an ID token: it has at_hash or c_hash; send the access token"}
	errClaimsJSON     = &TokenError{CheckClaims, "not one strict JSON object"}
	errClaimsCase     = &TokenError{CheckClaims, "a member's name is in the wrong case"}
	errClaimsMember   = &TokenError{CheckClaims, "a member has the wrong type"}
	errNoIssuer       = &TokenError{CheckIssuer, "iss is missing"}
	errOtherIssuer    = &TokenError{CheckIssuer, "iss is none of the configured issuers, letter by letter"}
	errNoAudience     = &TokenError{CheckAudience, "aud is missing"}
	errSubject        = &TokenError{CheckSubject, "sub is missing, empty, too long or holds control characters"}
	errSubjectOfOther = &TokenError{CheckSubject, "sub begins like the principals of another issuer"}
	errNoExpiry       = &TokenError{CheckExpiry, "exp is missing"}
	errExpiry         = &TokenError{CheckExpiry, "exp is not a whole number of seconds in range"}
	errExpired        = &TokenError{CheckExpiry, "expired"}
	errNotBefore      = &TokenError{CheckNotBefore, "nbf is not a whole number of seconds in range"}
	errTooEarly       = &TokenError{CheckNotBefore, "not valid yet"}
	errNoIssuedAt     = &TokenError{CheckIssuedAt, "iat is missing"}
	errIssuedAt       = &TokenError{CheckIssuedAt, "iat is not a whole number of seconds in range"}
	errFuture         = &TokenError{CheckIssuedAt, "issued in the future"}
)

// issuerError and audienceError are made anew, which a stranger cannot ask for: a
// good signature comes first.
func issuerError(got, want string) error {
	return &TokenError{CheckIssuer, "iss is " + shown(got) + ", want " + shown(want)}
}

func audienceError(claim string, got, want []string) error {
	return &TokenError{CheckAudience, claim + " is [" + shownList(got, ", ") + "], which must hold " + shownList(want, " or ")}
}

func shownList(list []string, between string) string {
	const most = 4
	text := ""
	for i, s := range list[:min(len(list), most)] {
		if i > 0 {
			text += between
		}
		text += shown(s)
	}
	if more := len(list) - most; more > 0 {
		text += ", and " + strconv.Itoa(more) + " more"
	}
	return text
}

// maxShown bounds what of a token or key set gets into one text, in bytes.
const maxShown = 80

// shown quotes text of strangers for a log: escaped, in ASCII, and cut where it is long.
func shown(text string) string {
	if len(text) > maxShown {
		return strconv.QuoteToASCII(text[:maxShown]) + "…"
	}
	return strconv.QuoteToASCII(text)
}
