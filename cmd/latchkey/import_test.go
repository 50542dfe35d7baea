package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/testscript"
)

// kindsFiles have a user for each kind of hash, all made by other programs: as
// password_hash, and as Keycloak and the old system keep them.
var kindsFiles = []string{"../../internal/password/passhash/testdata/every-kind.jsonl", "testdata/other-records.jsonl"}

// everyKind returns the records, each with its password as "plain".
func everyKind() ([]map[string]string, error) {
	var kinds []map[string]string
	for _, name := range kindsFiles {
		doc, err := os.ReadFile(name)
		if err != nil {
			return nil, err
		}
		for line := range strings.Lines(string(doc)) {
			var k map[string]string
			if err := json.Unmarshal([]byte(line), &k); err != nil {
				return nil, fmt.Errorf("%s: %w", name, err)
			}
			kinds = append(kinds, k)
		}
	}
	return kinds, nil
}

// cmdKinds writes an import file with a user for each kind of hash, or logs each
// of them in: kinds FILE, kinds login
func cmdKinds(ts *testscript.TestScript, _ bool, args []string) {
	kinds, err := everyKind()
	ts.Check(err)
	if len(kinds) < 37 {
		ts.Fatalf("%v have %d lines", kindsFiles, len(kinds))
	}
	if args[0] == "login" {
		for _, k := range kinds {
			body, err := json.Marshal(map[string]string{"username": k["username"], "password": k["plain"]})
			ts.Check(err)
			ts.Check(replaceHash(ts.Getenv("URL"), body))
			r, err := http.NewRequest("POST", ts.Getenv("URL")+"/login", strings.NewReader(string(body)))
			ts.Check(err)
			if res, _ := converse(ts, r, string(body)); res.StatusCode != http.StatusOK {
				ts.Fatalf("%s cannot log in: %s", k["username"], res.Status)
			}
		}
		return
	}
	var b strings.Builder
	for _, k := range kinds {
		delete(k, "plain")
		line, err := json.Marshal(k)
		ts.Check(err)
		fmt.Fprintf(&b, "%s\n", line)
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(b.String()), 0o600))
}

// replaceHash logs in until the server has time to answer, which replaces the hash of
// another system. Where other programs keep the processors busy, checking the dearest
// ones takes longer than the server's time-out for an answer; the check goes on
// without the client.
func replaceHash(url string, body []byte) (err error) {
	for range 10 {
		var res *http.Response
		res, err = http.Post(url+"/login", "application/json", bytes.NewReader(body))
		if err == nil {
			return res.Body.Close()
		}
		if !errors.Is(err, io.EOF) {
			return err
		}
	}
	return err
}

// TestImportHintsWork: the command that a refusal names makes a file that is taken,
// with the passwords.
func TestImportHintsWork(t *testing.T) {
	needsCommands(t)
	const parameters = "key=jxspr8Ki0RYycVU8zykbdLGjFQ3McFUH0uiiTvC8pVMXAn210wjLNmdZJzxUECKbm0QsEmYUSDzZvpjeJ9WmXA=="
	const user = `{"localId":"fb1","email":"fb1@example.com","emailVerified":true,"displayName":"F. B.","createdAt":"1500000000000","providerUserInfo":[],"customAttributes":"{\"plan\":\"pro\",\"seats\":7,\"teams\":[\"a\",\"b\"]}",
"passwordHash":"lSrfV15cpx95/sZS2W9c9Kp6i/LVgQNDNC/qzrCnh1SAyZvqmZqAjTdn3aoItz+VHjoZilo78198JAdRuid5lQ==","salt":"42xEC+ixf3L2lw=="}`
	const firebase = "$firebase-scrypt$ln=14,r=8,sep=Bw,key=jxspr8Ki0RYycVU8zykbdLGjFQ3McFUH0uiiTvC8pVMXAn210wjLNmdZJzxUECKbm0QsEmYUSDzZvpjeJ9WmXA" +
		"$42xEC+ixf3L2lw$lSrfV15cpx95/sZS2W9c9Kp6i/LVgQNDNC/qzrCnh1SAyZvqmZqAjTdn3aoItz+VHjoZilo78198JAdRuid5lQ"
	const keycloakKey = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="
	const keycloak = "$pbkdf2-sha256$1000$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
	const bcrypt = "$2b$05$EZMWh24vqxuszJyMf2r3Ju5ShgFjV73w8dxkULtO52Ue3gE91M1ue"
	for name, c := range map[string]struct {
		file string
		want []string // id, address, whether it is proved, hash, attributes, roles
	}{
		"Firebase": {`{"users": [` + user + `,{"localId":"fb2","email":"fb2@example.com","emailVerified":false,"disabled":true,"providerUserInfo":[{"rawId":"1"}]}]}`,
			[]string{"fb1 fb1@example.com true " + firebase + " map[plan:pro seats:7 teams:a,b]", "fb2 fb2@example.com false  map[]"}},
		"Firebase, as lines": {strings.ReplaceAll(user, "\n", ""), []string{"fb1 fb1@example.com true " + firebase + " map[plan:pro seats:7 teams:a,b]"}},
		"Auth0": {`{"_id":{"$oid":"60425d"},"email_verified":false,"email":"a@example.com","passwordHash":"` + bcrypt + `","tenant":"dev"}
{"user_id":"auth0|2","email_verified":true,"email":"b@example.com","name":"B","created_at":"2021-03-05T16:33:40.000Z","logins_count":3}`,
			[]string{"auth0|60425d a@example.com false " + bcrypt + " map[]", "auth0|2 b@example.com true  map[]"}},
		"Keycloak": {`{"realm":"shop","users":[
{"id":"k1","username":"k","email":"k@example.com","emailVerified":true,"firstName":"K","enabled":true,"createdTimestamp":1500000000123,"realmRoles":["clerk","chief"],"attributes":{"tenant":["ulm"],"teams":["a","b"]},
"credentials":[{"type":"otp","secretData":"{}"},{"type":"password","secretData":"{\"value\":\"` + keycloakKey + `\",\"salt\":\"AAAAAAAAAAAAAAAAAAAAAA==\"}","credentialData":"{\"hashIterations\":1000,\"algorithm\":\"pbkdf2-sha256\"}"}]},
{"id":"k2","username":"service","enabled":false}]}`,
			[]string{"k1 k@example.com true " + keycloak + " map[teams:a,b tenant:ulm]clerk,chief", "k2  false  map[]"}},
		"an array":         {`[{"id":"1","email":"c@example.com"}]`, []string{"1 c@example.com true  map[]"}},
		"an object":        {`{"users":[{"id":"1","email":"c@example.com"}]}`, []string{"1 c@example.com true  map[]"}},
		"in several lines": {"{\n\"id\":\"1\",\n\"email\":\"c@example.com\"\n}", []string{"1 c@example.com true  map[]"}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := openImport(strings.NewReader(c.file), "users.json", "", 0)
			if err == nil {
				t.Fatal("the file is read as it is")
			}
			_, command, ok := strings.Cut(err.Error(), "jq -c ")
			command, ok2 := strings.CutSuffix(command, " FILE")
			if !ok || !ok2 {
				t.Fatalf("got %q, want a jq command", err)
			}
			jq := exec.Command("jq", "-c", strings.Replace(strings.Trim(command, "'"), "key=SIGNER_KEY", parameters, 1))
			jq.Stdin = strings.NewReader(c.file)
			lines, err := jq.Output()
			if err != nil {
				t.Fatalf("jq: %v", err)
			}
			file, err := openImport(bytes.NewReader(lines), "users.jsonl", "", 0)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for {
				row, err := file.next()
				if err != nil {
					break
				}
				if row.Refused != nil {
					t.Errorf("line %d: %v", row.Line, row.Refused)
				}
				got = append(got, fmt.Sprint(row.Record.ID, " ", row.Record.Email, " ", !row.Record.EmailUnverified, " ", row.Record.PasswordHash, " ", row.Record.Attributes, strings.Join(row.Record.Roles, ",")))
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("users (-want +got):\n%s", diff)
			}
		})
	}
}

// cmdPeople writes an import file of so many users: people N FILE
func cmdPeople(ts *testscript.TestScript, _ bool, args []string) {
	n, err := strconv.Atoi(args[0])
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), []byte(manyUsers("user", n)), 0o600))
}

// manyUsers is an import file: name0, name1 and so on, each with an address and a
// hash.
func manyUsers(name string, n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `{"username":"%[1]s%[2]d","email":"%[1]s%[2]d@example.com","password_hash":"$argon2id$v=19$m=8,t=1,p=1$c29tZXNhbHRzb21lc2FsdA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}`+"\n", name, i)
	}
	return b.String()
}

// TestInterruptedImportGoesOn kills an import in the middle: what is there is
// whole, and the same command takes the rest.
func TestInterruptedImportGoesOn(t *testing.T) {
	bin, err := buildBootstraps()
	if err != nil {
		t.Fatal(err)
	}
	dir, n := t.TempDir(), 20_000
	rows := manyUsers("user", n)
	write(t, dir, "users.jsonl", rows)
	latchkey := func(args ...string) *exec.Cmd {
		cmd := exec.Command(filepath.Join(bin, "latchkey"), args...)
		cmd.Dir = dir
		return cmd
	}
	users := func() int {
		t.Helper()
		out, err := latchkey("users", "list", "--json").Output()
		if err != nil {
			t.Fatal(err)
		}
		return strings.Count(string(out), "\n")
	}
	if out, err := latchkey("init").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	// The file comes through a pipe, so that the kill hits it halfway.
	half := latchkey("users", "import", "-")
	in, err := half.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := half.Start(); err != nil {
		t.Fatal(err)
	}
	w := bufio.NewWriter(in)
	w.WriteString(rows[:len(rows)/2])
	w.Flush()
	for users() == 0 {
	}
	half.Process.Kill()
	half.Wait()
	there := users()
	if there == 0 || there%importBatch != 0 || there >= n {
		t.Fatalf("%d users after the kill, want whole batches", there)
	}
	out, err := latchkey("users", "import", "users.jsonl").CombinedOutput()
	if want := fmt.Sprintf("imported %s users, %s were there already", thousands(n-there), thousands(there)); err != nil || !strings.Contains(string(out), want) {
		t.Errorf("again: %v, %s; want %s", err, out, want)
	}
	if got := users(); got != n {
		t.Errorf("%d users in the end, want %d", got, n)
	}
}
