package offline

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/latchkey-auth/latchkey/internal/gateway"
	"github.com/latchkey-auth/latchkey/internal/gateway/proxy"
)

// authorization is an authorizer's answer, applied to one request.
type authorization struct {
	source    string // of the answer: "called" or "cached"
	principal string
	context   map[string]any // for requestContext.authorizer
}

// text is a value of the context; of what is none, and on public routes, it is empty.
func (a *authorization) text(name string) string {
	value, _ := a.context[name].(string)
	return value
}

// authorize asks the authorizer, or its cache, and answers the request itself
// unless that allows it.
func (x *exchange) authorize() bool {
	key, ok := x.identity()
	if !ok {
		x.refuse(gateway.Unauthorized)
		return false
	}
	asked := x.methodARN()
	arn := asked.String()
	if len(arn) > maxMethodARN {
		// No gateway response type: its body cannot be overridden.
		x.answer(http.StatusRequestURITooLong, `{"message":"Request URI Too Long"}`)
		return false
	}
	verdict, ok := x.verdict(key, asked)
	if !ok {
		return false
	}
	x.auth.principal, x.auth.context = verdict.principal, verdict.context
	switch verdict.policy.Evaluate(gateway.ActionInvoke, arn) {
	case gateway.Allow:
		return true
	case gateway.ExplicitDeny:
		x.refuseWith(gateway.AccessDenied, refusals[gateway.AccessDenied].message+" with an explicit deny")
	default:
		x.refuse(gateway.AccessDenied)
	}
	return false
}

// authorizerEvent asks the authorizer.
func (x *exchange) authorizerEvent(asked gateway.ARN) ([]byte, error) {
	if x.IdentitySources == nil {
		return gateway.TokenEvent(gateway.Question{Credential: x.r.Header.Get("Authorization"), Asked: asked}), nil
	}
	return json.Marshal(proxy.NewAuthorizerEvent(x.r, asked, proxy.Setting{
		AccountID: accountID, APIID: apiID, Stage: stage, RequestID: x.id, Time: x.start,
		Resource: x.match.Route.Path, PathParameters: x.match.Params,
	}))
}

// verdict finds the answer that is kept under the key, as API Gateway's cache does, or
// asks for one. Only answers are cached, never errors.
func (x *exchange) verdict(key cacheKey, asked gateway.ARN) (*verdict, bool) {
	if v := x.cache.get(key, x.Now()); v != nil {
		x.auth.source = "cached"
		return v, true
	}
	x.auth.source = "called"
	began := x.Now()
	event, err := x.authorizerEvent(asked)
	if err != nil {
		x.fail(gateway.AuthorizerFailure, err)
		return nil, false
	}
	answer, err := call(x.lambdaContext("authorizer"), x.Timeout, x.Authorizer, event)
	if err != nil && err.Error() == gateway.ErrUnauthorized.Error() {
		x.refuse(gateway.Unauthorized)
		return nil, false
	}
	if err != nil {
		x.fail(gateway.AuthorizerFailure, err)
		return nil, false
	}
	v, err := parseVerdict(answer)
	if err != nil {
		x.fail(gateway.AuthorizerConfigurationError, err)
		return nil, false
	}
	v.context["integrationLatency"] = x.Now().Sub(began).Milliseconds()
	x.cache.put(key, v, x.Now())
	return v, true
}

// A verdict is an authorizer's answer, which may serve many requests.
type verdict struct {
	principal string
	policy    gateway.Policy
	context   map[string]any // read only once it is cached
	expires   time.Time
}

func parseVerdict(answer []byte) (*verdict, error) {
	var out struct {
		PrincipalID    string                     `json:"principalId"`
		PolicyDocument json.RawMessage            `json:"policyDocument"`
		Context        map[string]json.RawMessage `json:"context"`
	}
	if err := json.Unmarshal(answer, &out); err != nil {
		return nil, fmt.Errorf("parsing authorizer output: %w", err)
	}
	if out.PrincipalID == "" {
		return nil, errors.New("authorizer output has no principalId")
	}
	policy, err := gateway.ParsePolicy(out.PolicyDocument)
	if err != nil {
		return nil, fmt.Errorf("parsing authorizer output: %w", err)
	}
	v := &verdict{principal: out.PrincipalID, policy: policy, context: make(map[string]any)}
	for name, raw := range out.Context {
		if v.context[name], err = contextValue(raw); err != nil {
			return nil, fmt.Errorf("authorizer output: context member %q %w", name, err)
		}
	}
	v.context["principalId"] = out.PrincipalID
	return v, nil
}

// contextValue makes a string of every scalar, as REST APIs do; null stays.
func contextValue(raw json.RawMessage) (any, error) {
	var value any
	if err := json.Unmarshal(raw, &value); err != nil {
		return nil, err
	}
	switch v := value.(type) {
	case nil, string:
		return v, nil
	case bool:
		return strconv.FormatBool(v), nil
	case float64:
		return string(raw), nil
	}
	return nil, errors.New("is an object or array; API Gateway takes strings, numbers and booleans")
}

// maxVerdicts bounds the cache. A dev machine has few users; a test that makes
// more loses nothing but calls.
const maxVerdicts = 1024

// policyCache keeps verdicts by the values of the identity sources.
type policyCache struct {
	ttl time.Duration
	mu  sync.Mutex
	m   map[cacheKey]*verdict
}

func newPolicyCache(ttl time.Duration) *policyCache {
	return &policyCache{ttl: ttl, m: make(map[cacheKey]*verdict)}
}

func (c *policyCache) get(key cacheKey, now time.Time) *verdict {
	c.mu.Lock()
	defer c.mu.Unlock()
	v := c.m[key]
	if v == nil || !now.Before(v.expires) {
		return nil
	}
	return v
}

func (c *policyCache) put(key cacheKey, v *verdict, now time.Time) {
	if c.ttl == 0 {
		return
	}
	v.expires = now.Add(c.ttl)
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.m) >= maxVerdicts {
		c.evict(now)
	}
	c.m[key] = v
}

// evict drops what has expired. Where nothing has, it drops any one.
func (c *policyCache) evict(now time.Time) {
	for key, v := range c.m {
		if !now.Before(v.expires) {
			delete(c.m, key)
		}
	}
	for key := range c.m {
		if len(c.m) < maxVerdicts {
			return
		}
		delete(c.m, key)
	}
}

// call runs a function as Lambda does: a panic is an error, and a function that
// takes longer than the limit is left behind.
func call(ctx context.Context, limit time.Duration, f gateway.Function, event []byte) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	type result struct {
		answer []byte
		err    error
	}
	done := make(chan result, 1)
	go func() {
		defer func() {
			if p := recover(); p != nil {
				done <- result{err: fmt.Errorf("function panicked: %v", p)}
			}
		}()
		answer, err := f(ctx, event)
		done <- result{answer, err}
	}()
	select {
	case r := <-done:
		return r.answer, r.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}
