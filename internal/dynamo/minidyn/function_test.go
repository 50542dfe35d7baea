package minidyn_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"mime/quotedprintable"
	"net/http"
	"net/http/httptest"
	netmail "net/mail"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/latchkey-auth/latchkey/internal/awstest"
)

// A function is the bootstrap under a Runtime API.
type function struct {
	events  chan string
	answers chan posted
}

type posted struct{ path, body string }

// startFunction builds the bootstrap as `make lambda` does and starts it as auth.
func startFunction(t *testing.T, env ...string) *function {
	t.Helper()
	root, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/latchkey-auth/latchkey").Output()
	if err != nil {
		t.Fatal(err)
	}
	bootstrap := filepath.Join(t.TempDir(), "bootstrap")
	build := exec.Command("go", "build", "-tags", "nosqlite", "-trimpath", "-ldflags", "-s -w", "-o", bootstrap, "./cmd/latchkey")
	build.Dir, build.Env = strings.TrimSpace(string(root)), append(os.Environ(), "CGO_ENABLED=0")
	if said, err := build.CombinedOutput(); err != nil {
		t.Fatalf("building the bootstrap: %v: %s", err, said)
	}
	f := &function{make(chan string), make(chan posted, 1)}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /2018-06-01/runtime/invocation/next", func(w http.ResponseWriter, r *http.Request) {
		select {
		case event := <-f.events:
			w.Header().Set("Lambda-Runtime-Aws-Request-Id", "8476a536-e9f4-11e8-9739-2dfe598c3fcd")
			w.Header().Set("Lambda-Runtime-Deadline-Ms", fmt.Sprint(time.Now().Add(time.Minute).UnixMilli()))
			io.WriteString(w, event)
		case <-r.Context().Done():
		}
	})
	mux.HandleFunc("POST /2018-06-01/runtime/", func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.WriteHeader(http.StatusAccepted)
		f.answers <- posted{r.URL.Path, string(body)}
	})
	api := httptest.NewServer(mux)
	cmd := exec.Command(bootstrap)
	cmd.Dir, cmd.Stderr = t.TempDir(), t.Output()
	cmd.Env = append(env, "AWS_LAMBDA_RUNTIME_API="+strings.TrimPrefix(api.URL, "http://"), "_HANDLER=auth")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
		api.CloseClientConnections()
		api.Close()
	})
	return f
}

// ask sends a request as an HTTP API does, wants a status, and returns the body.
func (f *function) ask(t *testing.T, status int, method, path, token, body string) map[string]any {
	t.Helper()
	headers := map[string]string{"content-type": "application/json"}
	if token != "" {
		headers["authorization"] = "Bearer " + token
	}
	event, err := json.Marshal(map[string]any{
		"version": "2.0", "routeKey": "$default", "rawPath": path, "rawQueryString": "", "headers": headers, "body": body, "isBase64Encoded": false,
		"requestContext": map[string]any{"stage": "$default", "domainName": "api.example.com", "http": map[string]string{"method": method, "path": path, "sourceIp": "192.0.2.7", "protocol": "HTTP/1.1"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	const patience = 30 * time.Second
	var p posted
	select {
	case f.events <- string(event):
	case p = <-f.answers:
		t.Fatalf("the bootstrap did not start: %s %s", p.path, p.body)
	case <-time.After(patience):
		t.Fatal("the bootstrap did not ask for an event")
	}
	select {
	case p = <-f.answers:
	case <-time.After(patience):
		t.Fatal("the bootstrap did not answer")
	}
	var answer struct {
		StatusCode int
		Body       string
	}
	if err := json.Unmarshal([]byte(p.body), &answer); err != nil || answer.StatusCode != status {
		t.Fatalf("%s %s: %s: %s, want status %d", method, path, p.path, p.body, status)
	}
	members := make(map[string]any)
	_ = json.Unmarshal([]byte(answer.Body), &members) // there may be none
	return members
}

var linkInMail = regexp.MustCompile(`\?token=([A-Za-z0-9_.-]+)`)

// tokenOf is that of the link in the newest mail, which has gone out by the time at which the
// function takes another event.
func (f *function) tokenOf(t *testing.T, ses *awstest.Server) string {
	t.Helper()
	f.ask(t, 200, "GET", "/livez", "", "")
	for _, c := range slices.Backward(ses.Calls()) {
		var in struct {
			Content struct{ Raw struct{ Data []byte } }
		}
		if c.Service != "ses" || c.Read(&in) != nil {
			continue
		}
		m, err := netmail.ReadMessage(bytes.NewReader(in.Content.Raw.Data))
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(quotedprintable.NewReader(m.Body))
		if found := linkInMail.FindSubmatch(text); found != nil {
			return string(found[1])
		}
		t.Logf("a mail without a link: %v", err)
	}
	t.Fatal("no mail with a link has gone out")
	return ""
}

// TestFunction walks a person from registration to deletion through the bootstrap as auth, on
// DynamoDB, with the master key in the parameter store, where the function makes it, and mail
// by SES.
func TestFunction(t *testing.T) {
	t.Parallel()
	_, endpoint := emulator(t)
	stored := &awstest.Secrets{}
	answer := func(c awstest.Call) (any, error) {
		if c.Service == "ses" {
			return map[string]string{"MessageId": "1"}, nil
		}
		return stored.Answer(c)
	}
	aws := awstest.New(t, answer)
	f := startFunction(t, append(aws.Env(), "LATCHKEY_STORE=dynamodb://latchkey?endpoint="+url.QueryEscape(endpoint), "LATCHKEY_MASTER_KEY=ssm:/latchkey/master-key",
		"LATCHKEY_MAIL_URL=ses://eu-west-1", "LATCHKEY_MAIL_FROM=mail@example.com", "LATCHKEY_PUBLIC_URL=https://auth.example.com", "LATCHKEY_REGISTRATION=open", "LATCHKEY_ARGON2=m=64,t=1,p=1")...)
	const first, second = "correct horse battery", "another horse battery"
	text := func(members map[string]any, name string) string {
		s, _ := members[name].(string)
		return s
	}
	f.ask(t, 202, "POST", "/register", "", `{"email":"ada@example.com","password":"`+first+`"}`)
	login := `{"username":"ada@example.com","password":"` + first + `"}`
	f.ask(t, 403, "POST", "/login", "", login)
	f.ask(t, 204, "POST", "/email/verify", "", `{"token":"`+f.tokenOf(t, aws)+`"}`)
	tokens := f.ask(t, 200, "POST", "/login", "", login)
	if me := f.ask(t, 200, "GET", "/me", text(tokens, "access_token"), ""); text(me, "email") != "ada@example.com" {
		t.Errorf("/me says %v", me)
	}
	tokens = f.ask(t, 200, "POST", "/token/refresh", "", `{"refresh_token":"`+text(tokens, "refresh_token")+`"}`)
	f.ask(t, 204, "POST", "/logout", text(tokens, "access_token"), "")
	f.ask(t, 401, "GET", "/me", text(tokens, "access_token"), "")
	f.ask(t, 202, "POST", "/password/forgot", "", `{"email":"ada@example.com"}`)
	f.ask(t, 204, "POST", "/password/reset", "", `{"token":"`+f.tokenOf(t, aws)+`","password":"`+second+`"}`)
	f.ask(t, 401, "POST", "/login", "", login)
	tokens = f.ask(t, 200, "POST", "/login", "", `{"username":"ada@example.com","password":"`+second+`"}`)
	f.ask(t, 204, "DELETE", "/me", text(tokens, "access_token"), `{"password":"`+second+`"}`)
	f.ask(t, 401, "POST", "/login", "", `{"username":"ada@example.com","password":"`+second+`"}`)
	if kind, value := stored.Parameter("/latchkey/master-key"); kind != "SecureString" || value == "" {
		t.Errorf("the master key is a %q", kind)
	}
}
