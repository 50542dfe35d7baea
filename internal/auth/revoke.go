package auth

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/latchkey-auth/latchkey"
	"github.com/latchkey-auth/latchkey/internal/rights"
	"github.com/latchkey-auth/latchkey/internal/storage"
	"github.com/latchkey-auth/latchkey/revocation"
)

var _ revocation.Source = (*Service)(nil)

// revocationLeeway is added to the life of what a revocation speaks of, for verifiers
// whose clocks are behind.
const revocationLeeway = 2 * time.Minute

// leastRevocation is for tokens that another process mints, or that were minted before the
// setting of their life was lowered.
const leastRevocation = 24 * time.Hour

// revoked completes a revocation of now. It is forgotten when the last token it speaks of
// has expired.
func (s *Service) revoked(r storage.Revocation, now time.Time) storage.AppendRevocation {
	r.ID, r.Time, r.ExpiresAt = storage.NewEventID(), now, now.Add(s.revocationLife())
	return storage.AppendRevocation{Revocation: r}
}

func (s *Service) revocationLife() time.Duration {
	return max(s.AccessTokenTTL, leastRevocation) + revocationLeeway
}

// revocationPage is how many revocations are read at once.
const revocationPage = 1000

// Revocations returns a page of what has ended, for authorizers that follow: see
// [revocation.Source]. *InvalidError when there is no such place.
func (s *Service) Revocations(ctx context.Context, after string) (revocation.Page, error) {
	now := s.Now()
	page := revocation.Page{Revocations: []revocation.Revocation{}, Since: now.Add(-s.revocationLife())}
	at := feedPlace{began: now}
	since := page.Since
	if after != "" {
		var ok bool
		if at, ok = parseFeedPlace(after); !ok {
			return page, invalid("after", "must be the next of an answer, or missing")
		}
		if at.cursor == "" { // a look begins
			if from := at.began.Add(-revocation.Overlap); from.After(since) {
				since = from
			}
			at.began = now
		}
	}
	all, cursor, err := s.Store.Revocations(ctx, since, at.cursor, revocationPage)
	if err != nil {
		return page, fmt.Errorf("reading revocations: %w", err)
	}
	for _, r := range all {
		page.Revocations = append(page.Revocations, revocation.Revocation{
			Time: r.Time.UTC(), UserID: string(r.UserID), SessionID: string(r.SessionID), Epoch: r.Epoch, Rights: r.Rights,
			Survivor: string(r.Survivor), ExpiresAt: r.ExpiresAt.UTC(),
		})
	}
	at.cursor = ""
	if page.More = len(all) == revocationPage; page.More {
		at.cursor = cursor
	}
	page.Next = at.String()
	return page, nil
}

// A feedPlace is where a page of revocations begins: when the look began, and within a
// look the store's place. The next look goes by the time alone, which holds for any
// store and after a restored backup.
type feedPlace struct {
	began  time.Time
	cursor storage.Cursor
}

func (p feedPlace) String() string {
	return strconv.FormatInt(p.began.UnixMicro(), 10) + "." + string(p.cursor)
}

// maxFeedPlace bounds the text of a place.
const maxFeedPlace = 256

func parseFeedPlace(text string) (feedPlace, bool) {
	if len(text) > maxFeedPlace {
		return feedPlace{}, false
	}
	digits, cursor, ok := strings.Cut(text, ".")
	us, err := strconv.ParseInt(digits, 10, 64)
	if !ok || err != nil || us < 0 {
		return feedPlace{}, false
	}
	return feedPlace{time.UnixMicro(us), storage.Cursor(cursor)}, true
}

// Ended reports whether a token has ended by what the store knows now of its session and
// user.
func (s *Service) Ended(ctx context.Context, c latchkey.Claims) (bool, error) {
	var err error
	if c.SessionID == "" && c.Epoch < 0 {
		_, err = s.legacyBearer(ctx, c)
	} else {
		var user storage.User
		_, user, err = s.bearer(ctx, c)
		if err == nil && c.Epoch >= 0 && c.Rights < user.Rights {
			err = ErrInvalidToken
		}
	}
	if errors.Is(err, ErrInvalidToken) {
		return true, nil
	}
	return false, err
}

// changed is the changes that store what became of a user, with what has ended by it. The
// survivor is a session whose tokens go on; empty: none.
func (s *Service) changed(before, after storage.User, survivor storage.SessionID, now time.Time) []storage.Change {
	if rights.TakesAway(before, after) {
		after.Rights++
	}
	after.UpdatedAt = now
	changes := []storage.Change{storage.UpdateUser{Old: before, New: after}}
	if after.Epoch == before.Epoch && after.Rights == before.Rights {
		return changes
	}
	return append(changes, s.revoked(storage.Revocation{UserID: after.ID, Epoch: after.Epoch, Rights: after.Rights, Survivor: survivor}, now))
}

// credentialsPage is how many credentials of a user are read, to be deleted with the user
// in one commit.
const credentialsPage = 10

// deletion is the changes that delete a user with all credentials, and end the tokens.
func (s *Service) deletion(ctx context.Context, u storage.User, now time.Time) ([]storage.Change, error) {
	credentials, err := s.deletedCredentials(ctx, u)
	return append(credentials, storage.DeleteUser{User: u}, s.revokedUser(u, now)), err
}

// deletedCredentials is the changes that delete the credentials of a user who goes.
func (s *Service) deletedCredentials(ctx context.Context, u storage.User) ([]storage.Change, error) {
	credentials, err := s.Store.UserCredentials(ctx, u.ID, credentialsPage)
	if err != nil {
		return nil, fmt.Errorf("reading credentials: %w", err)
	}
	var changes []storage.Change
	for _, c := range credentials {
		changes = append(changes, storage.DeleteCredential{Credential: c})
	}
	return changes, nil
}

// revokedUser ends the tokens of a user who is deleted.
func (s *Service) revokedUser(u storage.User, now time.Time) storage.Change {
	return s.revoked(storage.Revocation{UserID: u.ID, Epoch: u.Epoch + 1, Rights: u.Rights}, now)
}
