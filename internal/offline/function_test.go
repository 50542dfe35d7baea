package offline_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/latchkey-auth/latchkey/internal/gateway"
	"github.com/latchkey-auth/latchkey/internal/gateway/proxy"
	"github.com/latchkey-auth/latchkey/internal/offline"
)

// public serves GET /f, answered by a function without being asked for a token.
func public(t *testing.T, f gateway.Function, changes ...func(*offline.Config)) *api {
	t.Helper()
	return serve(t, []gateway.Route{{Method: "ANY", Path: "/f", Public: true, To: "f"}}, func(cfg *offline.Config) {
		cfg.Functions = map[string]gateway.Function{"f": f}
		for _, change := range changes {
			change(cfg)
		}
	})
}

func answers(doc string) gateway.Function {
	return func(context.Context, []byte) ([]byte, error) { return []byte(doc), nil }
}

func TestFunctionFaults(t *testing.T) {
	tests := map[string]struct {
		f      gateway.Function
		status int
		body   string
	}{
		"an error": {func(context.Context, []byte) ([]byte, error) { return nil, errors.New("boom") }, 502, badGateway},
		"an error with an answer": {func(context.Context, []byte) ([]byte, error) {
			return []byte(`{"statusCode":200}`), errors.New("boom")
		}, 502, badGateway},
		"a panic":          {func(context.Context, []byte) ([]byte, error) { panic("boom") }, 502, badGateway},
		"the word of 401":  {func(context.Context, []byte) ([]byte, error) { return nil, gateway.ErrUnauthorized }, 502, badGateway},
		"nothing":          {answers(""), 502, badGateway},
		"garbage":          {answers("<html>"), 502, badGateway},
		"no status":        {answers(`{"body":"x"}`), 502, badGateway},
		"no text for body": {answers(`{"statusCode":200,"body":{}}`), 502, badGateway},
		"an interim one":   {answers(`{"statusCode":101}`), 502, badGateway},
		"no end":           {func(ctx context.Context, _ []byte) ([]byte, error) { <-ctx.Done(); return nil, ctx.Err() }, 504, timedOut},
		"a deaf one":       {deaf(t, "*"), 504, timedOut},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			var changes []func(*offline.Config)
			if test.status == http.StatusGatewayTimeout {
				changes = append(changes, hasty)
			}
			a := public(t, test.f, changes...)
			a.do(t, "GET", "/f").wants(t, test.status, test.body, "InternalServerErrorException")
			line := a.log.requests(t)[0]
			if line["level"] != "ERROR" || line["error"] == nil || line["status"] != float64(test.status) {
				t.Errorf("log line %v, want status %d and the error", line, test.status)
			}
		})
	}
}

func TestFunctionAnswer(t *testing.T) {
	tests := map[string]struct {
		doc    string
		status int
		header http.Header // what must be among the headers
		body   string
	}{
		"JSON is the default":        {`{"statusCode":200,"body":"{}"}`, 200, http.Header{"Content-Type": {"application/json"}}, "{}"},
		"its own content type":       {`{"statusCode":201,"headers":{"content-type":"text/plain"},"body":"a"}`, 201, http.Header{"Content-Type": {"text/plain"}}, "a"},
		"two cookies":                {`{"statusCode":200,"multiValueHeaders":{"Set-Cookie":["a=1","b=2"]},"body":""}`, 200, http.Header{"Set-Cookie": {"a=1", "b=2"}}, ""},
		"a challenge is remapped":    {`{"statusCode":401,"headers":{"WWW-Authenticate":"Basic"},"body":""}`, 401, http.Header{"Www-Authenticate": nil, "X-Amzn-Remapped-Www-Authenticate": {"Basic"}}, ""},
		"a binary body":              {`{"statusCode":200,"headers":{"Content-Type":"image/png"},"body":"iVBORw==","isBase64Encoded":true}`, 200, http.Header{"Content-Type": {"image/png"}}, "\x89PNG"},
		"a length that is not true":  {`{"statusCode":200,"headers":{"Content-Length":"999"},"body":"abc"}`, 200, http.Header{"Content-Length": {"3"}}, "abc"},
		"no second line in a header": {`{"statusCode":200,"headers":{"X-A":"b\r\nX-Evil: 1"},"body":""}`, 200, http.Header{"X-Evil": nil}, ""},
		"an error answer of the own": {`{"statusCode":503,"body":"later"}`, 503, http.Header{"X-Amzn-Errortype": nil}, "later"},
		"no content has no body":     {`{"statusCode":204,"body":"x"}`, 204, nil, ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			r := public(t, answers(test.doc)).do(t, "GET", "/f")
			if r.status != test.status || r.body != test.body {
				t.Errorf("%d %q, want %d %q", r.status, r.body, test.status, test.body)
			}
			for name, want := range test.header {
				if diff := cmp.Diff(want, r.header[name]); diff != "" {
					t.Errorf("%s: -want +got:\n%s", name, diff)
				}
			}
		})
	}
}

func TestFunctionSeesItsInvocationAndTheBody(t *testing.T) {
	const timeout = time.Minute
	var seen gateway.Invocation
	var deadline time.Duration
	a := public(t, func(ctx context.Context, event []byte) ([]byte, error) {
		seen = gateway.InvocationFrom(ctx)
		if d, ok := ctx.Deadline(); ok {
			deadline = time.Until(d)
		}
		return echo(ctx, event)
	}, func(cfg *offline.Config) { cfg.Timeout = timeout })
	r := a.send(t, "PATCH", "/f", bytes.NewReader([]byte{0xff, 0}), "Content-Type: image/png")
	e := r.event(t)
	if e.Body == nil || *e.Body != "/wA=" || !e.IsBase64Encoded || e.HTTPMethod != "PATCH" {
		t.Errorf("event %+v", e)
	}
	want := gateway.Invocation{RequestID: r.header.Get("X-Amzn-Requestid"), FunctionARN: "arn:aws:lambda:us-east-1:123456789012:function:f"}
	if seen != want || e.RequestContext.RequestID != want.RequestID {
		t.Errorf("invocation %+v and request id %s, want %+v", seen, e.RequestContext.RequestID, want)
	}
	if deadline <= 0 || deadline > timeout {
		t.Errorf("the deadline was %s away, want the integration's time-out", deadline)
	}
}

// Many at once, of several principals: nobody gets another's context.
func TestConcurrentRequests(t *testing.T) {
	a := serve(t, shop, nil)
	tokens := make(map[string]string)
	for _, sub := range []string{"anna", "berta", "carla"} {
		tokens[sub] = a.mint(map[string]any{"sub": sub, "scope": "orders:read"})
	}
	var wrong atomic.Int64
	var wg sync.WaitGroup
	const rounds = 20
	for sub, token := range tokens {
		for range 4 {
			wg.Go(func() {
				for i := range rounds {
					path := []string{"/me", "/orders/7"}[i%2]
					r, err := http.NewRequestWithContext(t.Context(), "GET", a.URL+path, nil)
					if err != nil {
						t.Error(err)
						return
					}
					r.Header.Set("Authorization", "Bearer "+token)
					res, err := a.Client().Do(r)
					if err != nil {
						t.Error(err)
						return
					}
					var e proxy.Event
					err = json.NewDecoder(res.Body).Decode(&e)
					res.Body.Close()
					if err != nil || e.RequestContext.Authorizer["sub"] != sub || e.RequestContext.RequestID != res.Header.Get("X-Amzn-Requestid") {
						wrong.Add(1)
					}
				}
			})
		}
	}
	wg.Wait()
	if n := wrong.Load(); n != 0 {
		t.Errorf("%d answers are not the caller's", n)
	}
	if got, want := len(a.log.requests(t)), len(tokens)*4*rounds; got != want {
		t.Errorf("%d log lines, want %d", got, want)
	}
}
