package gateway

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/latchkey-auth/latchkey"
)

// AuthorizerConfig is what an Authorizer needs.
type AuthorizerConfig struct {
	Verifier *latchkey.Verifier // required
	Table    *Table             // required
	// Issuers are those whose tokens the verifier takes, by their names: OwnIssuer is
	// latchkey itself. Nil: latchkey itself alone.
	Issuers []string
	Now     func() time.Time // nil: time.Now
	Log     *slog.Logger     // nil: nothing is logged
	// Revocations end latchkey's own tokens before they expire; nil: nothing does.
	Revocations Revocations

	EventConfig
}

// Revocations know which tokens have ended; a Follower of package revocation does. Check
// returns an error that matches [latchkey.ErrInvalidToken] for one that has, and another
// one when it cannot be told.
type Revocations interface {
	Check(ctx context.Context, c latchkey.Claims) error
}

// EventConfig is what events are read and answered by. The zero value is good for APIs
// that send the token in the Authorization header and take policies.
type EventConfig struct {
	Sources    []TokenSource  // of tokens, in events that hold a request; nil: the Authorization header
	Claims     []ContextClaim // that functions are told; nil: sub, username, scope and payload
	HTTPAnswer HTTPAnswer     // to HTTP APIs, payload format 2.0; "": AnswerPolicy

	ConnectScopes  []string // needed at WebSocket APIs; none: any signed-in principal may connect
	ConnectIssuers []string // whose tokens WebSocket APIs admit; none: latchkey's own alone
	GraphQL        GraphQL  // what AppSync APIs need
}

// An Authorizer answers authorizer events of API Gateway and AppSync.
//
// API Gateway caches the answer under the token, for as long as it is told,
// and applies it to every route. The policy therefore depends on the principal
// alone, never on the route that was asked for, and lists exactly what the
// route table grants this principal in the API and stage that asked.
type Authorizer struct {
	AuthorizerConfig
}

// NewAuthorizer checks the configuration.
func NewAuthorizer(cfg AuthorizerConfig) (*Authorizer, error) {
	if cfg.Verifier == nil || cfg.Table == nil {
		return nil, errors.New("authorizer: verifier and route table must be set")
	}
	switch cfg.HTTPAnswer {
	case "":
		cfg.HTTPAnswer = AnswerPolicy
	case AnswerPolicy, AnswerSimple, AnswerSimplePerRoute:
	default:
		return nil, fmt.Errorf("authorizer: answer %q to HTTP APIs must be %s, %s or %s", cfg.HTTPAnswer, AnswerPolicy, AnswerSimple, AnswerSimplePerRoute)
	}
	if cfg.Issuers == nil {
		cfg.Issuers = []string{OwnIssuer}
	}
	if err := cfg.checkIssuers(); err != nil {
		return nil, fmt.Errorf("authorizer: %w", err)
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Claims == nil {
		cfg.Claims = defaultClaims
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	return &Authorizer{cfg}, nil
}

// checkIssuers refuses what would admit nobody: a name that is misspelt, and latchkey's
// own tokens where nothing verifies them.
func (cfg *AuthorizerConfig) checkIssuers() error {
	for _, r := range cfg.Table.Routes() {
		if err := cfg.checkAdmitted("route "+r.String(), r.Issuers); !r.Public && err != nil {
			return err
		}
	}
	if cfg.ConnectIssuers == nil && cfg.GraphQL.Issuers == nil {
		return nil
	}
	return errors.Join(cfg.checkAdmitted("WebSocket APIs", cfg.ConnectIssuers), cfg.checkAdmitted("AppSync APIs", cfg.GraphQL.Issuers))
}

func (cfg *AuthorizerConfig) checkAdmitted(what string, names []string) error {
	if len(names) == 0 && !slices.Contains(cfg.Issuers, OwnIssuer) {
		return fmt.Errorf("%s: names no issuers and so admits latchkey's own tokens alone, for which there are no keys: name the issuers, or configure the keys", what)
	}
	for _, name := range names {
		if !slices.Contains(cfg.Issuers, name) {
			return fmt.Errorf("%s: admits issuer %q, which is not configured; configured are %s", what, name, strings.Join(cfg.Issuers, ", "))
		}
	}
	return nil
}

// Handle is the Lambda function: it reads the event, decides, and encodes the
// decision. It returns ErrUnauthorized for a bad token, or a no where the event's kind
// has one, and another error for a fault of our own, but never a policy for either.
func (a *Authorizer) Handle(ctx context.Context, event []byte) ([]byte, error) {
	kind, q, err := ReadEvent(event, a.Sources...)
	if err != nil {
		return nil, a.fault(ctx, err)
	}
	d, err := a.Decide(ctx, q)
	if errors.Is(err, ErrUnauthorized) {
		return a.EncodeRefusal(kind)
	}
	if err != nil {
		return nil, a.fault(ctx, err)
	}
	answer, err := a.Encode(kind, q, d)
	if err != nil {
		return nil, a.fault(ctx, err)
	}
	a.logDecision(ctx, kind, q, d)
	return answer, nil
}

func (a *Authorizer) logDecision(ctx context.Context, kind Kind, q Question, d Decision) {
	if !a.Log.Enabled(ctx, slog.LevelInfo) {
		return
	}
	msg := "authorized"
	if !a.allows(kind, q, d.Grants) {
		msg = "forbidden"
	}
	a.log(ctx, slog.LevelInfo, msg, slog.String("sub", d.Principal), slog.String("kind", string(kind)), slog.Int("methods", len(d.Grants.Allowed)))
}

func (a *Authorizer) fault(ctx context.Context, err error) error {
	a.log(ctx, slog.LevelError, "authorizer failed", slog.String("error", err.Error()))
	return err
}

func (a *Authorizer) log(ctx context.Context, level slog.Level, msg string, attrs ...slog.Attr) {
	if !a.Log.Enabled(ctx, level) {
		return
	}
	if id := InvocationFrom(ctx).RequestID; id != "" {
		attrs = append(attrs, slog.String("request_id", id))
	}
	a.Log.LogAttrs(ctx, level, msg, attrs...)
}
