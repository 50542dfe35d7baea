package auth

import (
	"context"
	"crypto/rand"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/latchkey-auth/latchkey/internal/identifier"
	"github.com/latchkey-auth/latchkey/internal/rights"
	"github.com/latchkey-auth/latchkey/internal/storage"
)

// accessClaims are the claims of RFC 9068 section 2.2, with the session as sid (as in
// OpenID Connect) and the username (as in RFC 7662). The epoch and the rights number say
// by which revocations the token has ended.
type accessClaims struct {
	Issuer    string            `json:"iss"`
	Subject   storage.UserID    `json:"sub"`
	Audience  string            `json:"aud"`
	ExpiresAt int64             `json:"exp"`
	IssuedAt  int64             `json:"iat"`
	ID        string            `json:"jti"`
	ClientID  string            `json:"client_id"`
	SessionID storage.SessionID `json:"sid"`
	Scope     string            `json:"scope"`
	Username  string            `json:"username"`
	AuthTime  int64             `json:"auth_time"`
	AMR       []string          `json:"amr,omitempty"`
	ACR       string            `json:"acr,omitempty"`
	Epoch     int64             `json:"epoch"`
	Rights    int64             `json:"rights"`
}

// mint signs an access token of the session.
func (s *Service) mint(ctx context.Context, u storage.User, session storage.Session, now time.Time) (string, error) {
	typ, claims := s.claims(u, session, now)
	doc, err := s.TokenClaims.Encode(claims, u)
	if err != nil {
		return "", err
	}
	token, err := s.Signer.Sign(ctx, typ, doc)
	if err != nil {
		return "", fmt.Errorf("signing access token: %w", err)
	}
	return token, nil
}

// claims are those of every token, with the "typ" of its header.
func (s *Service) claims(u storage.User, session storage.Session, now time.Time) (typ string, claims any) {
	if s.Legacy {
		return "JWT", s.legacyClaims(u, session, now)
	}
	return "at+jwt", accessClaims{
		Issuer: s.Issuer, Subject: u.ID, Audience: s.Audience, ExpiresAt: now.Add(s.AccessTokenTTL).Unix(), IssuedAt: now.Unix(),
		ID: newID(), ClientID: session.ClientID, SessionID: session.ID, Scope: rights.Granted(session.Scope, s.Roles.Scope(u)), Username: s.TokenUsername.Of(u),
		AuthTime: session.Proof.At.Unix(), AMR: session.Proof.AMR, ACR: session.Proof.ACR, Epoch: session.Epoch, Rights: u.Rights,
	}
}

// newID returns 128 bits or more of randomness as lower-case text.
func newID() string { return strings.ToLower(rand.Text()) }

const (
	// maxAccessToken is what verifiers take: latchkey.Verifier, and about what API Gateway
	// takes in headers.
	maxAccessToken = 8192
	// maxSignature is the base64 of an RSA signature of 4,096 bits, maxHeader that of the
	// algorithm, the type and a thumbprint as kid.
	maxSignature, maxHeader = 683, 128
	// maxClaims is what is left for the claims: three bytes of them are four in base64.
	maxClaims = (maxAccessToken - maxSignature - maxHeader - len("..")) * 3 / 4
)

// checkTokenSize refuses a configuration by which somebody's token could be too long. It
// mints for a user of whom everything has its longest form, so that no login ever fails
// for it.
func (s *Service) checkTokenSize() error {
	size, err := s.longestClaims(s.TokenClaims)
	if err != nil || size <= maxClaims {
		return err
	}
	plain, err := s.longestClaims(nil)
	if err != nil {
		return err
	}
	return fmt.Errorf("access tokens could be too long: verifiers take %d bytes, which leaves %d for claims, and a user could have %d: %d by the configured claims, %d by scopes of roles; "+
		"leave out claims, or give the roles fewer or shorter scopes", maxAccessToken, maxClaims, size, size-plain, len(s.Roles.All()))
}

// longestClaims is the size of the longest claims that a user can have.
func (s *Service) longestClaims(configured rights.TokenClaims) (int, error) {
	u := configured.Longest(s.Roles)
	u.ID = storage.UserID(strings.Repeat(`"`, maxUserID))
	x := func(n int) string { return strings.Repeat("x", n) }
	if s.Legacy {
		u.Name = x(identifier.MaxName) // which these tokens have in any case
	}
	session := storage.Session{
		ID: storage.SessionID(newID()), ClientID: x(32), Epoch: math.MaxInt64,
		Proof: storage.Proof{AMR: []string{x(16), x(16)}, ACR: x(16), At: time.Unix(math.MaxInt32, 0)},
	}
	_, always := s.claims(u, session, time.Unix(math.MaxInt32, 0))
	doc, err := configured.Encode(always, u)
	return len(doc), err
}
