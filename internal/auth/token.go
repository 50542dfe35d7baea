package auth

import (
	"context"
	"crypto/rand"
	"fmt"
	"strings"
	"time"

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
	doc, err := encodeClaims(claims, s.TokenClaims, u)
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
		ID: newID(), ClientID: session.ClientID, SessionID: session.ID, Scope: granted(session.Scope, s.scopeOf(u)), Username: s.tokenUsername(u),
		AuthTime: session.Proof.At.Unix(), AMR: session.Proof.AMR, ACR: session.Proof.ACR, Epoch: session.Epoch, Rights: u.Rights,
	}
}

// granted is what of a scope that was asked for the user has; all of it when none was
// asked for.
func granted(asked, has string) string {
	if asked == "" {
		return has
	}
	var scopes []string
	for _, scope := range strings.Fields(asked) {
		if hasScope(has, scope) {
			scopes = append(scopes, scope)
		}
	}
	return strings.Join(scopes, " ")
}

func hasScope(scopes, one string) bool {
	for scope := range strings.FieldsSeq(scopes) {
		if scope == one {
			return true
		}
	}
	return false
}

// newID returns 128 bits or more of randomness as lower-case text.
func newID() string { return strings.ToLower(rand.Text()) }
