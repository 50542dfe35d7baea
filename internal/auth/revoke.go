package auth

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
)

// revocationLeeway is added to the life of what a revocation speaks of, for verifiers
// whose clocks are behind.
const revocationLeeway = 2 * time.Minute

// leastRevocation is for tokens that another process mints, or that were minted before the
// setting of their life was lowered.
const leastRevocation = 24 * time.Hour

// revoked completes a revocation of now. It is forgotten when the last token it speaks of
// has expired.
func (s *Service) revoked(r Revocation, now time.Time) Change {
	r.ID, r.Time, r.ExpiresAt = eventID(), now, now.Add(max(s.AccessTokenTTL, leastRevocation)+revocationLeeway)
	return AppendRevocation{r}
}

// changed is the changes that store what became of a user, with what has ended by it. The
// survivor is a session whose tokens go on; empty: none.
func (s *Service) changed(before, after User, survivor SessionID, now time.Time) []Change {
	if takesAway(before, after) {
		after.Rights++
	}
	after.UpdatedAt = now
	changes := []Change{UpdateUser{before, after}}
	if after.Epoch == before.Epoch && after.Rights == before.Rights {
		return changes
	}
	return append(changes, s.revoked(Revocation{UserID: after.ID, Epoch: after.Epoch, Rights: after.Rights, Survivor: survivor}, now))
}

// takesAway reports whether a scope, a role or an attribute is gone, or an attribute says
// something else: tokens of before say what does not hold any more.
func takesAway(before, after User) bool {
	for scope := range strings.FieldsSeq(before.Scope) {
		if !hasScope(after.Scope, scope) {
			return true
		}
	}
	for _, role := range before.Roles {
		if !slices.Contains(after.Roles, role) {
			return true
		}
	}
	for name, value := range before.Attributes {
		if after.Attributes[name] != value {
			return true
		}
	}
	return false
}

// credentialsPage is how many credentials of a user are read, to be deleted with the user
// in one commit.
const credentialsPage = 10

// deletion is the changes that delete a user with all credentials, and end the tokens.
func (s *Service) deletion(ctx context.Context, u User, now time.Time) ([]Change, error) {
	credentials, err := s.deletedCredentials(ctx, u)
	return append(credentials, DeleteUser{u}, s.revokedUser(u, now)), err
}

// deletedCredentials is the changes that delete the credentials of a user who goes.
func (s *Service) deletedCredentials(ctx context.Context, u User) ([]Change, error) {
	credentials, err := s.Store.UserCredentials(ctx, u.ID, credentialsPage)
	if err != nil {
		return nil, fmt.Errorf("reading credentials: %w", err)
	}
	var changes []Change
	for _, c := range credentials {
		changes = append(changes, DeleteCredential{c})
	}
	return changes, nil
}

// revokedUser ends the tokens of a user who is deleted.
func (s *Service) revokedUser(u User, now time.Time) Change {
	return s.revoked(Revocation{UserID: u.ID, Epoch: u.Epoch + 1, Rights: u.Rights}, now)
}
