package userimport_test

import (
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha512"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/latchkey-auth/latchkey/internal/auth"
	"github.com/latchkey-auth/latchkey/internal/password/passhash"
	"github.com/latchkey-auth/latchkey/internal/storage"
	"github.com/latchkey-auth/latchkey/internal/userimport"
)

// oldRecord hashes as the old system did: random bytes in base64, and that text
// is the salt.
func oldRecord(t *testing.T, password string, keyBytes int) (digest []byte, salt string) {
	t.Helper()
	raw := make([]byte, keyBytes)
	rand.Read(raw)
	salt = base64.StdEncoding.EncodeToString(raw)
	digest, err := pbkdf2.Key(sha512.New, password, []byte(salt), 4096, keyBytes)
	if err != nil {
		t.Fatal(err)
	}
	return digest, salt
}

// importForms are the ways in which a hash of the old system may stand in an
// import file.
var importForms = map[string]func(digest []byte, salt string) string{
	"old record": func(digest []byte, salt string) string {
		return fmt.Sprintf(`"password":%q,"salt":%q`, base64.StdEncoding.EncodeToString(digest), salt)
	},
	"old record without padding": func(digest []byte, salt string) string {
		return fmt.Sprintf(`"password":%q,"salt":%q`, base64.RawStdEncoding.EncodeToString(digest), salt)
	},
	"PHC": func(digest []byte, salt string) string {
		return fmt.Sprintf(`"password_hash":"$pbkdf2-sha512$i=4096,l=%d$%s$%s"`, len(digest),
			base64.RawStdEncoding.EncodeToString([]byte(salt)), base64.RawStdEncoding.EncodeToString(digest))
	},
	"PHC with padding": func(digest []byte, salt string) string {
		return fmt.Sprintf(`"password_hash":"$pbkdf2-sha512$i=4096,l=%d$%s$%s"`, len(digest),
			base64.StdEncoding.EncodeToString([]byte(salt)), base64.StdEncoding.EncodeToString(digest))
	},
	"PHC with the bare salt": func(digest []byte, salt string) string {
		return fmt.Sprintf(`"password_hash":"$pbkdf2-sha512$i=4096,l=%d$%s$%s"`, len(digest),
			salt, base64.StdEncoding.EncodeToString(digest))
	},
}

func TestUsersOfTheOldSystemLogInWithTheirPasswords(t *testing.T) {
	for form, hash := range importForms {
		for _, keyBytes := range []int{16, 64, 128} {
			t.Run(fmt.Sprintf("%s of %d bytes", form, keyBytes), func(t *testing.T) {
				const old = "pa$$ wörd"
				digest, salt := oldRecord(t, old, keyBytes)
				line := `{"id":1,"username":"Ada","name":"Ada L.","scope":"read","email":null,` + hash(digest, salt) + `}`
				record, err := userimport.Parse(line, keyBytes)
				if err != nil {
					t.Fatal(err)
				}
				f := newFixture(t)
				if err := f.AddImported(t.Context(), record); err != nil {
					t.Fatal(err)
				}
				imported := f.user("1")
				want := storage.User{
					ID: "1", Username: "Ada", Name: "Ada L.", Scope: "read", CreatedAt: start, UpdatedAt: start,
					Version: 1, SignInVersion: 1, PasswordHash: imported.PasswordHash,
				}
				if diff := cmp.Diff(want, imported); diff != "" {
					t.Errorf("imported (-want +got):\n%s", diff)
				}
				if !strings.HasPrefix(imported.PasswordHash, "$pbkdf2-sha512$i=4096,") {
					t.Errorf("imported hash is %s", imported.PasswordHash)
				}
				if _, err := f.login("ada", old+"x"); !errors.Is(err, auth.ErrInvalidCredentials) {
					t.Errorf("wrong password: got %v, want ErrInvalidCredentials", err)
				}
				if _, err := f.me(f.mustLogin("ada", old)); err != nil {
					t.Errorf("session of the first login: %v", err)
				}
				if got := f.user("1").PasswordHash; !strings.HasPrefix(got, "$argon2id$v=19$"+cheap.String()+"$") {
					t.Errorf("after a login the hash is %s, want argon2id", got)
				}
				f.mustLogin("ada", old)
				if _, err := f.login("ada", old+"x"); !errors.Is(err, auth.ErrInvalidCredentials) {
					t.Errorf("wrong password, new hash: got %v, want ErrInvalidCredentials", err)
				}
			})
		}
	}
}

// TestOldPasswordsWereNotNormalized: the old system hashed the bytes that came.
func TestOldPasswordsWereNotNormalized(t *testing.T) {
	const decomposed, composed = "cafe\u0301 cafe\u0301", "caf\u00e9 caf\u00e9"
	for old, typed := range map[string][]string{
		decomposed: {decomposed},           // the composed form was not right there either
		composed:   {composed, decomposed}, // NFKC makes it the old bytes
	} {
		for _, first := range typed {
			f := newFixture(t)
			digest, salt := oldRecord(t, old, 64)
			record, err := userimport.Parse(`{"username":"ada",`+importForms["PHC"](digest, salt)+`}`, 0)
			if err != nil {
				t.Fatal(err)
			}
			if err := f.AddImported(t.Context(), record); err != nil {
				t.Fatal(err)
			}
			f.mustLogin("ada", first)
			f.mustLogin("ada", composed)
			f.mustLogin("ada", decomposed)
		}
	}
}

func TestArgon2HashesAreImportedAsTheyAre(t *testing.T) {
	hash, err := newHasher(t, passhash.Argon2{Memory: 32, Time: 2, Threads: 1}).Hash(t.Context(), password)
	if err != nil {
		t.Fatal(err)
	}
	record, err := userimport.Parse(fmt.Sprintf(`{"username":"ada","password_hash":%q}`, hash), 512)
	if err != nil {
		t.Fatal(err)
	}
	if record.PasswordHash != hash {
		t.Errorf("got %s, want %s", record.PasswordHash, hash)
	}
	f := newFixture(t)
	if err := f.AddImported(t.Context(), record); err != nil {
		t.Fatal(err)
	}
	f.mustLogin("ada", password)
}

// TestOuterBlanksOfARecordDoNotCount: a file may come from a spreadsheet.
func TestOuterBlanksOfARecordDoNotCount(t *testing.T) {
	record, err := userimport.ParseFields(map[string]string{"username": " Bob\t", "email": "\u00a0bob@example.com\r\n"}, 0)
	if err != nil || record.Username != "Bob" || record.Email != "bob@example.com" {
		t.Errorf("got %q, %q, %v", record.Username, record.Email, err)
	}
}

func b64(n int) string { return base64.RawStdEncoding.EncodeToString(make([]byte, n)) }

func TestBadImportLinesSayWhatIsWrong(t *testing.T) {
	const salt, digest = "c2FsdHNhbHRzYWx0c2FsdA==", "AAAAAAAAAAAAAAAAAAAAAA==" // 16 bytes each
	for name, c := range map[string]struct{ line, want string }{
		"no JSON":                       {`username=ada`, "JSON object"},
		"an array":                      {`[]`, "JSON object"},
		"nothing":                       {``, "JSON object"},
		"two objects":                   {`{"username":"a"} {}`, "follows"},
		"a member twice":                {`{"username":"a","username":"b"}`, `"username" stands twice`},
		"a member we do not know":       {`{"username":"a","rank":"admin"}`, `unknown member "rank"`},
		"a member of another name":      {`{"username":"a","role":"admin"}`, `unknown member "role": did you mean "roles"?`},
		"groups of another system":      {`{"username":"a","groups":["admin"]}`, `unknown member "groups": did you mean "roles"?`},
		"a role that is two":            {`{"username":"a","roles":["a b"]}`, "roles: must be a list of words"},
		"a role that is none":           {`{"username":"a","roles":[""]}`, "roles: must be a list of words"},
		"a role that is a number":       {`{"username":"a","roles":[7]}`, "roles: must be a list of words"},
		"roles that are an object":      {`{"username":"a","roles":{"a":true}}`, `"roles" must be a string`},
		"attributes that are a list":    {`{"username":"a","attributes":["a"]}`, `"attributes" must be a string`},
		"attributes that are a number":  {`{"username":"a","attributes":7}`, `"attributes" must be a string`},
		"attributes that are words":     {`{"username":"a","attributes":"tenant=ulm"}`, "attributes: must be a JSON object"},
		"an attribute that is a list":   {`{"username":"a","attributes":{"tenant":["ulm"]}}`, `attributes: "tenant" must be text, a number, true or false: make one text of a list`},
		"an attribute twice":            {`{"username":"a","attributes":{"tenant":"ulm","tenant":"bonn"}}`, "an attribute that stands twice"},
		"a member in another case":      {`{"Username":"a"}`, `unknown member "Username"`},
		"a username that is a number":   {`{"username":1}`, `"username" must be a string`},
		"a scope that is a list":        {`{"username":"a","scope":["a"]}`, `"scope" must be a string`},
		"an id that is a fraction":      {`{"id":1.5,"username":"a"}`, `"id" must be a string`},
		"a flag that is text":           {`{"username":"a","disabled":"true"}`, `"disabled" must be true or false`},
		"a flag that is a number":       {`{"username":"a","email_verified":1}`, `"email_verified" must be true or false`},
		"a day without time":            {`{"username":"a","created_at":"2020-01-02"}`, "created_at: must be like"},
		"a digest without salt":         {`{"username":"a","password":"` + digest + `"}`, "salt"},
		"a salt without digest":         {`{"username":"a","salt":"` + salt + `"}`, "password"},
		"both forms of hash":            {`{"username":"a","password_hash":"x","salt":"` + salt + `"}`, "both"},
		"a password in plain text":      {`{"username":"a","password":"hunter2!","salt":"` + salt + `"}`, `"password" of an old record`},
		"a salt that is no base64":      {`{"username":"a","password":"` + digest + `","salt":"not base64!"}`, `"salt" of an old record`},
		"a digest of another size":      {`{"username":"a","password":"` + digest[:20] + `","salt":"` + salt + `"}`, "CRYPTO_BYTE_SIZE says 16"},
		"a hash of another kind":        {`{"username":"a","password_hash":"$2b$12$abc"}`, "not a hash this program can check"},
		"a hash that takes 4 GiB":       {`{"username":"a","password_hash":"$argon2id$v=19$m=4194304,t=1,p=1$` + b64(16) + `$` + b64(32) + `"}`, "out of range"},
		"one half of Keycloak's":        {`{"username":"a","secretData":"{}"}`, `needs both "secretData" and "credentialData"`},
		"Keycloak's and an old record":  {`{"username":"a","password":"` + digest + `","salt":"` + salt + `","secretData":"{}"}`, "keep one"},
		"a digest of Keycloak's kind":   {`{"username":"a","secretData":"{}","credentialData":"{\"algorithm\":\"md5\"}"}`, `algorithm "md5"`},
		"a hash in the place of a name": {`{"username":"a","$2b$05$hunter2!":"x"}`, "a member has a name that is none"},
		"such a member twice":           {`{"$2b$05$hunter2!":1,"$2b$05$hunter2!":2}`, "a member has a name that is none"},
		"a hash without salt":           {`{"username":"a","password_hash":"{SHA}hunter2!"}`, "no salt"},
		"a PBKDF2 hash of another size": {`{"username":"a","password_hash":"$pbkdf2-sha512$i=4096,l=17$` + salt + `$` + digest + `"}`, "not a hash"},
	} {
		record, err := userimport.Parse(c.line, 16)
		if err == nil {
			t.Errorf("%s is taken, as %+v", name, record)
		} else if !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: got %q, want it to speak of %q and not to quote secrets", name, err, c.want)
		}
	}
	var line = map[string]any{"username": "a", "password": digest, "salt": salt}
	doc, err := json.Marshal(line)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := userimport.Parse(string(doc), 16); err != nil {
		t.Errorf("the good line: %v", err)
	}
}
