package auth_test

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/latchkey-auth/latchkey/internal/auth"
)

func TestImportIsAllOrNothing(t *testing.T) {
	user := func(id auth.UserID, username, email string) auth.ImportRecord {
		return auth.ImportRecord{NewUser: auth.NewUser{ID: id, Username: username, Email: email}}
	}
	good := []auth.ImportRecord{user("1", "ada", "ada@example.com"), user("2", "grace", "")}
	for name, bad := range map[string]auth.ImportRecord{
		"a username twice":            user("3", "ADA", ""),
		"an id twice":                 user("1", "x", ""),
		"an address twice":            user("3", "x", "Ada@example.com"),
		"a username that is taken":    user("3", "Root", ""),
		"an id that is taken":         user("0", "x", ""),
		"an address that is taken":    user("3", "x", "root@example.com"),
		"a username nobody can have":  user("3", "a b", ""),
		"an address nobody can have":  user("3", "x", "a@b@c"),
		"no username":                 user("3", "", ""),
		"an id that no header can be": user("3\r\n", "x", ""),
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			f.add(auth.NewUser{ID: "0", Username: "root", Email: "root@example.com"})
			err := f.Import(t.Context(), append(good[:2:2], bad))
			var invalid *auth.InvalidError
			if !errors.Is(err, auth.ErrTaken) && !errors.As(err, &invalid) {
				t.Errorf("got %v, want ErrTaken or an InvalidError", err)
			}
			for u, err := range f.Users(t.Context()) {
				if err != nil || u.ID != "0" {
					t.Errorf("%v is stored (%v)", u, err)
				}
			}
			if n := len(f.events()); n != 1 {
				t.Errorf("%d events, want the one of before", n)
			}
			if err := f.Import(t.Context(), good); err != nil {
				t.Errorf("the good ones alone: %v", err)
			}
		})
	}
}

func TestImportRecordsIsAudited(t *testing.T) {
	f := newFixture(t)
	if err := f.Import(t.Context(), []auth.ImportRecord{{NewUser: auth.NewUser{ID: "1", Username: "ada"}}}); err != nil {
		t.Fatal(err)
	}
	want := []auth.Event{{Number: 1, Time: start, Kind: auth.EventImported, Outcome: auth.OutcomeOK, UserID: "1", Count: 1}}
	if diff := cmp.Diff(want, f.events()); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
}
