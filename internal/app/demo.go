package app

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/latchkey-auth/latchkey/internal/auth"
	"github.com/latchkey-auth/latchkey/internal/gateway"
	"github.com/latchkey-auth/latchkey/internal/gateway/proxy"
	"github.com/latchkey-auth/latchkey/internal/redact"
	"github.com/latchkey-auth/latchkey/internal/storage"
)

// The demo: two endpoints and one user. The user exists in offline and invoke
// only, which nobody but this machine can reach.
const (
	DemoUsername = "francesco"
	DemoPassword = "password"
)

// DemoUser is who can log in by them.
var DemoUser = auth.NewUser{ID: "543234", Username: DemoUsername, Name: "Francesco F."}

// DemoRoutes are the routes where no file declares any.
var DemoRoutes = []gateway.Route{
	{Method: "GET", Path: "/publicEndpoint", Public: true, To: "publicEndpoint"},
	{Method: "GET", Path: "/privateEndpoint", To: "privateEndpoint"},
}

// OpenDemo opens the system that offline and invoke share, on a store that is
// marked local: created where it is missing, with the demo user in it. base is the public URL
// where none is configured.
func OpenDemo(ctx context.Context, cfg Config, base string) (*System, error) {
	cfg.Kind, cfg.Create = storage.LocalStore, true
	s, err := Open(ctx, cfg)
	if err != nil {
		return nil, err
	}
	sys, err := s.Build(base)
	if err == nil {
		err = errors.Join(s.BeginKeys(ctx), addDemoUser(ctx, sys.Service))
	}
	if err != nil {
		s.Close()
		return nil, err
	}
	return sys, nil
}

// addDemoUser adds the user unless an earlier run has.
func addDemoUser(ctx context.Context, s *auth.Service) error {
	_, err := s.UserByLogin(ctx, DemoUsername)
	if !errors.Is(err, storage.ErrNotFound) {
		return err
	}
	hash, err := s.Hasher.Hash(ctx, DemoPassword)
	if err != nil {
		return err
	}
	// Imported: no password that everybody knows could be added.
	err = s.AddImported(ctx, auth.ImportRecord{NewUser: DemoUser, PasswordHash: hash})
	if errors.Is(err, storage.ErrTaken) {
		return nil // by another process, just now; or it was deleted, and stays so
	}
	return err
}

// RefuseDemoUser keeps serve and Lambda off a store in which the demo user can log in
// with the password that everybody knows.
func (s *Storage) RefuseDemoUser(ctx context.Context, service *auth.Service) error {
	_, err := service.CheckPassword(ctx, DemoUsername, DemoPassword)
	switch {
	case errors.Is(err, storage.ErrNotFound), errors.Is(err, auth.ErrInvalidCredentials):
		return nil
	case err != nil:
		return fmt.Errorf("looking for the demo user: %w", err)
	}
	return fmt.Errorf("%s belongs to offline: its demo user %s can log in with a known password. Give this service a store of its own (latchkey init --data DIR), or disable the user (latchkey users disable %s%s)",
		s.cfg.Place(), DemoUsername, DemoUsername, s.cfg.Arguments())
}

// DemoToken is a fresh token of the demo user.
func (s *System) DemoToken(ctx context.Context) (string, error) {
	tokens, err := s.Service.Login(ctx, auth.LoginRequest{Username: DemoUsername, Password: DemoPassword})
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

// DemoEndpoints are the demo's functions, by their names.
func DemoEndpoints() map[string]gateway.Function {
	return map[string]gateway.Function{
		"publicEndpoint":  demoEndpoint("Welcome to our Public API!"),
		"privateEndpoint": demoEndpoint("Only logged in users can see this"),
	}
}

// demoEndpoint answers with a greeting, the event and the context.
func demoEndpoint(message string) gateway.Function {
	return func(ctx context.Context, event []byte) ([]byte, error) {
		input, err := echo(event)
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

// secretMembers betray a body that holds credentials.
var secretMembers = []string{"password", "refresh_token", "secret"}

// echo is an event without its credentials: people paste it into bug reports.
func echo(event []byte) (json.RawMessage, error) {
	d := json.NewDecoder(bytes.NewReader(event))
	d.UseNumber()
	var e any
	if err := d.Decode(&e); err != nil {
		return nil, fmt.Errorf("parsing event: %w", err)
	}
	if members, ok := e.(map[string]any); ok {
		if body, ok := members["body"].(string); ok {
			members["body"] = echoBody(body, members["isBase64Encoded"] == true)
		}
	}
	return json.Marshal(echoValue(e))
}

func echoBody(body string, encoded bool) string {
	plain := body
	if encoded {
		doc, err := base64.StdEncoding.DecodeString(body)
		if err != nil {
			return redact.Mark
		}
		plain = string(doc)
	}
	if redact.Tokens(plain) != plain || slices.ContainsFunc(secretMembers, func(s string) bool { return strings.Contains(plain, s) }) {
		return redact.Mark
	}
	return body
}

func echoValue(v any) any {
	switch v := v.(type) {
	case map[string]any:
		clean := make(map[string]any, len(v))
		for name, member := range v {
			if replacement := secretHeaders[strings.ToLower(name)]; replacement != "" {
				clean[name] = echoSecret(member, replacement)
				continue
			}
			clean[redact.Tokens(name)] = echoValue(member)
		}
		return clean
	case []any:
		for i, item := range v {
			v[i] = echoValue(item)
		}
	case string:
		return redact.Tokens(v)
	}
	return v
}

// echoSecret keeps the form of a credential: one value, or several.
func echoSecret(v any, replacement string) any {
	values, several := v.([]any)
	if !several {
		return replacement
	}
	clean := make([]any, len(values))
	for i := range clean {
		clean[i] = replacement
	}
	return clean
}
