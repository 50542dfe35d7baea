package awslambda_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/latchkey-auth/latchkey/internal/awslambda"
)

// TestSettingsAreWrittenAlone: a setting with a line end, blanks or quotes around
// it is refused by name; with them no token would verify, and nobody would know why.
func TestSettingsAreWrittenAlone(t *testing.T) {
	for _, name := range []string{"TOKEN_SECRET", "LATCHKEY_ISSUER", "LATCHKEY_AUDIENCE", "LATCHKEY_JWKS_FILE", "LATCHKEY_ROUTES_FILE"} {
		for _, value := range []string{"hunter2hunter2hunter2hunter2hunter2\n", "hunter2 ", `"hunter2"`} {
			env := map[string]string{"LATCHKEY_JWKS": `{"keys":[]}`, "LATCHKEY_ISSUER": "https://auth.example.com", name: value}
			_, err := awslambda.Authorizer(func(name string) string { return env[name] }, nil, awslambda.Remote{})
			if err == nil || !strings.HasPrefix(err.Error(), name+" ") || strings.Contains(err.Error(), "hunter2") {
				t.Errorf("%s %q: got %v", name, value, err)
			}
		}
	}
}

// TestFilesOfEveryEditor: a byte order mark before UTF-8 is dropped, UTF-16 is named.
func TestFilesOfEveryEditor(t *testing.T) {
	dir := t.TempDir()
	env := map[string]string{"TOKEN_SECRET": "mLk3vQ8sT1xYz7Rw5Nb2Hc9Jd4Fg6Ke0", "LATCHKEY_ROUTES_FILE": filepath.Join(dir, "routes.json")}
	const routes = `{"version":1,"routes":[{"route":"GET /x","public":true,"to":"x"}]}`
	for text, want := range map[string]string{"\ufeff" + routes: "", "\xff\xfe{\x00}\x00": "routes.json is UTF-16; save it as UTF-8"} {
		if err := os.WriteFile(env["LATCHKEY_ROUTES_FILE"], []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := awslambda.Authorizer(func(name string) string { return env[name] }, nil, awslambda.Remote{})
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%.8q: got %v, want %q", text, err, want)
		}
	}
}
