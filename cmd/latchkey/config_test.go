package main

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/alecthomas/kong"
)

// TestSettingsAreWrittenAlone: what comes in by accident beside a value is refused
// by the setting's name, wherever it is written, and never shown.
func TestSettingsAreWrittenAlone(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	must(t, dir, "", "init")
	for _, name := range []string{"TOKEN_SECRET", "TOKEN_SECRET_ACCEPT_UNTIL", "APP_NAME", "CRYPTO_BYTE_SIZE", "LATCHKEY_ISSUER", "LATCHKEY_AUDIENCE", "LATCHKEY_MASTER_KEY",
		"LATCHKEY_MAIL_URL", "LATCHKEY_SMTP_URL", "LATCHKEY_MAIL_FROM", "LATCHKEY_DATA", "LATCHKEY_MASTER_KEY_FILE", "LATCHKEY_MAIL_TEMPLATES"} {
		for _, value := range []string{"hunter2hunter2hunter2hunter2hunter2\n", " hunter2", `"hunter2"`} {
			t.Run(name+" "+value, func(t *testing.T) {
				t.Setenv(name, value)
				code, said := command(t, dir, "", "serve", "--addr", "127.0.0.1:0")
				if code != 2 || !strings.Contains(said, "latchkey: "+name+" ") || !strings.Contains(said, "write the value alone") || strings.Contains(said, "hunter2") {
					t.Errorf("status %d: %s", code, said)
				}
			})
		}
	}
	for _, flag := range []string{"--issuer", "--audience", "--mail-from"} {
		if code, said := command(t, dir, "", "serve", "--addr", "127.0.0.1:0", flag, "https://auth.example.com "); code != 2 || !strings.Contains(said, flag+" begins or ends with a blank") {
			t.Errorf("%s: status %d: %s", flag, code, said)
		}
	}
	file := filepath.Join(t.TempDir(), "latchkey.yaml")
	if err := os.WriteFile(file, []byte("addr: 127.0.0.1:0\nissuer: \"'https://auth.example.com'\"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if code, said := command(t, dir, "", "serve", "--config", file); code != 2 || !strings.Contains(said, "latchkey.yaml: line 2: issuer is in quotes") {
		t.Errorf("status %d: %s", code, said)
	}
	t.Setenv("OTHER_ISSUER", "b\n")
	t.Setenv("LATCHKEY_JWKS", "{\n\"keys\":[]}\n") // laid out in lines
	must(t, dir, "", "users", "list")
}

// inUTF16 is how PowerShell writes a text.
func inUTF16(text string) string {
	var doc []byte
	for _, unit := range utf16.Encode([]rune("\ufeff" + text)) {
		doc = binary.LittleEndian.AppendUint16(doc, unit)
	}
	return string(doc)
}

// TestFilesOfEveryEditor: a byte order mark before UTF-8 is no part of any file that
// we read, and UTF-16 is named.
func TestFilesOfEveryEditor(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	must(t, data, "", "init")
	master, err := os.ReadFile(filepath.Join(data, "master.key"))
	if err != nil {
		t.Fatal(err)
	}
	jwks := must(t, data, "", "keys", "export")
	public := strings.TrimSuffix(strings.TrimPrefix(strings.TrimSpace(jwks), `{"keys":[`), `]}`)
	other := filepath.Join(t.TempDir(), "other")
	must(t, other, "", "init")
	local := filepath.Join(t.TempDir(), "local")
	const routes = "routes:\n  - route: GET /x\n    public: true\n    to: publicEndpoint\n"
	for _, c := range []struct {
		name, dir, text string
		args            []string // FILE: the file
		done            string   // what is said of the file when it was read
	}{
		{"latchkey.yaml", data, routes, []string{"--config", "FILE", "users", "list"}, "NAME"},
		{"event.json", local, "{}", []string{"invoke", "publicEndpoint", "--path", "FILE"}, "Welcome"},
		{"master.key", data, string(master), []string{"users", "list", "--master-key-file", "FILE"}, "NAME"},
		{"jwks.json", data, jwks, []string{"token", "verify", "--jwks", "FILE", "--issuer", "x", "a.b.c"}, "invalid token"},
		{"key.json", other, public, []string{"keys", "import", "FILE"}, "verifies until"},
		{"users.jsonl", data, `{"username":"ada"}` + "\n", []string{"users", "import", "FILE"}, "imported 1 user"},
		{"users.csv", data, "username\nbob\n", []string{"users", "import", "FILE"}, "imported 1 user"},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), c.name)
			args := strings.Split(strings.ReplaceAll(strings.Join(c.args, "\x00"), "FILE", path), "\x00")
			if err := os.WriteFile(path, []byte(inUTF16(c.text)), 0o600); err != nil {
				t.Fatal(err)
			}
			if code, said := command(t, c.dir, "", args...); code == 0 || !strings.Contains(said, "is UTF-16; save it as UTF-8") {
				t.Errorf("UTF-16: status %d: %s", code, said)
			}
			if err := os.WriteFile(path, []byte("\ufeff"+c.text), 0o600); err != nil {
				t.Fatal(err)
			}
			if _, said := command(t, c.dir, "", args...); !strings.Contains(strings.ToLower(said), strings.ToLower(c.done)) {
				t.Errorf("with a mark: %s\nwant %q", said, c.done)
			}
		})
	}
	if code, said := command(t, local, inUTF16("{}"), "invoke", "publicEndpoint"); code == 0 || !strings.Contains(said, "standard input is UTF-16") {
		t.Errorf("standard input: status %d: %s", code, said)
	}
	must(t, local, "\ufeff{}", "invoke", "publicEndpoint")
}

// TestSwitchesInEveryWord: off and no are false, on and yes true, for every setting
// that is one or the other, in the file, in a variable and behind a flag.
func TestSwitchesInEveryWord(t *testing.T) {
	parse := func(t *testing.T, file string, args ...string) serveCmd {
		t.Helper()
		config, err := parseConfig([]byte(file))
		if err != nil {
			t.Fatal(err)
		}
		var c struct {
			Serve serveCmd `cmd:""`
		}
		parser, err := kong.New(&c, kong.KindMapper(switchKind, switches{}), kong.Resolvers(config.resolver()))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := parser.Parse(append([]string{"serve"}, args...)); err != nil {
			t.Fatalf("%q %v: %v", file, args, err)
		}
		return c.Serve
	}
	for word, want := range map[string]bool{"true": true, "yes": true, "on": true, "On": true, "false": false, "no": false, "off": false, "OFF": false} {
		if got := parse(t, "verify-email: "+word).VerifyEmail; got != want {
			t.Errorf("verify-email: %s is %v", word, got)
		}
		if got := parse(t, "limits: "+word).Limits == "on"; got != want {
			t.Errorf("limits: %s is %v", word, got)
		}
		if got := parse(t, "", "--verify-email="+word).VerifyEmail; got != want {
			t.Errorf("--verify-email=%s is %v", word, got)
		}
		t.Setenv("LATCHKEY_VERIFY_EMAIL", word)
		if got := parse(t, "").VerifyEmail; got != want {
			t.Errorf("LATCHKEY_VERIFY_EMAIL=%s is %v", word, got)
		}
		os.Unsetenv("LATCHKEY_VERIFY_EMAIL")
		config, err := parseConfig([]byte("routes:\n  - {route: GET /x, public: " + strings.ToLower(word) + ", to: publicEndpoint}\n"))
		if err != nil || config.routes[0].Public != want {
			t.Errorf("public: %s is %+v, %v", word, config.routes, err)
		}
	}
	t.Setenv("LATCHKEY_VERIFY_EMAIL", "maybe")
	if code, said := command(t, ":memory:", "", "serve"); code != 2 || !strings.Contains(said, `must be true or false but got "maybe"`) {
		t.Errorf("status %d: %s", code, said)
	}
}

// TestSigningAlgorithmOfAnotherKey: the setting is for new keys, and says so where
// it does nothing.
func TestSigningAlgorithmOfAnotherKey(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	const warning = "latchkey keys rotate --signing-alg RS256"
	for _, c := range []struct {
		args  []string
		warns bool
	}{
		{[]string{"init"}, false}, // makes ES256
		{[]string{"init", "--signing-alg", "ES256"}, false},
		{[]string{"init", "--signing-alg", "RS256"}, true},
		{[]string{"keys", "rotate", "--signing-alg", "RS256"}, false},
		{[]string{"init", "--signing-alg", "RS256"}, false}, // it signs soon
		{[]string{"init"}, false},                           // nobody asks for ES256
	} {
		if said := must(t, dir, "", c.args...); strings.Contains(said, warning) != c.warns {
			t.Errorf("%v: warns is not %v: %s", c.args, c.warns, said)
		}
	}
	local := filepath.Join(t.TempDir(), "local")
	must(t, local, "{}", "invoke", "publicEndpoint")
	if said := must(t, local, "{}", "invoke", "publicEndpoint", "--signing-alg", "RS256"); !strings.Contains(said, warning) {
		t.Errorf("invoke does not warn: %s", said)
	}
	production := filepath.Join(t.TempDir(), "production")
	must(t, production, "", "init")
	p := startProgram(t, t.TempDir(), []string{"LATCHKEY_SIGNING_ALG=RS256"}, "serve", "--addr", "127.0.0.1:0", "--data", production)
	p.stop()
	if !strings.Contains(p.log.String(), warning) {
		t.Errorf("serve does not warn: %s", p.log.String())
	}
}
