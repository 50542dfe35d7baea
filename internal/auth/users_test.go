package auth_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/latchkey-auth/latchkey/internal/auth"
	"github.com/latchkey-auth/latchkey/internal/message"
	passwords "github.com/latchkey-auth/latchkey/internal/password"
	"github.com/latchkey-auth/latchkey/internal/sqlstore"
	"github.com/latchkey-auth/latchkey/internal/storage"
)

func TestPasswordRules(t *testing.T) {
	for name, c := range map[string]struct {
		password string
		taken    bool
	}{
		"7 characters":                       {"seven77", false},
		"8 characters":                       {"eight888", true},
		"8 characters of 4 bytes each":       {strings.Repeat("🔑", 8), true},
		"7 characters of 4 bytes each":       {strings.Repeat("🔑", 7), false},
		"8 characters typed as 16":           {strings.Repeat("e\u0301", 8), true},
		"7 characters typed as 14":           {strings.Repeat("e\u0301", 7), false},
		"spaces alone":                       {"        ", true},
		"no digit, no capital, no symbol":    {"correcthorse", true},
		"1,024 bytes":                        {strings.Repeat("x", 1024), true},
		"1,025 bytes":                        {strings.Repeat("x", 1025), false},
		"1 MB":                               {strings.Repeat("x", 1<<20), false},
		"1 MB of letters that NFKC expands":  {strings.Repeat("\uFDFA", 1<<18), false},
		"342 characters that have 3 bytes":   {strings.Repeat("€", 342), false},
		"341 characters and a letter beside": {strings.Repeat("€", 341) + "x", true},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, withCost(t, costly))
			var addErr, setErr error
			added := hashes(costly, func() {
				_, addErr = f.AddUser(t.Context(), auth.NewUser{Username: "ada", Password: c.password})
			})
			f.add(auth.NewUser{Username: "grace"})
			set := hashes(costly, func() { _, setErr = f.SetPassword(t.Context(), "grace", c.password) })
			if !c.taken {
				wantInvalid(t, addErr, "password")
				wantInvalid(t, setErr, "password")
				if added != 0 || set != 0 {
					t.Errorf("%d and %d hashes' worth of memory was taken, want none", added, set)
				}
				if _, err := f.UserByLogin(t.Context(), "ada"); !errors.Is(err, storage.ErrNotFound) {
					t.Errorf("the user is there: %v", err)
				}
				return
			}
			if addErr != nil || setErr != nil || added != 1 || set != 1 {
				t.Fatalf("AddUser: %v after %d hashes, SetPassword: %v after %d; want one each", addErr, added, setErr, set)
			}
			f.mustLogin("ada", c.password)
			f.mustLogin("grace", c.password)
		})
	}
}

// TestEveryCharacterOfAPasswordCounts: bcrypt stops at 72 bytes, others at 64.
func TestEveryCharacterOfAPasswordCounts(t *testing.T) {
	for _, length := range []int{8, 64, 72, 73, 128, 256, 1024} {
		f := newFixture(t)
		right := strings.Repeat("x", length-1) + "y"
		f.add(auth.NewUser{Username: "ada", Password: right})
		f.mustLogin("ada", right)
		for change, wrong := range map[string]string{
			"another last character":  right[:length-1] + "z",
			"another first character": "z" + right[1:],
			"one character less":      right[:length-1],
			"a line break behind it":  right[:length-1] + "y\n",
			"a NUL in its middle":     right[:length/2] + "\x00" + right[length/2:],
		} {
			if len(wrong) > passwords.MaxLength {
				continue
			}
			if _, err := f.login("ada", wrong); !errors.Is(err, auth.ErrInvalidCredentials) {
				t.Errorf("%d characters, %s: got %v, want ErrInvalidCredentials", length, change, err)
			}
		}
	}
}

func TestPasswordsAreAlikeOnEveryKeyboard(t *testing.T) {
	for set, typed := range map[string]string{
		"caf\u00e9 caf\u00e9":   "cafe\u0301 cafe\u0301",
		"cafe\u0301 cafe\u0301": "caf\u00e9 caf\u00e9",
		"ＰＡＳＳＷＯＲＤ":              "PASSWORD",
	} {
		f := newFixture(t)
		f.add(auth.NewUser{Username: "ada", Password: set})
		f.mustLogin("ada", set)
		f.mustLogin("ada", typed)
		if _, err := f.login("ada", strings.ToLower(typed)+"x"); !errors.Is(err, auth.ErrInvalidCredentials) {
			t.Errorf("another password: got %v, want ErrInvalidCredentials", err)
		}
	}
}

// attributesOf returns n attributes of so many bytes each.
func attributesOf(n, size int) map[string]string {
	all := make(map[string]string)
	for i := range n {
		all[fmt.Sprint("a", i)] = strings.Repeat("x", size)
	}
	return all
}

func TestMembersOfAUserAreChecked(t *testing.T) {
	good := auth.NewUser{ID: "u1", Username: "ada", Email: "ada@example.com", Name: "Ada", Scope: "a b", Password: password}
	for name, c := range map[string]struct {
		change func(*auth.NewUser)
		field  string
	}{
		"no name to log in by":  {func(n *auth.NewUser) { n.Username, n.Email = "", "" }, "username"},
		"username of 65":        {func(n *auth.NewUser) { n.Username = strings.Repeat("a", 65) }, "username"},
		"an address as name":    {func(n *auth.NewUser) { n.Username = "ada@example.com" }, "username"},
		"address without @":     {func(n *auth.NewUser) { n.Email = "example.com" }, "email"},
		"name with line breaks": {func(n *auth.NewUser) { n.Name = "Ada\r\nBcc: all" }, "name"},
		"name of 257":           {func(n *auth.NewUser) { n.Name = strings.Repeat("é", 257) }, "name"},
		"name that is no UTF-8": {func(n *auth.NewUser) { n.Name = "Ada\xff" }, "name"},
		"scope with a quote":    {func(n *auth.NewUser) { n.Scope = `a "b"` }, "scope"},
		"scope beyond ASCII":    {func(n *auth.NewUser) { n.Scope = "é" }, "scope"},
		"scope without end":     {func(n *auth.NewUser) { n.Scope = strings.Repeat("a ", 2000) }, "scope"},
		"a role with a space":   {func(n *auth.NewUser) { n.Roles = []string{"clerk", "a b"} }, "roles"},
		"a role of 65":          {func(n *auth.NewUser) { n.Roles = []string{strings.Repeat("r", 65)} }, "roles"},
		"no role's name":        {func(n *auth.NewUser) { n.Roles = []string{""} }, "roles"},
		"33 roles":              {func(n *auth.NewUser) { n.Roles = strings.Split("r"+strings.Repeat(",r", 32), ",") }, "roles"},
		"roles of 520 bytes": {func(n *auth.NewUser) {
			n.Roles = strings.Split(strings.Repeat("r", 52)+strings.Repeat(","+strings.Repeat("r", 52), 9), ",")
		}, "roles"},
		"an attribute's name":  {func(n *auth.NewUser) { n.Attributes = map[string]string{"a b": "x"} }, "attributes"},
		"a nameless attribute": {func(n *auth.NewUser) { n.Attributes = map[string]string{"": "x"} }, "attributes"},
		"an empty attribute":   {func(n *auth.NewUser) { n.Attributes = map[string]string{"a": ""} }, "attributes"},
		"an attribute of 257":  {func(n *auth.NewUser) { n.Attributes = map[string]string{"a": strings.Repeat("x", 257)} }, "attributes"},
		"129 quotes":           {func(n *auth.NewUser) { n.Attributes = map[string]string{"a": strings.Repeat(`"`, 129)} }, "attributes"},
		"a line break in one":  {func(n *auth.NewUser) { n.Attributes = map[string]string{"a": "x\r\ny"} }, "attributes"},
		"blanks around one":    {func(n *auth.NewUser) { n.Attributes = map[string]string{"a": " x"} }, "attributes"},
		"one that is no UTF-8": {func(n *auth.NewUser) { n.Attributes = map[string]string{"a": "\xff"} }, "attributes"},
		"attributes of 2 KB":   {func(n *auth.NewUser) { n.Attributes = attributesOf(8, 256) }, "attributes"},
		"id with a space":      {func(n *auth.NewUser) { n.ID = "u 1" }, "id"},
		"id with a line break": {func(n *auth.NewUser) { n.ID = "u1\n" }, "id"},
		"id of 129":            {func(n *auth.NewUser) { n.ID = storage.UserID(strings.Repeat("1", 129)) }, "id"},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			n := good
			c.change(&n)
			_, err := f.AddUser(t.Context(), n)
			wantInvalid(t, err, c.field)
			wantInvalid(t, f.importAll(auth.ImportRecord{NewUser: n}), c.field)
			if events := f.events(); len(events) != 0 {
				t.Errorf("events %+v were written", events)
			}
			if err := f.importAll(auth.ImportRecord{NewUser: good}); err != nil {
				t.Errorf("the good one alone: %v", err)
			}
		})
	}
}

func TestNewUsersGetIDsThatNobodyHas(t *testing.T) {
	f := newFixture(t)
	a, b := f.add(auth.NewUser{Username: "a"}), f.add(auth.NewUser{Username: "b", Scope: "  x \t y "})
	if a.ID == b.ID || len(a.ID) < 22 {
		t.Errorf("got ids %q and %q, want two of 128 random bits", a.ID, b.ID)
	}
	if diff := cmp.Diff(f.user(b.ID), b); diff != "" {
		t.Errorf("AddUser's answer (-stored +got):\n%s", diff)
	}
	if b.Scope != "x y" || !b.CreatedAt.Equal(start) {
		t.Errorf("got scope %q created %v, want %q created %v", b.Scope, b.CreatedAt, "x y", start)
	}
}

func TestNamesBelongToOneUser(t *testing.T) {
	for name, second := range map[string]auth.NewUser{
		"username":                {Username: "Ada"},
		"username, other case":    {Username: "aDA"},
		"username, other width":   {Username: "ａｄａ"},
		"e-mail":                  {Username: "x", Email: "ada@example.com"},
		"e-mail, other case":      {Username: "x", Email: "ADA@EXAMPLE.COM"},
		"id, though nothing else": {ID: "u1", Username: "x"},
	} {
		f := newFixture(t)
		f.addAda()
		if _, err := f.AddUser(t.Context(), second); !errors.Is(err, storage.ErrTaken) {
			t.Errorf("same %s: got %v, want ErrTaken", name, err)
		}
	}
}

func TestUpdateChangesProfileAndScopeAlone(t *testing.T) {
	f := newFixture(t)
	before := f.addAda()
	f.clock.Advance(time.Minute)
	got, err := f.UpdateUser(t.Context(), "ada@example.com", func(u *storage.User) {
		*u = storage.User{
			ID: "u9", Username: "eve", Email: "ada@example.org", Name: "Ada King", Scope: " admin  read ",
			PasswordHash: "x", Disabled: true, Epoch: 7, EpochAt: start.Add(time.Hour), Rights: 7, Version: 77, SignInVersion: 77,
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	want := before
	want.Email, want.Name, want.Scope = "ada@example.org", "Ada King", "admin read"
	want.Version, want.SignInVersion, want.Rights, want.UpdatedAt = 2, 2, 1, start.Add(time.Minute)
	if diff := cmp.Diff(want, f.user("u1")); diff != "" {
		t.Errorf("stored (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("answered (-want +got):\n%s", diff)
	}
	_, err = f.UpdateUser(t.Context(), "ada", func(u *storage.User) { u.Email = "nonsense" })
	wantInvalid(t, err, "email")
	f.add(auth.NewUser{Username: "grace", Email: "grace@example.com"})
	_, err = f.UpdateUser(t.Context(), "ada", func(u *storage.User) { u.Email = "Grace@Example.com" })
	if !errors.Is(err, storage.ErrTaken) {
		t.Errorf("another user's address: got %v, want ErrTaken", err)
	}
	if diff := cmp.Diff(want, f.user("u1")); diff != "" {
		t.Errorf("after refused updates (-want +got):\n%s", diff)
	}
}

// TestConcurrentUpdatesLoseNothing goes through two connections, as two
// processes would.
func TestConcurrentUpdatesLoseNothing(t *testing.T) {
	path := tempDatabase(t)
	f := fixtureOn(t, path)
	f.add(auth.NewUser{ID: "u1", Username: "ada"})
	other, err := sqlstore.Open(t.Context(), path, false)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	services := []*auth.Service{f.Service, f.service(func(c *auth.Config) { c.Store = other })}
	const updates = 8 // each can lose to all the others before it gives up
	var all sync.WaitGroup
	for i := range updates {
		all.Go(func() {
			_, err := services[i%2].UpdateUser(t.Context(), "ada", func(u *storage.User) { u.Scope += fmt.Sprintf(" s%d", i) })
			if err != nil {
				t.Errorf("update %d: %v", i, err)
			}
		})
	}
	all.Wait()
	u := f.user("u1")
	scopes := strings.Fields(u.Scope)
	slices.Sort(scopes)
	if got := strings.Join(scopes, " "); got != "s0 s1 s2 s3 s4 s5 s6 s7" || u.Version != updates+1 {
		t.Errorf("got scopes %q at version %d, want all of s0 to s7 at version %d", got, u.Version, updates+1)
	}
	if n := len(f.events()); n != updates+1 {
		t.Errorf("%d events, want one per change", n)
	}
}

func TestUpdatesGiveUpAtLast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tries := 0
		broken := &faulty{fault: func(operation string) error {
			if operation != "Commit" {
				return nil
			}
			tries++
			return storage.ErrConflict
		}}
		f := newFixture(t)
		f.addAda()
		f.Service = f.service(withStore(broken))
		began := time.Now()
		_, err := f.UpdateUser(t.Context(), "ada", func(*storage.User) {})
		if took := time.Since(began); !errors.Is(err, storage.ErrConflict) || took < 4*time.Second || took > 6*time.Second || tries > 1000 {
			t.Errorf("got %v after %d tries in %v, want ErrConflict after 5 s", err, tries, took)
		}
	})
}

func TestUnknownUsersCannotBeChanged(t *testing.T) {
	f := newFixture(t)
	for name, change := range map[string]func() error{
		"UserByLogin": func() error { _, err := f.UserByLogin(t.Context(), "ada"); return err },
		"UpdateUser":  func() error { _, err := f.UpdateUser(t.Context(), "ada", func(*storage.User) {}); return err },
		"SetPassword": func() error { _, err := f.SetPassword(t.Context(), "ada@example.com", password); return err },
		"Disable":     func() error { _, err := f.Disable(t.Context(), "a b", true); return err },
	} {
		if err := change(); !errors.Is(err, storage.ErrNotFound) {
			t.Errorf("%s: got %v, want ErrNotFound", name, err)
		}
	}
}

func TestUsersYieldsEveryPage(t *testing.T) {
	f := newFixture(t)
	var want []storage.UserID
	var records []auth.ImportRecord
	for i := range 1201 {
		id := storage.UserID(fmt.Sprintf("u%04d", i))
		want = append(want, id)
		records = append(records, auth.ImportRecord{NewUser: auth.NewUser{ID: id, Username: string(id)}})
	}
	slices.Reverse(records)
	if err := f.importAll(records...); err != nil {
		t.Fatal(err)
	}
	var got []storage.UserID
	for u, err := range f.Users(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, u.ID)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("users (-want +got):\n%s", diff)
	}
	pages := 0
	broken := &faulty{fault: func(string) error {
		if pages++; pages > 1 {
			return storage.ErrUnavailable
		}
		return nil
	}}
	n := 0
	var last error
	for _, err := range f.service(withStore(broken)).Users(t.Context()) {
		if last = err; err == nil {
			n++
		}
	}
	if n != 500 || !errors.Is(last, storage.ErrUnavailable) {
		t.Errorf("with a broken second page: %d users, then %v; want 500, then ErrUnavailable", n, last)
	}
	for range f.service(withStore(broken)).Users(t.Context()) {
		break // must not go on
	}
}

func TestUsersAreShownWithoutTheirHash(t *testing.T) {
	f := newFixture(t)
	u := f.addAda()
	doc, err := json.Marshal(u)
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{string(doc), u.String(), fmt.Sprint(u), fmt.Sprintf("%+v", u), fmt.Sprintf("%v", &u)} {
		if !strings.Contains(text, "Ada") || strings.Contains(text, "argon2") {
			t.Errorf("a user is shown as %s", text)
		}
	}
	if !strings.Contains(string(doc), `"has_password":true`) {
		t.Errorf("%s does not say that there is a password", doc)
	}
}

// TestOperatorsEndSessionsAndDelete: of one user, and in one step each.
func TestOperatorsEndSessionsAndDelete(t *testing.T) {
	f := newFixture(t)
	f.addAda()
	f.add(auth.NewUser{ID: "u2", Username: "grace", Password: password})
	ada, grace := f.mustLogin("ada", password), f.mustLogin("grace", password)
	if u, err := f.EndSessions(t.Context(), "ada@example.com"); err != nil || u.ID != "u1" {
		t.Fatalf("got %+v, %v", u, err)
	}
	f.wantOutcome(storage.EventLogout, storage.OutcomeAll)
	if _, err := f.me(ada); !errors.Is(err, auth.ErrInvalidToken) {
		t.Errorf("the session goes on: %v", err)
	}
	if _, err := f.me(grace); err != nil {
		t.Errorf("somebody else: %v", err)
	}
	ada = f.mustLogin("ada", password)
	if err := f.DeleteUser(t.Context(), "u1"); err != nil {
		t.Fatal(err)
	}
	f.wantOutcome(storage.EventUserDeleted, storage.OutcomeOK)
	if _, err := f.me(ada); !errors.Is(err, auth.ErrInvalidToken) {
		t.Errorf("a deleted user's session goes on: %v", err)
	}
	if _, err := f.Refresh(t.Context(), ada.RefreshToken, auth.Client{}); !errors.Is(err, auth.ErrInvalidToken) {
		t.Errorf("a deleted user refreshes: %v", err)
	}
	if err := f.DeleteUser(t.Context(), "u1"); !errors.Is(err, storage.ErrNotFound) {
		t.Errorf("deleting again: %v", err)
	}
	if u := f.add(auth.NewUser{Username: "ada", Email: "ada@example.com"}); u.ID == "u1" {
		t.Error("the id was given again")
	}
}

// TestAllSessionsEnd of every user, and with them what was mailed: also while others
// change the users.
func TestAllSessionsEnd(t *testing.T) {
	f := newFixture(t, open(&mailbox{}))
	f.addAda()
	tokens := []auth.Tokens{f.mustLogin("ada", password)}
	for i := range 120 { // more than end together
		name := fmt.Sprint("user", i)
		f.add(auth.NewUser{Username: name, Password: password})
		if i%20 == 0 {
			tokens = append(tokens, f.mustLogin(name, password))
		}
	}
	f.add(auth.NewUser{Username: "bob", Email: "bob@example.com", Password: password})
	bob := f.mustLogin("bob", password)
	tokens = append(tokens, bob)
	reset := token(t, f.forgot("ada@example.com"))
	if err := f.ChangeEmail(t.Context(), f.claimsOf(bob), password, "new@example.com", auth.Client{}); err != nil {
		t.Fatal(err)
	}
	confirm := ""
	for _, m := range f.mails() {
		if m.Kind == message.Confirm {
			confirm = token(t, m)
		}
	}
	if _, err := f.Invite(t.Context(), auth.NewUser{Email: "invited@example.com"}); err != nil {
		t.Fatal(err)
	}
	invite := token(t, f.mail(message.Invite, "invited@example.com"))
	before := f.user("u1").Epoch

	// Somebody changes users between the look and the commit, once.
	racing := &faulty{Store: f.Store}
	raced := false
	racing.after = func(op string) {
		if op == "Users" && !raced {
			raced = true
			if _, err := f.UpdateUser(t.Context(), "ada", func(u *storage.User) { u.Name = "Ada" }); err != nil {
				t.Error(err)
			}
		}
	}
	f.Store = racing
	f.clock.Advance(time.Second)
	last := 0
	if err := f.EndAllSessions(t.Context(), func(n int) { last = n }); err != nil {
		t.Fatal(err)
	}
	if last != 123 || !raced {
		t.Errorf("%d users, raced %v; want 123, and a race", last, raced)
	}
	for i, one := range tokens {
		f.wantAlive(fmt.Sprint("session ", i), one, false)
	}
	if u := f.user("u1"); u.Epoch != before+1 || u.Name != "Ada" {
		t.Errorf("got %+v; want the next epoch, and the other change", u)
	}
	for name, link := range map[string]string{"a reset": reset, "an invitation": invite} {
		if err := f.reset(link, otherPassword); !errors.Is(err, auth.ErrInvalidTicket) {
			t.Errorf("%s: got %v, want ErrInvalidTicket", name, err)
		}
	}
	if err := f.VerifyAddress(t.Context(), auth.TicketRequest{Token: confirm}); !errors.Is(err, auth.ErrInvalidTicket) {
		t.Errorf("a change of address: got %v, want ErrInvalidTicket", err)
	}
	ended := 0
	for _, e := range f.events() {
		if e.Kind == storage.EventLogout && e.Outcome == storage.OutcomeAll {
			ended++
		}
	}
	if ended != 123 {
		t.Errorf("%d ends are recorded, want one for each user", ended)
	}
	if _, err := f.login("ada", password); err != nil {
		t.Errorf("the password stays good: %v", err)
	}
}

// TestCredentialsGoWithTheirUser, so that their keys are free.
func TestCredentialsGoWithTheirUser(t *testing.T) {
	for name, end := range map[string]func(*fixture) error{
		"by an operator": func(f *fixture) error { return f.DeleteUser(f.t.Context(), "u1") },
		"by the owner": func(f *fixture) error {
			return f.DeleteAccount(f.t.Context(), f.claimsOf(f.mustLogin("ada", password)), password, auth.Client{})
		},
	} {
		f := newFixture(t)
		f.addAda()
		keys := []storage.CredentialKey{"passkey 1", "passkey 2"}
		for _, key := range keys {
			f.commit(storage.CreateCredential{Credential: storage.Credential{Key: key, UserID: "u1", CreatedAt: start}})
		}
		if err := end(f); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		for _, key := range keys {
			if _, err := f.store.Credential(t.Context(), key); !errors.Is(err, storage.ErrNotFound) {
				t.Errorf("%s: %s: got %v, want ErrNotFound", name, key, err)
			}
		}
	}
}
