package app_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/latchkey-auth/latchkey/internal/app"
)

func TestStoreAddresses(t *testing.T) {
	for text, want := range map[string]app.StoreAddress{
		"sqlite:/var/lib/latchkey.db": {Scheme: app.SQLite, Path: "/var/lib/latchkey.db"},
		"sqlite:data/with space.db":   {Scheme: app.SQLite, Path: "data/with space.db"},
		"sqlite:" + app.Memory:        {Scheme: app.SQLite, Path: app.Memory},

		"dynamodb://latchkey":                                    {Scheme: app.DynamoDB, Table: "latchkey"},
		"dynamodb://My_table.2?region=eu-west-1":                 {Scheme: app.DynamoDB, Table: "My_table.2", Region: "eu-west-1"},
		"dynamodb://abc?endpoint=http%3A%2F%2F127.0.0.1%3A8000":  {Scheme: app.DynamoDB, Table: "abc", Endpoint: "http://127.0.0.1:8000"},
		"dynamodb://abc?endpoint=http://[::1]:8000&region=local": {Scheme: app.DynamoDB, Table: "abc", Region: "local", Endpoint: "http://[::1]:8000"},
		"dynamodb://abc?endpoint=https://vpce-1.example.com":     {Scheme: app.DynamoDB, Table: "abc", Endpoint: "https://vpce-1.example.com"},

		"postgres://latchkey@db.example.com/latchkey":                 {Scheme: app.Postgres, URL: "postgres://latchkey@db.example.com/latchkey"},
		"postgresql:///latchkey?host=/run/postgresql&sslmode=disable": {Scheme: app.Postgres, URL: "postgresql:///latchkey?host=/run/postgresql&sslmode=disable"},
	} {
		got, err := app.ParseStoreAddress(text)
		if err != nil || got.Scheme != want.Scheme || got.Path != want.Path || got.Table != want.Table || got.Region != want.Region || got.Endpoint != want.Endpoint || string(got.URL) != string(want.URL) {
			t.Errorf("%s: got %#v, %v", text, got, err)
		}
		if again, err := app.ParseStoreAddress(got.String()); err != nil || again.String() != got.String() {
			t.Errorf("%s: what it says, %s, is read as %s, %v", text, got, again, err)
		}
		if got.HasPassword() {
			t.Errorf("%s has a password", text)
		}
	}
}

// TestStorePasswordIsNotShown: neither an address nor an error about one shows what may be
// a password.
func TestStorePasswordIsNotShown(t *testing.T) {
	for _, text := range []string{
		"postgres://ada:hunter2@db.example.com/latchkey",
		"postgres://ada:hunter2@db.example.com:5432/latchkey?sslmode=verify-full",
		"postgres://db.example.com/latchkey?user=ada&password=hunter2",
		"postgres://ada:hunter%232@db.example.com/latchkey",
	} {
		a, err := app.ParseStoreAddress(text)
		if err != nil || !a.HasPassword() {
			t.Errorf("%s: password %v, %v; want one", text, a.HasPassword(), err)
		}
		asJSON, err := json.Marshal(map[string]any{"store": a, "url": a.URL})
		if err != nil {
			t.Fatal(err)
		}
		for _, said := range []string{a.String(), fmt.Sprintf("%v %+v %#v %s", a, a, a, a), string(asJSON)} {
			if strings.Contains(said, "hunter") {
				t.Errorf("%s shows the password: %s", text, said)
			}
		}
	}
	for _, text := range []string{
		"postgres://ada:hunter2#@db.example.com/latchkey",
		"postgres://ada:hunter2?@db.example.com/latchkey",
		"postgres://ada:hunter2%zz@db.example.com/latchkey",
		"postgres://ada:hunter2/x@db.example.com/latchkey",
		"postgres://ada:12/hunter2@db.example.com/latchkey",
		"postgres:ada:hunter2@db.example.com/latchkey",
		"postgres://db.example.com/latchkey?hunter2=1",
		"mysql://ada:hunter2@db.example.com/latchkey",
		"hunter2@db.example.com", "dynamodb://ada:hunter2@latchkey", "dynamodb://latchkey?hunter2=1",
	} {
		_, err := app.ParseStoreAddress(text)
		if err == nil {
			t.Errorf("%s is an address", text)
		} else if strings.Contains(err.Error(), "hunter") {
			t.Errorf("%s: the error shows it: %v", text, err)
		}
	}
}

// TestWrongStoreAddresses: each refusal says how to write it.
func TestWrongStoreAddresses(t *testing.T) {
	for text, want := range map[string]string{
		"":                                            "begins with no scheme",
		"latchkey.db":                                 "begins with no scheme; write it like sqlite:",
		"/var/lib/latchkey.db":                        "begins with no scheme",
		`C:\latchkey.db`:                              "begins with no scheme",
		"SQLITE:x":                                    "begins with no scheme",
		"mysql://db/latchkey":                         `cannot be "mysql"`,
		"file:latchkey.db":                            `cannot be "file"`,
		"sqlite:":                                     "names no file",
		"sqlite:///var/lib/latchkey.db":               "without // before it",
		"sqlite://latchkey.db":                        "without // before it",
		"sqlite:latchkey.db?mode=ro":                  "takes no parameters",
		"sqlite:data/":                                "names a directory",
		"sqlite:a\x00b":                               "control character",
		"dynamodb:latchkey":                           "names no table",
		"dynamodb://":                                 "names no table",
		"dynamodb://ab":                               "names no table",
		"dynamodb://arn:aws:dynamodb":                 "names no table",
		"dynamodb://key:secret@latchkey":              "holds no credentials",
		"dynamodb://latchkey/x":                       "a table and its parameters",
		"dynamodb://latchkey/":                        "a table and its parameters",
		"dynamodb://latchkey#x":                       "a table and its parameters",
		"dynamodb://latchkey?Region=eu-west-1":        "unknown parameter; known are region, endpoint",
		"dynamodb://latchkey?region=":                 "must be like eu-west-1",
		"dynamodb://latchkey?region=a&region=b":       "region twice",
		"dynamodb://latchkey?region=EU":               "must be like eu-west-1",
		"dynamodb://latchkey?a;b":                     "cannot be read",
		"dynamodb://latchkey?endpoint=":               "must be like https://",
		"dynamodb://latchkey?endpoint=localhost:8000": "must be like https://",
		"dynamodb://latchkey?endpoint=http://db.example.com":   "use https",
		"dynamodb://latchkey?endpoint=http://10.0.0.1:8000":    "use https",
		"dynamodb://latchkey?endpoint=https://a:b@example.com": "must be like https://",
		"postgres:latchkey":                       "is no URL",
		"postgres://db/latchkey?sslmod=disable":   "unknown parameter; known are application_name",
		"dynamodb://" + strings.Repeat("a", 3000): "more than 2048",
	} {
		_, err := app.ParseStoreAddress(text)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.60s: got %v, want %q", text, err, want)
		}
	}
}

func FuzzParseStoreAddress(f *testing.F) {
	for _, text := range []string{"sqlite:x.db", "dynamodb://latchkey?region=eu-west-1", "postgres://ada:hunter2@db/latchkey?sslmode=disable", "postgres://?host=/x&password=a%20b", "x"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		a, err := app.ParseStoreAddress(text)
		if err != nil {
			if a != (app.StoreAddress{}) {
				t.Errorf("%q is refused, and read as %#v", text, a)
			}
			return
		}
		again, err := app.ParseStoreAddress(a.String())
		if err != nil || again.String() != a.String() || again.HasPassword() {
			t.Errorf("%q says %q, which is read as %q, password %v, %v", text, a, again, again.HasPassword(), err)
		}
	})
}
