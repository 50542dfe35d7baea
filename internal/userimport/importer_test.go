package userimport_test

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/latchkey-auth/latchkey/internal/auth"
	"github.com/latchkey-auth/latchkey/internal/storage"
	"github.com/latchkey-auth/latchkey/internal/userimport"
)

// take imports lines of a file, all in one batch.
func take(t *testing.T, im *userimport.Importer, lines ...string) []userimport.Row {
	t.Helper()
	rows := make([]userimport.Row, len(lines))
	for i, line := range lines {
		rows[i].Line = i + 1
		rows[i].Record, rows[i].Refused = userimport.Parse(line, 0)
	}
	if err := im.Take(t.Context(), rows); err != nil {
		t.Fatal(err)
	}
	return rows
}

// outcomes says what became of each row.
func outcomes(rows []userimport.Row) (all []string) {
	for _, r := range rows {
		switch {
		case r.Refused != nil:
			all = append(all, r.Refused.Error())
		case r.There:
			all = append(all, "there")
		default:
			all = append(all, "new")
		}
	}
	return all
}

const (
	someHash  = "$2b$05$EZMWh24vqxuszJyMf2r3Ju5ShgFjV73w8dxkULtO52Ue3gE91M1ue"
	otherHash = "$2b$05$ioRAyCHVX9LTmPSM9N969.91npb1d8D/cm5quKSbRDuk.TKyMiotK"
)

// TestDeletedUsersAreNotImportedAgain: an import that is run again, to resume it,
// brings nobody back who has deleted the account since, nor the old password.
func TestDeletedUsersAreNotImportedAgain(t *testing.T) {
	f := newFixture(t)
	rows := []string{
		`{"id":"u1","username":"ada","password_hash":"` + someHash + `"}`,
		`{"id":"u2","username":"grace","password_hash":"` + someHash + `"}`,
	}
	take(t, f.importer(false), rows...)
	if err := f.DeleteUser(t.Context(), "u1"); err != nil {
		t.Fatal(err)
	}
	for _, dryRun := range []bool{true, false} {
		want := []string{"the user with the id u1 has been deleted; leave the id out to add a new user", "there"}
		if diff := cmp.Diff(want, outcomes(take(t, f.importer(dryRun), rows...))); diff != "" {
			t.Errorf("dry run %v: outcomes (-want +got):\n%s", dryRun, diff)
		}
	}
	if _, err := f.UserByLogin(t.Context(), "ada"); !errors.Is(err, storage.ErrNotFound) {
		t.Errorf("ada is back: %v", err)
	}
}

func TestEveryMemberOfARecordIsImported(t *testing.T) {
	f := newFixture(t)
	rows := take(t, f.importer(false),
		`{"id":"u9","username":"Ada","email":"Ada@example.com","email_verified":false,"name":"Ada L.","scope":" read  write ","roles":["clerk","auditor"],"attributes":{"tenant":"ulm","seats":7,"beta":true,"none":null,"empty":""},"disabled":true,"created_at":"2001-02-03T04:05:06.7+02:00","password_hash":"`+someHash+`"}`,
		`{"id":2,"email":"grace@example.com","roles":" auditor  clerk ","attributes":"{\"tenant\":\"ulm\"}"}`,
		`{"id":3,"username":"none","roles":null,"attributes":{}}`)
	if diff := cmp.Diff([]string{"new", "new", "new"}, outcomes(rows)); diff != "" {
		t.Errorf("outcomes (-want +got):\n%s", diff)
	}
	want := []storage.User{
		{
			ID: "2", Username: "2", Email: "grace@example.com", EmailVerified: true, Roles: []string{"auditor", "clerk"}, Attributes: map[string]string{"tenant": "ulm"},
			CreatedAt: start, UpdatedAt: start, Version: 1, SignInVersion: 1,
		},
		{ID: "3", Username: "none", CreatedAt: start, UpdatedAt: start, Version: 1, SignInVersion: 1},
		{
			ID: "u9", Username: "Ada", Email: "Ada@example.com", Name: "Ada L.", Scope: "read write", Disabled: true, PasswordHash: someHash,
			Roles: []string{"auditor", "clerk"}, Attributes: map[string]string{"tenant": "ulm", "seats": "7", "beta": "true"},
			CreatedAt: time.Date(2001, 2, 3, 2, 5, 6, 7e8, time.UTC), UpdatedAt: start, Version: 1, SignInVersion: 1,
		},
	}
	var got []storage.User
	for u, err := range f.Users(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, u)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("stored (-want +got):\n%s", diff)
	}
	if n := len(f.events()); n != 3 {
		t.Errorf("%d events, want one per user", n)
	}
}

// TestRowsMeetTheUsersWhoAreThere: each row comes to a store that holds ada,
// with the id 1, the address ada@example.com and someHash.
func TestRowsMeetTheUsersWhoAreThere(t *testing.T) {
	ada := `{"id":"1","username":"ada","email":"ada@example.com","password_hash":"` + someHash + `"}`
	for name, c := range map[string]struct{ line, want string }{
		"the same row":                        {ada, "there"},
		"the same, its password being newer":  {strings.Replace(ada, someHash, otherHash, 1), "there"},
		"the same, spelled otherwise":         {`{"id":1,"username":"ADA","email":"Ada@Example.com"}`, "there"},
		"the same without the address":        {`{"id":"1","username":"ada"}`, "there"},
		"her name and hash without an id":     {`{"username":"ada","password_hash":"` + someHash + `"}`, "there"},
		"her address and hash alone":          {`{"email":"ada@example.com","password_hash":"` + someHash + `"}`, "there"},
		"her name with another hash":          {`{"username":"ada","password_hash":"` + otherHash + `"}`, "username ada belongs to a user with another password already; if that is the same person, give the row the id 1"},
		"her name without any hash":           {`{"username":"ada"}`, "username ada belongs to a user with another password already; if that is the same person, give the row the id 1"},
		"her name with another id":            {`{"id":"2","username":"Ada"}`, "username Ada belongs to another user already, with the id 1"},
		"her address with another id":         {`{"id":"2","username":"eve","email":"ada@example.com"}`, "e-mail address ada@example.com belongs to another user already, with the id 1"},
		"her address, another name, no id":    {`{"username":"eve","email":"ada@example.com"}`, "e-mail address ada@example.com belongs to another user already, with the username ada"},
		"her id with another name":            {`{"id":"1","username":"eve"}`, "id 1 belongs to another user already, with the username ada"},
		"her id with another address":         {`{"id":"1","username":"ada","email":"eve@example.com"}`, "id 1 belongs to another user already, with the e-mail address ada@example.com"},
		"bob's id with an address he has not": {`{"id":"b","username":"bob","email":"bob@example.com"}`, "id b belongs to another user already, with the id b and no e-mail address"},
		"an id that is her name":              {`{"id":"ada","email":"eve@example.com"}`, "username ada belongs to another user already, with the id 1"},
		"another user":                        {`{"id":"2","username":"eve"}`, "new"},
		"a name nobody can have":              {`{"id":"2","username":"e ve"}`, "username: holds a character that usernames cannot have (spaces, controls, symbols or invisible characters)"},
		"neither name nor address":            {`{"id":"2"}`, "username: must not be empty"},
		"the year 1969":                       {`{"username":"eve","created_at":"1969-12-31T23:59:59Z"}`, "created_at: must lie after 1970 and not in the future"},
		"next week":                           {`{"username":"eve","created_at":"` + start.AddDate(0, 0, 7).Format(time.RFC3339) + `"}`, "created_at: must lie after 1970 and not in the future"},
		"an hour ahead, as clocks may differ": {`{"username":"eve","created_at":"` + start.Add(time.Hour).Format(time.RFC3339) + `"}`, "new"},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			take(t, f.importer(false), ada, `{"id":"b","username":"bob"}`)
			dry := outcomes(take(t, f.importer(true), c.line))
			if n := len(f.events()); n != 2 {
				t.Errorf("a dry run has left %d events", n-2)
			}
			// A good row in the batch must not suffer.
			got := outcomes(take(t, f.importer(false), c.line, `{"id":"z","username":"zoe"}`))
			if diff := cmp.Diff([]string{c.want, "new"}, got); diff != "" {
				t.Errorf("outcomes (-want +got):\n%s", diff)
			}
			if dry[0] != c.want {
				t.Errorf("a dry run says %q, want %q", dry[0], c.want)
			}
			f.user("z")
			want := 3
			if c.want == "new" {
				want++
			}
			if n := len(f.events()); n != want {
				t.Errorf("%d events, want %d: one for each who was created", n, want)
			}
		})
	}
}

func TestEarlierRowsOfTheFileGoFirst(t *testing.T) {
	for _, dryRun := range []bool{false, true} {
		im := newFixture(t).importer(dryRun)
		got := outcomes(take(t, im,
			`{"id":"1","username":"ada","email":"ada@example.com"}`,
			`{"id":"2","username":"ADA"}`,
			`{"id":"1","username":"eve"}`,
			`{"username":"eve","email":"ADA@example.com"}`,
			`{"username":"e ve"}`,
			`{"username":"1"}`))
		got = append(got, outcomes(take(t, im, `{"id":"7","username":"ada"}`))...) // another batch
		want := []string{
			"new",
			"username ADA stands in line 1 already",
			"id 1 stands in line 1 already",
			"e-mail address ADA@example.com stands in line 1 already",
			"username: holds a character that usernames cannot have (spaces, controls, symbols or invisible characters)",
			"new",
			"username ada stands in line 1 already",
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("dry run %v (-want +got):\n%s", dryRun, diff)
		}
	}
}

// TestImportIsTakenOnceWhereTheAnswerWasLost: the commit happened, and nobody
// was told.
func TestImportIsTakenOnceWhereTheAnswerWasLost(t *testing.T) {
	f := newFixture(t)
	lose := &lossy{f.store}
	record, err := userimport.Parse(`{"username":"ada","password_hash":"`+someHash+`"}`, 0)
	if err != nil {
		t.Fatal(err)
	}
	err = userimport.New(f, lose, false).Take(t.Context(), []userimport.Row{{Line: 1, Record: record}})
	if !errors.Is(err, storage.ErrUnavailable) {
		t.Errorf("got %v, want ErrUnavailable", err)
	}
	got := outcomes(take(t, f.importer(false), `{"username":"ada","password_hash":"`+someHash+`"}`, `{"username":"bob"}`))
	if diff := cmp.Diff([]string{"there", "new"}, got); diff != "" {
		t.Errorf("outcomes of the second run (-want +got):\n%s", diff)
	}
	if n := len(f.events()); n != 2 {
		t.Errorf("%d events, want one per user", n)
	}
}

type lossy struct {
	userimport.Store
}

func (l *lossy) LoadUsers(ctx context.Context, users []storage.LoadedUser) ([]bool, error) {
	stored, err := l.Store.LoadUsers(ctx, users)
	if err == nil {
		return nil, storage.ErrUnavailable
	}
	return stored, err
}

// TestNamesTakenMeanwhile: before the rows are stored, a user registers under the name
// of one.
func TestNamesTakenMeanwhile(t *testing.T) {
	f := newFixture(t)
	f.add(auth.NewUser{ID: "r", Username: "root"})
	meanwhile := &racing{Store: f.store, race: func() { f.add(auth.NewUser{ID: "x", Username: "eve"}) }}
	got := outcomes(take(t, userimport.New(f, meanwhile, false), `{"id":"1","username":"ada"}`, `{"id":"2","username":"root"}`, `{"id":"3","username":"eve"}`, `{"id":"4","username":"zoe"}`))
	want := []string{
		"new", "username root belongs to another user already, with the id r",
		"username eve belongs to another user already, with the id x", "new",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("outcomes (-want +got):\n%s", diff)
	}
	f.user("1")
	f.user("4")
}

// racing calls race before users are stored.
type racing struct {
	userimport.Store
	race func()
}

func (r *racing) LoadUsers(ctx context.Context, users []storage.LoadedUser) ([]bool, error) {
	r.race()
	return r.Store.LoadUsers(ctx, users)
}

func TestStoreFaultsEndAnImport(t *testing.T) {
	for _, operation := range []string{"LoadUsers", "UserByUsername"} {
		f := newFixture(t)
		f.add(auth.NewUser{Username: "ada"})
		record := auth.ImportRecord{NewUser: auth.NewUser{Username: "ada"}}
		err := userimport.New(f, &faulty{f.store, operation}, false).Take(t.Context(), []userimport.Row{{Line: 1, Record: record}})
		if !errors.Is(err, storage.ErrUnavailable) {
			t.Errorf("a fault in %s: got %v, want ErrUnavailable", operation, err)
		}
	}
}

// faulty fails one operation.
type faulty struct {
	userimport.Store
	operation string
}

func (f *faulty) fault(operation string) error {
	if operation != f.operation {
		return nil
	}
	return fmt.Errorf("%w: %s", storage.ErrUnavailable, operation)
}

func (f *faulty) LoadUsers(ctx context.Context, users []storage.LoadedUser) ([]bool, error) {
	if err := f.fault("LoadUsers"); err != nil {
		return nil, err
	}
	return f.Store.LoadUsers(ctx, users)
}

func (f *faulty) UserByUsername(ctx context.Context, key string) (storage.User, int, error) {
	if err := f.fault("UserByUsername"); err != nil {
		return storage.User{}, 0, err
	}
	return f.Store.UserByUsername(ctx, key)
}

func TestKeycloakPasswordsAreImported(t *testing.T) {
	digest, salt := oldRecord(t, password, 64) // PBKDF2 with SHA-512, the salt being text
	line := fmt.Sprintf(`{"username":"ada","secretData":%q,"credentialData":%q}`,
		`{"value":"`+base64.StdEncoding.EncodeToString(digest)+`","salt":"`+base64.StdEncoding.EncodeToString([]byte(salt))+`","additionalParameters":{}}`,
		`{"hashIterations":4096,"algorithm":"pbkdf2-sha512","additionalParameters":{}}`)
	f := newFixture(t)
	if diff := cmp.Diff([]string{"new"}, outcomes(take(t, f.importer(false), line))); diff != "" {
		t.Fatalf("outcomes (-want +got):\n%s", diff)
	}
	f.mustLogin("ada", password)
}
