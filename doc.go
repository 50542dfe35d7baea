// Package latchkey verifies access tokens: compact JWS (RFC 7515) with the
// claims of RFC 9068, signed by RSA (RS256 to PS512), ECDSA (ES256, ES384), EdDSA
// or, in systems that share a secret, HS256.
//
// It is strict where libraries are lenient, because two readers that disagree
// about one token are how tokens get forged:
//
//   - a key verifies exactly one algorithm, and only configured keys are used;
//   - the signature is checked before any claim is looked at;
//   - a token has one spelling: canonical base64url, exact and unique member
//     names, integers for times;
//   - exp is required, and so are iss, aud and the type at+jwt.
//
// Tokens of other issuers, as Auth0, Cognito or Keycloak, are verified beside
// latchkey's own, or alone: see [Issuer]. Strictness is the same; what their claims
// are called is a [Profile].
//
// Start at [New] with a [KeySet] from [ParseJWKS] or [NewKeySet]. The package
// jwks fetches key sets, httpauth guards net/http handlers, latchkeytest makes
// tokens for tests. This package imports the standard library only and not
// net/http, so that a Lambda authorizer built on it starts fast.
package latchkey
