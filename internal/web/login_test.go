package web_test

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/latchkey-auth/latchkey/internal/attempt"
	"github.com/latchkey-auth/latchkey/internal/auth"
	"github.com/latchkey-auth/latchkey/internal/storage"
	"github.com/latchkey-auth/latchkey/internal/trial"
)

func TestLoginAnswersWithTokens(t *testing.T) {
	f := newFixture(t)
	for _, username := range []string{"ada", "Ada@Example.com"} {
		a := f.login(username, password)
		if a.status != http.StatusOK || a.header.Get("Content-Type") != asJSON || a.header.Get("Cache-Control") != "no-store" {
			t.Fatalf("got %d, %v; want 200, JSON, no-store", a.status, a.header)
		}
		var got map[string]any
		f.decode(a, &got)
		refresh := fmt.Sprint(got["refresh_token"])
		if !regexp.MustCompile(`^[a-z2-7]{26,}\.0\.[A-Za-z0-9_-]{43}$`).MatchString(refresh) {
			t.Errorf("refresh token is %s, want a session id, a number and 256 bits", refresh)
		}
		want := map[string]any{
			"token": got["access_token"], "access_token": got["access_token"], "token_type": "Bearer",
			"expires_in": 900.0, "refresh_token": refresh,
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("body (-want +got):\n%s", diff)
		}
		if me := f.get("/me", bearer(fmt.Sprint(got["token"]))); me.status != http.StatusOK {
			t.Errorf("/me with the token: %d %s", me.status, me.body)
		}
	}
}

func TestRefusedLoginsAreAlike(t *testing.T) {
	f := newFixture(t)
	if _, err := f.service.AddUser(t.Context(), auth.NewUser{Username: "dora", Password: password}); err != nil {
		t.Fatal(err)
	}
	if _, err := f.service.Disable(t.Context(), "dora", true); err != nil {
		t.Fatal(err)
	}
	wrong := f.login("ada", "wrong")
	f.wantProblem(wrong, http.StatusUnauthorized, "invalid_credentials")
	for name, a := range map[string]answer{
		"unknown username":      f.login("grace", password),
		"unknown address":       f.login("grace@example.com", password),
		"impossible username":   f.login("a b\x00", password),
		"disabled user":         f.login("dora", password),
		"a look-alike":          f.login("ada＠example.com", password),
		"a very long password":  f.login("ada", strings.Repeat("x", 1024)),
		"another wrong attempt": f.login("ada", "x"),
	} {
		if diff := cmp.Diff(wrong.comparable(), a.comparable(), cmp.AllowUnexported(answer{})); diff != "" {
			t.Errorf("wrong password and %s (-wrong +other):\n%s", name, diff)
		}
	}
}

// TestLoginByEmail: the member is another name of the same thing, with the same
// answers and the same limits.
func TestLoginByEmail(t *testing.T) {
	f := newFixture(t)
	send := func(body string) answer { return f.send("POST", "/login", body, fields{"Content-Type": asJSON}) }
	if a := send(`{"email":"Ada@Example.com","password":"` + password + `"}`); a.status != http.StatusOK {
		t.Errorf("got %d %s", a.status, a.body)
	}
	wrong := f.login("ada", "wrong")
	for _, body := range []string{`{"email":"ada@example.com","password":"wrong"}`, `{"email":"grace@example.com","password":"wrong"}`} {
		if diff := cmp.Diff(wrong.comparable(), send(body).comparable(), cmp.AllowUnexported(answer{})); diff != "" {
			t.Errorf("%s (-by username +by address):\n%s", body, diff)
		}
	}
	// A username that looks like none is looked up as one in the other member only.
	f.wantProblem(send(`{"email":"ada","password":"`+password+`"}`), http.StatusBadRequest, "invalid_request")
	f.service.Limits = &attempt.DefaultLimits
	for range attempt.DefaultLimits.Account.Free {
		f.wantProblem(send(`{"email":"ada@example.com","password":"wrong"}`), http.StatusUnauthorized, "invalid_credentials")
	}
	f.wantProblem(f.login("ada", password), http.StatusTooManyRequests, "too_many_failures")
	f.wantProblem(send(`{"email":"ada@example.com","password":"`+password+`"}`), http.StatusTooManyRequests, "too_many_failures")
}

func TestBadBodiesAreNamed(t *testing.T) {
	const good = `{"username":"ada","password":"` + password + `"}`
	for name, c := range map[string]struct {
		body, code, names string
		fields            string // of the errors, in order
	}{
		"nothing":                     {"", "invalid_body", "is empty", ""},
		"spaces":                      {" \r\n ", "invalid_body", "is empty", ""},
		"half an object":              {good[:20], "invalid_json", "at byte", ""},
		"text":                        {"hello", "invalid_json", "not a JSON object at byte 0", ""},
		"a form":                      {"username=ada&password=x", "invalid_json", "not a JSON object", ""},
		"an array":                    {"[" + good + "]", "invalid_json", "not a JSON object", ""},
		"null":                        {"null", "invalid_json", "not a JSON object", ""},
		"two objects":                 {good + good, "invalid_json", "something follows", ""},
		"an object and text":          {good + "x", "invalid_json", "something follows", ""},
		"an object and NUL":           {good + "\x00", "invalid_json", "something follows", ""},
		"a byte order mark":           {"\ufeff" + good, "invalid_json", "not a JSON object", ""},
		"UTF-16":                      {"{\x00\"\x00u\x00", "invalid_json", "at byte", ""},
		"broken UTF-8":                {strings.Replace(good, "ada", "a\xffa", 1), "invalid_json", "at byte", ""},
		"half a surrogate pair":       {strings.Replace(good, "ada", `\ud800`, 1), "invalid_json", "at byte", ""},
		"a comma too much":            {strings.Replace(good, "}", ",}", 1), "invalid_json", "at byte", ""},
		"single quotes":               {strings.ReplaceAll(good, `"`, "'"), "invalid_json", "at byte", ""},
		"a comment":                   {"/**/" + good, "invalid_json", "at byte", ""},
		"a member twice":              {`{"username":"eve",` + good[1:], "invalid_json", `"username" stands twice`, ""},
		"a member twice, disguised":   {`{"\u0075sername":"eve",` + good[1:], "invalid_json", `"username" stands twice`, ""},
		"too deep":                    {`{"username":` + strings.Repeat("[", 10_000), "invalid_json", "too deep", ""},
		"no member":                   {`{}`, "invalid_request", "password is missing", "password username"},
		"no password":                 {`{"username":"ada"}`, "invalid_request", "password is missing", "password"},
		"no username":                 {`{"password":"x"}`, "invalid_request", "username is missing", "username"},
		"an empty username":           {`{"username":"","password":"x"}`, "invalid_request", "username must not be empty", "username"},
		"an empty password":           {`{"username":"ada","password":""}`, "invalid_request", "password must not be empty", "password"},
		"both empty":                  {`{"username":"","password":""}`, "invalid_request", "password must not be empty", "password username"},
		"one empty, one missing":      {`{"username":""}`, "invalid_request", "password is missing", "password username"},
		"a number":                    {`{"username":1,"password":"x"}`, "invalid_request", "username must be a string", "username"},
		"null for a password":         {`{"username":"ada","password":null}`, "invalid_request", "password must be a string", "password"},
		"an object for a password":    {`{"username":"ada","password":{"$ne":""}}`, "invalid_request", "password must be a string", "password"},
		"a list of usernames":         {`{"username":["ada"],"password":"x"}`, "invalid_request", "username must be a string", "username"},
		"a member we do not know":     {`{"role":"admin",` + good[1:], "invalid_request", "role is not a member", "role"},
		"a member in another case":    {`{"Username":"ada",` + good[1:], "invalid_request", "Username is not a member", "Username"},
		"a username and an address":   {`{"username":"ada","email":"ada@example.com","password":"x"}`, "invalid_request", "email: goes in place of the username", "email"},
		"an address that is none":     {`{"email":"ada","password":"x"}`, "invalid_request", "email: must be one plain address", "email"},
		"an empty address":            {`{"email":"","password":"x"}`, "invalid_request", "email must not be empty", "email"},
		"an address of 60,000 bytes":  {`{"email":"a@` + strings.Repeat("x", 60_000) + `","password":"x"}`, "invalid_request", "at most 254 bytes", "email"},
		"an address alone":            {`{"email":"ada@example.com"}`, "invalid_request", "password is missing", "password"},
		"several faults":              {`{"x":1,"username":true}`, "invalid_request", "password is missing", "password username x"},
		"a password of 1,025 bytes":   {`{"username":"ada","password":"` + strings.Repeat("x", 1025) + `"}`, "invalid_request", "at most 1024 bytes", "password"},
		"a password of 60,000 bytes":  {`{"username":"ada","password":"` + strings.Repeat("x", 60_000) + `"}`, "invalid_request", "at most 1024 bytes", "password"},
		"a username without an end":   {`{"username":"` + strings.Repeat("x", 60_000) + `","password":"x"}`, "invalid_request", "at most 256 bytes", "username"},
		"a password beside a mistake": {`{"username":"ada","password":"` + password + `","otp":"1"}`, "invalid_request", "otp is not a member", "otp"},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			for range 8 { // the answer must not depend on the order of a map
				a := f.send("POST", "/login", c.body, fields{"Content-Type": asJSON})
				p := f.wantProblem(a, http.StatusBadRequest, c.code)
				if !strings.Contains(p.Detail, c.names) {
					t.Errorf("detail is %q, want it to name %q", p.Detail, c.names)
				}
				var got []string
				for _, e := range p.Errors {
					got = append(got, e.Field)
				}
				if strings.Join(got, " ") != c.fields {
					t.Errorf("errors are about %q, want %q", got, c.fields)
				}
				if strings.Contains(a.body, password) {
					t.Errorf("the answer quotes the password: %s", a.body)
				}
			}
		})
	}
}

func TestAnswersAreNotLargerThanTheirCause(t *testing.T) {
	f := newFixture(t)
	var body strings.Builder
	for i := range 7000 {
		fmt.Fprintf(&body, `,"%d":0`, i)
	}
	a := f.send("POST", "/login", "{"+body.String()[1:]+"}", nil)
	if p := f.wantProblem(a, http.StatusBadRequest, "invalid_request"); len(p.Errors) != 16 || len(a.body) > 4096 {
		t.Errorf("got %d errors in %d bytes, want 16", len(p.Errors), len(a.body))
	}
}

func TestBodiesHaveALimit(t *testing.T) {
	const limit = 64 << 10
	good := `{"username":"ada","password":"` + password + `"}`
	for size, status := range map[int]int{limit: http.StatusOK, limit + 1: http.StatusRequestEntityTooLarge, 1 << 20: http.StatusRequestEntityTooLarge} {
		for _, form := range []string{"with its length", "in chunks"} {
			f := newFixture(t)
			a := f.upload("/login", good+strings.Repeat(" ", size-len(good)), form == "in chunks")
			if a.status != status {
				t.Errorf("%d bytes %s: got %d, want %d", size, form, a.status, status)
			}
			if status != http.StatusOK {
				f.wantProblem(a, status, "body_too_large")
			}
		}
	}
}

// upload sends a body as far as the server takes it, and reads the answer. A client
// of net/http may report that it could not send the rest.
func (f *fixture) upload(path, body string, chunked bool) answer {
	f.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(f.server.URL, "http://"))
	if err != nil {
		f.Fatal(err)
	}
	defer conn.Close()
	head, end := fmt.Sprintf("Content-Length: %d\r\n\r\n", len(body)), ""
	if chunked {
		head, end = fmt.Sprintf("Transfer-Encoding: chunked\r\n\r\n%x\r\n", len(body)), "\r\n0\r\n\r\n"
	}
	go io.WriteString(conn, "POST "+path+" HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"+head+body+end)
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		f.Fatal(err)
	}
	defer res.Body.Close()
	doc, err := io.ReadAll(res.Body)
	if err != nil {
		f.Fatal(err)
	}
	return answer{res.StatusCode, res.Header, string(doc)}
}

// TestBodiesAreRefusedByTheirLength: the answer comes before any of the body is
// sent.
func TestBodiesAreRefusedByTheirLength(t *testing.T) {
	f := newFixture(t)
	for _, route := range []struct{ path, media string }{{"/login", asJSON}, {"/verify", asForm}} {
		conn, err := net.Dial("tcp", strings.TrimPrefix(f.server.URL, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: x\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n", route.path, route.media, 64<<10+1)
		res, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatal(err)
		}
		if res.StatusCode != http.StatusRequestEntityTooLarge {
			t.Errorf("%s is answered %s, want 413", route.path, res.Status)
		}
	}
}

// TestLongBodiesLeaveTheConnection: over HTTP/2 other requests share it, and go on.
func TestLongBodiesLeaveTheConnection(t *testing.T) {
	server := httptest.NewUnstartedServer(newFixture(t).handler)
	server.Config.Protocols = new(http.Protocols)
	server.Config.Protocols.SetUnencryptedHTTP2(true)
	server.Start()
	t.Cleanup(server.Close)
	transport := &http.Transport{Protocols: server.Config.Protocols}
	t.Cleanup(transport.CloseIdleConnections)
	for i := range 3 {
		ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{GotConn: func(c httptrace.GotConnInfo) {
			if c.Reused != (i > 0) {
				t.Errorf("request %d: the connection is reused: %v", i, c.Reused)
			}
		}})
		r, err := http.NewRequestWithContext(ctx, "POST", server.URL+"/login", bytes.NewReader(make([]byte, 64<<10+1)))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/json")
		res, err := transport.RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		_, err = io.Copy(io.Discard, res.Body)
		res.Body.Close()
		if err != nil || res.StatusCode != http.StatusRequestEntityTooLarge || res.ProtoMajor != 2 {
			t.Errorf("answered %s over %s, %v; want 413 over HTTP/2", res.Status, res.Proto, err)
		}
	}
}

func TestContentTypes(t *testing.T) {
	const good = `{"username":"ada","password":"` + password + `"}`
	for name, c := range map[string]struct {
		header fields
		status int
	}{
		"none":                      {nil, 200},
		"JSON":                      {fields{"Content-Type": "application/json"}, 200},
		"JSON in capitals":          {fields{"Content-Type": "Application/JSON"}, 200},
		"JSON in UTF-8":             {fields{"Content-Type": "application/json; charset=utf-8"}, 200},
		"JSON in UTF-8, quoted":     {fields{"Content-Type": `application/json;charset="UTF-8"`}, 200},
		"JSON in Latin-1":           {fields{"Content-Type": "application/json; charset=iso-8859-1"}, 415},
		"none, from a browser":      {fields{"Origin": "https://elsewhere.example"}, 415},
		"plain text":                {fields{"Content-Type": "text/plain"}, 415},
		"plain text that says JSON": {fields{"Content-Type": "text/plain; application/json"}, 415},
		"a form":                    {fields{"Content-Type": "application/x-www-form-urlencoded"}, 415},
		"a form with files":         {fields{"Content-Type": "multipart/form-data; boundary=x"}, 415},
		"JSON's old name":           {fields{"Content-Type": "text/json"}, 415},
		"something like JSON":       {fields{"Content-Type": "application/jsonp"}, 415},
		"nonsense":                  {fields{"Content-Type": ";;;"}, 415},
		"two types":                 {fields{"Content-Type": "application/json\ntext/plain"}, 415},
		"two types in one":          {fields{"Content-Type": "text/plain, application/json"}, 415},
		"JSON, compressed":          {fields{"Content-Type": "application/json", "Content-Encoding": "gzip"}, 415},
		"none, compressed":          {fields{"Content-Encoding": "gzip"}, 415},
		"compressed, two fields":    {fields{"Content-Encoding": "\ngzip"}, 415},
	} {
		f := newFixture(t)
		a := f.send("POST", "/login", good, c.header)
		if a.status != c.status {
			t.Errorf("%s: got %d %s, want %d", name, a.status, a.body, c.status)
		}
		if c.status == http.StatusUnsupportedMediaType {
			f.wantProblem(a, c.status, "unsupported_media_type")
		}
	}
}

// TestMutatedBodies sends what a fuzzer would, with a seed that is always the
// same: 2,000 bodies, in full 50,000.
func TestMutatedBodies(t *testing.T) {
	f := newFixture(t)
	random := rand.New(rand.NewPCG(1, 2))
	seeds := []string{
		`{"username":"ada","password":"` + password + `"}`, `{"username":"ada","password":"wrong"}`,
		`{"username":"\u0061da@example.com","password":"\ud83d\udd11"}`, `{"username":{"a":[1,2.5e3,true,null]},"x":"y"}`,
	}
	spare := `{}[]":,\u00e9\x00` + "\x00\xff\xc3\ufeff\u202e 0-1.e+tn"
	answers := map[int]int{}
	bodies := trial.Of(2_000, 50_000)
	for range bodies {
		body := []byte(seeds[random.IntN(len(seeds))])
		for range 1 + random.IntN(4) {
			at, to := random.IntN(len(body)+1), random.IntN(len(body)+1)
			switch at, to = min(at, to), max(at, to); random.IntN(5) {
			case 0: // cut
				body = slices.Delete(body, at, to)
			case 1: // repeat
				body = slices.Insert(body, at, body[at:to]...)
			case 2: // insert
				body = slices.Insert(body, at, spare[random.IntN(len(spare))])
			case 3: // change
				if at < len(body) {
					body[at] = byte(random.Uint32())
				}
			case 4: // end
				body = body[:to]
			}
		}
		w := httptest.NewRecorder()
		f.handler.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), "POST", "/login", strings.NewReader(string(body))))
		answers[w.Code]++
		switch w.Code {
		case http.StatusOK, http.StatusBadRequest, http.StatusUnauthorized:
		default:
			t.Errorf("%q: got %d %s", body, w.Code, w.Body)
		}
	}
	if answers[http.StatusOK] == 0 || answers[http.StatusUnauthorized] == 0 || answers[http.StatusBadRequest] < bodies/2 {
		t.Errorf("answers by status: %v; want all three kinds, mostly 400", answers)
	}
}

func TestLoginDuringAnOutageIsNoRefusal(t *testing.T) {
	for name, c := range map[string]struct {
		fault            error
		status           int
		code, retryAfter string
	}{
		"store gone":      {fmt.Errorf("%w: disk I/O error", storage.ErrUnavailable), 503, "unavailable", "5"},
		"hashing busy":    {auth.ErrBusy, 503, "busy", "2"},
		"our own mistake": {errors.New("secret inner detail"), 500, "internal", ""},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			f.store.set(c.fault)
			a := f.login("ada", password)
			f.wantProblem(a, c.status, c.code)
			if got := a.header.Get("Retry-After"); got != c.retryAfter {
				t.Errorf("Retry-After is %q, want %q", got, c.retryAfter)
			}
			if strings.Contains(a.body, c.fault.Error()) || strings.Contains(a.body, "disk") {
				t.Errorf("the answer tells the cause: %s", a.body)
			}
			f.store.set(nil)
			if a := f.login("ada", password); a.status != http.StatusOK {
				t.Errorf("afterwards: %d %s", a.status, a.body)
			}
			lines := f.lines("request failed")
			if len(lines) != 1 || !strings.Contains(fmt.Sprint(lines[0]["error"]), c.fault.Error()) || lines[0]["request_id"] != a.header.Get("X-Request-Id") {
				t.Errorf("log says %v, want the cause and the request id", lines)
			}
		})
	}
}
