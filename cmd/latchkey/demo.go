package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/latchkey-auth/latchkey/internal/auth"
	"github.com/latchkey-auth/latchkey/internal/gateway"
	"github.com/latchkey-auth/latchkey/internal/gateway/proxy"
)

// The demo: two endpoints and one user. The user exists in offline and invoke
// only, which nobody but this machine can reach.
const (
	demoUsername = "francesco"
	demoPassword = "password"
)

var demoUser = auth.NewUser{ID: "543234", Username: demoUsername, Name: "Francesco F.", Password: demoPassword}

// demoRoutes are the routes where no file declares any.
var demoRoutes = []gateway.Route{
	{Method: "GET", Path: "/publicEndpoint", Public: true, To: "publicEndpoint"},
	{Method: "GET", Path: "/privateEndpoint", To: "privateEndpoint"},
}

// addDemoUser adds the user unless an earlier run has.
func addDemoUser(ctx context.Context, s *auth.Service) error {
	_, err := s.UserByLogin(ctx, demoUsername)
	if !errors.Is(err, auth.ErrNotFound) {
		return err
	}
	_, err = s.AddUser(ctx, demoUser)
	if errors.Is(err, auth.ErrTaken) {
		return nil // by another process, just now
	}
	return err
}

// demoToken is a fresh token of the demo user.
func demoToken(ctx context.Context, s *auth.Service) (string, error) {
	tokens, err := s.Login(ctx, auth.LoginRequest{Username: demoUsername, Password: demoPassword})
	if errors.Is(err, auth.ErrInvalidCredentials) {
		return "", errors.New("the demo user cannot log in with the demo password any more; use another --data directory, or set the password back with `latchkey users set-password francesco`")
	}
	return tokens.AccessToken, err
}

// lambdaContext is what the demo endpoints show of their invocation, under the
// names that the context object has in Node.js.
type lambdaContext struct {
	FunctionName       string `json:"functionName"`
	InvokedFunctionARN string `json:"invokedFunctionArn"`
	AWSRequestID       string `json:"awsRequestId"`
}

// demoEndpoint answers with a greeting, the event and the context.
func demoEndpoint(message string) gateway.Function {
	return func(ctx context.Context, event []byte) ([]byte, error) {
		input, err := redact(event)
		if err != nil {
			return nil, err
		}
		invocation := gateway.InvocationFrom(ctx)
		name := invocation.FunctionARN[strings.LastIndexByte(invocation.FunctionARN, ':')+1:]
		var body bytes.Buffer
		e := json.NewEncoder(&body)
		e.SetEscapeHTML(false)
		err = e.Encode(struct {
			Message string          `json:"message"`
			Input   json.RawMessage `json:"input"`
			Context lambdaContext   `json:"context"`
		}{message, input, lambdaContext{name, invocation.FunctionARN, invocation.RequestID}})
		if err != nil {
			return nil, err
		}
		return json.Marshal(proxy.Response{
			StatusCode: 200,
			Headers:    map[string]string{"Content-Type": "application/json", "Cache-Control": "no-store"},
			Body:       body.String(),
		})
	}
}

// secretHeaders hold credentials; their values are not echoed.
var secretHeaders = map[string]string{"authorization": "Bearer [redacted]", "proxy-authorization": "[redacted]", "cookie": "[redacted]"}

// tokenShape finds what looks like a JWT wherever else it may have got to: a
// query, a body, a header of somebody's own.
var tokenShape = regexp.MustCompile(`eyJ[A-Za-z0-9_-]*\.[A-Za-z0-9_-]*\.[A-Za-z0-9_-]*`)

// redact removes credentials from an event, which somebody may paste into a
// bug report.
func redact(event []byte) (json.RawMessage, error) {
	d := json.NewDecoder(bytes.NewReader(event))
	d.UseNumber()
	var e any
	if err := d.Decode(&e); err != nil {
		return nil, fmt.Errorf("parsing event: %w", err)
	}
	return json.Marshal(redactValue(e, ""))
}

func redactValue(v any, replacement string) any {
	switch v := v.(type) {
	case map[string]any:
		for name, member := range v {
			v[name] = redactValue(member, secretHeaders[strings.ToLower(name)])
		}
	case []any:
		for i, item := range v {
			v[i] = redactValue(item, replacement)
		}
	case string:
		if replacement != "" {
			return replacement
		}
		return tokenShape.ReplaceAllString(v, "[redacted]")
	}
	return v
}
