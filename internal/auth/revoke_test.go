package auth_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/latchkey-auth/latchkey/internal/auth"
	"github.com/latchkey-auth/latchkey/internal/storage"
)

func (f *fixture) revocations() []storage.Revocation {
	f.t.Helper()
	all, _, err := f.store.Revocations(f.t.Context(), time.Time{}, "", 100)
	if err != nil {
		f.t.Fatal(err)
	}
	return all
}

// TestWhatEndsIsStored, in the commit that ends it, for as long as tokens of it live.
func TestWhatEndsIsStored(t *testing.T) {
	type ended = func(own, other storage.SessionID) []storage.Revocation
	user := func(epoch, rights int64) ended {
		return func(storage.SessionID, storage.SessionID) []storage.Revocation {
			return []storage.Revocation{{UserID: "u1", Epoch: epoch, Rights: rights}}
		}
	}
	others := func(own, _ storage.SessionID) []storage.Revocation {
		return []storage.Revocation{{UserID: "u1", Epoch: 1, Survivor: own}}
	}
	nothing := func(storage.SessionID, storage.SessionID) []storage.Revocation { return nil }
	for name, c := range map[string]struct {
		end  func(f *fixture, own, other auth.Tokens) error
		want ended
	}{
		"logout": {func(f *fixture, own, _ auth.Tokens) error {
			return f.Logout(f.t.Context(), f.claimsOf(own), auth.LogoutThis, auth.Client{})
		}, func(own, _ storage.SessionID) []storage.Revocation {
			return []storage.Revocation{{UserID: "u1", SessionID: own}}
		}},
		"logout of the others": {func(f *fixture, own, _ auth.Tokens) error {
			return f.Logout(f.t.Context(), f.claimsOf(own), auth.LogoutOthers, auth.Client{})
		}, others},
		"logout of all": {func(f *fixture, own, _ auth.Tokens) error {
			return f.Logout(f.t.Context(), f.claimsOf(own), auth.LogoutAll, auth.Client{})
		}, user(1, 0)},
		"logout by a refresh token": {func(f *fixture, _, other auth.Tokens) error {
			return f.LogoutByRefreshToken(f.t.Context(), other.RefreshToken, auth.Client{})
		}, func(_, other storage.SessionID) []storage.Revocation {
			return []storage.Revocation{{UserID: "u1", SessionID: other}}
		}},
		"another session": {func(f *fixture, own, other auth.Tokens) error {
			return f.EndSession(f.t.Context(), f.claimsOf(own), sessionID(other), auth.Client{})
		}, func(_, other storage.SessionID) []storage.Revocation {
			return []storage.Revocation{{UserID: "u1", SessionID: other}}
		}},
		"reuse": {func(f *fixture, _, other auth.Tokens) error {
			f.mustRefresh(other.RefreshToken)
			f.clock.Advance(time.Minute)
			f.wantRefused("reuse", other.RefreshToken, storage.OutcomeReused)
			return nil
		}, func(_, other storage.SessionID) []storage.Revocation {
			return []storage.Revocation{{UserID: "u1", SessionID: other}}
		}},
		"a changed password": {func(f *fixture, own, _ auth.Tokens) error {
			return f.ChangePassword(f.t.Context(), f.claimsOf(own), password, otherPassword, auth.Client{})
		}, others},
		"a password that an operator sets": {func(f *fixture, _, _ auth.Tokens) error {
			_, err := f.SetPassword(f.t.Context(), "ada", otherPassword)
			return err
		}, user(1, 0)},
		"a disabled user": {func(f *fixture, _, _ auth.Tokens) error {
			_, err := f.Disable(f.t.Context(), "ada", true)
			return err
		}, user(1, 0)},
		"an enabled user": {func(f *fixture, _, _ auth.Tokens) error {
			_, err := f.Disable(f.t.Context(), "ada", false)
			return err
		}, nothing},
		"a deleted user": {func(f *fixture, _, _ auth.Tokens) error { return f.DeleteUser(f.t.Context(), "u1") }, user(1, 0)},
		"a scope that is taken away": {func(f *fixture, own, _ auth.Tokens) error {
			_, err := f.UpdateUser(f.t.Context(), "ada", func(u *storage.User) { u.Scope = "write admin" })
			f.wantAlive("the session", own, true)
			return err
		}, user(0, 1)},
		"a scope that is added": {func(f *fixture, _, _ auth.Tokens) error {
			_, err := f.UpdateUser(f.t.Context(), "ada", func(u *storage.User) { u.Scope = "write admin read" })
			return err
		}, nothing},
		"a role that is taken away": {func(f *fixture, own, _ auth.Tokens) error {
			_, err := f.UpdateUser(f.t.Context(), "ada", func(u *storage.User) { u.Roles = []string{"auditor", "chief"} })
			f.wantAlive("the session", own, true)
			return err
		}, user(0, 1)},
		"a role that is added": {func(f *fixture, _, _ auth.Tokens) error {
			_, err := f.UpdateUser(f.t.Context(), "ada", func(u *storage.User) { u.Roles = []string{"clerk", "chief", "auditor"} })
			return err
		}, nothing},
		"an attribute that is taken away": {func(f *fixture, own, _ auth.Tokens) error {
			_, err := f.UpdateUser(f.t.Context(), "ada", func(u *storage.User) { delete(u.Attributes, "plan") })
			f.wantAlive("the session", own, true)
			return err
		}, user(0, 1)},
		"an attribute that changes": {func(f *fixture, _, _ auth.Tokens) error {
			_, err := f.UpdateUser(f.t.Context(), "ada", func(u *storage.User) { u.Attributes["plan"] = "free" })
			return err
		}, user(0, 1)},
		"an attribute that is added": {func(f *fixture, _, _ auth.Tokens) error {
			_, err := f.UpdateUser(f.t.Context(), "ada", func(u *storage.User) { u.Attributes["tenant"] = "ulm" })
			return err
		}, nothing},
		"another name": {func(f *fixture, own, _ auth.Tokens) error {
			_, err := f.Rename(f.t.Context(), f.claimsOf(own), "Ada King", auth.Client{})
			return err
		}, nothing},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			f.add(auth.NewUser{
				ID: "u1", Username: "Ada", Email: "ada@example.com", Scope: "read write", Roles: []string{"clerk", "auditor"}, Attributes: map[string]string{"plan": "pro"}, Password: password,
			})
			own, other := f.mustLogin("ada", password), f.mustLogin("ada", password)
			if err := c.end(f, own, other); err != nil {
				t.Fatal(err)
			}
			got := f.revocations()
			ignored := cmpopts.IgnoreFields(storage.Revocation{}, "ID", "Time", "ExpiresAt")
			if diff := cmp.Diff(c.want(sessionID(own), sessionID(other)), got, ignored, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("revocations (-want +got):\n%s", diff)
			}
			for _, r := range got {
				if !r.Time.Equal(f.clock.Now()) || r.ExpiresAt.Sub(r.Time) < auth.DefaultAccessTokenTTL+time.Minute {
					t.Errorf("it is of %v and expires at %v; now is %v", r.Time, r.ExpiresAt, f.clock.Now())
				}
			}
		})
	}
}

// TestTokensSayByWhatTheyEnd: the epoch and the rights number that they were minted under,
// also of a session that outlived a move.
func TestTokensSayByWhatTheyEnd(t *testing.T) {
	f := newFixture(t)
	f.addAda()
	own := f.mustLogin("ada", password)
	f.mustLogin("ada", password)
	if err := f.Logout(t.Context(), f.claimsOf(own), auth.LogoutOthers, auth.Client{}); err != nil {
		t.Fatal(err)
	}
	if _, err := f.UpdateUser(t.Context(), "ada", func(u *storage.User) { u.Scope = "read" }); err != nil {
		t.Fatal(err)
	}
	for name, tokens := range map[string]auth.Tokens{"refreshed": f.mustRefresh(own.RefreshToken), "new": f.mustLogin("ada", password)} {
		_, claims := decodeToken(t, tokens.AccessToken)
		if claims["epoch"] != 1.0 || claims["rights"] != 1.0 {
			t.Errorf("%s: epoch %v, rights %v; want 1 and 1", name, claims["epoch"], claims["rights"])
		}
	}
}

// TestARefreshKeepsTheProof: when and how the user signed in does not change by it.
func TestARefreshKeepsTheProof(t *testing.T) {
	f := newFixture(t)
	f.addAda()
	tokens := f.mustLogin("ada", password)
	f.clock.Advance(time.Hour)
	_, claims := decodeToken(t, f.mustRefresh(tokens.RefreshToken).AccessToken)
	if claims["auth_time"] != float64(start.Unix()) || claims["acr"] != "1" || cmp.Diff([]any{"pwd"}, claims["amr"]) != "" {
		t.Errorf("auth_time %v, acr %v, amr %v", claims["auth_time"], claims["acr"], claims["amr"])
	}
}
