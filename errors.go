package latchkey

import "errors"

// ErrInvalidToken matches every refusal of a token by [Verifier.Verify]. An
// error that does not match it is an outage of the key set: answer it with 503,
// not with 401, or clients throw good tokens away.
var ErrInvalidToken = errors.New("invalid token")

// ErrKeyNotFound is what a [KeySet] returns when it has no such key.
var ErrKeyNotFound = errors.New("key not found")

// A Check names one of the checks that a token has to pass.
type Check string

// The checks, in the order in which they are made.
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
)

// A TokenError says which check a token failed. Its text holds nothing of the
// token and may be logged; do not send it to the token's bearer.
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
	errSize         = &TokenError{CheckSize, "longer than 8192 bytes"}
	errParts        = &TokenError{CheckForm, "not three non-empty parts separated by dots"}
	errBase64       = &TokenError{CheckForm, "not canonical base64url"}
	errHeaderJSON   = &TokenError{CheckHeader, "not one strict JSON object"}
	errHeaderMember = &TokenError{CheckHeader, "a member has the wrong type"}
	errHeaderCase   = &TokenError{CheckHeader, "a member's name is in the wrong case"}
	errExtension    = &TokenError{CheckHeader, "asks for an extension that is not supported (crit, b64, zip or encryption)"}
	errNoAlgorithm  = &TokenError{CheckAlgorithm, "alg is missing"}
	errAlgorithm    = &TokenError{CheckAlgorithm, "alg is not HS256, RS256, ES256 or EdDSA"}
	errLegacyAlg    = &TokenError{CheckAlgorithm, "only HS256 is taken in compatibility mode"}
	errKey          = &TokenError{CheckKey, "no configured key has this kid and alg"}
	errSignature    = &TokenError{CheckSignature, "does not match"}
	errType         = &TokenError{CheckType, "typ is not at+jwt"}
	errLegacyType   = &TokenError{CheckType, "typ is not JWT"}
	errClaimsJSON   = &TokenError{CheckClaims, "not one strict JSON object"}
	errClaimsCase   = &TokenError{CheckClaims, "a member's name is in the wrong case"}
	errClaimsMember = &TokenError{CheckClaims, "a member has the wrong type"}
	errNoIssuer     = &TokenError{CheckIssuer, "iss is missing"}
	errIssuer       = &TokenError{CheckIssuer, "iss is another issuer"}
	errNoAudience   = &TokenError{CheckAudience, "aud is missing"}
	errAudience     = &TokenError{CheckAudience, "aud does not name this service"}
	errSubject      = &TokenError{CheckSubject, "sub is missing, empty, too long or holds control characters"}
	errNoExpiry     = &TokenError{CheckExpiry, "exp is missing"}
	errExpiry       = &TokenError{CheckExpiry, "exp is not a whole number of seconds in range"}
	errExpired      = &TokenError{CheckExpiry, "expired"}
	errNotBefore    = &TokenError{CheckNotBefore, "nbf is not a whole number of seconds in range"}
	errTooEarly     = &TokenError{CheckNotBefore, "not valid yet"}
	errNoIssuedAt   = &TokenError{CheckIssuedAt, "iat is missing"}
	errIssuedAt     = &TokenError{CheckIssuedAt, "iat is not a whole number of seconds in range"}
	errFuture       = &TokenError{CheckIssuedAt, "issued in the future"}
)
