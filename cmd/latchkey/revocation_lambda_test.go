package main

import (
	"bufio"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

const testRevocationKey = "nB3-vT8_yK1.qW6~xR9sL4pZ7cF2hJ5dG0mA"

// startServe runs the built program as the auth service and returns its address.
func startServe(t *testing.T, env []string) string {
	t.Helper()
	bin, err := buildBootstraps()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(filepath.Join(bin, "latchkey"), "serve", "--addr", "127.0.0.1:0")
	cmd.Env = env
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if at, ok := strings.CutPrefix(lines.Text(), "listening on "); ok {
			return at
		}
	}
	t.Fatal("the service did not listen")
	return ""
}

// postAs sends JSON with a token, and returns the answer's members.
func postAs(t *testing.T, at, token, body string) map[string]any {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), "POST", at, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	doc, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode >= 300 {
		t.Fatalf("%s: %d %s, %v", at, res.StatusCode, doc, err)
	}
	var m map[string]any
	if len(doc) > 0 {
		if err := json.Unmarshal(doc, &m); err != nil {
			t.Fatal(err)
		}
	}
	return m
}

// TestLogoutReachesTheBootstrap: the service, and the bootstraps that read its feed. What
// ends there is "Unauthorized" here within the interval, the one that asked for the
// others' end goes on, and an outage is an error in the end, and no policy.
func TestLogoutReachesTheBootstrap(t *testing.T) {
	for _, name := range []string{"authorizer-remote", "latchkey"} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			write(t, dir, "routes.json", testRoutes)
			env := []string{"LATCHKEY_ISSUER=https://auth.example.com", "LATCHKEY_DATA=" + filepath.Join(dir, "data"), "LATCHKEY_ARGON2=m=64,t=1,p=1",
				"LATCHKEY_REVOCATION_KEY=" + testRevocationKey, "PATH=" + os.Getenv("PATH")}
			runLatchkey(t, dir, env, "", "init")
			runLatchkey(t, dir, env, "correct horse battery", "users", "add", "ada", "--scope", "orders:read", "--password-stdin")
			write(t, dir, "jwks.json", runLatchkey(t, dir, env, "", "keys", "export"))
			service := startServe(t, env)
			target, err := url.Parse(service)
			if err != nil {
				t.Fatal(err)
			}
			var away atomic.Bool
			proxy := httputil.NewSingleHostReverseProxy(target)
			between := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if away.Load() {
					w.WriteHeader(http.StatusBadGateway)
					return
				}
				proxy.ServeHTTP(w, r)
			}))
			defer between.Close()
			login := func() string {
				return postAs(t, service+"/login", "", `{"username":"ada","password":"correct horse battery"}`)["token"].(string)
			}
			begin := func() *runtimeAPI {
				return startBootstrap(t, name, dir, "_HANDLER=authorizer", "LATCHKEY_JWKS_FILE=jwks.json", "LATCHKEY_ISSUER=https://auth.example.com",
					"LATCHKEY_REVOCATION_SOURCE="+between.URL+"/revocations", "LATCHKEY_REVOCATION_KEY="+testRevocationKey,
					"LATCHKEY_REVOCATION_INTERVAL=1s", "LATCHKEY_REVOCATION_MAX_STALE=2s")
			}
			api := begin()
			good := func(saying, token string) {
				t.Helper()
				if got := api.invoke(t, authorizerEvent(token)); got.path != responsePath {
					t.Errorf("%s: posted to %s: %s", saying, got.path, got.body)
				}
			}
			// becomes asks until the answer has the text. A fault of a slow machine on the way
			// is no policy either.
			becomes := func(saying, token, text string) {
				t.Helper()
				var got answer
				for end := time.Now().Add(startTimeout); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
					if got = api.invoke(t, authorizerEvent(token)); strings.Contains(string(got.body), text) {
						return
					}
				}
				t.Errorf("%s: posted to %s: %s, want %s", saying, got.path, got.body, text)
			}
			const unauthorized, policy, fault = `"errorMessage":"Unauthorized"`, `"principalId"`, `"errorMessage":"reading revocations`
			phone, laptop, lost := login(), login(), login()
			for _, token := range []string{phone, laptop, lost} {
				good("before", token)
			}
			postAs(t, service+"/logout", lost, "")
			becomes("logged out", lost, unauthorized)
			good("another session", laptop)
			postAs(t, service+"/logout", phone, `{"scope":"others"}`)
			becomes("one of the others", laptop, unauthorized)
			good("the one that asked", phone)
			runLatchkey(t, dir, env, "", "users", "update", "ada", "--scope", "")
			becomes("a scope was taken away", phone, unauthorized)
			fresh := login()
			good("a new login", fresh)

			away.Store(true)
			becomes("an outage that lasts", fresh, fault)
			away.Store(false)
			becomes("it is over", fresh, policy)
			away.Store(true)
			api = begin()
			becomes("a cold start in an outage", fresh, fault)
			away.Store(false)
			becomes("it is over", fresh, policy)
			if got := api.invoke(t, authorizerEvent(lost)); !strings.Contains(string(got.body), unauthorized) {
				t.Errorf("a cold start, of what ended before: %s", got.body)
			}
			log, err := os.ReadFile(api.log.Name())
			if err != nil || !strings.Contains(string(log), "refused within this time") || strings.Contains(string(log), testRevocationKey) {
				t.Errorf("the log is %s, %v", log, err)
			}
		})
	}
}
