package web_test

import (
	"context"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/latchkey-auth/latchkey/internal/storage"
	"github.com/latchkey-auth/latchkey/internal/web"
)

func TestAccessLogHasOneLinePerRequest(t *testing.T) {
	f := newFixture(t)
	var ids []string
	var want []string
	for _, r := range []struct {
		method, path string
		status       float64
	}{
		{"GET", "/livez", 200}, {"HEAD", "/livez", 200}, {"GET", "/me", 401}, {"POST", "/login", 400}, {"PUT", "/me", 405},
		{"GET", "/nothing", 404}, {"BREW", "/login", 405}, {"GET", "/.well-known/jwks.json", 200},
	} {
		a := f.send(r.method, r.path+"?query=canary", "", nil)
		ids = append(ids, a.header.Get("X-Request-Id"))
		want = append(want, fmt.Sprint(r.method, " ", r.path, " ", r.status))
	}
	var got []string
	for i, line := range f.lines("request") {
		got = append(got, fmt.Sprint(line["method"], " ", line["path"], " ", line["status"]))
		if i < len(ids) && line["request_id"] != ids[i] {
			t.Errorf("line %d has the request id %v, the answer had %s", i, line["request_id"], ids[i])
		}
		members := slices.Sorted(maps.Keys(line))
		if diff := cmp.Diff([]string{"address", "duration_ms", "level", "method", "msg", "path", "request_id", "status", "time"}, members); diff != "" {
			t.Errorf("members of a line (-want +got):\n%s", diff)
		}
		if ms, ok := line["duration_ms"].(float64); !ok || ms < 0 || ms > 60_000 {
			t.Errorf("duration_ms is %v", line["duration_ms"])
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("lines (-want +got):\n%s", diff)
	}
	if strings.Contains(f.log.String(), "canary") {
		t.Error("the log holds a query")
	}
}

func TestLogLinesCannotBeForged(t *testing.T) {
	f := newFixture(t)
	f.raw("GET /%0d%0a{\"msg\":\"request\"}%1b[31m HTTP/1.1")
	lines := f.lines("request")
	if len(lines) != 1 || lines[0]["status"] != 404.0 || strings.ContainsAny(f.log.String(), "\x1b\r") {
		t.Errorf("log is %q, want one line with everything escaped", f.log.String())
	}
}

// TestSecretsNeverReachALog does what people do by mistake, and what goes wrong
// by itself, and reads both logs and the audit trail.
func TestSecretsNeverReachALog(t *testing.T) {
	f := newFixture(t)
	var answers strings.Builder
	good := f.login("ada", password)
	var tokens struct {
		Token        string `json:"token"`
		RefreshToken string `json:"refresh_token"`
	}
	f.decode(good, &tokens)
	canaries := map[string]string{
		"the password": password, "a wrong password": "canary-wrong-password", "a password as username": "canary-typed-as-name",
		"a password as member": "canary-member", "a token": tokens.Token, "a refresh token": tokens.RefreshToken,
		"the token's signature":      tokens.Token[strings.LastIndex(tokens.Token, ".")+1:],
		"the refresh token's secret": tokens.RefreshToken[strings.Index(tokens.RefreshToken, ".")+1:],
		"a bad token":                "canary-bad-token", "Basic credentials": "Y2FuYXJ5OmNhbmFyeQ==", "a cookie": "canary-cookie",
	}
	misuse := func() {
		for _, a := range []answer{
			f.login("ada", "canary-wrong-password"),
			f.login("canary-typed-as-name", "x"),
			f.send("POST", "/login?password="+"canary-wrong-password", `{"username":"ada","password":"canary-wrong-password"`, nil),
			f.send("POST", "/login", `canary-wrong-password`, fields{"Content-Type": "text/plain"}),
			f.get("/me", bearer(tokens.Token)),
			f.get("/me", bearer(tokens.Token+"\nBearer "+tokens.RefreshToken)),
			f.get("/me?access_token="+tokens.Token+"&refresh_token="+tokens.RefreshToken, nil),
			f.get("/me", bearer("canary-bad-token")),
			f.get("/me", fields{"Authorization": "Basic Y2FuYXJ5OmNhbmFyeQ=="}),
			f.get("/me", fields{"Cookie": "session=canary-cookie", "Referer": "https://x/?t=" + tokens.Token}),
		} {
			answers.WriteString(a.body)
		}
		f.login("ada", password)
		f.send("POST", "/login", `{"username":"ada","password":"x","canary-member":"x"}`, nil) // is told what it sent
	}
	misuse()
	f.store.set(fmt.Errorf("%w: disk full", storage.ErrUnavailable))
	misuse()
	f.store.set(fmt.Errorf("a mistake of ours"))
	misuse()
	f.store.set(nil)

	events, _, err := f.store.Events(t.Context(), time.Time{}, "", 1000)
	if err != nil || len(events) < 5 {
		t.Fatalf("got %d events, %v; want those of the logins", len(events), err)
	}
	if n := len(f.lines("request")); n != 1+3*12 {
		t.Errorf("%d requests are logged, want %d", n, 1+3*12)
	}
	if n := len(f.lines("request failed")); n == 0 {
		t.Error("no failure is logged: the test does not see them")
	}
	for name, canary := range canaries {
		for place, text := range map[string]string{"log": f.log.String(), "audit trail": fmt.Sprintf("%+v", events), "answer": answers.String()} {
			if strings.Contains(text, canary) {
				t.Errorf("the %s holds %s", place, name)
			}
		}
	}
	for _, header := range []string{"Authorization", "Bearer", "Cookie"} {
		if strings.Contains(f.log.String(), header) {
			t.Errorf("the log holds %q", header)
		}
	}
}

// held is a store whose list of sessions is read when wait returns.
type held struct {
	storage.Store
	wait func(context.Context)
}

func (s held) UserSessions(ctx context.Context, id storage.UserID, epoch int64, skip, limit int) ([]storage.Session, error) {
	s.wait(ctx)
	return s.Store.UserSessions(ctx, id, epoch, skip, limit)
}

// TestClientsThatGoAreNoFaultOfOurs: nobody has to act when an answer is not taken,
// or not waited for.
func TestClientsThatGoAreNoFaultOfOurs(t *testing.T) {
	for name, c := range map[string]struct {
		path    string
		timeout time.Duration // of writing; 0: the client hangs up
		status  float64
	}{
		"too slow to take the answer":  {"/openapi.json", time.Nanosecond, 200},
		"gone before the answer":       {"/.well-known/jwks.json", 0, 200},
		"gone while the store is read": {"/me/sessions", 0, 503},
	} {
		t.Run(name, func(t *testing.T) {
			reached := make(chan struct{})
			wait := func(ctx context.Context) {
				close(reached)
				<-ctx.Done()
			}
			f := newFixture(t, func(cfg *web.Config) {
				cfg.JWKS = func(ctx context.Context) []byte {
					wait(ctx)
					return []byte(`{"keys":[]}` + strings.Repeat(" ", 64<<10)) // more than is kept before it is sent
				}
			})
			token := f.token()
			f.service.Store = held{f.service.Store, wait}
			f.server.Close()
			f.server = httptest.NewUnstartedServer(f.handler)
			f.server.Config.WriteTimeout = c.timeout
			f.server.Start()
			t.Cleanup(f.server.Close)

			conn, err := net.Dial("tcp", f.server.Listener.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\n\r\n", c.path, token)
			if c.timeout == 0 {
				<-reached
				conn.(*net.TCPConn).SetLinger(0) // so that what is sent afterwards meets an error
				conn.Close()
			} else if _, err := conn.Read(make([]byte, 1)); err == nil {
				t.Fatal("the answer was sent in time")
			}
			requests := f.lines("request")
			if last := requests[len(requests)-1]; last["path"] != c.path || last["status"] != c.status {
				t.Errorf("access log says %v, want %s with %v", last, c.path, c.status)
			}
			if strings.Contains(f.log.String(), `"level":"ERROR"`) {
				t.Errorf("the log has an error:\n%s", f.log.String())
			}
			if lost := f.lines("writing answer"); len(lost) != 1 && c.status == 200 {
				t.Errorf("the answer was lost %d times, want once: the test does not see it", len(lost))
			}
		})
	}
}

func TestNoLogsNeedBeGiven(t *testing.T) {
	f := newFixture(t)
	h := f.newHandler(quiet)
	f.store.set(storage.ErrUnavailable)
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), "GET", "/readyz", nil))
	if w.Code != http.StatusServiceUnavailable || f.log.String() != "" {
		t.Errorf("got %d and the log %q, want 503 and none", w.Code, f.log.String())
	}
}
