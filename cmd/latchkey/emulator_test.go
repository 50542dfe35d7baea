package main

import (
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/latchkey-auth/latchkey/internal/gateway"
)

// runtimeEmulator is AWS's Runtime Interface Emulator, which .ci/run installs.
func runtimeEmulator(t *testing.T) string {
	t.Helper()
	gopath, _ := exec.Command("go", "env", "GOPATH").Output()
	for _, name := range []string{"aws-lambda-rie", filepath.Join(strings.TrimSpace(string(gopath)), "bin", "aws-lambda-rie")} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	if os.Getenv("CI") == "true" {
		t.Fatal("aws-lambda-rie is not installed")
	}
	t.Skip("aws-lambda-rie is not installed: go install github.com/aws/aws-lambda-runtime-interface-emulator/cmd/aws-lambda-rie@latest")
	return ""
}

// TestRuntimeInterfaceEmulator: the documented events, through AWS's own emulator of the
// Runtime API.
func TestRuntimeInterfaceEmulator(t *testing.T) {
	emulator := runtimeEmulator(t)
	bin, err := buildBootstraps()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	write(t, dir, "routes.json", testRoutes)
	front, runtime := freePort(t), freePort(t)
	cmd := exec.Command(emulator, "--runtime-interface-emulator-address", front, "--runtime-api-address", runtime, filepath.Join(bin, "authorizer"))
	cmd.Dir, cmd.Env = dir, append(kindSettings, "PATH="+os.Getenv("PATH"))
	log, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
		log.Close()
		if t.Failed() {
			lines, _ := os.ReadFile(log.Name())
			t.Logf("the emulator says: %s", lines)
		}
	})
	token := mintLegacy(testSecret, `"orders:read"`, time.Hour)
	for file, want := range answersOfEveryKind {
		got := invokeEmulator(t, front, documentedEvent(t, file, token))
		if !strings.Contains(got, want) {
			t.Errorf("%s: %s, want %s", file, got, want)
		}
	}
	if got := invokeEmulator(t, front, documentedEvent(t, "rest-token", token+"A")); !strings.Contains(got, `"errorMessage":"Unauthorized"`) {
		t.Errorf("a bad token: %s", got)
	}
}

// freePort is an address of this machine at which nothing listens.
func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// invokeEmulator asks for an answer, from when on the emulator listens.
func invokeEmulator(t *testing.T, address, event string) string {
	t.Helper()
	for end := time.Now().Add(startTimeout); ; time.Sleep(20 * time.Millisecond) {
		res, err := http.Post("http://"+address+"/2015-03-31/functions/function/invocations", "application/json", strings.NewReader(event))
		if err == nil {
			defer res.Body.Close()
			body, err := io.ReadAll(res.Body)
			if err != nil {
				t.Fatal(err)
			}
			return string(body)
		}
		if time.Now().After(end) {
			t.Fatal(err)
		}
	}
}

// TestOneAnswerServesEveryRoute: API Gateway caches the answer that the bootstrap gives
// for one route and judges the others by it. A principal with both rights is allowed both,
// in either order; one with a single right gets 403 at the other.
func TestOneAnswerServesEveryRoute(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "routes.json", `{"version":1,"routes":[{"route":"GET /a","scopes":["a"],"to":"a"},{"route":"GET /b/{id}","scopes":["b"],"to":"b"}]}`)
	api := startBootstrap(t, "authorizer", dir, "TOKEN_SECRET="+testSecret, "LATCHKEY_LOG_LEVEL=error")
	const stage = "arn:aws:execute-api:eu-central-1:123456789012:abcdef1234/prod/"
	for scope, want := range map[string]map[string]bool{
		"a b": {"GET/a": true, "GET/b/1": true},
		"a":   {"GET/a": true, "GET/b/1": false},
		"b":   {"GET/a": false, "GET/b/1": true},
		"":    {"GET/a": false, "GET/b/1": false},
	} {
		token := mintLegacy(testSecret, `"`+scope+`"`, time.Hour)
		for asked := range want {
			event := strings.Replace(authorizerEvent(token), "GET/other", asked, 1)
			var answer struct{ PolicyDocument json.RawMessage }
			if err := json.Unmarshal(api.invoke(t, event).body, &answer); err != nil {
				t.Fatal(err)
			}
			policy, err := gateway.ParsePolicy(answer.PolicyDocument)
			if err != nil {
				t.Fatal(err)
			}
			for called, allowed := range want {
				if got := policy.Evaluate("execute-api:Invoke", stage+called) == gateway.Allow; got != allowed {
					t.Errorf("scope %q, asked about %s: %s is allowed: %v", scope, asked, called, got)
				}
			}
		}
	}
}
