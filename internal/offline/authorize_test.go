package offline_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/latchkey-auth/latchkey/internal/gateway"
	"github.com/latchkey-auth/latchkey/internal/offline"
)

const stageARN = "arn:aws:execute-api:us-east-1:123456789012:offlineapi/dev/"

// allow is an authorizer's output for a resource.
func allow(resource, context string) string {
	return fmt.Sprintf(`{"principalId":"p","policyDocument":{"Version":"2012-10-17","Statement":
		[{"Effect":"Allow","Action":"execute-api:Invoke","Resource":%q}]},"context":%s}`, resource, context)
}

// faked serves the shop behind an authorizer of the test.
func faked(t *testing.T, f gateway.Function, changes ...func(*offline.Config)) *api {
	t.Helper()
	return serve(t, shop, func(cfg *offline.Config) {
		cfg.Authorizer = f
		for _, change := range changes {
			change(cfg)
		}
	})
}

func TestAuthorizerEvent(t *testing.T) {
	var event atomic.Value
	a := faked(t, func(ctx context.Context, doc []byte) ([]byte, error) {
		event.Store(string(doc))
		if i := gateway.InvocationFrom(ctx); i.RequestID == "" || i.FunctionARN != "arn:aws:lambda:us-east-1:123456789012:function:authorizer" {
			t.Errorf("invocation %+v", i)
		}
		return []byte(allow("*", "{}")), nil
	})
	a.do(t, "GET", "/orders/a%20b:c?d=e", "Authorization: Bearer  any thing")
	var got map[string]string
	if err := json.Unmarshal([]byte(event.Load().(string)), &got); err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"type": "TOKEN", "authorizationToken": "Bearer  any thing", "methodArn": stageARN + "GET/orders/a%20b:c"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// What goes wrong in the authorizer is 500, never an answer of the route, and
// never remembered.
func TestAuthorizerFaults(t *testing.T) {
	answer := func(doc string) gateway.Function {
		return func(context.Context, []byte) ([]byte, error) { return []byte(doc), nil }
	}
	statement := func(s string) string {
		return `{"principalId":"p","policyDocument":{"Version":"2012-10-17","Statement":[` + s + `]}}`
	}
	failure, configuration := string(gateway.AuthorizerFailure), string(gateway.AuthorizerConfigurationError)
	tests := map[string]struct {
		f       gateway.Function
		kind    string // of gateway response
		changes []func(*offline.Config)
	}{
		"an error":            {func(context.Context, []byte) ([]byte, error) { return nil, errors.New("boom") }, failure, nil},
		"nearly Unauthorized": {func(context.Context, []byte) ([]byte, error) { return nil, errors.New("unauthorized") }, failure, nil},
		"Unauthorized and more": {func(context.Context, []byte) ([]byte, error) {
			return nil, fmt.Errorf("%w: expired", gateway.ErrUnauthorized)
		}, failure, nil},
		"an error with an answer": {func(context.Context, []byte) ([]byte, error) {
			return []byte(allow("*", "{}")), errors.New("boom")
		}, failure, nil},
		"a panic":    {func(context.Context, []byte) ([]byte, error) { panic("boom") }, failure, nil},
		"no end":     {func(ctx context.Context, _ []byte) ([]byte, error) { <-ctx.Done(); return nil, ctx.Err() }, failure, []func(*offline.Config){hasty}},
		"a deaf one": {deaf(t, "*"), failure, []func(*offline.Config){hasty}},

		"garbage":                     {answer("<html>"), configuration, nil},
		"nothing":                     {answer(""), configuration, nil},
		"null":                        {answer("null"), configuration, nil},
		"no principalId":              {answer(strings.Replace(allow("*", "{}"), "principalId", "principal", 1)), configuration, nil},
		"an empty principalId":        {answer(strings.Replace(allow("*", "{}"), `"p"`, `""`, 1)), configuration, nil},
		"no policy":                   {answer(`{"principalId":"p"}`), configuration, nil},
		"a null policy":               {answer(`{"principalId":"p","policyDocument":null}`), configuration, nil},
		"no statement":                {answer(statement("")), configuration, nil},
		"a condition":                 {answer(statement(`{"Effect":"Allow","Action":"*","Resource":"*","Condition":{"Bool":{}}}`)), configuration, nil},
		"a simple response":           {answer(`{"isAuthorized":true}`), configuration, nil},
		"an object in context":        {answer(allow("*", `{"user":{"name":"x"}}`)), configuration, nil},
		"an array in context":         {answer(allow("*", `{"groups":["a"]}`)), configuration, nil},
		"a context that is no object": {answer(allow("*", `"x"`)), configuration, nil},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			var calls atomic.Int64
			a := faked(t, func(ctx context.Context, event []byte) ([]byte, error) {
				calls.Add(1)
				return test.f(ctx, event)
			}, test.changes...)
			for range 2 {
				r := a.do(t, "GET", "/me", "Authorization: Bearer x")
				r.wants(t, 500, failed, "AuthorizerConfigurationException")
			}
			if n := calls.Load(); n != 2 {
				t.Errorf("the authorizer was called %d times: a fault must not be remembered", n)
			}
			for _, line := range a.log.requests(t) {
				if line["gateway_response"] != test.kind || line["level"] != "ERROR" || line["error"] == "" || line["error"] == nil {
					t.Errorf("log line %v, want %s and the error", line, test.kind)
				}
			}
		})
	}
}

// deaf allows a resource, but only when it is far too late.
func deaf(t *testing.T, resource string) gateway.Function {
	over := make(chan struct{})
	t.Cleanup(func() { close(over) })
	return func(context.Context, []byte) ([]byte, error) {
		<-over
		return []byte(allow(resource, "{}")), nil
	}
}

func TestUnauthorizedIsNotCached(t *testing.T) {
	var calls atomic.Int64
	a := faked(t, func(context.Context, []byte) ([]byte, error) {
		if calls.Add(1) == 1 {
			return nil, errors.New("Unauthorized")
		}
		return []byte(allow("*", "{}")), nil
	})
	a.do(t, "GET", "/me", "Authorization: x").wants(t, 401, unauthorized, "UnauthorizedException")
	if r := a.do(t, "GET", "/me", "Authorization: x"); r.status != 200 {
		t.Errorf("%d %s, want the second answer of the authorizer", r.status, r.body)
	}
}

func TestContextIsStringified(t *testing.T) {
	a := faked(t, func(context.Context, []byte) ([]byte, error) {
		return []byte(allow("*", `{"yes":true,"no":false,"n":123,"f":1.50,"big":12345678901234567890,"s":"é","null":null,"principalId":"other"}`)), nil
	})
	got := a.do(t, "GET", "/me", "Authorization: x").event(t).RequestContext.Authorizer
	if _, ok := got["integrationLatency"].(float64); !ok {
		t.Errorf("integrationLatency is %v, want a number", got["integrationLatency"])
	}
	delete(got, "integrationLatency")
	want := map[string]any{"yes": "true", "no": "false", "n": "123", "f": "1.50", "big": "12345678901234567890", "s": "é", "null": nil, "principalId": "p"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestDecisions(t *testing.T) {
	tests := map[string]struct{ statements, want string }{
		"the route itself":         {`{"Effect":"Allow","Action":"execute-api:Invoke","Resource":"` + stageARN + `GET/me"}`, "200"},
		"another route":            {`{"Effect":"Allow","Action":"execute-api:Invoke","Resource":"` + stageARN + `GET/m"}`, denied},
		"another stage":            {`{"Effect":"Allow","Action":"execute-api:Invoke","Resource":"` + strings.Replace(stageARN, "/dev/", "/v/", 1) + `GET/*"}`, denied},
		"another action":           {`{"Effect":"Allow","Action":"s3:GetObject","Resource":"*"}`, denied},
		"an explicit deny":         {`{"Effect":"Allow","Action":"*","Resource":"*"},{"Effect":"Deny","Action":"*","Resource":"*/GET/me"}`, deniedBy},
		"an explicit deny of else": {`{"Effect":"Allow","Action":"*","Resource":"*"},{"Effect":"Deny","Action":"*","Resource":"*/GET/you"}`, "200"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			a := faked(t, func(context.Context, []byte) ([]byte, error) {
				return []byte(`{"principalId":"p","policyDocument":{"Version":"2012-10-17","Statement":[` + test.statements + `]}}`), nil
			})
			r := a.do(t, "GET", "/me", "Authorization: x")
			if test.want != "200" {
				r.wants(t, 403, test.want, "AccessDeniedException")
			} else if r.status != 200 {
				t.Errorf("%d %s", r.status, r.body)
			}
		})
	}
}

func TestCache(t *testing.T) {
	a := serve(t, shop, nil)
	token := a.mint(map[string]any{"scope": "orders:read"})
	get := func(path, token string, status int, source string) {
		t.Helper()
		r := a.signedIn(t, "GET", path, token)
		if r.status != status {
			t.Errorf("GET %s: %d %s, want %d", path, r.status, r.body, status)
		}
		all := a.log.requests(t)
		if got := all[len(all)-1]["authorizer"]; got != source {
			t.Errorf("GET %s: authorizer %v, want %s", path, got, source)
		}
	}
	get("/me", token, 200, "called")
	get("/me", token, 200, "cached")
	// The policy is kept, not the decision.
	get("/orders/7", token, 200, "cached")
	if r := a.send(t, "POST", "/orders", nil, "Authorization: Bearer "+token); r.status != 403 || r.body != denied {
		t.Errorf("POST /orders: %d %s, want the policy to deny it", r.status, r.body)
	}
	get("/orders/7", a.mint(nil), 403, "called") // another token
	a.Advance(300*time.Second - 1)
	get("/me", token, 200, "cached")
	a.Advance(1)
	get("/me", token, 200, "called")
	if n := a.calls.Load(); n != 3 {
		t.Errorf("the authorizer was called %d times, want 3", n)
	}
}

// AWS does so too; a shorter TTL is the way out.
func TestCachedAllowOutlivesTheTokenUntilTheTTL(t *testing.T) {
	a := serve(t, shop, func(cfg *offline.Config) { cfg.AuthorizerTTL = 60 * time.Second })
	token := a.mint(map[string]any{"exp": a.Now().Unix() + 30})
	for _, step := range []struct {
		after time.Duration
		want  int
	}{{0, 200}, {59 * time.Second, 200}, {time.Second, 401}} {
		a.Advance(step.after)
		if r := a.signedIn(t, "GET", "/me", token); r.status != step.want {
			t.Errorf("%s later: %d, want %d", step.after, r.status, step.want)
		}
	}
}

func TestTTLZeroCachesNothing(t *testing.T) {
	a := serve(t, shop, func(cfg *offline.Config) { cfg.AuthorizerTTL = 0 })
	token := a.mint(nil)
	for range 3 {
		if r := a.signedIn(t, "GET", "/me", token); r.status != 200 {
			t.Fatalf("%d %s", r.status, r.body)
		}
	}
	if n := a.calls.Load(); n != 3 {
		t.Errorf("the authorizer was called %d times, want 3", n)
	}
}

func TestCacheIsBounded(t *testing.T) {
	c := offline.NewPolicyCache(time.Minute)
	now := time.Unix(1_800_000_000, 0)
	for i := range 3 * offline.MaxVerdicts {
		c.Put(fmt.Sprint(i), now)
		if n := c.Len(); n > offline.MaxVerdicts {
			t.Fatalf("%d verdicts after %d tokens, want %d at most", n, i+1, offline.MaxVerdicts)
		}
		if !c.Has(fmt.Sprint(i), now) {
			t.Fatalf("token %d is not there right after it was put", i)
		}
	}
	later := now.Add(time.Minute)
	c.Put("later", later)
	if n := c.Len(); n != 1 {
		t.Errorf("%d verdicts, want those that have expired to be gone", n)
	}
}

func TestNewRefuses(t *testing.T) {
	tb, err := gateway.NewTable(shop)
	if err != nil {
		t.Fatal(err)
	}
	functions := map[string]gateway.Function{"echo": echo, "other": echo}
	nowhere, err := gateway.NewTable([]gateway.Route{{Method: "GET", Path: "/a", To: "ftp://example.com"}})
	if err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct {
		cfg  offline.Config
		says string
	}{
		"no table":         {offline.Config{Authorizer: echo}, "route table and authorizer must be set"},
		"no authorizer":    {offline.Config{Table: tb, Functions: functions}, "route table and authorizer must be set"},
		"a negative TTL":   {offline.Config{Table: tb, Authorizer: echo, Functions: functions, AuthorizerTTL: -1}, "must be 0s to 1h0m0s"},
		"a TTL too long":   {offline.Config{Table: tb, Authorizer: echo, Functions: functions, AuthorizerTTL: offline.MaxAuthorizerTTL + 1}, "must be 0s to 1h0m0s"},
		"no such function": {offline.Config{Table: tb, Authorizer: echo, Functions: map[string]gateway.Function{"b": echo, "a": echo}}, `leads to "echo": there is no function of that name (known: a, b)`},
		"another scheme":   {offline.Config{Table: nowhere, Authorizer: echo}, "it is no http:// or https:// URL"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if _, err := offline.New(test.cfg); err == nil || !strings.Contains(err.Error(), test.says) {
				t.Errorf("error %v, want one that says %q", err, test.says)
			}
		})
	}
}
