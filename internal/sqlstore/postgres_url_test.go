package sqlstore_test

import (
	"strings"
	"testing"

	"github.com/latchkey-auth/latchkey/internal/sqlstore"
)

// TestPostgresURL: a server elsewhere is verified, and mistakes are named.
func TestPostgresURL(t *testing.T) {
	for _, env := range []string{"PGSSLMODE", "PGHOST", "PGSSLROOTCERT", "PGDATABASE", "PGSERVICE"} {
		t.Setenv(env, "")
	}
	for _, c := range []struct{ url, want string }{ // want: of the error; empty: none
		{"postgres://u@db.example.com/latchkey", ""},
		{"postgresql://u:secret@db.example.com:6432/latchkey?pool_max_conns=3&application_name=x", ""},
		{"postgres://u@db.example.com/latchkey?sslmode=verify-full", ""},
		{"postgres://u@a.example.com,b.example.com/latchkey", ""},
		{"postgres://u@localhost/latchkey", ""},
		{"postgres://u@127.0.0.1/latchkey?sslmode=disable", ""},
		{"postgres://u@[::1]/latchkey?sslmode=disable", ""},
		{"postgres://u@/latchkey?host=/var/run/postgresql", ""},

		{"postgres://u:secret@db.example.com/latchkey?sslmode=disable", "sslmode=verify-full"},
		{"postgres://u:secret@db.example.com/latchkey?sslmode=allow", "sslmode=verify-full"},
		{"postgres://u:secret@db.example.com/latchkey?sslmode=prefer", "sslmode=verify-full"},
		{"postgres://u:secret@db.example.com/latchkey?sslmode=require", "sslmode=verify-full"},
		{"postgres://u:secret@db.example.com/latchkey?sslmode=verify-ca", "sslmode=verify-full"},
		{"postgres://u:secret@10.0.0.1/latchkey?sslmode=disable", "10.0.0.1"},
		{"postgres://u:secret@localhost,db.example.com/latchkey?sslmode=disable", "db.example.com"},
		{"postgres://u:secret@localhost/latchkey?host=db.example.com&sslmode=disable", "db.example.com"},
		{"postgres://u:secret@db.example.com/", "names no database"},
		{"postgres://u:secret@db.example.com/latchkey?sslrootcert=/absent.pem", "/absent.pem"},
		{"postgres://u:secret@db.example.com/latchkey?servicefile=/etc/passwd", "not known"},
		{"postgres://u:secret@db.example.com/latchkey?statement_timeout=0", "not known"},
		{"postgres://u@db.example.com/latchkey?password=secret", ""},
		{"postgres://u:secret@db.example.com/latchkey?sslmode=disable&sslmode=verify-full", "2 times"},
		{"postgres://u:secret@db.example.com/latchkey?sslmode=wrong", "sslmode"},
		{"postgres://u:secret@db.example.com/latchkey?pool_max_conns=none", "reading the PostgreSQL URL"},
		{"postgres://u:secret@db.example.com/latchkey?a;b", "parameters"},
		{"postgres://u:12?secret@db.example.com/latchkey", "not known"},
		{"postgres://u?secret@db.example.com/latchkey", "not known"},
		{"postgres://u:secret@db.example.com:port/latchkey", "write it like"},
		{"postgres://u:secret%zz@db.example.com/latchkey", "write it like"},
		{"host=db.example.com password=secret dbname=latchkey", "write it like"},
		{"mysql://u:secret@db.example.com/latchkey", "write it like"},
		{"", "write it like"},
	} {
		err := sqlstore.CheckPostgresURL(c.url)
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: got error %v, want one with %q", c.url, err, c.want)
		}
		if err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: the error tells the password: %v", c.url, err)
		}
	}
}

// TestPostgresEnvironmentWeakensNothing: PGSSLMODE does not weaken what a server is
// held to.
func TestPostgresEnvironmentWeakensNothing(t *testing.T) {
	t.Setenv("PGSSLMODE", "disable")
	if err := sqlstore.CheckPostgresURL("postgres://u@db.example.com/latchkey"); err != nil {
		t.Errorf("without sslmode: %v; want the certificate to be verified", err)
	}
	t.Setenv("PGHOST", "db.example.com")
	if err := sqlstore.CheckPostgresURL("postgres:///latchkey?sslmode=disable"); err == nil {
		t.Error("a host of the environment is not verified")
	}
}

// FuzzPostgresURL: no text makes it panic, leaves a host elsewhere unverified, or has its
// password told.
func FuzzPostgresURL(f *testing.F) {
	f.Add("u", "hunter2hunter2", "db.example.com", "latchkey", "sslmode=require")
	f.Add("", "", "a,b:1,[::1]:5432", "", "host=/tmp&port=1,2")
	f.Add("u", "p%", "10.0.0.1", "%00", "sslmode=prefer&target_session_attrs=any")
	f.Fuzz(func(t *testing.T, user, password, host, database, query string) {
		text := "postgres://" + user + ":" + password + "@" + host + "/" + database + "?" + query
		err := sqlstore.CheckPostgresURL(text)
		if err != nil && len(password) >= 12 && strings.Contains(err.Error(), password) &&
			!strings.Contains(host+database+query+"postgres://latchkey@db.example.com/latchkey", password) {
			t.Errorf("%q: the error tells the password: %v", text, err)
		}
	})
}
