package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/latchkey-auth/latchkey/internal/issuers"
)

// providerVersion is of npm's oidc-provider, a certified OpenID provider.
const providerVersion = "9.13.3"

// unavailable skips on a machine that lacks a part, and fails where it has to be there.
func unavailable(t *testing.T, format string, args ...any) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatalf(format, args...)
	}
	t.Skipf("SKIPPED, an outside issuer is not tried: "+format, args...)
}

// installProvider returns the node_modules that hold it.
func installProvider(t *testing.T) string {
	t.Helper()
	for _, name := range []string{"node", "npm"} {
		if _, err := exec.LookPath(name); err != nil {
			unavailable(t, "%s is not installed", name)
		}
	}
	dir := t.TempDir()
	out, err := exec.Command("npm", "install", "--prefix", dir, "--prefer-offline", "--ignore-scripts", "--no-audit", "--no-fund", "oidc-provider@"+providerVersion).CombinedOutput()
	if err != nil {
		unavailable(t, "npm install oidc-provider: %v\n%s", err, out)
	}
	return filepath.Join(dir, "node_modules")
}

// startProvider runs it with a new key, until the function that it returns is called.
func startProvider(t *testing.T, modules, port string) (stop func()) {
	t.Helper()
	cmd := exec.Command("node", "testdata/provider/provider.mjs", modules, port)
	cmd.Stderr = t.Output()
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	stop = func() {
		cmd.Process.Kill()
		cmd.Wait()
	}
	t.Cleanup(stop)
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if lines.Text() == "listening" {
			return stop
		}
	}
	t.Fatal("the provider did not start")
	return nil
}

// providerToken asks for an access token by client credentials.
func providerToken(t *testing.T, base string) string {
	t.Helper()
	form := url.Values{"grant_type": {"client_credentials"}, "scope": {"orders:read"}, "resource": {"https://api.example.com"}}
	r, err := http.NewRequest("POST", base+"/token", strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.SetBasicAuth("shop", url.QueryEscape("a secret of the tests"))
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	var answer struct {
		AccessToken string `json:"access_token"`
	}
	if err := json.NewDecoder(res.Body).Decode(&answer); err != nil || answer.AccessToken == "" {
		t.Fatalf("the provider answered %s, error %v", res.Status, err)
	}
	return answer.AccessToken
}

// TestTokensOfACertifiedProvider: its access tokens are good at the real bootstrap,
// before and after its key changes, and those of the key before are not good any more.
func TestTokensOfACertifiedProvider(t *testing.T) {
	modules := installProvider(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	base := "http://127.0.0.1:" + port
	stop := startProvider(t, modules, port)
	one := issuers.Issuer{Name: "provider", URL: base, Profile: "rfc9068", Audiences: []string{"https://api.example.com"}, Scopes: []string{"orders:read"}, AllowPrivate: true}
	if one.JWKS, err = snapshot(t.Context(), one); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for name, doc := range map[string][]byte{
		"issuers.json": issuers.JSON([]issuers.Issuer{one}),
		"routes.json":  []byte(`{"version":1,"routes":[{"route":"GET /orders","issuers":["provider"],"scopes":["orders:read"],"to":"f"}]}`),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), doc, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	api := startBootstrap(t, "authorizer-remote", dir)
	allowed := func(token string) bool {
		a := api.invoke(t, fmt.Sprintf(`{"type":"TOKEN","authorizationToken":"Bearer %s","methodArn":"arn:aws:execute-api:us-east-1:123456789012:abcdef1234/prod/GET/orders"}`, token))
		return strings.Contains(string(a.body), `"principalId":"provider|shop"`) && strings.Contains(string(a.body), `/prod/GET/orders"`)
	}
	before := providerToken(t, base)
	if !allowed(before) {
		t.Error("a token of the first key is refused")
	}
	stop()
	startProvider(t, modules, port)
	if !allowed(providerToken(t, base)) {
		t.Error("a token of the next key is refused")
	}
	if allowed(before) {
		t.Error("a token of the key before is allowed still")
	}
}
