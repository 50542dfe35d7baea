package awslambda_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/latchkey-auth/latchkey/internal/awslambda"
	"github.com/latchkey-auth/latchkey/internal/gateway"
)

const functionARN = "arn:aws:lambda:us-east-1:123456789012:function:f"

// post is what the function's side sent.
type post struct {
	path, errorType, body string
}

// invocation is one event that the Runtime API hands out.
type invocation struct {
	event   []byte
	header  map[string]string // over the usual ones
	status  int               // of the answer to the response; 0: 202
	chunked bool
	close   bool // the connection, after the event
}

// lambda is a Runtime API that hands out invocations and then answers 500,
// which ends Run.
type lambda struct {
	*httptest.Server
	posts       []post // owned by the server until Run has returned
	connections atomic.Int64
}

const lastWord = "asking for the next invocation: status 500"

func newLambda(t *testing.T, invocations ...invocation) *lambda {
	t.Helper()
	l := &lambda{}
	next := 0
	mux := http.NewServeMux()
	mux.HandleFunc("GET /2018-06-01/runtime/invocation/next", func(w http.ResponseWriter, r *http.Request) {
		if next == len(invocations) {
			w.WriteHeader(500)
			return
		}
		i := invocations[next]
		next++
		h := w.Header()
		h.Set("Lambda-Runtime-Aws-Request-Id", fmt.Sprintf("id-%d", next))
		h.Set("Lambda-Runtime-Invoked-Function-Arn", functionARN)
		for name, value := range i.header {
			h.Set(name, value)
		}
		if i.close {
			h.Set("Connection", "close")
		}
		if i.chunked {
			for part := range bytes.SplitSeq(i.event, []byte(" ")) {
				w.Write(part)
				w.(http.Flusher).Flush()
			}
			return
		}
		h.Set("Content-Length", fmt.Sprint(len(i.event)))
		w.Write(i.event)
	})
	mux.HandleFunc("POST /2018-06-01/runtime/", func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		path := strings.TrimPrefix(r.URL.Path, "/2018-06-01/runtime/")
		l.posts = append(l.posts, post{path, r.Header.Get("Lambda-Runtime-Function-Error-Type"), string(body)})
		status := http.StatusAccepted
		if next > 0 && strings.HasSuffix(path, "/response") && invocations[next-1].status != 0 {
			status = invocations[next-1].status
		}
		w.WriteHeader(status)
		io.WriteString(w, `{"status":"OK"}`)
	})
	l.Server = httptest.NewUnstartedServer(mux)
	l.Config.ConnContext = func(ctx context.Context, _ net.Conn) context.Context {
		l.connections.Add(1)
		return ctx
	}
	l.Start()
	t.Cleanup(l.Close)
	return l
}

func (l *lambda) address() string { return strings.TrimPrefix(l.URL, "http://") }

// run runs the function until the Runtime API has no more invocations.
func (l *lambda) run(t *testing.T, f gateway.Function) {
	t.Helper()
	if err := awslambda.Run(t.Context(), l.address(), 1, f); err == nil || err.Error() != lastWord {
		t.Errorf("Run returned %v, want %s", err, lastWord)
	}
}

func echo(_ context.Context, event []byte) ([]byte, error) { return event, nil }

func TestRunAnswersInvocations(t *testing.T) {
	l := newLambda(t, invocation{event: []byte("one")}, invocation{event: nil}, invocation{event: []byte("a b c"), chunked: true}, invocation{event: []byte("last")})
	l.run(t, func(_ context.Context, event []byte) ([]byte, error) { return append([]byte("got "), event...), nil })
	want := []post{
		{"invocation/id-1/response", "", "got one"},
		{"invocation/id-2/response", "", "got "},
		{"invocation/id-3/response", "", "got abc"},
		{"invocation/id-4/response", "", "got last"},
	}
	if diff := cmp.Diff(want, l.posts, cmp.AllowUnexported(post{})); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if n := l.connections.Load(); n != 1 {
		t.Errorf("%d connections, want one that is kept", n)
	}
}

func TestRunConnectsAgainAfterConnectionClose(t *testing.T) {
	l := newLambda(t, invocation{event: []byte("one"), close: true}, invocation{event: []byte("two"), close: true})
	l.run(t, echo)
	if len(l.posts) != 2 || l.posts[1].body != "two" {
		t.Errorf("posted %v", l.posts)
	}
	if n := l.connections.Load(); n != 3 {
		t.Errorf("%d connections, want 3", n)
	}
}

func TestRunCarriesLargeEvents(t *testing.T) {
	event := bytes.Repeat([]byte("abcdefgh"), 6<<20/8)
	l := newLambda(t, invocation{event: event}, invocation{event: append(event, ' '), chunked: true})
	l.run(t, echo)
	if len(l.posts) != 2 || l.posts[0].body != string(event) || l.posts[1].body != string(event) {
		t.Errorf("%d posts, not the two events of 6 MB", len(l.posts))
	}
}

func TestRunTellsTheFunctionOfItsInvocation(t *testing.T) {
	deadline := time.Now().Add(3 * time.Hour).Truncate(time.Millisecond)
	l := newLambda(t,
		invocation{header: map[string]string{"Lambda-Runtime-Deadline-Ms": fmt.Sprint(deadline.UnixMilli())}},
		invocation{header: map[string]string{"Lambda-Runtime-Deadline-Ms": "soon"}},
		invocation{header: map[string]string{"Lambda-Runtime-Deadline-Ms": "1000"}},
	)
	type seen struct {
		gateway.Invocation
		Deadline time.Time
		Over     bool
	}
	var got []seen
	l.run(t, func(ctx context.Context, _ []byte) ([]byte, error) {
		d, _ := ctx.Deadline()
		got = append(got, seen{gateway.InvocationFrom(ctx), d, ctx.Err() != nil})
		return nil, nil
	})
	want := []seen{
		{gateway.Invocation{RequestID: "id-1", FunctionARN: functionARN}, deadline, false},
		{gateway.Invocation{RequestID: "id-2", FunctionARN: functionARN}, time.Time{}, false},
		{gateway.Invocation{RequestID: "id-3", FunctionARN: functionARN}, time.UnixMilli(1000), true},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// A typedError has a name that Lambda shows.
type typedError struct{ text string }

func (e *typedError) Error() string { return e.text }

func TestRunPostsErrors(t *testing.T) {
	errs := []error{gateway.ErrUnauthorized, &typedError{"a \"quote\"\nand a line"}, fmt.Errorf("wrapped: %w", io.EOF), nil}
	l := newLambda(t, make([]invocation, len(errs))...)
	n := 0
	l.run(t, func(context.Context, []byte) ([]byte, error) {
		n++
		return []byte("unseen unless there is no error"), errs[n-1]
	})
	want := []post{
		{"invocation/id-1/error", "errorString", `{"errorMessage":"Unauthorized","errorType":"errorString"}`},
		{"invocation/id-2/error", "typedError", `{"errorMessage":"a \"quote\"\nand a line","errorType":"typedError"}`},
		{"invocation/id-3/error", "wrapError", `{"errorMessage":"wrapped: EOF","errorType":"wrapError"}`},
		{"invocation/id-4/response", "", "unseen unless there is no error"},
	}
	if diff := cmp.Diff(want, l.posts, cmp.AllowUnexported(post{})); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if got := string(awslambda.ErrorDocument(errs[0])); got != want[0].body {
		t.Errorf("ErrorDocument is %s, want %s", got, want[0].body)
	}
}

func TestRunReportsAPanicAndEnds(t *testing.T) {
	l := newLambda(t, invocation{}, invocation{})
	err := awslambda.Run(t.Context(), l.address(), 1, func(context.Context, []byte) ([]byte, error) { panic("out of cheese") })
	if err == nil || !strings.HasPrefix(err.Error(), "panic: out of cheese\n") || !strings.Contains(err.Error(), "runtime_test.go") {
		t.Errorf("Run returned %v, want the panic and its stack", err)
	}
	want := []post{{"invocation/id-1/error", "panicError", `{"errorMessage":"panic: out of cheese","errorType":"panicError"}`}}
	if diff := cmp.Diff(want, l.posts, cmp.AllowUnexported(post{})); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestRunPostsAnErrorWhenTheResponseIsTooLarge(t *testing.T) {
	l := newLambda(t, invocation{event: []byte("big"), status: 413}, invocation{event: []byte("next")})
	l.run(t, echo)
	want := []post{
		{"invocation/id-1/response", "", "big"},
		{"invocation/id-1/error", "errorString", `{"errorMessage":"the response is larger than Lambda allows","errorType":"errorString"}`},
		{"invocation/id-2/response", "", "next"},
	}
	if diff := cmp.Diff(want, l.posts, cmp.AllowUnexported(post{})); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestRunEndsWhenTheRuntimeAPIRefuses(t *testing.T) {
	tests := map[string]struct {
		i    invocation
		says string
	}{
		"the response":            {invocation{status: 403}, "answered status 403"},
		"no request id":           {invocation{header: map[string]string{"Lambda-Runtime-Aws-Request-Id": ""}}, "no usable request id"},
		"a request id with a way": {invocation{header: map[string]string{"Lambda-Runtime-Aws-Request-Id": "../init"}}, "no usable request id"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			l := newLambda(t, test.i, invocation{})
			err := awslambda.Run(t.Context(), l.address(), 1, echo)
			if err == nil || !strings.Contains(err.Error(), test.says) {
				t.Errorf("Run returned %v, want an error that says %q", err, test.says)
			}
			if len(l.posts) > 1 {
				t.Errorf("posted %v after that", l.posts)
			}
		})
	}
}

func TestRunEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	l := newLambda(t, invocation{}, invocation{})
	err := awslambda.Run(ctx, l.address(), 1, func(context.Context, []byte) ([]byte, error) { cancel(); return nil, nil })
	if !errors.Is(err, context.Canceled) || len(l.posts) != 1 {
		t.Errorf("Run returned %v after %d posts, want %v after 1", err, len(l.posts), context.Canceled)
	}
}

func TestReportInitError(t *testing.T) {
	l := newLambda(t)
	if err := awslambda.ReportInitError(l.address(), &typedError{"no keys"}); err != nil {
		t.Fatal(err)
	}
	want := []post{{"init/error", "typedError", `{"errorMessage":"no keys","errorType":"typedError"}`}}
	if diff := cmp.Diff(want, l.posts, cmp.AllowUnexported(post{})); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	l.Close()
	if err := awslambda.ReportInitError(l.address(), errors.New("no keys")); err == nil {
		t.Error("reporting to nobody is no error")
	}
	if err := awslambda.Run(t.Context(), l.address(), 1, echo); err == nil || !strings.Contains(err.Error(), "asking for the next invocation") {
		t.Errorf("Run without Runtime API returned %v", err)
	}
}

// The authorizer as Lambda runs it: an event in, a policy or the one error out.
func TestRunTheAuthorizer(t *testing.T) {
	env := map[string]string{"TOKEN_SECRET": strong, "LATCHKEY_ROUTES_FILE": routesFile(t)}
	a, err := awslambda.Authorizer(func(name string) string { return env[name] }, nil, awslambda.Remote{})
	if err != nil {
		t.Fatal(err)
	}
	l := newLambda(t, invocation{event: tokenEvent(legacyToken(strong))}, invocation{event: tokenEvent("x.y.z")})
	l.run(t, a.Handle)
	var out struct{ PrincipalID string }
	if err := json.Unmarshal([]byte(l.posts[0].body), &out); err != nil || out.PrincipalID != "user-1" {
		t.Errorf("posted %v (%v)", l.posts[0], err)
	}
	want := post{"invocation/id-2/error", "errorString", `{"errorMessage":"Unauthorized","errorType":"errorString"}`}
	if l.posts[1] != want {
		t.Errorf("posted %v, want %v", l.posts[1], want)
	}
}
