package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/latchkey-auth/latchkey/internal/forwardauth"
	"github.com/latchkey-auth/latchkey/internal/servetest"
	"github.com/latchkey-auth/latchkey/internal/web/contract"
)

// TestMain lets scripts run this program as a command of its own.
func TestMain(m *testing.M) {
	if args := os.Getenv(strangersVariable); args != "" {
		runStrangers(args)
		return
	}
	testscript.Main(cleaner{m}, map[string]func(){"latchkey": main, bareServerName: bareServer, loopName: loop})
}

// cleaner removes what tests have built.
type cleaner struct{ *testing.M }

func (c cleaner) Run() int {
	defer func() { os.RemoveAll(bootstraps) }()
	defer servetest.Clean()
	return c.M.Run()
}

// TestScripts runs the program as its users do: see testdata/script.
func TestScripts(t *testing.T) {
	mocks, err := filepath.Abs("../../mocks")
	if err != nil {
		t.Fatal(err)
	}
	built, err := buildBootstraps()
	if err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(env *testscript.Env) error {
			env.Setenv("MOCKS", mocks)
			// Cheap hashes: what they cost is not what scripts are about.
			env.Setenv("LATCHKEY_ARGON2", "m=64,t=1,p=1")
			// Commands, of which scripts run hundreds, are the program as it is built; under
			// the race detector each one would take half a second to start. Servers run
			// under it.
			env.Setenv(testBinary, filepath.SplitList(env.Getenv("PATH"))[0])
			env.Setenv("PATH", built+string(filepath.ListSeparator)+env.Getenv("PATH"))
			env.Setenv("GORACE", "atexit_sleep_ms=20") // not a second for each
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"start": cmdStart, "stop": cmdStop, "http": cmdHTTP, "becomes": cmdBecomes, "member": cmdMember, "legacytoken": cmdLegacyToken,
			"oldrecord": cmdOldRecord, "mode": cmdMode, "mail": cmdMail, "kinds": cmdKinds, "people": cmdPeople, "smtpsink": cmdSMTPSink, "received": cmdReceived, "aws": cmdAWS, "setfrom": cmdSetFrom,
		},
	})
}

// testBinary is the directory of the test binary under its names as programs.
const testBinary = "TEST_BINARY"

// startTimeout is generous: a loaded machine is no failure.
const startTimeout = 30 * time.Second

type background struct {
	cmd     *exec.Cmd
	offline bool // answers for the local gateway too
}

// servers holds the running *background of each *testscript.TestScript.
var servers sync.Map

// cmdStart runs latchkey in the background until it says where it listens, and
// sets $URL to that: start ARG...
func cmdStart(ts *testscript.TestScript, neg bool, args []string) {
	if neg {
		ts.Fatalf("start cannot be negated; use ! exec latchkey")
	}
	bin := filepath.Join(ts.Getenv(testBinary), "latchkey")
	log, err := os.OpenFile(ts.MkAbs("server.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	ts.Check(err)
	cmd := exec.Command(bin, args...)
	cmd.Dir, cmd.Stderr = ts.MkAbs("."), log
	for _, name := range []string{"PATH", "HOME", "TMPDIR", "TOKEN_SECRET", "TOKEN_SECRET_ACCEPT_UNTIL", "LATCHKEY_TOKEN_SOURCES", "LATCHKEY_CONTEXT_CLAIMS", "APP_NAME", "LATCHKEY_ARGON2", "LATCHKEY_DATA", "LATCHKEY_ADDR",
		"LATCHKEY_MASTER_KEY", "LATCHKEY_MAIL_URL", "LATCHKEY_SMTP_URL", "LATCHKEY_CORS_ORIGINS", "LATCHKEY_ISSUER", "LATCHKEY_SIGNING_ALG", "LATCHKEY_REVOCATION_KEY", "GOCOVERDIR", "GORACE"} {
		if v := ts.Getenv(name); v != "" {
			cmd.Env = append(cmd.Env, name+"="+v)
		}
	}
	out, err := cmd.StdoutPipe()
	ts.Check(err)
	ts.Check(cmd.Start())
	b := &background{cmd: cmd, offline: args[0] == "offline"}
	servers.Store(ts, b)
	ts.Defer(func() { cmd.Process.Kill(); log.Close() })
	ready := make(chan string, 1)
	go func() {
		defer close(ready)
		lines := bufio.NewScanner(out)
		for lines.Scan() {
			if url, ok := strings.CutPrefix(lines.Text(), "listening on "); ok {
				ready <- url
			}
		}
	}()
	select {
	case url, ok := <-ready:
		if !ok {
			text, _ := os.ReadFile(log.Name())
			ts.Fatalf("latchkey %v ended before it listened: %s", args, text)
		}
		ts.Setenv("URL", url)
	case <-time.After(startTimeout):
		ts.Fatalf("latchkey %v did not listen within %s", args, startTimeout)
	}
}

// cmdStop ends the program by SIGTERM and wants exit status 0.
func cmdStop(ts *testscript.TestScript, _ bool, _ []string) {
	v, _ := servers.Load(ts)
	b := v.(*background)
	ts.Check(b.cmd.Process.Signal(syscall.SIGTERM))
	if err := b.cmd.Wait(); err != nil {
		ts.Fatalf("latchkey ended with %v", err)
	}
}

// cmdHTTP makes a request and prints status, headers and body:
// http METHOD PATH ['Name: value']... [-d BODY]
func cmdHTTP(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: http METHOD PATH ['Name: value']... [-d BODY]")
	}
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	sent, headers := "", args[2:]
	if i := slices.Index(args, "-d"); i >= 0 {
		sent, headers = args[i+1], args[2:i]
	}
	r, err := http.NewRequestWithContext(ctx, args[0], ts.Getenv("URL")+args[1], strings.NewReader(sent))
	ts.Check(err)
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		if name == "Host" {
			r.Host = value
		}
		r.Header.Add(name, value)
	}
	res, content := converse(ts, r, sent)
	fmt.Fprintln(ts.Stdout(), res.StatusCode)
	var head strings.Builder
	ts.Check(res.Header.Write(&head))
	fmt.Fprintf(ts.Stdout(), "%s\n%s\n", strings.ReplaceAll(head.String(), "\r", ""), content)
	ts.Check(os.WriteFile(ts.MkAbs("body"), content, 0o600))
}

// cmdBecomes repeats GET until it is answered with a status, for what takes effect after
// a while: becomes STATUS PATH ['Name: value']...
func cmdBecomes(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: becomes STATUS PATH ['Name: value']...")
	}
	last := 0
	for end := time.Now().Add(startTimeout); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		r, err := http.NewRequest("GET", ts.Getenv("URL")+args[1], nil)
		ts.Check(err)
		for _, h := range args[2:] {
			name, value, _ := strings.Cut(h, ": ")
			r.Header.Add(name, value)
		}
		res, err := http.DefaultTransport.RoundTrip(r)
		ts.Check(err)
		res.Body.Close()
		if last = res.StatusCode; fmt.Sprint(last) == args[0] {
			return
		}
	}
	ts.Fatalf("GET %s is answered with %d after %v, want %s", args[1], last, startTimeout, args[0])
}

// converse makes a request and holds it and its answer against the OpenAPI document.
func converse(ts *testscript.TestScript, r *http.Request, sent string) (*http.Response, []byte) {
	res, err := http.DefaultTransport.RoundTrip(r)
	ts.Check(err)
	defer res.Body.Close()
	content, err := io.ReadAll(res.Body)
	ts.Check(err)
	ts.Check(checkService(ts, contract.Exchange{Request: r, Sent: []byte(sent), Status: res.StatusCode, Header: res.Header, Body: string(content)}))
	return res, content
}

// checkService holds the request and its answer against the OpenAPI document, where
// it is the auth service that answers.
func checkService(ts *testscript.TestScript, e contract.Exchange) error {
	service, err := contract.Service()
	if err != nil {
		return err
	}
	b, _ := servers.Load(ts)
	if e.Request.URL.Path == forwardauth.Path && e.Status != http.StatusNotFound {
		return nil // answered to proxies, beside the service
	}
	if b.(*background).offline {
		// The local gateway knows what has no route, and no HEAD where a route is GET.
		if e.Request.Method == http.MethodHead || !service.Describes(e.Request) {
			return nil
		}
		e.Header = behindGateway(e)
	}
	return service.Check(e)
}

// behindGateway returns the header as it was before API Gateway changed it.
func behindGateway(e contract.Exchange) http.Header {
	h := e.Header.Clone()
	if challenge, ok := h["X-Amzn-Remapped-Www-Authenticate"]; ok {
		h["Www-Authenticate"] = challenge
	}
	if e.Status == http.StatusNoContent {
		h.Del("Content-Type")
	}
	return h
}

// cmdMember sets a variable to a member of the last body: member NAME VARIABLE
func cmdMember(ts *testscript.TestScript, _ bool, args []string) {
	doc := ts.ReadFile("body")
	var m map[string]any
	ts.Check(json.Unmarshal([]byte(doc), &m))
	ts.Setenv(args[1], fmt.Sprint(m[args[0]]))
}

// cmdMail looks into the inbox of offline for the newest mail whose subject has
// the text and that went to the address, if one is given, and sets $TICKET to the
// token of its link and $CODE to its code: mail SUBJECT [ADDRESS]
func cmdMail(ts *testscript.TestScript, _ bool, args []string) {
	res, err := http.Get(ts.Getenv("URL") + "/inbox.json")
	ts.Check(err)
	defer res.Body.Close()
	var inbox struct {
		Messages []struct {
			To, Subject, Code string
			Links             []string
		}
	}
	ts.Check(json.NewDecoder(res.Body).Decode(&inbox))
	var subjects []string
	for _, m := range inbox.Messages {
		subjects = append(subjects, m.To+": "+m.Subject)
		if !strings.Contains(m.Subject, args[0]) || len(args) > 1 && m.To != args[1] {
			continue
		}
		ts.Setenv("CODE", m.Code)
		if len(m.Links) > 0 {
			_, ticket, _ := strings.Cut(m.Links[0], "?token=")
			ts.Setenv("TICKET", ticket)
		}
		return
	}
	ts.Fatalf("no mail %q in the inbox, but\n%s", args, strings.Join(subjects, "\n"))
}

// cmdLegacyToken sets $TOKEN to a token as the old system minted it, with the
// secret in $TOKEN_SECRET: legacytoken AGE
func cmdLegacyToken(ts *testscript.TestScript, _ bool, args []string) {
	age, err := time.ParseDuration(args[0])
	ts.Check(err)
	ts.Setenv("TOKEN", mintLegacy(ts.Getenv("TOKEN_SECRET"), `""`, age))
}

// mintLegacy signs a token as the old system did, that many hours ago.
func mintLegacy(secret, scope string, age time.Duration) string {
	iat := time.Now().Add(-age)
	claims := fmt.Sprintf(`{"user":{"username":"francesco","name":"Francesco F.","scope":%s},"iat":%d,"exp":%d,"sub":"543234"}`,
		scope, iat.Unix(), iat.Add(14*24*time.Hour).Unix())
	enc := base64.RawURLEncoding.EncodeToString
	signed := enc([]byte(`{"typ":"JWT","alg":"HS256"}`)) + "." + enc([]byte(claims))
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(signed))
	return signed + "." + enc(mac.Sum(nil))
}

// cmdOldRecord writes a user record as the old system kept it:
// oldrecord FILE ID USERNAME PASSWORD BYTES
func cmdOldRecord(ts *testscript.TestScript, _ bool, args []string) {
	salt := base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{7, 200, 19}, 40))
	size := 0
	_, err := fmt.Sscan(args[4], &size)
	ts.Check(err)
	key, err := pbkdf2.Key(sha512.New, args[3], []byte(salt), 4096, size)
	ts.Check(err)
	line, err := json.Marshal(map[string]string{"id": args[1], "name": "Old " + args[2], "username": args[2], "scope": "",
		"password": base64.StdEncoding.EncodeToString(key), "salt": salt})
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), append(line, '\n'), 0o600))
}

// cmdMode checks a file's permissions: mode 0600 FILE
func cmdMode(ts *testscript.TestScript, _ bool, args []string) {
	info, err := os.Stat(ts.MkAbs(args[1]))
	ts.Check(err)
	if got := fmt.Sprintf("%#o", info.Mode().Perm()); got != args[0] {
		ts.Fatalf("%s has mode %s, want %s", args[1], got, args[0])
	}
}
