package main

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/latchkey-auth/latchkey/internal/servetest"
)

const testSecret = "mZ4-qT7_wX2.bN9~kR5vY8pL1cF6hJ3dS0gA"

// buildBootstraps builds all programs as `make lambda` does, for this machine.
var buildBootstraps = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "latchkey-bootstraps-")
	if err != nil {
		return "", err
	}
	bootstraps = dir
	program, err := servetest.Build()
	if err == nil {
		err = os.Link(program, filepath.Join(dir, "latchkey"))
	}
	if err != nil {
		return "", err
	}
	for name, tags := range map[string]string{"authorizer": "", "authorizer-remote": "remote"} {
		cmd := exec.Command("go", "build", "-trimpath", "-tags", tags, "-ldflags", "-s -w", "-o", filepath.Join(dir, name), "../"+strings.TrimSuffix(name, "-remote"))
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			return "", fmt.Errorf("building %s: %w\n%s", name, err, out)
		}
	}
	return dir, nil
})

// bootstraps is where they are, for TestMain to remove.
var bootstraps string

// answer is what a bootstrap posted for an event.
type answer struct {
	path string // below /2018-06-01/runtime/
	body []byte
}

// runtimeAPI is Lambda's side: it hands out events and takes answers.
type runtimeAPI struct {
	*httptest.Server
	events  chan []byte
	answers chan answer
	asked   chan struct{} // one for each request for an event
	ended   chan error    // of the bootstrap
	log     *os.File
}

// startBootstrap starts a bootstrap under a Runtime API, in dir.
func startBootstrap(t *testing.T, name, dir string, env ...string) *runtimeAPI {
	t.Helper()
	bin, err := buildBootstraps()
	if err != nil {
		t.Fatal(err)
	}
	api := &runtimeAPI{events: make(chan []byte), answers: make(chan answer, 1), asked: make(chan struct{}, 1024), ended: make(chan error, 1)}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /2018-06-01/runtime/invocation/next", func(w http.ResponseWriter, r *http.Request) {
		api.asked <- struct{}{}
		select {
		case event := <-api.events:
			w.Header().Set("Lambda-Runtime-Aws-Request-Id", "8476a536-e9f4-11e8-9739-2dfe598c3fcd")
			w.Header().Set("Lambda-Runtime-Deadline-Ms", fmt.Sprint(time.Now().Add(time.Minute).UnixMilli()))
			w.Header().Set("Lambda-Runtime-Invoked-Function-Arn", "arn:aws:lambda:us-east-1:123456789012:function:"+name)
			w.Write(event)
		case <-r.Context().Done():
		}
	})
	mux.HandleFunc("POST /2018-06-01/runtime/", func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.WriteHeader(http.StatusAccepted)
		api.answers <- answer{strings.TrimPrefix(r.URL.Path, "/2018-06-01/runtime/"), body}
	})
	api.Server = httptest.NewServer(mux)
	if api.log, err = os.CreateTemp(t.TempDir(), "log"); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(filepath.Join(bin, name))
	cmd.Dir, cmd.Stderr = dir, api.log
	cmd.Env = append(env, "AWS_LAMBDA_RUNTIME_API="+strings.TrimPrefix(api.URL, "http://"), "PATH="+os.Getenv("PATH"))
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { api.ended <- cmd.Wait() }()
	t.Cleanup(func() {
		cmd.Process.Kill()
		api.CloseClientConnections()
		api.Close()
		api.log.Close()
	})
	return api
}

// invoke hands out one event and returns the answer.
func (api *runtimeAPI) invoke(t *testing.T, event string) answer {
	t.Helper()
	select {
	case api.events <- []byte(event):
	case a := <-api.answers:
		t.Fatalf("the bootstrap did not start: %s %s", a.path, a.body)
	case <-time.After(startTimeout):
		t.Fatal("the bootstrap did not ask for an event")
	}
	select {
	case a := <-api.answers:
		return a
	case <-time.After(startTimeout):
		t.Fatal("the bootstrap did not answer")
	}
	return answer{}
}

// initError waits for the bootstrap to say why it cannot start.
func (api *runtimeAPI) initError(t *testing.T) string {
	t.Helper()
	select {
	case a := <-api.answers:
		if a.path != "init/error" {
			t.Fatalf("the bootstrap posted to %s: %s", a.path, a.body)
		}
		if err := <-api.ended; err == nil {
			t.Error("the bootstrap ended with status 0")
		}
		return string(a.body)
	case <-time.After(startTimeout):
		t.Fatal("the bootstrap did not report an error")
	}
	return ""
}

const (
	responsePath = "invocation/8476a536-e9f4-11e8-9739-2dfe598c3fcd/response"
	errorPath    = "invocation/8476a536-e9f4-11e8-9739-2dfe598c3fcd/error"
)

// TestAuthOnLambda: the service behind a function URL, and a load balancer with a
// base path.
func TestAuthOnLambda(t *testing.T) {
	api := startBootstrap(t, "latchkey", t.TempDir(), "_HANDLER=auth", "LATCHKEY_DATA=data", "LATCHKEY_PUBLIC_URL=https://auth.example.com",
		"LATCHKEY_BASE_PATH=/auth", "LATCHKEY_ARGON2=m=8,t=1,p=1")
	// A request for /me with a login's body is no login.
	got := api.invoke(t, `{"version":"2.0","routeKey":"$default","rawPath":"/me","rawQueryString":"","headers":{"content-type":"application/json"},
		"requestContext":{"http":{"method":"DELETE","path":"/me","sourceIp":"203.0.113.9"},"requestId":"r-1","stage":"$default"},
		"body":"{\"username\":\"francesco\",\"password\":\"password\"}","isBase64Encoded":false}`)
	if got.path != responsePath || member(t, got.body, "statusCode") != "401" || !strings.Contains(member(t, got.body, "body"), "unauthorized") {
		t.Errorf("DELETE /me: %s %s", got.path, got.body)
	}
	got = api.invoke(t, `{"version":"2.0","routeKey":"GET /.well-known/jwks.json","rawPath":"/auth/.well-known/jwks.json","rawQueryString":"a=1",
		"requestContext":{"http":{"method":"GET","sourceIp":"203.0.113.9"},"stage":"$default"}}`)
	if got.path != responsePath || member(t, got.body, "statusCode") != "200" || !strings.Contains(member(t, got.body, "body"), `"keys"`) {
		t.Errorf("the key set: %s %s", got.path, got.body)
	}
	const balancer = `{"requestContext":{"elb":{"targetGroupArn":"arn"}},"httpMethod":"GET","path":"/auth/readyz","multiValueHeaders":{"x-forwarded-for":["203.0.113.9"]},"body":""}`
	for range 2 {
		got = api.invoke(t, balancer)
		if got.path != responsePath || member(t, got.body, "statusDescription") != "200 OK" || member(t, got.body, "headers") != "<nil>" {
			t.Errorf("the load balancer: %s %s", got.path, got.body)
		}
	}
	got = api.invoke(t, `{"Records":[{"eventSource":"aws:sqs","body":"{}"}]}`)
	if got.path != errorPath || !strings.Contains(string(got.body), "an SQS event") {
		t.Errorf("messages: %s %s", got.path, got.body)
	}
	log, err := os.ReadFile(api.log.Name())
	if err != nil {
		t.Fatal(err)
	}
	if n := bytes.Count(log, []byte("LATCHKEY_TRUSTED_PROXIES")); n != 1 {
		t.Errorf("the log names the number of hops %d times, want once: %s", n, log)
	}
}

// TestTokensOfAuthOnLambda: what they tell is said by the file in the zip, or by variables.
func TestTokensOfAuthOnLambda(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	must(t, data, "", "init")
	must(t, data, "correct horse battery\n", "users", "add", "ada", "--scope", "self", "--role", "clerk", "--attr", "tenant=ulm", "--password-stdin")
	zip := t.TempDir()
	const file = "roles:\n  clerk: [orders:read]\ntoken:\n  claims:\n    tenant: attributes.tenant\n"
	if err := os.WriteFile(filepath.Join(zip, "latchkey.yaml"), []byte(file), 0o644); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		dir string
		env []string
	}{
		"the file":      {zip, nil},
		"the variables": {t.TempDir(), []string{`LATCHKEY_ROLES={"clerk":["orders:read"]}`, `LATCHKEY_TOKEN_CLAIMS={"tenant":"attributes.tenant"}`}},
	} {
		t.Run(name, func(t *testing.T) {
			env := append(c.env, "_HANDLER=auth", "LATCHKEY_DATA="+data, "LATCHKEY_PUBLIC_URL=https://auth.example.com")
			got := startBootstrap(t, "latchkey", c.dir, env...).invoke(t, `{"body":"{\"username\":\"ada\",\"password\":\"correct horse battery\"}"}`)
			parts := strings.Split(member(t, []byte(member(t, got.body, "body")), "token"), ".")
			if len(parts) != 3 {
				t.Fatalf("%s %s", got.path, got.body)
			}
			claims, err := base64.RawURLEncoding.DecodeString(parts[1])
			if err != nil || member(t, claims, "scope") != "self orders:read" || member(t, claims, "tenant") != "ulm" {
				t.Errorf("claims %s, %v", claims, err)
			}
		})
	}
}

const testRoutes = `{"version":1,"routes":[
	{"route":"GET /publicEndpoint","public":true,"to":"publicEndpoint"},
	{"route":"GET /privateEndpoint","to":"privateEndpoint"},
	{"route":"GET /orders/{id}","scopes":["orders:read"],"to":"orders"}]}`

func authorizerEvent(token string) string {
	return fmt.Sprintf(`{"type":"TOKEN","authorizationToken":"Bearer %s","methodArn":"arn:aws:execute-api:eu-central-1:123456789012:abcdef1234/prod/GET/other"}`, token)
}

// member returns a member of a JSON object.
func member(t testing.TB, doc []byte, name string) string {
	t.Helper()
	var m map[string]any
	if err := json.Unmarshal(doc, &m); err != nil {
		t.Fatalf("%v in %s", err, doc)
	}
	return fmt.Sprint(m[name])
}

// TestAuthorizerOnLambda runs both bootstraps that can be the authorizer.
func TestAuthorizerOnLambda(t *testing.T) {
	for _, name := range []string{"authorizer", "latchkey"} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			write(t, dir, "routes.json", testRoutes)
			api := startBootstrap(t, name, dir, "_HANDLER=authorizer", "TOKEN_SECRET="+testSecret)
			token := mintLegacy(testSecret, `"orders:read"`, time.Hour)
			got := api.invoke(t, authorizerEvent(token))
			if got.path != responsePath || member(t, got.body, "principalId") != "543234" {
				t.Fatalf("the authorizer posted to %s: %s", got.path, got.body)
			}
			for _, resource := range []string{"GET/privateEndpoint", "GET/orders/*"} {
				if want := `"arn:aws:execute-api:eu-central-1:123456789012:abcdef1234/prod/` + resource + `"`; !bytes.Contains(got.body, []byte(want)) {
					t.Errorf("the policy lacks %s: %s", want, got.body)
				}
			}
			// The process lives on after a refusal.
			got = api.invoke(t, authorizerEvent(token+"A"))
			if got.path != errorPath || member(t, got.body, "errorMessage") != "Unauthorized" {
				t.Fatalf("the authorizer posted to %s: %s", got.path, got.body)
			}
			got = api.invoke(t, authorizerEvent(token))
			if got.path != responsePath {
				t.Fatalf("the authorizer posted to %s: %s", got.path, got.body)
			}
			log, err := os.ReadFile(api.log.Name())
			if err != nil {
				t.Fatal(err)
			}
			if bytes.Contains(log, []byte("eyJ")) {
				t.Errorf("the log holds a token: %s", log)
			}
			if !bytes.Contains(log, []byte(`"request_id":"8476a536-e9f4-11e8-9739-2dfe598c3fcd"`)) {
				t.Errorf("the log lacks the request id: %s", log)
			}
		})
	}
}

// kindSettings are settings of each kind of event.
var kindSettings = []string{"TOKEN_SECRET=" + testSecret, "LATCHKEY_HTTP_API_RESPONSES=simple-per-route",
	"LATCHKEY_CONTEXT_CLAIMS=sub", "LATCHKEY_APPSYNC_FIELDS=Query.audit=admin", "LATCHKEY_LOG_LEVEL=error"}

// answersOfEveryKind are, by the names of the documented events, what answers hold.
var answersOfEveryKind = map[string]string{
	"rest-token":           `prod/GET/privateEndpoint"]}]},"context":{"sub":"543234"}}`,
	"rest-token-console":   `ESTestInvoke-stage/GET/privateEndpoint"]}]},"context":{"sub":"543234"}}`,
	"rest-request":         `prod/GET/privateEndpoint"]}]},"context":{"sub":"543234"}}`,
	"rest-request-console": `ESTestInvoke-stage/GET/privateEndpoint"]}]},"context":{"sub":"543234"}}`,
	"websocket-connect":    `"Resource":["arn:aws:execute-api:eu-west-1:111122223333:w5x6y7z8a9/default/$connect"]}]},"context":{"sub":"543234"}}`,
	"http-api-1.0":         `test/GET/privateEndpoint"]}]},"context":{"sub":"543234"}}`,
	"http-api-2.0":         `{"isAuthorized":true,"context":{"sub":"543234"}}`,
	"appsync":              `{"isAuthorized":true,"resolverContext":{"sub":"543234"},"deniedFields":["Query.audit"]}`,
	"load-balancer":        "Application Load Balancer",
	"lattice-2.0":          "VPC Lattice",
}

// documentedEvent is an event as AWS documents it, with a token.
func documentedEvent(t *testing.T, name, token string) string {
	t.Helper()
	doc, err := os.ReadFile(filepath.Join("..", "..", "internal", "gateway", "testdata", "events", name+".json"))
	if err != nil {
		t.Fatal(err)
	}
	return strings.ReplaceAll(string(doc), "{{token}}", token)
}

// TestAuthorizerOnLambdaAnswersEveryKind: the documented events, through the lean
// bootstrap and with settings of each kind.
func TestAuthorizerOnLambdaAnswersEveryKind(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "routes.json", testRoutes)
	api := startBootstrap(t, "authorizer", dir, kindSettings...)
	token := mintLegacy(testSecret, `"orders:read"`, time.Hour)
	for file, want := range answersOfEveryKind {
		got := api.invoke(t, documentedEvent(t, file, token))
		isError := file == "load-balancer" || file == "lattice-2.0"
		if (got.path == errorPath) != isError || !strings.Contains(string(got.body), want) {
			t.Errorf("%s: posted to %s: %s, want %s", file, got.path, got.body, want)
		}
	}
}

// TestBootstrapsAskForSeveralInvocationsAtOnce: on Lambda Managed Instances one
// process answers several.
func TestBootstrapsAskForSeveralInvocationsAtOnce(t *testing.T) {
	for _, name := range []string{"authorizer", "latchkey"} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			write(t, dir, "routes.json", testRoutes)
			api := startBootstrap(t, name, dir, "_HANDLER=authorizer", "TOKEN_SECRET="+testSecret, "AWS_LAMBDA_MAX_CONCURRENCY=3")
			for range 3 {
				select {
				case <-api.asked:
				case a := <-api.answers:
					t.Fatalf("the bootstrap did not start: %s %s", a.path, a.body)
				case <-time.After(startTimeout):
					t.Fatal("fewer than 3 requests for an event are open")
				}
			}
			if got := api.invoke(t, authorizerEvent(mintLegacy(testSecret, `"orders:read"`, time.Hour))); got.path != responsePath {
				t.Errorf("posted to %s: %s", got.path, got.body)
			}
		})
	}
}

// TestAuthorizerVerifiesWhatServeSigns takes the way of a deployment: keys
// exported into the zip, tokens from the service.
func TestAuthorizerVerifiesWhatServeSigns(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "routes.json", testRoutes)
	env := []string{"LATCHKEY_ISSUER=https://auth.example.com", "LATCHKEY_DATA=" + filepath.Join(dir, "data"), "LATCHKEY_ARGON2=m=64,t=1,p=1"}
	service := startBootstrap(t, "latchkey", dir, append(env, "_HANDLER=login")...)
	service.invoke(t, `{"body":"{}"}`) // creates database and keys
	runLatchkey(t, dir, env, "correct horse battery", "users", "add", "--username", "ada", "--password-stdin")
	write(t, dir, "jwks.json", runLatchkey(t, dir, env, "", "keys", "export"))
	got := service.invoke(t, `{"body":"{\"username\":\"ada\",\"password\":\"correct horse battery\"}"}`)
	if member(t, got.body, "statusCode") != "200" {
		t.Fatalf("login answered %s", got.body)
	}
	token := member(t, []byte(member(t, got.body, "body")), "token")
	api := startBootstrap(t, "authorizer", dir, "LATCHKEY_JWKS_FILE=jwks.json", "LATCHKEY_ISSUER=https://auth.example.com")
	if got := api.invoke(t, authorizerEvent(token)); got.path != responsePath {
		t.Errorf("the authorizer posted to %s: %s", got.path, got.body)
	}
	if got := api.invoke(t, authorizerEvent(token[:len(token)-4])); got.path != errorPath {
		t.Errorf("the authorizer posted to %s: %s", got.path, got.body)
	}
}

func TestEndpointsOnLambda(t *testing.T) {
	for handler, message := range map[string]string{
		"publicEndpoint":  "Welcome to our Public API!",
		"privateEndpoint": "Only logged in users can see this",
	} {
		api := startBootstrap(t, "latchkey", t.TempDir(), "_HANDLER="+handler)
		got := api.invoke(t, `{"headers":{"authorization":"Bearer abc"}}`)
		body := member(t, got.body, "body")
		if !strings.Contains(body, message) || !strings.Contains(body, `"awsRequestId":"8476a536-e9f4-11e8-9739-2dfe598c3fcd"`) ||
			strings.Contains(body, "Bearer abc") {
			t.Errorf("%s answered %s", handler, got.body)
		}
	}
}

func TestBootstrapsSayWhyTheyCannotStart(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "routes.json", testRoutes)
	published := `TOKEN_SECRET=D5\x12\x03\xaa\xe6\x97\xe6\x1b\x9cjT~\x0c\x1f\xffg\xe1O\xef\xbeL\xc6\n`
	for _, c := range []struct {
		name, bootstrap string
		env             []string
		want            string
	}{
		{"no keys", "authorizer", nil, "LATCHKEY_JWKS"},
		{"a published secret", "authorizer", []string{published}, "has been published"},
		{"a published secret, full program", "latchkey", []string{"_HANDLER=authorizer", published}, "has been published"},
		{"a published secret for auth", "latchkey", []string{"_HANDLER=auth", published, "LATCHKEY_DATA=:memory:"}, "has been published"},
		{"no number of loops", "authorizer", []string{"TOKEN_SECRET=" + testSecret, "AWS_LAMBDA_MAX_CONCURRENCY=0"}, "AWS_LAMBDA_MAX_CONCURRENCY"},
		{"no route table", "authorizer", []string{"TOKEN_SECRET=" + testSecret, "LATCHKEY_ROUTES_FILE=missing.json"}, "latchkey routes compile"},
		{"a token source that is none", "authorizer", []string{"TOKEN_SECRET=" + testSecret, "LATCHKEY_TOKEN_SOURCES=Authorization"}, "LATCHKEY_TOKEN_SOURCES"},
		{"revocations without a network", "authorizer", []string{"TOKEN_SECRET=" + testSecret, "LATCHKEY_REVOCATION_SOURCE=https://auth.example.com/revocations"}, "authorizer-remote"},
		{"a source that is none", "authorizer-remote", []string{"TOKEN_SECRET=" + testSecret, "LATCHKEY_REVOCATION_SOURCE=auth.example.com"}, "LATCHKEY_REVOCATION_SOURCE"},
		{"a source without a key", "authorizer-remote", []string{"TOKEN_SECRET=" + testSecret, "LATCHKEY_REVOCATION_SOURCE=https://auth.example.com/revocations"}, "32 bytes"},
		{"an interval that is none", "authorizer-remote", []string{"TOKEN_SECRET=" + testSecret, "LATCHKEY_REVOCATION_SOURCE=dynamodb://t?region=eu-west-1", "LATCHKEY_REVOCATION_INTERVAL=soon"}, "LATCHKEY_REVOCATION_INTERVAL"},
		{"a mode without a source", "authorizer-remote", []string{"TOKEN_SECRET=" + testSecret, "LATCHKEY_REVOCATION_MODE=strict"}, "LATCHKEY_REVOCATION_SOURCE"},
		{"a mode that is none", "authorizer-remote", []string{"TOKEN_SECRET=" + testSecret, "LATCHKEY_REVOCATION_MODE=on", "LATCHKEY_REVOCATION_SOURCE=dynamodb://t?region=eu-west-1", "AWS_ACCESS_KEY_ID=a", "AWS_SECRET_ACCESS_KEY=b"}, "off, feed or strict"},
		{"an unknown handler", "latchkey", []string{"_HANDLER=bootstrap"}, "set it to auth"},
		{"maintain on a store that is not there", "latchkey", []string{"_HANDLER=maintain", "LATCHKEY_DATA=nowhere", "LATCHKEY_PUBLIC_URL=https://auth.example.com"}, "latchkey init"},
		{"auth without a data directory", "latchkey", []string{"_HANDLER=auth", "TOKEN_SECRET=" + testSecret}, "LATCHKEY_DATA"},
		{"auth with half a base path", "latchkey", []string{"_HANDLER=auth", "LATCHKEY_DATA=:memory:", "LATCHKEY_PUBLIC_URL=https://auth.example.com", "LATCHKEY_BASE_PATH=auth"}, "LATCHKEY_BASE_PATH"},
		{"auth without a public URL", "latchkey", []string{"_HANDLER=auth", "LATCHKEY_DATA=:memory:"}, "LATCHKEY_PUBLIC_URL"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := startBootstrap(t, c.bootstrap, dir, c.env...).initError(t); !strings.Contains(got, c.want) {
				t.Errorf("the bootstrap says %s, want it to name %q", got, c.want)
			}
		})
	}
}

func write(t testing.TB, dir, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// runLatchkey runs the built program as a command and returns its output.
func runLatchkey(t testing.TB, dir string, env []string, stdin string, args ...string) string {
	t.Helper()
	bin, err := buildBootstraps()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(filepath.Join(bin, "latchkey"), args...)
	cmd.Dir, cmd.Env, cmd.Stdin = dir, env, strings.NewReader(stdin)
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("latchkey %v: %v", args, err)
	}
	return string(out)
}

// held is how long the bootstrap goes on after it has answered the event, until it asks for
// the next one.
func (api *runtimeAPI) held(t *testing.T, event string) (answer, time.Duration) {
	t.Helper()
	wait := func() {
		select {
		case <-api.asked:
		case <-time.After(startTimeout):
			t.Fatal("the bootstrap did not ask for an event")
		}
	}
	wait()
	got := api.invoke(t, event)
	answered := time.Now()
	wait()
	api.asked <- struct{}{} // for the event that follows
	return got, time.Since(answered)
}

func postEvent(path, body string) string {
	return fmt.Sprintf(`{"httpMethod":"POST","path":%q,"headers":{"Content-Type":"application/json"},"body":%q}`, path, body)
}

// TestMailOnLambda: a mail goes out in the invocation that has queued it, after the answer.
// An invocation that could have queued one is held for as long: requests that come in
// between go to other environments, by which a client could tell.
func TestMailOnLambda(t *testing.T) {
	mails := startSink(t)
	api := startBootstrap(t, "latchkey", t.TempDir(), "_HANDLER=auth", "LATCHKEY_DATA=data", "LATCHKEY_PUBLIC_URL=https://auth.example.com",
		"LATCHKEY_MAIL_URL="+mails.url, "LATCHKEY_MAIL_FROM=mail@example.com", "LATCHKEY_REGISTRATION=open", "LATCHKEY_ARGON2=m=8,t=1,p=1")
	got, held := api.held(t, postEvent("/register", `{"email":"ada@example.com","password":"correct horse battery"}`))
	if got.path != responsePath || member(t, got.body, "statusCode") != "202" {
		t.Fatalf("register posted to %s: %s", got.path, got.body)
	}
	if content, ok := mails.content("Confirm your address", "ada@example.com"); !ok || !strings.Contains(content, "https://auth.example.com/verify?token=") {
		t.Errorf("got mail %q", content)
	}
	// A second, less what the clock of the API's goroutine loses.
	const least = 900 * time.Millisecond
	if held < least {
		t.Errorf("held for %s with a mail", held)
	}
	got, held = api.held(t, postEvent("/password/forgot", `{"email":"nobody@example.com"}`))
	if member(t, got.body, "statusCode") != "202" || held < least {
		t.Errorf("held for %s where there is no mail, after %s", held, got.body)
	}
	got, held = api.held(t, `{"httpMethod":"GET","path":"/livez","headers":{}}`)
	if member(t, got.body, "statusCode") != "200" || held >= least {
		t.Errorf("held for %s where there can be no mail, after %s", held, got.body)
	}
}

// TestMaintainOnLambda: mail that others have queued is delivered by the handler maintain
// for any event, by the auth function when a schedule calls it, and by the command.
func TestMaintainOnLambda(t *testing.T) {
	mails := startSink(t)
	dir := t.TempDir()
	env := []string{"LATCHKEY_DATA=" + filepath.Join(dir, "data"), "LATCHKEY_PUBLIC_URL=https://auth.example.com", "LATCHKEY_MAIL_URL=" + mails.url, "LATCHKEY_MAIL_FROM=mail@example.com", "LATCHKEY_ARGON2=m=8,t=1,p=1"}
	runLatchkey(t, dir, env, "", "init")
	maintain := startBootstrap(t, "latchkey", dir, append(env, "_HANDLER=maintain")...)
	auth := startBootstrap(t, "latchkey", dir, append(env, "_HANDLER=auth")...)
	for address, deliver := range map[string]func(){
		"ada@example.com": func() {
			if got := maintain.invoke(t, `{}`); got.path != responsePath || string(got.body) != "null" {
				t.Errorf("maintain: %s %s", got.path, got.body)
			}
		},
		"grace@example.com": func() {
			got := auth.invoke(t, `{"version":"0","detail-type":"Scheduled Event","source":"aws.events","detail":{}}`)
			if got.path != responsePath || string(got.body) != "null" {
				t.Errorf("the schedule's event: %s %s", got.path, got.body)
			}
		},
		"alan@example.com": func() { runLatchkey(t, dir, env, "", "maintain") },
	} {
		runLatchkey(t, dir, env, "", "users", "invite", address)
		if mails.has(address) {
			t.Fatalf("%s has a mail before anybody delivers", address)
		}
		deliver()
		if content, ok := mails.content("Your account", address); !ok {
			t.Errorf("%s: got mail %q", address, content)
		}
	}
}
