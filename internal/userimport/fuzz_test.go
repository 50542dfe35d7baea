package userimport_test

import (
	"encoding/json"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/latchkey-auth/latchkey/internal/auth"
	"github.com/latchkey-auth/latchkey/internal/password/passhash"
	"github.com/latchkey-auth/latchkey/internal/userimport"
)

func FuzzParse(f *testing.F) {
	for _, line := range []string{
		`{"id":1,"username":"a","name":"A","scope":"s","password":"AAAAAAAAAAAAAAAAAAAAAA==","salt":"c2FsdHNhbHQ="}`,
		`{"id":"x","username":"a","email":null,"password_hash":"$argon2id$v=19$m=8,t=1,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAA"}`,
		`{"username":"a","password_hash":"$pbkdf2-sha512$i=4096,l=16$YzJGc2RITmhiSFJ6WVd4MA$AAAAAAAAAAAAAAAAAAAAAA"}`,
		`{"email":"a@example.com","email_verified":false,"disabled":true,"created_at":"2020-01-02T03:04:05.6+07:00"}`,
		`{"username":"a","secretData":"{\"value\":\"AAAAAAAAAAAAAAAAAAAAAA==\",\"salt\":\"AAAA\"}","credentialData":"{\"hashIterations\":1000,\"algorithm\":\"pbkdf2-sha256\"}"}`,
		`{"username":"a","roles":["clerk","chief"],"attributes":{"tenant":"u\u006cm","seats":7,"beta":true,"none":null,"empty":""}}`,
		`{"username":"a","roles":" clerk chief ","attributes":"{\"tenant\":\"ulm\"}"}`,
		`{"username":1}`, `{}`, `[`, ``,
	} {
		f.Add(line, 16)
		f.Add(line, 0)
	}
	f.Fuzz(func(t *testing.T, line string, keyBytes int) {
		r, err := userimport.Parse(line, keyBytes)
		if err != nil {
			return
		}
		if r.PasswordHash != "" {
			if got, err := passhash.Parse(r.PasswordHash); err != nil || got.String() != r.PasswordHash {
				t.Errorf("%q gives the hash %q, which is read as %q (%v)", line, r.PasswordHash, got, err)
			}
		}
		again, err := userimport.ParseFields(exported(r), keyBytes)
		if diff := cmp.Diff(r, again, cmpopts.EquateEmpty()); err != nil || diff != "" {
			t.Errorf("%q as fields: %v (-want +got):\n%s", line, err, diff)
		}
	})
}

// exported is a record in the members that an export has.
func exported(r auth.ImportRecord) map[string]string {
	fields := map[string]string{
		"id": string(r.ID), "username": r.Username, "email": r.Email, "email_verified": strconv.FormatBool(!r.EmailUnverified),
		"name": r.Name, "scope": r.Scope, "roles": strings.Join(r.Roles, " "), "disabled": strconv.FormatBool(r.Disabled), "password_hash": r.PasswordHash,
	}
	if len(r.Attributes) > 0 {
		doc, err := json.Marshal(r.Attributes)
		if err != nil {
			panic(err)
		}
		fields["attributes"] = string(doc)
	}
	if !r.CreatedAt.IsZero() {
		fields["created_at"] = r.CreatedAt.Format(time.RFC3339Nano)
	}
	return fields
}
